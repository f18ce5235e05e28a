package import Crypto

/// A node that covers the leaves `index << level ..< (index + 1) << level`.
package struct TreeNode: Hashable, Sendable {
    package let level: Int
    package let index: Int
    package init(level: Int, index: Int) {
        self.level = level
        self.index = index
    }
}

/// Where proofs find the hashes of a tree.
package protocol TreeHashSource {
    /// The hash of a node all of whose leaves are in the tree.
    func hash(of node: TreeNode) throws -> Digest
}

/// Finds the hashes of a tree of `size` entries in its tiles.
package struct TileHashSource: TreeHashSource {
    private let size: Int
    private let read: (TilePath) throws -> [Digest]

    /// - Parameter read: gives the hashes of a tile, as many as its width says.
    package init(size: Int, read: @escaping (TilePath) throws -> [Digest]) {
        self.size = size
        self.read = read
    }

    package func hash(of node: TreeNode) throws -> Digest {
        let level = node.level / TilePath.height
        let span = 1 << (node.level % TilePath.height)
        let first = node.index * span
        let count = size >> (level * TilePath.height)
        let tile = first / TilePath.fullWidth
        let width = min(count - tile * TilePath.fullWidth, TilePath.fullWidth)
        let hashes = try read(TilePath(.hashes(level: level), index: tile, width: width))
        let offset = first % TilePath.fullWidth
        return TreeHash.perfectRoot(hashes[offset..<offset + span])
    }
}

/// Inclusion and consistency proofs (RFC 6962 section 2.1.1 and 2.1.2), made and checked.
package enum TreeProof {
    /// The hashes that lead from the leaf at `index` to the root of the tree of `size` entries.
    package static func inclusion(
        index: Int, size: Int, in source: some TreeHashSource
    ) throws -> [Digest] {
        precondition(index >= 0 && index < size)
        return try path(index, 0, size, source)
    }

    /// The hashes that lead from the tree of `old` entries to that of `size`, both not empty.
    package static func consistency(
        from old: Int, to size: Int, in source: some TreeHashSource
    ) throws -> [Digest] {
        precondition(old > 0 && old <= size)
        return try subproof(old, 0, size, true, source)
    }

    /// Root of the tree of the first `size` leaves.
    package static func root(size: Int, in source: some TreeHashSource) throws -> Digest {
        size == 0 ? TreeHash.empty : try root(0, size, source)
    }

    private static func path(
        _ index: Int, _ low: Int, _ high: Int, _ source: some TreeHashSource
    ) throws -> [Digest] {
        guard high - low > 1 else { return [] }
        let middle = low + split(high - low)
        return index < middle
            ? try path(index, low, middle, source) + [root(middle, high, source)]
            : try path(index, middle, high, source) + [root(low, middle, source)]
    }

    private static func subproof(
        _ old: Int, _ low: Int, _ high: Int, _ isWhole: Bool, _ source: some TreeHashSource
    ) throws -> [Digest] {
        if old == high { return isWhole ? [] : [try root(low, high, source)] }
        let middle = low + split(high - low)
        return old <= middle
            ? try subproof(old, low, middle, isWhole, source) + [root(middle, high, source)]
            : try subproof(old, middle, high, false, source) + [root(low, middle, source)]
    }

    /// Root over the leaves `low..<high`; `low` is a multiple of the least power of two that is not below
    /// their count, so every perfect part is a node of the tree.
    private static func root(
        _ low: Int, _ high: Int, _ source: some TreeHashSource
    ) throws -> Digest {
        let count = high - low
        if count & (count - 1) == 0 {
            let level = count.trailingZeroBitCount
            return try source.hash(of: TreeNode(level: level, index: low >> level))
        }
        let middle = low + split(count)
        return TreeHash.node(try root(low, middle, source), try root(middle, high, source))
    }

    /// The largest power of two below `count`.
    private static func split(_ count: Int) -> Int {
        1 << (Int.bitWidth - 1 - (count - 1).leadingZeroBitCount)
    }
}

extension TreeProof {
    /// Whether `proof` shows that `leaf` stands at `index` of the tree of `size` entries with `root`.
    package static func isIncluded(
        leaf: Digest, index: Int, size: Int, root: Digest, proof: [Digest]
    ) -> Bool {
        guard index >= 0, index < size else { return false }
        // RFC 9162 section 2.1.3.2.
        var (first, second) = (index, size - 1)
        var hash = leaf
        for sibling in proof {
            if second == 0 { return false }
            if first & 1 == 1 || first == second {
                hash = TreeHash.node(sibling, hash)
                while first & 1 == 0, first != 0 {
                    first >>= 1
                    second >>= 1
                }
            } else {
                hash = TreeHash.node(hash, sibling)
            }
            first >>= 1
            second >>= 1
        }
        return second == 0 && hash == root
    }

    /// Whether `proof` shows that the tree of `size` entries with `root` begins with the tree of `old` entries
    /// with `oldRoot`.
    package static func isConsistent(
        old: Int, oldRoot: Digest, size: Int, root: Digest, proof: [Digest]
    ) -> Bool {
        guard old >= 0, old <= size else { return false }
        if old == size { return proof.isEmpty && oldRoot == root }
        // Every tree begins with the empty one.
        if old == 0 { return proof.isEmpty && oldRoot == TreeHash.empty }
        // RFC 9162 section 2.1.4.2.
        var hashes = proof[...]
        if old & (old - 1) == 0 { hashes = ([oldRoot] + proof)[...] }
        guard let start = hashes.popFirst() else { return false }
        var (first, second) = (old - 1, size - 1)
        while first & 1 == 1 {
            first >>= 1
            second >>= 1
        }
        var (before, after) = (start, start)
        for sibling in hashes {
            if second == 0 { return false }
            if first & 1 == 1 || first == second {
                before = TreeHash.node(sibling, before)
                after = TreeHash.node(sibling, after)
                while first & 1 == 0, first != 0 {
                    first >>= 1
                    second >>= 1
                }
            } else {
                after = TreeHash.node(after, sibling)
            }
            first >>= 1
            second >>= 1
        }
        return second == 0 && before == oldRoot && after == root
    }
}
