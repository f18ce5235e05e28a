// What makes the request.
extension LineParser {
    /// Makes the entry from what was found.
    ///
    /// - Parameter isEscaped: whether values carry CloudFront's percent-encoding.
    mutating func takeFound(isEscaped: Bool) -> LogRefusal? {
        if let refusal = takeTime() { return refusal }
        guard let address = value(.address), let stem = value(.stem) else { return .missing }
        entry.address = address
        guard let method = value(.method) else { return .missing }
        entry.isGet = isGet(method)
        if let refusal = takeTarget(stem, value(.query), isEscaped: isEscaped) { return refusal }
        if isEscaped, let headers = value(.headers) {
            if let refusal = takeHeaders(headers) { return refusal }
        }
        if let referer = value(.referer) {
            entry.referer = isEscaped ? onceEscaped(referer) : referer
            if !isHeaderValue(entry.referer, from: referer) { return .encoding }
        }
        if foundForwardedFor.count > 0 {
            guard takeForwardedFor(isEscaped: isEscaped) else { return .encoding }
        }
        if let host = value(.host) {
            entry.host = isEscaped ? decoded(host) : host
            if !isHeaderValue(entry.host, from: host) { return .encoding }
        }
        if let language = value(.acceptLanguage) {
            entry.acceptLanguage = isEscaped ? decoded(language) : language
            if !isHeaderValue(entry.acceptLanguage, from: language) { return .encoding }
        }
        if let cookie = value(.cookie) {
            entry.cookie = isEscaped ? decoded(cookie) : cookie
            if !isHeaderValue(entry.cookie, from: cookie) { return .encoding }
            if isEscaped, cookie.count >= AccessLogs.headerBytesMax { entry.showsCookies = false }
        }
        if let agent = value(.userAgent) {
            entry.userAgent = isEscaped ? userAgent(agent) : agent
            if !isHeaderValue(entry.userAgent, from: agent) { return .encoding }
        }
        return nil
    }

    /// The chain of explicit columns or keys, which count before `cs-headers`; false when a value is none of a header.
    private mutating func takeForwardedFor(isEscaped: Bool) -> Bool {
        entry.forwardedFor = LogEntry.Texts()
        for index in 0..<foundForwardedFor.count {
            let value = foundForwardedFor[index]
            let text = isEscaped ? decoded(value) : value
            guard isHeaderValue(text, from: value) else { return false }
            entry.forwardedFor.append(text)
            // Its last hop, which is asked first, may be gone.
            if isEscaped, value.count >= AccessLogs.headerBytesMax {
                entry.forwardedFor.isIncomplete = true
            }
        }
        if foundForwardedFor.isIncomplete { entry.forwardedFor.isIncomplete = true }
        return true
    }

    private mutating func takeTime() -> LogRefusal? {
        let time: Int64?
        if let text = value(.milliseconds) {
            time = unsafe LogTime.milliseconds(bytes(text))
        } else if let text = value(.time) {
            time = unsafe LogTime.any(bytes(text), &days)
        } else if let date = value(.date), let clock = value(.clock) {
            time = unsafe LogTime.standard(bytes(date), bytes(clock), &days)
        } else {
            return .missing
        }
        guard let time else { return .time }
        entry.microseconds = time
        return nil
    }

    func isGet(_ method: LogEntry.Text) -> Bool {
        let start = Int(method.start)
        return unsafe method.count == 3 && out[start] == 0x47 && out[start + 1] == 0x45
            && out[start + 2] == 0x54
    }

    /// Path and query: the query from a field of its own, else from behind the path's `?`.
    private mutating func takeTarget(
        _ stem: LogEntry.Text, _ query: LogEntry.Text?, isEscaped: Bool
    ) -> LogRefusal? {
        var path = stem
        var query = query
        if let mark = index(of: 0x3F, Int(stem.start), Int(stem.end)) {
            path = .init(Int(stem.start), mark)
            query = query ?? .init(mark + 1, Int(stem.end))
        }
        entry.path = isEscaped ? onceEscaped(path) : path
        if let query { entry.query = isEscaped ? onceEscaped(query) : query }
        return isTarget(entry.path) && isTarget(entry.query) ? nil : .encoding
    }

    /// Sets a header's field; the first of several counts, and one about consent makes it known that there are more. Of a
    /// forwarding chain all count: what the client wrote stands first.
    mutating func takeHeader(_ field: LogField, _ value: LogEntry.Text) -> LogRefusal? {
        guard field != .ignored else { return nil }
        guard isHeaderValue(value) else { return .encoding }
        if field == .forwardedFor {
            entry.forwardedFor.append(value)
        } else {
            set(field, value)
        }
        return nil
    }

    mutating func set(_ field: LogField, _ value: LogEntry.Text) {
        if entry[field].isPresent {
            if field == .cookie || field == .globalPrivacyControl || field == .doNotTrack {
                entry.repeatsConsentHeader = true
            }
        } else {
            entry[field] = value
        }
    }
}
