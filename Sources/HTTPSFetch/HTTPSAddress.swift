internal import Bytes

/// Where a document stands: host, port, path.
package struct HTTPSAddress: Equatable, Sendable {
    package let host: String
    package let port: UInt16
    /// With its query, as it is sent.
    package let path: String
    /// Host and port as they were written.
    private let authority: String

    private static let bytesMax = 1024

    /// Reads `https://HOST[:PORT][/PATH]`; nil for anything else, user names and fragments among it.
    package init?(_ text: String) {
        let scheme = "https://"
        guard text.hasPrefix(scheme), text.utf8.count <= Self.bytesMax,
            text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
            !text.utf8.contains(where: { "#@\\\"<>".utf8.contains($0) })
        else { return nil }
        let rest = text.dropFirst(scheme.count)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        authority = String(rest[..<end])
        path = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/" + rest[end...]
        var name = authority[...]
        var number: Substring?
        if authority.hasPrefix("[") {
            guard let close = authority.lastIndex(of: "]") else { return nil }
            name = authority[authority.index(after: authority.startIndex)..<close]
            let behind = authority[authority.index(after: close)...]
            guard behind.isEmpty || behind.hasPrefix(":"), IPAddress(name)?.isIPv6 == true else {
                return nil
            }
            number = behind.isEmpty ? nil : behind.dropFirst()
        } else {
            if let colon = authority.firstIndex(of: ":") {
                name = authority[..<colon]
                number = authority[authority.index(after: colon)...]
            }
            guard !name.isEmpty, name.utf8.count <= 253, name.utf8.allSatisfy(Self.isHostUnit)
            else {
                return nil
            }
        }
        host = String(name)
        guard let number else {
            port = 443
            return
        }
        guard let port = UInt16(number), port > 0, number.first != "+" else { return nil }
        self.port = port
    }

    private static func isHostUnit(_ unit: UInt8) -> Bool {
        switch unit {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E: true
        default: false
        }
    }

    /// The request for the document.
    var request: [UInt8] {
        Array(
            "GET \(path) HTTP/1.1\r\nHost: \(authority)\r\nAccept: application/json\r\nUser-Agent: cordon\r\nConnection: close\r\n\r\n"
                .utf8)
    }
}
