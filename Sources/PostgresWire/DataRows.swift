/// Rows as messages of a server, one after the other, as somebody else wrote them: each is looked at before it is passed on.
package struct DataRows: Sendable {
    private let bytes: [UInt8]
    private let columnCount: Int
    private var position = 0

    /// What was written is not rows of so many columns.
    package struct Malformed: Error, Equatable, Sendable {
        package init() {}
    }

    package init(_ bytes: [UInt8], columnCount: Int) {
        self.bytes = bytes
        self.columnCount = columnCount
    }

    package var isAtEnd: Bool { position == bytes.count }

    /// The next row as the message it stands in; nil after the last.
    package mutating func next() throws(Malformed) -> ArraySlice<UInt8>? {
        guard !isAtEnd else { return nil }
        guard bytes.count - position >= 7, bytes[position] == UInt8(ascii: "D") else {
            throw Malformed()
        }
        let start = position
        let end = start + 1 + number(start + 1, 4)
        guard end <= bytes.count, number(start + 5, 2) == columnCount else { throw Malformed() }
        var field = start + 7
        for _ in 0..<columnCount {
            guard end - field >= 4 else { throw Malformed() }
            let length = Int(Int32(truncatingIfNeeded: number(field, 4)))
            field += 4 + max(length, 0)
            guard length >= -1, field <= end else { throw Malformed() }
        }
        guard field == end else { throw Malformed() }
        position = end
        return bytes[start..<end]
    }

    /// The values of a row that ``next()`` gave, nil for null.
    package func values(of row: ArraySlice<UInt8>) -> [ArraySlice<UInt8>?] {
        var field = row.startIndex + 7
        return (0..<columnCount).map { _ in
            let length = Int(Int32(truncatingIfNeeded: number(field, 4)))
            field += 4
            guard length >= 0 else { return nil }
            defer { field += length }
            return bytes[field..<(field + length)]
        }
    }

    private func number(_ start: Int, _ count: Int) -> Int {
        bytes[start..<(start + count)].reduce(0) { $0 << 8 | Int($1) }
    }
}
