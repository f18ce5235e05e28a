internal import Bytes

/// What can be told of a batch that cannot be read, without a value of a hit.
package struct BatchExamination: Sendable {
    /// Nil when the bytes do not begin as a batch.
    package private(set) var version: UInt16?
    /// Whether everything that stands before the first record was read.
    package private(set) var hasHeader = false
    /// The records that could be read.
    package private(set) var batch = HitBatch(ruleSet: "", geoBuild: "", records: [])
    /// Records whose bytes are there and cannot be read, and one for what follows the last whole one.
    package private(set) var unreadable = 0
    /// Where reading failed first, in bytes from the start; nil when all of it was read.
    package private(set) var faultOffset: Int?
    /// The batch without its readable records; nil when nothing is left.
    package private(set) var remainder: [UInt8]?

    /// Reads as much as there is: a record that is damaged inside does not take those behind it along, since each says
    /// how long it is.
    package init(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        do throws(ByteReader.Malformed) {
            guard try reader.take(4).elementsEqual(HitBatch.magic) else { throw reader.malformed }
            let version = try reader.littleEndian(UInt16.self)
            self.version = version
            guard version == HitBatch.version else { throw reader.malformed }
            batch.ruleSet = try HitBatch.requiredText(&reader)
            batch.geoBuild = try HitBatch.requiredText(&reader)
            hasHeader = true
        } catch {
            faultOffset = error.offset
            unreadable = 1
            remainder = bytes
            return
        }
        readRecords(bytes, from: &reader)
    }

    private mutating func readRecords(_ bytes: [UInt8], from reader: inout ByteReader) {
        var left: [UInt8] = []
        while !reader.isAtEnd {
            let start = reader.position
            var place = start
            // Where its bytes end; nil when they were cut.
            var end: Int?
            do throws(ByteReader.Malformed) {
                let size = try reader.littleEndian(UInt32.self)
                place = reader.position
                let frame = try reader.take(Int(size))
                end = reader.position
                var inner = ByteReader(frame)
                let record = try HitBatch.record(&inner)
                guard inner.isAtEnd else { throw inner.malformed }
                batch.records.append(record)
            } catch {
                // Errors of the outer reader count from the start of the batch, those of a record from its own.
                faultOffset = faultOffset ?? (end == nil ? error.offset : place + error.offset)
                unreadable += 1
                left += bytes[start..<(end ?? bytes.count)]
                if end == nil { break }
            }
        }
        if !left.isEmpty {
            remainder = HitBatch.header(ruleSet: batch.ruleSet, geoBuild: batch.geoBuild) + left
        }
    }
}
