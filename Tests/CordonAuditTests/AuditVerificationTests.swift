import Bytes
import CordonAudit
import CordonModel
import Crypto
import LinuxIO
import Merkle
import TestSupport
import Testing

@Suite struct `Audit verification` {
    let log: LogFixture

    /// 600 entries: two full tiles, one of 88, and a tile of two hashes above.
    init() throws {
        log = try LogFixture()
        try log.open().append(LogFixture.entries(0..<600))
    }

    private func verify() throws -> AuditVerification { try log.reader().verify() }

    private func editBundle(_ name: String, _ change: (inout [[UInt8]]) -> Void) throws {
        try log.edit(name) { bytes in
            var entries = EntryBundle.decode(bytes).entries
            change(&entries)
            bytes = EntryBundle.encode(entries)
        }
    }

    @Test func `a log that grows meanwhile is sound each time, as far as it went at the start`()
        async throws
    {
        let (folder, reader) = (log, log.reader())
        let writer = Task.detached {
            let opened = try folder.open()
            // Over the ends of tiles, where partial forms go.
            for number in 0..<400 { try opened.append(LogFixture.entry(number)) }
        }
        var size = 0
        for _ in 0..<30 {
            let found = try reader.verify()
            #expect(found.isSound, "\(found)")
            #expect(found.size >= size)
            size = found.size
        }
        try await writer.value
        #expect(try reader.verify().size == 1000)
        #expect(try reader.verify().unpublished == [])
    }

    @Test func `no more places are named than somebody can read`() throws {
        try log.open().append(LogFixture.entries(600..<1280))
        for bundle in ["000", "001", "002", "003", "004"] {
            try editBundle("tile/entries/" + bundle) { entries in
                for index in entries.indices { entries[index].append(0x20) }
            }
        }
        let found = try verify()
        #expect(!found.isSound)
        #expect(found.changed.count == AuditVerification.placesMax + 1)
        #expect(found.changed.last == "and 280 more")
        #expect(found.changed.first == "entry 0 (tile/entries/000)")
    }

    /// A log of `tiles` full tiles of empty entries, each of whose leaf tiles has a bit turned.
    private func writeDamaged(tiles: Int) throws -> AuditReader {
        let forged = log.directory.file("large")
        let leaves = [Digest](repeating: TreeHash.leaf([]), count: TilePath.fullWidth)
        let root = TreeHash.perfectRoot(leaves)
        let bundle = [UInt8](repeating: 0, count: 2 * TilePath.fullWidth)
        var tree = TreeBuilder()
        var files: [(TilePath, [UInt8])] = []
        for index in 0..<tiles {
            files.append((TilePath(.entries, index: index), bundle))
            tree.append(tile: leaves, root: root) { files.append(($0, HashTile.encode($1))) }
        }
        for (tile, hashes) in tree.partialTiles { files.append((tile, HashTile.encode(hashes))) }
        for (tile, bytes) in files {
            let path = forged + "/" + tile.text
            try Directory.create(File.parent(of: path))
            var bytes = bytes
            if tile.kind == .hashes(level: 0) { bytes[5] ^= 1 }
            try File(opening: path, [.write, .create]).write(bytes)
        }
        let signer = NoteSigner(name: "eu-central/audit", key: log.key)
        let checkpoint = Checkpoint(origin: "eu-central/audit", size: tree.size, root: tree.root)
        try File.write(
            forged + "/checkpoint", SignedNote(signing: checkpoint.text, with: signer).encoded)
        try File.write(forged + "/key.vkey", Array((signer.verifier.text + "\n").utf8))
        return AuditReader(directory: forged, region: "eu-central", key: log.key.publicKey)
    }

    @Test func `tiles that differ from true entries are all counted, however many there are`()
        throws
    {
        let found = try writeDamaged(tiles: AuditVerification.placesMax + 3).verify()
        #expect(found.isCheckpointValid && !found.isSound)
        #expect(found.changed.first == "tile/0/000")
        #expect(found.changed.count == AuditVerification.placesMax + 1)
        #expect(found.changed.last == "and 3 more")
        #expect(found.missing == [] && found.inserted == [])
    }

    @Test func `an untouched log is sound`() throws {
        let found = try verify()
        #expect(found.isSound)
        #expect(found.isCheckpointValid)
        #expect(found.isConsistent)
        #expect(found.size == 600)
    }

    @Test func `a changed entry is named`() throws {
        try editBundle("tile/entries/001") { $0[44] = LogFixture.entry(9999).encoded }
        let found = try verify()
        #expect(!found.isSound)
        #expect(!found.isConsistent)
        #expect(found.isCheckpointValid)
        #expect(found.changed == ["entry 300 (tile/entries/001)"])
        #expect(found.missing == [])
        #expect(found.inserted == [])
    }

    @Test func `a removed entry is named`() throws {
        try editBundle("tile/entries/001") { $0.remove(at: 44) }
        let found = try verify()
        #expect(!found.isSound)
        #expect(found.missing == ["entry 300 (tile/entries/001)"])
        #expect(found.changed == [])
        #expect(found.inserted == [])
    }

    @Test func `an inserted entry is named`() throws {
        try editBundle("tile/entries/002.p/88") {
            $0.insert(LogFixture.entry(9999).encoded, at: 10)
        }
        var found = try verify()
        #expect(!found.isSound)
        #expect(found.inserted == ["before entry 522 (tile/entries/002.p/88)"])
        #expect(found.changed == [])
        #expect(found.missing == [])
        try editBundle("tile/entries/002.p/88") { $0.remove(at: 10) }
        #expect(try verify().isSound)
        try editBundle("tile/entries/002.p/88") { $0.append(LogFixture.entry(9999).encoded) }
        found = try verify()
        #expect(found.inserted.count == 1)
        #expect(found.missing == [])
    }

    @Test func `several edits at once are each named`() throws {
        try editBundle("tile/entries/000") {
            $0[3] = LogFixture.entry(9999).encoded
            $0.remove(at: 100)
            $0.insert(LogFixture.entry(8888).encoded, at: 200)
        }
        try editBundle("tile/entries/001") { $0[255] = [] }
        let found = try verify()
        #expect(
            found.changed == ["entry 3 (tile/entries/000)", "entry 511 (tile/entries/001)"])
        #expect(found.missing == ["entry 100 (tile/entries/000)"])
        #expect(found.inserted == ["before entry 201 (tile/entries/000)"])
    }

    @Test func `a missing bundle is named with its entries`() throws {
        try File.remove(log.path + "/tile/entries/001")
        let found = try verify()
        #expect(!found.isSound)
        #expect(found.missing == ["entries 256 to 511 (tile/entries/001)"])
        #expect(found.changed == [])
        #expect(found.root == "")
    }

    @Test(arguments: [
        "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2",
    ])
    func `a changed, cut or missing tile is named, and the entries are held true`(
        _ tile: String
    ) throws {
        try log.edit(tile) { $0[5] ^= 1 }
        var found = try verify()
        #expect(!found.isSound)
        #expect(!found.isConsistent)
        #expect(found.changed == [tile])
        #expect(found.missing == [])
        try log.edit(tile) { $0.removeLast(32) }
        found = try verify()
        #expect(!found.isSound)
        #expect(found.changed.count == 1)
        #expect(found.changed[0].hasPrefix(tile))
        try File.remove(log.path + "/" + tile)
        found = try verify()
        #expect(!found.isSound)
        #expect(found.missing == [tile])
        #expect(found.changed == [])
    }

    @Test func `entries and tiles rewritten together are caught by the signed root`() throws {
        let forged = try LogFixture()
        let other = try AuditLog(
            directory: forged.path, region: "eu-central", key: Ed25519PrivateKey.generate().key)
        try other.append(LogFixture.entries(1..<601))
        let checkpoint = try File.read(log.path + "/checkpoint")
        let key = try File.read(log.path + "/key.vkey")
        try FileMover.replace(log.path, by: forged.path)
        var found = try verify()
        #expect(!found.isSound)
        #expect(!found.isCheckpointValid)
        #expect(found.changed.contains("checkpoint"))
        #expect(found.changed.contains("key.vkey"))
        try File.write(log.path + "/checkpoint", checkpoint)
        try File.write(log.path + "/key.vkey", key)
        found = try verify()
        #expect(found.isCheckpointValid)
        #expect(!found.isConsistent)
        #expect(found.changed.count == 1)
        #expect(found.changed[0].hasPrefix("root: the entries give "))
    }

    @Test func `a bad, foreign or missing checkpoint is told`() throws {
        let checkpoint = try File.read(log.path + "/checkpoint")
        try log.edit("checkpoint") { $0[$0.count - 10] ^= 1 }
        var found = try verify()
        #expect(!found.isCheckpointValid)
        #expect(!found.isSound)
        try log.edit("checkpoint") { $0 = Array("nonsense".utf8) }
        found = try verify()
        #expect(!found.isCheckpointValid)
        #expect(found.changed == ["checkpoint"])
        try File.remove(log.path + "/checkpoint")
        found = try verify()
        #expect(!found.isCheckpointValid)
        #expect(found.missing == ["checkpoint"])
        #expect(found.size == 600)
        // The same key signs for another log.
        let signer = NoteSigner(name: "eu-central/audit", key: log.key)
        let note = try #require(SignedNote(parsing: checkpoint))
        let own = try #require(Checkpoint(note.text))
        let foreign = Checkpoint(origin: "us-east/audit", size: own.size, root: own.root)
        try File.write(
            log.path + "/checkpoint", SignedNote(signing: foreign.text, with: signer).encoded)
        found = try verify()
        #expect(!found.isCheckpointValid)
        #expect(!found.isSound)
    }

    @Test func `an old checkpoint shows the entries behind it as inserted`() throws {
        let checkpoint = try File.read(log.path + "/checkpoint")
        try log.open().append(LogFixture.entries(600..<610))
        try File.write(log.path + "/checkpoint", checkpoint)
        try File.remove(log.path + "/intent")
        let found = try verify()
        #expect(!found.isSound)
        #expect(
            found.inserted == [
                "tile/0/002.p/98: beyond the checkpoint",
                "tile/entries/002.p/98: beyond the checkpoint",
            ])
    }

    @Test func `foreign files among the tiles are told`() throws {
        try File.write(log.path + "/tile/entries/003", [1, 2, 3])
        try File.write(log.path + "/tile/0/notes.txt", [])
        let found = try verify()
        #expect(!found.isSound)
        #expect(
            found.inserted == ["tile/0/notes.txt", "tile/entries/003: beyond the checkpoint"])
    }

    @Test func `a grown tile must begin with its earlier form`() throws {
        let opened = try log.open()
        try opened.append(LogFixture.entry(600))
        #expect(try verify().isSound)
        try log.edit("tile/entries/002.p/88") { $0[20] ^= 1 }
        #expect(try verify().changed == ["tile/entries/002.p/88"])
    }

    @Test func `any single bit turned in any file is noticed`() throws {
        var random = Generator()
        let small = try LogFixture()
        try small.open().append(LogFixture.entries(0..<300))
        let names = [
            "checkpoint", "key.vkey", "tile/entries/000", "tile/entries/001.p/44", "tile/0/000",
            "tile/0/001.p/44", "tile/1/000.p/1",
        ]
        for _ in 0..<60 {
            let name = try #require(names.randomElement(using: &random))
            let bytes = try File.read(small.path + "/" + name)
            let index = Int.random(in: 0..<bytes.count, using: &random)
            let bit = UInt8(1) << UInt8.random(in: 0...7, using: &random)
            try small.edit(name) { $0[index] ^= bit }
            let found = try small.reader().verify()
            #expect(!found.isSound, "\(name) byte \(index), seed \(random.seed)")
            try File.write(small.path + "/" + name, bytes)
        }
        #expect(try small.reader().verify().isSound)
    }
}
