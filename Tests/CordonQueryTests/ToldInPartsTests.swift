import CordonModel
import CordonPolicy
import Engine
import Foundation
import SQLite
import TestSupport
import Testing

@testable import CordonQuery

@Suite struct `Parts of what is told` {
    private struct Row {
        var group: UInt64
        var person: UInt64
        var number: UInt64
        /// Four buckets, so that people share them.
        var bucket: UInt16 { UInt16(person % 4) }
    }

    /// What rows tell, as the child's statement gathers it.
    private static func part(_ rows: [Row], needed: UInt64 = 5) -> ReleasePart {
        var part = ReleasePart()
        for (group, rows) in Dictionary(grouping: rows, by: \.group) {
            var measure = ReleasePart.Measure(needed: needed)
            for (bucket, rows) in Dictionary(grouping: rows, by: \.bucket)
                .sorted(by: { $0.key < $1.key })
            {
                measure.buckets.append(bucket)
                measure.sums.append(rows.map(\.number).reduce(0, AnswerVector.sum))
                measure.people?.append(
                    .init(
                        rows: UInt64(rows.count), least: rows.map(\.person).min() ?? 0,
                        most: rows.map(\.person).max() ?? 0,
                        total: rows.map(\.person).reduce(0, AnswerVector.sum)))
            }
            part.groups[[group, 0, 0]] = [measure]
        }
        return part
    }

    @Test func `add up to what all rows tell, however they are dealt`() {
        var generator = Generator()
        for _ in 0..<60 {
            let people = (0..<Int.random(in: 1...9, using: &generator)).map { _ in
                UInt64.random(in: 0..<1 << 55, using: &generator)
            }
            let rows = (0..<Int.random(in: 1...40, using: &generator)).map { _ in
                Row(
                    group: UInt64.random(in: 0...2, using: &generator),
                    person: people.randomElement(using: &generator)!,
                    number: UInt64.random(in: 0..<AnswerVector.modulus, using: &generator))
            }
            var sum = ReleasePart()
            let dealt = Dictionary(grouping: rows) { _ in Int.random(in: 0...4, using: &generator) }
            for rows in dealt.values { sum.add(Self.part(rows)) }
            #expect(sum == Self.part(rows), "seed \(generator.seed)")
            // What is known of a group's people is true.
            for (group, measures) in sum.groups {
                let people = Set(rows.filter { $0.group == group[0] }.map(\.person))
                if let isShown = measures[0].isShown {
                    #expect(isShown == (people.count >= 5), "seed \(generator.seed)")
                }
            }
        }
    }

    @Test func `tell one person and two for certain, and no more than there are of others`() {
        func bounds(_ people: [UInt64]) -> ClosedRange<UInt64> {
            Self.part(people.map { Row(group: 0, person: $0 * 4, number: 1) })
                .groups[[0, 0, 0]]![0].people![0].bounds
        }
        #expect(bounds([7]) == 1...1)
        #expect(bounds([7, 7, 7]) == 1...1)
        #expect(bounds([7, 1_000_003]) == 2...2)
        #expect(bounds([7, 1_000_003, 7, 7, 1_000_003]) == 2...2)
        #expect(bounds([7, 1_000_003, 500_000_009]) == 3...3)
        #expect(bounds([7, 1_000_003, 500_000_009, 7, 11]) == 3...5)
    }

    @Test func `hold nothing of people once there are enough, and of rows what they sum up to`() {
        let rows = (0..<AnswerVector.bucketsMax).map { bucket in
            let people = ReleasePart.People(rows: 1, least: 9, most: 9, total: 9)
            return (UInt16(bucket), people)
        }
        func measure(_ range: Range<Int>) -> ReleasePart.Measure {
            ReleasePart.Measure(
                needed: 5, buckets: rows[range].map(\.0), sums: range.map { UInt64($0 + 1) },
                people: rows[range].map(\.1))
        }
        var sum = measure(0..<200)
        sum.add(measure(100..<300))
        #expect(sum.people == nil)
        #expect(sum.sums[150] == 302)
        #expect(sum.isShown == true)
        sum.needed = 301
        #expect(sum.isShown == nil)
        sum.add(measure(0..<10))
        #expect(sum.people == nil && sum.buckets.count == 300)
    }

    @Test func `come from the child as they are, and other bytes are none`() throws {
        let engine = try EngineConnection()
        let release = Release(
            node: .null, quickNode: .null, partNode: .null, keyCount: 1, isPartition: true,
            calls: [nil])
        let sql = """
            SELECT u::UBIGINT, k::UBIGINT, 0::UBIGINT, 0::UBIGINT, [b, a]::UBIGINT[],
              [5, 5]::UBIGINT[], [2, 1]::UBIGINT[], [20, 10]::UBIGINT[], [3, 4]::UBIGINT[], [3, 4]::UBIGINT[],
              [6, 4]::UBIGINT[], [5, 0]::UBIGINT[], [2, 0]::UBIGINT[], [20, 0]::UBIGINT[],
              [3, 0]::UBIGINT[], [3, 0]::UBIGINT[], [6, 0]::UBIGINT[]
            FROM (VALUES (0, 100, 1, 9), (3, 100, 1, 9), (3, 200, 0, 511)) t(u, k, a, b)
            """
        var proven = ProvenGroups(needed: 2)
        let bytes = try #require(try ReleasePart.encoded(try engine.query(sql), &proven))
        // Two people in two units are two in one of them; a call of one person is not proven.
        #expect(proven.groups == [[100, 0, 0]: [true, false], [200, 0, 0]: [true, false]])
        #expect(!proven.areAll)
        let parts = try #require(ReleasePart.decoded(bytes, of: release))
        #expect(parts.mapValues(\.groups.count) == [0: 1, 3: 2])
        let measures = try #require(parts[3]?.groups[[200, 0, 0]])
        #expect(measures.map(\.buckets) == [[0, 511], [511]])
        #expect(measures.map(\.sums) == [[10, 20], [20]])
        #expect(measures[0].people?.map(\.total) == [4, 6])
        #expect(measures[1].people?.map(\.rows) == [2])
        #expect(ReleasePart.decoded(bytes + bytes, of: release) == nil)
        for end in 1..<bytes.count where end % 13 != 0 {
            let cut = ReleasePart.decoded(Array(bytes[..<end]), of: release)
            #expect(cut?.values.map(\.groups.count).reduce(0, +) ?? 0 < 3)
        }
    }
}

@Suite struct `Memory of what files told` {
    private func unit(_ files: String..., cells: Int = 4) -> AnswerMemory.Unit {
        var part = ReleasePart()
        part.groups[[1, 0, 0]] = [
            ReleasePart.Measure(
                needed: 5, buckets: (0..<cells).map { UInt16($0) },
                sums: (0..<cells).map { UInt64($0) }, people: nil)
        ]
        return AnswerMemory.Unit(files: Set(files), part: part)
    }

    @Test func `gives what stands for files of the question alone`() {
        let memory = AnswerMemory()
        memory.keep(onlyOf: ["a", "b", "c"])
        memory.note(["1": unit("a"), "2": unit("b", "c")], of: [7])
        #expect(memory.units(of: [7], about: ["1": ["a"], "2": ["b", "c", "d"]]).count == 2)
        // A file of the unit is not asked about, or another question is asked.
        #expect(memory.units(of: [7], about: ["1": ["a"], "2": ["b"]]).keys.sorted() == ["1"])
        #expect(memory.units(of: [8], about: ["1": ["a"]]).isEmpty)
    }

    @Test func `forgets what a file told when the file goes, whoever asks next`() {
        let memory = AnswerMemory()
        memory.keep(onlyOf: ["a", "b", "c"])
        memory.note(["1": unit("a"), "2": unit("b", "c")], of: [7])
        memory.note(["1": unit("c")], of: [8])
        #expect(memory.size.files == 3)
        memory.keep(onlyOf: ["a", "b", "d"])
        #expect(memory.size.files == 1)
        // A question that began before the file went does not bring it back.
        memory.note(["1": unit("c")], of: [8])
        #expect(memory.size.files == 1)
        memory.keep(onlyOf: [])
        #expect(memory.size == (0, 0))
    }

    @Test func `keeps to its bound, and forgets what was used longest ago`() {
        let one = unit("a", cells: 400)
        let memory = AnswerMemory(bytesMax: 3 * (one.part.bytes + 128))
        memory.keep(onlyOf: ["a"])
        for question in UInt8(0)..<3 { memory.note(["1": one], of: [question]) }
        #expect(memory.units(of: [0], about: ["1": ["a"]]).count == 1)
        memory.note(["1": one], of: [3])
        let left = (UInt8(0)...3).filter { !memory.units(of: [$0], about: ["1": ["a"]]).isEmpty }
        #expect(left == [0, 2, 3])
    }

    @Test func `keeps two units of a question in which one file stands`() {
        let memory = AnswerMemory()
        memory.keep(onlyOf: ["a"])
        for name in ["1", "2", "3"] { memory.note([name: unit("a")], of: [7]) }
        let names = ["1", "2", "3"].filter { !memory.units(of: [7], about: [$0: ["a"]]).isEmpty }
        #expect(names == ["2", "3"])
    }
}

/// A region that is asked with and without memory, each with a ledger of its own.
private struct Asked: QueryRegion {
    let region: QueryFixture
    let ledgerPath: String
    var name: String { region.name }
    var jurisdiction: String { region.jurisdiction }
    var scratchDirectory: String { region.scratchDirectory }
    var sealedColumns: Set<String> { region.sealedColumns }
    func files() throws -> [QueryFile] { try region.files() }
    func suppressedPseudonyms() throws -> [SuppressedPseudonym] {
        try region.suppressedPseudonyms()
    }
    func asker(_ principal: Principal) -> String { region.asker(principal) }
    func ledger() throws -> QueryLedger { try QueryLedger(path: ledgerPath, newSalt: 20_261_129) }
    func record(_ entry: QueryAuditEntry) throws { try region.record(entry) }

    func ask(
        _ sql: String, _ memory: AnswerMemory, on day: Day = QueryFixture.today
    ) throws -> QueryService.Outcome {
        try QueryService(
            policies: QueryFixture.policies, clock: FixedClock(time: day.start),
            child: QueryChild(command: [QueryFixture.worker, "query-worker"]), memory: memory
        ).run(QueryRequest(sql: sql, principal: QueryFixture.analyst), in: self)
    }

    /// Digests of what was told, in order.
    func told() throws -> [String] {
        let connection = try Connection(path: ledgerPath)
        let statement = try connection.prepare("SELECT hex(digest) FROM answers ORDER BY id")
        var found: [String] = []
        while try statement.step() { found.append(statement.text(0) ?? "") }
        return found
    }
}

@Suite struct `Questions after deliveries` {
    private let fixture: QueryFixture
    private let (kept, fresh): (Asked, Asked)

    init() throws {
        fixture = try QueryFixture()
        kept = Asked(region: fixture, ledgerPath: fixture.folder.file("kept.sqlite"))
        fresh = Asked(region: fixture, ledgerPath: fixture.folder.file("fresh.sqlite"))
        fixture.setFiles(
            zip(try fixture.files(), [20, 21, nil, 1]).map { file, day in
                var file = file
                file.day = day.map { Day(year: 2026, month: $0 == 1 ? 8 : 11, day: $0) }
                return file
            })
    }

    private func write(_ sql: String, _ name: String, day: Day?) throws -> QueryFile {
        try QueryFixture.write(sql, to: fixture.folder.file(name))
        return QueryFile(path: fixture.folder.file(name), retainUntil: nil, day: day)
    }

    private func delivered(_ range: String, day: Int, _ name: String) throws -> QueryFile {
        let text = "2026-11-\(day)"
        return try write(
            QueryFixture.rows(range, day: text, policy: "gdpr", retainUntil: "2027-12-22"), name,
            day: Day(text))
    }

    private static let questions = [
        "SELECT count(*) AS n FROM hits",
        "SELECT site, event, count(*), count(*) FILTER (WHERE country = 'FR') FROM hits GROUP BY ALL",
        "SELECT date_trunc('hour', ts) AS t, count(*), sum(CAST(params['value'] AS INTEGER)) FROM hits GROUP BY t",
        "SELECT browser, count(*) FROM hits WHERE site <> 'none.example' GROUP BY browser",
    ]

    @Test(arguments: questions)
    func `tell what all files read anew would tell`(_ sql: String) throws {
        let memory = AnswerMemory()
        func check() throws {
            let outcome = try kept.ask(sql, memory)
            let other = try fresh.ask(sql, AnswerMemory())
            #expect(outcome.cells?.count == other.cells?.count)
            #expect(outcome.refusal?.rule == other.refusal?.rule)
            #expect(try kept.told() == fresh.told())
        }
        try check()
        let first = try fixture.files()
        // A delivery to a day that is there, one to another day, and a compaction of both.
        fixture.setFiles(first + [try delivered("200, 320", day: 21, "more-1.parquet")])
        try check()
        fixture.setFiles(
            try fixture.files() + [try delivered("100", day: 22, "more-2.parquet")])
        try check()
        let compacted = try write(
            "SELECT * FROM read_parquet(['\(first[1].path)', '\(fixture.folder.file("more-1.parquet"))']) ORDER BY visitor",
            "compacted.parquet", day: Day(year: 2026, month: 11, day: 21))
        fixture.setFiles([compacted] + (try fixture.files()).filter { $0.day != compacted.day })
        try check()
        #expect(try !kept.told().isEmpty)
        #expect(memory.size.files == (try fixture.files().count))
    }

    @Test func `read the new files alone`() throws {
        let memory = AnswerMemory()
        let sql = "SELECT count(*) AS n FROM hits"
        #expect(try kept.ask(sql, memory).cells == [["560"]])
        #expect(try fresh.ask(sql, AnswerMemory()).cells == [["560"]])
        let more = try delivered("100", day: 22, "more.parquet")
        fixture.setFiles(try fixture.files() + [more])
        #expect(try fresh.ask(sql, AnswerMemory()).cells == [["660"]])
        // No file is ever written again under its name; were one, what it told would still be what is remembered.
        try QueryFixture.write(
            "SELECT * FROM '\(more.path)' LIMIT 50", to: try fixture.files()[0].path)
        #expect(try kept.ask(sql, memory).cells == [["510"]])
        #expect(try kept.told() == fresh.told())
    }

    @Test(arguments: [
        ("ts >= '2026-11-20T01:00:00Z'", "ts >= '2026-11-20T05:00:00Z'"),
        ("ts < '2026-11-21T03:00:00Z'", "ts < '2026-11-21T00:40:00Z'"),
    ])
    func `for another range of times tell what all files read anew would tell`(
        _ first: String, _ second: String
    ) throws {
        fixture.setFiles(
            try fixture.files() + [
                try delivered("150", day: 22, "more.parquet"),
                try delivered("200, 400", day: 20, "late.parquet"),
            ])
        let memory = AnswerMemory()
        for condition in [first, second, first] {
            let sql = "SELECT event, count(*) FROM hits WHERE \(condition) GROUP BY event"
            #expect(try kept.ask(sql, memory).answer != nil)
            #expect(try fresh.ask(sql, AnswerMemory()).answer != nil)
            #expect(try kept.told() == fresh.told())
        }
        #expect(try kept.told().count == 2)
    }

    private func rare(_ people: Range<Int>, _ name: String) throws -> QueryFile {
        let rows = QueryFixture.rows(
            "40", day: "2026-11-22", policy: "gdpr", retainUntil: "2027-12-22")
        return try write(
            """
            SELECT * EXCLUDE (i) REPLACE (
              ('019b0000-0000-7000-8000-' || lpad((i + \(people.lowerBound * 100))::VARCHAR, 12, '0'))::UUID AS hit_id,
              md5('rare' || (i % \(people.count) + \(people.lowerBound))) AS visitor,
              NULL::VARCHAR AS "user", 'rare' AS event)
            FROM (SELECT *, row_number() OVER () AS i FROM (\(rows)))
            """, name, day: Day(year: 2026, month: 11, day: 22))
    }

    @Test func `show a group that is new once all its people are enough`() throws {
        let memory = AnswerMemory()
        let sql = "SELECT event, count(*) AS n FROM hits GROUP BY event ORDER BY event"
        func events() throws -> [String?]? {
            let cells = try kept.ask(sql, memory).cells
            #expect(try fresh.ask(sql, AnswerMemory()).cells == cells)
            #expect(try kept.told() == fresh.told())
            return cells?.map { $0[0] }
        }
        let before = try #require(try events())
        #expect(!before.contains("rare"))
        // What was proven of the other groups says nothing of the new one.
        fixture.setFiles(try fixture.files() + [try rare(0..<2, "rare-1.parquet")])
        #expect(try events() == before)
        fixture.setFiles(try fixture.files() + [try rare(1..<4, "rare-2.parquet")])
        #expect(try events() == before)
        fixture.setFiles(try fixture.files() + [try rare(3..<6, "rare-3.parquet")])
        #expect(try events()?.contains("rare") == true)
    }

    @Test(arguments: ["none.example", "tiny.example"])
    func `about nobody and about few are refused alike, whoever asked before`(_ site: String) throws
    {
        let memory = AnswerMemory()
        for sql in ["SELECT count(*)", "SELECT count(*), count(*) FILTER (WHERE event = 'view')"] {
            let sql = sql + " FROM hits WHERE site = '\(site)'"
            for asked in [kept, kept, fresh] {
                #expect(try asked.ask(sql, memory).refusal?.rule == "min_group")
            }
        }
    }

    @Test func `are answered for another asker of what is remembered, and read no file for that`()
        throws
    {
        let memory = AnswerMemory()
        let sql = "SELECT event, count(*) AS n FROM hits GROUP BY event ORDER BY event"
        let cells = try kept.ask(sql, memory).cells
        #expect(cells?.isEmpty == false)
        #expect(try fresh.ask(sql, memory).cells == cells)
        #expect(try kept.told() == fresh.told())
        let connection = try Connection(path: fresh.ledgerPath)
        #expect(try connection.integer("SELECT sum(is_proven) FROM known") == 1)
        let other = try Connection(path: kept.ledgerPath)
        let horizon = "SELECT horizon FROM answers"
        #expect(try connection.integer(horizon) == other.integer(horizon))
        #expect(try connection.integer(horizon) ?? 0 > 0)
    }

    @Test func `remember nothing of a clock and of other sources`() throws {
        let memory = AnswerMemory()
        for sql in [
            "SELECT count(*) FROM hits WHERE ts::DATE < current_date",
            "SELECT count(*) FROM hits, range(2)",
            "WITH h AS (SELECT * FROM hits) SELECT count(*) FROM h",
        ] {
            #expect(try kept.ask(sql, memory).answer != nil)
        }
        #expect(memory.size == (0, 0))
    }

    @Test func `are about other rows where somebody is suppressed or a column is past its age`()
        throws
    {
        let memory = AnswerMemory()
        let sql = "SELECT count(*) AS n FROM hits WHERE page_path <> '/none'"
        #expect(try kept.ask(sql, memory).answer != nil)
        let pseudonym = try #require(
            try EngineConnection().text("md5('user10')").flatMap { Pseudonym($0) })
        fixture.suppress([SuppressedPseudonym(column: .user, pseudonym: pseudonym)])
        #expect(try kept.ask(sql, memory).refusal?.rule == "differencing")
        fixture.suppress([])
        // Whom a pseudonym of a hidden column names is counted, so that the vector is the same on any day.
        let later = QueryFixture.today + 20
        #expect(try kept.ask(sql, memory, on: later).answer != nil)
        #expect(try fresh.ask(sql, AnswerMemory(), on: later).answer != nil)
        #expect(try kept.told() == fresh.told())
    }

    /// Visitors whose bucket is one, with the fixture's salt.
    private func visitors(_ count: Int) throws -> [String] {
        let rows = try EngineConnection().query(
            """
            SELECT v FROM (SELECT md5('crowd' || i) AS v FROM range(20000) t(i))
            WHERE hash(xor(hash(hash(v)), 20261129::UBIGINT)) % 512 = 17 LIMIT \(count)
            """
        ).rows()
        return rows.compactMap { $0[0] }
    }

    @Test(arguments: [(4, false), (5, true)])
    func `about people of one bucket are answered by an exact count`(
        _ people: Int, _ isShown: Bool
    ) throws {
        let list = try visitors(people).map { "'\($0)'" }.joined(separator: ", ")
        let rows = QueryFixture.rows(
            "30", day: "2026-11-22", policy: "gdpr", retainUntil: "2027-12-22")
        let crowd = try write(
            """
            SELECT * EXCLUDE (i) REPLACE (
              [\(list)][1 + i % \(people)] AS visitor, NULL::VARCHAR AS "user", 'crowd.example' AS site)
            FROM (SELECT *, row_number() OVER () AS i FROM (\(rows)))
            """,
            "crowd.parquet", day: Day(year: 2026, month: 11, day: 22))
        fixture.setFiles(try fixture.files() + [crowd])
        let sql = "SELECT site, count(*) AS n FROM hits GROUP BY site"
        let sites = try kept.ask(sql, AnswerMemory()).cells?.compactMap { $0[0] } ?? []
        #expect(sites.contains("crowd.example") == isShown)
        #expect(sites.contains("shop.example"))
        // A part of the rows alone is told of elsewhere; the whole is what beside it would single out.
        let rest = try kept.ask(
            "SELECT count(*) FROM hits WHERE site NOT IN ('tiny.example')", AnswerMemory())
        #expect(rest.refusal?.rule == (isShown ? nil : "differencing"))
    }

    @Test func `with rows that stand beside no hit are told of the hits alone`() throws {
        let sql = """
            SELECT count(h.site) AS n FROM (VALUES ('FR'), ('none')) v(c) LEFT JOIN hits h ON h.country = v.c
            """
        #expect(try kept.ask(sql, AnswerMemory()).cells == [["140"]])
    }
}

@Suite struct `Units of files` {
    private static let access: Access = {
        let decision = AccessDecision(
            for: QueryFixture.analyst, in: "eu-central", jurisdiction: "DE",
            under: QueryFixture.policies)
        guard case .granted(let access) = decision else { preconditionFailure("no access") }
        return access
    }()

    private func name(
        _ file: QueryFile, on day: Day, asOf horizon: Timestamp? = nil,
        _ sql: String = "SELECT count(*) FROM hits"
    ) throws -> String {
        let pruning = FilePruning(try QueryGate().check(sql, []), today: day)
        return ToldInParts.Asked(
            access: Self.access, today: day, horizon: horizon, pruning: pruning
        ).unit(of: file)
    }

    private static let day = Day(year: 2026, month: 10, day: 30)
    private static let file = QueryFile(
        path: "a", retainUntil: Day(year: 2027, month: 12, day: 1), day: day)

    @Test func `are of one day, and the same until a field's age ends`() throws {
        let first = try name(Self.file, on: Self.day)
        #expect(try name(Self.file, on: Self.day + 29) == first)
        // Visitors have an age of 30 days, users of 90.
        #expect(try name(Self.file, on: Self.day + 30) != first)
        #expect(
            try name(Self.file, on: Self.day + 31) == name(Self.file, on: Self.day + 89))
        #expect(
            try name(Self.file, on: Self.day + 89) != name(Self.file, on: Self.day + 90))
        var other = Self.file
        other.day = Self.day + 1
        #expect(try name(other, on: Self.day) != first)
    }

    @Test func `are of one date where a file's day or end of retention is not known`() throws {
        for part in [\QueryFile.day, \QueryFile.retainUntil] {
            var file = Self.file
            file[keyPath: part] = nil
            #expect(try name(file, on: Self.day) == name(file, on: Self.day))
            #expect(try name(file, on: Self.day) != name(file, on: Self.day + 1))
        }
    }

    @Test func `know of an earlier time where it lies within their day`() throws {
        let first = try name(Self.file, on: Self.day)
        let within = Timestamp(microseconds: Self.day.start.microseconds + 5)
        #expect(try name(Self.file, on: Self.day, asOf: within) != first)
        #expect(try name(Self.file, on: Self.day, asOf: (Self.day + 1).start) == first)
        #expect(
            try name(Self.file, on: Self.day, asOf: Self.day.start)
                != name(Self.file, on: Self.day, asOf: within))
    }

    struct Bound: Sendable, CustomTestStringConvertible {
        let condition: String
        /// Days, from 2026-10-30 on, which settle it: all rows of theirs fulfil it.
        let settled: [Int]
        var testDescription: String { condition }
        init(_ condition: String, _ settled: [Int]) {
            self.condition = condition
            self.settled = settled
        }
    }

    private static let bounds = [
        Bound("ts >= '2026-10-31'", [1, 2, 3]), Bound("ts > '2026-10-30'", [1, 2, 3]),
        Bound("'2026-10-31 12:00:00' <= ts", [2, 3]),
        Bound("ts < TIMESTAMPTZ '2026-11-01 00:00:00+00'", [0, 1]),
        Bound("ts <= TIMESTAMP '2026-10-31 23:59:59'", [0]),
        Bound("ts BETWEEN '2026-10-31T00:00:00Z' AND '2026-11-02T10:00:00.000Z'", [1, 2]),
        Bound("ts >= '2026-10-30' AND country = 'DE' AND ts < '2026-11-01'", [0, 1]),
        Bound("ts >= DATE '2026-10-31'", [1, 2, 3]),
        Bound("ts > now() - INTERVAL 2 DAY", [1, 2, 3]),
        Bound("ts >= current_date - 1", [2, 3]),
        // Not surely a time, no bound of the time alone, or under another condition.
        Bound("ts >= '2026-10-31 10:00'", [0, 1, 2, 3]),
        Bound("ts >= DATE '2026-10-31 10:00:00'", [0, 1, 2, 3]),
        Bound("ts <> '2026-10-30'", [0, 1, 2, 3]), Bound("ts::DATE >= '2026-10-31'", [0, 1, 2, 3]),
        Bound("ts BETWEEN '2026-11-20' AND '2026-11-01'", []),
    ]

    /// What of the statement is told apart for the file: by its text, and by the unit.
    private func key(_ condition: String, _ file: QueryFile) throws -> [String] {
        let sql = "SELECT count(*) FROM hits WHERE \(condition)"
        let tree = try QueryGate().check(sql, [])
        let now = Timestamp(microseconds: (Self.day + 2).start.microseconds + 7)
        let pruning = FilePruning(
            tree, today: Self.day + 2, frozen: try FrozenClock(at: now).freezing(tree))
        return [pruning.unbounded.text, pruning.rest(of: file)]
    }

    @Test(arguments: bounds)
    func `know of a bound of time where their day does not settle it`(_ bound: Bound) throws {
        let rests = try (0...3).map { later in
            var file = Self.file
            file.day = Self.day + later
            return try key(bound.condition, file)[1]
        }
        #expect(rests.indices.filter { rests[$0].isEmpty } == bound.settled)
        var file = Self.file
        file.day = nil
        let told = try key(bound.condition, file)
        let isBound = bound.settled.count < 4
        #expect(told[1].isEmpty != isBound)
        #expect(told[0].contains("2026-10-3") != isBound)
    }

    @Test func `of a question for another range of times are the same where both hold it whole`()
        throws
    {
        func keys(_ condition: String) throws -> [[String]] {
            try (0...3).map { later in
                var file = Self.file
                file.day = Self.day + later
                return try key("site = 'a' AND " + condition, file)
            }
        }
        let one = try keys("ts >= '2026-10-30T08:00:00Z' AND ts < '2026-11-02T08:00:00Z'")
        let other = try keys("ts >= '2026-10-30T09:30:00Z' AND ts < '2026-11-02T09:30:00Z'")
        #expect(zip(one, other).map { $0 == $1 } == [false, true, true, false])
        let clock = try keys("ts > now() - INTERVAL 3 DAY")
        #expect(clock[1][1] == one[1][1])
        #expect(try keys("country = 'DE'")[1][0] != one[1][0])
        #expect(try key("site = 'b' AND ts >= '2026-10-30T08:00:00Z'", Self.file)[0] != one[0][0])
    }
}
