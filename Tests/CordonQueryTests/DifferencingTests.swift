import CordonModel
import CordonPolicy
import Foundation
import SQLite
import TestSupport
import Testing

@testable import CordonQuery

/// Questions of one asker, one after another, and which of them are answered.
struct Attack: Sendable, CustomTestStringConvertible {
    let name: String
    let questions: [String]
    /// By question; false where it must be refused for what it would tell beside those before it.
    let answered: [Bool]
    var testDescription: String { name }

    init(_ name: String, _ questions: [(String, Bool)]) {
        self.name = name
        self.questions = questions.map(\.0)
        answered = questions.map(\.1)
    }

    private static let day = "ts >= TIMESTAMPTZ '2026-11-20 00:00:00+00'"

    /// `tiny.example` has one person in each file, `small.example` six. A minute has one person.
    static let all: [Attack] = [
        .init(
            "a condition and one more beside it",
            [
                ("SELECT count(*) FROM hits WHERE \(day)", true),
                ("SELECT count(*) FROM hits WHERE \(day) AND site <> 'tiny.example'", false),
            ]),
        .init(
            "a condition and one more, in the other order",
            [
                ("SELECT count(*) FROM hits WHERE \(day) AND site <> 'tiny.example'", true),
                ("SELECT count(*) FROM hits WHERE \(day)", false),
            ]),
        .init(
            "a condition that takes many away",
            [
                ("SELECT count(*) FROM hits WHERE \(day)", true),
                ("SELECT count(*) FROM hits WHERE \(day) AND country = 'DE'", true),
                ("SELECT count(*) FROM hits WHERE \(day) AND event = 'view'", true),
            ]),
        .init(
            "the same question once more",
            [
                ("SELECT event, count(*) AS n FROM hits GROUP BY event", true),
                ("SELECT event, count(*) AS n FROM hits GROUP BY event", true),
                ("SELECT count(*) AS m, event FROM hits GROUP BY ALL ORDER BY m", true),
            ]),
        .init(
            "groups beside the total that they lack",
            [
                ("SELECT site, count(*) FROM hits GROUP BY site", true),
                ("SELECT count(*) FROM hits", false),
            ]),
        .init(
            "groups, and groups under a filter",
            [
                ("SELECT country, count(*) FROM hits GROUP BY country", true),
                (
                    "SELECT country, count(*) FROM hits WHERE site <> 'tiny.example' GROUP BY country",
                    false
                ),
            ]),
        .init(
            "a filter that hides one person in one group and many in another",
            [
                ("SELECT ts::DATE AS day, count(*) FROM hits WHERE \(day) GROUP BY 1", true),
                (
                    "SELECT ts::DATE AS day, count(*) FROM hits WHERE \(day) AND NOT (ts::DATE = DATE '2026-11-20' AND site = 'tiny.example') AND NOT (ts::DATE = DATE '2026-11-21' AND country = 'FR') GROUP BY 1",
                    false
                ),
            ]),
        .init(
            "the same by hours that make up the day",
            [
                (
                    "SELECT date_trunc('day', ts) AS t, count(*) FROM hits WHERE \(day) GROUP BY 1",
                    true
                ),
                (
                    "SELECT date_trunc('hour', ts) AS t, count(*) FROM hits WHERE \(day) AND NOT (ts::DATE = DATE '2026-11-20' AND site = 'tiny.example') AND NOT (ts::DATE = DATE '2026-11-21' AND country = 'FR') GROUP BY 1",
                    false
                ),
            ]),
        .init(
            "a range shifted by a minute",
            [
                (
                    "SELECT count(*) FROM hits WHERE ts BETWEEN TIMESTAMPTZ '2026-11-20 00:00:00+00' AND TIMESTAMPTZ '2026-11-20 01:00:00+00'",
                    true
                ),
                (
                    "SELECT count(*) FROM hits WHERE ts BETWEEN TIMESTAMPTZ '2026-11-20 00:00:00+00' AND TIMESTAMPTZ '2026-11-20 01:01:00+00'",
                    false
                ),
                (
                    "SELECT count(*) FROM hits WHERE ts BETWEEN TIMESTAMPTZ '2026-11-20 00:00:00+00' AND TIMESTAMPTZ '2026-11-20 01:30:00+00'",
                    true
                ),
            ]),
        .init(
            "a total and its complement within one answer",
            [
                (
                    "SELECT count(*), count(*) FILTER (WHERE site <> 'tiny.example') FROM hits",
                    false
                ),
                ("SELECT count(*), count(*) FILTER (WHERE event = 'view') FROM hits", true),
            ]),
        .init(
            "the same in two parts of one statement",
            [
                (
                    "SELECT count(*) AS n FROM hits UNION ALL SELECT count(*) FROM hits WHERE site <> 'tiny.example'",
                    false
                ),
                (
                    "WITH a AS (SELECT count(*) AS n FROM hits), b AS (SELECT count(*) AS n FROM hits WHERE site <> 'tiny.example') SELECT a.n - b.n FROM a, b",
                    false
                ),
            ]),
        .init(
            "a whole and two parts that leave one person between them",
            [
                ("SELECT count(*) FROM hits WHERE ts::DATE = DATE '2026-11-20'", true),
                (
                    "SELECT count(*) FROM hits WHERE ts::DATE = DATE '2026-11-20' AND ts < TIMESTAMPTZ '2026-11-20 01:00:00+00'",
                    true
                ),
                (
                    "SELECT count(*) FROM hits WHERE ts::DATE = DATE '2026-11-20' AND ts > TIMESTAMPTZ '2026-11-20 01:00:00+00'",
                    false
                ),
            ]),
        .init(
            "a tracker: one person with each half of the rest",
            [
                (
                    "SELECT count(*) FROM hits WHERE country = 'DE' OR site = 'tiny.example'", true
                ),
                (
                    "SELECT count(*) FROM hits WHERE country <> 'DE' OR site = 'tiny.example'",
                    true
                ),
                ("SELECT count(*) FROM hits", false),
            ]),
        .init(
            "distinct counts of a set and of the set without one",
            [
                ("SELECT count(DISTINCT page_path) FROM hits WHERE \(day)", true),
                (
                    "SELECT count(DISTINCT page_path) FROM hits WHERE \(day) AND site <> 'tiny.example'",
                    false
                ),
            ]),
        .init(
            "sums where one row's measure is another",
            [
                ("SELECT sum(CAST(params['value'] AS INTEGER)) FROM hits WHERE \(day)", true),
                (
                    "SELECT sum(CASE WHEN site <> 'tiny.example' THEN CAST(params['value'] AS INTEGER) ELSE 0 END) FROM hits WHERE \(day)",
                    false
                ),
            ]),
        .init(
            "a name, an alias and a common table do not hide a condition",
            [
                ("SELECT upper(country) AS c, count(*) FROM hits GROUP BY c", true),
                (
                    "WITH h AS (SELECT country AS land FROM hits WHERE site <> 'tiny.example') SELECT land, count(*) FROM h GROUP BY land",
                    false
                ),
            ]),
        .init(
            "groups that share all rows but one person's",
            [
                (
                    "SELECT v.x, count(*) FROM hits h JOIN (VALUES (1), (2)) v(x) ON v.x = 1 OR h.site <> 'tiny.example' GROUP BY v.x",
                    false
                ),
                (
                    "SELECT x, count(*) FROM (SELECT unnest(CASE WHEN site = 'tiny.example' THEN ['a'] ELSE ['a', 'b'] END) AS x FROM hits) GROUP BY x",
                    false
                ),
                (
                    "SELECT x, count(*) FROM (SELECT unnest(purposes) AS x FROM hits) GROUP BY x",
                    true
                ),
            ]),
        .init(
            "the same groups under another name",
            [
                ("SELECT upper(country) AS c, count(*) FROM hits GROUP BY c", true),
                ("SELECT country, count(*) FROM hits GROUP BY country", true),
                ("SELECT count(*) FROM hits", true),
            ]),
    ]
}

@Suite struct `Differencing` {
    let fixture: QueryFixture
    init() throws {
        fixture = try QueryFixture(remembering: true)
    }

    @Test(arguments: Attack.all)
    func `an answer that singles somebody out beside earlier ones is refused`(
        _ attack: Attack
    ) throws {
        for (question, isAnswered) in zip(attack.questions, attack.answered) {
            let outcome = try fixture.ask(question)
            #expect((outcome.refusal == nil) == isAnswered, "\(question): \(outcome)")
            if let refusal = outcome.refusal {
                #expect(refusal.rule == "differencing", "\(question): \(refusal)")
                #expect(refusal.line == 31)
            }
        }
        #expect(fixture.entries.map { $0.outcome == .answered } == attack.answered)
    }

    @Test func `who sees rows is held against nothing`() throws {
        for condition in ["true", "site <> 'tiny.example'"] {
            let outcome = try fixture.ask(
                "SELECT count(*) FROM hits WHERE \(condition)", as: QueryFixture.officer)
            #expect(outcome.answer != nil)
        }
        #expect(!FileManager.default.fileExists(atPath: fixture.ledgerPath))
    }

    @Test func `a refusal names the time of an earlier answer and no value`() throws {
        #expect(try fixture.ask("SELECT count(*) FROM hits").answer != nil)
        let refusal = try #require(
            try fixture.ask("SELECT count(*) FROM hits WHERE site <> 'tiny.example'").refusal)
        #expect(refusal.text.contains(QueryFixture.today.start.text))
        #expect(!refusal.text.contains("tiny"))
    }

    /// Writes rows to a further file and lists it.
    private func add(_ range: String, day: String) throws {
        let path = fixture.folder.file("more-\(try fixture.files().count).parquet")
        try QueryFixture.write(
            QueryFixture.rows(range, day: day, policy: "gdpr", retainUntil: "2027-12-22"),
            to: path)
        fixture.setFiles(try fixture.files() + [QueryFile(path: path, retainUntil: nil)])
    }

    @Test func `an answer waits as of an earlier one until enough people have come`() throws {
        let sql = "SELECT count(*) FROM hits"
        #expect(try fixture.ask(sql).cells == [["560"]])
        try add("3", day: "2026-11-22")
        let waiting = try #require(try fixture.ask(sql).answer)
        #expect(waiting.asOf?.text == "2026-11-21T03:19:00.000000Z")
        #expect(try fixture.ask(sql).cells == [["560"]])
        try add("10", day: "2026-11-22")
        let fresh = try #require(try fixture.ask(sql).answer)
        #expect(fresh.asOf == nil)
        #expect(try fixture.ask(sql).cells == [["573"]])
    }

    @Test func `what comes late or goes is told of once enough people are concerned`() throws {
        let sql = "SELECT count(*) FROM hits"
        #expect(try fixture.ask(sql).answer != nil)
        let files = try fixture.files()
        // Older than the newest row that was told of, so that no earlier time helps.
        try add("2", day: "2026-11-01")
        #expect(try fixture.ask(sql).refusal?.rule == "differencing")
        // A few people's rows go, as by an erasure.
        fixture.setFiles(files)
        #expect(try fixture.ask(sql).answer != nil)
        try QueryFixture.write(
            "SELECT * FROM '\(files[0].path)' WHERE site <> 'tiny.example'",
            to: fixture.folder.file("fewer.parquet"))
        fixture.setFiles(
            [QueryFile(path: fixture.folder.file("fewer.parquet"), retainUntil: nil)]
                + files.dropFirst())
        #expect(try fixture.ask(sql).refusal?.rule == "differencing")
        fixture.setFiles(Array(files.dropFirst()))
        #expect(try fixture.ask(sql).answer != nil)
    }

    @Test func `rows that move to other files are the same rows`() throws {
        let sql = "SELECT event, count(*) FROM hits GROUP BY event"
        #expect(try fixture.ask(sql).answer != nil)
        let files = try fixture.files()
        let merged = fixture.folder.file("merged.parquet")
        try QueryFixture.write(
            "SELECT * FROM read_parquet(['\(files[0].path)', '\(files[1].path)']) ORDER BY visitor",
            to: merged)
        fixture.setFiles([QueryFile(path: merged, retainUntil: nil)] + files.dropFirst(2))
        #expect(try fixture.ask(sql).answer != nil)
        let ledger = try QueryLedger(path: fixture.ledgerPath)
        #expect(try ledger.spent(at: QueryFixture.today.start).map(\.answers) == [1])
    }

    @Test func `askers are held to their own answers, until these cease to count`() throws {
        let one = "SELECT count(*) FROM hits"
        let other = "SELECT count(*) FROM hits WHERE site <> 'tiny.example'"
        #expect(try fixture.ask(one).answer != nil)
        #expect(try fixture.ask(other).refusal != nil)
        let region = OtherAsker(region: fixture)
        let request = QueryRequest(sql: other, principal: QueryFixture.analyst)
        #expect(try fixture.service().run(request, in: region).answer != nil)
        let later = QueryFixture.today + QueryLedger.windowDays
        #expect(try fixture.service(clock: later).run(request, in: fixture).answer != nil)
    }

    @Test func `a ledger that cannot be used leaves no answer`() throws {
        try FileManager.default.createDirectory(
            atPath: fixture.ledgerPath, withIntermediateDirectories: false)
        #expect(throws: QueryError.self) { try fixture.ask("SELECT count(*) FROM hits") }
        #expect(fixture.entries.map(\.outcome) == [.failed])
    }

    @Test func `a ledger that is damaged leaves no answer`() throws {
        let sql = "SELECT count(*) FROM hits"
        #expect(try fixture.ask(sql).answer != nil)
        let whole = try Data(contentsOf: URL(fileURLWithPath: fixture.ledgerPath))
        // What is told is damaged, then the file.
        let connection = try Connection(path: fixture.ledgerPath)
        try connection.execute("UPDATE answers SET vectors = x'01FFFFFFFF', digest = x'00'")
        #expect(throws: QueryError.self) { try fixture.ask(sql) }
        try connection.execute("DELETE FROM salt")
        #expect(throws: QueryError.self) { try fixture.ask(sql) }
        for name in try FileManager.default.contentsOfDirectory(atPath: fixture.folder.path)
        where name.hasPrefix("query-ledger.sqlite-") {
            try FileManager.default.removeItem(atPath: fixture.folder.file(name))
        }
        try Data(repeating: 0x5A, count: whole.count).write(
            to: URL(fileURLWithPath: fixture.ledgerPath))
        #expect(throws: QueryError.self) { try fixture.ask(sql) }
        #expect(fixture.entries.map(\.outcome) == [.answered, .failed, .failed, .failed])
    }

    @Test(arguments: [QueryFormat.table, .csv, .json, .arrow, .postgres, .parquet])
    func `an answer counts in whatever form it is given, and what differs is refused in each`(
        _ form: QueryFormat
    ) throws {
        let tiny = QueryParameter.value("tiny.example", .text)
        func ask(_ sql: String, _ values: [QueryParameter], _ form: QueryFormat) throws
            -> QueryService.Outcome
        {
            let name = values == [tiny] ? "tiny" : "all"
            let file = form == .parquet ? fixture.folder.file(name + ".parquet") : nil
            return try fixture.service().run(
                QueryRequest(
                    sql: sql, parameters: values, principal: QueryFixture.analyst, format: form),
                in: fixture, destination: file)
        }
        let sql = "SELECT count(*) AS n FROM hits WHERE site <> $1"
        #expect(try ask(sql, [.value("none.example", .text)], form).answer != nil)
        for other in QueryFormat.allCases {
            let refusal = try ask(sql, [tiny], other).refusal
            #expect(refusal?.rule == "differencing", "\(other)")
        }
        #expect(!FileManager.default.fileExists(atPath: fixture.folder.file("tiny.parquet")))
    }

    @Test func `what is only described is held against nothing`() throws {
        let request = QueryRequest(
            sql: "SELECT count(*) AS n FROM hits WHERE site <> $1",
            principal: QueryFixture.analyst, format: .postgres)
        guard
            case .described(let columns, _) = try fixture.service().describe(
                request, kinds: [.text], in: fixture)
        else {
            Issue.record("not described")
            return
        }
        #expect(columns.map(\.name) == ["n"])
        #expect(!FileManager.default.fileExists(atPath: fixture.ledgerPath))
    }

    @Test func `an answer that the audit log does not take is spent`() throws {
        fixture.breakAudit()
        #expect(throws: QueryError.self) { try fixture.ask("SELECT count(*) FROM hits") }
        let ledger = try QueryLedger(path: fixture.ledgerPath)
        #expect(try ledger.spent(at: QueryFixture.today.start).map(\.answers) == [1])
    }
}

/// The same region, asked by somebody else.
private struct OtherAsker: QueryRegion {
    let region: QueryFixture
    var name: String { region.name }
    var jurisdiction: String { region.jurisdiction }
    var scratchDirectory: String { region.scratchDirectory }
    var sealedColumns: Set<String> { [] }
    func files() throws -> [QueryFile] { try region.files() }
    func suppressedPseudonyms() -> [SuppressedPseudonym] { [] }
    func asker(_ principal: Principal) -> String { "subject:somebody" }
    func ledger() throws -> QueryLedger { try region.ledger() }
    func record(_ entry: QueryAuditEntry) throws { try region.record(entry) }
}

@Suite struct `Difference audit` {
    private static let people = 60

    /// The vector of the people, each with the rows that `salt` numbers.
    private static func vector(
        _ members: Set<Int>, needed: Int = 5, kind: UInt32 = 0, release: Int = 0
    ) -> AnswerVector {
        var sums = [UInt64](repeating: 0, count: AnswerVector.bucketsMax)
        for person in members {
            // A bucket of one's own, so that expectations are exact.
            sums[person * 7] = AnswerVector.product(
                UInt64(person + 3) &* 0x9E37_79B9_7F4A_7C15 & (AnswerVector.modulus - 1), 12_345)
        }
        return AnswerVector(sums, needed: needed, kind: kind, release: release)
    }

    private static func verdict(_ sets: [Set<Int>]) -> DifferenceAudit.Verdict {
        let earlier = sets.dropLast().enumerated().map {
            (at: Int64($0.offset), vectors: [vector($0.element)])
        }
        return DifferenceAudit(earlier: Array(earlier.reversed())).verdict(
            on: [vector(sets[sets.count - 1])])
    }

    private static func set(_ range: Range<Int>, without: Set<Int> = []) -> Set<Int> {
        Set(range).subtracting(without)
    }

    @Test func `sets that differ by nobody or by many are safe`() {
        #expect(Self.verdict([Self.set(0..<40), Self.set(0..<40)]) == .safe)
        #expect(Self.verdict([Self.set(0..<40), Self.set(5..<40)]) == .safe)
        #expect(Self.verdict([Self.set(0..<30), Self.set(20..<60), Self.set(10..<50)]) == .safe)
    }

    @Test(arguments: 1...4) func `sets that differ by fewer are not`(_ count: Int) {
        let rest = Self.set(count..<40)
        #expect(Self.verdict([Self.set(0..<40), rest]) == .singlesOut(since: 0))
        #expect(Self.verdict([rest, Self.set(0..<40)]) == .singlesOut(since: 0))
        // In both directions, where the other is many.
        #expect(
            Self.verdict([rest, Self.set(0..<40), Self.set(0..<count + 1)]) != .safe)
    }

    @Test(arguments: 2...8) func `a person between any number of parts is found`(_ parts: Int) {
        // Parts of seven people each, and everybody of them with one more.
        let sets = (0..<parts).map { Self.set($0 * 7..<($0 + 1) * 7) }
        let all = Self.set(0..<parts * 7).union([Self.people - 1])
        #expect(Self.verdict(sets + [all]) == .singlesOut(since: Int64(parts - 1)))
        #expect(Self.verdict([all] + sets) != .safe)
        #expect(Self.verdict(sets + [Self.set(0..<parts * 7)]) == .safe)
    }

    @Test func `a rest that is a shown group of its own is no secret`() {
        // Two of five people share a bucket.
        var few = [UInt64](repeating: 0, count: AnswerVector.bucketsMax)
        for (place, sum) in [(400, 5), (401, 6), (402, 7), (403, 8)] as [(Int, UInt64)] {
            few[place] = sum
        }
        let group = AnswerVector(few, needed: 5)
        var all = Self.vector(Self.set(0..<30)).dense(AnswerVector.bucketsMax)
        for place in 400...403 { all[place] = few[place] }
        let earlier: [(at: Int64, vectors: [AnswerVector])] = [
            (2, [AnswerVector(all, needed: 5)]), (1, [group]),
        ]
        #expect(
            DifferenceAudit(earlier: earlier).verdict(on: [Self.vector(Self.set(0..<30))]) == .safe)
        #expect(
            DifferenceAudit(earlier: [earlier[0]]).verdict(on: [Self.vector(Self.set(0..<30))])
                == .singlesOut(since: 2))
    }

    @Test func `groups of one call that share no row are no difference`() {
        // Five people who need five, and twenty in sixteen buckets who need twenty.
        let few = Self.vector(Self.set(0..<5))
        func vectors(_ call: Int, _ isPart: Bool) -> [AnswerVector] {
            var few = few
            var many = Self.vector(Self.set(10..<24), needed: 20)
            (few.call, many.call) = (1, call)
            (few.isPart, many.isPart) = (isPart, isPart)
            return [few, many]
        }
        let audit = DifferenceAudit(earlier: [])
        #expect(audit.verdict(on: vectors(1, true)) == .safe)
        #expect(audit.verdict(on: vectors(2, true)) == .singlesOut(since: nil))
        #expect(audit.verdict(on: vectors(1, false)) == .singlesOut(since: nil))
    }

    @Test func `what is told of values is set against the same alone`() {
        let earlier: [(at: Int64, vectors: [AnswerVector])] = [
            (1, [Self.vector(Self.set(0..<40), kind: 7)])
        ]
        let audit = DifferenceAudit(earlier: earlier)
        #expect(audit.verdict(on: [Self.vector(Self.set(1..<40), kind: 8)]) == .safe)
        #expect(
            audit.verdict(on: [Self.vector(Self.set(1..<40), kind: 7)]) == .singlesOut(since: 1))
    }

    @Test func `vectors come back from their bytes, and other bytes give none`() throws {
        var generator = Generator()
        for _ in 0..<50 {
            let vectors = (0..<Int.random(in: 0...5, using: &generator)).map { number in
                let members = (0..<Self.people).filter { _ in Bool.random(using: &generator) }
                var vector = Self.vector(
                    Set(members), needed: number + 2, kind: UInt32(number), release: number)
                vector.isPooled = Bool.random(using: &generator)
                vector.isPart = Bool.random(using: &generator)
                vector.call = number * 3
                return number % 2 == 0 ? vector : vector.folded(AnswerVector.bucketsMin)
            }
            let bytes = AnswerVector.encoded(vectors)
            #expect(AnswerVector.decoded(bytes) == vectors, "seed \(generator.seed)")
            #expect(AnswerVector.decoded(bytes + [0]) == nil)
            for end in stride(from: 0, to: bytes.count, by: 97) {
                #expect(AnswerVector.decoded(Array(bytes[..<end])) == nil)
            }
        }
    }

    @Test func `numbers are multiplied and inverted as in the field of the prime`() {
        var generator = Generator()
        for _ in 0..<100 {
            let number = UInt64.random(in: 1..<AnswerVector.modulus, using: &generator)
            #expect(
                AnswerVector.product(number, AnswerVector.inverse(number)) == 1,
                "seed \(generator.seed)")
            #expect(AnswerVector.sum(number, AnswerVector.modulus - number) == 0)
        }
        let last = AnswerVector.modulus - 1
        #expect(AnswerVector.product(last, last) == 1)
    }
}
