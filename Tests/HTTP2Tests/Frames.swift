import Foundation

@testable import HTTP2

/// Frames as a client writes them, byte by byte, so that wrong ones can be written too.
enum Frame {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    enum Kind: UInt8 {
        case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate
        case continuation
    }

    static let endStream: UInt8 = 1
    static let acknowledge: UInt8 = 1
    static let endHeaders: UInt8 = 4
    static let padded: UInt8 = 8

    static func make(
        _ kind: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []
    ) -> [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF), kind, flags]
            + number(stream) + payload
    }

    static func make(
        _ kind: Kind, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []
    ) -> [UInt8] { make(kind.rawValue, flags: flags, stream: stream, payload) }

    static func number(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) }
    }

    static func settings(_ entries: [(UInt16, UInt32)] = []) -> [UInt8] {
        make(
            .settings,
            entries.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 0xFF)] + number($0.1) })
    }

    /// A header block of literals without indexing and without Huffman codes (RFC 7541 section 6.2.2).
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { [0] + text($0.0) + text($0.1) }
    }

    private static func text(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        var length: [UInt8] = []
        if bytes.count < 127 {
            length = [UInt8(bytes.count)]
        } else {
            var rest = bytes.count - 127
            length = [127]
            while rest >= 128 {
                length.append(UInt8(rest & 127 | 128))
                rest >>= 7
            }
            length.append(UInt8(rest))
        }
        return length + bytes
    }

    static let get = [
        (":method", "GET"), (":scheme", "https"), (":path", "/hit"), (":authority", "a.example"),
    ]
    static let post = [
        (":method", "POST"), (":scheme", "https"), (":path", "/hit"), (":authority", "a.example"),
    ]

    static func headers(
        _ fields: [(String, String)] = get, stream: UInt32 = 1,
        flags: UInt8 = endHeaders | endStream
    ) -> [UInt8] { make(.headers, flags: flags, stream: stream, block(fields)) }
}

/// A frame that the server wrote.
struct WrittenFrame: Equatable {
    let kind: UInt8
    let flags: UInt8
    let stream: UInt32
    let payload: [UInt8]

    static func all(_ bytes: [UInt8]) -> [WrittenFrame] {
        var frames: [WrittenFrame] = []
        var start = 0
        while start + 9 <= bytes.count {
            let count =
                Int(bytes[start]) << 16 | Int(bytes[start + 1]) << 8 | Int(bytes[start + 2])
            frames.append(
                WrittenFrame(
                    kind: bytes[start + 3], flags: bytes[start + 4],
                    stream: number(bytes[(start + 5)..<(start + 9)]),
                    payload: Array(bytes[(start + 9)..<(start + 9 + count)])))
            start += 9 + count
        }
        return frames
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Stream and code of RST_STREAM.
    var reset: (UInt32, UInt32)? {
        kind == Frame.Kind.reset.rawValue ? (stream, Self.number(payload[...])) : nil
    }

    /// The code of GOAWAY.
    var goAway: UInt32? {
        kind == Frame.Kind.goAway.rawValue ? Self.number(payload[4..<8]) : nil
    }
}

/// A session with a client that is a script.
final class Conversation {
    let session: HTTP2Session
    private(set) var frames: [WrittenFrame] = []
    private(set) var requests: [String] = []
    var now: UInt64 = 1_000_000

    init(greets: Bool = true) {
        session = HTTP2Session(at: now)
        if greets { send(Frame.preface + Frame.settings()) }
    }

    /// Sends bytes, reads the requests that they complete, and gathers what the server writes.
    func send(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { session.receive($0, at: now) }
        gather()
    }

    func gather() {
        var buffer = [UInt8](repeating: 0, count: 200_000)
        while true {
            let count = buffer.withUnsafeMutableBytes { session.read(into: $0) }
            if count == 0 { break }
            requests.append(String(decoding: buffer[..<count], as: UTF8.self))
        }
        var output: [UInt8] = []
        session.takeOutput(into: &output)
        frames += WrittenFrame.all(output)
    }

    func answer(_ text: String, stream: Int32) {
        session.answer(Array(text.utf8).span, stream: stream, at: now)
        gather()
    }

    var goAway: HTTP2ErrorCode? { frames.compactMap(\.goAway).last.flatMap(HTTP2ErrorCode.init) }

    func resetCode(_ stream: UInt32) -> HTTP2ErrorCode? {
        frames.compactMap(\.reset).last { $0.0 == stream }.flatMap {
            HTTP2ErrorCode(rawValue: $0.1)
        }
    }

    /// Payload bytes of DATA on `stream`, and whether the last one ended it.
    func data(_ stream: UInt32) -> (bytes: [UInt8], ended: Bool) {
        let own = frames.filter { $0.kind == 0 && $0.stream == stream }
        return (own.flatMap(\.payload), own.last.map { $0.flags & 1 != 0 } ?? false)
    }
}
