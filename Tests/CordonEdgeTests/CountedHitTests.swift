import Bytes
import CordonJournal
import CordonModel
import CordonPolicy
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `Hits that are only counted` {
    /// Whoever sends it, with whatever names them and at whatever moment of the hour.
    private static func request(_ query: String, using random: inout Generator) -> [UInt8] {
        func number() -> Int { Int.random(in: 1...200, using: &random) }
        let target =
            "/hit?\(query)&userid=u\(number())&event_id=e\(random.next())&value=\(number())"
            + "&url=https%3A%2F%2Fa.example%2Fp%2F\(number())&ref=https%3A%2F%2Fr\(number()).example%2F"
        var headers = [
            "X-Forwarded-For: 46.4.\(number()).\(number())",
            "User-Agent: Firefox/\(number()).0 Linux",
            "Accept-Language: \(["de", "fr-CH", "en"].randomElement(using: &random)!)",
            "Referer: https://r\(number()).example/\(number())",
        ]
        headers.shuffle(using: &random)
        return Array(EdgeClient.request(target, headers).utf8)
    }

    @Test func `are equal to the byte for one site, event, country, refusal and hour`() throws {
        let fixture = try EdgeFixture(loops: 1)
        defer { fixture.collector.drain() }
        let hits = TransformFixture(fixture)
        var random = Generator()
        let hour = CountedHit.time(fixture.today.start)
        var forms: [String: Set<[UInt8]>] = [:]
        for _ in 0..<400 {
            let query = [
                "consent=denied&site=a.example", "consent=%66oo&site=a.example",
                "consent=denied&site=a.example&event=scroll-50",
            ].randomElement(using: &random)!
            let bytes = Self.request(query, using: &random)
            let now = Timestamp(
                microseconds: hour.microseconds
                    + Int64.random(in: 0..<CountedHit.microsecondsPerStep, using: &random))
            let decided = try #require(hits.decide(bytes, at: now))
            try #require(decided.decision.outcome == .count)
            forms[query, default: []].insert(hits.batch(decided, bytes, at: now))
        }
        #expect(forms.count == 3)
        #expect(forms.values.allSatisfy { $0.count == 1 }, "seed \(random.seed)")
    }

    /// An event of a hit with and without consent.
    struct EventCase: CustomTestStringConvertible {
        let sent: String
        let counted: String
        var kept: String?
        var testDescription: String { sent }
    }

    static let events: [EventCase] = [
        .init(sent: "event=view", counted: "view"),
        .init(sent: "event=scroll-50", counted: "scroll-50"),
        .init(sent: "event=order-4711", counted: "other", kept: "order-4711"),
        .init(sent: "event=a1b2c3", counted: "other", kept: "a1b2c3"),
        .init(
            sent: "event=\(String(repeating: "a", count: 33))", counted: "other",
            kept: String(repeating: "a", count: 33)),
        .init(sent: "event=", counted: "invalid"),
        .init(sent: "event=a%20b", counted: "invalid"),
        .init(sent: "x=1", counted: "view"),
    ]

    @Test(arguments: events) func `bear no event that might number somebody`(_ event: EventCase)
        throws
    {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        let german = ["X-Forwarded-For: \(EdgeFixture.german)"]
        for (choice, ahead) in [("granted", ""), ("denied", ""), ("denied", "prefetch")] {
            let purpose = ahead.isEmpty ? [] : ["Sec-Purpose: \(ahead)"]
            _ = client.get("/hit?\(event.sent)&consent=\(choice)", german + purpose)
        }
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(
            records.map(\.event) == [
                event.kept ?? event.counted, event.counted, "prefetch:" + event.counted,
            ])
        #expect(records.map(\.isCounted) == [false, true, true])
        // What an erasure makes of the kept one is what the edge makes of one without consent, but for the consent.
        var erased = records[0]
        erased.becomeCount()
        erased.consent = .denied
        erased.retainUntil = records[1].retainUntil
        #expect(erased == records[1])
    }
}
