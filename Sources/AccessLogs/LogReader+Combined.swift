internal import Glibc

// Apache's and nginx's `combined`:
// `address identity user [time] "GET /path HTTP/1.1" status bytes "referer" "user agent"`, and whatever follows.
extension LogReader {
    func readCombined(_ line: UnsafeBufferPointer<UInt8>) -> LogRefusal? {
        guard let base = line.baseAddress else { return .syntax }
        let end = line.count
        guard let blank = unsafe Self.index(of: 0x20, base, 0, end), blank > 0,
            let open = unsafe Self.index(of: 0x5B, base, blank, end),
            unsafe base[open - 1] == 0x20,
            let close = unsafe Self.index(of: 0x5D, base, open, end)
        else { return .syntax }
        guard
            let time = unsafe LogTime.combined(
                UnsafeBufferPointer(rebasing: line[(open + 1)..<close]))
        else { return .time }
        entry.microseconds = time
        entry.address = unsafe copy(UnsafeBufferPointer(rebasing: line[..<blank]))
        var index = close + 1
        guard let request = unsafe quoted(base, &index, end) else { return .syntax }
        // Status and size.
        for _ in 0..<2 {
            guard index < end, unsafe base[index] == 0x20 else { return .syntax }
            index = unsafe Self.index(of: 0x20, base, index + 1, end) ?? end
        }
        guard index < end else { return .fieldCount }
        guard let referer = unsafe quoted(base, &index, end),
            let agent = unsafe quoted(base, &index, end)
        else { return .syntax }
        if !isDash(referer) { entry.referer = referer }
        if !isDash(agent) { entry.userAgent = agent }
        guard isHeaderValue(entry.referer), isHeaderValue(entry.userAgent) else {
            return .encoding
        }
        return takeRequest(request)
    }

    /// `GET /path?query HTTP/1.1`; a request that was no HTTP is written as it came, and is of no use.
    private func takeRequest(_ range: LogEntry.Text) -> LogRefusal? {
        let start = Int(range.start)
        let end = Int(range.end)
        guard let blank = unsafe Self.index(of: 0x20, out, start, end),
            let second = unsafe Self.index(of: 0x20, out, blank + 1, end), blank > start,
            second > blank + 1, end - second == 9, unsafe memcmp(out + second + 1, "HTTP/", 5) == 0
        else { return .syntax }
        entry.isGet = unsafe Self.isGet(
            UnsafeBufferPointer(start: out + start, count: blank - start))
        let mark = unsafe Self.index(of: 0x3F, out, blank + 1, second) ?? second
        entry.path = .init(blank + 1, mark)
        if mark < second { entry.query = .init(mark + 1, second) }
        return isTarget(entry.path) && isTarget(entry.query) ? nil : .encoding
    }

    /// A blank and a text in quotes, its backslashes taken out: `\"`, `\\`, `\xhh`, and C's names of controls.
    private func quoted(
        _ base: UnsafePointer<UInt8>, _ index: inout Int, _ end: Int
    ) -> LogEntry.Text? {
        guard index + 1 < end, unsafe base[index] == 0x20, unsafe base[index + 1] == 0x22 else {
            return nil
        }
        index += 2
        let start = count
        while index < end {
            let byte = unsafe base[index]
            index += 1
            if byte == 0x22 { return .init(start, count) }
            guard byte == 0x5C, index < end else {
                unsafe out[count] = byte
                count += 1
                continue
            }
            let escaped = unsafe base[index]
            index += 1
            if escaped | 0x20 == 0x78, index + 1 < end, let high = unsafe Self.hex(base[index]),
                let low = unsafe Self.hex(base[index + 1])
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

    private func isDash(_ range: LogEntry.Text) -> Bool {
        unsafe range.end - range.start == 1 && out[Int(range.start)] == 0x2D
    }

    private static func index(
        of byte: UInt8, _ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int
    ) -> Int? {
        guard start < end, let found = unsafe memchr(base + start, Int32(byte), end - start) else {
            return nil
        }
        return unsafe UnsafePointer(found.assumingMemoryBound(to: UInt8.self)) - base
    }
}
