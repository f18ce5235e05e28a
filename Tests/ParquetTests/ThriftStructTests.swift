import TestSupport
import Testing

@testable import Parquet

@Suite struct `Thrift structs` {
    /// A value of the compact protocol, made at random.
    private static func value(
        _ type: ThriftType, depth: Int, _ generator: inout Generator
    ) -> [UInt8] {
        func varint(_ number: UInt64) -> [UInt8] {
            number < 0x80
                ? [UInt8(number)]
                : [UInt8(truncatingIfNeeded: number) | 0x80] + varint(number >> 7)
        }
        switch type {
        case .yes, .no: return []
        case .byte: return generator.bytes(count: 1)
        case .i16, .i32, .i64: return varint(.random(in: .min ... .max, using: &generator))
        case .double: return generator.bytes(count: 8)
        case .binary:
            let count = Int.random(in: 0...200, using: &generator)
            return varint(UInt64(count)) + generator.bytes(count: count)
        case .list, .set:
            let count = Int.random(in: 0...20, using: &generator)
            let type = element(depth, &generator)
            var bytes =
                count < 15
                ? [UInt8(count) << 4 | type.rawValue] : [0xF0 | type.rawValue, UInt8(count)]
            for _ in 0..<count { bytes += elementValue(type, depth, &generator) }
            return bytes
        case .map:
            let count = Int.random(in: 0...3, using: &generator)
            guard count > 0 else { return [0] }
            let (key, value) = (element(depth, &generator), element(depth, &generator))
            var bytes = [UInt8(count), key.rawValue << 4 | value.rawValue]
            for _ in 0..<count {
                bytes += elementValue(key, depth, &generator)
                bytes += elementValue(value, depth, &generator)
            }
            return bytes
        case .structure: return structure(depth: depth + 1, &generator)
        }
    }

    private static func element(_ depth: Int, _ generator: inout Generator) -> ThriftType {
        ThriftType(rawValue: .random(in: 1...(depth < 3 ? 12 : 8), using: &generator))!
    }

    private static func elementValue(
        _ type: ThriftType, _ depth: Int, _ generator: inout Generator
    ) -> [UInt8] {
        type == .yes || type == .no
            ? [type.rawValue] : value(type, depth: depth + 1, &generator)
    }

    static func structure(depth: Int = 0, _ generator: inout Generator) -> [UInt8] {
        var bytes: [UInt8] = []
        var last = 0
        for _ in 0..<Int.random(in: 0...6, using: &generator) {
            let step = Int.random(in: 1...20, using: &generator)
            let type = element(depth, &generator)
            last += step
            bytes +=
                step < 16
                ? [UInt8(step) << 4 | type.rawValue] : [type.rawValue, UInt8(last * 2 & 0x7F)]
            if step >= 16 {
                // Ids stay below 64, so that their zigzag form has one byte.
                guard last < 64 else {
                    bytes.removeLast(2)
                    break
                }
            }
            bytes += value(type, depth: depth, &generator)
        }
        return bytes + [0]
    }

    @Test func `what is read is written again byte by byte`() throws {
        var generator = Generator()
        for _ in 0..<300 {
            let bytes = Self.structure(&generator)
            let read = try ThriftStruct(decoding: bytes[...])
            #expect(read.encoded == bytes, "seed \(generator.seed)")
        }
    }

    @Test func `a struct that was cut anywhere, or has bytes behind it, is refused`() throws {
        var generator = Generator()
        for _ in 0..<20 {
            let bytes = Self.structure(&generator)
            for count in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 100)) {
                #expect(throws: ParquetError.self, "seed \(generator.seed)") {
                    try ThriftStruct(decoding: bytes[..<count])
                }
            }
            #expect(throws: ParquetError.self) { try ThriftStruct(decoding: (bytes + [0])[...]) }
        }
    }

    @Test func `changed bytes are read as something or refused`() {
        var generator = Generator()
        for _ in 0..<2000 {
            var bytes = Self.structure(&generator)
            for _ in 0..<3 {
                bytes[.random(in: 0..<bytes.count, using: &generator)] = .random(
                    in: .min ... .max, using: &generator)
            }
            guard let read = try? ThriftStruct(decoding: bytes[...]) else { continue }
            #expect(
                (try? ThriftStruct(decoding: read.encoded[...])) == read, "seed \(generator.seed)")
        }
    }

    struct Hostile: CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]

        static let cases: [Hostile] = [
            .init(
                testDescription: "a text of 2^63 bytes",
                bytes: [0x18] + [UInt8](repeating: 0xFF, count: 8) + [0x7F, 0]),
            .init(
                testDescription: "a list of 2^60 elements",
                bytes: [0x19, 0xFC] + [UInt8](repeating: 0xFF, count: 8) + [0x0F, 0]),
            .init(
                testDescription: "a list of more structs than are read",
                bytes: [0x19, 0xFC, 0x81, 0x80, 0x40] + [UInt8](repeating: 0, count: 1 << 20)
                    + [0, 0]),
            .init(
                testDescription: "a map of 2^60 entries",
                bytes: [0x1B] + [UInt8](repeating: 0xFF, count: 8) + [0x0F, 0x11, 0]),
            .init(
                testDescription: "structs in structs, a thousand deep",
                bytes: [UInt8](repeating: 0x1C, count: 1000) + [UInt8](repeating: 0, count: 1001)),
            .init(
                testDescription: "lists in lists, a thousand deep",
                bytes: [UInt8](repeating: 0x19, count: 1000) + [0x10, 0]),
            .init(testDescription: "a type that there is not", bytes: [0x1E, 0, 0]),
            .init(
                testDescription: "a number of more than ten bytes",
                bytes: [0x16] + [UInt8](repeating: 0xFF, count: 12) + [0, 0]),
            .init(testDescription: "a field twice", bytes: [0x15, 2, 0x05, 2, 4, 0]),
            .init(
                testDescription: "more fields than are read",
                bytes: (0..<300).flatMap { _ in [0x11] as [UInt8] } + [0]),
        ]
    }

    @Test(arguments: Hostile.cases) func `is refused:`(_ hostile: Hostile) {
        #expect(throws: ParquetError.self) { try ThriftStruct(decoding: hostile.bytes[...]) }
    }

    @Test func `numbers, structs and lists are changed in their place, and nothing else is`() throws
    {
        // { 1: i32 -2, 2: { 1: i64 300 }, 3: true, 20: [ { 1: i16 5 }, {} ] }
        let bytes: [UInt8] = [
            0x15, 0x03, 0x1C, 0x16, 0xD8, 0x04, 0x00, 0x11, 0x09, 0x28, 0x2C, 0x14, 0x0A, 0x00,
            0x00, 0x00,
        ]
        var read = try ThriftStruct(decoding: bytes[...])
        #expect(read.encoded == bytes)
        #expect(try read.integer(1) == -2 && read.integer(4) == nil)
        var inner = try #require(try read.structure(2))
        #expect(try inner.integer(1) == 300)
        inner.set(1, to: Int64.min)
        read.set(2, to: inner)
        let elements = try #require(try read.structures(20))
        #expect(try elements.map { try $0.integer(1) } == [5, nil])
        read.set(20, to: [ThriftStruct](repeating: elements[0], count: 17))
        read.set(1, to: 1 << 40)
        let again = try ThriftStruct(decoding: read.encoded[...])
        #expect(again == read)
        #expect(try again.structure(2)?.integer(1) == .min)
        #expect(try again.structures(20)?.count == 17)
        #expect(try again.integer(1) == 1 << 40)
        #expect(again.field(3) == read.field(3))
        #expect(throws: ParquetError.self) { try read.integer(2) }
        #expect(throws: ParquetError.self) { try read.structures(1) }
    }
}
