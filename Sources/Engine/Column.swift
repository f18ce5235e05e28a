internal import CADBC

/// One column of a batch: typed access by row.
///
/// The typed accessors trap when the column is of another type, and give zero or an empty text for a null.
@safe package struct Column {
    package let type: ColumnType
    package private(set) var count: Int
    private let owner: ArrowArrayOwner
    /// SAFETY: lives in what `owner` owns. The engine filled it after the Arrow rules, which every access below relies
    /// on: buffers as the type demands, offsets ascending, lengths within them.
    private let array: UnsafePointer<ArrowArray>
    /// Index of row 0 in the buffers.
    private var start: Int
    private let validity: UnsafePointer<UInt8>?
    private let hasOnlyNulls: Bool

    @unsafe init(
        owner: ArrowArrayOwner, array: UnsafePointer<ArrowArray>, type: ColumnType, shift: Int = 0
    ) {
        self.owner = owner
        unsafe self.array = unsafe array
        self.type = type
        hasOnlyNulls = type == .null
        start = Int(unsafe array.pointee.offset) + shift
        count = Int(unsafe array.pointee.length) - shift
        let hasValidity = unsafe array.pointee.null_count != 0 && array.pointee.n_buffers > 0
        unsafe validity =
            hasValidity
            ? unsafe array.pointee.buffers[0].map { unsafe $0.assumingMemoryBound(to: UInt8.self) }
            : nil
    }

    package func isNull(at row: Int) -> Bool {
        precondition(row >= 0 && row < count, "row outside of the batch")
        if hasOnlyNulls { return true }
        guard let validity = unsafe validity else { return false }
        let index = start + row
        return unsafe validity[index >> 3] & (1 << UInt8(index & 7)) == 0
    }

    package func bool(at row: Int) -> Bool {
        precondition(type == .bool, "not a boolean column")
        if isNull(at: row) { return false }
        let index = start + row
        let byte = unsafe load(UInt8.self, buffer: 1, index: index >> 3)
        return byte & (1 << UInt8(index & 7)) != 0
    }

    /// An integer of any width; unsigned ones above `Int64.max` are clamped.
    package func int64(at row: Int) -> Int64 {
        if isNull(at: row) { return 0 }
        let index = start + row
        switch type {
        case .int(8): return Int64(unsafe load(Int8.self, buffer: 1, index: index))
        case .int(16): return Int64(unsafe load(Int16.self, buffer: 1, index: index))
        case .int(32), .date, .time(bits: 32, _):
            return Int64(unsafe load(Int32.self, buffer: 1, index: index))
        case .int, .time, .timestamp: return unsafe load(Int64.self, buffer: 1, index: index)
        case .uint(8): return Int64(unsafe load(UInt8.self, buffer: 1, index: index))
        case .uint(16): return Int64(unsafe load(UInt16.self, buffer: 1, index: index))
        case .uint(32): return Int64(unsafe load(UInt32.self, buffer: 1, index: index))
        case .uint: return Int64(clamping: unsafe load(UInt64.self, buffer: 1, index: index))
        default: preconditionFailure("not an integer column")
        }
    }

    /// An unsigned integer of 64 bits.
    package func uint64(at row: Int) -> UInt64 {
        precondition(type == .uint(64), "not a column of unsigned integers of 64 bits")
        if isNull(at: row) { return 0 }
        return unsafe load(UInt64.self, buffer: 1, index: start + row)
    }

    /// A floating-point number, or an integer or decimal as one.
    package func double(at row: Int) -> Double {
        if isNull(at: row) { return 0 }
        switch type {
        case .float: return Double(unsafe load(Float.self, buffer: 1, index: start + row))
        case .double: return unsafe load(Double.self, buffer: 1, index: start + row)
        case .decimal(_, _, let scale):
            var value = Double(decimal(at: row))
            for _ in 0..<scale { value /= 10 }
            return value
        default: return Double(int64(at: row))
        }
    }

    /// The digits of a decimal, without its point.
    package func decimal(at row: Int) -> Int128 {
        guard case .decimal(let bits, _, _) = type else {
            preconditionFailure("not a decimal column")
        }
        if isNull(at: row) { return 0 }
        let index = start + row
        switch bits {
        case 32: return Int128(unsafe load(Int32.self, buffer: 1, index: index))
        case 64: return Int128(unsafe load(Int64.self, buffer: 1, index: index))
        default:
            // Two halves: the engine aligns decimals to 8 bytes only.
            let low = unsafe load(UInt64.self, buffer: 1, index: index * 2)
            let high = unsafe load(Int64.self, buffer: 1, index: index * 2 + 1)
            return Int128(high) << 64 | Int128(low)
        }
    }

    package func string(at row: Int) -> String {
        guard case .utf8 = type else { preconditionFailure("not a text column") }
        return unsafe String(decoding: run(at: row), as: UTF8.self)
    }

    package func bytes(at row: Int) -> [UInt8] { unsafe Array(run(at: row)) }

    /// Days from 1970-01-01.
    package func date(at row: Int) -> Int32 {
        precondition(type == .date, "not a date column")
        return Int32(truncatingIfNeeded: int64(at: row))
    }

    /// Microseconds from 1970-01-01T00:00:00.
    package func timestampMicroseconds(at row: Int) -> Int64 {
        guard case .timestamp(let perSecond, _) = type else {
            preconditionFailure("not a timestamp column")
        }
        let value = int64(at: row)
        return perSecond <= 1_000_000
            ? value * (1_000_000 / perSecond) : value / (perSecond / 1_000_000)
    }

    /// The elements of a list, or the entries of a map (then each is a structure of key and value).
    package func elements(at row: Int) -> ElementRun {
        ElementRun(column: elementColumn, rows: elementRows(at: row))
    }

    /// Where the elements of the row's list, or the entries of its map, stand in ``elementColumn``.
    package func elementRows(at row: Int) -> Range<Int> {
        if isNull(at: row) { return 0..<0 }
        let index = start + row
        switch type {
        case .list(_, large: true):
            return Int(
                unsafe load(Int64.self, buffer: 1, index: index))..<Int(
                    unsafe load(Int64.self, buffer: 1, index: index + 1))
        case .list, .map:
            return Int(
                unsafe load(Int32.self, buffer: 1, index: index))..<Int(
                    unsafe load(Int32.self, buffer: 1, index: index + 1))
        case .fixedList(_, let count): return index * count..<(index + 1) * count
        default: preconditionFailure("not a list column")
        }
    }

    /// The elements of all rows' lists, or the entries of all maps.
    package var elementColumn: Column {
        let element: ColumnType
        switch type {
        case .list(let type, _), .fixedList(let type, _): element = type
        case .map(let key, let value):
            element = .structure([
                .init(name: "key", type: key), .init(name: "value", type: value),
            ])
        default: preconditionFailure("not a list column")
        }
        return unsafe Column(owner: owner, array: child(0), type: element)
    }

    /// Rows of a child column.
    package struct ElementRun {
        package let column: Column
        package let rows: Range<Int>
    }

    /// One member of a structure, for all rows.
    package func member(_ index: Int) -> Column {
        guard case .structure(let fields) = type else { preconditionFailure("not a structure") }
        return unsafe Column(
            owner: owner, array: child(index), type: fields[index].type, shift: start)
    }

    /// The row's value whatever its type.
    package func value(at row: Int) -> ColumnValue {
        if isNull(at: row) { return .null }
        switch type {
        case .null: return .null
        case .bool: return .bool(bool(at: row))
        case .uint(64): return .uint(unsafe load(UInt64.self, buffer: 1, index: start + row))
        case .int, .uint: return .int(int64(at: row))
        case .float: return .float(unsafe load(Float.self, buffer: 1, index: start + row))
        case .double: return .double(double(at: row))
        case .decimal(_, _, let scale): return .decimal(decimal(at: row), scale: scale)
        case .utf8: return .text(string(at: row))
        case .binary, .fixedBinary: return .bytes(bytes(at: row))
        case .date: return .date(date(at: row))
        case .time(_, let perSecond):
            let value = int64(at: row)
            return .time(
                microseconds: perSecond <= 1_000_000
                    ? value * (1_000_000 / perSecond) : value / (perSecond / 1_000_000))
        case .timestamp(_, let zone):
            return .timestamp(
                microseconds: timestampMicroseconds(at: row), isUTC: !zone.isEmpty)
        case .interval:
            let index = start + row
            return .interval(
                months: unsafe load(Int32.self, buffer: 1, index: index * 4),
                days: unsafe load(Int32.self, buffer: 1, index: index * 4 + 1),
                nanoseconds: unsafe load(Int64.self, buffer: 1, index: index * 2 + 1))
        case .list, .fixedList:
            let run = elements(at: row)
            return .list(run.rows.map { run.column.value(at: $0) })
        case .map:
            let run = elements(at: row)
            let keys = run.column.member(0)
            let values = run.column.member(1)
            return .map(run.rows.map { (keys.value(at: $0), values.value(at: $0)) })
        case .structure(let fields):
            return .structure(
                fields.indices.map { (fields[$0].name, member($0).value(at: row)) })
        case .dictionary:
            let (row, values) = (dictionaryRow(at: row), dictionaryValues)
            return values.value(at: row)
        }
    }

    /// The values that the rows of a dictionary column point at.
    package var dictionaryValues: Column {
        guard case .dictionary(_, _, let values) = type else {
            preconditionFailure("not a dictionary column")
        }
        return unsafe Column(
            owner: owner, array: UnsafePointer(array.pointee.dictionary), type: values)
    }

    /// Which of ``dictionaryValues`` the row points at; the row is not null.
    package func dictionaryRow(at row: Int) -> Int {
        guard case .dictionary(let bits, let signed, _) = type else {
            preconditionFailure("not a dictionary column")
        }
        let index = start + row
        switch (bits, signed) {
        case (8, true): return Int(unsafe load(Int8.self, buffer: 1, index: index))
        case (8, false): return Int(unsafe load(UInt8.self, buffer: 1, index: index))
        case (16, true): return Int(unsafe load(Int16.self, buffer: 1, index: index))
        case (16, false): return Int(unsafe load(UInt16.self, buffer: 1, index: index))
        case (32, true): return Int(unsafe load(Int32.self, buffer: 1, index: index))
        case (32, false): return Int(unsafe load(UInt32.self, buffer: 1, index: index))
        default: return Int(unsafe load(Int64.self, buffer: 1, index: index))
        }
    }

    // MARK: Handing on

    /// Some of the rows, as a column of their own.
    package func slice(_ rows: Range<Int>) -> Column {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= count, "rows outside of the batch")
        var slice = self
        slice.start += rows.lowerBound
        slice.count = rows.count
        return slice
    }

    /// Appends the values of a run of rows as Arrow lays them out, ``ColumnType/slotBytes`` each. What stands where a row is
    /// null is whatever the engine left there.
    package func appendSlots(of rows: Range<Int>, to bytes: inout [UInt8]) {
        let width = slotBytes
        precondition(rows.lowerBound >= 0 && rows.upperBound <= count, "rows outside of the batch")
        guard !rows.isEmpty, let base = unsafe array.pointee.buffers[1] else { return }
        unsafe bytes.append(
            contentsOf: UnsafeRawBufferPointer(
                start: base + (start + rows.lowerBound) * width, count: rows.count * width))
    }

    /// Appends the values of `rows`, and zeros for those below 0.
    package func appendSlots(of rows: [Int], to bytes: inout [UInt8]) {
        let width = slotBytes
        for row in rows {
            if row < 0 {
                bytes.append(contentsOf: repeatElement(0, count: width))
            } else {
                appendSlots(of: row..<row + 1, to: &bytes)
            }
        }
    }

    private var slotBytes: Int {
        guard let width = type.slotBytes else {
            preconditionFailure("not a column of values of one width")
        }
        return width
    }

    /// Appends the bytes of a text or binary row; nothing for a null.
    package func appendBytes(at row: Int, to bytes: inout [UInt8]) {
        unsafe bytes.append(contentsOf: run(at: row))
    }

    @unsafe private func child(_ index: Int) -> UnsafePointer<ArrowArray> {
        unsafe UnsafePointer(array.pointee.children[index]!)
    }

    @unsafe private func load<Value: BitwiseCopyable>(
        _ type: Value.Type, buffer: Int, index: Int
    ) -> Value {
        unsafe array.pointee.buffers[buffer]!.loadUnaligned(
            fromByteOffset: index * MemoryLayout<Value>.stride, as: Value.self)
    }

    /// The bytes of a text or binary row.
    @unsafe private func run(at row: Int) -> UnsafeRawBufferPointer {
        if isNull(at: row) { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        let index = start + row
        let first: Int
        let end: Int
        let data: Int
        switch type {
        case .utf8(large: true), .binary(large: true):
            first = Int(unsafe load(Int64.self, buffer: 1, index: index))
            end = Int(unsafe load(Int64.self, buffer: 1, index: index + 1))
            data = 2
        case .utf8, .binary:
            first = Int(unsafe load(Int32.self, buffer: 1, index: index))
            end = Int(unsafe load(Int32.self, buffer: 1, index: index + 1))
            data = 2
        case .fixedBinary(let width):
            first = index * width
            end = first + width
            data = 1
        default: preconditionFailure("not a text or binary column")
        }
        guard end > first, let base = unsafe array.pointee.buffers[data] else {
            return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return unsafe UnsafeRawBufferPointer(start: base + first, count: end - first)
    }
}
