import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonPolicy
import CordonServer
import Engine
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import CordonCLI

@Suite struct `Retention and maintenance commands` {
    private let project: TestProject
    private let region: RegionConfiguration

    /// A project of the shipped regions and policies whose EU lake holds hits of ten days ago.
    init() throws {
        project = try TestProject()
        let regions = try project.configuration().regions
        for region in regions {
            _ = try RegionKeys.create(directory: region.keysDirectory, region: region.name)
        }
        region = try #require(regions.first { $0.name == "eu-central" })
        let lake = try RegionLake(region, clock: SystemWallClock())
        let journal = try lake.journal()
        let now = SystemWallClock().now().microseconds
        for number in 0..<2 {
            var record = HitRecord()
            record.hitID = UInt128(number + 1)
            record.timestamp = Timestamp(
                microseconds: now - 10 * Timestamp.microsecondsPerDay)
            record.site = "shop.example"
            record.event = "view"
            record.policy = "gdpr"
            record.ipPrefix = "198.51.100.0/24"
            record.visitor = Pseudonym(value: UInt128(number + 7))
            record.retainUntil = Day(record.timestamp) + 395
            let batch = HitBatch(ruleSet: "r", geoBuild: "g", records: [record])
            _ = try journal.append(batch.encoded, hits: 1, expecting: 0)
            _ = try lake.table.deliver(from: journal)
        }
    }

    private func run(_ words: String...) -> Int32 { project.run(words) }

    private func values(_ column: String) throws -> String? {
        let files = try #require(
            try RegionLake.reading(region, clock: SystemWallClock())?.table.snapshot().files)
        let list = files.map { "'\($0.path)'" }.joined(separator: ", ")
        return try EngineConnection().text(
            "SELECT count(\(column))::VARCHAR FROM read_parquet([\(list)])")
    }

    private func doctor() -> DoctorFinding? {
        project.doctor().first { $0.check == "region eu-central, retention" }
    }

    @Test func `doctor and status alarm until maintenance has ended what is due`() throws {
        #expect(run("retention", "status") == 1)
        #expect(run("retention", "status", "--json", "--region", "us-east") == 0)
        #expect(doctor()?.state == .wrong)
        #expect(doctor()?.fix?.contains("cordon maintain --region eu-central") == true)
        #expect(run("retention", "plan") == 0)
        #expect(run("retention", "plan", "--json") == 0)
        #expect(run("maintain", "--dry-run") == 0)
        #expect(run("maintain", "--dry-run", "--json") == 0)
        #expect(try values("ip_prefix") == "2")

        #expect(run("maintain", "--region", "eu-central") == 0)
        // Addresses are kept for seven days, visitors for thirty.
        #expect(try values("ip_prefix") == "0")
        #expect(try values("visitor") == "2")
        #expect(run("retention", "status") == 0)
        #expect(doctor()?.state == .well)
        #expect(run("maintain", "--json") == 0)
    }

    @Test func `retention apply ends values too, and a day ahead needs a word more`() throws {
        #expect(run("retention", "apply", "--json") == 0)
        #expect(try values("ip_prefix") == "0")
        let ahead = (Day(SystemWallClock().now()) + 40).text
        #expect(run("retention", "apply", "--as-of", ahead) == 2)
        #expect(try values("visitor") == "2")
        #expect(run("retention", "apply", "--as-of", ahead, "--before-due") == 0)
        #expect(try values("visitor") == "0")
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: builtProgram)))
    func `what is due and held is counted, and not called nothing`() throws {
        let ahead = ["--as-of", (Day(SystemWallClock().now()) + 400).text]
        let plan = ["retention", "plan", "--region", "eu-central"] + ahead
        let apply = ["retention", "apply", "--region", "eu-central", "--before-due"] + ahead
        #expect(try !project.tell(plan).output.contains("hold"))
        let days = "2020-01-01..2100-01-01"
        #expect(
            run("hold", "add", "--region", "eu-central", "--days", days, "--reason", "case 12") == 0
        )
        let line = "eu-central: 2 due row(s) stay, since a hold keeps them"
        #expect(try project.tell(plan).output.contains(line))
        #expect(try project.tell(plan + ["--json"]).output.contains(#""held_rows":2"#))
        #expect(try project.tell(apply).output.contains(line))
        let lake = try RegionLake(region, clock: SystemWallClock())
        #expect(try lake.table.snapshot().records == 2)
    }

    @Test func `dead letters are listed, explained and retried`() throws {
        #expect(run("dead", "list") == 0)
        let lake = try RegionLake(region, clock: SystemWallClock())
        let journal = try lake.journal()
        var record = HitRecord()
        record.hitID = 77
        record.timestamp = SystemWallClock().now()
        record.site = "shop.example"
        record.event = "view"
        record.policy = "gdpr"
        record.retainUntil = Day(record.timestamp) + 30
        let batch = HitBatch(ruleSet: "r", geoBuild: "g", records: [record, record])
        _ = try journal.append(Array(batch.encoded.dropLast()), hits: 2, expecting: 0)
        #expect(try lake.table.deliver(from: journal).deadBatches == 1)
        #expect(
            project.doctor().contains {
                $0.check == "region eu-central, dead letters" && $0.state == .doubtful
            })
        #expect(run("dead", "list", "--json") == 0)
        #expect(run("dead", "explain", "--region", "eu-central", "1") == 0)
        #expect(run("dead", "explain", "--region", "eu-central", "--json", "1") == 0)
        #expect(run("dead", "explain", "--region", "eu-central", "9") == 1)
        #expect(run("dead", "explain", "--region", "eu-central", "one") == 2)
        #expect(run("dead", "retry", "1") == 2)
        #expect(run("dead", "retry") == 1)
        let rows = try lake.table.snapshot().records
        #expect(run("dead", "retry", "--region", "eu-central", "--readable", "1") == 1)
        #expect(try lake.table.snapshot().records == rows + 1)
        #expect(run("dead", "retry", "--json") == 1)
        #expect(try lake.table.snapshot().records == rows + 1)
    }
}
