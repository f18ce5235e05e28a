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
    ConnectionRead.all(input, cuts: cuts).map { read in
        switch read {
        case .request(let head, let bytes):
            .request(
                method: head.method, path: head.path.text(in: bytes) ?? "",
                host: head.host.text(in: bytes), keepsAlive: head.keepsAlive)
        case .refusal(let status): .refusal(status)
        case .closed: .closed
        }
    }
}

private func run(_ text: String, cuts: [Int] = []) -> [Event] { run(Array(text.utf8), cuts: cuts) }

extension HostileRequest: CustomTestStringConvertible {
    public var testDescription: String { "RFC \(section): \(why)" }

    fileprivate var outcome: [Event] {
        [.refusal(HTTPStatus(rawValue: status) ?? .ok), .closed]
    }
}

extension OddRequest: CustomTestStringConvertible {
    public var testDescription: String { "RFC \(section): \(why)" }
}

@Suite struct `HTTP connections` {
    @Test(arguments: HostileRequest.all)
    private func `what two readers could read differently is refused`(_ refused: HostileRequest) {
        #expect(run(refused.bytes) == refused.outcome)
        #expect(refused.outcome.first != .refusal(.ok), "a status that the machine does not have")
    }

    @Test(arguments: HostileRequest.all)
    private func `a refusal does not depend on cuts, and nothing behind it is a request`(
        _ refused: HostileRequest
    ) {
        var random = Generator()
        let bytes =
            refused.bytes + Array("GET /hit HTTP/1.1\r\nHost: smuggled.example\r\n\r\n".utf8)
        for _ in 0..<20 {
            let cuts = (0..<5).map { _ in Int.random(in: 0...bytes.count, using: &random) }
            #expect(run(bytes, cuts: cuts) == refused.outcome, "seed \(random.seed)")
        }
        if bytes.count < 300 {
            #expect(run(bytes, cuts: Array(0..<bytes.count)) == refused.outcome)
        }
    }

    @Test(arguments: OddRequest.all)
    private func `what is unusual and lawful is read`(_ odd: OddRequest) {
        let next = "GET /next HTTP/1.1\r\nHost: n\r\n\r\n"
        let events = run(odd.text + next)
        #expect(events.count == 2)
        guard case .request(_, _, _, let keepsAlive) = events.first else {
            Issue.record("\(events)")
            return
        }
        #expect(keepsAlive == odd.keepsAlive)
        #expect(
            events.last
                == (keepsAlive
                    ? .request(method: .get, path: "/next", host: "n", keepsAlive: true) : .closed))
        #expect(run(odd.text + next, cuts: Array(0..<odd.text.utf8.count)) == events)
    }

    @Test func `the target's host stands over the Host field`() {
        #expect(
            run("GET http://b.example:8080/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n") == [
                .request(method: .get, path: "/x", host: "b.example:8080", keepsAlive: true)
            ])
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
            .request(method: .options, path: "*", host: "[::1]", keepsAlive: true),
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

    @Test func `a posted body comes with its head, whole, however it is cut`() {
        let body = "a=GET / HTTP/1.1\r\nHost: x\r\n\r\n&b"
        let text =
            "POST /hit?q HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            + "POST /empty HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            + "POST /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nzGET / HTTP/1.1\r\n"
        var random = Generator()
        for round in 0..<300 {
            var bytes = Array(text.utf8)[...]
            var machine = ConnectionMachine(at: 0)
            var buffer: [UInt8] = []
            var found: [String] = []
            feeding: while true {
                switch machine.step(buffer.span, at: 0) {
                case .needMore:
                    guard !bytes.isEmpty else { break feeding }
                    let count =
                        round == 0 ? 1 : Int.random(in: 1...min(40, bytes.count), using: &random)
                    buffer += bytes.prefix(count)
                    bytes = bytes.dropFirst(count)
                case .request:
                    let head = machine.head
                    func part(_ range: ByteRange) -> String {
                        range.isPresent
                            ? String(
                                decoding: buffer[range.lowerBound..<range.upperBound], as: UTF8.self
                            ) : "-"
                    }
                    #expect(head.method == .post)
                    found += [part(head.path), part(head.contentType), part(head.body)]
                    buffer.removeFirst(head.byteCount)
                default: break feeding
                }
            }
            #expect(
                found == ["/hit", "text/plain", body, "/empty", "-", "-", "/none", "-", "z"],
                "seed \(random.seed)")
            #expect(machine.isClosed)
        }
    }

    @Test func `the largest posted body is read, and a slow one is cut off`() {
        var machine = ConnectionMachine(at: 0)
        let body = String(repeating: "a", count: HTTPLimits.postBytesMax)
        let text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        let bytes = Array(text.utf8)
        #expect(machine.step(bytes.span.extracting(droppingLast: 1), at: 500) == .needMore)
        #expect(machine.isReadingRequest)
        #expect(
            machine.deadline
                == HTTPLimits.bodyPace.deadline(start: 500, bytes: HTTPLimits.postBytesMax - 1))
        #expect(machine.step(bytes.span, at: 600) == .request)
        #expect(machine.head.body.count == HTTPLimits.postBytesMax)
        #expect(machine.head.byteCount == bytes.count)
        #expect(machine.isIdle)
    }

    @Test(arguments: [
        ("Sec-Purpose: prefetch", RequestHead.Speculation.prefetch),
        ("Sec-Purpose: prefetch;prerender", .prerender),
        ("sec-purpose: Prefetch ; Prerender", .prerender),
        ("Sec-Purpose: prefetch;anonymous-client-ip", .prefetch), ("Purpose: prefetch", .prefetch),
        ("X-Purpose: preview", .prefetch), ("X-Moz: prefetch", .prefetch),
        ("Purpose: prefetch\r\nSec-Purpose: prefetch;prerender", .prerender),
        ("Sec-Purpose: prefetch;prerender\r\nPurpose: prefetch", .prerender),
        ("Sec-Purpose: none", .none), ("Sec-Purpose:", .none), ("X-Purpose: prefetched", .none),
    ])
    func `what is asked ahead of the person is known as such`(
        _ header: String, _ expected: RequestHead.Speculation
    ) {
        var machine = ConnectionMachine(at: 0)
        let bytes = Array("GET / HTTP/1.1\r\nHost: x\r\n\(header)\r\n\r\n".utf8)
        #expect(machine.step(bytes.span, at: 0) == .request)
        #expect(machine.head.speculation == expected)
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
            HostileRequest.all.map(\.bytes).filter { $0.count < 400 } + [
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
        let whole = Array("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n".utf8)
        #expect(machine.step(whole.span.extracting(first: 8), at: 2000) == .needMore)
        #expect(machine.deadline == HTTPLimits.headPace.deadline(start: 2000, bytes: 8))
        #expect(!machine.isIdle)
        #expect(machine.step(whole.span, at: 9500) == .request)
        #expect(machine.deadline == HTTPLimits.bodyPace.deadline(start: 9500, bytes: 0))
        #expect(machine.step(whole.span.extracting(first: 1), at: 9600) == .discard(1))
        #expect(machine.deadline == HTTPLimits.bodyPace.deadline(start: 9500, bytes: 1))
        #expect(machine.step(whole.span.extracting(first: 1), at: 9600) == .discard(1))
        #expect(machine.deadline == 9600 + HTTPLimits.idleMillisecondsMax)
        #expect(machine.isIdle)
    }

    /// Sends `bytes` at `perSecond` and returns the millisecond after which the machine's deadline had passed; nil when it
    /// read all of it.
    private func timeOfCut(_ bytes: [UInt8], perSecond: Int) -> UInt64? {
        var machine = ConnectionMachine(at: 0)
        var now: UInt64 = 0
        var start = 0
        for end in 1...bytes.count {
            now = UInt64(end - 1) * 1000 / UInt64(perSecond)
            if now >= machine.deadline { return machine.deadline }
            feeding: while true {
                switch machine.step(bytes.span.extracting(start..<end), at: now) {
                case .needMore: break feeding
                case .discard(let count): start += count
                case .request: start += machine.head.byteCount
                case .refuse, .closed: return now
                }
            }
        }
        return nil
    }

    @Test func `a client that sends its head a byte a second is cut off when its grace ends`() {
        let head = Array(
            "GET /\(String(repeating: "a", count: 4000)) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        let grace = HTTPLimits.headPace.graceMilliseconds
        let cut = timeOfCut(head, perSecond: 1)
        #expect(cut.map { $0 >= grace && $0 < grace + 100 } == true)
        #expect(timeOfCut(head, perSecond: 2000) == nil)
        // Fast enough at each moment, and too long on the whole.
        let long = Array(
            "GET / HTTP/1.1\r\nHost: x\r\nX: \(String(repeating: "a", count: 16_000))\r\n\r\n".utf8)
        #expect(timeOfCut(long, perSecond: 600) == HTTPLimits.headPace.millisecondsMax)
        #expect(timeOfCut(long, perSecond: 2000) == nil)
    }

    @Test func `a client that sends its body a byte a second is cut off when its grace ends`() {
        let head = "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n"
        let body = [UInt8](repeating: 0x61, count: 6000)
        var machine = ConnectionMachine(at: 0)
        #expect(machine.step(Array(head.utf8).span, at: 0) == .request)
        for second in UInt64(0)..<4 {
            if second >= 3 {
                #expect(machine.deadline <= second * 1000 + 10)
                return
            }
            #expect(machine.deadline > second * 1000)
            #expect(machine.step(body.span.extracting(first: 1), at: second * 1000) == .discard(1))
        }
        Issue.record("the body was not cut off")
    }

    @Test func `a pace gives grace, then time for what has moved, and an end`() {
        let pace = Pace(graceMilliseconds: 3000, bytesPerSecondMin: 500, millisecondsMax: 10_000)
        #expect(pace.deadline(start: 100, bytes: 0) == 3100)
        #expect(pace.deadline(start: 100, bytes: 500) == 4100)
        #expect(pace.deadline(start: 100, bytes: 3499) == 10_098)
        #expect(pace.deadline(start: 100, bytes: 1_000_000) == 10_100)
    }
}
