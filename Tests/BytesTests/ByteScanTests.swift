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
        ]
    }

    @Test(arguments: Scan.all)
    func `every byte is judged alike at every place of a word`(_ scan: Scan) {
        for place in 0..<17 {
            for byte in UInt8.min...UInt8.max {
                var bytes = [UInt8](repeating: 0x61, count: 17)
                bytes[place] = byte
                let expected = scan.stops(byte) ? place : 17
                #expect(scan.fast(bytes.span, 0, 17) == expected, "\(byte) at \(place)")
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
            let count = Int.random(in: 0...40, using: &generator)
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
}
