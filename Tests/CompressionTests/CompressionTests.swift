import CZlib
import CZstd
import TestSupport
import Testing

@testable import Compression

/// Bytes that come in pieces of at most `piece`.
final class Pieces: ByteSource {
    private var rest: ArraySlice<UInt8>
    private let piece: Int

    init(_ bytes: [UInt8], piece: Int = .max) {
        rest = bytes[...]
        self.piece = piece
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let part = rest.prefix(min(piece, buffer.count))
        buffer.copyBytes(from: part)
        rest = rest.dropFirst(part.count)
        return part.count
    }
}

@Suite struct `Unpacking` {
    private static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        var stream = z_stream()
        deflateInit2_(
            &stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        var input = bytes
        var output = [UInt8](repeating: 0, count: bytes.count + 1024)
        let count = output.count
        input.withUnsafeMutableBufferPointer { source in
            output.withUnsafeMutableBufferPointer { room in
                stream.next_in = source.baseAddress
                stream.avail_in = UInt32(source.count)
                stream.next_out = room.baseAddress
                stream.avail_out = UInt32(count)
                deflate(&stream, Z_FINISH)
            }
        }
        deflateEnd(&stream)
        return Array(output.prefix(count - Int(stream.avail_out)))
    }

    private static func zstd(_ bytes: [UInt8]) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
        let count = ZSTD_compress(&output, output.count, bytes, bytes.count, 3)
        return Array(output.prefix(count))
    }

    private static func unpacked(_ bytes: [UInt8], piece: Int = .max, room: Int = 4096) throws
        -> [UInt8]
    {
        let source = try UnpackedSource(Pieces(bytes, piece: piece))
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: room)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try source.read(into: $0) }
            if count == 0 { return all }
            all += buffer.prefix(count)
        }
    }

    private static func text(_ count: Int, using random: inout Generator) -> [UInt8] {
        (0..<count).map { _ in UInt8(ascii: "a") + UInt8.random(in: 0...5, using: &random) }
    }

    @Test func `what is not packed comes as it is, however short`() throws {
        for text in ["", "a", "abc", "#Version: 1.0\n"] {
            #expect(try Self.unpacked(Array(text.utf8), piece: 1) == Array(text.utf8))
        }
    }

    @Test func `gzip and zstd give back what was packed, in pieces of any size`() throws {
        var random = Generator()
        for size in [0, 1, 1000, 300_000] {
            let plain = Self.text(size, using: &random)
            for piece in [1, 7, 4096, .max] where size < 10_000 || piece > 100 {
                let seed = random.seed
                #expect(try Self.unpacked(Self.gzip(plain), piece: piece) == plain, "seed \(seed)")
                #expect(try Self.unpacked(Self.zstd(plain), piece: piece) == plain, "seed \(seed)")
                #expect(
                    try Self.unpacked(Self.zstd(plain), piece: piece, room: 3) == plain,
                    "seed \(seed)")
            }
        }
    }

    @Test func `members and frames that follow each other are one stream`() throws {
        let (first, second) = (Array("first\n".utf8), Array("second\n".utf8))
        #expect(try Self.unpacked(Self.gzip(first) + Self.gzip(second)) == first + second)
        #expect(
            try Self.unpacked(Self.gzip(first) + Self.gzip(second) + [0, 0, 0], piece: 5)
                == first + second)
        #expect(try Self.unpacked(Self.zstd(first) + Self.zstd(second)) == first + second)
    }

    @Test func `a stream that is cut anywhere gives a beginning and says that it is cut`() throws {
        var random = Generator()
        let plain = Self.text(5000, using: &random)
        for packed in [Self.gzip(plain), Self.zstd(plain)] {
            for cut in stride(from: 5, to: packed.count, by: 97) {
                let source = try UnpackedSource(Pieces(Array(packed.prefix(cut))))
                var all: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 512)
                let error = #expect(throws: CompressionError.self, "seed \(random.seed)") {
                    while true {
                        let count = try buffer.withUnsafeMutableBytes { try source.read(into: $0) }
                        if count == 0 { return }
                        all += buffer.prefix(count)
                    }
                }
                #expect(error?.code == .truncated)
                #expect(plain.starts(with: all), "seed \(random.seed)")
            }
        }
    }

    @Test func `damage is told from a cut`() throws {
        var random = Generator()
        let plain = Self.text(5000, using: &random)
        for packed in [Self.gzip(plain), Self.zstd(plain)] {
            var damaged = packed
            for index in damaged.count / 2..<damaged.count / 2 + 40 { damaged[index] ^= 0x5A }
            #expect(throws: CompressionError.self, "seed \(random.seed)") {
                let all = try Self.unpacked(damaged)
                // A flipped bit may leave the stream readable, yet never with another content unnoticed by gzip's sum.
                if all == plain { throw CompressionError(code: .damaged, compression: .none) }
            }
        }
        #expect(throws: CompressionError(code: .damaged, compression: .gzip)) {
            try Self.unpacked(Self.gzip(plain) + Array("rest".utf8))
        }
    }
}
