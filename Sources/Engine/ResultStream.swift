internal import CADBC
internal import Glibc

/// The rows of a statement, batch by batch.
package final class ResultStream {
    /// Name and type of each column.
    package let fields: [ColumnType.Field]
    private let stream: ArrowStream
    /// Keeps the statement until the rows have been read.
    private let statement: EngineStatement

    init(_ stream: ArrowStream, of statement: EngineStatement) throws(EngineError) {
        self.stream = stream
        self.statement = statement
        fields = try stream.fields()
    }

    /// The next rows, or nil at the end.
    package func next() throws(EngineError) -> ColumnBatch? {
        guard let array = try stream.next() else { return nil }
        return ColumnBatch(array, fields: fields)
    }

    /// All rows there are, for small results: one array of texts a row, nil where null.
    package func rows() throws(EngineError) -> [[String?]] {
        var rows: [[String?]] = []
        while let batch = try next() {
            for row in 0..<batch.rowCount {
                rows.append(batch.columns.map { $0.isNull(at: row) ? nil : $0.value(at: row).text })
            }
        }
        return rows
    }
}

/// A run of rows, column by column. Its columns keep it alive.
package struct ColumnBatch {
    package let rowCount: Int
    package let columns: [Column]

    init(_ array: ArrowArrayOwner, fields: [ColumnType.Field]) {
        let root = unsafe array.pointer
        rowCount = Int(unsafe root.pointee.length)
        columns = fields.indices.map { index in
            // SAFETY: the stream's schema is a structure of these fields, so each array has as many children, and they
            // live as long as the owner does.
            unsafe Column(
                owner: array, array: root.pointee.children[index]!, type: fields[index].type,
                shift: Int(root.pointee.offset))
        }
    }

    private init(rowCount: Int, columns: [Column]) {
        self.rowCount = rowCount
        self.columns = columns
    }

    /// Some of the rows.
    package func slice(_ rows: Range<Int>) -> ColumnBatch {
        ColumnBatch(rowCount: rows.count, columns: columns.map { $0.slice(rows) })
    }
}

/// Owns an `ArrowArrayStream` and releases it.
@safe final class ArrowStream {
    let pointer: UnsafeMutablePointer<ArrowArrayStream>

    init() {
        unsafe pointer = .allocate(capacity: 1)
        unsafe pointer.initialize(to: ArrowArrayStream())
    }

    deinit {
        unsafe pointer.pointee.release?(pointer)
        unsafe pointer.deallocate()
    }

    func fields() throws(EngineError) -> [ColumnType.Field] {
        guard let getSchema = unsafe pointer.pointee.get_schema else { return [] }
        var schema = unsafe ArrowSchema()
        guard unsafe getSchema(pointer, &schema) == 0 else { throw unsafe lastError() }
        defer { unsafe schema.release?(&schema) }
        var fields: [ColumnType.Field] = []
        for index in 0..<Int(unsafe schema.n_children) {
            guard let child = unsafe schema.children[index] else { continue }
            let name = unsafe child.pointee.name.map { unsafe String(cString: $0) } ?? ""
            guard let type = unsafe ColumnType(child) else {
                throw EngineError(
                    .unreadableResult, "read a result",
                    engineText: "result column \(index + 1) has a type that cannot be returned")
            }
            fields.append(.init(name: name, type: type))
        }
        return fields
    }

    func next() throws(EngineError) -> ArrowArrayOwner? {
        guard let getNext = unsafe pointer.pointee.get_next else { return nil }
        let array = ArrowArrayOwner()
        guard unsafe getNext(pointer, array.pointer) == 0 else { throw unsafe lastError() }
        return unsafe array.pointer.pointee.release == nil ? nil : array
    }

    @unsafe private func lastError() -> EngineError {
        let text = unsafe pointer.pointee.get_last_error?(pointer)
        return EngineError(
            operation: "read a result",
            engineText: unsafe text.map { unsafe String(cString: $0) } ?? "")
    }
}

/// Owns an `ArrowArray` that the engine filled, and releases it.
@safe final class ArrowArrayOwner {
    let pointer: UnsafeMutablePointer<ArrowArray>

    init() {
        unsafe pointer = .allocate(capacity: 1)
        unsafe pointer.initialize(to: ArrowArray())
    }

    deinit {
        unsafe pointer.pointee.release?(pointer)
        unsafe pointer.deallocate()
    }
}
