package import Bytes

/// The header by which a proxy says at the start of a connection whose it is: the PROXY protocol of HAProxy
/// (its document `proxy-protocol.txt`, versions 1 and 2), read as a pure function of the first bytes.
package enum ProxyHeader {
    /// What the first bytes of a connection are.
    package enum Reading: Equatable, Sendable {
        /// A header that may still become whole.
        case needMore
        /// A whole header of `byteCount` bytes.
        case header(byteCount: Int, Statement)
        /// No header, or one that breaks the rules: the connection is closed.
        case malformed
    }

    /// What a header says of the connection's origin.
    package enum Statement: Equatable, Sendable {
        /// It was relayed for this address.
        case source(IPAddress)
        /// The proxy speaks for itself, such as for a health check (`LOCAL`).
        case local
        /// It was relayed for somebody whom the proxy cannot name: `UNKNOWN`, `UNSPEC`, a Unix socket, a datagram.
        case unknown
    }

    /// Longest header of version 1 with its CRLF (section 2.1).
    package static let textBytesMax = 107
    /// Longest header of either version. A header must leave in one segment (section 2.2), and 536 bytes are the
    /// segment that every host takes (RFC 9293 section 3.7.1).
    package static let bytesMax = 536

    /// Reads the header at the start of `input`; what follows it is not looked at.
    package static func read(_ input: Span<UInt8>) -> Reading {
        guard input.count > 0 else { return .needMore }
        return input[0] == 0x50 ? readText(input) : readBinary(input)
    }
}

// Version 1.
extension ProxyHeader {
    private static func readText(_ input: Span<UInt8>) -> Reading {
        guard isPrefix(input, "PROXY ") else { return .malformed }
        var end = 0
        let limit = min(input.count, textBytesMax)
        while end < limit, input[end] != 0x0D {
            if input[end] == 0x0A { return .malformed }
            end += 1
        }
        guard end + 1 < limit else { return limit == textBytesMax ? .malformed : .needMore }
        guard input[end + 1] == 0x0A, end > 6 else { return .malformed }
        guard let statement = statement(input.extracting(6..<end)) else { return .malformed }
        return .header(byteCount: end + 2, statement)
    }

    /// What stands between `PROXY ` and the CRLF.
    private static func statement(_ line: Span<UInt8>) -> Statement? {
        var position = 0
        let family = word(line, &position)
        if equals(family, "UNKNOWN") { return .unknown }
        let isIPv6 = equals(family, "TCP6")
        guard isIPv6 || equals(family, "TCP4"),
            let source = IPAddress(parsing: word(line, &position)), source.isIPv6 == isIPv6,
            let destination = IPAddress(parsing: word(line, &position)),
            destination.isIPv6 == isIPv6,
            isPort(word(line, &position)), isPort(word(line, &position)),
            position == line.count + 1
        else { return nil }
        return .source(source)
    }

    /// The word at `position`; words are parted by exactly one blank. Empty behind the last.
    @_lifetime(copy line)
    private static func word(_ line: Span<UInt8>, _ position: inout Int) -> Span<UInt8> {
        let start = min(position, line.count)
        var end = start
        while end < line.count, line[end] != 0x20 { end += 1 }
        position = end + 1
        return line.extracting(start..<end)
    }

    /// 0 to 65535 without leading zeros.
    private static func isPort(_ text: Span<UInt8>) -> Bool {
        guard (1...5).contains(text.count), text.count == 1 || text[0] != 0x30 else { return false }
        var number = 0
        for index in text.indices {
            guard text[index] >= 0x30, text[index] <= 0x39 else { return false }
            number = number * 10 + Int(text[index] - 0x30)
        }
        return number <= 65_535
    }

    /// Whether `input` begins with `text`, as far as it goes.
    private static func isPrefix(_ input: Span<UInt8>, _ text: StaticString) -> Bool {
        for index in 0..<min(input.count, text.utf8CodeUnitCount) {
            // SAFETY: `index` is below the number of code units that the literal has.
            if unsafe text.utf8Start[index] != input[index] { return false }
        }
        return true
    }

    private static func equals(_ word: Span<UInt8>, _ text: StaticString) -> Bool {
        word.count == text.utf8CodeUnitCount && isPrefix(word, text)
    }
}

// Version 2.
extension ProxyHeader {
    private static let fixedBytes = 16

    private static func readBinary(_ input: Span<UInt8>) -> Reading {
        guard isPrefix(input, "\r\n\r\n\0\r\nQUIT\n") else { return .malformed }
        guard input.count >= fixedBytes else { return .needMore }
        let byteCount = fixedBytes + Int(input[14]) << 8 + Int(input[15])
        guard input[12] >> 4 == 2, input[12] & 15 <= 1, byteCount <= bytesMax else {
            return .malformed
        }
        guard input.count >= byteCount else { return .needMore }
        // `LOCAL`: the family and what follows it mean nothing.
        if input[12] & 15 == 0 { return .header(byteCount: byteCount, .local) }
        let family = input[13] >> 4
        let transport = input[13] & 15
        guard family <= 3, transport <= 2 else { return .malformed }
        // Source and destination of each family, with their ports.
        let addressBytes = family == 0 ? 0 : family == 1 ? 12 : family == 2 ? 36 : 216
        guard byteCount >= fixedBytes + addressBytes else { return .malformed }
        guard transport == 1, family == 1 || family == 2 else {
            return .header(byteCount: byteCount, .unknown)
        }
        var value: UInt128 = 0
        for index in fixedBytes..<fixedBytes + (family == 1 ? 4 : 16) {
            value = value << 8 | UInt128(input[index])
        }
        let source =
            family == 1
            ? IPAddress(ipv4: UInt32(truncatingIfNeeded: value)) : IPAddress(ipv6: value)
        return .header(byteCount: byteCount, .source(source))
    }
}
