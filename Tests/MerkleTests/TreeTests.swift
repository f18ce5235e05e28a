import Bytes
import Crypto
import Merkle
import TestSupport
import Testing

/// The definitions of RFC 6962 section 2.1 written down as they stand there: the second opinion.
enum NaiveTree {
    static func root(_ entries: ArraySlice<[UInt8]>) -> [UInt8] {
        if entries.isEmpty { return SHA256.hash([]) }
        if entries.count == 1 { return SHA256.hash([0] + entries[entries.startIndex]) }
        let middle = entries.startIndex + split(entries.count)
        return SHA256.hash([1] + root(entries[..<middle]) + root(entries[middle...]))
    }

    static func path(_ index: Int, _ entries: ArraySlice<[UInt8]>) -> [[UInt8]] {
        if entries.count == 1 { return [] }
        let count = split(entries.count)
        let middle = entries.startIndex + count
        return index < count
            ? path(index, entries[..<middle]) + [root(entries[middle...])]
            : path(index - count, entries[middle...]) + [root(entries[..<middle])]
    }

    static func proof(_ old: Int, _ entries: ArraySlice<[UInt8]>) -> [[UInt8]] {
        subproof(old, entries, true)
    }

    private static func subproof(
        _ old: Int, _ entries: ArraySlice<[UInt8]>, _ isWhole: Bool
    ) -> [[UInt8]] {
        if old == entries.count { return isWhole ? [] : [root(entries)] }
        let count = split(entries.count)
        let middle = entries.startIndex + count
        return old <= count
            ? subproof(old, entries[..<middle], isWhole) + [root(entries[middle...])]
            : subproof(old - count, entries[middle...], false) + [root(entries[..<middle])]
    }

    private static func split(_ count: Int) -> Int {
        var power = 1
        while power * 2 < count { power *= 2 }
        return power
    }
}

/// A tree in memory: its builder and every tile that it gave.
struct TileStore {
    var builder = TreeBuilder()
    var tiles: [TilePath: [Digest]] = [:]

    mutating func append(_ entry: [UInt8]) {
        var full: [(TilePath, [Digest])] = []
        builder.append(TreeHash.leaf(entry)) { full.append(($0, $1)) }
        for (tile, hashes) in full { tiles[tile] = hashes }
        for (tile, hashes) in builder.partialTiles { tiles[tile] = hashes }
    }

    struct MissingTile: Error { let tile: TilePath }

    func read(_ tile: TilePath) throws -> [Digest] {
        guard let hashes = tiles[tile] else { throw MissingTile(tile: tile) }
        return hashes
    }

    func source(size: Int) -> TileHashSource { TileHashSource(size: size, read: read) }
}

@Suite struct `Merkle trees` {
    private static func entries(_ count: Int) -> [[UInt8]] {
        (0..<count).map { Array("entry \($0)".utf8) }
    }

    @Test func `full tiles that are added whole give the tree and tiles of their leaves`() {
        let leaves = Self.entries(256 * 258).map(TreeHash.leaf)
        var (whole, single) = (TreeBuilder(), TreeBuilder())
        var (tiles, expected): ([TilePath: [Digest]], [TilePath: [Digest]]) = ([:], [:])
        for start in stride(from: 0, to: leaves.count, by: 256) {
            let tile = Array(leaves[start..<start + 256])
            whole.append(tile: tile, root: TreeHash.perfectRoot(tile)) { tiles[$0] = $1 }
            for leaf in tile { single.append(leaf) { expected[$0] = $1 } }
        }
        #expect(whole.root == single.root)
        #expect(whole.size == single.size)
        #expect(tiles == expected)
        whole.append(leaves[0]) { _, _ in }
        single.append(leaves[0]) { _, _ in }
        #expect(whole.root == single.root)
        #expect(whole.partialTiles.map(\.tile) == single.partialTiles.map(\.tile))
    }

    @Test func `leaves of a bundle are hashed where they lie`() {
        let entries = Self.entries(7) + [[], [UInt8](repeating: 1, count: 65_535)]
        let bytes = EntryBundle.encode(entries)
        let found = TreeHash.leaves(of: bytes)
        #expect(found.leaves == entries.map(TreeHash.leaf))
        #expect(found.excess == 0)
        for cut in [1, 2, 65_536, 65_537] {
            let (leaves, excess) = TreeHash.leaves(of: Array(bytes.dropLast(cut)))
            let (decoded, rest) = EntryBundle.decode(Array(bytes.dropLast(cut)))
            #expect(leaves == decoded.map(TreeHash.leaf))
            #expect(excess == rest)
        }
        #expect(TreeHash.leaves(of: []).leaves == [])
    }

    @Test func `hashes of empty root, leaves and nodes are those of RFC 6962`() {
        #expect(
            TreeHash.empty.hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )
        #expect(TreeBuilder().root == TreeHash.empty)
        #expect(
            TreeHash.leaf([]).hex
                == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
        #expect(
            TreeHash.leaf(Array("L123456".utf8)).hex
                == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56")
        #expect(
            SHA256.digest([1] + Array("N123N456".utf8)).hex
                == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb")
        let (left, right) = (TreeHash.leaf([1]), TreeHash.leaf([2]))
        #expect(TreeHash.node(left, right) == SHA256.digest([1] + left.bytes + right.bytes))
    }

    /// The eight-leaf tree of the Certificate Transparency tests.
    @Test func `roots of a growing tree are those of the published test tree`() {
        let inputs = [
            "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ]
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
        var store = TileStore()
        for (input, root) in zip(inputs, roots) {
            store.append(Bytes.bytes(hex: input)!)
            #expect(store.builder.root.hex == root)
        }
    }

    @Test func `every size up to 600 has the root of the definition, resumed or not`() throws {
        let entries = Self.entries(600)
        var store = TileStore()
        for size in 0...600 {
            if size > 0 { store.append(entries[size - 1]) }
            let root = NaiveTree.root(entries[..<size])
            #expect(store.builder.root.bytes == root)
            let resumed = try TreeBuilder(resuming: size, read: store.read)
            #expect(resumed.root.bytes == root)
            #expect(resumed.size == size)
            #expect(try TreeProof.root(size: size, in: store.source(size: size)).bytes == root)
        }
    }

    @Test func `a tree of 70,000 has the tiles that the specification counts`() throws {
        var store = TileStore()
        for number in 0..<70_000 {
            var full: [(TilePath, [Digest])] = []
            store.builder.append(TreeHash.leaf(Array("\(number)".utf8))) { full.append(($0, $1)) }
            for (tile, hashes) in full { store.tiles[tile] = hashes }
        }
        for (tile, hashes) in store.builder.partialTiles { store.tiles[tile] = hashes }
        let full = store.tiles.keys.filter(\.isFull)
        #expect(full.filter { $0.kind == .hashes(level: 0) }.count == 273)
        #expect(full.filter { $0.kind == .hashes(level: 1) }.count == 1)
        #expect(
            TilePath.partialHashTiles(size: 70_000).map(\.text)
                == ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"])
        #expect(TilePath.partialEntries(size: 70_000)?.text == "tile/entries/273.p/112")
        #expect(TilePath.partialHashTiles(size: 256).map(\.text) == ["tile/1/000.p/1"])
        let source = store.source(size: 70_000)
        let root = store.builder.root
        #expect(try TreeProof.root(size: 70_000, in: source) == root)
        for index in [0, 1, 255, 256, 65_535, 65_536, 69_999] {
            let proof = try TreeProof.inclusion(index: index, size: 70_000, in: source)
            let leaf = TreeHash.leaf(Array("\(index)".utf8))
            #expect(
                TreeProof.isIncluded(
                    leaf: leaf, index: index, size: 70_000, root: root, proof: proof))
        }
    }

    @Test func `inclusion proofs are those of the definition, and nothing else passes`() throws {
        var random = Generator()
        let entries = Self.entries(600)
        var store = TileStore()
        for entry in entries { store.append(entry) }
        for _ in 0..<300 {
            let size = Int.random(in: 1...600, using: &random)
            let index = Int.random(in: 0..<size, using: &random)
            // A tree that is larger now still has the tiles of the smaller one.
            let source = store.source(size: size)
            let proof = try TreeProof.inclusion(index: index, size: size, in: source)
            #expect(proof.map(\.bytes) == NaiveTree.path(index, entries[..<size]))
            let root = try #require(Digest(NaiveTree.root(entries[..<size])))
            let leaf = TreeHash.leaf(entries[index])
            func passes(_ index: Int, _ size: Int, _ leaf: Digest, _ proof: [Digest]) -> Bool {
                TreeProof.isIncluded(leaf: leaf, index: index, size: size, root: root, proof: proof)
            }
            #expect(passes(index, size, leaf, proof), "seed \(random.seed)")
            #expect(!passes(index, size, TreeHash.leaf([9]), proof))
            #expect(!passes(index + 1, size, leaf, proof))
            #expect(!passes(-1, size, leaf, proof))
            #expect(!passes(size, size, leaf, proof))
            #expect(!passes(index, size, leaf, proof + [leaf]))
            if !proof.isEmpty {
                #expect(!passes(index, size, leaf, Array(proof.dropLast())))
                var changed = proof
                changed[Int.random(in: 0..<proof.count, using: &random)] = leaf
                #expect(!passes(index, size, leaf, changed))
            }
        }
    }

    @Test func `consistency proofs are those of the definition, and nothing else passes`() throws {
        var random = Generator()
        let entries = Self.entries(600)
        var store = TileStore()
        for entry in entries { store.append(entry) }
        for _ in 0..<300 {
            let size = Int.random(in: 1...600, using: &random)
            let old = Int.random(in: 1...size, using: &random)
            let proof = try TreeProof.consistency(
                from: old, to: size, in: store.source(size: size))
            #expect(proof.map(\.bytes) == NaiveTree.proof(old, entries[..<size]))
            let oldRoot = try #require(Digest(NaiveTree.root(entries[..<old])))
            let root = try #require(Digest(NaiveTree.root(entries[..<size])))
            func passes(
                _ old: Int, _ oldRoot: Digest, _ root: Digest, _ proof: [Digest]
            ) -> Bool {
                TreeProof.isConsistent(
                    old: old, oldRoot: oldRoot, size: size, root: root, proof: proof)
            }
            #expect(passes(old, oldRoot, root, proof), "seed \(random.seed)")
            #expect(!passes(old, TreeHash.leaf([9]), root, proof))
            #expect(!passes(old, oldRoot, TreeHash.leaf([9]), proof))
            #expect(!passes(size + 1, oldRoot, root, proof))
            #expect(!passes(old, oldRoot, root, proof + [root]))
            if !proof.isEmpty { #expect(!passes(old, oldRoot, root, Array(proof.dropLast()))) }
        }
        #expect(
            TreeProof.isConsistent(
                old: 0, oldRoot: TreeHash.empty, size: 600, root: store.builder.root, proof: []))
    }
}

@Suite struct `Tiles and bundles` {
    @Test(arguments: [
        (TilePath(.hashes(level: 0), index: 1_234_067), "tile/0/x001/x234/067"),
        (TilePath(.hashes(level: 12), index: 0, width: 1), "tile/12/000.p/1"),
        (TilePath(.entries, index: 1000, width: 255), "tile/entries/x001/000.p/255"),
        (TilePath(.entries, index: 999), "tile/entries/999"),
    ])
    func `a tile's path is that of the specification`(_ tile: TilePath, _ text: String) {
        #expect(tile.text == text)
        #expect(TilePath(text) == tile)
    }

    @Test(arguments: [
        "", "tile", "tile/0", "tile/64/000", "tile/00/000", "tile/0/0", "tile/0/x000/001",
        "tile/0/001/002", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p", "tile/0/000.p/01",
        "tile/0/+01", "tile/0/-01", "tile/0/000/", "tile/x/000", "entries/000",
    ])
    func `what is no tile path is refused`(_ text: String) {
        #expect(TilePath(text) == nil)
    }

    @Test func `random paths survive their text`() {
        var random = Generator()
        for _ in 0..<500 {
            let kind: TilePath.Kind =
                random.chance(0.5)
                ? .entries : .hashes(level: Int.random(in: 0...63, using: &random))
            let bits = Int.random(in: 0...40, using: &random)
            let tile = TilePath(
                kind, index: Int.random(in: 0...(1 << bits), using: &random),
                width: Int.random(in: 1...256, using: &random))
            #expect(TilePath(tile.text) == tile, "seed \(random.seed)")
        }
    }

    @Test func `bundles decode to what was encoded, and a torn end is cut`() {
        var random = Generator()
        for _ in 0..<200 {
            let entries = (0..<Int.random(in: 0...20, using: &random)).map { _ in
                random.bytes(count: Int.random(in: 0...300, using: &random))
            }
            let bytes = EntryBundle.encode(entries)
            #expect(EntryBundle.decode(bytes) == (entries, 0))
            guard let last = entries.last else { continue }
            let torn = Int.random(in: 1..<(last.count + 2), using: &random)
            let cut = EntryBundle.decode(Array(bytes.dropLast(torn)))
            #expect(cut.entries == entries.dropLast())
            #expect(cut.excess == last.count + 2 - torn)
        }
        let longest = [UInt8](repeating: 1, count: EntryBundle.entryBytesMax)
        #expect(EntryBundle.decode(EntryBundle.encode([longest])).entries == [longest])
    }

    @Test func `tiles of hashes are the hashes in order`() {
        let hashes = (0..<5).map { TreeHash.leaf([UInt8($0)]) }
        let bytes = HashTile.encode(hashes)
        #expect(bytes.count == 160)
        #expect(HashTile.decode(bytes) == hashes)
        #expect(HashTile.decode(bytes + [1]) == nil)
    }
}
