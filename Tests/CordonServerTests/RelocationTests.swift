import Bytes
import CordonAudit
import CordonCatalog
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonPolicy
import CordonSubjects
import Engine
import Foundation
import GeoTables
import LinuxIO
import Synchronization
import TestSupport
import Testing

@testable import CordonServer

/// Two regions on disk, the rules of three laws, and a geo table that has changed its mind about some prefixes.
private final class MovingHouse: Sendable {
    struct Killed: Error {}
    static let day = Day(year: 2026, month: 11, day: 20)

    struct Clock: WallClock {
        func now() -> Timestamp { (MovingHouse.day + 2).start }
    }

    let directory: TemporaryDirectory
    let regions: [RegionConfiguration]
    let logs: [AuditLog]
    let rules: RelocationRules
    /// Looks into the regions' files; one, since starting it costs more than what it does here.
    private let engine: Mutex<EngineConnection>

    /// - Parameters:
    ///   - changes: policy files that read otherwise here.
    ///   - sealed: columns that the north seals.
    init(_ changes: [String: String] = [:], sealed: [SealableColumn] = []) throws {
        let directory = try TemporaryDirectory()
        self.directory = directory
        engine = Mutex(try EngineConnection(settings: [("threads", "1")]))
        var regions: [RegionConfiguration] = []
        var logs: [AuditLog] = []
        for (name, country) in [("north", "DE"), ("south", "US")] {
            var region = RegionConfiguration.forTest(
                name, jurisdiction: country, in: directory.file("var/\(name)"))
            if name == "north" { region.sealedColumns = sealed }
            let keys = try RegionKeys.create(directory: region.keysDirectory, region: name)
            logs.append(
                try AuditLog(
                    directory: region.auditDirectory, region: name, key: keys.signingKey))
            regions.append(region)
        }
        self.regions = regions
        self.logs = logs
        let files = ProjectFiles(Self.files.merging(changes) { $1 })
        let project = try ProjectConfiguration.load(
            files, layout: ProjectLayout(root: "/project"), now: Self.day)
        var builder = GeoTableBuilder()
        for (first, last, country) in [
            (0x0100_0000, 0x0100_00FF, "US"), (0x0100_0100, 0x0100_017F, "US"),
            (0x0100_0180, 0x0100_01FF, "DE"), (0x0100_0200, 0x0100_02FF, "DE"),
            (0x0100_0300, 0x0100_03FF, "CN"),
        ] as [(UInt32, UInt32, String)] {
            builder.add(
                first: IPAddress(ipv4: first), last: IPAddress(ipv4: last),
                place: GeoPlace(country: country))
        }
        try builder.write(to: directory.file("places.cgt"))
        rules = RelocationRules(
            project.ruleSet, table: try GeoTable(mapping: directory.file("places.cgt")),
            regions: regions)
    }

    var north: RegionConfiguration { regions[0] }
    var south: RegionConfiguration { regions[1] }

    private static func region(_ name: String, _ country: String, _ port: Int) -> String {
        "region: \(name)\ntitle: T\njurisdiction: \(country)\ncollector: { listen: \"127.0.0.1:\(port)\" }\n"
    }

    static func law(
        _ name: String, _ place: String, route: String, purpose: String = "tcf: [8]",
        denied: String = "count", fields: String, hits: String, sampling: String = "100"
    ) -> String {
        """
        policy: \(name)
        title: A law
        source: A gazette
        applies_to: { places: [\(place)] }
        route: { \(route) }
        consent:
          signals: [tcf, "param:consent"]
          when_absent: denied
          purposes: { measuring: { \(purpose) }, selling: { tcf: [4] } }
          denied: \(denied)
        fields: { \(fields) }
        retention: { hits: \(hits) }
        sampling: \(sampling)

        """
    }

    static let northFields =
        "ip: { truncate: { ipv4: 24, ipv6: 48 } }, user: { pseudonym: month, needs: measuring }, user_agent: family, "
        + "page: { keep: path, params: [a, b] }, referrer: host, place: country, language: primary, params: { allow: [n, v] }"
    static let southFields =
        "ip: { truncate: { ipv4: 16, ipv6: 32 }, needs: measuring }, user_agent: { keep: family, needs: selling }, "
        + "page: { keep: path, params: [b] }, place: country, language: primary, params: { allow: [n] }"

    static let files = [
        "Regions/north.yaml": region("north", "DE", 8401),
        "Regions/south.yaml": region("south", "US", 8402),
        "Policies/atlas.yaml":
            "groups:\n  None: { title: N, source: none, checked: 2026-01-01, members: [IS] }\n",
        "Policies/world.yaml": law(
            "world", "world", route: "region: north, away: refuse", fields: "place: country",
            hits: "30d"),
        "Policies/law.yaml": law(
            "law", "DE", route: "region: north, away: refuse, relocate: [US]",
            fields: northFields, hits: "395d"),
        "Policies/far.yaml": law(
            "far", "US", route: "region: south, away: refuse", fields: southFields, hits: "90d"),
        "Policies/closed.yaml":
            "policy: closed\ntitle: T\nsource: none\napplies_to: { places: [CN] }\nroute: refuse\n",
    ]

    /// A hit that `law` has kept, told from others by its parameter `n`.
    static func record(_ number: Int, prefix: String? = "1.0.0.0/24") -> HitRecord {
        var record = HitRecord()
        record.hitID = UInt128(number + 1) << 64 | UInt128(number) &* 0x9E37_79B9
        let day = Self.day + -(number % 2)
        record.timestamp = Timestamp(microseconds: day.start.microseconds + Int64(number) + 7)
        record.site = "www.example"
        record.event = "view"
        record.pageHost = "www.example"
        record.pagePath = "/p?a=1&b=2"
        record.referrerHost = "r.example"
        record.user = Pseudonym(value: 0xABCD_EF01_2345_6789 << 64 | UInt128(number))
        record.keyEpoch = day
        record.ipPrefix = prefix
        record.country = "DE"
        record.browser = "Firefox"
        record.os = "Linux"
        record.device = "Other"
        record.language = "de"
        record.consent = .granted
        record.purposes = ["measuring"]
        record.signals = ["tcf"]
        record.policy = "law"
        record.retainUntil = day + 395
        record.parameters = [.init(key: "n", value: "\(number)"), .init(key: "v", value: "x")]
        return record
    }

    func lake(
        _ index: Int, step: @escaping @Sendable (LakeStep) throws -> Void = { _ in }
    ) throws -> RegionLake {
        try RegionLake(regions[index], clock: Clock(), log: logs[index], step: step)
    }

    func put(_ records: [HitRecord], delivering: Bool = true) throws {
        let lake = try lake(0)
        let journal = try lake.journal()
        let bytes = HitBatch(ruleSet: "old-rules", geoBuild: "old-geo", records: records).encoded
        let tally = LedgerTally.text(
            Dictionary(grouping: records, by: \.policy).map {
                LedgerCount(policy: $0.key, fate: "kept", hits: Int64($0.value.count))
            })
        _ = try journal.append(
            bytes, hits: records.count, expecting: journal.suppression().generation, tally: tally)
        if delivering { _ = try lake.table.deliver(from: journal) }
    }

    func relocation(
        step: @escaping @Sendable (LakeStep) throws -> Void = { _ in },
        moment: @escaping @Sendable (Relocation.Step) throws -> Void = { _ in }
    ) throws -> Relocation {
        Relocation(
            out: try lake(0, step: step), regions: regions, clock: Clock(), moment: moment)
    }

    /// Rows of a region's table, a text of each.
    func rows(_ index: Int, _ columns: String) throws -> [String] {
        let files = try lake(index).table.snapshot().files.map { "'\($0.path)'" }
        guard !files.isEmpty else { return [] }
        return try ask(
            """
            SELECT concat_ws('|', \(columns))
            FROM read_parquet([\(files.joined(separator: ","))], hive_partitioning = false) ORDER BY ALL
            """
        )
    }

    /// The first column of an answer.
    private func ask(_ sql: String) throws -> [String] {
        try engine.withLock { engine in try engine.query(sql).rows().map { $0[0] ?? "" } }
    }

    /// Where each hit is now, in the order of places: tables, outgoing hits, the journal of the south.
    func numbers() throws -> [Int] {
        var found = try (0...1).flatMap { try rows($0, "params['n']") }
        for batch in try lake(0).catalog.outgoing(table: HitsSchema.tableName, max: 99) {
            // What the other journal has taken is on its way no more, though it is not forgotten yet.
            let journal = try lake(1).journal()
            if try journal.hasTaken(batch, from: "north") { continue }
            let hits = try HitBatch(decoding: batch.bytes)
            found += hits.records.flatMap(\.parameters).filter { $0.key == "n" }.map(\.value)
        }
        let lake = try lake(1)
        let waiting = try lake.journal().read(
            after: BatchNumber(lake.table.deliveredThrough()), bytesMax: .max)
        for stored in waiting {
            let hits = try HitBatch(decoding: stored.bytes)
            found += hits.records.flatMap(\.parameters).filter { $0.key == "n" }.map(\.value)
        }
        return found.compactMap { Int($0) }.sorted()
    }

    /// Whether bytes lie anywhere in a region's folder or in the rows of any Parquet file of it.
    func holds(_ text: String, in region: RegionConfiguration) throws -> Bool {
        for name in FileManager.default.subpaths(atPath: region.stateDirectory) ?? [] {
            let path = region.stateDirectory + "/" + name
            if path.hasSuffix(".parquet") {
                let count = try ask(
                    "SELECT count(*) FROM read_parquet('\(path)') AS h WHERE contains(CAST(h AS VARCHAR), '\(text)')"
                )
                if count != ["0"] { return true }
            } else if let data = FileManager.default.contents(atPath: path),
                data.range(of: Data(text.utf8)) != nil
            {
                return true
            }
        }
        return false
    }
}

@Suite struct `Stored hits that are moved home` {
    @Test
    func
        `brings a hit home with what both policies keep, and nothing that only its old region could make`()
        throws
    {
        let house = try MovingHouse()
        try house.put([
            MovingHouse.record(1), MovingHouse.record(2, prefix: "1.0.2.0/24"),
            MovingHouse.record(3, prefix: "1.0.1.0/24"), MovingHouse.record(4, prefix: nil),
        ])
        let preview = try house.relocation().preview(house.rules)
        #expect(preview.rows == 4 && preview.placed == 2 && preview.refused.isEmpty)
        #expect(preview.moves.values.map(\.moved) == [1])
        #expect(try house.rows(1, "site").isEmpty)

        let report = try house.relocation().run(house.rules)
        #expect(report.rows == 4 && report.placed == 2)
        #expect(report.moves == preview.moves)
        #expect(try house.rows(0, "params['n']") == ["2", "3", "4"])
        let columns =
            "epoch_us(ts), site, event, page_host, page_path, coalesce(referrer_host, visitor, \"user\", '-'), key_epoch, "
            + "ip_prefix, country, coalesce(browser, os, device, '-'), language, consent, policy, rule_set, geo_build, "
            + "retain_until, array_to_string(purposes, ','), array_to_string(signals, ','), CAST(params AS VARCHAR)"
        let moved = MovingHouse.record(1)
        let retained = (Day(moved.timestamp) + 90).text
        #expect(
            try house.rows(1, columns) == [
                "\(moved.timestamp.microseconds)|www.example|view|www.example|/p?b=2|-|1.0.0.0/16|US|-|de|granted|far|"
                    + "\(house.rules.rules.digest)|\(house.rules.geoBuild)|\(retained)|measuring|tcf|{n=1}"
            ])
        let id = try #require(try house.rows(1, "hit_id").first)
        #expect(id.dropFirst(14).first == "7")
        #expect(id != moved.hitIDText)
        // Neither the row's id nor its person's pseudonym is anywhere in either region any more.
        let pseudonym = try #require(moved.user).text
        for region in house.regions {
            #expect(try !house.holds(pseudonym, in: region))
            #expect(try !house.holds(moved.hitIDText, in: region))
        }
        #expect(try house.holds(MovingHouse.record(2).user!.text, in: house.north))
        #expect(try house.lake(0).table.write { try $0.strayFiles() }.isEmpty)
        // Asked again there is nothing left to do, from either side.
        #expect(try house.relocation().run(house.rules).moves.isEmpty)
        let back = Relocation(
            out: try house.lake(1), regions: house.regions, clock: MovingHouse.Clock())
        #expect(try back.run(house.rules).isEmpty)
    }

    @Test func `is in the audit logs of both ends, and in the balances`() throws {
        let house = try MovingHouse()
        try house.put((0..<5).map { MovingHouse.record($0) }, delivering: false)
        _ = try house.relocation().run(house.rules)
        let left = try house.logs[0].reader.entries(matching: .init(kind: "lake-relocation"))
        #expect(left.count == 1)
        #expect(left[0].entry.fields["rows-removed"] == .integer(5))
        #expect(left[0].entry.fields["policy law"] == .integer(5))
        #expect(left[0].entry.fields["to south"] == .integer(5))
        let came = try house.logs[1].reader.entries(
            matching: .init(kind: Relocation.arrivalKind))
        #expect(came.count == 1)
        #expect(came[0].entry.fields["from"] == .text("north"))
        #expect(came[0].entry.fields["policy far"] == .integer(5))
        for region in house.regions {
            let balance = try RegionBalance(region, clock: MovingHouse.Clock())
            #expect(balance.findings.isEmpty, "\(balance.findings)")
            #expect(balance.total.present == (region.name == "south" ? 5 : 0))
        }
    }

    private static let twelve = (0..<12).map {
        MovingHouse.record($0, prefix: $0 % 3 == 0 ? "1.0.2.0/24" : "1.0.0.0/24")
    }

    /// Runs in a house of twelve hits until the step of this number, nil for never; returns the steps.
    private func steps(_ house: MovingHouse, until limit: Int?) throws -> [String] {
        try house.put(Self.twelve)
        let reached = Mutex<[String]>([])
        @Sendable func next(_ name: String) throws {
            let count = reached.withLock {
                $0.append(name)
                return $0.count
            }
            if count == limit { throw MovingHouse.Killed() }
        }
        do {
            _ = try house.relocation(
                step: { try next($0.rawValue) }, moment: { try next($0.rawValue) }
            ).run(house.rules)
        } catch is MovingHouse.Killed {}
        return reached.withLock { $0 }
    }

    @Test func `that is killed at any step and gone on with moves each hit once`() throws {
        let steps = try self.steps(MovingHouse(), until: nil)
        #expect(Set(steps).isSuperset(of: Relocation.Step.allCases.map(\.rawValue)))
        #expect(
            Set(steps).isSuperset(of: ["dataFileWritten", "audited", "committed", "fileDeleted"]))
        // Of one step after another of the same name the first stands for all.
        let kills = steps.indices.filter { $0 == 0 || steps[$0] != steps[$0 - 1] }
        for kill in kills {
            let house = try MovingHouse()
            let last = try self.steps(house, until: kill + 1).last ?? ""
            #expect(last == steps[kill])
            #expect(try house.numbers() == Array(0..<12), "killed at \(last)")
            _ = try house.relocation().run(house.rules)
            #expect(try house.numbers() == Array(0..<12), "after \(last)")
            #expect(try house.rows(1, "params['n']").count == 8, "after \(last)")
            #expect(try house.relocation().outgoing() == (0, 0))
            let moved = try #require(Self.twelve[1].user).text
            #expect(try !house.holds(moved, in: house.north), "after \(last)")
            #expect(try house.lake(0).table.write { try $0.strayFiles() }.isEmpty)
            // Where an entry of the log may stand without its change.
            guard ["audited", "committed", "announced", "taken"].contains(last) else { continue }
            for region in house.regions {
                let balance = try RegionBalance(region, clock: MovingHouse.Clock())
                #expect(balance.findings.isEmpty, "after \(last): \(balance.findings)")
            }
        }
    }

    @Test func `leaves what a policy forbids to move, and names the rule`() throws {
        let strict = MovingHouse.law(
            "law", "DE", route: "region: north, away: refuse", fields: MovingHouse.northFields,
            hits: "395d")
        let house = try MovingHouse(["Policies/law.yaml": strict])
        var orphan = MovingHouse.record(2)
        orphan.policy = "abolished"
        try house.put([
            MovingHouse.record(1), orphan, MovingHouse.record(3, prefix: "1.0.3.0/24"),
        ])
        let report = try house.relocation().run(house.rules)
        #expect(report.moves.isEmpty)
        let refused = report.refused.map {
            "\($0.key.policy) \($0.key.refusal.region ?? "-") \($0.key.refusal.file):\($0.key.refusal.line) \($0.value)"
        }.sorted()
        #expect(
            refused == [
                "abolished south Policies/far.yaml:1 1", "law - Policies/closed.yaml:5 1",
                "law south Policies/law.yaml:5 1",
            ])
        #expect(
            report.refused.keys.contains {
                $0.refusal.text.contains("moved to nowhere, not to `US`")
            })
        #expect(try house.rows(0, "params['n']") == ["1", "2", "3"])
    }

    @Test func `leaves a person who is being erased to the erasure`() throws {
        let house = try MovingHouse()
        let records = (0..<4).map { MovingHouse.record($0) }
        try house.put(records)
        let journal = try house.lake(0).journal()
        try journal.suppress(subjects: [], pseudonyms: [(.user, try #require(records[1].user))])
        let report = try house.relocation().run(house.rules)
        #expect(report.beingErased == 1)
        #expect(try house.rows(0, "params['n']") == ["1"])
        #expect(try house.rows(1, "params['n']") == ["0", "2", "3"])
    }

    @Test func `leaves hits that are held, and says so before`() throws {
        let house = try MovingHouse()
        let records = (0..<4).map { MovingHouse.record($0) }
        try house.put(records)
        let user = try #require(records[1].user)
        let keys = try RegionKeys(opening: house.north.keysDirectory, region: "north")
        let person = try NamedSubjectTransform(keys).apply(.pseudonym(user)).get()
        let subjects = try RegionSubjects(house.north, clock: MovingHouse.Clock())
        _ = try subjects.service().hold(person, column: nil, days: nil, reason: "", id: "h1")
        let preview = try house.relocation().preview(house.rules)
        #expect(preview.held == 1 && preview.moves.values.map(\.moved) == [3])

        let report = try house.relocation().run(house.rules)
        #expect(report.held == 1 && report.moves == preview.moves)
        #expect(report.rows == preview.rows && report.placed == preview.placed)
        #expect(try house.rows(0, "params['n']") == ["1"])
        #expect(try house.relocation().preview(house.rules).isEmpty)
    }

    @Test func `opens what its old region has sealed, and leaves what no key opens any more`()
        throws
    {
        let house = try MovingHouse(sealed: [.pagePath, .language, .parameters])
        let records = [MovingHouse.record(1), MovingHouse.record(3)]
        try house.put(records)
        #expect(try house.rows(0, "starts_with(page_path, 'sealed:1:')") == ["true", "true"])
        let keys = try RegionKeys(opening: house.north.keysDirectory, region: "north")
        let store = try #require(try SubjectKeys.existing(keys))
        let gone = SubjectFilter(users: [try #require(records[1].user)])
        #expect(try store.destroy(.init(gone, keys)) == 1)
        #expect(try house.relocation().preview(house.rules).moves.values.map(\.moved) == [2])
        _ = try house.relocation().run(house.rules)
        #expect(try house.rows(0, "page_path").isEmpty)
        #expect(try house.rows(1, "page_path").sorted() == ["", "/p?b=2"])
        #expect(try house.rows(1, "language").sorted() == ["", "de"])
        #expect(try house.rows(1, "CAST(params AS VARCHAR)").sorted() == ["{n=1}", "{}"])
        #expect(try !house.holds("sealed:1:", in: house.south))
    }

    /// What of a hit arrives under some rules of the new home.
    struct Arrival: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var far: String
        var change: @Sendable (inout HitRecord) -> Void = { _ in }
        let expected: @Sendable (HitRecord?) -> Bool
    }

    private static func far(
        purpose: String = "tcf: [8]", denied: String = "count", hits: String = "90d",
        sampling: String = "100"
    ) -> String {
        MovingHouse.law(
            "far", "US", route: "region: south, away: refuse", purpose: purpose, denied: denied,
            fields: MovingHouse.southFields, hits: hits, sampling: sampling)
    }

    static let arrivals: [Arrival] = [
        .init(testDescription: "kept", far: far()) { $0?.isCounted == false },
        .init(
            testDescription: "a purpose that means something else is none",
            far: far(purpose: "tcf: [9]")
        ) {
            $0?.isCounted == true && $0?.consent == .denied && $0?.ipPrefix == nil
        },
        .init(
            testDescription: "nothing without consent",
            far: far(purpose: "tcf: [9]", denied: "drop")
        ) {
            $0 == nil
        },
        .init(
            testDescription: "fields that need no purpose without consent",
            far: far(denied: "keep"),
            change: {
                $0.consent = .invalid
                $0.purposes = []
            },
            expected: { $0?.ipPrefix == nil && $0?.pagePath == "/p?b=2" && $0?.consent == .invalid }
        ),
        .init(testDescription: "nothing that is due there", far: far(hits: "1d")) { $0 == nil },
        .init(
            testDescription: "no field that is past its age there",
            far: far(hits: "90d, fields: { ip: 1d, page: 30d }"),
            expected: { $0?.ipPrefix == nil && $0?.pagePath == "/p?b=2" && $0?.isCounted == false }),
        .init(
            testDescription: "no longer than before", far: far(hits: "395d"),
            change: { $0.retainUntil = MovingHouse.day + 5 },
            expected: { $0?.retainUntil == MovingHouse.day + 5 }),
        .init(
            testDescription: "not below the new sampling", far: far(sampling: "50"),
            change: { $0.hitID = 0xC000_0000 },
            expected: { $0 == nil }),
        .init(
            testDescription: "as sampled there", far: far(sampling: "50"),
            change: { $0.hitID = 0x4000_0000 },
            expected: { $0?.sampleRate == 0.5 }),
        .init(
            testDescription: "no place that was not kept", far: far(),
            change: { $0.country = nil },
            expected: { $0?.country == nil }),
        .init(
            testDescription: "no prefix finer than before", far: far(),
            change: { $0.ipPrefix = "1.0.0.0/12" },
            expected: { $0?.ipPrefix == "1.0.0.0/12" }),
    ]

    @Test(arguments: arrivals) func `lets arrive`(_ arrival: Arrival) throws {
        let house = try MovingHouse(["Policies/far.yaml": arrival.far])
        var record = MovingHouse.record(1)
        guard
            case .belongs(let destination) = house.rules.verdict(
                prefix: record.ipPrefix, site: record.site, policy: record.policy, in: "north")
        else {
            Issue.record("the hit belongs to the south")
            return
        }
        arrival.change(&record)
        let arriving = house.rules.arriving(
            record, at: destination, today: MovingHouse.Clock().now().day)
        #expect(arrival.expected(arriving), "\(String(describing: arriving))")
        #expect(arriving?.user == nil && arriving?.visitor == nil && arriving?.keyEpoch == nil)
    }

    @Test func `takes more rows than one commit may in several`() throws {
        let house = try MovingHouse()
        try house.put((0..<10).map { MovingHouse.record($0) })
        let transfer = RowTransfer(
            ruleSet: "r", geoBuild: "g", mayLeave: { _, _ in true },
            fate: { $0.user == MovingHouse.record(3).user ? .stays : .dropped })
        var left: [Int] = []
        try house.lake(0).table.write { writer in
            repeat { left.append(try writer.handOver(transfer, rowsMax: 4)) } while left.last! > 0
        }
        #expect(left == [4, 4, 1, 0])
        #expect(try house.rows(0, "params['n']") == ["3"])
    }
}

extension Timestamp {
    fileprivate var day: Day { Day(self) }
}

extension HitRecord {
    /// As the lake shows it.
    fileprivate var hitIDText: String {
        let digits = Array(Pseudonym(value: hitID).text)
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }
            .joined(separator: "-")
    }
}
