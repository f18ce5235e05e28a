import Consent
import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonPolicy
import CordonSubjects
import Engine
import GeoTables
import Iceberg
import LinuxIO
import TestSupport
import Testing

@testable import CordonProof
@testable import CordonServer

@Suite struct `Rectification of consent over a region's real lake` {
    private let region: SubjectRegion
    private static let correction = ConsentCorrection(
        withdrawing: ["audience-measurement"],
        rules: [
            .init(
                policy: "gdpr", remainder: .count,
                needs: [
                    "user": ["audience-measurement"], "visitor": ["audience-measurement"],
                ])
        ])

    init() throws {
        region = try SubjectRegion()
        try region.append(batches: 6)
        try region.deliver()
        try region.append(batches: 2)
    }

    private func rectify(
        _ id: String = SubjectRequest.newID(), since first: Day? = nil,
        killing kill: RequestStep? = nil
    ) throws -> SubjectRequest {
        let service = region.subjects.service { step, moment in
            if step == kill, moment == .performed { throw SubjectRegion.Killed() }
        }
        return try service.rectify(
            request: id, Self.correction, of: region.subject(), since: first)
    }

    private func count(_ condition: String) throws -> Int {
        let files = try region.lake.table.snapshot().files.map { "'\($0.path)'" }
        let rows = try EngineConnection().query(
            "SELECT count(*) FROM read_parquet([\(files.joined(separator: ","))]) WHERE \(condition)"
        ).rows()
        return rows[0][0].flatMap { Int($0) } ?? -1
    }

    @Test func `the person's hits become counts, waiting ones too, and older snapshots go`() throws
    {
        let service = region.subjects.service()
        let preview = try service.preview(
            Self.correction, of: region.subject(), since: nil, request: "p")
        #expect(try region.auditKinds().last == "subject-find")
        #expect(preview.rows == 6 && preview.journalHits == 2 && preview.files > 0)
        let request = try rectify()
        #expect(request.state == "rectified")
        #expect(request.counts.rows == 8)
        #expect(try count("consent = 'denied' AND hit_id IS NULL AND \"user\" IS NULL") == 8)
        #expect(try region.otherRows().count == 400)
        #expect(try count("true") == 408)
        #expect(try region.lake.table.metadata()?.snapshots.count == 1)
        // Nothing ties anything on disk to the person any more.
        try region.expectGone()
        let kinds = try region.auditKinds()
        let intent = try #require(kinds.firstIndex(of: "rectification-intent"))
        let change = try #require(kinds.firstIndex(of: "lake-consent"))
        let done = try #require(kinds.firstIndex(of: "consent-rectified"))
        #expect(intent < change && change < done)
        let entry = try #require(
            try region.log.reader.entries(matching: .init(kind: "consent-rectified"), limit: 1)
                .first)
        #expect(entry.entry.fields["purposes"] == .list(["audience-measurement"]))
        // Hits of afterwards have consent of their own.
        try region.append(batches: 1)
        try region.deliver()
        #expect(try count("consent = 'denied'") == 8)
    }

    @Test(arguments: RequestStep.sequence(.rectification))
    func `cut in any step, it is resumed to its end`(_ step: RequestStep) throws {
        #expect(throws: SubjectRegion.Killed.self) { try rectify("r", killing: step) }
        #expect(try region.subjects.sweep().unfinished.isEmpty)
        let request = try region.subjects.service().requests(max: 9).first { $0.id == "r" }
        #expect(request?.state == "rectified")
        #expect(request?.correction == Self.correction)
        #expect(try count("consent = 'denied'") == 8)
        #expect(try region.otherRows().count == 400)
        try region.expectGone()
    }

    @Test func `it can be of the hits since a day, and leaves the earlier ones`() throws {
        let request = try rectify(since: SubjectRegion.day + -1)
        #expect(request.days?.lowerBound == SubjectRegion.day + -1)
        let users = try region.subject().filter.users.map { "'\($0.text)'" }.joined(separator: ",")
        let left = try count("\"user\" IN (\(users))")
        #expect(left > 0)
        #expect(
            try count(
                "\"user\" IN (\(users)) AND ts < TIMESTAMPTZ '\((SubjectRegion.day + -1).text) 00:00:00+00'"
            ) == left)
        #expect(try count("consent = 'denied'") == 8 - left)
    }

    @Test func `a hold stops it until the release, and says so`() throws {
        _ = try region.subjects.service().hold(
            region.subject(), column: nil, days: nil, reason: "case 12", id: "h1")
        let failure = #expect(throws: SubjectError.self) { try rectify("r") }
        #expect(failure == .held(region: "r1", holds: ["h1"]))
        #expect(try count("consent = 'denied'") == 0)
        #expect(try region.auditKinds().contains("rectification-held"))
        _ = try region.subjects.service().release("h1", kind: .hold)
        #expect(try region.subjects.sweep().unfinished.isEmpty)
        #expect(try count("consent = 'denied'") == 8)
    }

    @Test func `the balance of the region still adds up`() throws {
        let before = try RegionBalance(region.region, clock: SubjectRegion.Clock())
        _ = try rectify()
        let after = try RegionBalance(region.region, clock: SubjectRegion.Clock())
        #expect(
            after.findings.filter { $0.stage == .lakeToNow }
                == before.findings.filter { $0.stage == .lakeToNow })
        #expect(after.total.missingInLake == before.total.missingInLake)
    }

    /// Held against the compiled rules: what is taken back later leaves what its absence would have left at once.
    @Test func `a correction leaves the columns that the policy keeps without the purposes`() throws
    {
        let ruleSet = try ProjectConfiguration.load(
            ProjectLayout(root: ShippedProject.root), now: SubjectRegion.day
        ).ruleSet
        let rules = ruleSet.bound(to: [GeoPlace]())
        var cases = 0
        for (index, policy) in ruleSet.policies.enumerated() {
            let known = policy.consent.purposes
            for granted in Self.subsets(of: known) where !granted.isEmpty {
                for withdrawn in Self.subsets(of: known) where !withdrawn.isDisjoint(with: granted)
                {
                    func decision(_ purposes: Set<String>) -> Decision {
                        let mask = (0..<rules.purposes.count).reduce(UInt32(0)) {
                            purposes.contains(rules.purposes.text($1)) ? $0 | 1 << UInt32($1) : $0
                        }
                        return rules.decision(
                            policy: index,
                            consent: ConsentOutcome(
                                state: purposes.isEmpty ? .denied : .granted, purposes: mask,
                                signals: 0))
                    }
                    let left = granted.subtracting(withdrawn)
                    let correction = ConsentCorrection(withdrawing: withdrawn, under: [policy])
                    let rule = correction.rules[0]
                    var columns = decision(granted).keptColumns
                    if left.isEmpty, rule.remainder != .keep {
                        columns =
                            rule.remainder == .count && rule.needs["country"] == nil
                            ? columns.intersection(["country"]) : []
                    }
                    columns = columns.filter {
                        correction.policies(emptying: $0).isEmpty
                    }
                    #expect(columns == decision(left).keptColumns, "\(policy.name) \(withdrawn)")
                    cases += 1
                }
            }
        }
        #expect(cases > 20)
    }

    private static func subsets(of names: [String]) -> [Set<String>] {
        names.reduce([[]]) { sets, name in sets + sets.map { $0.union([name]) } }
    }
}
