import Bytes
import CordonModel
import TestSupport
import Testing

@Suite struct `The examination of a batch` {
    private static func record(_ number: Int) -> HitRecord {
        var record = HitRecord()
        record.hitID = UInt128(number)
        record.site = "shop.example"
        record.event = "view"
        record.policy = "gdpr"
        return record
    }

    private static let batch = HitBatch(
        ruleSet: "rules", geoBuild: "geo", records: (0..<4).map(record))

    @Test func `a sound batch is read whole`() {
        let found = BatchExamination(Self.batch.encoded)
        #expect(found.batch == Self.batch && found.hasHeader && found.version == HitBatch.version)
        #expect(found.remainder == nil && found.faultOffset == nil && found.unreadable == 0)
    }

    @Test func `bytes of anything else have no version, and are left as they are`() {
        let found = BatchExamination([1, 2, 3, 4, 5, 6, 7, 8])
        #expect(found.version == nil && !found.hasHeader && found.faultOffset == 4)
        #expect(found.remainder == [1, 2, 3, 4, 5, 6, 7, 8])
    }

    @Test func `a later version is named, and nothing is guessed`() {
        var bytes = Self.batch.encoded
        bytes[4] = 9
        let found = BatchExamination(bytes)
        #expect(found.version == 9 && !found.hasHeader && found.batch.records.isEmpty)
        #expect(found.remainder == bytes)
    }

    @Test func `a record without a byte takes none of those behind it along`() {
        let header = HitBatch.header(ruleSet: "rules", geoBuild: "geo")
        var bytes = header
        HitBatch.append(Self.record(0), to: &bytes)
        let empty = bytes.count
        bytes += [0, 0, 0, 0]
        HitBatch.append(Self.record(1), to: &bytes)
        let found = BatchExamination(bytes)
        #expect(found.batch.records == [Self.record(0), Self.record(1)])
        #expect(found.unreadable == 1 && found.faultOffset == empty + 4)
        #expect(found.remainder == header + [0, 0, 0, 0])
    }

    @Test func `whatever is damaged, readable and left hits are the whole batch`() {
        var generator = Generator()
        let sound = Self.batch.encoded
        let header = HitBatch.header(ruleSet: "rules", geoBuild: "geo").count
        for _ in 0..<300 {
            var bytes = sound
            if generator.chance(0.5) {
                bytes.removeLast(.random(in: 1...(sound.count - header), using: &generator))
            } else {
                let place = Int.random(in: header..<sound.count, using: &generator)
                bytes[place] = .random(in: 0...255, using: &generator)
            }
            let found = BatchExamination(bytes)
            let read = found.batch.encoded.count - header
            let left = found.remainder.map { $0.count - header } ?? 0
            #expect(read + left == bytes.count - header, "seed \(generator.seed)")
            #expect((found.faultOffset == nil) == (found.remainder == nil))
            if let remainder = found.remainder {
                // What is left holds nothing that can be read.
                #expect(BatchExamination(remainder).unreadable >= 1, "seed \(generator.seed)")
                #expect(BatchExamination(remainder).batch.records.isEmpty, "seed \(generator.seed)")
            }
        }
    }
}
