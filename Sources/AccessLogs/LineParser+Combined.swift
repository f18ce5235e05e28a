internal import Glibc

// Apache's and nginx's `combined`:
// `address identity user [time] "GET /path HTTP/1.1" status bytes "referer" "user agent"`, and whatever follows.
extension LineParser {
    mutating func readCombined() -> LogRefusal? {
        let end = lineEnd
        guard let blank = index(of: 0x20, lineStart, end), blank > lineStart,
            let open = index(of: 0x5B, blank, end), unsafe out[open - 1] == 0x20,
            let close = index(of: 0x5D, open, end)
        else { return .syntax }
        guard let time = unsafe LogTime.combined(bytes(.init(open + 1, close)), &days) else {
            return .time
        }
        entry.microseconds = time
        entry.address = .init(lineStart, blank)
        var index = close + 1
        guard let request = quoted(&index) else { return .syntax }
        // Status and size.
        for _ in 0..<2 {
            guard index < end, unsafe out[index] == 0x20 else { return .syntax }
            index = self.index(of: 0x20, index + 1, end) ?? end
        }
        guard index < end else { return .fieldCount }
        guard let referer = quoted(&index), let agent = quoted(&index) else { return .syntax }
        if !isDash(referer) { entry.referer = referer }
        if !isDash(agent) { entry.userAgent = agent }
        guard isHeaderValue(entry.referer), isHeaderValue(entry.userAgent) else {
            return .encoding
        }
        return takeRequest(request)
    }

    /// `GET /path?query HTTP/1.1`; a request that was no HTTP is written as it came, and is of no use.
    private mutating func takeRequest(_ range: LogEntry.Text) -> LogRefusal? {
        let start = Int(range.start)
        let end = Int(range.end)
        guard let blank = index(of: 0x20, start, end),
            let second = index(of: 0x20, blank + 1, end), blank > start,
            second > blank + 1, end - second == 9, unsafe memcmp(out + second + 1, "HTTP/", 5) == 0
        else { return .syntax }
        entry.isGet = isGet(.init(start, blank))
        let mark = index(of: 0x3F, blank + 1, second) ?? second
        entry.path = .init(blank + 1, mark)
        if mark < second { entry.query = .init(mark + 1, second) }
        return isTarget(entry.path) && isTarget(entry.query) ? nil : .encoding
    }

    /// A blank and a text in quotes, its backslashes taken out: `\"`, `\\`, `\xhh`, and C's names of controls.
    private mutating func quoted(_ index: inout Int) -> LogEntry.Text? {
        guard index + 1 < lineEnd, unsafe out[index] == 0x20, unsafe out[index + 1] == 0x22 else {
            return nil
        }
        let first = index + 2
        guard let special = self.index(of: 0x22, or: 0x5C, first, lineEnd) else { return nil }
        if unsafe out[special] == 0x22 {
            index = special + 1
            return .init(first, special)
        }
        return unescaped(first, &index)
    }

    /// The same from behind its first quote, where there is a backslash.
    private mutating func unescaped(_ first: Int, _ index: inout Int) -> LogEntry.Text? {
        index = first
        let end = lineEnd
        let start = count
        while index < end {
            let byte = unsafe out[index]
            index += 1
            if byte == 0x22 { return .init(start, count) }
            guard byte == 0x5C, index < end else {
                unsafe out[count] = byte
                count += 1
                continue
            }
            let escaped = unsafe out[index]
            index += 1
            if escaped | 0x20 == 0x78, index + 1 < end, let high = unsafe Self.hex(out[index]),
                let low = unsafe Self.hex(out[index + 1])
            {
                unsafe out[count] = high << 4 | low
                index += 2
            } else {
                unsafe out[count] = Self.control(escaped)
            }
            count += 1
        }
        return nil
    }

    private static func control(_ letter: UInt8) -> UInt8 {
        switch letter {
        case 0x6E: 0x0A
        case 0x72: 0x0D
        case 0x74: 0x09
        case 0x62: 0x08
        case 0x76: 0x0B
        case 0x66: 0x0C
        default: letter
        }
    }

    private func isDash(_ text: LogEntry.Text) -> Bool {
        unsafe text.count == 1 && out[Int(text.start)] == 0x2D
    }
}
