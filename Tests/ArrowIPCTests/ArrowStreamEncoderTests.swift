import Engine
import Foundation
import TestSupport
import Testing

@testable import ArrowIPC

/// An array that the engine does not give, and the JSON of its rows.
struct ForeignArray: CustomTestStringConvertible, Sendable {
    let name: String
    let type: ColumnType
    let make: @Sendable () -> HandMadeArray
    let rows: [String]
    var testDescription: String { name }

    private static func text(_ parts: [String]) -> [UInt8] { parts.flatMap { Array($0.utf8) } }

    static let all: [ForeignArray] = [
        .init(
            name: "numbers behind an offset", type: .int(32),
            make: {
                HandMadeArray(
                    length: 9, offset: 5, valid: (0..<14).map { $0 % 3 != 0 },
                    [HandMadeArray.slots((0..<14).map { Int32($0) })])
            }, rows: ["5", "null", "7", "8", "null", "10", "11", "null", "13"]),
        .init(
            name: "booleans behind an offset", type: .bool,
            make: { HandMadeArray(length: 7, offset: 3, [[0b1010_1000, 0b10]]) },
            rows: ["true", "false", "true", "false", "true", "false", "true"]),
        .init(
            name: "large texts behind an offset", type: .utf8(large: true),
            make: {
                HandMadeArray(
                    length: 2, offset: 1,
                    [HandMadeArray.slots([0, 3, 3, 8] as [Int64]), text(["one", "three"])])
            }, rows: ["\"\"", "\"three\""]),
        .init(
            name: "large bytes", type: .binary(large: true),
            make: {
                HandMadeArray(
                    length: 2, [HandMadeArray.slots([0, 1, 3] as [Int64]), [0xAB, 0x00, 0x01]])
            }, rows: ["\"ab\"", "\"0001\""]),
        .init(
            name: "bytes of one length", type: .fixedBinary(3),
            make: { HandMadeArray(length: 2, valid: [true, false], [[1, 2, 3, 4, 5, 6]]) },
            rows: ["\"010203\"", "null"]),
        .init(
            name: "small decimals", type: .decimal(bits: 32, precision: 9, scale: 2),
            make: { HandMadeArray(length: 2, [HandMadeArray.slots([-5, 12345] as [Int32])]) },
            rows: ["-0.05", "123.45"]),
        .init(
            name: "decimals of 64 bits", type: .decimal(bits: 64, precision: 18, scale: 0),
            make: {
                HandMadeArray(length: 1, [HandMadeArray.slots([-123_456_789_012] as [Int64])])
            },
            rows: ["-123456789012"]),
        .init(
            name: "seconds of a day", type: .time(bits: 32, perSecond: 1),
            make: { HandMadeArray(length: 1, [HandMadeArray.slots([86_399] as [Int32])]) },
            rows: ["\"23:59:59\""]),
        .init(
            name: "milliseconds of a day", type: .time(bits: 32, perSecond: 1000),
            make: { HandMadeArray(length: 1, [HandMadeArray.slots([1500] as [Int32])]) },
            rows: ["\"00:00:01.500000\""]),
        .init(
            name: "large lists behind an offset",
            type: .list(.int(8), large: true),
            make: {
                HandMadeArray(
                    length: 3, offset: 1, valid: [true, true, false, true],
                    [HandMadeArray.slots([0, 2, 3, 5, 6] as [Int64])],
                    children: [HandMadeArray(length: 6, offset: 1, [[9, 0, 1, 2, 3, 4, 5]])])
            }, rows: ["[2]", "null", "[5]"]),
        .init(
            name: "lists of one length behind an offset", type: .fixedList(.uint(8), count: 2),
            make: {
                HandMadeArray(
                    length: 2, offset: 1, valid: [true, false, true], [],
                    children: [HandMadeArray(length: 6, [[0, 1, 2, 3, 4, 5]])])
            }, rows: ["null", "[4,5]"]),
        .init(
            name: "structures behind an offset",
            type: .structure([.init(name: "a", type: .int(16)), .init(name: "b", type: .null)]),
            make: {
                HandMadeArray(
                    length: 2, offset: 2, valid: [true, true, false, true], [],
                    children: [
                        HandMadeArray(length: 4, [HandMadeArray.slots([1, 2, 3, 4] as [Int16])]),
                        HandMadeArray(length: 4, []),
                    ])
            }, rows: ["null", #"{"a":4,"b":null}"#]),
        .init(
            name: "a dictionary with nulls in both",
            type: .dictionary(
                index: 8, signed: false, .utf8(large: false)),
            make: {
                HandMadeArray(
                    length: 4, valid: [true, false, true, true], [[2, 0, 1, 0]],
                    dictionary: HandMadeArray(
                        length: 3, valid: [true, false, true],
                        [HandMadeArray.slots([0, 1, 1, 3] as [Int32]), text(["a", "cc"])]))
            }, rows: ["\"cc\"", "null", "null", "\"a\""]),
    ]
}

@Suite struct `Arrow messages` {
    private func bytes(
        _ batch: ColumnBatch, _ type: ColumnType, leading: ArrowStreamEncoder.Constant? = nil
    ) throws -> [UInt8] {
        let encoder = ArrowStreamEncoder(fields: [.init(name: "v", type: type)], leading: leading)
        return ArrowStreamParts(schema: encoder.schema, batches: try encoder.message(batch)).bytes
    }

    @Test(.enabled(if: ArrowReader.isInstalled, "run scripts/setup --tests"))
    func `hold what the engine does not give, by types and offsets`() throws {
        let folder = try TemporaryDirectory()
        var pairs: [(String, String)] = []
        for (number, foreign) in ForeignArray.all.enumerated() {
            let pair = (folder.file("\(number).arrows"), folder.file("\(number).ndjson"))
            let stream = try bytes(foreign.make().batch(foreign.type), foreign.type)
            try Data(stream).write(to: URL(fileURLWithPath: pair.0))
            try foreign.rows.map { "{\"v\":\($0)}\n" }.joined().write(
                toFile: pair.1, atomically: false, encoding: .utf8)
            pairs.append(pair)
        }
        let constant = (folder.file("leading.arrows"), folder.file("leading.ndjson"))
        let numbers = HandMadeArray(length: 2, [[1, 2]]).batch(.int(8))
        try Data(bytes(numbers, .int(8), leading: .init(name: "region", value: "eu-central")))
            .write(to: URL(fileURLWithPath: constant.0))
        try #"{"region":"eu-central","v":1}"#.appending("\n")
            .appending(#"{"region":"eu-central","v":2}"#).write(
                toFile: constant.1, atomically: false, encoding: .utf8)
        #expect(try ArrowReader.problems(of: pairs + [constant]) == "")
    }

    @Test(arguments: ForeignArray.all)
    func `are read by our own columns as the test says`(_ foreign: ForeignArray) {
        let batch = foreign.make().batch(foreign.type)
        #expect((0..<batch.rowCount).map { batch.columns[0].value(at: $0).json } == foreign.rows)
    }

    @Test func `begin with the continuation, at multiples of 64 bytes, and end with no length`()
        throws
    {
        let stream = try bytes(HandMadeArray(length: 3, [[1, 2, 3]]).batch(.int(8)), .int(8))
        var position = 0
        var lengths: [Int] = []
        while position < stream.count {
            #expect(position % 64 == 0)
            #expect(Array(stream[position..<position + 4]) == ArrowIPC.continuation)
            let length = stream[position + 4..<position + 8].reversed().reduce(0) {
                $0 << 8 | Int($1)
            }
            lengths.append(length)
            #expect(length == 0 || (length + 8) % 64 == 0)
            // Only the second message has a body: no validity, and three bytes in a buffer of their own.
            position += 8 + length + (lengths.count == 2 ? 64 : 0)
        }
        #expect(position == stream.count && lengths.count == 3 && lengths.last == 0)
    }

    @Test func `have nothing of what stands under a null, or outside of the rows`() throws {
        let secret = Array("s3cret-s3cret-s3".utf8)
        let number = secret.prefix(8).reversed().reduce(Int64(0)) { $0 << 8 | Int64($1) }
        func holds(_ array: HandMadeArray, _ type: ColumnType, rows: Range<Int>) throws -> Bool {
            let stream = try bytes(array.batch(type).slice(rows), type)
            return stream.indices.contains { stream[$0...].starts(with: secret.prefix(8)) }
        }
        let hidden = [true, false, true, true]
        let numbers = HandMadeArray(
            length: 4, valid: hidden, [HandMadeArray.slots([1, number, 3, number])])
        let texts = HandMadeArray(
            length: 4, valid: hidden,
            [HandMadeArray.slots([0, 0, 16, 16, 32] as [Int32]), secret + secret])
        let plain = HandMadeArray(length: 4, [HandMadeArray.slots([1, number, 3, number])])
        let structures = HandMadeArray(length: 4, valid: hidden, [], children: [plain])
        let lists = HandMadeArray(
            length: 4, valid: hidden, [HandMadeArray.slots([0, 1, 2, 3, 4] as [Int32])],
            children: [plain])
        let fixedLists = HandMadeArray(length: 4, valid: hidden, [], children: [plain])
        let cases: [(HandMadeArray, ColumnType)] = [
            (numbers, .int(64)), (texts, .utf8(large: false)),
            (structures, .structure([.init(name: "a", type: .int(64))])),
            (lists, .list(.int(64), large: false)), (fixedLists, .fixedList(.int(64), count: 1)),
        ]
        for (array, type) in cases {
            #expect(try !holds(array, type, rows: 0..<3), "\(type)")
            // Where it may be seen it is found, so the search is one.
            #expect(try holds(array, type, rows: 2..<4), "\(type)")
        }
    }

    @Test func `beyond their bound are refused, however they grow`() throws {
        let long = HandMadeArray(
            length: 2,
            [HandMadeArray.slots([0, 400, 800] as [Int32]), Array(repeating: 65, count: 800)]
        ).batch(.utf8(large: false))
        let encoder = ArrowStreamEncoder(fields: [.init(name: "v", type: .utf8(large: false))])
        #expect(throws: ArrowIPCError.tooLarge) { try encoder.message(long, bytesMax: 700) }
        // Offsets take 64 bytes with their padding, texts 832.
        #expect(throws: ArrowIPCError.tooLarge) { try encoder.message(long, bytesMax: 895) }
        #expect(try encoder.message(long, bytesMax: 896).count % 64 == 0)
        // A dictionary's text may be said often.
        let dictionary = HandMadeArray(
            length: 50, [Array(repeating: 0, count: 50)],
            dictionary: HandMadeArray(
                length: 1,
                [HandMadeArray.slots([0, 100] as [Int32]), Array(repeating: 65, count: 100)]))
        #expect(throws: ArrowIPCError.tooLarge) {
            try encoder.message(
                dictionary.batch(.dictionary(index: 8, signed: true, .utf8(large: false))),
                bytesMax: 4000)
        }
    }
}
