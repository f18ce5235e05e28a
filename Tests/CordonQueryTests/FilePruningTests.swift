import CordonModel
import CordonPolicy
import Engine
import Foundation
import TestSupport
import Testing

@testable import CordonQuery

/// Files of the days 1 to 10 of November 2026, kept for 30 days, of the site of their parity.
@Suite struct `Files that a statement can need` {
    private static let today = Day(year: 2026, month: 11, day: 8)
    private static let files = (1...10).map { number in
        let day = Day(year: 2026, month: 11, day: number)
        let site = Array((number % 2 == 0 ? "even.example" : "odd.example").utf8)
        return QueryFile(
            path: "\(number)", retainUntil: day + 30, day: day,
            sites: TextBounds(lower: site, upper: site))
    }

    private func days(_ sql: String) throws -> [Int] {
        let pruning = FilePruning(try QueryGate().check(sql), today: Self.today)
        // A file of which nothing is known is always needed, if any is.
        #expect(
            pruning.needs(QueryFile(path: "", retainUntil: nil))
                == sql.lowercased().contains("hits"),
            "\(sql)")
        return Self.files.filter(pruning.needs).map { Int($0.path) ?? 0 }
    }

    struct Condition: CustomTestStringConvertible, Sendable {
        let sql: String
        let days: [Int]
        init(_ sql: String, _ days: some Sequence<Int>) {
            self.sql = sql
            self.days = Array(days)
        }
        var testDescription: String { sql }
    }

    static let conditions = [
        Condition("ts >= TIMESTAMPTZ '2026-11-08 00:00:00+00'", 8...10),
        Condition("ts > '2026-11-08'", 8...10),
        Condition("TIMESTAMP '2026-11-03 12:00' >= hits.ts", 1...3),
        Condition("ts < '2026-11-03T00:00:00Z'", 1...2),
        Condition("ts < '2026-11-03 00:00:01'", 1...3),
        Condition("ts <= '2026-11-03'", 1...3),
        Condition("ts >= TIMESTAMPTZ '2026-11-08 01:00:00+09:00'", 7...10),
        Condition("ts BETWEEN DATE '2026-11-04' AND DATE '2026-11-05'", 4...5),
        Condition("CAST(ts AS DATE) = DATE '2026-11-04'", [4]),
        Condition("ts::DATE < '2026-11-04'", 1...3),
        Condition("date_trunc('day', ts) = '2026-11-04'", [4]),
        Condition("date_trunc('week', ts) = DATE '2026-11-02'", 2...8),
        Condition("date_trunc('month', ts) >= DATE '2026-11-01'", 1...10),
        Condition("ts >= now() - INTERVAL 2 DAY", 6...10),
        Condition("ts >= current_date - 2", 6...10),
        Condition("ts < today() - INTERVAL 1 WEEK", 1...2),
        Condition("ts >= CAST(now() AS DATE)", 8...10),
        Condition("retain_until = DATE '2026-12-05'", [5]),
        Condition("retain_until > '2026-12-08'", 8...10),
        Condition("site = 'odd.example'", [1, 3, 5, 7, 9]),
        Condition("'even.example' = site AND ts >= '2026-11-07'", [8, 10]),
        Condition("site IN ('odd.example', 'other.example') AND bot", [1, 3, 5, 7, 9]),
        Condition("site = 'other.example'", []),
        Condition("ts >= '2026-11-09' AND ts < '2026-11-02'", []),
        // What is not surely understood leaves every file.
        Condition("ts >= '2026-11-08' OR bot", 1...10),
        // The engine's parser turns this round itself.
        Condition("NOT ts >= '2026-11-08'", 1...7),
        Condition("NOT (ts >= '2026-11-08' AND bot)", 1...10),
        Condition("ts NOT BETWEEN '2026-11-04' AND '2026-11-05'", 1...10),
        Condition("ts <> '2026-11-08'", 1...10),
        Condition("ts IS DISTINCT FROM '2026-11-08'", 1...10),
        Condition("site NOT IN ('odd.example')", 1...10),
        Condition("site > 'odd.example'", 1...10),
        Condition("lower(site) = 'odd.example'", 1...10),
        Condition("site = upper('odd.example')", 1...10),
        Condition("site = 'ODD.example' COLLATE nocase", 1...10),
        Condition("ts >= '2026-11-08 (BC)'", 1...10),
        Condition("ts >= '2026-11-08 00:00:00 Asia/Tokyo'", 1...10),
        Condition("ts + INTERVAL 3 DAY >= '2026-11-08'", 1...10),
        Condition("ts >= now() - to_days(bot::INTEGER)", 1...10),
        Condition("ts >= retain_until", 1...10),
        Condition("other.ts >= '2026-11-08'", 1...10),
        Condition("strftime(ts, '%d') = '08'", 1...10),
    ]

    @Test(arguments: conditions) func `are those whose rows can fulfil its condition`(
        _ condition: Condition
    ) throws {
        #expect(
            try days("SELECT count(*) FROM hits WHERE \(condition.sql)") == condition.days)
    }

    static let places = [
        Condition("SELECT count(*) FROM hits", 1...10),
        Condition("SELECT 1", []),
        Condition("SELECT count(*) FROM pixels.hits AS h WHERE h.ts >= '2026-11-08'", 8...10),
        Condition("SELECT count(*) FROM hits AS h WHERE hits.ts >= '2026-11-08'", 1...10),
        Condition("SELECT count(*) FROM hits AS h(ts, hit_id) WHERE ts >= '2026-11-08'", 1...10),
        Condition("SELECT now() AS ts FROM hits WHERE ts >= '2026-11-08'", 1...10),
        Condition(
            "SELECT DATE '2020-01-01' AS current_date FROM hits WHERE ts >= current_date", 1...10),
        Condition(
            "SELECT (SELECT count(*) FROM hits WHERE ts >= current_date) FROM (SELECT DATE '2020-01-01') AS t(current_date)",
            1...10),
        Condition("SELECT count(*) FROM hits AS params WHERE params.ts >= '2026-11-08'", 1...10),
        Condition("SELECT count(*) FROM hits HAVING min(ts) >= '2026-11-08'", 1...10),
        Condition(
            "SELECT (SELECT count(*) FROM hits WHERE ts >= '2026-11-08'), "
                + "(SELECT count(*) FROM HITS WHERE ts < '2026-11-02')", [1, 8, 9, 10]),
        Condition(
            "WITH late AS (SELECT site FROM hits WHERE ts >= '2026-11-08') SELECT count(*) FROM late",
            8...10),
        Condition(
            "SELECT count(*) FROM (SELECT * FROM hits WHERE ts >= '2026-11-05') AS a WHERE ts < '2026-11-07'",
            5...10),
        Condition(
            "SELECT count(*) FROM hits JOIN (SELECT 'odd.example' AS site) USING (site) WHERE ts >= '2026-11-08'",
            1...10),
        Condition(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM hits WHERE ts >= '2026-11-08') UNION ALL SELECT count(*) FROM hits",
            1...10),
    ]

    @Test(arguments: places) func `are counted at every place that reads hits`(
        _ place: Condition
    ) throws {
        #expect(try days(place.sql) == place.days)
    }

    @Test func `a text lies between bounds by its bytes, and above none there is no bound`() {
        let bounds = TextBounds(lower: Array("b".utf8), upper: Array("d".utf8))
        #expect(["b", "c", "cz", "d"].allSatisfy { bounds.contains(Array($0.utf8)) })
        #expect(["", "a", "az", "da", "é"].allSatisfy { !bounds.contains(Array($0.utf8)) })
        #expect(TextBounds(lower: [0x62], upper: nil).contains(Array("é".utf8)))
    }

    /// The files of a fixture with and without what is known of them give the same answers.
    @Test func `are enough for the same answer`() throws {
        let fixture = try QueryFixture()
        let plain = try fixture.files()
        let engine = try EngineConnection()
        try engine.execute("SET TimeZone = 'UTC'")
        let known = try plain.map { file in
            let source = "'\(file.path)'"
            let first = try #require(try engine.text("SELECT min(ts)::DATE FROM \(source)"))
            let last = try #require(try engine.text("SELECT max(ts)::DATE FROM \(source)"))
            try #require(first == last)
            let lower = try #require(try engine.text("SELECT min(site) FROM \(source)"))
            let upper = try #require(try engine.text("SELECT max(site) FROM \(source)"))
            return QueryFile(
                path: file.path, retainUntil: file.retainUntil, day: Day(first),
                sites: TextBounds(lower: Array(lower.utf8), upper: Array(upper.utf8)))
        }
        for condition in [
            "ts >= '2026-11-21'", "ts < '2026-10-02'", "CAST(ts AS DATE) = DATE '2026-11-20'",
            "date_trunc('month', ts) = DATE '2026-11-01'", "site = 'shop.example'",
            "site = 'small.example' AND ts > '2026-08-01 03:00:00+02'",
            "retain_until BETWEEN '2027-10-31' AND '2027-12-20'", "ts >= now() - INTERVAL 1 YEAR",
            "site IN ('tiny.example', 'none.example')", "ts < '1990-01-01'",
        ] {
            let sql =
                "SELECT site, count(*) AS n FROM hits WHERE \(condition) GROUP BY site ORDER BY site"
            for who in [QueryFixture.officer, QueryFixture.analyst] {
                fixture.setFiles(plain)
                let answer = try fixture.ask(sql, as: who)
                fixture.setFiles(known)
                let pruned = try fixture.ask(sql, as: who)
                #expect(pruned.cells == answer.cells, "\(condition)")
                #expect(pruned.refusal?.rule == answer.refusal?.rule, "\(condition)")
            }
        }
        let counts = fixture.entries.map(\.fileCount)
        #expect(counts.min() == 0 && Set(counts).count > 3)
    }
}

@Suite struct `People of a part of the rows` {
    /// 300,000 hits of forty people; sites that only rows behind the first row group have.
    @Test func `prove large groups, and what they do not prove is counted whole`() throws {
        let fixture = try QueryFixture()
        let path = fixture.folder.file("large.parquet")
        let rows = QueryFixture.rows(
            "300000", day: "2026-11-20", policy: "gdpr", retainUntil: "2027-12-20")
        let minute = "date_diff('minute', TIMESTAMPTZ '2026-11-20 00:00:00+00', ts)"
        try QueryFixture.write(
            """
            SELECT * REPLACE (CASE WHEN \(minute) >= 299000 THEN 'late.example' \
            WHEN \(minute) BETWEEN 150000 AND 150003 THEN 'four.example' ELSE 'shop.example' END AS site)
            FROM (\(rows))
            """, to: path)
        let whole = [QueryFile(path: path, retainUntil: Day("2027-12-20"))]
        let counted = [
            QueryFile(path: path, retainUntil: Day("2027-12-20"), rows: 300_000)
        ]
        for (sql, expected) in [
            ("SELECT event, count(*) AS n FROM hits GROUP BY event ORDER BY n DESC", 3),
            // Of these the first row group proves one, all rows prove another, and four people are too few.
            ("SELECT site, count(*) AS n FROM hits GROUP BY site ORDER BY n DESC", 2),
            ("SELECT count(*) FILTER (WHERE site = 'late.example') AS n FROM hits", 1),
        ] {
            fixture.setFiles(whole)
            let answer = try fixture.ask(sql, as: QueryFixture.analyst)
            fixture.setFiles(counted)
            let sampled = try fixture.ask(sql, as: QueryFixture.analyst)
            #expect(sampled.cells == answer.cells && answer.cells?.count == expected, "\(sql)")
        }
    }

    @Test(arguments: [["gdpr"], ["gdpr", "fadp"]], [[5, 5], [5, 20]])
    func `each row is read once, whether it tells its person or not`(
        policies: [String], groups: [Int]
    ) throws {
        let folder = try TemporaryDirectory()
        let path = folder.file("rows.parquet")
        let parts = ["gdpr", "fadp", "other"].map {
            QueryFixture.rows(
                "100000", day: "2026-11-20", policy: $0, retainUntil: "2027-12-20")
        }
        try QueryFixture.write(parts.joined(separator: " UNION ALL "), to: path)
        let access = Access(
            zip(policies, groups).map { policy, size in
                .init(
                    policy: policy, sight: .aggregates, minGroup: size, hidden: [], fieldDays: [:],
                    position: FilePosition(file: "a", line: 1, column: 1), isTransfer: false)
            })
        var view = HitsView(
            access: access, files: [path], today: QueryFixture.today, suppressionTables: [])
        let engine = try EngineConnection()
        func counted() throws -> [String?] {
            try engine.query(
                "SELECT count(*), count(DISTINCT hit_id), count(cordon_person), sum(cordon_group) FROM (\(view.sql))"
            ).rows()[0]
        }
        let whole = try counted()
        view.sampled = [path]
        let sampled = try counted()
        #expect(whole[0] == "\(policies.count * 100_000)" && whole[2] == whole[0])
        #expect(sampled[0] == whole[0] && sampled[1] == whole[1] && sampled[3] == whole[3])
        // Of the rows of the first row group those of the policies tell their person.
        #expect(sampled[2] == (policies.count == 1 ? "100000" : "122880"))
    }
}

@Suite struct `A process that waits for a question` {
    @Test func `takes it and is followed by another, and one that has died is replaced`() throws {
        let fixture = try QueryFixture()
        let child = QueryChild(command: [QueryFixture.worker, "query-worker"], keepsWaiting: true)
        func ask() throws -> [[String?]]? {
            try fixture.service(child: child).run(
                QueryRequest(
                    sql: "SELECT count(*) FROM hits", principal: QueryFixture.officer), in: fixture
            ).cells
        }
        #expect(child.waitingProcess == nil)
        child.prepare()
        let first = try #require(child.waitingProcess)
        child.prepare()
        #expect(child.waitingProcess == first)
        let answer = try ask()
        #expect(answer != nil)
        let second = try #require(child.waitingProcess)
        #expect(second != first && kill(first, 0) == -1)
        #expect(kill(second, SIGKILL) == 0)
        while try !String(contentsOfFile: "/proc/\(second)/stat", encoding: .utf8).contains(") Z ")
        {
            sched_yield()
        }
        #expect(try ask() == answer)
        #expect(kill(second, 0) == -1)
    }

    @Test func `ends with whoever started it`() throws {
        var child: QueryChild? = QueryChild(command: [QueryFixture.worker, "query-worker"])
        child?.prepare()
        let process = try #require(child?.waitingProcess)
        #expect(kill(process, 0) == 0)
        child = nil
        #expect(kill(process, 0) == -1 && errno == ESRCH)
    }
}
