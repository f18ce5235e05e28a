import CordonModel
import Testing

@testable import CordonEdge

/// Consent that arrives in the body of a hit, over a real connection, up to the record that it decides.
@Suite struct `Posted consent` {
    /// TCF purposes 8 and 9 alone, given on 2026-10-01.
    private static let tcf = "CQraFkAQraFkAAfABBENCWFgAIGAAAAAAAYgABMAAAAA.IABM"
    /// A day on which it is as old as it may be under `gdpr`.
    private static let now = Timestamp(microseconds: 1_793_500_000_000_000)

    struct Posting: CustomTestStringConvertible, Sendable {
        var target = "/hit"
        let type: String
        let body: String
        var address = EdgeFixture.german
        let consent: ConsentState
        var purposes: [String] = []
        /// What the decision lets be kept of the address.
        var prefix: String?
        var testDescription: String { "\(target) \(type) \(body)" }
    }

    private static let json = "application/json"
    private static let form = "application/x-www-form-urlencoded"

    static let postings: [Posting] = [
        .init(type: json, body: #"{"event":"e"}"#, consent: .absent),
        .init(
            type: json, body: #"{"gdpr":1,"gdpr_consent":"\#(tcf)","event":"e"}"#,
            consent: .granted, purposes: ["audience-measurement"], prefix: "46.4.10.0/24"),
        .init(
            type: form, body: "gdpr=1&gdpr_consent=\(tcf)&event=e", consent: .granted,
            purposes: ["audience-measurement"], prefix: "46.4.10.0/24"),
        .init(
            type: "text/plain", body: #"{"gpp":"DBABM~\#(tcf)","gpp_sid":"2"}"#,
            consent: .granted, purposes: ["audience-measurement"], prefix: "46.4.10.0/24"),
        .init(
            type: json, body: #"{"gdpr_consent":"\#(tcf.dropLast(5))"}"#, consent: .invalid),
        .init(type: json, body: #"{"gpp":"DBABM~\#(tcf.dropLast(5))"}"#, consent: .invalid),
        .init(type: json, body: #"{"gdpr_consent":"\#(tcf)","gcs":"G100"}"#, consent: .denied),
        // The query and the body are one form: the stricter of the two counts, wherever it stands.
        .init(
            target: "/hit?gcs=G100", type: json, body: #"{"gdpr_consent":"\#(tcf)"}"#,
            consent: .denied),
        .init(
            target: "/hit?gdpr_consent=\(tcf)", type: form, body: "gcs=G100", consent: .denied),
        .init(
            target: "/hit?gdpr_consent=\(tcf)", type: form, body: "gdpr_consent=broken",
            consent: .invalid),
        // No opt-out is no word, and where silence lets, all is let.
        .init(
            type: json, body: #"{"us_privacy":"1YNN"}"#, address: EdgeFixture.american,
            consent: .absent, purposes: ["advertising", "audience-measurement"],
            prefix: "8.8.8.0/24"),
        .init(
            type: json, body: #"{"us_privacy":"1YYN"}"#, address: EdgeFixture.american,
            consent: .denied),
    ]

    @Test(arguments: postings) func `decides what is kept`(_ posting: Posting) throws {
        let now = Self.now
        let fixture = try EdgeFixture(loops: 1, clock: { now })
        let client = try fixture.client()
        let answer = client.post(
            posting.target, posting.type, posting.body, ["X-Forwarded-For: \(posting.address)"])
        #expect(answer?.status == 204)
        fixture.collector.drain()
        let region = posting.address == EdgeFixture.american ? "us-east" : "eu-central"
        let records = try fixture.records(region)
        try #require(records.count == 1)
        #expect(records[0].consent == posting.consent)
        #expect(records[0].purposes.sorted() == posting.purposes)
        #expect(records[0].ipPrefix == posting.prefix)
        // Under `gdpr` a hit without consent is only counted; under `us-states` it stays without what needs a purpose.
        #expect(
            records[0].isCounted == (region == "eu-central" && posting.consent != .granted))
    }
}
