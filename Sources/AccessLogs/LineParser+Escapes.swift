// Taking the log's escaping out.
extension LineParser {
    /// One level of percent-encoding taken out; a `%` that no two hexadecimal digits follow stays. The text itself when it
    /// has no `%`.
    mutating func decoded(_ text: LogEntry.Text) -> LogEntry.Text {
        let end = Int(text.end)
        guard let first = index(of: 0x25, Int(text.start), end) else { return text }
        let start = count
        var position = start
        var read = Int(text.start)
        var block = first
        while block < end {
            var signs = unsafe Self.marks(0x25, out + block) & Self.mask(end - block)
            while signs != 0 {
                let sign = block + signs.trailingZeroBitCount
                signs &= signs &- 1
                copy(read, sign, &position)
                if sign + 2 < end, let high = unsafe Self.hex(out[sign + 1]),
                    let low = unsafe Self.hex(out[sign + 2])
                {
                    unsafe out[position] = high << 4 | low
                    read = sign + 3
                } else {
                    unsafe out[position] = 0x25
                    read = sign + 1
                }
                position += 1
            }
            block += Self.blockBytes
        }
        copy(read, end, &position)
        count = position
        return .init(start, position)
    }

    /// Copies a run to `position`, by sixteens, which may go beyond its end.
    @inline(__always)
    private func copy(_ start: Int, _ end: Int, _ position: inout Int) {
        var read = start
        var write = position
        while read < end {
            // SAFETY: what is written stands behind what is read, and the buffer is longer than any text by a block.
            let bytes = unsafe UnsafeRawPointer(out + read).loadUnaligned(as: SIMD16<UInt8>.self)
            unsafe UnsafeMutableRawPointer(out + write)
                .storeBytes(of: bytes, as: SIMD16<UInt8>.self)
            read += 16
            write += 16
        }
        position += max(end - start, 0)
    }

    /// A user agent: decoded once, and once more when it then has `%20` and no blank, as older logs wrote it.
    mutating func userAgent(_ raw: LogEntry.Text) -> LogEntry.Text {
        let once = decoded(raw)
        let start = Int(once.start)
        let end = Int(once.end)
        guard once != raw, var sign = index(of: 0x25, start, end),
            index(of: 0x20, start, end) == nil
        else { return once }
        while true {
            if unsafe sign + 2 < end && out[sign + 1] == 0x32 && out[sign + 2] == 0x30 {
                return decoded(once)
            }
            guard let next = index(of: 0x25, sign + 1, end) else { return once }
            sign = next
        }
    }

    /// A part of a URL. CloudFront writes `%` as `%25` in some logs and leaves it in others; it is the former when all
    /// other escapes are of bytes that it encodes itself. Then `%25` becomes `%` again. Escapes of the request stay.
    mutating func onceEscaped(_ text: LogEntry.Text) -> LogEntry.Text {
        guard isEscapedTwice(text) else { return text }
        let start = count
        let end = Int(text.end)
        var index = Int(text.start)
        var position = count
        while index < end {
            let byte = unsafe out[index]
            unsafe out[position] = byte
            position += 1
            index +=
                unsafe byte == 0x25 && index + 2 < end && out[index + 1] == 0x32
                && out[index + 2] == 0x35 ? 3 : 1
        }
        count = position
        return .init(start, position)
    }

    private func isEscapedTwice(_ text: LogEntry.Text) -> Bool {
        let end = Int(text.end)
        var hasPercent = false
        var start = Int(text.start)
        while let sign = index(of: 0x25, start, end) {
            guard sign + 2 < end, let high = unsafe Self.hex(out[sign + 1]),
                let low = unsafe Self.hex(out[sign + 2])
            else { return false }
            let byte = high << 4 | low
            if byte == 0x25 {
                hasPercent = true
            } else if !Self.isEncodedByCloudFront(byte) {
                return false
            }
            start = sign + 3
        }
        return hasPercent
    }

    /// Bytes that the documentation of the log fields lists: 0 to 32, 127 and above, and these signs.
    private static func isEncodedByCloudFront(_ byte: UInt8) -> Bool {
        switch byte {
        case 0...0x20, 0x7F...0xFF: true
        case 0x22, 0x23, 0x25, 0x27, 0x3C, 0x3E, 0x5B, 0x5C, 0x5D, 0x5E, 0x60, 0x7B, 0x7C, 0x7D,
            0x7E:
            true
        default: false
        }
    }

    @inline(__always)
    static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
