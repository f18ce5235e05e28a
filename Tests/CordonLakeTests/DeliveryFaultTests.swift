import Bytes
import CordonCatalog
import CordonJournal
import CordonModel
import Engine
import Foundation
import Iceberg
import LinuxIO
import TestSupport
import Testing

@testable import CordonLake

@Suite struct `Delivery under faults` {
    @Test(arguments: LakeStep.allCases)
    func `a kill at any step loses no hit and doubles none`(_ step: LakeStep) throws {
        var generator = Generator()
        for occurrence in 1...2 {
            let fixture = try LakeFixture()
            // Each commit leaves files to delete, so that every step is reached.
            fixture.settings.snapshotsMin = 1
            fixture.settings.metadataLogMax = 0
            var records = HitRecord.random(count: 40, &generator)
            try fixture.deliver(records)
            let later = HitRecord.random(count: 40, &generator)
            records += later
            try fixture.append(later)
            let wasKilled = try fixture.killing(at: step, occurrence: occurrence) {
                _ = try $0.deliver(from: fixture.journal)
            }
            if occurrence == 1 {
                #expect(wasKilled == ![.deadLettersRemoved, .orphansNoted].contains(step))
            }
            _ = try fixture.table().deliver(from: fixture.journal)
            #expect(
                try fixture.hitIDs() == records.map(\.idText).sorted(), "seed \(generator.seed)")
            try fixture.expectNoStrayFile()
        }
    }

    @Test func `a failing file call, at every place, loses no hit and doubles none`() throws {
        var generator = Generator()
        let records = HitRecord.random(count: 12, &generator)
        let later = HitRecord.random(count: 12, &generator)
        var number = 1
        while true {
            let fixture = try LakeFixture()
            fixture.settings.snapshotsMin = 1
            fixture.settings.metadataLogMax = 0
            try fixture.deliver(records)
            try fixture.append(later)
            let plan = FaultPlan(failing: number, with: .tornWrite(28), then: .everythingFails)
            // A write that fails and all that follows it is what a full or dying disk does.
            _ = try? plan.run { try fixture.table().deliver(from: fixture.journal) }
            _ = try fixture.table().deliver(from: fixture.journal)
            #expect(
                try fixture.hitIDs() == (records + later).map(\.idText).sorted(),
                "call \(number), seed \(generator.seed)")
            try fixture.expectNoStrayFile()
            if !plan.hasStruck { break }
            // Every call at the start, where the order of effects is decided, then a sample.
            number += number < 12 ? 1 : 5
        }
        #expect(number > 20)
    }
}

extension LakeFixture {
    /// The folder holds what the table refers to, and nothing waits to be deleted.
    func expectNoStrayFile() throws {
        let stray = try table().write { try $0.strayFiles() }
        #expect(stray == [])
        #expect(try catalog.writtenFiles(table: "pixels.hits") == [])
        #expect(try catalog.unreferencedFiles(table: "pixels.hits") == [])
        #expect(!FileManager.default.fileExists(atPath: settings.scratchDirectory))
    }
}
