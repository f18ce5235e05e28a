import Bytes
import TestSupport
import Testing

@Suite struct `Byte scans` {
    /// One scan beside the loop that says the same byte by byte.
    struct Scan: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let fast: @Sendable (Span<UInt8>, Int, Int) -> Int
        let stops: @Sendable (UInt8) -> Bool

        static let all = [
            Scan(testDescription: "one byte") {
                $0.firstIndex(of: 0x0A, from: $1, to: $2)
            } stops: {
                $0 == 0x0A
            },
            Scan(testDescription: "either of two") {
                $0.firstIndex(of: 0x3D, or: 0x26, from: $1, to: $2)
            } stops: {
                $0 == 0x3D || $0 == 0x26
            },
            Scan(testDescription: "control character") {
                $0.firstControl(from: $1, to: $2)
            } stops: {
                $0 < 0x20 && $0 != 0x09 || $0 == 0x7F
            },
            Scan(testDescription: "end of a target") {
                $0.firstOutsideTarget(from: $1, to: $2)
            } stops: {
                $0 <= 0x20 || $0 >= 0x7F || $0 == 0x23
            },
            Scan(testDescription: "no printable character") {
                $0.firstUnprintable(from: $1, to: $2)
            } stops: {
                $0 < 0x20 || $0 >= 0x7F
            },
        ]
    }

    @Test(arguments: Scan.all)
    func `every byte is judged alike at every place of a vector, of a word and behind`(
        _ scan: Scan
    ) {
        // A vector, a word, a byte.
        let count = 25
        for place in 0..<count {
            for byte in UInt8.min...UInt8.max {
                var bytes = [UInt8](repeating: 0x61, count: count)
                bytes[place] = byte
                let expected = scan.stops(byte) ? place : count
                #expect(scan.fast(bytes.span, 0, count) == expected, "\(byte) at \(place)")
            }
        }
    }

    @Test(arguments: Scan.all)
    func `random bytes are scanned as byte by byte`(_ scan: Scan) {
        var generator = Generator()
        // Few values and their neighbours, so that stops stand close together and beside what almost stops.
        let values: [UInt8] = [
            0, 8, 9, 0x0A, 0x0B, 0x0D, 0x1F, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x3C,
            0x3D, 0x3E, 0x61, 0x7E, 0x7F, 0x80, 0x81, 0xA0, 0xFF,
        ]
        for _ in 0..<2000 {
            let count = Int.random(in: 0...60, using: &generator)
            let plain = Int.random(in: 0...9, using: &generator)
            let bytes = (0..<count).map { _ in
                Int.random(in: 0...9, using: &generator) < plain
                    ? 0x61 : values.randomElement(using: &generator)!
            }
            let start = Int.random(in: 0...count, using: &generator)
            let end = Int.random(in: start...count, using: &generator)
            let expected = (start..<end).first { scan.stops(bytes[$0]) } ?? end
            #expect(
                scan.fast(bytes.span, start, end) == expected,
                "\(bytes) \(start)..<\(end), seed \(generator.seed)")
        }
    }

    @Test func `a field's sign and end are the first of each`() {
        var generator = Generator()
        for _ in 0..<3000 {
            let count = Int.random(in: 0...60, using: &generator)
            let bytes = (0..<count).map { _ in
                generator.chance(0.08)
                    ? 0x3D
                    : generator.chance(0.06)
                        ? 0x26 : UInt8.random(in: 0x3C...0x3E, using: &generator) | 0x40
            }
            let start = Int.random(in: 0...count, using: &generator)
            let end = Int.random(in: start...count, using: &generator)
            let stop = bytes[start..<end].firstIndex(of: 0x26) ?? end
            let sign = bytes[start..<stop].firstIndex(of: 0x3D) ?? stop
            let found = bytes.span.field(from: start, to: end, separator: 0x26)
            #expect(
                found == (sign, stop), "\(bytes) \(start)..<\(end), seed \(generator.seed)")
        }
    }

    @Test func `host bytes and equal bytes are marked wherever they stand`() {
        for byte in UInt8.min...UInt8.max {
            for place in 0..<8 {
                let shift = UInt64(8 * place)
                for other: UInt64 in [0x61, 0x00, 0x2F, 0xFF] {
                    let word = ByteWord.ones &* other & ~(0xFF << shift) | UInt64(byte) << shift
                    let isHostByte =
                        switch byte {
                        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                        default: false
                        }
                    #expect((ByteWord.hostBytes(word) >> (shift + 7) & 1 != 0) == isHostByte)
                    let expected: UInt64 = byte < 128 ? 0x80 << shift : 0
                    #expect(
                        byte == UInt8(other) || byte >= 128
                            || ByteWord.equal(word, byte) == expected)
                }
            }
        }
    }

    @Test func `a prefix is the first eight bytes of its range and no others`() {
        var generator = Generator()
        for _ in 0..<2000 {
            let bytes = generator.bytes(count: Int.random(in: 0...24, using: &generator))
            let start = Int.random(in: 0...bytes.count, using: &generator)
            let end = Int.random(in: start...bytes.count, using: &generator)
            var expected: UInt64 = 0
            for (offset, byte) in bytes[start..<end].prefix(8).enumerated() {
                expected |= UInt64(byte) << UInt64(8 * offset)
            }
            #expect(
                ByteWord.prefix(bytes.span, from: start, to: end) == expected,
                "\(bytes) \(start)..<\(end), seed \(generator.seed)")
        }
    }

    @Test func `capitals become small letters and nothing else changes`() {
        for first in UInt8.min...UInt8.max {
            let bytes = (0..<11).map { first &+ UInt8($0 * 23) }
            var found = [UInt8](repeating: 0, count: bytes.count)
            found.withUnsafeMutableBufferPointer {
                ByteWord.lowercase(bytes.span, into: $0.baseAddress!)
            }
            #expect(found == bytes.map { $0 >= 0x41 && $0 <= 0x5A ? $0 + 0x20 : $0 })
        }
    }

    @Test func `a copy has its bytes and touches no others`() {
        var generator = Generator()
        for count in 0..<70 {
            let bytes = generator.bytes(count: count)
            var target = [UInt8](repeating: 0x55, count: count + 2)
            target.withUnsafeMutableBufferPointer { target in
                bytes.withUnsafeBufferPointer { source in
                    guard let start = source.baseAddress else { return }
                    ByteCopy.copy(count, from: start, to: target.baseAddress! + 1)
                }
            }
            #expect(target == [0x55] + bytes + [0x55], "seed \(generator.seed)")
        }
    }
}
