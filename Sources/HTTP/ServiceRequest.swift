/// The head of a request to a service that reads more than a collector does: any method, any field, a large body.
///
/// The same strict reader judges it first (``RequestParser``), so what a collector refuses as ambiguous is refused here
/// too; then the lines are taken apart as text. Not for the hot path.
package struct ServiceRequest: Equatable, Sendable {
    /// As sent, such as `GET`.
    package var method: String
    /// As sent, percent-encoded.
    package var path: String
    /// Behind the question mark, as sent; empty when there is none.
    package var query: String
    /// Values by lowercase name; a field that came twice has its values joined by commas (RFC 9110 section 5.3).
    package var fields: [String: String]
    package var bodyByteCount: Int
    package var keepsAlive: Bool
    /// The client waits for `100 Continue` before it sends the body.
    package var expectsContinue: Bool

    /// Fields that mean nothing when they come twice, so that two readers would choose differently.
    private static let singular: Set<String> = [
        "authorization", "content-type", "content-length", "host", "idempotency-key",
        "if-none-match",
    ]

    /// Reads the head that ends at `end`, after its empty line, in ``bytes``.
    ///
    /// - Parameter bodyBytesMax: a longer body is ``HTTPStatus/contentTooLarge``.
    package init(
        _ bytes: [UInt8], end: Int, bodyBytesMax: Int
    ) throws(ServiceRequestRefusal) {
        var head = RequestHead()
        let refusal = RequestParser.parse(bytes.span, end: end, into: &head)
        // The reader's bound on bodies and its view of expectations are a collector's; both are judged below.
        if let refusal, refusal != .contentTooLarge, refusal != .expectationFailed {
            throw ServiceRequestRefusal(status: refusal)
        }
        guard head.byteCount == end else { throw ServiceRequestRefusal(status: .badRequest) }
        let lines = bytes[..<(end - 2)].split(separator: 0x0A).map { $0.dropLast() }
        let words = lines[0].split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
        method = words[0]
        // In the absolute form (RFC 9112 section 3.2.2) the path may be missing.
        let target = Self.text(head.path, bytes)
        path = target.isEmpty ? "/" : target
        guard path.hasPrefix("/") else { throw ServiceRequestRefusal(status: .badRequest) }
        query = Self.text(head.query, bytes)
        fields = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: 0x3A) else {
                throw ServiceRequestRefusal(status: .badRequest)
            }
            let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
            let value = String(decoding: Self.trimmed(line[(colon + 1)...]), as: UTF8.self)
            if let before = fields[name] {
                if Self.singular.contains(name) {
                    throw ServiceRequestRefusal(status: .badRequest)
                }
                fields[name] = before + ", " + value
            } else {
                fields[name] = value
            }
        }
        if fields["transfer-encoding"] != nil {
            throw ServiceRequestRefusal(status: .lengthRequired)
        }
        let length = fields["content-length"] ?? "0"
        guard !length.isEmpty, length.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw ServiceRequestRefusal(status: .badRequest)
        }
        guard let count = Int(length), count <= bodyBytesMax else {
            throw ServiceRequestRefusal(status: .contentTooLarge)
        }
        bodyByteCount = count
        let connection = (fields["connection"] ?? "").lowercased()
        let isVersion10 = words.last == "HTTP/1.0"
        keepsAlive =
            !connection.contains("close") && (!isVersion10 || connection.contains("keep-alive"))
        expectsContinue = false
        if let expectation = fields["expect"], !isVersion10 {
            guard expectation.lowercased() == "100-continue" else {
                throw ServiceRequestRefusal(status: .expectationFailed)
            }
            expectsContinue = true
        }
    }

    private static func text(_ range: ByteRange, _ bytes: [UInt8]) -> String {
        guard range.isPresent else { return "" }
        return String(decoding: bytes[range.lowerBound..<range.upperBound], as: UTF8.self)
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var rest = bytes
        while let first = rest.first, first == 0x20 || first == 0x09 { rest.removeFirst() }
        while let last = rest.last, last == 0x20 || last == 0x09 { rest.removeLast() }
        return rest
    }
}

/// A request that is answered with `status` and ends its connection.
package struct ServiceRequestRefusal: Error, Equatable, Sendable {
    package let status: HTTPStatus
}
