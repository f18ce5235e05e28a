import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonPolicy
import CordonQuery
import CordonServer
import Foundation
import TestSupport
import Testing

@testable import CordonCLI

/// The program stands beside the test bundle.
let builtProgram: String = {
    let bundle =
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (bundle as NSString).deletingLastPathComponent + "/cordon"
}()

/// `cordon query` as people run it: the built program, a delivered lake, the child process.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: builtProgram)))
struct `Query command` {
    private let project: TestProject
    private let region: RegionConfiguration
    private let keys: RegionKeys

    /// A project of the shipped regions and policies with 60 hits of 12 people, one of them alone on `rare.example`.
    init() throws {
        project = try TestProject()
        let regions = try project.configuration().regions
        region = try #require(regions.first { $0.name == "eu-central" })
        keys = try RegionKeys.create(directory: region.keysDirectory, region: region.name)
        let clock = SystemWallClock()
        let today = Day(clock.now())
        let records = (0..<60).map { index in
            var record = HitRecord()
            record.hitID = UInt128(index + 1)
            record.timestamp = Timestamp(
                microseconds: today.start.microseconds - Int64(index + 1) * 59_000_000)
            record.site = index % 12 == 3 ? "rare.example" : "shop.example"
            record.event = "view"
            record.visitor = Pseudonym(value: UInt128(index % 12 + 1000))
            record.keyEpoch = Day(record.timestamp)
            record.country = "DE"
            record.ipPrefix = "203.0.113.0/24"
            record.policy = "gdpr"
            record.retainUntil = today + 30
            return record
        }
        let lake = try RegionLake(region, clock: clock)
        let journal = try lake.journal()
        _ = try journal.append(
            HitBatch(ruleSet: "r", geoBuild: "g", records: records).encoded, hits: 60, expecting: 0)
        _ = try lake.table.deliver(from: journal)
    }

    private struct Result {
        var status: Int32
        var output: String
        var problems: String
    }

    private func ask(
        command: String = "query", _ sql: String, from place: String = "DE",
        role: String = "analyst",
        purpose: String = "audience-measurement", _ more: String...
    ) throws -> Result {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: builtProgram)
        process.arguments =
            [
                command, "--project", project.directory.path, "--role", role, "--purpose", purpose,
                "--from",
                place,
            ] + (more.contains("--region") ? [] : ["--region", "eu-central"]) + more + [sql]
        let output = Pipe()
        let problems = Pipe()
        process.standardOutput = output
        process.standardError = problems
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let notes = problems.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
            problems: String(decoding: notes, as: UTF8.self))
    }

    private func auditKinds() throws -> [String] {
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        return try log.reader.entries().map(\.entry.kind).filter { $0.hasPrefix("query-") }
    }

    @Test func `an allowed query is answered, audited and held to groups`() throws {
        let sql = "SELECT site, count(*) AS n FROM hits GROUP BY site ORDER BY site"
        let table = try ask(sql)
        #expect(table.status == 0, "\(table.problems)")
        #expect(table.output.contains("shop.example  55"))
        #expect(!table.output.contains("rare.example"))
        #expect(table.problems.contains("5 people under policy `gdpr` (Policies/gdpr.yaml:"))
        let json = try ask(sql, "--json")
        #expect(json.output == "{\"site\":\"shop.example\",\"n\":55}\n")
        let csv = try ask(sql, "--format", "csv")
        #expect(csv.output == "site,n\r\nshop.example,55\r\n")
        #expect(try auditKinds() == ["query-answered", "query-answered", "query-answered"])
    }

    @Test func `a query from elsewhere is refused with the rule's place`() throws {
        let result = try ask("SELECT count(*) FROM hits", from: "CN", "--json")
        #expect(result.status == 3)
        #expect(result.output.contains("{\"refused\":{\"file\":\"Policies/gdpr.yaml\",\"line\":"))
        #expect(result.output.contains("\"rule\":\"transfer\""))
        let people = try ask("SELECT count(*) FROM hits", from: "CN")
        #expect(people.status == 3)
        #expect(people.problems.contains("refused (transfer): Policies/gdpr.yaml:"))
        #expect(try auditKinds() == ["query-refused", "query-refused"])
    }

    @Test func `a query that singles out a person is refused for its group size`() throws {
        let result = try ask("SELECT count(*) FROM hits WHERE site = 'rare.example'")
        #expect(result.status == 3)
        #expect(result.output.isEmpty)
        #expect(result.problems.contains("refused (min_group): Policies/gdpr.yaml:"))
    }

    @Test
    func
        `a second answer that singles out a person is refused, and the budget shows what was spent`()
        throws
    {
        #expect(try ask("SELECT count(*) FROM hits").status == 0)
        let result = try ask("SELECT count(*) FROM hits WHERE site <> 'rare.example'")
        #expect(result.status == 3)
        #expect(result.output.isEmpty)
        #expect(result.problems.contains("refused (differencing): Policies/gdpr.yaml:"))
        let ledger = try QueryLedger(path: region.queryLedgerPath)
        let spent = try ledger.spent(at: SystemWallClock().now())
        #expect(spent.map(\.asker) == ["role:analyst"] && spent.map(\.answers) == [1])
        #expect(
            Command.queryBudget.words == CommandTable.match(["query", "budget"])?.command.words)
        #expect(CommandTable.match(["query", "SELECT 1"])?.command.words == ["query"])
    }

    @Test func `rows leave as Parquet for the role that may see them`() throws {
        let file = project.directory.file("rows.parquet")
        let result = try ask(
            "SELECT * FROM hits", role: "privacy-officer", purpose: "data-subject-request",
            "--format", "parquet", "--out", file)
        #expect(result.status == 0, "\(result.problems)")
        #expect(FileManager.default.fileExists(atPath: file))
        #expect(
            try FileManager.default.contentsOfDirectory(
                atPath: region.stateDirectory + "/query-scratch"
            ).isEmpty)
    }

    @Test func `wrong usage and mistakes in SQL are told apart from refusals`() throws {
        #expect(try ask("SELECT count(*) FROM hits", "--format", "xml").status == 2)
        #expect(try ask("SELECT count(*) FROM hits", from: "Germany").status == 2)
        #expect(try ask("SELECT count(*) FROM hits", "--region", "nowhere").status == 2)
        let unknown = try ask("SELECT count(*) FROM hits WHERE colour = 'red'")
        #expect(unknown.status == 2)
        #expect(unknown.problems.contains("colour"))
    }

    @Test func `of several regions one that is down is said to be missing`() throws {
        // The project has no keys for `us-east`, so its log cannot be written.
        let several = try ask(
            "SELECT count(*) AS n FROM hits", "--region", "eu-central", "--region", "us-east")
        #expect(several.status == 4)
        #expect(several.output.contains("60"))
        #expect(several.problems.contains("region `us-east` is missing from the answer"))
        #expect(several.problems.contains("region `eu-central`: smaller groups are left out"))
    }

    @Test func `a report asks the standard questions under the same gate`() throws {
        let page = project.directory.file("report.html")
        let result = try ask(
            command: "report", "traffic", "--since", "\((Day(SystemWallClock().now()) + -1).text)",
            "--html", page, "consent")
        #expect(result.status == 0, "\(result.problems)")
        #expect(result.output.contains("Events per hour") && result.output.contains("█"))
        // Beside the hits of all hours those of the large site would tell of the small one's only visitor.
        #expect(result.output.contains("would single out fewer"))
        #expect(!result.output.contains("rare.example"))
        let html = try String(contentsOfFile: page, encoding: .utf8)
        #expect(html.contains("<svg") && !html.contains("rare.example"))
        // Each question is an entry: three of traffic, two of consent.
        #expect(try auditKinds().count == 5)
        let abroad = try ask(command: "report", "traffic", from: "CN", "--json")
        #expect(abroad.status == 3)
        #expect(abroad.output.contains("\"refused\""))
        #expect(try ask(command: "report", "weather").status == 2)
        #expect(try ask(command: "report", "traffic", "--since", "yesterday").status == 2)
    }

    @Test func `an audit log that cannot be written leaves no answer`() throws {
        let head = region.auditDirectory
        try FileManager.default.removeItem(atPath: head)
        try Data("not a folder".utf8).write(to: URL(fileURLWithPath: head))
        let result = try ask("SELECT count(*) FROM hits")
        #expect(result.status == 4)
        #expect(result.output.isEmpty)
    }
}
