import Bytes

/// An object container file: a schema, metadata, and records in blocks.
///
/// ```
/// file  := "Obj" 0x01 metadata:map<bytes> sync:16 bytes block*
/// block := count:long size:long records sync
/// ```
package struct AvroFile: Equatable, Sendable {
    package var schema: AvroSchema
    /// Key-value metadata other than `avro.schema` and `avro.codec`.
    package var metadata: [String: [UInt8]]
    package var records: [AvroValue]

    private static let magic: [UInt8] = Array("Obj".utf8) + [1]
    private static let syncBytes = 16
    /// A block is closed once it has this many bytes, so that a reader holds little at a time.
    private static let blockBytesMin = 64 * 1024

    package init(schema: AvroSchema, metadata: [String: [UInt8]], records: [AvroValue]) {
        self.schema = schema
        self.metadata = metadata
        self.records = records
    }

    /// The file's bytes, not compressed.
    ///
    /// - Parameter sync: 16 bytes, drawn at random, that separate the blocks.
    package func encoded(sync: UInt128) -> [UInt8] {
        var marker: [UInt8] = []
        marker.append(bigEndian: sync)
        var output = Self.magic
        var entries = metadata
        entries["avro.schema"] = Array(schema.text.utf8)
        entries["avro.codec"] = Array("null".utf8)
        AvroValue.map(
            entries.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: .bytes($0.value)) }
        ).encode(as: .map(.bytes), to: &output)
        output += marker
        var block: [UInt8] = []
        var count = 0
        for (index, record) in records.enumerated() {
            record.encode(as: schema, to: &block)
            count += 1
            guard block.count >= Self.blockBytesMin || index == records.count - 1 else { continue }
            output.append(avroLong: Int64(count))
            output.append(avroLong: Int64(block.count))
            output += block
            output += marker
            block.removeAll(keepingCapacity: true)
            count = 0
        }
        return output
    }

    /// Reads a whole file.
    ///
    /// - Parameter inflate: unpacks a block of the codec `deflate` (RFC 1951); without it such a file is refused.
    package init(
        decoding bytes: [UInt8], inflate: (([UInt8]) throws -> [UInt8])? = nil
    ) throws(AvroError) {
        var reader = ByteReader(bytes)
        do {
            try self.init(reading: &reader, inflate)
        } catch let error as ByteReader.Malformed {
            throw AvroError.malformed(offset: error.offset)
        } catch let error as AvroError {
            throw error
        } catch {
            throw AvroError.malformed(offset: reader.malformed.offset)
        }
    }

    private init(
        reading reader: inout ByteReader, _ inflate: (([UInt8]) throws -> [UInt8])?
    ) throws {
        guard reader.remainingCount >= 4, try reader.take(4).elementsEqual(Self.magic) else {
            throw AvroError.notAContainer
        }
        guard case .map(let entries) = try AvroValue(decoding: &reader, as: .map(.bytes)) else {
            throw AvroError.notAContainer
        }
        metadata = [:]
        for entry in entries {
            if case .bytes(let value) = entry.value { metadata[entry.key] = value }
        }
        let codec = metadata.removeValue(forKey: "avro.codec").map {
            String(decoding: $0, as: UTF8.self)
        }
        var unpack: (([UInt8]) throws -> [UInt8])?
        if let codec, codec != "null" {
            guard codec == "deflate", let inflate else { throw AvroError.unsupportedCodec(codec) }
            unpack = inflate
        }
        guard let text = metadata.removeValue(forKey: "avro.schema") else {
            throw AvroError.schema("the file has none")
        }
        schema = try AvroSchema(parsing: String(decoding: text, as: UTF8.self))
        let marker = try reader.take(Self.syncBytes)
        records = []
        while !reader.isAtEnd {
            let count = try reader.avroCount()
            let size = try reader.avroCount()
            var block = ByteReader(try reader.take(size))
            if let unpack { block = ByteReader(try unpack(Array(block.bytes))) }
            guard count <= max(block.bytes.count, Avro.emptyElementsMax) else {
                throw reader.malformed
            }
            for _ in 0..<count {
                do {
                    records.append(try AvroValue(decoding: &block, as: schema))
                } catch {
                    throw ByteReader.Malformed(
                        offset: reader.malformed.offset - size + error.offset)
                }
            }
            guard block.isAtEnd, try reader.take(Self.syncBytes) == marker else {
                throw reader.malformed
            }
        }
    }
}

extension AvroSchema.Record {
    /// Where the field with Iceberg's `id` stands, if the record has one.
    package func index(ofFieldID id: Int) -> Int? { fields.firstIndex { $0.id == id } }
}
