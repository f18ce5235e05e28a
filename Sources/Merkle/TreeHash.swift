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
        while row.count > 1 {
            row = stride(from: 0, to: row.count, by: 2).map { node(row[$0], row[$0 + 1]) }
        }
        return row[0]
    }
}
