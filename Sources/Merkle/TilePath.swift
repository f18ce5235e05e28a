/// Which tile of a log is meant: up to 256 hashes of one level, or up to 256 entries (C2SP tlog-tiles).
package struct TilePath: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// Hashes of subtrees of 256^level entries.
        case hashes(level: Int)
        case entries
    }

    package let kind: Kind
    package let index: Int
    /// Number of hashes or entries, 1 to 256; less than 256 is a partial tile.
    package let width: Int

    /// Hashes or entries of a full tile.
    package static let fullWidth = 256
    /// log₂ of ``fullWidth``.
    package static let height = 8
    package static let levelMax = 63

    package init(_ kind: Kind, index: Int, width: Int = fullWidth) {
        precondition(index >= 0 && (1...Self.fullWidth).contains(width))
        self.kind = kind
        self.index = index
        self.width = width
    }

    package var isFull: Bool { width == Self.fullWidth }

    /// The full tile at the same place.
    package var full: TilePath { TilePath(kind, index: index) }

    /// The folder that holds the partial forms of this tile, relative to the log's prefix.
    package var partialsText: String { full.text + ".p" }

    /// The path below the log's prefix, such as `tile/0/x001/067.p/12`.
    package var text: String {
        let place =
            switch kind {
            case .hashes(let level): String(level)
            case .entries: "entries"
            }
        var groups = [Self.threeDigits(index % 1000)]
        var rest = index / 1000
        while rest > 0 {
            groups.append("x" + Self.threeDigits(rest % 1000))
            rest /= 1000
        }
        let path = "tile/\(place)/" + groups.reversed().joined(separator: "/")
        return isFull ? path : path + ".p/\(width)"
    }

    /// Takes exactly the texts that ``text`` gives.
    package init?(_ text: some StringProtocol) {
        var parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 3, parts[0] == "tile" else { return nil }
        let kind: Kind
        if parts[1] == "entries" {
            kind = .entries
        } else {
            guard let level = Int(parts[1]), (0...Self.levelMax).contains(level) else { return nil }
            kind = .hashes(level: level)
        }
        parts.removeFirst(2)
        var width = Self.fullWidth
        if parts.count >= 2, parts[parts.count - 2].hasSuffix(".p") {
            guard let given = Int(parts[parts.count - 1]), (1..<Self.fullWidth).contains(given)
            else { return nil }
            width = given
            parts.removeLast()
            parts[parts.count - 1] = parts[parts.count - 1].dropLast(2)
        }
        var index = 0
        for part in parts {
            guard let group = Int(part.suffix(3)), group >= 0, index <= Int.max / 2000 else {
                return nil
            }
            index = index * 1000 + group
        }
        self.init(kind, index: index, width: width)
        // Whatever was lenient above (signs, zeros, missing x) does not survive this.
        guard self.text == text else { return nil }
    }

    private static func threeDigits(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 3 - digits.count) + digits
    }
}

extension TilePath {
    /// The partial tiles of a tree of `size` entries, lowest level first; levels that end in a full tile have
    /// none.
    package static func partialHashTiles(size: Int) -> [TilePath] {
        var tiles: [TilePath] = []
        var level = 0
        var count = size
        while count > 0 {
            if count % fullWidth > 0 {
                tiles.append(
                    TilePath(
                        .hashes(level: level), index: count / fullWidth, width: count % fullWidth))
            }
            count /= fullWidth
            level += 1
        }
        return tiles
    }

    /// The partial bundle of entries of a tree of `size` entries, if its last bundle is not full.
    package static func partialEntries(size: Int) -> TilePath? {
        size % fullWidth == 0
            ? nil : TilePath(.entries, index: size / fullWidth, width: size % fullWidth)
    }
}
