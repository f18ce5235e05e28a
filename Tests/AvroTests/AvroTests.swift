import Avro
import Bytes
import TestSupport
import Testing

@Suite struct `Avro encoding` {
    @Test(
        arguments: [
            (0, [0x00]), (-1, [0x01]), (1, [0x02]), (-2, [0x03]), (2, [0x04]), (-64, [0x7F]),
            (64, [0x80, 0x01]),
        ] as [(Int64, [UInt8])])
    func `integers encode as in the specification's table`(_ value: Int64, _ expected: [UInt8])
        throws
    {
        var bytes: [UInt8] = []
        bytes.append(avroLong: value)
        #expect(bytes == expected)
        var reader = ByteReader(bytes)
        #expect(try reader.avroLong() == value)
    }

    @Test func `the record of the specification's example has its bytes`() {
        let schema = AvroSchema.record(
            .init(name: "test", fields: [.init("a", .long), .init("b", .string)]))
        var bytes: [UInt8] = []
        AvroValue.record([.long(27), .string("foo")]).encode(as: schema, to: &bytes)
        #expect(bytes == [0x36, 0x06, 0x66, 0x6F, 0x6F])
    }

    @Test func `the array of the specification's example has its bytes`() {
        var bytes: [UInt8] = []
        AvroValue.array([.long(3), .long(27)]).encode(as: .array(.long), to: &bytes)
        #expect(bytes == [0x04, 0x06, 0x36, 0x00])
    }

    @Test func `an array whose blocks carry their size is read`() throws {
        var bytes: [UInt8] = []
        bytes.append(avroLong: -2)
        bytes.append(avroLong: 2)
        bytes += [0x06, 0x36, 0x00]
        var reader = ByteReader(bytes)
        #expect(
            try AvroValue(decoding: &reader, as: .array(.long)) == .array([.long(3), .long(27)]))
    }

    @Test func `an integer of more than ten bytes is refused`() {
        var reader = ByteReader([UInt8](repeating: 0xFF, count: 11))
        #expect(throws: ByteReader.Malformed.self) { try reader.avroLong() }
    }

    @Test func `an array that claims endless nulls is refused`() {
        var bytes: [UInt8] = []
        bytes.append(avroLong: Int64.max)
        var reader = ByteReader(bytes)
        #expect(throws: ByteReader.Malformed.self) {
            try AvroValue(decoding: &reader, as: .array(.primitive(.null)))
        }
    }
}

@Suite struct `Avro container files` {
    @Test func `any schema and its records come back as they were written`() throws {
        var generator = Generator()
        for _ in 0..<200 {
            let schema = AvroSchema.record(Self.record(&generator, depth: 0, serial: 0))
            let records = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
                Self.value(schema, &generator)
            }
            let file = AvroFile(
                schema: schema, metadata: ["key": generator.bytes(count: 9)], records: records)
            let sync = UInt128.random(in: .min ... .max, using: &generator)
            let back = try AvroFile(decoding: file.encoded(sync: sync))
            #expect(back == file, "seed \(generator.seed)")
        }
    }

    @Test func `many blocks come back in order`() throws {
        let records = (0..<20_000).map { AvroValue.record([.string("value number \($0)")]) }
        let schema = AvroSchema.record(.init(name: "r", fields: [.init("text", .string)]))
        let file = AvroFile(schema: schema, metadata: [:], records: records)
        #expect(try AvroFile(decoding: file.encoded(sync: 7)) == file)
    }

    @Test func `no damage crashes the reader`() throws {
        var generator = Generator()
        let schema = AvroSchema.record(Self.record(&generator, depth: 0, serial: 0))
        let whole = AvroFile(
            schema: schema, metadata: [:],
            records: (0..<3).map { _ in Self.value(schema, &generator) }
        ).encoded(sync: 1)
        for _ in 0..<400 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = .random(
                    in: .min ... .max, using: &generator)
            }
            // Damage inside a value may still decode; what matters is that an answer comes.
            _ = try? AvroFile(decoding: bytes)
        }
        for count in stride(from: 0, to: whole.count - 1, by: 7) {
            #expect(throws: AvroError.self) {
                let cut = Array(whole[..<count])
                let file = try AvroFile(decoding: cut)
                // Only a cut between blocks leaves a whole file, with fewer records.
                if file.records.count < 3 { throw AvroError.malformed(offset: count) }
            }
        }
    }

    @Test func `another codec is named in the error`() {
        var bytes = Array("Obj".utf8) + [1]
        AvroValue.map([
            .init(key: "avro.codec", value: .bytes(Array("deflate".utf8))),
            .init(key: "avro.schema", value: .bytes(Array("\"long\"".utf8))),
        ]).encode(as: .map(.bytes), to: &bytes)
        #expect(throws: AvroError.unsupportedCodec("deflate")) { try AvroFile(decoding: bytes) }
    }

    @Test(arguments: [
        "{", "17", "\"text\"", "{\"type\":\"array\"}", "{\"type\":\"record\",\"name\":\"r\"}",
        "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"r\"}]}",
    ])
    func `a text that is no schema is refused`(_ text: String) {
        #expect(throws: AvroError.self) { try AvroSchema(parsing: text) }
    }

    @Test func `a name that stands for an earlier type is resolved`() throws {
        let text = """
            {"type":"record","name":"r","fields":[
              {"name":"a","type":{"type":"fixed","name":"f","size":2}},{"name":"b","type":"f"}]}
            """
        let fixed = AvroSchema.fixed(name: "f", size: 2)
        let schema = AvroSchema.record(
            .init(name: "r", fields: [.init("a", fixed), .init("b", fixed)]))
        #expect(try AvroSchema(parsing: text) == schema)
        #expect(try AvroSchema(parsing: schema.text) == schema)
    }

    private static func record(
        _ generator: inout Generator, depth: Int, serial: Int
    ) -> AvroSchema.Record {
        let count = Int.random(in: 1...6, using: &generator)
        return AvroSchema.Record(
            name: "record_\(depth)_\(serial)",
            fields: (0..<count).map { index in
                .init(
                    "field\(index)",
                    schema(&generator, depth: depth + 1, serial: serial * 10 + index),
                    id: generator.chance(0.5) ? index + 1 : nil)
            })
    }

    private static func schema(_ generator: inout Generator, depth: Int, serial: Int) -> AvroSchema
    {
        switch Int.random(in: 0...(depth > 3 ? 2 : 7), using: &generator) {
        case 0, 1: .primitive(AvroSchema.Primitive.allCases.randomElement(using: &generator)!)
        case 2:
            .fixed(
                name: "fixed_\(depth)_\(serial)", size: Int.random(in: 0...20, using: &generator))
        case 3:
            .array(
                schema(&generator, depth: depth + 1, serial: serial * 10), elementID: 12,
                logicalType: "map")
        case 4: .map(schema(&generator, depth: depth + 1, serial: serial * 10))
        case 5: .optional(.string)
        case 6: .record(record(&generator, depth: depth + 1, serial: serial * 10))
        default: .enumeration(name: "enum_\(depth)_\(serial)", symbols: ["A", "B", "C"])
        }
    }

    private static func value(_ schema: AvroSchema, _ generator: inout Generator) -> AvroValue {
        switch schema {
        case .primitive(.null, _): .null
        case .primitive(.boolean, _): .boolean(generator.chance(0.5))
        case .primitive(.int, _): .int(.random(in: .min ... .max, using: &generator))
        case .primitive(.long, _): .long(.random(in: .min ... .max, using: &generator))
        case .primitive(.float, _): .float(.random(in: -1...1, using: &generator))
        case .primitive(.double, _): .double(.random(in: -1...1, using: &generator))
        case .primitive(.bytes, _):
            .bytes(generator.bytes(count: .random(in: 0...9, using: &generator)))
        case .primitive(.string, _): .string("é\(UInt32.random(in: 0...9, using: &generator))")
        case .fixed(_, let size, _): .bytes(generator.bytes(count: size))
        case .enumeration(_, let symbols):
            .enumeration(.random(in: symbols.indices, using: &generator))
        case .array(let items, _, _):
            .array(
                (0..<Int.random(in: 0...4, using: &generator)).map { _ in value(items, &generator) }
            )
        case .map(let items):
            .map(
                (0..<Int.random(in: 0...4, using: &generator)).map {
                    .init(key: "k\($0)", value: value(items, &generator))
                })
        case .union(let branches):
            Self.union(branches, &generator)
        case .record(let record): .record(record.fields.map { value($0.schema, &generator) })
        }
    }

    private static func union(_ branches: [AvroSchema], _ generator: inout Generator) -> AvroValue {
        let index = Int.random(in: branches.indices, using: &generator)
        return .union(index, value(branches[index], &generator))
    }
}
