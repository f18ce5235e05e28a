import CordonModel
import Synchronization
import TestSupport
import Testing

@testable import CordonLake

@Suite struct `Corrections of consent` {
    private let fixture: LakeFixture
    /// People 3 and 4 by either pseudonym, and the hits of the first of the two days alone.
    private static let people = SubjectFilter(
        users: [.person(3, 2), .person(4, 2)], visitors: [.person(3, 1), .person(4, 1)],
        window: Day(number: 0).start..<Day(number: 20_701).start)
    private static let needs = [
        "user": ["advertising"], "visitor": ["audience-measurement"],
        "ip_prefix": ["advertising", "audience-measurement"], "params": ["advertising"],
        "browser": ["audience-measurement"],
    ]

    init() throws { fixture = try LakeFixture() }

    private static func correction(
        _ purposes: Set<String>, gdpr: ConsentCorrection.Remainder = .count,
        world: ConsentCorrection.Remainder = .keep, placeNeeds: [String]? = nil
    ) -> ConsentCorrection {
        var needs = needs
        if let placeNeeds {
            needs["country"] = placeNeeds
            needs["subdivision"] = placeNeeds
        }
        return ConsentCorrection(
            withdrawing: purposes,
            rules: [
                .init(policy: "gdpr", remainder: gdpr, needs: needs),
                .init(policy: "world", remainder: world, needs: Self.needs),
            ])
    }

    /// What is to come of a hit, said in Swift; nil when it goes.
    private static func expected(
        _ record: HitRecord, _ correction: ConsentCorrection
    ) -> HitRecord? {
        let withdrawn = Set(correction.withdrawn)
        guard people.matches(record), !withdrawn.isDisjoint(with: record.purposes) else {
            return record
        }
        var made = record
        guard let rule = correction.rules.first(where: { $0.policy == record.policy }) else {
            made.becomeCount()
            made.country = nil
            made.consent = .denied
            return made
        }
        made.purposes = record.purposes.filter { !withdrawn.contains($0) }
        if made.purposes.isEmpty {
            made.consent = .denied
            switch rule.remainder {
            case .drop: return nil
            case .count:
                made.becomeCount()
                if rule.needs["country"] != nil { made.country = nil }
                return made
            case .keep: break
            }
        }
        if !made.signals.contains("rectified") { made.signals.append("rectified") }
        func isGone(_ column: String) -> Bool {
            !withdrawn.isDisjoint(with: rule.needs[column] ?? [])
        }
        if isGone("user") { made.user = nil }
        if isGone("visitor") { made.visitor = nil }
        if isGone("ip_prefix") { made.ipPrefix = nil }
        if isGone("params") { made.parameters = [] }
        if isGone("browser") { made.browser = nil }
        if isGone("country") { made.country = nil }
        if isGone("subdivision") { made.subdivision = nil }
        if made.user == nil, made.visitor == nil { made.keyEpoch = nil }
        return made
    }

    /// All rows with all their values, sorted; lists as sets.
    private static func rows(_ fixture: LakeFixture) throws -> [String] {
        try fixture.query(
            """
            SELECT CAST(to_json(kept) AS VARCHAR) FROM
                (SELECT * REPLACE (list_sort(signals) AS signals) FROM hits) AS kept ORDER BY 1
            """)
    }

    /// The rows of a lake that was given other hits to begin with.
    private static func rows(of records: [HitRecord]) throws -> [String] {
        let other = try LakeFixture()
        try other.append(records)
        _ = try other.table().deliver(from: other.journal)
        return try rows(other)
    }

    private func fill(_ generator: inout Generator) throws -> [HitRecord] {
        var records: [HitRecord] = []
        for part in 0..<2 {
            var more = (0..<80).map { _ in HitRecord.random(&generator, people: 6) }
            // Names of events that a count keeps, shortens, and marks.
            for (index, event) in ["prefetch:order-123", "scroll-50", "order-123"].enumerated() {
                more[index].event = event
                more[index].user = .person(3, 2)
                more[index].purposes = ["advertising"]
                more[index].policy = part == 0 ? "gdpr" : "world"
                more[index].timestamp = Timestamp(
                    microseconds: Day(number: 20_700).start.microseconds + 7_200_000_001)
            }
            records += more
            try fixture.append(more)
            _ = try fixture.table().deliver(from: fixture.journal)
        }
        return records
    }

    private func correct(
        _ correction: ConsentCorrection, _ table: HitsTable? = nil
    ) throws -> CorrectionReport {
        try (table ?? fixture.table()).write { try $0.correct(correction, of: Self.people) }
    }

    @Test(arguments: [
        correction(["advertising"]), correction(["audience-measurement"]),
        correction(["advertising", "audience-measurement"]),
        correction(["advertising", "audience-measurement"], gdpr: .drop, world: .count),
        correction(
            ["advertising", "audience-measurement"], gdpr: .count, world: .drop,
            placeNeeds: ["audience-measurement"]),
        correction(["advertising"], gdpr: .keep, placeNeeds: ["advertising"]),
        ConsentCorrection(
            withdrawing: ["advertising"],
            rules: [.init(policy: "world", remainder: .drop, needs: [:])]),
        correction(["a purpose's name that nobody has"]),
    ])
    func `rows become what their policy keeps without the purposes, and others stay`(
        _ correction: ConsentCorrection
    ) throws {
        var generator = Generator()
        let records = try fill(&generator)
        let expected = records.compactMap { Self.expected($0, correction) }
        let changed = zip(records, records.map { Self.expected($0, correction) }).count { $0 != $1 }
        let found = try fixture.table().write { try $0.count(correction, of: Self.people) }
        #expect(found.values.reduce(0, +) == Int64(changed), "seed \(generator.seed)")
        let report = try correct(correction)
        #expect(report.rows == Int64(changed), "seed \(generator.seed)")
        #expect(report.rowsRemoved == Int64(records.count - expected.count))
        #expect(try Self.rows(fixture) == Self.rows(of: expected), "seed \(generator.seed)")
        // Again there is nothing to do.
        #expect(try correct(correction) == CorrectionReport())
        _ = try fixture.table().write { try $0.expireAllButCurrent() }
        let onDisk = try fixture.filesOnDisk().filter { $0.hasSuffix(".parquet") }
        #expect(try Set(onDisk) == Set(fixture.table().snapshot().files.map(\.path)))
    }

    @Test func `the audit log hears of rows that went by their policy`() throws {
        var generator = Generator()
        let records = try fill(&generator)
        let correction = Self.correction(["advertising", "audience-measurement"], gdpr: .drop)
        let gone = records.count { Self.expected($0, correction) == nil }
        #expect(gone > 0, "seed \(generator.seed)")
        _ = try correct(correction)
        let event = try #require(fixture.events.all.withLock { $0.first { $0.kind == .consent } })
        #expect(event.counts["rows-removed"] == gone)
        #expect(event.counts["policy gdpr"] == gone)
    }

    @Test(arguments: LakeStep.allCases)
    func `killed at any step it is as before or after, and the next run makes up for it`(
        _ step: LakeStep
    ) throws {
        var generator = Generator()
        let records = try fill(&generator)
        let correction = Self.correction(["advertising"])
        let before = try Self.rows(fixture)
        let after = try Self.rows(of: records.compactMap { Self.expected($0, correction) })
        for occurrence in 1...2 {
            let seen = Mutex(0)
            let dying = fixture.table { reached in
                guard reached == step else { return }
                let count = seen.withLock {
                    $0 += 1
                    return $0
                }
                if count == occurrence { throw Killed() }
            }
            do { _ = try correct(correction, dying) } catch is Killed {}
            #expect(try [before, after].contains(Self.rows(fixture)), "seed \(generator.seed)")
        }
        _ = try correct(correction)
        #expect(try Self.rows(fixture) == after, "seed \(generator.seed)")
        try fixture.expectNoStrayFile()
    }

    @Test func `a held row stops all of it`() throws {
        var generator = Generator()
        _ = try fill(&generator)
        let before = try Self.rows(fixture)
        let table = HitsTable(
            fixture.settings, catalog: fixture.catalog, clock: SteppingClock(), audit: { _ in },
            gate: {
                RemovalGate(holds: [
                    .init(
                        id: "h", people: SubjectFilter(users: [.person(3, 2)]), column: nil,
                        days: nil)
                ])
            })
        let failure = #expect(throws: LakeError.self) {
            try correct(Self.correction(["advertising"]), table)
        }
        #expect(failure?.code == .held)
        #expect(try Self.rows(fixture) == before)
    }
}
