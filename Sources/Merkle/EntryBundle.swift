internal import Bytes

/// Up to 256 entries in one file: each its length in two bytes, most significant first, then its bytes.
package enum EntryBundle {
    /// Longest entry, in bytes.
    package static let entryBytesMax = 65_535

    package static func encode(_ entries: some Sequence<[UInt8]>) -> [UInt8] {
        var bytes: [UInt8] = []
        for entry in entries { append(entry, to: &bytes) }
        return bytes
    }

    package static func append(_ entry: [UInt8], to bytes: inout [UInt8]) {
        precondition(entry.count <= entryBytesMax, "the log bounds its entries")
        bytes.append(bigEndian: UInt16(entry.count))
        bytes += entry
    }

    /// The whole entries at the start of `bytes`, and how many bytes behind them make no entry.
    package static func decode(_ bytes: [UInt8]) -> (entries: [[UInt8]], excess: Int) {
        var reader = ByteReader(bytes)
        var entries: [[UInt8]] = []
        while !reader.isAtEnd {
            let rest = reader.remainingCount
            do throws(ByteReader.Malformed) {
                let count = try reader.bigEndian(UInt16.self)
                entries.append(Array(try reader.take(Int(count))))
            } catch { return (entries, rest) }
        }
        return (entries, 0)
    }
}
