import CordonAudit
import CordonModel
import TestSupport
import Testing

@Suite struct `Audit entries` {
    private let entry = AuditEntry(
        at: Timestamp(microseconds: 1_700_000_000_000_001), kind: "query", region: "eu-central",
        principal: Principal(role: "analyst", purpose: "audience-measurement", place: "DE"),
        fields: ["rows": 7, "rule": "gdpr", "regions": ["eu-central", "us-east"]])

    @Test func `an entry is canonical JSON`() {
        #expect(
            String(decoding: entry.encoded, as: UTF8.self)
                == #"{"at":"2023-11-14T22:13:20.000001Z","fields":{"regions":["eu-central","us-east"],"#
                + #""rows":7,"rule":"gdpr"},"kind":"query","principal":{"place":"DE","#
                + #""purpose":"audience-measurement","role":"analyst"},"region":"eu-central"}"#)
        #expect(AuditEntry(decoding: entry.encoded) == entry)
    }

    @Test func `random entries decode to what was encoded`() {
        var random = Generator()
        func text(_ random: inout Generator) -> String {
            let pieces = ["a", "\"", "\\", "\n", "\u{1}", "größe", "日本", "/", "{", " ", "😀"]
            return (0..<Int.random(in: 0...6, using: &random))
                .map { _ in pieces.randomElement(using: &random)! }.joined()
        }
        for _ in 0..<500 {
            var fields: [String: AuditEntry.Value] = [:]
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                switch Int.random(in: 0...2, using: &random) {
                case 0: fields[text(&random)] = .text(text(&random))
                case 1:
                    fields[text(&random)] = .integer(Int.random(in: .min ... .max, using: &random))
                default: fields[text(&random)] = .list([text(&random), text(&random)])
                }
            }
            let principal = Principal(
                role: text(&random), purpose: text(&random), place: text(&random))
            let entry = AuditEntry(
                at: Timestamp(microseconds: .random(in: 0...4_000_000_000_000_000, using: &random)),
                kind: text(&random), region: text(&random),
                principal: random.chance(0.5) ? principal : nil, fields: fields)
            #expect(AuditEntry(decoding: entry.encoded) == entry, "seed \(random.seed)")
        }
    }

    @Test func `damaged and otherwise spelled entries are refused, never a crash`() {
        var random = Generator()
        let bytes = entry.encoded
        for _ in 0..<5000 {
            var damaged = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
            if let index = damaged.indices.randomElement(using: &random) {
                damaged[index] = UInt8.random(in: .min ... .max, using: &random)
            }
            if let decoded = AuditEntry(decoding: damaged) { #expect(decoded.encoded == damaged) }
        }
        for text in [
            "", "{}", "null", "[]", String(repeating: "[", count: 100_000),
            String(repeating: #"{"a":"#, count: 100_000),
            #"{"fields":{},"at":"2023-11-14T22:13:20.000001Z","kind":"a","region":"b"}"#,
            #"{"at":"2023-11-14T22:13:20.000001Z","fields":{},"kind":"a","region":"b"} "#,
            #"{"at":"2023-11-14T22:13:20Z","fields":{},"kind":"a","region":"b"}"#,
            #"{"at":"2023-11-14T22:13:20.000001Z","fields":{"n":01},"kind":"a","region":"b"}"#,
            #"{"at":"2023-11-14T22:13:20.000001Z","fields":{"n":1.5},"kind":"a","region":"b"}"#,
        ] {
            #expect(AuditEntry(decoding: Array(text.utf8)) == nil)
        }
    }
}
