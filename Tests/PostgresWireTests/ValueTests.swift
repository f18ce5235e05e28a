import PostgresWire
import TestSupport
import Testing

@Suite struct `Values of PostgreSQL` {
    /// A value in both forms, as a server of PostgreSQL 15 sent them.
    struct Known: CustomTestStringConvertible {
        let type: PostgresType
        let text: String
        let hex: String
        var testDescription: String { "\(type.name) \(text)" }
    }

    static let known = [
        Known(type: .bool, text: "t", hex: "01"),
        Known(type: .int2, text: "-2", hex: "fffe"),
        Known(type: .int4, text: "258", hex: "00000102"),
        Known(type: .int8, text: "-9223372036854775808", hex: "8000000000000000"),
        Known(type: .float4, text: "1.5", hex: "3fc00000"),
        Known(type: .float8, text: "-Infinity", hex: "fff0000000000000"),
        Known(type: .text, text: "é", hex: "c3a9"),
        Known(type: .bytea, text: "\\x00ff", hex: "00ff"),
        Known(
            type: .uuid, text: "019a0000-0000-7000-8000-000000000001",
            hex: "019a0000000070008000000000000001"),
        Known(type: .date, text: "2000-01-01", hex: "00000000"),
        Known(type: .date, text: "1999-12-31", hex: "ffffffff"),
        Known(type: .date, text: "0044-03-15 BC", hex: "fff49d7b"),
        Known(type: .date, text: "infinity", hex: "7fffffff"),
        Known(type: .timestamptz, text: "2000-01-01 00:00:01.5+00", hex: "000000000016e360"),
        Known(type: .timestamp, text: "1999-12-31 23:59:59", hex: "fffffffffff0bdc0"),
        Known(type: .timestamp, text: "-infinity", hex: "8000000000000000"),
        Known(type: .time, text: "12:00:00", hex: "0000000a0eebb000"),
        Known(
            type: .interval, text: "1 year 2 mons 3 days 04:05:06",
            hex: "000000036c8bc080000000030000000e"),
        Known(type: .interval, text: "-00:00:01", hex: "fffffffffff0bdc00000000000000000"),
        Known(type: .numeric, text: "12345.678", hex: "0003000100000003000109291a7c"),
        Known(type: .numeric, text: "-0.0001", hex: "0001ffff400000040001"),
        Known(type: .numeric, text: "0", hex: "0000000000000000"),
        Known(type: .numeric, text: "0.00", hex: "0000000000000002"),
        Known(type: .numeric, text: "100000000", hex: "00010002000000000001"),
        Known(type: .numeric, text: "NaN", hex: "00000000c0000000"),
        Known(type: .jsonb, text: "{}", hex: "017b7d"),
        Known(
            type: PostgresType.text.list!, text: "{a,NULL,\"b c\"}",
            hex: "000000010000000100000019000000030000000100000001"
                + "61ffffffff00000003622063"),
        Known(type: PostgresType.int4.list!, text: "{}", hex: "000000000000000000000017"),
    ]

    @Test(arguments: known) func `have a binary form, and the text form back from it`(
        _ known: Known
    ) throws {
        let bytes = try PostgresBinary.bytes(known.text, known.type)
        #expect(
            bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
                == known.hex)
        #expect(try PostgresBinary.text(bytes, known.type) == known.text)
    }

    @Test func `come back the same whatever they are`() throws {
        var random = Generator()
        for _ in 0..<500 {
            let days = Int32.random(in: -700_000...3_000_000, using: &random)
            let moment = Int64.random(
                in: -60_000_000_000_000_000...250_000_000_000_000_000, using: &random)
            let digits = String(Int64.random(in: .min ... .max, using: &random))
            let scale = Int.random(in: 1...12, using: &random)
            let padded = String(repeating: "7", count: scale)
            let pairs: [(String, PostgresType)] = [
                (PostgresText.date(days), .date),
                (PostgresText.timestamp(moment, isUTC: true), .timestamptz),
                (PostgresText.timestamp(moment, isUTC: false), .timestamp),
                (digits, .int8), (digits + "." + padded, .numeric),
                (
                    PostgresText.interval(
                        months: days % 1000, days: days, microseconds: moment / 1000), .interval
                ),
                (PostgresText.double(Double(moment) / 7), .float8),
            ]
            for (text, type) in pairs {
                let back = try PostgresBinary.text(PostgresBinary.bytes(text, type), type)
                #expect(back == text, "seed \(random.seed): \(type.name)")
            }
        }
    }

    @Test func `know one zero`() throws {
        #expect(try PostgresBinary.text([0, 0, 0, 0, 0x40, 0, 0, 0], .numeric) == "0")
    }

    @Test func `that are none are refused`() {
        let broken: [(PostgresType, [UInt8])] = [
            (.int4, [1]), (.uuid, [1]), (.bool, []), (.jsonb, [2]), (.text, [0xFF]),
            (.text, [0x61, 0]), (.numeric, [0]), (.numeric, [0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]),
            (.timestamp, [0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0]),
            (.timestamp, [0x80, 0, 0, 0, 0, 0, 0, 1]), (.date, [0x80, 0, 0, 1]),
            (.date, [0x7F, 0xFF, 0xFF, 0xFE]), (.interval, [0x80] + Array(repeating: 0, count: 15)),
            (PostgresType.int4.list!, [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 23]),
            (PostgresType.int4.list!, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25]),
        ]
        for (type, bytes) in broken {
            #expect(throws: PostgresBinary.Malformed.self, "\(type.name) \(bytes)") {
                try PostgresBinary.text(bytes, type)
            }
        }
        for (type, text) in [
            (PostgresType.int2, "40000"), (.date, "tomorrow"), (.numeric, "1e5"), (.uuid, "x"),
            (.timestamptz, "2000-01-01"), (.bytea, "ff"), (.interval, "1 fortnight"),
        ] {
            #expect(throws: PostgresBinary.Malformed.self, "\(type.name) \(text)") {
                try PostgresBinary.bytes(text, type)
            }
        }
    }

    @Test func `in lists stand in quotes where they would not stand for themselves`() {
        let members: [String?] = ["plain", "", "null", nil, "a,b", "{", #"q"\"#, "x y"]
        let text = PostgresText.list(members)
        #expect(text == #"{plain,"","null",NULL,"a,b","{","q\"\\","x y"}"#)
        #expect(PostgresText.members(ofList: text) == members)
        for broken in ["", "{", "a", "{a,}", "{{1},{2}}", #"{"a"#, #"{a"b}"#] {
            #expect(PostgresText.members(ofList: broken) == nil, "\(broken)")
        }
    }

    @Test func `are shown as the server of PostgreSQL shows them`() {
        #expect(PostgresText.double(1) == "1")
        #expect(PostgresText.double(0.1) == "0.1")
        #expect(PostgresText.double(.nan) == "NaN")
        #expect(PostgresText.float(.infinity) == "Infinity")
        #expect(PostgresText.time(45_296_000_000) == "12:34:56")
        #expect(PostgresText.interval(months: 0, days: 0, microseconds: 0) == "00:00:00")
        #expect(
            PostgresText.interval(months: -13, days: 1, microseconds: -500_000)
                == "-1 years -1 mons 1 day -00:00:00.5")
    }

    @Test func `have types whose lists know their members`() throws {
        let numbers = PostgresType.all.map(\.oid)
        #expect(Set(numbers).count == numbers.count && numbers == numbers.sorted())
        for type in PostgresType.all where type.arrayOID != 0 {
            #expect(try #require(type.list).element == type)
        }
        #expect(PostgresType.numbered(1009)?.name == "_text")
        #expect(PostgresType.numbered(4_000_000) == nil)
    }
}
