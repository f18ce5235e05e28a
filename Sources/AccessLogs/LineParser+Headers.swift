internal import Glibc

// `cs-headers`: lines of `Name:value`, each with its end percent-encoded.
extension LineParser {
    /// Takes what the request's headers say. An explicit column of the log counts before.
    mutating func takeHeaders(_ raw: LogEntry.Text) -> LogRefusal? {
        let end = Int(raw.end)
        var start = Int(raw.start)
        var block = start
        while block < end {
            // SAFETY: blocks may reach beyond the text, whose marks alone are looked at.
            var ends = unsafe Self.marks(0x25, out + block) & Self.mask(end - block - 2)
            if ends != 0 {
                ends &= unsafe Self.marks(0x30, out + block + 1)
                ends &=
                    unsafe Self.marks(0x41, out + block + 2) | Self.marks(0x61, out + block + 2)
            }
            while ends != 0 {
                let stop = block + ends.trailingZeroBitCount
                if let refusal = takeHeaderLine(start, stop) { return refusal }
                start = stop + 3
                ends &= ends &- 1
            }
            block += Self.blockBytes
        }
        if raw.count < AccessLogs.headerBytesMax {
            if start < end, let refusal = takeHeaderLine(start, end) { return refusal }
            entry.showsCookies = true
            entry.showsPreferences = true
        } else {
            // What was cut inside a value would be half a value, so the last line of a cut field is left out.
            entry.forwardedFor.isIncomplete = true
        }
        return nil
    }

    private mutating func takeHeaderLine(_ start: Int, _ stop: Int) -> LogRefusal? {
        guard stop > start else { return nil }
        // SAFETY: as in `takeHeaders`.
        let mask = Self.mask(stop - start)
        let colons = unsafe Self.marks(0x3A, out + start) & mask
        let escapes = unsafe Self.marks(0x25, out + start) & mask
        // The lowest mark of both tells which comes first.
        guard colons != 0, colons.trailingZeroBitCount < escapes.trailingZeroBitCount else {
            if escapes == 0, stop - start <= Self.blockBytes { return nil }
            return takeDecodedHeaderLine(start, stop)
        }
        let colon = start + colons.trailingZeroBitCount
        let field = unsafe LogField.header(bytes(.init(start, colon)))
        guard field != .ignored else { return nil }
        let raw = LogEntry.Text(colon + 1, stop)
        if let column = value(field), isSame(field, raw, column) {
            // The column, which is read later, is the same and counts before.
            set(field, column)
            return nil
        }
        let value = decoded(raw)
        return takeHeader(field, trimmed(Int(value.start), Int(value.end)))
    }

    /// One whose name or colon may be escaped.
    private mutating func takeDecodedHeaderLine(_ start: Int, _ stop: Int) -> LogRefusal? {
        let line = decoded(.init(start, stop))
        guard let colon = index(of: 0x3A, Int(line.start), Int(line.end)) else { return nil }
        let field = unsafe LogField.header(bytes(.init(Int(line.start), colon)))
        return takeHeader(field, trimmed(colon + 1, Int(line.end)))
    }

    /// Whether a header's value is logged in a column of its own with the same bytes, which are checked there as strictly.
    private func isSame(
        _ field: LogField, _ raw: LogEntry.Text, _ column: LogEntry.Text
    ) -> Bool {
        guard field != .forwardedFor, raw.count == column.count,
            unsafe memcmp(out + Int(raw.start), out + Int(column.start), raw.count) == 0
        else { return false }
        return field != .referer || index(of: 0x25, Int(raw.start), Int(raw.end)) == nil
    }

    private func trimmed(_ start: Int, _ end: Int) -> LogEntry.Text {
        var start = start
        var end = end
        while start < end, unsafe out[start] == 0x20 || out[start] == 0x09 { start += 1 }
        while end > start,
            unsafe out[end - 1] == 0x20 || out[end - 1] == 0x09
                || out[end - 1] == 0x0D
        {
            end -= 1
        }
        return .init(start, end)
    }
}
