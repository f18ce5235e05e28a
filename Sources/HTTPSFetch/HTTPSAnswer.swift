/// A document, and how long its server says that it stays as it is.
package struct HTTPSDocument: Equatable, Sendable {
    package let body: [UInt8]
    /// Seconds that it stays fresh (`max-age` less `Age`, RFC 9111 section 4.2; 0 where the server forbids to keep it); nil where the
    /// server says nothing of it that can be read.
    package let freshSeconds: Int64?
}

/// An answer of HTTP/1.1 (RFC 9112) as far as one small document needs it.
enum HTTPSAnswer {
    /// Bytes of the longest head.
    static let headBytesMax = 16 << 10
    /// How many bytes an answer may have on the wire for each that its document may have: chunks have sizes beside their data.
    static let wireFactorMax = 4

    /// The document of the answer that `bytes` begin with, or nil when more must come.
    ///
    /// - Parameter isEnded: whether nothing more will come, as the server announced.
    static func document(
        in bytes: [UInt8], isEnded: Bool, bytesMax: Int
    ) throws(HTTPSError) -> HTTPSDocument? {
        guard bytes.count <= headBytesMax + bytesMax * wireFactorMax else { throw .tooLarge }
        guard let end = bytes.prefix(headBytesMax).firstRange(of: Array("\r\n\r\n".utf8)) else {
            if bytes.count >= headBytesMax { throw .tooLarge }
            if isEnded { throw .malformed }
            return nil
        }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
            .split(separator: "\r\n", omittingEmptySubsequences: false)
        try requireOK(lines[0])
        let body = bytes[end.upperBound...]
        let head = try Head(lines.dropFirst())
        func document(_ body: [UInt8]) -> HTTPSDocument {
            HTTPSDocument(body: body, freshSeconds: head.freshSeconds)
        }
        switch head.framing {
        case .length(let count):
            if count > bytesMax { throw .tooLarge }
            if body.count >= count { return document(Array(body.prefix(count))) }
        case .chunks:
            if let whole = try joined(body, bytesMax) { return document(whole) }
        case .end:
            if body.count > bytesMax { throw .tooLarge }
            if isEnded { return document(Array(body)) }
            return nil
        }
        if isEnded { throw .malformed }
        return nil
    }

    private static func requireOK(_ line: Substring) throws(HTTPSError) {
        let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count >= 2, ["HTTP/1.1", "HTTP/1.0"].contains(words[0]), words[1].count == 3,
            let status = Int(words[1]), (100..<600).contains(status)
        else { throw .malformed }
        guard status == 200 else { throw .status(status) }
    }

    /// The data of a chunked body (RFC 9112 section 7.1), or nil when more must come.
    private static func joined(
        _ body: ArraySlice<UInt8>, _ bytesMax: Int
    ) throws(HTTPSError) -> [UInt8]? {
        var rest = body
        var whole: [UInt8] = []
        while true {
            guard let line = rest.firstRange(of: [0x0D, 0x0A]) else {
                if rest.count > 64 { throw .malformed }
                return nil
            }
            let size = rest[..<line.lowerBound].prefix { $0 != 0x3B }
            guard (1...8).contains(size.count),
                let count = Int(String(decoding: size, as: UTF8.self), radix: 16), count >= 0
            else { throw .malformed }
            // What may stand behind the last chunk is not looked at.
            if count == 0 { return whole }
            if whole.count + count > bytesMax { throw .tooLarge }
            rest = rest[line.upperBound...]
            guard rest.count >= count + 2 else { return nil }
            whole += rest.prefix(count)
            rest = rest.dropFirst(count)
            guard rest.starts(with: [0x0D, 0x0A]) else { throw .malformed }
            rest = rest.dropFirst(2)
        }
    }
}

extension HTTPSAnswer {
    private enum Framing {
        case length(Int)
        case chunks
        /// The body ends with the connection.
        case end
    }

    /// What the fields of a head say of the document.
    private struct Head {
        private(set) var framing = Framing.end
        private var isFramed = false
        private var maxAge: Int64?
        private var age: Int64 = 0

        var freshSeconds: Int64? { maxAge.map { max(0, $0 - age) } }

        /// What could be read in two ways is refused.
        init(_ lines: ArraySlice<Substring>) throws(HTTPSError) {
            for line in lines {
                guard let colon = line.firstIndex(of: ":"), line.first != " ", line.first != "\t"
                else { throw .malformed }
                let value = line[line.index(after: colon)...].filter { $0 != " " && $0 != "\t" }
                try take(line[..<colon].lowercased(), value)
            }
        }

        private mutating func take(_ name: String, _ value: String) throws(HTTPSError) {
            switch name {
            case "content-length":
                guard !isFramed, let count = Int(value), count >= 0, value.first != "+" else {
                    throw .malformed
                }
                framing = .length(count)
                isFramed = true
            case "transfer-encoding":
                guard !isFramed, value.lowercased() == "chunked" else { throw .malformed }
                framing = .chunks
                isFramed = true
            case "content-encoding":
                guard value.lowercased() == "identity" else { throw .malformed }
            case "cache-control":
                for directive in value.lowercased().split(separator: ",") { takeAge(directive) }
            case "age": age = max(age, Self.seconds(value[...]) ?? 0)
            default: break
            }
        }

        /// Of several ages the shortest counts, and what cannot be read is passed over: how long keys are kept has bounds elsewhere.
        private mutating func takeAge(_ directive: Substring) {
            let name = "max-age="
            let seconds: Int64? =
                ["no-store", "no-cache"].contains(directive)
                ? 0
                : directive.hasPrefix(name) ? Self.seconds(directive.dropFirst(name.count)) : nil
            if let seconds { maxAge = min(maxAge ?? seconds, seconds) }
        }

        /// A whole number of seconds; one that is too large to be meant is as good as the largest.
        private static func seconds(_ digits: Substring) -> Int64? {
            guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
                return nil
            }
            return min(Int64(digits) ?? .max, 1 << 31)
        }
    }
}
