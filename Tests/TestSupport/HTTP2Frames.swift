/// Frames of HTTP/2 as a client writes them, byte by byte, so that wrong ones can be written too.
package enum Frame {
    package static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    package enum Kind: UInt8 {
        case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate
        case continuation
    }

    package static let endStream: UInt8 = 1
    package static let acknowledge: UInt8 = 1
    package static let endHeaders: UInt8 = 4
    package static let padded: UInt8 = 8

    package static func make(
        _ kind: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []
    ) -> [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF), kind, flags]
            + number(stream) + payload
    }

    package static func make(
        _ kind: Kind, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []
    ) -> [UInt8] { make(kind.rawValue, flags: flags, stream: stream, payload) }

    package static func number(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) }
    }

    package static func settings(_ entries: [(UInt16, UInt32)] = []) -> [UInt8] {
        make(
            .settings,
            entries.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 0xFF)] + number($0.1) })
    }

    /// A header block of literals without indexing and without Huffman codes (RFC 7541 section 6.2.2).
    package static func block(_ fields: [(String, String)]) -> [UInt8] {
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

    package static let get = [
        (":method", "GET"), (":scheme", "https"), (":path", "/hit"), (":authority", "a.example"),
    ]
    package static let post = [
        (":method", "POST"), (":scheme", "https"), (":path", "/hit"), (":authority", "a.example"),
    ]

    package static func headers(
        _ fields: [(String, String)] = get, stream: UInt32 = 1,
        flags: UInt8 = endHeaders | endStream
    ) -> [UInt8] { make(.headers, flags: flags, stream: stream, block(fields)) }
}

/// A frame that the server wrote.
package struct WrittenFrame: Equatable, Sendable {
    package let kind: UInt8
    package let flags: UInt8
    package let stream: UInt32
    package let payload: [UInt8]

    package static func all(_ bytes: [UInt8]) -> [WrittenFrame] {
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
    package var reset: (UInt32, UInt32)? {
        kind == Frame.Kind.reset.rawValue ? (stream, Self.number(payload[...])) : nil
    }

    /// The code of GOAWAY.
    package var goAway: UInt32? {
        kind == Frame.Kind.goAway.rawValue ? Self.number(payload[4..<8]) : nil
    }
}
