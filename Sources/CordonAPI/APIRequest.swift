internal import Crypto
package import HTTP

/// One request, whole.
package struct APIRequest: Sendable {
    package var method: String
    /// Parts of the path between slashes, percent-decoded after they were split.
    package var segments: [String]
    package var query: [String: String]
    /// Values by lowercase name.
    package var fields: [String: String]
    package var body: [UInt8]

    package init(
        method: String, segments: [String], query: [String: String] = [:],
        fields: [String: String] = [:], body: [UInt8] = []
    ) {
        self.method = method
        self.segments = segments
        self.query = query
        self.fields = fields
        self.body = body
    }

    /// Takes a head and its body apart; throws 400 for an escape that is none.
    package init(_ head: ServiceRequest, body: [UInt8]) throws(APIError) {
        method = head.method
        segments = []
        for part in head.path.utf8.dropFirst().split(
            separator: 0x2F, omittingEmptySubsequences: false)
        {
            segments.append(try Self.decoded(part))
        }
        query = [:]
        for part in head.query.utf8.split(separator: 0x26) {
            let pair = part.split(separator: 0x3D, maxSplits: 1, omittingEmptySubsequences: false)
            let value = pair.count > 1 ? try Self.decoded(pair[1]) : ""
            query[try Self.decoded(pair[0])] = value
        }
        fields = head.fields
        self.body = body
    }

    private static func decoded(_ part: Substring.UTF8View) throws(APIError) -> String {
        var bytes: [UInt8] = []
        var rest = part[...]
        while let unit = rest.popFirst() {
            guard unit == 0x25 else {
                bytes.append(unit)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit),
                let low = rest.popFirst().flatMap(hexDigit)
            else { throw .bad("the address has an escape that is none") }
            bytes.append(high << 4 | low)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .bad("the address is not UTF-8")
        }
        return text
    }

    private static func hexDigit(_ unit: UInt8) -> UInt8? {
        switch unit {
        case 0x30...0x39: unit - 0x30
        case 0x41...0x46: unit - 0x41 + 10
        case 0x61...0x66: unit - 0x61 + 10
        default: nil
        }
    }

    /// What makes two requests the same, for a client that names them by one key.
    var digest: [UInt8] {
        let head = ([method] + segments).joined(separator: "\u{0}") + "\u{0}"
        return SHA256.hash(Array(head.utf8) + body)
    }
}

/// One answer.
package struct APIResponse: Equatable, Sendable {
    package var status: Int
    package var fields: [(String, String)] = []
    package var contentType = "application/json"
    package var body: [UInt8] = []

    package init(
        _ status: Int, body: [UInt8] = [], contentType: String = "application/json",
        fields: [(String, String)] = []
    ) {
        self.status = status
        self.body = body
        self.contentType = contentType
        self.fields = fields
    }

    package static func == (left: APIResponse, right: APIResponse) -> Bool {
        left.status == right.status && left.body == right.body
            && left.contentType == right.contentType
            && left.fields.elementsEqual(right.fields) { $0 == $1 }
    }

    /// The reason phrase of RFC 9110, or of the Iceberg REST catalog for 419.
    package var reason: String {
        switch status {
        case 304: "Not Modified"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 406: "Not Acceptable"
        case 409: "Conflict"
        case 419: "Authentication Timeout"
        case 422: "Unprocessable Content"
        case 500: "Internal Server Error"
        default: UInt16(exactly: status).flatMap(HTTPStatus.init(rawValue:))?.reason ?? "Status"
        }
    }
}
