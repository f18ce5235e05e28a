/// One request that must be refused, by the section of the RFC that it breaks or plays with.
///
/// Whoever reads it as a request ends the connection behind it: nothing that follows is parsed.
package struct HostileRequest: Sendable {
    /// `9112 6.3` is RFC 9112 section 6.3.
    package let section: String
    package let why: String
    package let bytes: [UInt8]
    package let status: UInt16

    init(_ section: String, _ why: String, _ text: String, _ status: UInt16 = 400) {
        self.init(section, why, Array(text.utf8), status)
    }

    init(_ section: String, _ why: String, _ bytes: [UInt8], _ status: UInt16 = 400) {
        self.section = section
        self.why = why
        self.bytes = bytes
        self.status = status
    }

    package static let all =
        lines + requestLines + targets + fields + hosts + lengths + codings + sizes + versions

    private static let host = "Host: a.example\r\n"

    private static func get(_ fields: String) -> String {
        "GET / HTTP/1.1\r\n\(host)\(fields)\r\n\r\n"
    }

    private static let lines: [HostileRequest] = [
        HostileRequest("9112 2.2", "bare line feeds", "GET / HTTP/1.1\nHost: a\n\n"),
        HostileRequest(
            "9112 2.2", "a bare line feed after the request line",
            "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        HostileRequest(
            "9112 2.2", "a bare line feed after a header",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
        HostileRequest(
            "9112 2.2", "a bare line feed as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        HostileRequest("9112 2.2", "a bare carriage return in a value", get("X: a\rb")),
        HostileRequest(
            "9112 2.2", "a bare carriage return that hides a header",
            get("X: a\rContent-Length: 40")),
        HostileRequest(
            "9112 2.2", "a bare carriage return before the colon", get("X\r: a")),
        HostileRequest(
            "9112 2.2", "a bare carriage return in the request line",
            "GET /\r HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 2.2", "two carriage returns", "GET / HTTP/1.1\r\r\n\(host)\r\n"),
        HostileRequest(
            "9112 2.2", "two carriage returns before the empty line",
            "GET / HTTP/1.1\r\n\(host)\r\r\n\r\n"),
        HostileRequest(
            "9112 2.2", "two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest(
            "9112 2.2", "a bare line feed first", "\nGET / HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest(
            "9112 2.2", "white space before the first header",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        HostileRequest("9112 2.2", "nothing but noise", "\u{16}\u{3}\u{1}\n\n\n"),
        HostileRequest("9112 2.2", "empty lines and no end", "\r\n\r\n\r\n\r\n"),
    ]

    private static let requestLines: [HostileRequest] = [
        HostileRequest("9112 3", "two spaces", "GET  / HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3", "a tab for a space", "GET\t/ HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3", "a space at the end", "GET / HTTP/1.1 \r\n\(host)\r\n"),
        HostileRequest("9112 3", "a space at the start", " GET / HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3", "two targets", "GET / /x HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3", "no version", "GET /\r\n\(host)\r\n"),
        HostileRequest("9112 3", "no target", "GET HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3", "a method alone", "GET\r\n\(host)\r\n"),
        HostileRequest("9112 3.1", "an empty method", " / HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3.1", "a method that is no token", "G{T / HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest(
            "9112 3.1", "a NUL in the method", "GET\0 / HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest(
            "9112 3.1", "a method of 33 bytes",
            String(repeating: "A", count: 33) + " / HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3.2", "a NUL in the target", "GET /\0 HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3.2", "raw UTF-8 in the target", "GET /ü HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3.2", "a delete byte", "GET /\u{7F} HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3.2", "a fragment", "GET /a#b HTTP/1.1\r\n\(host)\r\n"),
    ]

    private static let targets: [HostileRequest] = [
        HostileRequest("9112 3.2.1", "a target without a slash", "GET x HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest(
            "9112 3.2.2", "user information in the target",
            "GET http://u@a/ HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest(
            "9112 3.2.2", "an absolute target without host",
            "GET http:///x HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3.2.2", "another scheme", "GET ftp://a/x HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest(
            "9112 3.2.2", "a scheme without slashes", "GET http:a/x HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest(
            "9112 3.2.2", "an absolute target beside two hosts",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        HostileRequest(
            "9112 3.2.2", "an absolute target without a Host field",
            "GET http://a/ HTTP/1.1\r\n\r\n"),
        HostileRequest("9112 3.2.3", "authority form", "CONNECT a:443 HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest(
            "9112 3.2.3", "authority form of GET", "GET a:443 HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3.2.4", "asterisk form of GET", "GET * HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest(
            "9112 3.2.4", "asterisk form of DELETE", "DELETE * HTTP/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 3.2.4", "two asterisks", "OPTIONS ** HTTP/1.1\r\n\(host)\r\n"),
    ]

    private static let fields: [HostileRequest] = [
        HostileRequest("9112 5", "a header without a colon", get("X")),
        HostileRequest("9112 5", "a header without a name", get(": x")),
        HostileRequest("9112 5", "a name that is no token", get("X(: x")),
        HostileRequest(
            "9112 5", "8-bit bytes in a name",
            Array("GET / HTTP/1.1\r\n\(host)X".utf8) + [0xE9] + Array(": a\r\n\r\n".utf8)),
        HostileRequest("9112 5", "a NUL in a name", get("X\0: a")),
        HostileRequest("9112 5", "a second request line", get("GET /x HTTP/1.1")),
        HostileRequest("9112 5.1", "a space before the colon", get("Content-Length : 5")),
        HostileRequest(
            "9112 5.1", "a tab before the colon", get("Transfer-Encoding\t: chunked")),
        HostileRequest("9112 5.2", "a folded header", get("X: a\r\n b")),
        HostileRequest("9112 5.2", "a header folded by a tab", get("X: a\r\n\tb")),
        HostileRequest(
            "9112 5.2", "a folded transfer coding", get("Transfer-Encoding:\r\n chunked")),
        HostileRequest("9112 5.2", "a fold of blanks alone", get("X: a\r\n \r\nY: b")),
        HostileRequest("9110 5.5", "a NUL in a value", get("X: a\0b")),
        HostileRequest("9110 5.5", "a control byte in a value", get("X: a\u{1}b")),
        HostileRequest("9110 5.5", "a delete byte in a value", get("X: a\u{7F}b")),
        HostileRequest("9110 10.1.1", "an expectation", get("Expect: 100-continue"), 417),
        HostileRequest("9110 10.1.1", "an unknown expectation", get("Expect: x"), 417),
    ]

    private static let hosts: [HostileRequest] = [
        HostileRequest("9112 3.2", "no host", "GET / HTTP/1.1\r\n\r\n"),
        HostileRequest("9112 3.2", "two hosts", get("Host: b")),
        HostileRequest("9112 3.2", "two equal hosts", get("hOST: a.example")),
        HostileRequest("9112 3.2", "an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        HostileRequest("9112 3.2", "a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        HostileRequest(
            "9112 3.2", "a host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        HostileRequest("9112 3.2", "a list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        HostileRequest("9112 3.2", "a port without a host", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
        HostileRequest(
            "9112 3.2", "a port that is no number", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
        HostileRequest("9112 3.2", "two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"),
        HostileRequest("9112 3.2", "an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        HostileRequest("9112 3.2", "a name in brackets", "GET / HTTP/1.1\r\nHost: [x]\r\n\r\n"),
        HostileRequest("9112 3.2", "empty brackets", "GET / HTTP/1.1\r\nHost: []\r\n\r\n"),
        HostileRequest("9112 3.2", "a broken escape", "GET / HTTP/1.1\r\nHost: a%2\r\n\r\n"),
    ]

    private static let lengths: [HostileRequest] = [
        HostileRequest("9112 6.3", "two lengths", get("Content-Length: 1\r\nContent-Length: 2")),
        HostileRequest(
            "9112 6.3", "two equal lengths", get("Content-Length: 5\r\nContent-Length: 5")),
        HostileRequest("9112 6.3", "a list of equal lengths", get("Content-Length: 5, 5")),
        HostileRequest("9112 6.3", "a list of lengths", get("Content-Length: 5, 6")),
        HostileRequest("9110 8.6", "a signed length", get("Content-Length: +5")),
        HostileRequest("9110 8.6", "a negative length", get("Content-Length: -1")),
        HostileRequest("9110 8.6", "a hexadecimal length", get("Content-Length: 0x5")),
        HostileRequest("9110 8.6", "a length of two words", get("Content-Length: 5 5")),
        HostileRequest("9110 8.6", "a length with a point", get("Content-Length: 5.0")),
        HostileRequest("9110 8.6", "a quoted length", get("Content-Length: \"5\"")),
        HostileRequest("9110 8.6", "an empty length", get("Content-Length:")),
        HostileRequest(
            "9110 8.6", "digits that are not ASCII", get("Content-Length: \u{FF15}")),
        HostileRequest("9110 8.6", "a large body", get("Content-Length: 65537"), 413),
        HostileRequest(
            "9110 8.6", "a length of 2^64", get("Content-Length: 18446744073709551616"), 413),
        HostileRequest(
            "9110 8.6", "a length beyond all integers",
            get("Content-Length: 99999999999999999999999999"), 413),
    ]

    private static func coded(_ coding: String, _ body: String, _ status: UInt16) -> HostileRequest
    {
        HostileRequest(
            "9112 6.1", "Transfer-Encoding: \(coding)",
            get("Transfer-Encoding: \(coding)") + body, status)
    }

    private static let codings: [HostileRequest] = [
        HostileRequest(
            "9112 6.1", "a length beside a coding",
            get("Content-Length: 4\r\nTransfer-Encoding: chunked")),
        HostileRequest(
            "9112 6.1", "a coding beside a length",
            get("Transfer-Encoding: chunked\r\nContent-Length: 4")),
        HostileRequest(
            "9112 6.1", "a coding in HTTP/1.0",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        HostileRequest(
            "9112 6.1", "chunked after another field's coding",
            get("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), 501),
        HostileRequest(
            "9112 6.3", "another field's coding after chunked",
            get("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")),
        coded("chunked", "5\r\nhello\r\n0\r\n\r\n", 411),
        coded("CHUNKED", "0\r\n\r\n", 411),
        coded("\tchunked ", "0\r\n\r\n", 411),
        coded(", chunked,", "0\r\n\r\n", 411),
        coded("chunked", "5;name=\"\r\nGET /hit HTTP/1.1\r\n\"\r\nhello\r\n0\r\n\r\n", 411),
        coded("chunked", "FFFFFFFFFFFFFFFFF\r\n", 411),
        coded("chunked", "-1\r\n", 411),
        coded("chunked", "0\r\nContent-Length: 50\r\n\r\n", 411),
        coded("gzip, chunked", "", 501),
        coded("chunked, chunked", "0\r\n\r\n", 400),
        coded("chunked, gzip", "", 400),
        coded("gzip", "", 400),
        coded("identity", "", 400),
        coded("xchunked", "0\r\n\r\n", 400),
        coded("chunkedx", "0\r\n\r\n", 400),
        coded("chunked;q=1", "0\r\n\r\n", 400),
        coded("\"chunked\"", "0\r\n\r\n", 400),
        coded("chunked chunked", "0\r\n\r\n", 400),
        coded("\u{B}chunked", "0\r\n\r\n", 400),
        coded("", "0\r\n\r\n", 400),
        coded(",", "0\r\n\r\n", 400),
    ]

    private static let sizes: [HostileRequest] = [
        HostileRequest(
            "9112 3", "a request line beyond its bound",
            "GET /" + String(repeating: "a", count: 8192) + " HTTP/1.1\r\n\(host)\r\n", 414),
        HostileRequest(
            "9112 3", "a request line without end", String(repeating: "a", count: 20_000), 414),
        HostileRequest(
            "9110 5.4", "a head beyond its bound",
            get("X: " + String(repeating: "a", count: 16_384)),
            431),
        HostileRequest(
            "9110 5.4", "a head without end",
            "GET / HTTP/1.1\r\n" + String(repeating: "X: a\r\n", count: 4000), 431),
        HostileRequest(
            "9110 5.4", "too many headers",
            "GET / HTTP/1.1\r\n\(host)" + String(repeating: "X: a\r\n", count: 100) + "\r\n", 431),
    ]

    private static let versions: [HostileRequest] = [
        HostileRequest("9112 2.3", "a version of two digits", "GET / HTTP/1.10\r\n\(host)\r\n"),
        HostileRequest("9112 2.3", "a version in lowercase", "GET / http/1.1\r\n\(host)\r\n"),
        HostileRequest("9112 2.3", "another protocol", "GET / RTSP/1.0\r\n\(host)\r\n"),
        HostileRequest("9112 2.3", "HTTP/1.2", "GET / HTTP/1.2\r\n\(host)\r\n", 505),
        HostileRequest("9112 2.3", "HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", 505),
        HostileRequest("9112 2.3", "HTTP/3.0", "GET / HTTP/3.0\r\n\(host)\r\n", 505),
        HostileRequest(
            "9113 3.4", "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ]
}

/// One request that is unusual and lawful: it is read, and so is the next one on its connection.
package struct OddRequest: Sendable {
    package let section: String
    package let why: String
    package let text: String
    /// Whether the connection goes on behind it.
    package let keepsAlive: Bool

    init(_ section: String, _ why: String, _ text: String, keepsAlive: Bool = true) {
        self.section = section
        self.why = why
        self.text = text
        self.keepsAlive = keepsAlive
    }

    private static func get(_ fields: String) -> String {
        "GET / HTTP/1.1\r\nHost: a.example\r\n\(fields)\r\n\r\n"
    }

    package static let all: [OddRequest] = [
        OddRequest("9112 2.2", "an empty line first", "\r\n" + get("X: a")),
        OddRequest(
            "9112 3.2.2", "an absolute target that differs from Host",
            "GET http://b.example:8080/ HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        OddRequest(
            "9110 4.2.3", "a scheme in capitals",
            "GET HTTP://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        OddRequest(
            "9110 4.2.3", "a scheme in any letters",
            "GET hTTpS://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        OddRequest(
            "9112 3.2.4", "asterisk form of OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        OddRequest(
            "9112 3.1", "a method of 32 bytes",
            String(repeating: "A", count: 32) + " / HTTP/1.1\r\nHost: a\r\n\r\n"),
        OddRequest("9112 5.1", "no white space behind the colon", get("X:a")),
        OddRequest("9112 5.1", "blanks around a value", get("X: \t a \t")),
        OddRequest("9112 5.1", "an empty value", get("X:")),
        OddRequest("9110 5.5", "UTF-8 in a value", get("X: ü")),
        OddRequest(
            "9110 8.6", "leading zeros and blanks of a length", get("Content-Length:  000 ")),
        OddRequest(
            "9110 7.2", "an address with a port as Host",
            "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n"),
        OddRequest("9110 7.2", "a colon without a port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n"),
        OddRequest("9110 7.2", "an escape in Host", "GET / HTTP/1.1\r\nHost: a%2Db\r\n\r\n"),
        OddRequest(
            "9110 7.8", "an offer to upgrade, which is ignored",
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk")),
        OddRequest(
            "9110 7.8", "an offer of WebSocket", get("Connection: Upgrade\r\nUpgrade: websocket")),
        OddRequest(
            "9110 10.1.1", "an expectation of HTTP/1.0, which knows none",
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n"),
        OddRequest("9112 9.3", "HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", keepsAlive: false),
        OddRequest(
            "9112 9.3", "HTTP/1.0 that stays", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
        OddRequest(
            "9112 9.6", "a list that holds close", get("Connection: x ,\tCLOSE"), keepsAlive: false),
        OddRequest(
            "9112 9.6", "close beside keep-alive",
            get("Connection: keep-alive\r\nConnection: close"),
            keepsAlive: false),
    ]
}
