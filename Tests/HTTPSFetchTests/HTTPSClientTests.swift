import Bytes
import LinuxIO
import TLS
import TestSupport
import Testing

@testable import HTTPSFetch

@Suite struct `A document over HTTPS` {
    private let certificates: TestCertificates
    private let server: TestHTTPSServer
    private let client: HTTPSClient

    init() throws {
        certificates = try TestCertificates()
        try certificates.make("server")
        server = try TestHTTPSServer(
            certificate: certificates.path("server.crt"), key: certificates.path("server.key"))
        client = HTTPSClient(
            authorities: try TLSAuthorities(path: certificates.path("server.crt")))
    }

    private func get(_ path: String, host: String = "localhost", bytesMax: Int = 1000) throws
        -> String
    {
        let address = try #require(HTTPSAddress("https://\(host):\(server.port)\(path)"))
        return String(decoding: try client.get(address, bytesMax: bytesMax).body, as: UTF8.self)
    }

    @Test func `is fetched by name and by address, in each framing that has an end`() throws {
        try server.put(document: "{}", at: "/keys?x=1")
        #expect(try get("/keys?x=1") == "{}")
        #expect(try get("/keys?x=1", host: "127.0.0.1") == "{}")
        try server.put(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            at: "/chunks")
        #expect(try get("/chunks") == "abcde")
        try server.put("HTTP/1.0 200 OK\r\n\r\nuntil the end", at: "/open")
        #expect(try get("/open") == "until the end")
        let long = String(repeating: "x", count: 100_000)
        try server.put(document: long, at: "/long")
        #expect(try get("/long", bytesMax: 100_000) == long)
    }

    @Test func `that is cut off is not taken for whole`() throws {
        try server.put("HTTP/1.0 200 OK\r\n\r\nuntil", at: "/open/cut")
        #expect(throws: HTTPSError.self) { try get("/open/cut") }
        try server.put("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nuntil", at: "/short")
        #expect(throws: HTTPSError.malformed) { try get("/short") }
    }

    @Test func `has bounds, and no redirect is followed`() throws {
        try server.put(document: "12345", at: "/five")
        #expect(throws: HTTPSError.tooLarge) { try get("/five", bytesMax: 4) }
        try server.put(
            "HTTP/1.1 302 Found\r\nLocation: \(server.base)/five\r\nContent-Length: 0\r\n\r\n",
            at: "/moved")
        #expect(throws: HTTPSError.status(302)) { try get("/moved") }
        #expect(server.requests == ["/five", "/moved"])
    }

    @Test func `comes from a server that is trusted under this name alone`() throws {
        try server.put(document: "{}", at: "/keys")
        try certificates.make("other")
        let strangers = HTTPSClient(
            authorities: try TLSAuthorities(path: certificates.path("other.crt")))
        let address = try #require(HTTPSAddress(server.base + "/keys"))
        for client in [strangers, HTTPSClient()] {
            let error = #expect(throws: HTTPSError.self) {
                try client.get(address, bytesMax: 1000)
            }
            guard case .tls(.untrusted)? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        // The certificate is for `localhost` and 127.0.0.1; this is another name of the same machine.
        let error = #expect(throws: HTTPSError.self) { try get("/keys", host: "127.1") }
        guard case .tls(.untrusted(let reason))? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.contains("mismatch"))
        #expect(server.requests == [])
    }

    @Test func `is not waited for beyond its time`() throws {
        // A listener that never says anything; the time is over before it begins.
        let silent = try Socket.listening(on: .init("127.0.0.1")!, port: 0, backlog: 1)
        let connection = try Socket.connected(
            to: .init("127.0.0.1")!, port: silent.localPort,
            until: SystemClock.monotonicMilliseconds() + 10_000)
        let tls = TLSClient(
            descriptor: connection.descriptor, host: "localhost", authorities: nil)
        #expect(throws: TLSClientError.network(NetworkError(operation: "wait", code: 110))) {
            try tls.handshake(until: SystemClock.monotonicMilliseconds())
        }
    }
}

@Suite struct `Addresses of documents` {
    @Test func `of one host share the time, and the last has what is left`() {
        #expect(HTTPSClient.share(of: 10_000, at: 1000, among: 3) == 4000)
        #expect(HTTPSClient.share(of: 10_000, at: 4000, among: 2) == 7000)
        #expect(HTTPSClient.share(of: 10_000, at: 7000, among: 1) == 10_000)
        #expect(HTTPSClient.share(of: 10_000, at: 10_001, among: 2) == 10_000)
    }

    @Test func `are HTTPS, with a host and nothing that hides another`() throws {
        let plain = try #require(HTTPSAddress("https://login.example/a/b?c=d"))
        #expect(plain.host == "login.example" && plain.port == 443 && plain.path == "/a/b?c=d")
        let numbered = try #require(HTTPSAddress("https://[::1]:8443"))
        #expect(numbered.host == "::1" && numbered.port == 8443 && numbered.path == "/")
        #expect(HTTPSAddress("https://a.example?x")?.path == "/?x")
        for wrong in [
            "", "http://a.example/", "https://", "https:///x", "https://user@a.example/",
            "https://a.example/#x", "https://a.example:0/", "https://a.example:+1/",
            "https://a.example:65536/", "https://a.example:/", "https://a b/", "https://a\r\nb/",
            "https://a_b/", "https://[a.example]/", "https://[::1]x/", "https://ä.example/",
            "https://a\\b/", "file:///etc/passwd",
            "https://a.example/" + String(repeating: "x", count: 1024),
        ] {
            #expect(HTTPSAddress(wrong) == nil, "\(wrong)")
        }
    }
}

/// An answer that must not be read in either of two ways.
struct UnsoundAnswer: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let text: String
    let error: HTTPSError

    init(_ text: String, _ error: HTTPSError = .malformed) {
        self.text = text
        self.error = error
        testDescription = text.replacing("\r\n", with: "|")
    }

    static let all = [
        UnsoundAnswer("HTTP/2 200 OK\r\n\r\n"), UnsoundAnswer("HTTP/1.1 20 OK\r\n\r\n"),
        UnsoundAnswer("HTTP/1.1 2000 OK\r\n\r\n"), UnsoundAnswer("200 OK\r\n\r\n"),
        UnsoundAnswer("HTTP/1.1 100 Continue\r\n\r\n", .status(100)),
        UnsoundAnswer("HTTP/1.1 404 Not Found\r\n\r\n", .status(404)),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\na"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\na"),
        UnsoundAnswer(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", .tooLarge),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n", .tooLarge),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc"),
        UnsoundAnswer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFF\r\n"),
        UnsoundAnswer(
            "HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: HTTPSAnswer.headBytesMax),
            .tooLarge),
    ]
}

@Suite struct `Answers with a document` {
    @Test(arguments: UnsoundAnswer.all) func `that are not sound are refused`(
        _ answer: UnsoundAnswer
    ) {
        #expect(throws: answer.error) {
            try HTTPSAnswer.document(in: Array(answer.text.utf8), isEnded: false, bytesMax: 100)
        }
    }

    @Test func `are whole at their last byte and not before`() throws {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n",
        ] {
            let bytes = Array(text.utf8)
            for count in bytes.indices {
                let part = Array(bytes.prefix(count))
                #expect(try HTTPSAnswer.document(in: part, isEnded: false, bytesMax: 5) == nil)
                #expect(throws: HTTPSError.malformed) {
                    try HTTPSAnswer.document(in: part, isEnded: true, bytesMax: 5)
                }
            }
            #expect(
                try HTTPSAnswer.document(in: bytes, isEnded: false, bytesMax: 5)?.body
                    == Array("abcde".utf8))
        }
    }

    @Test(
        arguments: [
            ("", nil), ("Cache-Control: max-age=600\r\n", 600),
            ("cache-control: public, Max-Age=600\r\nAge: 90\r\n", 510),
            ("Cache-Control: max-age=600\r\nAge: 601\r\n", 0),
            ("Cache-Control: max-age=600\r\nCache-Control: max-age=60\r\n", 60),
            ("Cache-Control: max-age=600, no-store\r\n", 0), ("Cache-Control: no-cache\r\n", 0),
            ("Cache-Control: max-age=99999999999999999999\r\n", 1 << 31),
            ("Cache-Control: max-age=-1\r\n", nil), ("Cache-Control: max-age=\"600\"\r\n", nil),
            ("Cache-Control: s-maxage=600, private\r\n", nil), ("Age: 5\r\n", nil),
        ] as [(String, Int64?)])
    func `say how long they stay fresh`(_ fields: String, _ seconds: Int64?) throws {
        let answer = "HTTP/1.1 200 OK\r\n\(fields)Content-Length: 0\r\n\r\n"
        let document = try #require(
            try HTTPSAnswer.document(in: Array(answer.utf8), isEnded: false, bytesMax: 0))
        #expect(document.freshSeconds == seconds)
    }

    @Test func `of many small chunks have a bound too`() {
        let chunk = "1;" + String(repeating: "x", count: 1000) + "\r\na\r\n"
        let text =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + String(repeating: chunk, count: 20)
        #expect(throws: HTTPSError.tooLarge) {
            try HTTPSAnswer.document(in: Array(text.utf8), isEnded: false, bytesMax: 100)
        }
    }

    @Test func `of random bytes crash nothing`() {
        var generator = Generator()
        for _ in 0..<2000 {
            var bytes = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
            bytes += generator.bytes(count: Int.random(in: 0..<40, using: &generator))
            if generator.chance(0.3) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] ^= 0x20
            }
            // Whether it reads is not the question.
            _ = try? HTTPSAnswer.document(
                in: bytes, isEnded: generator.chance(0.5), bytesMax: 100)
        }
    }
}
