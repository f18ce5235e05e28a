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
        var entries: [[UInt8]] = []
        var end = 0
        while let place = place(in: bytes, after: end) {
            entries.append(Array(bytes[place]))
            end = place.upperBound
        }
        return (entries, bytes.count - end)
    }

    /// Where the bytes of the whole entry lie that follows `end`, the end of another one; nil when none does.
    static func place(in bytes: [UInt8], after end: Int) -> Range<Int>? {
        let start = end + 2
        guard start <= bytes.count else { return nil }
        let count = Int(bytes[end]) << 8 | Int(bytes[end + 1])
        return count <= bytes.count - start ? start..<start + count : nil
    }
}
