import Bytes
import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonServer
import TestSupport
import Testing

@Suite struct `A region's lake` {
    let directory: TemporaryDirectory
    let region: RegionConfiguration
    let keys: RegionKeys

    init() throws {
        directory = try TemporaryDirectory()
        region = .forTest(in: directory.file("var/r1"))
        keys = try RegionKeys.create(directory: region.keysDirectory, region: region.name)
    }

    @Test func `a region without a catalog has no lake to read`() throws {
        let lake = try RegionLake.reading(region, clock: SystemWallClock())?.region
        #expect(lake == nil)
    }

    @Test func `a delivery stands in the region's audit log, with counts alone`() throws {
        let lake = try RegionLake(region, clock: SystemWallClock())
        var record = HitRecord()
        record.hitID = 1
        record.timestamp = Timestamp(microseconds: 1_790_000_000_000_000)
        record.site = "shop.example"
        record.event = "view"
        record.policy = "gdpr"
        record.visitor = Pseudonym(value: 77)
        record.retainUntil = Day(record.timestamp) + 30
        let batch = HitBatch(ruleSet: "r", geoBuild: "g", records: [record])
        let journal = try lake.journal()
        _ = try journal.append(batch.encoded, hits: 1, expecting: 0)
        #expect(try lake.table.deliver(from: journal).rows == 1)
        let reading = try #require(try RegionLake.reading(region, clock: SystemWallClock()))
        #expect(try reading.table.snapshot().records == 1)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        #expect(log.size == 1)
        #expect(throws: LakeError.self) {
            _ = try journal.append(batch.encoded, hits: 1, expecting: 0)
            _ = try reading.table.deliver(from: journal)
        }
        #expect(try reading.table.snapshot().records == 1)
    }
}
