internal import Glibc

/// Finds the request in one line after the other of one log file.
///
/// One for each file, since a header line says which columns follow. Used by one thread.
@safe package final class LogReader {
    package enum Outcome: Equatable, Sendable {
        /// ``entry`` holds the line's request.
        case entry
        /// A header, a comment or an empty line.
        case nothing
        case refused(LogRefusal)
    }

    package let format: LogFormat
    /// Fields of the columns; empty until a header or the caller has named them.
    package private(set) var columns: [LogField] {
        didSet { hasCookieColumn = columns.contains(.cookie) }
    }
    private var hasCookieColumn = false
    /// The request of the last line; its ranges are those of ``text``.
    package internal(set) var entry = LogEntry()

    // SAFETY: allocated in `init`, freed in `deinit`. No line is longer than `lineBytesMax`, no escaping in it grows when it
    // is taken out, and no part of a line is copied more than twice, so what is copied from one line fits.
    let out: UnsafeMutablePointer<UInt8>
    var count = 0
    /// Where each field stands in the line.
    let found: UnsafeMutablePointer<LogEntry.Text>
    /// Where each `X-Forwarded-For` stands in it.
    var foundForwardedFor = LogEntry.Texts()
    var keys = KeyMemory()

    /// - Parameter columns: names of the columns of a log without a header; nil takes all of real-time logs, or waits for
    ///   the header of standard ones.
    package init(_ format: LogFormat, columns: [String]? = nil) {
        self.format = format
        switch format {
        case .cloudFrontRealTime:
            self.columns = (columns ?? LogField.realTimeNames).map(LogField.realTime)
        case .cloudFrontStandard: self.columns = (columns ?? []).map(LogField.standard)
        case .combined, .ndjson: self.columns = []
        }
        hasCookieColumn = self.columns.contains(.cookie)
        unsafe out = .allocate(capacity: 2 * AccessLogs.lineBytesMax + 64)
        unsafe found = .allocate(capacity: LogField.count)
        unsafe found.initialize(repeating: .absent, count: LogField.count)
    }

    deinit {
        unsafe out.deallocate()
        unsafe found.deallocate()
    }

    /// The bytes that the ranges of ``entry`` lie in; valid until the next line is read.
    package var text: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let span = unsafe UnsafeBufferPointer(start: out, count: count).span
            // SAFETY: the memory lives as long as the reader, and only `read` writes to it.
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Reads one line, given without its end.
    package func read(_ line: Span<UInt8>) -> Outcome {
        precondition(line.count <= AccessLogs.lineBytesMax, "the line reader bounds every line")
        return unsafe line.withUnsafeBufferPointer { unsafe read($0) }
    }

    private func read(_ line: UnsafeBufferPointer<UInt8>) -> Outcome {
        if line.isEmpty { return .nothing }
        count = 0
        entry = LogEntry()
        foundForwardedFor = LogEntry.Texts()
        let refusal: LogRefusal?
        switch format {
        case .combined: refusal = unsafe readCombined(line)
        case .ndjson: refusal = unsafe readJSON(line, isEscaped: false)
        case .cloudFrontRealTime: refusal = unsafe readTabbed(line)
        case .cloudFrontStandard:
            if unsafe line[0] == 0x23 { return unsafe readDirective(line) }
            refusal =
                unsafe line[0] == 0x7B ? readJSON(line, isEscaped: true) : readTabbed(line)
        }
        if let refusal { return .refused(refusal) }
        return .entry
    }

    /// A line that begins with `#`: the columns, or something else about the file.
    private func readDirective(_ line: UnsafeBufferPointer<UInt8>) -> Outcome {
        let name: StaticString = "#Fields:"
        guard line.count > name.utf8CodeUnitCount,
            unsafe memcmp(line.baseAddress!, name.utf8Start, name.utf8CodeUnitCount) == 0
        else { return .nothing }
        let names = unsafe String(decoding: line, as: UTF8.self).dropFirst(name.utf8CodeUnitCount)
            .split { $0 == " " || $0 == "\t" }
        columns = names.map { LogField.standard(String($0)) }
        return .nothing
    }
}

// Tab-separated columns.
extension LogReader {
    private func readTabbed(_ line: UnsafeBufferPointer<UInt8>) -> LogRefusal? {
        guard let base = line.baseAddress, !columns.isEmpty else { return .syntax }
        for field in 0..<LogField.count { unsafe found[field] = .absent }
        let end = line.count
        var start = 0
        var column = 0
        while true {
            let stop: Int
            if let tab = unsafe memchr(base + start, 0x09, end - start) {
                stop = unsafe UnsafePointer(tab.assumingMemoryBound(to: UInt8.self)) - base
            } else {
                stop = end
            }
            guard column < columns.count else { return .fieldCount }
            let field = columns[column]
            if field != .ignored, stop > start, unsafe !(stop == start + 1 && base[start] == 0x2D) {
                unsafe found[field.rawValue] = .init(start, stop)
                if field == .forwardedFor { foundForwardedFor.append(.init(start, stop)) }
            }
            column += 1
            if stop == end { break }
            start = stop + 1
        }
        guard column == columns.count else { return .fieldCount }
        entry.showsCookies = hasCookieColumn
        return unsafe takeFound(line, isEscaped: true)
    }

    /// The part of `line` in which a field was found.
    func bytes(
        _ field: LogField, _ line: UnsafeBufferPointer<UInt8>
    ) -> UnsafeBufferPointer<UInt8>? {
        guard let range = unsafe found[field.rawValue].range else { return nil }
        return unsafe UnsafeBufferPointer(rebasing: line[range])
    }

    /// Makes the entry from what was found in `line`.
    ///
    /// - Parameter isEscaped: whether values carry CloudFront's percent-encoding.
    func takeFound(_ line: UnsafeBufferPointer<UInt8>, isEscaped: Bool) -> LogRefusal? {
        if let refusal = unsafe takeTime(line) { return refusal }
        guard let address = unsafe bytes(.address, line), let stem = unsafe bytes(.stem, line)
        else { return .missing }
        entry.address = unsafe copy(address)
        if let method = unsafe bytes(.method, line) {
            entry.isGet = unsafe Self.isGet(method)
        } else {
            return .missing
        }
        if let refusal = unsafe takeTarget(stem, bytes(.query, line), isEscaped: isEscaped) {
            return refusal
        }
        if let headers = unsafe bytes(.headers, line), isEscaped {
            if let refusal = unsafe takeHeaders(headers) { return refusal }
        }
        if let referer = unsafe bytes(.referer, line) {
            entry.referer = unsafe isEscaped ? copyOnceEscaped(referer) : copy(referer)
            if !isHeaderValue(entry.referer) { return .encoding }
        }
        if foundForwardedFor.count > 0 {
            guard unsafe takeForwardedFor(line, isEscaped: isEscaped) else { return .encoding }
        }
        for field in [LogField.host, .acceptLanguage, .cookie] {
            if let value = unsafe bytes(field, line) {
                entry[field] = unsafe isEscaped ? copyDecoded(value) : copy(value)
                if !isHeaderValue(entry[field]) { return .encoding }
            }
        }
        if let agent = unsafe bytes(.userAgent, line) {
            entry.userAgent = unsafe isEscaped ? copyUserAgent(agent) : copy(agent)
            if !isHeaderValue(entry.userAgent) { return .encoding }
        }
        if let cookie = unsafe bytes(.cookie, line), isEscaped,
            cookie.count >= AccessLogs.headerBytesMax
        {
            entry.showsCookies = false
        }
        return nil
    }

    /// The chain of explicit columns or keys, which count before `cs-headers`; false when a value is none of a header.
    private func takeForwardedFor(
        _ line: UnsafeBufferPointer<UInt8>, isEscaped: Bool
    ) -> Bool {
        entry.forwardedFor = LogEntry.Texts()
        for index in 0..<foundForwardedFor.count {
            guard let range = foundForwardedFor[index].range else { continue }
            let value = unsafe UnsafeBufferPointer(rebasing: line[range])
            let text = unsafe isEscaped ? copyDecoded(value) : copy(value)
            guard isHeaderValue(text) else { return false }
            entry.forwardedFor.append(text)
            // Its last hop, which is asked first, may be gone.
            if isEscaped, value.count >= AccessLogs.headerBytesMax {
                entry.forwardedFor.isIncomplete = true
            }
        }
        if foundForwardedFor.isIncomplete { entry.forwardedFor.isIncomplete = true }
        return true
    }

    private func takeTime(_ line: UnsafeBufferPointer<UInt8>) -> LogRefusal? {
        let time: Int64?
        if let text = unsafe bytes(.milliseconds, line) {
            time = unsafe LogTime.milliseconds(text)
        } else if let text = unsafe bytes(.time, line) {
            time = unsafe LogTime.any(text)
        } else if let date = unsafe bytes(.date, line), let clock = unsafe bytes(.clock, line) {
            time = unsafe LogTime.standard(date, clock)
        } else {
            return .missing
        }
        guard let time else { return .time }
        entry.microseconds = time
        return nil
    }

    static func isGet(_ method: UnsafeBufferPointer<UInt8>) -> Bool {
        unsafe method.count == 3 && method[0] == 0x47 && method[1] == 0x45 && method[2] == 0x54
    }

    /// Path and query: the query from a field of its own, else from behind the path's `?`.
    func takeTarget(
        _ stem: UnsafeBufferPointer<UInt8>, _ query: UnsafeBufferPointer<UInt8>?, isEscaped: Bool
    ) -> LogRefusal? {
        var stemEnd = stem.count
        var query = unsafe query
        if let mark = unsafe memchr(stem.baseAddress!, 0x3F, stem.count) {
            stemEnd =
                unsafe UnsafePointer(mark.assumingMemoryBound(to: UInt8.self)) - stem.baseAddress!
            if unsafe query == nil {
                unsafe query = UnsafeBufferPointer(rebasing: stem[(stemEnd + 1)...])
            }
        }
        let path = unsafe UnsafeBufferPointer(rebasing: stem[..<stemEnd])
        entry.path = unsafe isEscaped ? copyOnceEscaped(path) : copy(path)
        if let query = unsafe query {
            entry.query = unsafe isEscaped ? copyOnceEscaped(query) : copy(query)
        }
        return isTarget(entry.path) && isTarget(entry.query) ? nil : .encoding
    }

    /// `cs-headers`: lines of `Name:value`, each with its end percent-encoded. An explicit column of the log counts before.
    private func takeHeaders(_ raw: UnsafeBufferPointer<UInt8>) -> LogRefusal? {
        let all = unsafe copyDecoded(raw)
        let isWhole = raw.count < AccessLogs.headerBytesMax
        var start = Int(all.start)
        let end = Int(all.end)
        while start < end {
            var stop = start
            while stop < end, unsafe out[stop] != 0x0A { stop += 1 }
            var colon = start
            while colon < stop, unsafe out[colon] != 0x3A { colon += 1 }
            if colon < stop {
                let name = unsafe UnsafeBufferPointer(start: out + start, count: colon - start)
                let value = trimmed(colon + 1, stop)
                // What was cut inside a value would be half a value, so the last line of a cut field is left out.
                if isWhole || stop < end {
                    let field = unsafe LogField.header(name)
                    if let refusal = takeHeader(field, value) { return refusal }
                }
            }
            start = stop + 1
        }
        if isWhole {
            entry.showsCookies = true
            entry.showsPreferences = true
        } else {
            entry.forwardedFor.isIncomplete = true
        }
        return nil
    }

    /// Sets a header's field; the first of several counts, and one about consent makes it known that there are more. Of a
    /// forwarding chain all count: what the client wrote stands first.
    func takeHeader(_ field: LogField, _ value: LogEntry.Text) -> LogRefusal? {
        guard field != .ignored, isHeaderValue(value) else {
            return field == .ignored ? nil : .encoding
        }
        if field == .forwardedFor {
            entry.forwardedFor.append(value)
            return nil
        }
        if entry[field].isPresent {
            if field == .cookie || field == .globalPrivacyControl || field == .doNotTrack {
                entry.repeatsConsentHeader = true
            }
            return nil
        }
        entry[field] = value
        return nil
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

// Copying, with the log's escaping taken out.
extension LogReader {
    func copy(_ bytes: UnsafeBufferPointer<UInt8>) -> LogEntry.Text {
        let start = count
        if let base = bytes.baseAddress {
            unsafe (out + count).update(from: base, count: bytes.count)
            count = count + bytes.count
        }
        return .init(start, count)
    }

    /// Takes one level of percent-encoding out; a `%` that no two hexadecimal digits follow stays.
    func copyDecoded(_ bytes: UnsafeBufferPointer<UInt8>) -> LogEntry.Text {
        let start = count
        guard let base = bytes.baseAddress else { return .init(start, start) }
        let end = bytes.count
        var index = 0
        var position = count
        while index < end {
            let byte = unsafe base[index]
            if byte == 0x25, index + 2 < end, let high = unsafe Self.hex(base[index + 1]),
                let low = unsafe Self.hex(base[index + 2])
            {
                unsafe out[position] = high << 4 | low
                index += 3
            } else {
                unsafe out[position] = byte
                index += 1
            }
            position += 1
        }
        count = position
        return .init(start, position)
    }

    /// A user agent: decoded once, and once more when it then has `%20` and no blank, as older logs wrote it.
    private func copyUserAgent(_ bytes: UnsafeBufferPointer<UInt8>) -> LogEntry.Text {
        let once = unsafe copyDecoded(bytes)
        let decoded = unsafe UnsafeBufferPointer(
            start: out + Int(once.start), count: Int(once.end) - Int(once.start))
        guard let base = decoded.baseAddress,
            unsafe memchr(base, 0x25, decoded.count) != nil,
            unsafe memchr(base, 0x20, decoded.count) == nil,
            decoded.indices.contains(where: {
                unsafe decoded[$0] == 0x25 && $0 + 2 < decoded.count && decoded[$0 + 1] == 0x32
                    && decoded[$0 + 2] == 0x30
            })
        else { return once }
        // In place: what is written never overtakes what is read.
        count = Int(once.start)
        return unsafe copyDecoded(decoded)
    }

    /// A part of a URL. CloudFront writes `%` as `%25` in some logs and leaves it in others; it is the former when all
    /// other escapes are of bytes that it encodes itself. Then `%25` becomes `%` again. Escapes of the request stay.
    private func copyOnceEscaped(_ bytes: UnsafeBufferPointer<UInt8>) -> LogEntry.Text {
        guard let base = bytes.baseAddress, unsafe Self.isEscapedTwice(bytes) else {
            return unsafe copy(bytes)
        }
        let start = count
        let end = bytes.count
        var index = 0
        var position = count
        while index < end {
            let byte = unsafe base[index]
            unsafe out[position] = byte
            position += 1
            index +=
                unsafe byte == 0x25 && index + 2 < end && base[index + 1] == 0x32
                && base[index + 2] == 0x35 ? 3 : 1
        }
        count = position
        return .init(start, position)
    }

    private static func isEscapedTwice(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let base = bytes.baseAddress else { return false }
        var hasPercent = false
        var index = 0
        let end = bytes.count
        while index < end, let next = unsafe memchr(base + index, 0x25, end - index) {
            let position = unsafe UnsafePointer(next.assumingMemoryBound(to: UInt8.self)) - base
            guard position + 2 < end, let high = unsafe hex(base[position + 1]),
                let low = unsafe hex(base[position + 2])
            else { return false }
            let byte = high << 4 | low
            if byte == 0x25 {
                hasPercent = true
            } else if !isEncodedByCloudFront(byte) {
                return false
            }
            index = position + 3
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

    /// Whether the bytes can stand in a request's target: what the live parser takes.
    func isTarget(_ range: LogEntry.Text) -> Bool {
        guard range.isPresent else { return true }
        // Without a branch a byte, so that many are looked at together.
        var bad: UInt8 = 0
        for index in Int(range.start)..<Int(range.end) {
            let byte = unsafe out[index]
            bad |= (byte &- 0x21 > 0x5D ? 1 : 0) | (byte == 0x23 ? 1 : 0)
        }
        return bad == 0
    }

    /// Whether the bytes can stand in a header's value: no control characters but the tabulator.
    func isHeaderValue(_ range: LogEntry.Text) -> Bool {
        guard range.isPresent else { return true }
        var bad: UInt8 = 0
        for index in Int(range.start)..<Int(range.end) {
            let byte = unsafe out[index]
            bad |= (byte < 0x20 ? 1 : 0) & (byte == 0x09 ? 0 : 1) | (byte == 0x7F ? 1 : 0)
        }
        return bad == 0
    }
}
