import Bytes
import Crypto

/// The content of a table on its way into bytes: ranges that cover both spaces, and what they refer to.
struct GeoTableImage {
    let v4: [(first: UInt32, place: UInt16)]
    let v6: [(first: UInt128, place: UInt16)]
    let places: [PackedPlace]
    let sources: [GeoSource]

    /// The file, as ``GeoTableFormat`` lays it out.
    func encode() -> [UInt8] {
        let (dense, second) = secondLevel()
        let sections: [[UInt8]] = GeoTableFormat.Section.allCases.map { section in
            switch section {
            case .v4Index: Self.bytes(v4Index())
            case .v4Starts: Self.bytes(v4.map(\.first))
            case .v4Places: Self.bytes(v4.map(\.place))
            case .v6Index: Self.bytes(v6Index())
            case .v6Dense: Self.bytes(dense)
            case .v6Second: Self.bytes(second)
            case .v6Highs: Self.bytes(v6.map { UInt64(truncatingIfNeeded: $0.first >> 64) })
            case .v6Lows: Self.bytes(v6.map { UInt64(truncatingIfNeeded: $0.first) })
            case .v6Places: Self.bytes(v6.map(\.place))
            case .places: Self.bytes(places.map(\.bits.bigEndian))
            case .sources: Array(sources.map(\.line).joined().utf8)
            }
        }
        return assemble(sections)
    }

    private func assemble(_ sections: [[UInt8]]) -> [UInt8] {
        typealias Format = GeoTableFormat
        func aligned(_ size: Int) -> Int {
            (size + Format.alignment - 1) / Format.alignment * Format.alignment
        }
        var list: [UInt8] = []
        var end = Format.headerBytes
        for (section, content) in zip(Format.Section.allCases, sections) {
            let offset = aligned(end)
            list.append(littleEndian: UInt64(offset))
            list.append(littleEndian: UInt64(content.count / section.elementBytes))
            end = offset + content.count
        }
        var file: [UInt8] = []
        file.reserveCapacity(end)
        file += Format.magic
        file.append(littleEndian: Format.version)
        file.append(littleEndian: UInt32(Format.headerBytes))
        file += [UInt8](repeating: 0, count: 32)
        file.append(littleEndian: UInt64(end))
        file.append(littleEndian: UInt64(0))
        file += list
        file += [UInt8](repeating: 0, count: Format.headerBytes - file.count)
        for content in sections {
            file += [UInt8](repeating: 0, count: aligned(file.count) - file.count)
            file += content
        }
        Self.seal(&file)
        return file
    }

    /// Writes the digest of the content into the header.
    static func seal(_ file: inout [UInt8]) {
        typealias Format = GeoTableFormat
        var hash = SHA256()
        hash.update(file.span.extracting(Format.digestedOffset..<file.count))
        let digest = hash.finalize().bytes
        file.replaceSubrange(Format.digestOffset..<Format.digestedOffset, with: digest)
    }

    private static func bytes<Integer: FixedWidthInteger & BitwiseCopyable>(
        _ integers: [Integer]
    ) -> [UInt8] {
        let littleEndian = integers.map(\.littleEndian)
        return unsafe littleEndian.withUnsafeBytes { unsafe Array($0) }
    }

    private func v4Index() -> [UInt32] {
        var index: [UInt32] = []
        index.reserveCapacity(GeoTableFormat.firstLevelCount)
        var position = 0
        for group in 0..<UInt64(GeoTableFormat.firstLevelCount) {
            while position + 1 < v4.count, UInt64(v4[position + 1].first) <= group << 16 {
                position += 1
            }
            index.append(UInt32(position))
        }
        return index
    }

    private func v6Index() -> [UInt32] {
        var index: [UInt32] = []
        index.reserveCapacity(GeoTableFormat.firstLevelCount)
        var position = 0
        for group in 0..<UInt128(GeoTableFormat.firstLevelCount - 1) {
            while position + 1 < v6.count, v6[position + 1].first <= group << 112 { position += 1 }
            index.append(UInt32(position))
        }
        return index + [UInt32(v6.count - 1)]
    }

    private func secondLevel() -> (dense: [UInt16], second: [UInt32]) {
        typealias Format = GeoTableFormat
        let index = v6Index()
        var dense = [UInt16](repeating: 0, count: Format.firstLevelCount - 1)
        var second: [UInt32] = []
        let shift = UInt128(112 - Format.secondLevelBits)
        for group in dense.indices where index[group + 1] - index[group] > Format.denseRangesMin {
            dense[group] = UInt16(second.count / Format.secondLevelCount + 1)
            var position = Int(index[group])
            for slot in 0..<UInt128(Format.secondLevelCount - 1) {
                let start = UInt128(group) << 112 | slot << shift
                while position + 1 < v6.count, v6[position + 1].first <= start { position += 1 }
                second.append(UInt32(position))
            }
            second.append(index[group + 1])
        }
        return (dense, second)
    }
}
