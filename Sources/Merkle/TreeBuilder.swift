package import Crypto

/// A growing tree of which only the right edge is held: at most 255 hashes a level, whatever the size.
package struct TreeBuilder: Sendable {
    package private(set) var size: Int
    /// Hashes of the last, partial tile of each level; an empty list where the level ends in a full tile.
    package private(set) var edge: [[Digest]]

    package init() {
        size = 0
        edge = []
    }

    /// Takes up a tree of `size` entries.
    ///
    /// - Parameter read: gives the hashes of each of ``TilePath/partialHashTiles(size:)``, as many as its
    ///   width says.
    package init(
        resuming size: Int, read: (TilePath) throws -> [Digest]
    ) rethrows {
        self.size = size
        edge = []
        for tile in TilePath.partialHashTiles(size: size) {
            guard case .hashes(let level) = tile.kind else { continue }
            let hashes = try read(tile)
            precondition(hashes.count == tile.width, "the reader checks a tile's width")
            while edge.count < level { edge.append([]) }
            edge.append(hashes)
        }
    }

    /// Adds one leaf; `whenFull` gets each tile that became full by it, lowest level first.
    package mutating func append(_ leaf: Digest, whenFull: (TilePath, [Digest]) -> Void) {
        let index = size
        size += 1
        carry(leaf, into: 0, at: index, whenFull: whenFull)
    }

    /// Adds a full tile of leaves whose root is known, where the tree ends with a full tile; as if each were added.
    package mutating func append(
        tile leaves: [Digest], root: Digest, whenFull: (TilePath, [Digest]) -> Void
    ) {
        precondition(
            leaves.count == TilePath.fullWidth && size % TilePath.fullWidth == 0,
            "full tiles lie behind full tiles")
        let index = size / TilePath.fullWidth
        size += TilePath.fullWidth
        whenFull(TilePath(.hashes(level: 0), index: index), leaves)
        if edge.isEmpty { edge.append([]) }
        carry(root, into: 1, at: index, whenFull: whenFull)
    }

    /// Adds the hash at `index` of a level; a tile that it fills becomes a hash of the level above.
    private mutating func carry(
        _ hash: Digest, into lowest: Int, at index: Int, whenFull: (TilePath, [Digest]) -> Void
    ) {
        var hash = hash
        var index = index
        for level in lowest... {
            if level == edge.count { edge.append([]) }
            edge[level].append(hash)
            guard edge[level].count == TilePath.fullWidth else { return }
            index /= TilePath.fullWidth
            whenFull(TilePath(.hashes(level: level), index: index), edge[level])
            hash = TreeHash.perfectRoot(edge[level])
            edge[level].removeAll(keepingCapacity: true)
        }
    }

    /// The partial tiles that the tree ends in.
    package var partialTiles: [(tile: TilePath, hashes: [Digest])] {
        TilePath.partialHashTiles(size: size).map { tile in
            guard case .hashes(let level) = tile.kind else { preconditionFailure("a hash tile") }
            return (tile, edge[level])
        }
    }

    /// The tree's root (RFC 6962 section 2.1).
    package var root: Digest {
        // Roots of the perfect subtrees that the tree is made of, the largest first; each partial tile
        // gives one for every bit of its width.
        var subtrees: [Digest] = []
        for hashes in edge.reversed() {
            var rest = hashes[...]
            for bit in (0..<TilePath.height).reversed() where hashes.count & 1 << bit != 0 {
                subtrees.append(TreeHash.perfectRoot(rest.prefix(1 << bit)))
                rest = rest.dropFirst(1 << bit)
            }
        }
        guard var root = subtrees.popLast() else { return TreeHash.empty }
        while let left = subtrees.popLast() { root = TreeHash.node(left, root) }
        return root
    }
}
