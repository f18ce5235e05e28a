internal import Crypto
internal import LinuxIO
internal import Merkle

extension AuditReader {
    /// What ``copy(_:)`` copied.
    package struct Copied: Sendable {
        package let size: Int
        /// In hexadecimal.
        package let root: String
        package let files: Int
    }

    /// Gives the files that the present checkpoint consists of, each with its path from the log's folder: `checkpoint`
    /// first, `key.vkey`, introductions of keys, what witnesses cosigned, then entries and hashes, tile by tile.
    ///
    /// Takes no lock, so that a long copy holds nobody up: full tiles never change, and a partial one that has
    /// grown meanwhile is the beginning of what it grew into. Verifies the checkpoint's signature and no more.
    package func copy(_ body: (_ path: String, _ bytes: [UInt8]) throws -> Void) throws -> Copied {
        let (note, checkpoint) = try signedCheckpoint()
        try body("checkpoint", note.encoded)
        try body("key.vkey", Array((try keyChain().present.text + "\n").utf8))
        var files = 2
        for (number, bytes) in try folder.introductions().enumerated() {
            try body("keys/\(number + 1)", bytes)
            files += 1
        }
        for region in try witnessRegions() {
            guard let bytes = try folder.read(folder.cosignedDirectory + "/" + region) else {
                continue
            }
            // One that was cosigned since the checkpoint above was read is beyond what is copied.
            guard let note = SignedNote(parsing: bytes), let seen = Checkpoint(note.text),
                seen.size <= checkpoint.size
            else { continue }
            try body("witnessed/" + region, bytes)
            files += 1
        }
        for kind in Self.kinds(size: checkpoint.size) {
            let count =
                switch kind {
                case .entries: checkpoint.size
                case .hashes(let level): checkpoint.size >> (level * TilePath.height)
                }
            for start in stride(from: 0, to: count, by: TilePath.fullWidth) {
                let tile = TilePath(
                    kind, index: start / TilePath.fullWidth,
                    width: min(TilePath.fullWidth, count - start))
                try body(tile.text, try content(tile))
                files += 1
            }
        }
        return Copied(size: checkpoint.size, root: checkpoint.root.hex, files: files)
    }

    /// Regions whose cosigned checkpoints the log keeps.
    private func witnessRegions() throws(AuditError) -> [String] {
        try AuditFolder.system { () throws(LinuxError) in
            guard try File.exists(folder.cosignedDirectory) else { return [] }
            return try Directory.list(folder.cosignedDirectory).filter { !$0.hasPrefix(".") }
                .sorted()
        }
    }

    /// Entries, then each level that has a hash.
    private static func kinds(size: Int) -> [TilePath.Kind] {
        var kinds: [TilePath.Kind] = size > 0 ? [.entries] : []
        var level = 0
        while size >> (level * TilePath.height) > 0 {
            kinds.append(.hashes(level: level))
            level += 1
        }
        return kinds
    }

    private func content(_ tile: TilePath) throws(AuditError) -> [UInt8] {
        guard let bytes = try folder.snapshot(tile) else {
            throw .damaged(path: folder.path(tile), expected: "a tile of the checkpoint")
        }
        return bytes
    }
}
