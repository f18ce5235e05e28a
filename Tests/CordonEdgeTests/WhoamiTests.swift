import Bytes
import CordonModel
import Foundation
import Telemetry
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `The path /whoami` {
    private struct Whoami: Decodable {
        var provenance: String
        var hop: Int?
        var prefix: String?
        var country: String?
        var policy: String
        var region: String?
    }

    private func answer(_ client: EdgeClient, _ headers: [String]) throws -> Whoami {
        let answer = try #require(client.get("/whoami", headers))
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == "application/json")
        #expect(answer.headers["cache-control"] == "no-store")
        return try JSONDecoder().decode(Whoami.self, from: Data(answer.body))
    }

    @Test func `says behind a trusted proxy which hop counts, why, and where it is at home`() throws
    {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        let known = try answer(
            client, ["X-Forwarded-For: 8.8.8.9, \(EdgeFixture.german), 127.0.0.9"])
        #expect(known.provenance == "proxy")
        #expect(known.hop == 2)
        #expect(known.prefix == "46.4.10.0/24")
        #expect(known.country == "DE")
        #expect(known.policy == "gdpr")
        #expect(known.region == "eu-central")
        let newer = try answer(client, ["X-Forwarded-For: \(EdgeFixture.german6)"])
        #expect(newer.prefix == "2a01:4f8:1::/48")
        let hidden = try answer(client, ["X-Forwarded-For: unknown"])
        #expect(hidden.provenance == "malformed")
        #expect(hidden.prefix == nil)
        #expect(hidden.hop == nil)
        #expect(hidden.country == nil)
        #expect(hidden.region == "eu-central")
        fixture.collector.drain()
        #expect(fixture.collector.counters().received == 0, "to ask is no hit")
        for planted in [EdgeFixture.german, EdgeFixture.german6, "46.4.10.0", "8.8.8.9"] {
            #expect(!fixture.log.lines.contains { $0.contains(planted) })
            #expect(!fixture.collector.metricsPage().contains(planted))
        }
    }

    @Test func `is not there for anyone else`() throws {
        let trusted = try #require(IPPrefix("192.0.2.0/24"))
        let fixture = try EdgeFixture(loops: 1) { $0.trustedProxies = [trusted] }
        let client = try fixture.client()
        let answer = try #require(client.get("/whoami", ["X-Forwarded-For: 192.0.2.1"]))
        #expect(answer == client.get("/nothing"))
        #expect(answer.status == 404)
        fixture.collector.drain()
    }

    @Test func `keeps its place among pipelined answers, and HEAD has no body`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        let hit = EdgeClient.request("/hit", ["X-Forwarded-For: \(EdgeFixture.german)"])
        let german = EdgeClient.request("/whoami", ["X-Forwarded-For: \(EdgeFixture.german)"])
        let american = EdgeClient.request("/whoami", ["X-Forwarded-For: \(EdgeFixture.american)"])
        client.send(hit + german + hit + american + hit)
        #expect(client.answer()?.status == 204)
        #expect(client.answer()?.text.contains("\"DE\"") == true)
        #expect(client.answer()?.status == 204)
        #expect(client.answer()?.text.contains("\"US\"") == true)
        #expect(client.answer()?.status == 204)
        client.send(EdgeClient.request("/whoami", method: "HEAD") + german)
        #expect(client.answer(headOnly: true)?.status == 200)
        #expect(client.answer()?.text.contains("\"DE\"") == true)
        fixture.collector.drain()
    }
}

extension EdgeClient.Answer {
    fileprivate var text: String { String(decoding: body, as: UTF8.self) }
}
