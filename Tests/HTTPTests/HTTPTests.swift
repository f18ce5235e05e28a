import HTTP
import TestSupport
import Testing

/// What a connection did with its input, in order.
private enum Event: Equatable {
    case request(method: RequestHead.Method, path: String, host: String?, keepsAlive: Bool)
    case refusal(HTTPStatus)
    case closed
}

/// Feeds `input` cut into pieces at `cuts` as a shell would.
private func run(_ input: [UInt8], cuts: [Int] = []) -> [Event] {
    var machine = ConnectionMachine(at: 0)
    var events: [Event] = []
    var buffer: [UInt8] = []
    var position = 0
    for end in cuts.sorted() + [input.count] {
        buffer += input[position..<end]
        position = end
        feeding: while true {
            switch machine.step(buffer.span, at: 0) {
            case .needMore: break feeding
            case .discard(let count): buffer.removeFirst(count)
            case .request:
                let head = machine.head
                func text(_ range: ByteRange) -> String? {
                    guard range.isPresent else { return nil }
                    return String(
                        decoding: buffer[range.lowerBound..<range.upperBound], as: UTF8.self)
                }
                events.append(
                    .request(
                        method: head.method, path: text(head.path) ?? "", host: text(head.host),
                        keepsAlive: head.keepsAlive))
                buffer.removeFirst(head.byteCount)
            case .refuse(let status): events.append(.refusal(status))
            case .closed:
                if events.last != .closed { events.append(.closed) }
                break feeding
            }
        }
    }
    return events
}

private func run(_ text: String, cuts: [Int] = []) -> [Event] { run(Array(text.utf8), cuts: cuts) }

private struct Refused: CustomTestStringConvertible, Sendable {
    let why: String
    let text: String
    let status: HTTPStatus
    init(_ why: String, _ text: String, _ status: HTTPStatus = .badRequest) {
        self.why = why
        self.text = text
        self.status = status
    }
    var testDescription: String { why }

    static let host = "Host: a.example\r\n"
    static let cases: [Refused] = [
        Refused("bare line feeds", "GET / HTTP/1.1\nHost: a\n\n"),
        Refused("a bare line feed after a header", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
        Refused("a bare carriage return in a value", "GET / HTTP/1.1\r\n\(host)X: a\rb\r\n\r\n"),
        Refused("a bare carriage return in the request line", "GET /\r HTTP/1.1\r\n\(host)\r\n"),
        Refused("two carriage returns", "GET / HTTP/1.1\r\r\n\(host)\r\n"),
        Refused("a NUL in a value", "GET / HTTP/1.1\r\n\(host)X: a\0b\r\n\r\n"),
        Refused("a NUL in the target", "GET /\0 HTTP/1.1\r\n\(host)\r\n"),
        Refused("a control byte in a value", "GET / HTTP/1.1\r\n\(host)X: a\u{1}b\r\n\r\n"),
        Refused("a folded header", "GET / HTTP/1.1\r\n\(host)X: a\r\n b\r\n\r\n"),
        Refused("white space before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        Refused("white space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        Refused("a header without a colon", "GET / HTTP/1.1\r\n\(host)X\r\n\r\n"),
        Refused("a header without a name", "GET / HTTP/1.1\r\n\(host): x\r\n\r\n"),
        Refused("a name that is no token", "GET / HTTP/1.1\r\n\(host)X(: x\r\n\r\n"),
        Refused("no host", "GET / HTTP/1.1\r\n\r\n"),
        Refused("two hosts", "GET / HTTP/1.1\r\n\(host)Host: b\r\n\r\n"),
        Refused("two equal hosts", "GET / HTTP/1.1\r\n\(host)\(host)\r\n"),
        Refused("an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        Refused("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        Refused("a host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        Refused("user information in the target", "GET http://u@a/ HTTP/1.1\r\n\(host)\r\n"),
        Refused("an absolute target without host", "GET http:///x HTTP/1.1\r\n\(host)\r\n"),
        Refused("another scheme", "GET ftp://a/x HTTP/1.1\r\n\(host)\r\n"),
        Refused("authority form", "CONNECT a:443 HTTP/1.1\r\n\(host)\r\n"),
        Refused("asterisk form of GET", "GET * HTTP/1.1\r\n\(host)\r\n"),
        Refused("a fragment", "GET /a#b HTTP/1.1\r\n\(host)\r\n"),
        Refused("raw UTF-8 in the target", "GET /ü HTTP/1.1\r\n\(host)\r\n"),
        Refused("two spaces", "GET  / HTTP/1.1\r\n\(host)\r\n"),
        Refused("a tab for a space", "GET\t/ HTTP/1.1\r\n\(host)\r\n"),
        Refused("a space at the end", "GET / HTTP/1.1 \r\n\(host)\r\n"),
        Refused("no version", "GET /\r\n\(host)\r\n"),
        Refused("a version of two digits", "GET / HTTP/1.10\r\n\(host)\r\n"),
        Refused("a version in lowercase", "GET / http/1.1\r\n\(host)\r\n"),
        Refused("HTTP/1.2", "GET / HTTP/1.2\r\n\(host)\r\n", .versionNotSupported),
        Refused("HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .versionNotSupported),
        Refused("HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", .versionNotSupported),
        Refused("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n\(host)\r\n"),
        Refused(
            "two lengths", "GET / HTTP/1.1\r\n\(host)Content-Length: 1\r\nContent-Length: 2\r\n\r\n"
        ),
        Refused(
            "two equal lengths",
            "GET / HTTP/1.1\r\n\(host)Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
        Refused("a list of lengths", "GET / HTTP/1.1\r\n\(host)Content-Length: 1, 1\r\n\r\n"),
        Refused("a signed length", "GET / HTTP/1.1\r\n\(host)Content-Length: +1\r\n\r\n"),
        Refused("a hexadecimal length", "GET / HTTP/1.1\r\n\(host)Content-Length: 0x1\r\n\r\n"),
        Refused("an empty length", "GET / HTTP/1.1\r\n\(host)Content-Length:\r\n\r\n"),
        Refused(
            "a length beside a coding",
            "GET / HTTP/1.1\r\n\(host)Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Refused("a coding in HTTP/1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Refused(
            "chunked", "GET / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n",
            .lengthRequired),
        Refused(
            "a disguised coding", "GET / HTTP/1.1\r\n\(host)Transfer-Encoding: xchunked\r\n\r\n",
            .notImplemented),
        Refused(
            "two codings",
            "GET / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            .notImplemented),
        Refused(
            "a large body", "GET / HTTP/1.1\r\n\(host)Content-Length: 65537\r\n\r\n",
            .contentTooLarge),
        Refused(
            "a length beyond all integers",
            "GET / HTTP/1.1\r\n\(host)Content-Length: 99999999999999999999999999\r\n\r\n",
            .contentTooLarge),
        Refused(
            "an expectation", "GET / HTTP/1.1\r\n\(host)Expect: 100-continue\r\n\r\n",
            .expectationFailed),
        Refused(
            "a request line beyond its bound",
            "GET /" + String(repeating: "a", count: HTTPLimits.requestLineBytesMax)
                + " HTTP/1.1\r\n\(host)\r\n",
            .uriTooLong),
        Refused(
            "a request line without end", String(repeating: "a", count: 20_000), .uriTooLong),
        Refused(
            "a head beyond its bound",
            "GET / HTTP/1.1\r\n\(host)X: " + String(repeating: "a", count: HTTPLimits.headBytesMax)
                + "\r\n\r\n", .headerFieldsTooLarge),
        Refused(
            "too many headers",
            "GET / HTTP/1.1\r\n\(host)"
                + String(repeating: "X: a\r\n", count: HTTPLimits.headerCountMax)
                + "\r\n", .headerFieldsTooLarge),
        Refused("nothing but noise", "\u{16}\u{3}\u{1}\n\n\n"),
    ]
}

@Suite struct `HTTP connections` {
    @Test(arguments: Refused.cases)
    private func `what two readers could read differently is refused`(_ refused: Refused) {
        #expect(run(refused.text) == [.refusal(refused.status), .closed])
    }

    @Test(arguments: Refused.cases)
    private func `a refusal does not depend on how the bytes were cut`(_ refused: Refused) {
        var random = Generator()
        let bytes = Array(refused.text.utf8)
        for _ in 0..<20 {
            let cuts = (0..<5).map { _ in Int.random(in: 0...bytes.count, using: &random) }
            #expect(
                run(bytes, cuts: cuts) == [.refusal(refused.status), .closed], "seed \(random.seed)"
            )
        }
        if bytes.count < 200 {
            #expect(
                run(bytes, cuts: Array(0..<bytes.count)) == [.refusal(refused.status), .closed])
        }
    }

    @Test
    func `pipelined requests, bodies and odd but lawful forms are read, however they are cut`() {
        let text =
            "\r\nGET /a?x=1 HTTP/1.1\r\nHost: one.example:8080\r\n\r\n"
            + "HEAD http://two.example/b HTTP/1.1\r\nhOsT:\t ignored.example \t\r\nContent-Length: 5\r\n\r\nGET /"
            + "GET https://three.example?q HTTP/1.1\r\nHost: x\r\nConnection: foo , Keep-Alive\r\n\r\n"
            + "OPTIONS * HTTP/1.1\r\nHost: [::1]\r\nEmpty:\r\n\r\n"
            + "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
            + "DELETE /last HTTP/1.1\r\nHost: x\r\nConnection: a,close\r\n\r\nGET /never HTTP/1.1\r\n"
        let expected: [Event] = [
            .request(method: .get, path: "/a", host: "one.example:8080", keepsAlive: true),
            .request(method: .head, path: "/b", host: "two.example", keepsAlive: true),
            .request(method: .get, path: "", host: "three.example", keepsAlive: true),
            .request(method: .other, path: "*", host: "[::1]", keepsAlive: true),
            .request(method: .get, path: "/old", host: nil, keepsAlive: true),
            .request(method: .other, path: "/last", host: "x", keepsAlive: false),
            .closed,
        ]
        #expect(run(text) == expected)
        #expect(run(text, cuts: Array(0..<text.utf8.count)) == expected)
        var random = Generator()
        for _ in 0..<500 {
            let cuts = (0..<6).map { _ in Int.random(in: 0...text.utf8.count, using: &random) }
            #expect(run(text, cuts: cuts) == expected, "seed \(random.seed)")
        }
    }

    @Test func `HTTP/1.0 closes unless it asks not to`() {
        #expect(
            run("GET / HTTP/1.0\r\n\r\n") == [
                .request(method: .get, path: "/", host: nil, keepsAlive: false), .closed,
            ])
    }

    @Test func `the largest lawful request line and head are read`() {
        let path = "/" + String(repeating: "a", count: HTTPLimits.requestLineBytesMax - 14)
        let line = "GET \(path) HTTP/1.1"
        #expect(line.utf8.count == HTTPLimits.requestLineBytesMax)
        let start = "\(line)\r\nHost: x\r\nX: "
        let padding = String(repeating: "b", count: HTTPLimits.headBytesMax - start.utf8.count - 4)
        let text = start + padding + "\r\n\r\n"
        let expected: [Event] = [.request(method: .get, path: path, host: "x", keepsAlive: true)]
        #expect(run(text) == expected)
        #expect(run(text, cuts: [8190, 8192, 8194, 16_382, 16_383]) == expected)
        #expect(run(start + padding + "b\r\n\r\n") == [.refusal(.headerFieldsTooLarge), .closed])
    }

    @Test func `random bytes and damaged requests never crash and do not depend on cuts`() {
        var random = Generator()
        let seeds =
            Refused.cases.map { Array($0.text.utf8) }.filter { $0.count < 400 } + [
                Array(
                    "GET /pixel.gif?a=b HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc"
                        .utf8)
            ]
        let palette: [UInt8] = [0x0D, 0x0A, 0x20, 0x3A, 0x00, 0x09, 0x2F, 0x31, 0x41, 0xFF]
        for _ in 0..<3000 {
            var bytes = seeds.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                let byte =
                    random.chance(0.7)
                    ? palette.randomElement(using: &random)!
                    : UInt8.random(in: 0...255, using: &random)
                if random.chance(0.5) { bytes[index] = byte } else { bytes.insert(byte, at: index) }
            }
            if random.chance(0.3) { bytes += bytes }
            let cuts = (0..<4).map { _ in Int.random(in: 0...bytes.count, using: &random) }
            #expect(run(bytes) == run(bytes, cuts: cuts), "seed \(random.seed)")
        }
        for _ in 0..<300 {
            let bytes = random.bytes(count: Int.random(in: 0...600, using: &random))
            #expect(run(bytes) == run(bytes, cuts: [bytes.count / 2]), "seed \(random.seed)")
        }
    }

    @Test
    func `a repeated consent header is marked, and all forwarding fields are kept up to the bound`()
    {
        var machine = ConnectionMachine(at: 0)
        let fields = (0..<9).map { "X-Forwarded-For: 192.0.2.\($0)\r\n" }.joined()
        let text =
            "GET / HTTP/1.1\r\nHost: x\r\nSec-GPC: 0\r\nsec-gpc: 1\r\nDNT: 1\r\ndnt: 0\r\n\(fields)\r\n"
        let bytes = Array(text.utf8)
        #expect(machine.step(bytes.span, at: 0) == .request)
        func value(_ range: ByteRange) -> String {
            String(decoding: bytes[range.lowerBound..<range.upperBound], as: UTF8.self)
        }
        #expect(machine.head.repeatsConsentHeader)
        #expect(value(machine.head.globalPrivacyControl) == "0")
        #expect(value(machine.head.doNotTrack) == "1")
        #expect(machine.head.forwardedFor.count == HTTPLimits.forwardFieldsMax)
        #expect(machine.head.forwardedFor.isOverfull)
        #expect(value(machine.head.forwardedFor[7]) == "192.0.2.7")
    }

    @Test func `each phase has its own deadline`() {
        var machine = ConnectionMachine(at: 1000)
        #expect(machine.deadline == 1000 + HTTPLimits.idleMillisecondsMax)
        let start = Array("GET / HT".utf8)
        #expect(machine.step(start.span, at: 2000) == .needMore)
        #expect(machine.deadline == 2000 + HTTPLimits.headMillisecondsMax)
        #expect(machine.step(start.span, at: 9000) == .needMore)
        #expect(
            machine.deadline == 2000 + HTTPLimits.headMillisecondsMax, "a slow head gains nothing")
        #expect(!machine.isIdle)
        let whole = Array("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n".utf8)
        #expect(machine.step(whole.span, at: 9500) == .request)
        #expect(machine.deadline == 9500 + HTTPLimits.bodyMillisecondsMax)
        #expect(machine.step(whole.span.extracting(first: 2), at: 9600) == .discard(2))
        #expect(machine.deadline == 9600 + HTTPLimits.idleMillisecondsMax)
        #expect(machine.isIdle)
    }
}
