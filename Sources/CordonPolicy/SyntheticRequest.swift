/// A request written by hand in the form in which the edge holds a real one, for explanations and cases.
package struct SyntheticRequest: Equatable, Sendable {
    /// The request's head.
    package let bytes: [UInt8]
    package let parts: RequestParts

    /// Why a request could not be written.
    package struct Mistake: Error, Equatable, Sendable {
        package let text: String
    }

    /// Writes a request for `url` (`https://host/path?query`, or the path and query alone) with `headers`.
    package init(
        method: String = "GET", url: String, headers: [(name: String, value: String)]
    ) throws(Mistake) {
        guard method == "GET" || method == "HEAD" else {
            // What a `POST` says of its events stands in its body, and there is none here.
            throw Mistake(text: "only `GET` and `HEAD` are explained, found `\(method)`")
        }
        var writer = Writer()
        writer.parts.method = writer.write(method)
        _ = writer.write(" ")
        let (host, target) = try Self.split(url)
        let question = target.firstIndex(of: "?")
        writer.parts.path = writer.write(target[..<(question ?? target.endIndex)])
        if let question {
            _ = writer.write("?")
            writer.parts.query = writer.write(target[target.index(after: question)...])
        }
        _ = writer.write(" HTTP/1.1\r\n")
        let namesHost = headers.contains { $0.name.lowercased() == "host" }
        for (name, value) in (namesHost || host.isEmpty ? [] : [("Host", host)]) + headers {
            try writer.header(name, value)
        }
        bytes = writer.bytes
        parts = writer.parts
    }

    /// The host with its port, and the target: the path, if need be `/`, and the query.
    private static func split(_ url: String) throws(Mistake) -> (host: String, target: String) {
        let whole = String(url.prefix { $0 != "#" })
        guard whole.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Mistake(
                text: "a URL holds no blanks and no letters beyond ASCII: escape them with `%`")
        }
        if whole.hasPrefix("/") { return ("", whole) }
        guard let scheme = ["http://", "https://"].first(where: { whole.hasPrefix($0) }) else {
            throw Mistake(text: "expected a URL such as `https://example.org/pixel.gif?event=view`")
        }
        let rest = whole.dropFirst(scheme.count)
        let host = rest.prefix { $0 != "/" && $0 != "?" }
        let target = rest.dropFirst(host.count)
        guard !host.isEmpty else { throw Mistake(text: "the URL has no host") }
        return (String(host), target.hasPrefix("/") ? String(target) : "/" + target)
    }

    private struct Writer {
        var bytes: [UInt8] = []
        var parts = RequestParts()
        private var seen: Set<String> = []

        mutating func write(_ text: some StringProtocol) -> RequestParts.Part {
            let start = bytes.count
            bytes += Array(text.utf8)
            return .init(start..<bytes.count)
        }

        mutating func header(_ name: String, _ value: String) throws(Mistake) {
            guard !name.isEmpty, (name + value).utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                throw Mistake(text: "expected a header such as `Sec-GPC: 1`")
            }
            _ = write(name + ": ")
            let part = write(value.trimmingBlanks)
            _ = write("\r\n")
            let lowercase = name.lowercased()
            let isRepeated = !seen.insert(lowercase).inserted
            if isRepeated, ["cookie", "sec-gpc", "dnt"].contains(lowercase) {
                parts.repeatsConsentHeader = true
            }
            switch lowercase {
            case "host": parts.host = part
            case "referer": parts.referer = part
            case "user-agent": parts.userAgent = part
            case "accept-language": parts.acceptLanguage = part
            case "cookie": parts.cookie = part
            case "sec-gpc": parts.secGPC = part
            case "dnt": parts.dnt = part
            default: break
            }
        }
    }
}

extension String {
    fileprivate var trimmingBlanks: Substring {
        let start = self.drop { $0 == " " || $0 == "\t" }
        let end = start.lastIndex { $0 != " " && $0 != "\t" }
        return end.map { start[...$0] } ?? ""
    }
}
