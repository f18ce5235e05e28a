import Bytes
import CordonModel
import CordonPolicy
import Engine
import Foundation
import TestSupport
import Testing

@testable import CordonQuery

@Suite struct `Query access` {
    let fixture: QueryFixture
    init() throws { fixture = try QueryFixture() }

    @Test(arguments: [
        (Principal(role: "analyst", purpose: "audience-measurement", place: "CN"), "transfer", 34),
        (Principal(role: "analyst", purpose: "advertising", place: "DE"), "access", 31),
        (Principal(role: "stranger", purpose: "audience-measurement", place: "DE"), "access", 31),
        (
            Principal(role: "privacy-officer", purpose: "data-subject-request", place: "BR"),
            "transfer", 34
        ),
    ])
    func `who no rule fits is refused by the nearest one`(
        _ principal: Principal, _ rule: String, _ line: Int
    ) throws {
        let refusal = try #require(
            try fixture.ask("SELECT count(*) FROM hits", as: principal).refusal)
        #expect(refusal.rule == rule)
        #expect(refusal.file == "Policies/gdpr.yaml")
        #expect(refusal.line == line)
        #expect(fixture.entries.map(\.outcome) == [.refused])
        #expect(fixture.entries[0].rules == ["Policies/gdpr.yaml:\(line)"])
    }

    @Test func `from abroad a transfer rule asks for larger groups`() throws {
        let sql = "SELECT event, count(*) AS n FROM hits WHERE country = 'FR' GROUP BY event"
        #expect(try fixture.ask(sql, as: QueryFixture.abroad).refusal?.rule == "min_group")
        #expect(try fixture.ask(sql, as: QueryFixture.abroad).refusal?.line == 34)
        #expect(try fixture.ask(sql, as: QueryFixture.analyst).refusal == nil)
        let all = try fixture.ask("SELECT count(*) FROM hits", as: QueryFixture.abroad)
        #expect(all.cells == [["560"]])
    }

    @Test func `hidden columns are null in the rows of the policy that hides them`() throws {
        let outcome = try fixture.ask(
            """
            SELECT policy, count(ip_prefix) AS p, count(visitor) AS v, count("user") AS u
            FROM hits GROUP BY policy ORDER BY policy
            """, as: QueryFixture.officer)
        // Of 560 hits 400 are young enough for `visitor`, 480 for `user`, which every other hit has.
        #expect(outcome.cells == [["fadp", "0", "100", "50"], ["gdpr", "560", "400", "240"]])
    }

    @Test func `a hidden person still counts towards a group`() throws {
        let outcome = try fixture.ask(
            "SELECT count(visitor) AS v, count(*) AS n FROM hits", as: QueryFixture.analyst)
        #expect(outcome.cells == [[nil, "560"]])
    }

    @Test func `rows are gone on the day they are due, whatever the files say`() throws {
        let count = "SELECT count(*) FROM hits WHERE retain_until < DATE '2027-01-01'"
        #expect(try fixture.ask(count, as: QueryFixture.officer).cells == [["0"]])
        // Without partition values the view alone keeps them out.
        fixture.setFiles(try fixture.files().map { QueryFile(path: $0.path, retainUntil: nil) })
        #expect(try fixture.ask(count, as: QueryFixture.officer).cells == [["0"]])
        let earlier = try fixture.service(clock: Day(year: 2026, month: 11, day: 22)).run(
            QueryRequest(sql: count, principal: QueryFixture.officer), in: fixture)
        #expect(earlier.cells == [["10"]])
    }

    @Test func `suppressed pseudonyms are not seen`() throws {
        let engine = try EngineConnection()
        let visitor = try #require(try engine.text("md5('visitor3')").flatMap { Pseudonym($0) })
        let user = try #require(try engine.text("md5('user4')").flatMap { Pseudonym($0) })
        let count = "SELECT count(*) FROM hits WHERE policy = 'fadp'"
        #expect(try fixture.ask(count, as: QueryFixture.officer).cells == [["100"]])
        fixture.suppress([
            SuppressedPseudonym(column: .visitor, pseudonym: visitor),
            SuppressedPseudonym(column: .user, pseudonym: user),
        ])
        // Each of 40 people has three hits in the first 20 of 100, two in the rest: 3 and 3 are gone.
        #expect(try fixture.ask(count, as: QueryFixture.officer).cells == [["94"]])
    }

    @Test func `a region without files answers with no rows`() throws {
        fixture.setFiles([])
        #expect(try fixture.ask("SELECT * FROM hits", as: QueryFixture.officer).cells == [])
        #expect(
            try fixture.ask("SELECT count(*) FROM hits", as: QueryFixture.analyst).refusal?.rule
                == "min_group")
    }

    @Test(arguments: [4, 5]) func `hits that are only counted make a group as one person each`(
        _ hits: Int
    ) throws {
        let path = fixture.folder.file("counted.parquet")
        let rows = QueryFixture.rows(
            "\(hits)", day: "2026-11-20", policy: "gdpr", retainUntil: "2027-12-20")
        try EngineConnection().execute(
            """
            COPY (SELECT * REPLACE (NULL::UUID AS hit_id, NULL::VARCHAR AS visitor, NULL::VARCHAR AS "user")
                  FROM (\(rows))) TO '\(path)' (FORMAT parquet)
            """)
        fixture.setFiles([QueryFile(path: path, retainUntil: nil)])
        let outcome = try fixture.ask("SELECT count(*) FROM hits", as: QueryFixture.analyst)
        #expect(outcome.cells == (hits < 5 ? nil : [["\(hits)"]]))
        #expect(outcome.refusal?.rule == (hits < 5 ? "min_group" : nil))
        let seen = try fixture.ask("SELECT count(hit_id) FROM hits", as: QueryFixture.officer)
        #expect(seen.cells == [["0"]])
    }

    @Test func `nothing is shown when the audit log cannot be written`() throws {
        fixture.breakAudit()
        let file = fixture.folder.file("out.parquet")
        for (sql, format) in [
            ("SELECT 1", QueryFormat.csv), ("SELECT 1", .parquet), ("DROP VIEW hits", .csv),
        ] {
            do {
                _ = try fixture.ask(
                    sql, as: QueryFixture.officer, format: format,
                    destination: format == .parquet ? file : nil)
                Issue.record("answered without an audit entry")
            } catch let error as QueryError {
                #expect(error.code == .audit)
            }
        }
        #expect(!FileManager.default.fileExists(atPath: file))
    }

    @Test func `entries name rules, rows and a salted digest, never the text`() throws {
        let sql = "SELECT count(*) FROM hits WHERE page_path = '/secret'"
        _ = try fixture.ask(sql, as: QueryFixture.officer)
        _ = try fixture.ask(sql, as: QueryFixture.officer)
        let entries = fixture.entries
        #expect(entries.map(\.outcome) == [.answered, .answered])
        #expect(entries[0].rowCount == 1)
        #expect(entries[0].fileCount == 6)
        #expect(entries[0].rules == ["Policies/gdpr.yaml:32", "Policies/fadp.yaml:21"])
        #expect(entries[0].statementDigest != entries[1].statementDigest)
        #expect(!"\(entries)".contains("secret"))
    }
}

@Suite struct `Query child` {
    let fixture: QueryFixture
    init() throws { fixture = try QueryFixture() }

    private func error(
        _ sql: String, _ change: (inout QueryLimits) -> Void = { _ in }
    ) throws -> QueryError? {
        var limits = QueryLimits()
        change(&limits)
        do {
            let outcome = try fixture.ask(sql, as: QueryFixture.officer, limits: limits)
            Issue.record("answered: \(outcome)")
            return nil
        } catch let error as QueryError { return error }
    }

    @Test func `is held by Landlock and seccomp`() throws {
        let answer = try fixture.ask("SELECT 1", as: QueryFixture.officer).answer
        #expect(answer?.confinement.contains("landlock") == true)
        #expect(answer?.confinement.contains("seccomp") == true)
    }

    @Test func `ends at its time`() throws {
        let bomb =
            "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range = 7"
        #expect(try error(bomb) { $0.seconds = 1 }?.code == .limits)
        #expect(fixture.entries.map(\.outcome) == [.failed])
    }

    @Test func `ends at its memory`() throws {
        #expect(try error("SELECT length(repeat('x', 4000000000))")?.code == .limits)
    }

    @Test func `ends at its rows and bytes`() throws {
        #expect(try error("SELECT * FROM range(1001)") { $0.rows = 1000 }?.code == .limits)
        #expect(
            try error("SELECT repeat('x', 1000) FROM range(5000)") { $0.resultBytes = 1_000_000 }?
                .code
                == .limits)
    }

    @Test func `tells no value in an error`() throws {
        for sql in [
            "SELECT CAST(page_path AS INTEGER) FROM hits",
            "SELECT 1 / CAST(site AS INTEGER) FROM hits",
            "SELECT CAST(visitor AS DATE) FROM hits",
        ] {
            let error = try #require(try error(sql))
            #expect(error.code == .query)
            #expect(!error.text.contains("/p/") && !error.text.contains("shop"))
        }
    }

    @Test func `says which name is unknown`() throws {
        let error = try #require(try error("SELECT colour FROM hits"))
        #expect(error.code == .query)
        #expect(error.text.contains("colour"))
    }

    @Test func `a file that is gone is a failure of the world`() throws {
        fixture.setFiles([QueryFile(path: fixture.folder.file("gone.parquet"), retainUntil: nil)])
        #expect(try error("SELECT count(*) FROM hits")?.code == .world)
    }

    @Test(arguments: [
        ("Cannot open file \"/data/template/writer/part.parquet\": No such file", false),
        ("No files found that match the pattern \"/tmp/temporary.parquet\"", false),
        ("File '/data/template/part.parquet' too small to be a Parquet file", false),
        ("Could not write file \"/data/part.parquet\": No space left on device", true),
        ("Failed to create a temporary file", true),
        ("Cannot open file \"/state/scratch/1/duckdb_temp_storage-0.tmp\": No space left", true),
        ("Cannot open file \"/state/scratch/10/part.parquet\": No such file", false),
    ])
    func `a file that cannot be read is told from a disk that is full, wherever it lies`(
        _ text: String, _ isScratch: Bool
    ) {
        let error = EngineError(
            .failed, "run a statement", kind: "IO Error", engineText: "IO Error: " + text)
        let failure = WorkerFailure(error, "/state/scratch/1")
        #expect(failure.code == (isScratch ? .scratch : .file))
    }

    @Test func `leaves no file behind`() throws {
        _ = try fixture.ask("SELECT count(*) FROM hits", as: QueryFixture.officer)
        _ = try? fixture.ask("SELECT * FROM range(1000000) ORDER BY 1", as: QueryFixture.officer)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: fixture.scratchDirectory).isEmpty)
    }

    @Test func `a missing program is a failure of the world`() throws {
        let service = try QueryService(
            policies: QueryFixture.policies, clock: FixedClock(time: QueryFixture.today.start),
            child: QueryChild(command: ["/nonexistent"]))
        #expect(throws: QueryError.self) {
            try service.run(
                QueryRequest(sql: "SELECT 1", principal: QueryFixture.officer), in: fixture)
        }
    }
}

@Suite struct `Query forms` {
    let fixture: QueryFixture
    init() throws { fixture = try QueryFixture() }

    private func text(_ sql: String, _ format: QueryFormat) throws -> String? {
        let answer = try fixture.ask(sql, as: QueryFixture.officer, format: format).answer
        guard case .text(let bytes)? = answer?.body else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func `CSV quotes what needs it and tells null from empty`() throws {
        let sql = "SELECT 'a,b' AS x, 'say \"hi\"' AS \"y,z\", NULL AS n, '' AS e, 1.50 AS d"
        #expect(
            try text(sql, .csv) == "x,\"y,z\",n,e,d\r\n\"a,b\",\"say \"\"hi\"\"\",,\"\",1.50\r\n")
    }

    @Test func `NDJSON keeps types`() throws {
        let sql =
            "SELECT 1 AS i, 1.5 AS d, 'x' AS s, true AS b, NULL AS n, [1, 2] AS l, {'k': 'v'} AS o"
        #expect(
            try text(sql, .json)
                == #"{"i":1,"d":1.5,"s":"x","b":true,"n":null,"l":[1,2],"o":{"k":"v"}}"# + "\n")
    }

    @Test func `Parquet is read back with the same rows`() throws {
        let file = fixture.folder.file("out.parquet")
        let outcome = try fixture.ask(
            "SELECT site, count(*) AS n FROM hits GROUP BY site", as: QueryFixture.officer,
            format: .parquet, destination: file)
        #expect(outcome.answer?.rowCount == 3)
        let total = try EngineConnection().text("SELECT sum(n) FROM '\(file)'")
        #expect(total == "660")
    }

    @Test func `the benchmark answers its own question`() throws {
        let measured = try QueryBenchmark.run(
            rows: 2000, days: 2, rounds: 1, in: fixture.folder.path, command: [QueryFixture.worker])
        #expect(measured.rowsMilliseconds > 0 && measured.groupsMilliseconds > 0)
        #expect(measured.groupsAgainMilliseconds > 0)
        #expect(measured.pruned.map(\.filesStored) == [20, 10, 20, 20, 20])
        // A day, the same with half of the files, an end of retention, a site, and all.
        #expect(measured.pruned.map(\.filesOpened) == [10, 10, 10, 2, 20])
    }
}
