internal import Bytes

/// Names in one flat run of bytes, found by comparing bytes: what the hot path keeps instead of strings.
@frozen
public struct NameList: Equatable, Sendable {
    @usableFromInline var bytes: [UInt8] = []
    @usableFromInline var ends: [Int32] = [0]
    /// The first eight bytes of each name, zero where it has fewer: most names are told apart by them alone.
    @usableFromInline var prefixes: [UInt64] = []

    package init(_ names: [String]) {
        for name in names { append(name) }
    }

    package init() {}

    package mutating func append(_ name: String) {
        let start = bytes.count
        bytes.append(contentsOf: name.utf8)
        prefixes.append(ByteWord.prefix(bytes.span, from: start, to: bytes.count))
        ends.append(Int32(bytes.count))
    }

    @inlinable
    public var count: Int { ends.count - 1 }

    /// How many bytes the name at `index` has.
    @inlinable
    func byteCount(_ index: Int) -> Int { Int(ends[index + 1]) - Int(ends[index]) }

    /// Whether one of the names is the `byteCount` bytes of a word, at most eight.
    func holds(_ word: UInt64, byteCount: Int) -> Bool {
        for index in prefixes.indices
        where prefixes[index] == word && self.byteCount(index) == byteCount {
            return true
        }
        return false
    }

    /// The bytes of the name at `index`.
    @inlinable
    @_lifetime(borrow self)
    public func span(_ index: Int) -> Span<UInt8> {
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
    @inlinable
    public func equals(_ index: Int, _ other: Span<UInt8>, _ range: Range<Int>) -> Bool {
        let start = Int(ends[index])
        guard range.count == Int(ends[index + 1]) - start else { return false }
        for offset in 0..<range.count
        where bytes[start + offset] != other[range.lowerBound + offset] {
            return false
        }
        return true
    }
}
