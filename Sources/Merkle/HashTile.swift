package import Crypto

/// Up to 256 hashes in one file, one behind the other.
package enum HashTile {
    /// The bytes of a tile of hashes.
    package static func encode(_ hashes: [Digest]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(hashes.count * Digest.byteCount)
        for hash in hashes { bytes += hash.bytes }
        return bytes
    }

    /// The hashes of a tile; nil when `bytes` are not a multiple of 32.
    package static func decode(_ bytes: [UInt8]) -> [Digest]? {
        guard bytes.count % Digest.byteCount == 0 else { return nil }
        return stride(from: 0, to: bytes.count, by: Digest.byteCount).compactMap {
            Digest(bytes[$0..<$0 + Digest.byteCount])
        }
    }
}
