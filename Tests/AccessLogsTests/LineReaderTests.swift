import Compression
import TestSupport
import Testing

@testable import AccessLogs

/// Bytes that come in pieces of at most `piece`, and then, if asked, a failure.
final class Pieces: ByteSource {
    struct Failure: Error {}
    private var rest: ArraySlice<UInt8>
    private let piece: Int
    private let fails: Bool

    init(_ bytes: [UInt8], piece: Int = .max, fails: Bool = false) {
        rest = bytes[...]
        self.piece = piece
        self.fails = fails
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let part = rest.prefix(min(piece, buffer.count))
        if part.isEmpty, fails { throw Failure() }
        buffer.copyBytes(from: part)
        rest = rest.dropFirst(part.count)
        return part.count
    }
}

@Suite struct `Cutting into lines` {
    private static func lines(_ text: String, piece: Int = .max) throws -> [String?] {
        let reader = LineReader(Pieces(Array(text.utf8), piece: piece))
        var lines: [String?] = []
        while true {
            switch try reader.next() {
            case .end: return lines
            case .tooLong: lines.append(nil)
            case .line:
                let line = reader.line
                lines.append(String(decoding: (0..<line.count).map { line[$0] }, as: UTF8.self))
            }
            #expect(reader.number == lines.count)
        }
    }

    @Test func `lines end with LF or CRLF, and the last one may lack its end`() throws {
        for piece in [1, 2, 3, .max] {
            #expect(try Self.lines("", piece: piece) == [])
            #expect(try Self.lines("a\nbc\r\n\nd", piece: piece) == ["a", "bc", "", "d"])
            #expect(try Self.lines("a\r\n", piece: piece) == ["a"])
            #expect(try Self.lines("\r\n\r\n", piece: piece) == ["", ""])
        }
        #expect(try Self.lines("\u{FEFF}#Version: 1.0\nx") == ["#Version: 1.0", "x"])
    }

    @Test func `a line of a megabyte is passed over, and the next one is read`() throws {
        let long = String(repeating: "x", count: 1 << 20)
        for piece in [4096, .max] {
            #expect(try Self.lines("a\n\(long)\nb", piece: piece) == ["a", nil, "b"])
            #expect(try Self.lines(long, piece: piece) == [nil])
        }
        let most = String(repeating: "y", count: AccessLogs.lineBytesMax)
        #expect(try Self.lines("\(most)\r\n\(most)z\nb") == [most, nil, "b"])
    }

    @Test func `any cut into lines and pieces is put together again`() throws {
        var random = Generator()
        for _ in 0..<50 {
            let wanted = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                String(repeating: "q", count: Int.random(in: 0...3000, using: &random)) + "."
            }
            let piece = Int.random(in: 1...5000, using: &random)
            #expect(
                try Self.lines(wanted.joined(separator: "\n"), piece: piece) == wanted,
                "seed \(random.seed)")
        }
    }

    @Test func `what the source throws comes after every whole line before it`() throws {
        let reader = LineReader(Pieces(Array("a\nb\nhalf".utf8), fails: true))
        #expect(try reader.next() == .line)
        #expect(try reader.next() == .line)
        #expect(throws: Pieces.Failure.self) { try reader.next() }
        #expect(reader.number == 2)
    }
}
