import Bytes
import CordonJournal
import CordonKeys
import CordonModel
import Foundation
import LinuxIO
import SQLite
import Telemetry
import TestSupport
import Testing

@testable import CordonEdge

private func forwarded(_ address: String) -> String { "X-Forwarded-For: \(address)" }
private let firefox = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/131.0 planted-agent-7391"

@Suite struct `A collector` {
    @Test func `answers each path as stated`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let gif = try #require(client.get("/pixel.gif"))
        #expect(gif.status == 200)
        #expect(gif.body == Pixel.gif)
        #expect(gif.body.count == 43)
        #expect(gif.headers["content-type"] == "image/gif")
        #expect(gif.headers["cache-control"] == "no-store")
        #expect(gif.headers["date"]?.hasSuffix(" GMT") == true)
        let png = try #require(client.get("/1x1.png"))
        #expect(png.body == Pixel.png)
        #expect(png.headers["content-type"] == "image/png")
        let empty = try #require(client.get("/hit"))
        #expect(empty.status == 204)
        #expect(empty.headers["content-length"] == nil)
        #expect(client.get("/healthz")?.status == 200)
        #expect(client.get("/readyz")?.status == 200)
        #expect(client.get("/demo")?.headers["content-type"] == "text/html; charset=utf-8")
        #expect(client.get("/nothing")?.status == 404)
        for (method, target, allowed) in [
            ("POST", "/pixel.gif", "GET, HEAD"), ("OPTIONS", "/metrics", "GET, HEAD"),
            ("PUT", "/hit", "GET, HEAD, OPTIONS, POST"), ("OPTIONS", "*", "GET, HEAD"),
        ] {
            client.send(EdgeClient.request(target, method: method))
            let refused = try #require(client.answer())
            #expect(refused.status == 405)
            #expect(refused.headers["allow"] == allowed)
        }
        client.send(EdgeClient.request("/pixel.gif", method: "HEAD"))
        let head = try #require(client.answer(headOnly: true))
        #expect(head.status == 200)
        #expect(head.headers["content-length"] == "43")
        let metrics = try #require(client.get("/metrics"))
        let text = String(decoding: metrics.body, as: UTF8.self)
        #expect(text.contains("cordon_edge_hit_requests_total 3\n"))
        client.send("GET /pixel.gif HTTP/1.1\nHost: x\n\n")
        let malformed = try #require(client.answer())
        #expect(malformed.status == 400)
        #expect(malformed.headers["connection"] == "close")
        #expect(client.answer() == nil)
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").count == 3)
    }

    @Test func `a hit of each country is in the journal of its home region when it is answered`()
        throws
    {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let query = "/pixel.gif?site=Shop.Example&event=buy&consent=granted"
        for address in [EdgeFixture.german, EdgeFixture.american, EdgeFixture.indian] {
            #expect(client.get(query, [forwarded(address)])?.status == 200)
        }
        // No drain yet: the answer came, so the hit is there.
        let german = try #require(try fixture.records("eu-central").first)
        #expect(german.site == "shop.example")
        #expect(german.event == "buy")
        #expect(german.country == "DE")
        #expect(german.policy == "gdpr")
        #expect(german.consent == .granted)
        #expect(try fixture.records("us-east").map(\.country) == ["US"])
        #expect(try fixture.records("ap-south").map(\.country) == ["IN"])
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters.total(.kept) + counters.total(.counted) == 3)
        #expect(counters.received == 3)
    }

    @Test(arguments: ["2002:2e04:a4d:1::5", "64:ff9b::2e04:a4d", "::ffff:46.4.10.77"])
    func `an IPv4 address inside another is cut as such`(_ address: String) throws {
        SentValues.note("46.4.10.77")
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        #expect(client.get("/pixel.gif?consent=granted", [forwarded(address)])?.status == 200)
        fixture.collector.drain()
        let record = try #require(try fixture.records("eu-central").first)
        #expect(record.ipPrefix == "46.4.10.0/24")
        #expect(record.country == "DE")
    }

    @Test func `what is kept is transformed as the policy says`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let page =
            "https%3A%2F%2FWWW.Shop.example%2Fa%2520b%2F123456789%2Fx%40y.z%3Butm_source%3Dq%3Fid%3D5%26utm_source%3Dnews%23frag"
        let answer = client.get(
            "/pixel.gif?userid=planted-user-5512&consent=audience-measurement&url=\(page)"
                + "&ref=https%3A%2F%2FSearch.example%2Fq%3Fplanted-search&value=9%2C50%20%E2%82%AC%FF&other=1",
            [forwarded(EdgeFixture.german), firefox, "Accept-Language: de-CH, en;q=0.5"])
        #expect(answer?.status == 200)
        fixture.collector.drain()
        let record = try #require(try fixture.records("eu-central").first)
        #expect(record.ipPrefix == "46.4.10.0/24")
        #expect(record.site == "pixels.example")
        #expect(record.event == "view")
        #expect(record.pageHost == "www.shop.example")
        #expect(record.pagePath == "/a%20b/*/*?utm_source=news")
        #expect(record.referrerHost == "search.example")
        #expect(record.language == "de")
        #expect(record.browser == "Firefox")
        #expect(record.os == "Linux")
        #expect(record.country == "DE")
        #expect(record.purposes == ["audience-measurement"])
        #expect(record.signals == ["param:consent"])
        #expect(record.parameters == [.init(key: "value", value: "9,50 €\u{FFFD}")])
        #expect(record.retainUntil == Day(record.timestamp) + 395)
        #expect(record.keyEpoch == Day(record.timestamp))
        #expect(record.hitID >> 76 & 15 == 7)
        #expect(record.hitID >> 80 == UInt128(record.timestamp.microseconds / 1000))
        let keys = fixture.keys[fixture.regions.firstIndex { $0.name == "eu-central" }!]
        let userKey = try #require(
            try keys.pseudonymKey(.user, .month, Day(record.timestamp), creating: false))
        #expect(record.user == userKey.pseudonym(user: Array("planted-user-5512".utf8).span))
        let visitorKey = try #require(
            try keys.pseudonymKey(.visitor, .day, Day(record.timestamp), creating: false))
        let address = try #require(IPAddress(EdgeFixture.german))
        let agent = Array(firefox.utf8.dropFirst(12))
        #expect(
            record.visitor
                == visitorKey.pseudonym(
                    address: address, userAgent: agent.span,
                    site: Array("pixels.example".utf8).span))
    }

    @Test func `without consent only the hour, site, event and country are kept`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let target = "/hit?userid=u&url=https%3A%2F%2Fa.example%2Fp&value=1&event=x"
        let german = [forwarded(EdgeFixture.german), firefox, "Accept-Language: de"]
        _ = client.get(target, german)
        _ = client.get(target + "&consent=granted", german + ["Sec-GPC: 1"])
        _ = client.get(target + "&consent=granted", german + ["Cookie: a=b", "Cookie: c=d"])
        _ = client.get(target + "&consent=%66oo", german)
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.map(\.consent) == [.absent, .denied, .invalid, .invalid])
        for record in records {
            var least = HitRecord()
            least.timestamp = CountedHit.time(record.timestamp)
            least.site = "pixels.example"
            least.event = "x"
            least.country = "DE"
            least.consent = record.consent
            least.policy = "gdpr"
            least.retainUntil = record.retainUntil
            #expect(record == least)
        }
        #expect(fixture.collector.counters().total(.counted) == 4)
    }

    @Test func `planted personal values are in no log, metric or file`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        var metrics = ""
        for consent in ["granted", "denied", "x"] {
            _ = client.get(
                "/pixel.gif?userid=planted-user-5512&consent=\(consent)"
                    + "&url=https%3A%2F%2Fa.example%2F%3Fplanted-query-1&ref=https%3A%2F%2Fb.example%2Fplanted-path-2",
                [forwarded(EdgeFixture.german), firefox, "Cookie: planted-cookie-3=1"])
        }
        metrics = String(decoding: client.get("/metrics")?.body ?? [], as: UTF8.self)
        client.send("GET /planted-path-9 HTTP/1.1\r\nHost: x\r\nBad planted-header\r\n\r\n")
        #expect(client.answer()?.status == 400)
        fixture.collector.drain()
        let everything = try fixture.everything()
        for planted in ["planted-", EdgeFixture.german] {
            #expect(!metrics.contains(planted))
            #expect(!fixture.log.lines.contains { $0.contains(planted) })
            #expect(everything.range(of: Data(planted.utf8)) == nil, "\(planted) is on disk")
        }
        #expect(try fixture.records("eu-central").count == 3)
    }

    @Test func `hundreds of pipelined requests are answered in order and all kept`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let addresses = [EdgeFixture.german, EdgeFixture.american, EdgeFixture.indian]
        var text = ""
        for number in 0..<600 {
            let target =
                number % 10 == 9 ? "/nothing" : "/pixel.gif?event=e\(number)&consent=granted"
            text += EdgeClient.request(target, [forwarded(addresses[number % 3])])
        }
        client.send(text)
        for number in 0..<600 {
            #expect(client.answer()?.status == (number % 10 == 9 ? 404 : 200))
        }
        client.endSending()
        #expect(client.answer() == nil)
        fixture.collector.drain()
        var events: Set<String> = []
        for region in fixture.regions {
            for record in try fixture.records(region.name) { events.insert(record.event) }
        }
        #expect(events.count == 540)
        #expect(fixture.collector.counters().received == 540)
    }

    @Test func `a slow reader gets every answer, whole and in order`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        let count = 4000
        let sender = Thread {
            for number in 0..<count {
                client.send(EdgeClient.request(number % 2 == 0 ? "/demo" : "/1x1.png"))
            }
        }
        sender.start()
        // Others are served while the answers to this one fill the socket.
        let other = try fixture.client()
        for _ in 0..<20 { #expect(other.get("/hit")?.status == 204) }
        for number in 0..<count {
            let answer = try #require(client.answer())
            #expect(
                answer.body.count == (number % 2 == 0 ? DemoPage.html.utf8.count : Pixel.png.count))
        }
        fixture.collector.drain()
    }

    @Test func `behind a refused request nothing is served over a real connection`() throws {
        let fixture = try EdgeFixture(loops: 1)
        for attempt in HostileRequest.all {
            let client = try fixture.client()
            client.send(
                bytes: attempt.bytes + Array(EdgeClient.request("/hit?event=smuggled").utf8))
            #expect(client.answer()?.status == Int(attempt.status), "\(attempt.why)")
            #expect(client.answer() == nil, "\(attempt.why)")
        }
        // A body that looks like a request is a body.
        let client = try fixture.client()
        let inner = EdgeClient.request("/hit?event=smuggled")
        client.send(
            "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: \(inner.utf8.count)\r\n\r\n\(inner)"
                + EdgeClient.request("/readyz"))
        #expect(client.answer()?.status == 200)
        #expect(client.answer()?.body == Array("ok\n".utf8))
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").isEmpty)
    }

    @Test func `many connections at once are each answered`() throws {
        let fixture = try EdgeFixture()
        let clients = try (0..<200).map { _ in try fixture.client() }
        for round in 0..<5 {
            for (index, client) in clients.enumerated() {
                client.send(
                    EdgeClient.request(
                        "/hit?event=r\(round)-\(index)&consent=granted",
                        [forwarded("46.4.\(index).1")]))
            }
            for client in clients { #expect(client.answer()?.status == 204) }
        }
        fixture.collector.drain()
        #expect(Set(try fixture.records("eu-central").map(\.event)).count == 1000)
    }

    @Test func `a locked journal is 503, keeps nothing of it, and recovers`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        #expect(client.get("/hit?event=before", [forwarded(EdgeFixture.german)])?.status == 204)
        let other = try fixture.held()
        try other.hold()
        let refused = try #require(
            client.get("/hit?event=during", [forwarded(EdgeFixture.german)]))
        #expect(refused.status == 503)
        #expect(refused.headers["retry-after"] == "1")
        #expect(client.get("/readyz")?.status == 503)
        #expect(
            client.get("/hit?event=elsewhere", [forwarded(EdgeFixture.american)])?.status == 204)
        other.release()
        #expect(client.get("/hit?event=after", [forwarded(EdgeFixture.german)])?.status == 204)
        #expect(client.get("/readyz")?.status == 200)
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").map(\.event) == ["before", "after"])
        #expect(fixture.collector.counters().total(.failed) == 1)
        #expect(fixture.collector.counters().received == 4)
        #expect(fixture.log.lines.contains { $0.contains("commit failed") })
    }

    @Test func `a batch that is full is 503 at once, counted, and loses nothing that was answered`()
        throws
    {
        let fixture = try EdgeFixture(loops: 1)
        let other = try fixture.held()
        try other.hold()
        let padding = String(repeating: "a", count: 1900)
        let hit = EdgeClient.request(
            "/hit?consent=granted&sku=\(padding)&value=\(padding)",
            [forwarded(EdgeFixture.german)])
        // 2.5 MB of records, more than the batch that is filled and the one that waits for the lock can hold.
        let clients = try (0..<20).map { _ in try fixture.client() }
        for client in clients { client.send(String(repeating: hit, count: 32)) }
        let bystander = try fixture.client()
        var attempts = 0
        while fixture.collector.counters()[EdgeEvent.batchesFull] == 0, attempts < 10_000 {
            #expect(bystander.get("/healthz")?.status == 200)
            attempts += 1
        }
        other.release()
        var kept = 0
        for client in clients {
            for _ in 0..<32 {
                let answer = try #require(client.answer())
                if answer.status == 204 { kept += 1 }
                #expect(answer.status == 204 || answer.headers["retry-after"] == "1")
            }
        }
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[EdgeEvent.batchesFull] > 0)
        #expect(counters.total(.failed) == UInt64(640 - kept))
        #expect(counters.received == 640)
        #expect(try fixture.records("eu-central").count == kept)
    }

    @Test func `a full disk is 503 and loses nothing that was answered`() throws {
        let fixture = try EdgeFixture(loops: 1, journalBytesMax: 12 * 16_384)
        let client = try fixture.client()
        var answered = 0
        var refused = 0
        let padding = String(repeating: "a", count: 1900)
        for number in 0..<300 where refused < 3 {
            let answer = client.get(
                "/hit?event=e\(number)&consent=granted&sku=\(padding)&value=\(padding)",
                [forwarded(EdgeFixture.german)])
            if answer?.status == 204 { answered += 1 } else { refused += 1 }
        }
        #expect(refused == 3)
        #expect(answered > 0)
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").count == answered)
        let counters = fixture.collector.counters()
        #expect(counters.total(.kept) == UInt64(answered))
        #expect(counters.total(.failed) == 3)
    }

    @Test func `a suppressed user is counted, not kept, from the suppression on`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let target = "/hit?userid=erased-user&consent=granted&event=e"
        #expect(client.get(target, [forwarded(EdgeFixture.german)])?.status == 204)
        let before = try #require(try fixture.records("eu-central").first)
        let keys = fixture.keys[fixture.regions.firstIndex { $0.name == "eu-central" }!]
        let digest = SubjectDigest(
            user: Array("erased-user".utf8).span, key: keys.subjectDigestKey
        ).suppressed
        let journal = try Journal(path: fixture.region("eu-central").journalPath)
        try journal.suppress(
            subjects: [digest], pseudonyms: [(.user, try #require(before.user))])
        // The first hit after it meets the new list in the commit, the second before it is written.
        for _ in 0..<2 { _ = client.get(target, [forwarded(EdgeFixture.german)]) }
        _ = client.get("/hit?userid=other&consent=granted", [forwarded(EdgeFixture.german)])
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.count == 4)
        #expect(records.map { $0.user != nil } == [true, false, false, true])
        #expect(records[1].country == "DE")
        #expect(records[1].ipPrefix == nil)
        for record in records[1...2] {
            #expect(record.hitID == 0)
            #expect(record.timestamp == CountedHit.time(record.timestamp))
        }
        let counters = fixture.collector.counters()
        #expect(counters.total(.suppressed) == 2)
        #expect(counters.total(.kept) == 2)
    }

    @Test func `a user erased while nothing arrived is not kept by the batch that meets it first`()
        throws
    {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let target = "/hit?userid=erased-user&consent=granted&event=e"
        #expect(client.get(target, [forwarded(EdgeFixture.german)])?.status == 204)
        let user = try #require(try fixture.records("eu-central").first?.user)
        let keys = fixture.keys[fixture.regions.firstIndex { $0.name == "eu-central" }!]
        let digest = SubjectDigest(
            user: Array("erased-user".utf8).span, key: keys.subjectDigestKey
        ).suppressed
        let journal = try Journal(path: fixture.region("eu-central").journalPath)
        try journal.suppress(subjects: [digest], pseudonyms: [(.user, user)])
        try journal.release(pseudonyms: [(.user, user)])
        for _ in 0..<2 { _ = client.get(target, [forwarded(EdgeFixture.german)]) }
        _ = client.get("/hit?userid=other&consent=granted", [forwarded(EdgeFixture.german)])
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.map { $0.user != nil } == [true, false, false, true])
        #expect(fixture.collector.counters().total(.suppressed) == 2)
    }

    @Test func `a user who has objected is not kept by the batch that meets it first`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let target = "/hit?userid=objecting-user&consent=granted&event=e"
        #expect(client.get(target, [forwarded(EdgeFixture.german)])?.status == 204)
        let keys = fixture.keys[fixture.regions.firstIndex { $0.name == "eu-central" }!]
        let digest = SubjectDigest(
            user: Array("objecting-user".utf8).span, key: keys.subjectDigestKey
        ).suppressed
        // What is there stays, so its pseudonym does not come onto the list.
        let journal = try Journal(path: fixture.region("eu-central").journalPath)
        try journal.suppress(subjects: [digest], pseudonyms: [])
        for _ in 0..<2 { _ = client.get(target, [forwarded(EdgeFixture.german)]) }
        _ = client.get("/hit?userid=other&consent=granted", [forwarded(EdgeFixture.german)])
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.map { $0.user != nil } == [true, false, false, true])
        #expect(fixture.collector.counters().total(.suppressed) == 2)
    }

    @Test func `relaxed answers first and commits soon after`() throws {
        let fixture = try EdgeFixture(loops: 1) { $0.durability = .relaxed }
        let client = try fixture.client()
        for number in 0..<100 {
            #expect(
                client.get("/hit?event=e\(number)", [forwarded(EdgeFixture.german)])?.status == 204)
        }
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").count == 100)
    }

    @Test func `relaxed answers wait while a commit hangs`() throws {
        let milliseconds = Counter()
        let fixture = try EdgeFixture(
            loops: 1, configure: { $0.durability = .relaxed }, monotonic: { milliseconds.value })
        let client = try fixture.client()
        let late = try fixture.client()
        let other = try fixture.held()
        try other.hold()
        // So many that the region's writer thread commits them, and the loop goes on.
        let hits = (0..<20).map {
            EdgeClient.request("/hit?event=e\($0)", [forwarded(EdgeFixture.german)])
        }
        client.send(hits.joined())
        for _ in hits { #expect(client.answer()?.status == 204) }
        milliseconds.value = 60
        #expect(client.get("/healthz")?.status == 200)
        #expect(client.get("/hit?event=soon", [forwarded(EdgeFixture.german)])?.status == 204)
        milliseconds.value = 100
        #expect(client.get("/healthz")?.status == 200)
        late.send(EdgeClient.request("/hit?event=late", [forwarded(EdgeFixture.german)]))
        for _ in 0..<3 { #expect(client.get("/healthz")?.status == 200) }
        #expect(!late.hasArrived)
        other.release()
        #expect(late.answer()?.status == 204)
        #expect(try fixture.records("eu-central").count == 22)
        fixture.collector.drain()
    }

    @Test func `a connection with much to read takes turns with the others`() throws {
        let rounds = Counter()
        let fixture = try EdgeFixture(
            loops: 1,
            monotonic: {
                rounds.increment()
                return SystemClock.monotonicMilliseconds()
            })
        let client = try fixture.client()
        let other = try fixture.held()
        try other.hold()
        // The loop waits for this commit while the requests of the next connection arrive.
        client.send(EdgeClient.request("/hit?event=e", [forwarded(EdgeFixture.german)]))
        let begun = rounds.value
        let eager = try fixture.client()
        eager.send(
            bytes: Array(String(repeating: "GET /x HTTP/1.1\r\nHost: p\r\n\r\n", count: 4000).utf8))
        other.release()
        for _ in 0..<4000 { #expect(eager.answer()?.status == 404) }
        #expect(client.answer()?.status == 204)
        // In one round it may be served for an event and for its turn.
        let perRound = 2 * EdgeLimits.roundsOfTurnMax * EdgeLimits.pipelineMax
        #expect(rounds.value - begun >= UInt64(4000 / perRound))
        // Each page of metrics is a turn of its own.
        let pages = rounds.value
        eager.send(String(repeating: EdgeClient.request("/metrics", method: "HEAD"), count: 40))
        for _ in 0..<40 { #expect(eager.answer(headOnly: true)?.status == 200) }
        #expect(rounds.value - pages >= 20)
        fixture.collector.drain()
    }

    @Test func `what was made from an older context does not put it back`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let old = fixture.collector.context
        let next = try old.renewed(today: fixture.today)
        #expect(fixture.collector.replace(next, madeFrom: old))
        #expect(!fixture.collector.replace(try old.renewed(today: fixture.today), madeFrom: old))
        #expect(fixture.collector.context === next)
        fixture.collector.drain()
    }

    @Test func `a new context under load loses no hit, and each hit names one rule set`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        for round in 0..<20 {
            let text = (0..<20).map { number in
                EdgeClient.request(
                    "/hit?event=e\(round)-\(number)", [forwarded(EdgeFixture.german)])
            }
            client.send(text.joined())
            fixture.collector.replace(try fixture.collector.context.renewed(today: fixture.today))
            for _ in 0..<20 { #expect(client.answer()?.status == 204) }
        }
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").count == 400)
        #expect(fixture.collector.counters().received == 400)
    }

    @Test func `a drain answers what was accepted and then refuses connections`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let clients = try (0..<20).map { _ in try fixture.client() }
        let port = fixture.port()
        for (index, client) in clients.enumerated() {
            client.send(EdgeClient.request("/hit?event=e\(index)", [forwarded(EdgeFixture.german)]))
        }
        fixture.collector.drain()
        let answered = clients.filter { $0.answer()?.status == 204 }.count
        #expect(answered == 20)
        #expect(try fixture.records("eu-central").count == 20)
        #expect(throws: (any Error).self) { try EdgeClient(port: port) }
    }

    @Test func `curl is served over one kept connection`() throws {
        let fixture = try EdgeFixture()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        let url = "http://127.0.0.1:\(fixture.port())"
        process.arguments = [
            "-s", "-o", "/dev/null", "-o", "/dev/null", "-w",
            "%{http_code} %{num_connects} %{size_download}\n",
            url + "/pixel.gif", url + "/1x1.png",
        ]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = String(
            decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(output == "200 1 43\n200 0 \(Pixel.png.count)\n")
        fixture.collector.drain()
    }
}

@Suite struct `The edge's benchmark` {
    @Test func `sends what it was asked to and counts the answers`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let benchmark = EdgeBenchmark(
            address: IPAddress(ipv4: 0x7F00_0001), port: fixture.port(), threads: 2, depth: 8,
            requestsPerThread: 100,
            requests: EdgeBenchmark.mixedRequests(
                addresses: [EdgeFixture.german, EdgeFixture.american, EdgeFixture.german6]))
        let result = try benchmark.run()
        #expect(result.answered == 200)
        #expect(result.succeeded == 200)
        fixture.collector.drain()
        #expect(fixture.collector.counters().received == 200)
    }
}
