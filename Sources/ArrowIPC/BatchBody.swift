internal import Bytes
internal import Engine

/// The body of a record batch: the buffers of its columns, and the lists that say where each lies.
struct BatchBody {
    /// Length and number of nulls of each column and its children, from the outside in.
    private(set) var nodes: [(Int64, Int64)] = []
    /// Place and length of each buffer.
    private(set) var buffers: [(Int64, Int64)] = []
    private(set) var bytes: [UInt8] = []
    private let bytesMax: Int

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// Stands for a row in which there is nothing.
    private static let absent = -1

    /// Appends some rows of a column, in the order given; ``absent`` gives a null.
    ///
    /// Rows are picked, not copied with the engine's buffers: so offsets begin at 0, and nothing of rows that are null or not
    /// asked for goes along.
    mutating func append(_ column: Column, _ rows: [Int]) throws(ArrowIPCError) {
        var present = rows
        for index in rows.indices where rows[index] >= 0 && column.isNull(at: rows[index]) {
            present[index] = Self.absent
        }
        if case .dictionary = column.type {
            let values = present.map { $0 < 0 ? $0 : column.dictionaryRow(at: $0) }
            return try append(column.dictionaryValues, values)
        }
        let nullCount = present.count { $0 < 0 }
        nodes.append((Int64(present.count), Int64(nullCount)))
        if column.type == .null { return }
        try appendBits(nullCount == 0 ? [] : present) { $0 >= 0 }
        switch column.type {
        case .bool: try appendBits(present) { $0 >= 0 && column.bool(at: $0) }
        case .utf8(let isLarge), .binary(let isLarge):
            try appendTexts(column, present, isLarge: isLarge)
        case .list(_, let isLarge): try appendLists(column, present, isLarge: isLarge)
        case .map: try appendLists(column, present, isLarge: false)
        case .fixedList(_, let count):
            guard present.count * count <= bytesMax else { throw .tooLarge }
            let elements = present.flatMap { row in
                row < 0
                    ? Array(repeating: Self.absent, count: count)
                    : Array(column.elementRows(at: row))
            }
            try append(column.elementColumn, elements)
        case .structure(let fields):
            for index in fields.indices { try append(column.member(index), present) }
        default: try appendSlots(column, present, isRun: nullCount == 0)
        }
    }

    /// Appends a column of texts that are all the same.
    mutating func append(_ text: String, rowCount: Int) throws(ArrowIPCError) {
        nodes.append((Int64(rowCount), 0))
        try appendBuffer { _ in }
        let ends = (0...rowCount).map { $0 * text.utf8.count }
        try appendOffsets(ends, isLarge: false)
        try appendBuffer { bytes in
            for _ in 0..<rowCount { bytes += text.utf8 }
        }
    }

    // MARK: Buffers

    /// Appends one buffer, and the padding behind it.
    private mutating func appendBuffer(_ fill: (inout [UInt8]) -> Void) throws(ArrowIPCError) {
        let start = bytes.count
        fill(&bytes)
        buffers.append((Int64(start), Int64(bytes.count - start)))
        let padding = (ArrowIPC.alignment - bytes.count % ArrowIPC.alignment) % ArrowIPC.alignment
        bytes.append(contentsOf: repeatElement(0, count: padding))
        guard bytes.count <= bytesMax else { throw .tooLarge }
    }

    /// A bit a row, the least significant first; no rows, no buffer.
    private mutating func appendBits(
        _ rows: [Int], _ isSet: (Int) -> Bool
    ) throws(ArrowIPCError) {
        try appendBuffer { bytes in
            for start in stride(from: 0, to: rows.count, by: 8) {
                var byte: UInt8 = 0
                for index in start..<min(start + 8, rows.count) where isSet(rows[index]) {
                    byte |= 1 << UInt8(index - start)
                }
                bytes.append(byte)
            }
        }
    }

    private mutating func appendSlots(
        _ column: Column, _ rows: [Int], isRun: Bool
    ) throws(ArrowIPCError) {
        guard rows.count * (column.type.slotBytes ?? 0) <= bytesMax else { throw .tooLarge }
        try appendBuffer { bytes in
            if isRun, let first = rows.first, rows[rows.count - 1] - first == rows.count - 1,
                zip(rows, first...).allSatisfy({ $0 == $1 })
            {
                column.appendSlots(of: first..<first + rows.count, to: &bytes)
            } else {
                column.appendSlots(of: rows, to: &bytes)
            }
        }
    }

    private mutating func appendTexts(
        _ column: Column, _ rows: [Int], isLarge: Bool
    ) throws(ArrowIPCError) {
        var texts: [UInt8] = []
        var ends = [0]
        ends.reserveCapacity(rows.count + 1)
        for row in rows {
            if row >= 0 { column.appendBytes(at: row, to: &texts) }
            guard texts.count <= bytesMax else { throw .tooLarge }
            ends.append(texts.count)
        }
        try appendOffsets(ends, isLarge: isLarge)
        try appendBuffer { $0 += texts }
    }

    private mutating func appendLists(
        _ column: Column, _ rows: [Int], isLarge: Bool
    ) throws(ArrowIPCError) {
        var elements: [Int] = []
        var ends = [0]
        ends.reserveCapacity(rows.count + 1)
        for row in rows {
            if row >= 0 {
                let found = column.elementRows(at: row)
                guard elements.count + found.count <= bytesMax else { throw .tooLarge }
                elements += found
            }
            ends.append(elements.count)
        }
        try appendOffsets(ends, isLarge: isLarge)
        try append(column.elementColumn, elements)
    }

    private mutating func appendOffsets(_ ends: [Int], isLarge: Bool) throws(ArrowIPCError) {
        guard isLarge || ends[ends.count - 1] <= Int32.max else { throw .tooLarge }
        try appendBuffer { bytes in
            for end in ends {
                if isLarge {
                    bytes.append(littleEndian: Int64(end))
                } else {
                    bytes.append(littleEndian: Int32(end))
                }
            }
        }
    }
}
