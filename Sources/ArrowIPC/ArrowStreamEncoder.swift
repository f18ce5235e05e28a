internal import Bytes
package import Engine

/// Encodes the rows of one result: the schema once, then each batch.
package struct ArrowStreamEncoder: Sendable {
    /// A column of one value, before those of the result.
    package struct Constant: Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The first message of the stream.
    package let schema: [UInt8]
    private let leading: Constant?

    /// What ends a stream; without it a reader knows that something is missing.
    package static let end: [UInt8] = ArrowIPC.continuation + [0, 0, 0, 0]

    package init(fields: [ColumnType.Field], leading: Constant? = nil) {
        self.leading = leading
        let first = leading.map { [ColumnType.Field(name: $0.name, type: .utf8(large: false))] }
        schema = Self.message(
            .schema, .schema((first ?? []) + fields), body: [])
    }

    /// The message of a batch.
    ///
    /// - Parameter bytesMax: most bytes of its buffers.
    package func message(
        _ batch: ColumnBatch, bytesMax: Int = Int(Int32.max)
    ) throws(ArrowIPCError) -> [UInt8] {
        var body = BatchBody(bytesMax: bytesMax)
        if let leading { try body.append(leading.value, rowCount: batch.rowCount) }
        let rows = Array(0..<batch.rowCount)
        for column in batch.columns { try body.append(column, rows) }
        return Self.message(
            .recordBatch,
            .recordBatch(rows: batch.rowCount, nodes: body.nodes, buffers: body.buffers),
            body: body.bytes)
    }

    /// An encapsulated message: the continuation, the length of the metadata with its padding, the metadata, the body.
    private static func message(
        _ header: FlatValue.Header, _ table: FlatValue, body: [UInt8]
    ) -> [UInt8] {
        var metadata = FlatBuffer.encode(.message(header, table, bodyBytes: body.count))
        let frameBytes = ArrowIPC.continuation.count + 4
        while (frameBytes + metadata.count) % ArrowIPC.alignment != 0 { metadata.append(0) }
        var bytes = ArrowIPC.continuation
        bytes.reserveCapacity(frameBytes + metadata.count + body.count)
        bytes.append(littleEndian: Int32(metadata.count))
        return bytes + metadata + body
    }
}

/// A stream whose batches are known: those of several streams of one schema follow one another.
package struct ArrowStreamParts: Equatable, Sendable {
    /// The message that stands first.
    package var schema: [UInt8]
    /// The messages of the batches, one after another.
    package var batches: [UInt8]

    package init(schema: [UInt8], batches: [UInt8]) {
        self.schema = schema
        self.batches = batches
    }

    /// The whole stream.
    package var bytes: [UInt8] { schema + batches + ArrowStreamEncoder.end }
}
