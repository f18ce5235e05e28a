import Bytes
import CordonJournal
import CordonModel
import CordonPolicy
import LinuxIO
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `Hit transforms` {
    @Test func `any query and header makes a record that reads back, within its bounds`() throws {
        let fixture = try EdgeFixture(loops: 1)
        defer { fixture.collector.drain() }
        let hits = TransformFixture(fixture)
        var random = Generator()
        let now = Timestamp(microseconds: SystemClock.realtimeMicroseconds())
        for _ in 0..<2000 {
            let bytes = Self.request(using: &random)
            guard let decided = hits.decide(bytes, at: now), decided.fate == nil else { continue }
            let content = hits.batch(decided, bytes, at: now)
            let decoded = try HitBatch(decoding: content)
            let record = try #require(decoded.records.first, "seed \(random.seed)")
            #expect(decoded.encoded == content, "seed \(random.seed)")
            let texts =
                [record.site, record.event, record.pageHost, record.pagePath, record.referrerHost]
                .compactMap { $0 } + record.parameters.map(\.value)
            for text in texts {
                #expect(text.utf8.count <= HitBatch.textBytesMax, "seed \(random.seed)")
                #expect(!text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F })
            }
            #expect(record.parameters.map(\.key) == record.parameters.map(\.key).sorted())
        }
    }

    /// The string's choices: TCF purposes 8 and 9 alone, given on 2026-10-01 to a tool that named its vendors.
    @Test func `a consent string decides what is kept, under any spelling of its parameter`() throws
    {
        let fixture = try EdgeFixture(loops: 1)
        defer { fixture.collector.drain() }
        let hits = TransformFixture(fixture)
        let text = "CQraFkAQraFkAAfABBENCWFgAIGAAAAAAAYgABMAAAAA.IABM"
        let now = Timestamp(microseconds: 1_793_500_000_000_000)
        func decide(_ query: String) throws -> (ConsentState, Int) {
            let bytes = Array(
                "GET /hit?\(query) HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: \(EdgeFixture.german)\r\n\r\n"
                    .utf8)
            let decision = try #require(hits.decide(bytes, at: now)).decision
            return (decision.consent.state, decision.consent.purposes.nonzeroBitCount)
        }
        for _ in 0..<2 {
            #expect(try decide("gdpr_consent=\(text)") == (.granted, 1))
            #expect(try decide("x=1&%67dpr_consent=\(text)&gdpr=1") == (.granted, 1))
            #expect(try decide("gpp=DBABM~\(text)&gpp_sid=2") == (.granted, 1))
            #expect(try decide("gpp=DBABM%7E\(text)") == (.granted, 1))
            #expect(try decide("gdpr_consent=\(text.dropLast(5))") == (.invalid, 0))
            #expect(try decide("gdpr_consent=\(text)&gcs=G100") == (.denied, 0))
            #expect(try decide("gdpr_consent=&gpp=") == (.absent, 0))
        }
    }

    private static func request(using random: inout Generator) -> [UInt8] {
        let names = [
            "url", "ref", "event", "site", "userid", "consent", "value", "sku", "currency", "x",
            "%75rl",
        ]
        let values = [
            "granted", "a%FFb", "%E2%82%AC", "%00%0A", "https%3A%2F%2Fa.example%2F%C3%BC%2Fp%3Fq",
            "+", "%",
            "https%3A%2F%2Fu%40b.example%3A8080%2Fa%3Bb%2F%25zz", "a.example", "", "%F0%9F%98%80",
            String(repeating: "%E2%82%AC", count: 600), String(repeating: "a", count: 3000),
            "https%3A%2F%2Fa.example%2F" + String(repeating: "p%2F", count: 900),
        ]
        let query = (0..<Int.random(in: 0...6, using: &random)).map { _ in
            let noise = random.chance(0.1) ? "%\(Int.random(in: 10...99, using: &random))" : ""
            return names.randomElement(using: &random)! + "=" + values.randomElement(
                using: &random)! + noise
        }
        let headers = [
            "X-Forwarded-For: \(EdgeFixture.german)",
            "Referer: https://r.example/\(values.randomElement(using: &random)!)",
            "Accept-Language: \(["de-CH", "*", "EN;q=1", "x1", ""].randomElement(using: &random)!)",
            "User-Agent: \(values.randomElement(using: &random)!)",
        ]
        let target = "/pixel.gif?" + query.joined(separator: "&")
        return Array(EdgeClient.request(target, headers.filter { _ in random.chance(0.8) }).utf8)
    }

    @Test func `identifiers are UUIDs of version 7 in order of time`() {
        var source = IdentifierSource(seed: 1)
        var seen: Set<UInt128> = []
        var last: UInt128 = 0
        for step in 0..<10_000 {
            let time = Timestamp(microseconds: 1_800_000_000_000_000 + Int64(step) * 1000)
            let identifier = source.next(at: time)
            #expect(identifier >> 76 & 15 == 7)
            #expect(identifier >> 62 & 3 == 2)
            #expect(identifier > last)
            last = identifier
            seen.insert(identifier)
        }
        #expect(seen.count == 10_000)
    }

    @Test func `dates of answers are written as RFC 9110 asks`() {
        // The example of section 5.6.7.
        let time = Timestamp(microseconds: 784_111_777_000_000)
        #expect(
            String(decoding: HTTPDate.bytes(time), as: UTF8.self) == "Sun, 06 Nov 1994 08:49:37 GMT"
        )
    }
}
