package import Crypto

/// The hashes of RFC 6962 section 2.1: leaves and inner nodes have different first bytes, so neither can be
/// passed off as the other.
package enum TreeHash {
    /// Root of the tree without entries.
    package static let empty = SHA256.digest([])

    package static func leaf(_ entry: [UInt8]) -> Digest {
        var hash = SHA256()
        hash.update(0x00)
        hash.update(entry)
        return hash.finalize()
    }

    /// The leaf hashes of the whole entries at the start of a bundle, and how many bytes behind them make no entry.
    package static func leaves(of bundle: [UInt8]) -> (leaves: [Digest], excess: Int) {
        let bytes = bundle.span
        var leaves: [Digest] = []
        leaves.reserveCapacity(TilePath.fullWidth)
        var end = 0
        while let place = EntryBundle.place(in: bundle, after: end) {
            var hash = SHA256()
            hash.update(0x00)
            hash.update(bytes.extracting(place))
            leaves.append(hash.finalize())
            end = place.upperBound
        }
        return (leaves, bytes.count - end)
    }

    package static func node(_ left: Digest, _ right: Digest) -> Digest {
        var hash = SHA256()
        hash.update(0x01)
        hash.update(left)
        hash.update(right)
        return hash.finalize()
    }

    /// Root of the perfect tree over `hashes`, whose count is a power of two.
    package static func perfectRoot(_ hashes: some RandomAccessCollection<Digest>) -> Digest {
        precondition(hashes.count > 0 && hashes.count & (hashes.count - 1) == 0)
        var row = Array(hashes)
        var count = row.count
        while count > 1 {
            count /= 2
            // Each goes where nothing is read any more.
            for index in 0..<count { row[index] = node(row[2 * index], row[2 * index + 1]) }
        }
        return row[0]
    }
}
