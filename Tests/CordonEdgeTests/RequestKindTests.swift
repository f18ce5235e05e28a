import CordonModel
import Foundation
import HTTP
import TestSupport
import Testing

@testable import CordonEdge

private let german = "X-Forwarded-For: \(EdgeFixture.german)"
private let form = "application/x-www-form-urlencoded"

@Suite struct `Kinds of requests` {
    @Test func `a posted form, text or JSON object is a hit like a query`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let fields =
            "site=Shop.Example&event=buy&userid=u1&consent=granted&url=https%3A%2F%2Fa.example%2Fp%3Fx&ref=https%3A%2F%2Fr.example&value=9%2C5"
        let json =
            #"{"site":"Shop.Example","event":"buy","userid":"u1","consent":"granted","url":"https://a.example/p?x","ref":"https:\/\/r.example","value":"9,5"}"#
        #expect(client.get("/hit?" + fields, [german])?.status == 204)
        for (type, body) in [
            (form, fields), ("text/plain;charset=UTF-8", fields), ("text/plain", "\n " + json),
            ("application/json", json),
        ] {
            let answer = try #require(client.post("/hit", type, body, [german]))
            #expect(answer.status == 204)
            #expect(answer.headers["access-control-allow-origin"] == "*")
        }
        // Without a body the query is all there is.
        #expect(client.post("/hit?" + fields, nil, "", [german])?.status == 204)
        fixture.collector.drain()
        var records = try fixture.records("eu-central")
        #expect(records.count == 6)
        for index in records.indices {
            records[index].hitID = 0
            records[index].timestamp = Timestamp(microseconds: 0)
            #expect(records[index] == records[0])
        }
        #expect(records[0].site == "shop.example")
        #expect(records[0].event == "buy")
        #expect(records[0].pagePath == "/p")
        #expect(records[0].referrerHost == "r.example")
        #expect(records[0].user != nil)
        #expect(records[0].parameters == [.init(key: "value", value: "9,5")])
    }

    @Test func `the body's field counts before the query's, and consent is the strictest of both`()
        throws
    {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let both = "event=body&value=1&consent=granted"
        _ = client.post("/hit?event=query&value=2&sku=3", form, both, [german])
        _ = client.post("/hit?consent=denied", form, both, [german])
        _ = client.post("/hit?consent=granted", form, "event=e&consent=denied", [german])
        _ = client.post("/hit", "application/json", #"{"consent":true,"event":"e"}"#, [german])
        _ = client.post("/hit", "application/json", #"{"consent":false}"#, [german])
        _ = client.post("/hit", "application/json", #"{"consent":null}"#, [german])
        _ = client.post("/hit", form, both, [german, "Sec-GPC: 1"])
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(
            records.map(\.consent)
                == [.granted, .denied, .denied, .granted, .denied, .absent, .denied])
        #expect(records[0].event == "body")
        #expect(records[0].parameters.map(\.value) == ["3", "1"])
    }

    @Test func `a consent manager that has not spoken counts as a refusal`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        for unread in ["gdpr_consent=%3F", "gpp=%3F"] {
            _ = client.post("/hit", form, "consent=granted&\(unread)", [german])
        }
        let json = #"{"consent":"granted","gdpr_consent":"?"}"#
        _ = client.post("/hit", "application/json", json, [german])
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.map(\.consent) == [.invalid, .invalid, .invalid])
        #expect(records.allSatisfy { $0.browser == nil })
    }

    @Test
    func `a body that cannot be read is refused, counted and no hit, and the connection goes on`()
        throws
    {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        for (type, body, status) in [
            ("application/json", "{\"event\":", 400), ("application/json", "[1]", 400),
            ("application/json", #"{"a":{"b":1}}"#, 400), ("text/plain", "{broken", 400),
            ("application/octet-stream", "event=a", 415), (nil, "event=a", 415),
            ("multipart/form-data; boundary=x", "--x--", 415),
        ] as [(String?, String, Int)] {
            let answer = try #require(client.post("/hit", type, body, [german]))
            #expect(answer.status == status)
            #expect(String(decoding: answer.body, as: UTF8.self).hasPrefix("expected "))
            #expect(answer.headers["connection"] == nil)
        }
        #expect(client.get("/hit?event=after", [german])?.status == 204)
        let large = String(repeating: "a", count: HTTPLimits.postBytesMax + 1)
        client.send(EdgeClient.post("/hit", form, large))
        let refused = try #require(client.answer())
        #expect(refused.status == 413)
        #expect(refused.headers["connection"] == "close")
        #expect(client.answer() == nil)
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").map(\.event) == ["after"])
        let counters = fixture.collector.counters()
        #expect(counters.received == 1)
        #expect(counters[EdgeEvent.bodiesRefused] == 7)
    }

    @Test func `the largest body and pipelined ones are hits`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        let start = "consent=granted&event=large&value="
        let count = HTTPLimits.postBytesMax - start.utf8.count
        var text = ""
        for number in 0..<40 {
            text += EdgeClient.post(
                "/hit?n=\(number)", form, start + String(repeating: "€", count: count / 3), [german]
            )
        }
        client.send(text)
        for _ in 0..<40 { #expect(client.answer()?.status == 204) }
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.count == 40)
        #expect(records.allSatisfy { $0.parameters[0].value.utf8.count == 2046 })
    }

    @Test func `a posted body leaves nothing of it in the loop`() throws {
        let posted = PostedForm()
        let bytes = Array(EdgeClient.post("/hit", form, "userid=planted-8812").utf8)
        var machine = ConnectionMachine(at: 0)
        #expect(machine.step(bytes.span, at: 0) == .request)
        var head = machine.head
        #expect(posted.take(&head, bytes.span) == nil)
        #expect(posted.bytes.firstRange(of: Array("planted-8812".utf8)) != nil)
        posted.wipe()
        #expect(posted.bytes.isEmpty)
    }

    @Test func `a preflight is answered for every origin, without credentials, and is no hit`()
        throws
    {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        client.send(
            EdgeClient.request(
                "/hit",
                [
                    "Origin: https://shop.example", "Access-Control-Request-Method: POST",
                    "Access-Control-Request-Headers: content-type", german,
                ], method: "OPTIONS"))
        let answer = try #require(client.answer())
        #expect(answer.status == 204)
        #expect(answer.headers["access-control-allow-origin"] == "*")
        #expect(answer.headers["access-control-allow-methods"] == "GET, HEAD, POST")
        #expect(answer.headers["access-control-allow-headers"] == "Content-Type")
        #expect(answer.headers["access-control-max-age"] == "86400")
        #expect(answer.headers["access-control-allow-credentials"] == nil)
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters.received == 0)
        #expect(counters[EdgeEvent.preflights] == 1)
        #expect(try fixture.records("eu-central").isEmpty)
    }

    @Test func `no answer can be turned into an identifier`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let conditions = [
            "If-None-Match: \"planted-tag\"", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            "If-Range: \"planted-tag\"", "Range: bytes=0-0", "If-None-Match: *",
            "Cookie: planted=1",
        ]
        for target in ["/pixel.gif", "/1x1.png", "/hit", "/cordon.js", "/demo"] {
            var plain = try #require(client.get(target, [german]))
            let date = plain.headers.removeValue(forKey: "date")
            #expect(date != nil)
            for condition in conditions {
                var answer = try #require(client.get(target, [german, condition]))
                answer.headers["date"] = nil
                #expect(answer == plain, "\(target) with \(condition)")
            }
            client.send(EdgeClient.request(target, conditions, method: "HEAD"))
            var head = try #require(client.answer(headOnly: true))
            head.headers["date"] = nil
            #expect(head.status == plain.status)
            #expect(head.headers == plain.headers)
        }
        fixture.collector.drain()
        // Three hit paths, each once plain and once with each condition; HEAD is no hit.
        #expect(fixture.collector.counters().received == 21)
        #expect(fixture.collector.counters()[EdgeEvent.hitHeads] == 3)
        // What no answer says: what would come back with the next request, and what asks for more than a request says by itself.
        for answer in Answer.allCases {
            let text = ResponseTable.head(answer, .open, type: "x", bodyCount: 1).lowercased()
            for name in [
                "etag", "last-modified", "set-cookie", "accept-ch", "critical-ch",
                "access-control-allow-credentials", "expires", "vary", "accept-ranges", "report-to",
                "nel", "alt-svc", "location",
            ] {
                #expect(!text.contains("\r\n\(name):"), "\(answer) says \(name)")
            }
            if answer != .script { #expect(text.contains("\r\ncache-control: no-store\r\n")) }
        }
    }

    @Test func `the script is small, cacheable and the same for everybody`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let answer = try #require(client.get("/cordon.js", [german, "Cookie: a=b"]))
        #expect(answer.status == 200)
        #expect(answer.body.count <= PageScript.bytesMax)
        #expect(answer.body.count < 1536)
        #expect(answer.body == Array(PageScript.text.utf8))
        #expect(answer.headers["content-type"] == "text/javascript; charset=utf-8")
        #expect(answer.headers["cache-control"] == "public, max-age=86400")
        #expect(answer.headers["access-control-allow-origin"] == "*")
        #expect(answer.headers["x-content-type-options"] == "nosniff")
        #expect(answer.headers["set-cookie"] == nil)
        for word in ["cookie", "localStorage", "sessionStorage", "indexedDB", "canvas", "eval"] {
            #expect(!PageScript.text.contains(word))
        }
        #expect(PageScript.text.utf8.allSatisfy { $0 < 0x80 })
        fixture.collector.drain()
        #expect(fixture.collector.counters().received == 0)
    }

    @Test func `the guide states the script's digest`() throws {
        let guide = try String(
            contentsOfFile: ShippedProject.root + "/Docs/tagging.md", encoding: .utf8)
        let digest = try #require(try sha384(Array(PageScript.text.utf8)))
        let isStated = guide.contains("integrity=\"sha384-\(digest)\"")
        #expect(isStated, "it is sha384-\(digest)")
    }

    private func sha384(_ bytes: [UInt8]) throws -> String? {
        let directory = try TemporaryDirectory()
        let file = directory.file("script")
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = ["dgst", "-sha384", "-binary", file]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return output.count == 48 ? output.base64EncodedString() : nil
    }

    @Test func `what a browser fetches ahead is marked, whatever the consent`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        _ = client.get("/pixel.gif", [german, "Sec-Purpose: prefetch"])
        _ = client.get(
            "/hit?event=buy&consent=granted", [german, "Sec-Purpose: prefetch;prerender"])
        _ = client.get("/hit?event=", [german, "Purpose: prefetch"])
        let longest = String(repeating: "e", count: EdgeLimits.eventBytesMax)
        _ = client.post(
            "/hit", form, "event=\(longest)&consent=granted", [german, "X-Moz: prefetch"])
        _ = client.post("/hit", form, "event=\(longest)", [german, "X-Moz: prefetch"])
        _ = client.post("/hit", form, "event=\(longest)e", [german, "X-Moz: prefetch"])
        _ = client.get("/hit?event=\(longest)&consent=granted", [german])
        fixture.collector.drain()
        #expect(
            try fixture.records("eu-central").map(\.event) == [
                "prefetch:view", "prerender:buy", "prefetch:invalid", "prefetch:\(longest)",
                "prefetch:other", "prefetch:invalid", longest,
            ])
    }

    @Test func `a machine's user agent is marked`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        _ = client.get("/hit?consent=granted", [german, "User-Agent: some-bot/1.0"])
        _ = client.get("/hit?consent=denied", [german, "User-Agent: some-bot/1.0"])
        _ = client.get("/hit?consent=granted", [german, "User-Agent: Firefox/131.0"])
        _ = client.get("/hit?consent=granted", [german])
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.map(\.isBot) == [true, true, false, false])
    }
}
