import CordonAudit
import CordonModel
import Testing

@testable import CordonServer

@Suite struct `History of rules` {
    private func entry(_ time: String, _ kind: String, _ ruleSet: String? = nil) -> AuditEntry {
        let parts = time.split(separator: "T")
        let start = Day(String(parts[0]))!.start.microseconds
        let at = Timestamp(microseconds: start + Int64(parts[1])! * 3_600_000_000)
        return AuditEntry(
            at: at, kind: kind, region: "north",
            fields: ruleSet.map { ["rule_set": .text($0), "geo_build": "g"] } ?? [:])
    }

    @Test func `a day has the rules that were in force on it, else the last before`() {
        let history = RuleHistory([
            entry("2026-11-01T08", "node.started", "a"),
            entry("2026-11-03T10", "rules.loaded", "b"),
            entry("2026-11-04T12", "node.stopped"), entry("2026-11-07T00", "node.started", "c"),
        ])
        func sets(_ day: String) -> [String] {
            history.reigns(on: Day(day)!).inForce.map(\.ruleSet)
        }
        #expect(sets("2026-10-31") == [])
        #expect(history.reigns(on: Day("2026-10-31")!).lastBefore == nil)
        #expect(sets("2026-11-01") == ["a"])
        #expect(sets("2026-11-03") == ["a", "b"])
        #expect(sets("2026-11-04") == ["b"])
        #expect(sets("2026-11-05") == [])
        #expect(history.reigns(on: Day("2026-11-05")!).lastBefore?.ruleSet == "b")
        #expect(sets("2026-11-07") == ["c"])
        #expect(sets("2027-01-01") == ["c"])
    }

    @Test func `a start that names no rules ends what was before`() {
        let history = RuleHistory([
            entry("2026-11-01T08", "node.started", "a"), entry("2026-11-02T08", "node.started"),
        ])
        #expect(history.reigns(on: Day("2026-11-03")!).inForce.isEmpty)
    }
}
