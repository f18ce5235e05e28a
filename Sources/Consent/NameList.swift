/// Names in one flat run of bytes, found by comparing bytes: what the hot path keeps instead of strings.
package struct NameList: Equatable, Sendable {
    private var bytes: [UInt8] = []
    private var ends: [Int32] = [0]

    package init(_ names: [String]) {
        for name in names { append(name) }
    }

    package init() {}

    package mutating func append(_ name: String) {
        bytes.append(contentsOf: name.utf8)
        ends.append(Int32(bytes.count))
    }

    package var count: Int { ends.count - 1 }

    /// The bytes of the name at `index`.
    @_lifetime(borrow self)
    package func span(_ index: Int) -> Span<UInt8> {
        bytes.span.extracting(Int(ends[index])..<Int(ends[index + 1]))
    }

    /// The name at `index` as text; allocates, so for explanations only.
    package func text(_ index: Int) -> String {
        String(decoding: bytes[Int(ends[index])..<Int(ends[index + 1])], as: UTF8.self)
    }

    /// The position of the name that `range` of `other` spells, or nil.
    package func index(of other: Span<UInt8>, _ range: Range<Int>) -> Int? {
        for index in 0..<count where equals(index, other, range) { return index }
        return nil
    }

    /// Whether the name at `index` is spelt by `range` of `other`, byte by byte.
    package func equals(_ index: Int, _ other: Span<UInt8>, _ range: Range<Int>) -> Bool {
        let start = Int(ends[index])
        guard range.count == Int(ends[index + 1]) - start else { return false }
        for offset in 0..<range.count
        where bytes[start + offset] != other[range.lowerBound + offset] {
            return false
        }
        return true
    }
}
