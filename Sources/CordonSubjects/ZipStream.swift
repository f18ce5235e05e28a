package import CordonModel

/// A ZIP archive (APPNOTE 6.3.10) that is written from front to back, so that its size does not matter and it can go through a pipe or
/// be sealed on its way.
///
/// Members are deflated in stored blocks (RFC 1951 section 3.2.4), whose length and checksum stand behind them: every reader
/// takes that, and nothing has to be known beforehand. Names are UTF-8 with slashes. There is no ZIP64, so a member and the archive stay below
/// 4 GiB.
package struct ZipStream {
    private let sink: ([UInt8]) throws -> Void
    private let time: UInt16
    private let date: UInt16
    private var members: [Member] = []
    private var offset = 0
    private var block: [UInt8] = []

    /// The archive has grown past what its format can say.
    package struct TooLarge: Error, CustomStringConvertible {
        package let description =
            "the archive would be 4 GiB or more: export fewer regions at a time"
    }

    private struct Member {
        let name: [UInt8]
        let offset: Int
        var crc: UInt32 = 0xFFFF_FFFF
        var packed = 0
        var plain = 0
    }

    private static let blockBytes = 0xFFFF
    /// UTF-8 names, and sizes behind the data.
    private static let flags: UInt16 = 1 << 11 | 1 << 3
    private static let version: UInt16 = 20
    private static let deflated: UInt16 = 8

    /// - Parameters:
    ///   - modified: the time of every member.
    ///   - sink: takes the archive's bytes in order.
    package init(modified: Timestamp, sink: @escaping ([UInt8]) throws -> Void) {
        self.sink = sink
        let day = Day(modified)
        let (year, month, number) = day.civil
        let seconds = Int((modified.microseconds - day.start.microseconds) / 1_000_000)
        date = UInt16(max(0, year - 1980) << 9 | month << 5 | number)
        time = UInt16((seconds / 3600) << 11 | (seconds / 60 % 60) << 5 | (seconds % 60) / 2)
    }

    /// Begins a member; the one before must have ended.
    package mutating func begin(_ name: String) throws {
        let member = Member(name: Array(name.utf8), offset: offset)
        var bytes: [UInt8] = []
        bytes.append(little: UInt32(0x0403_4B50))
        for word in [Self.version, Self.flags, Self.deflated, time, date] {
            bytes.append(little: word)
        }
        for _ in 0..<3 { bytes.append(little: UInt32(0)) }
        bytes.append(little: UInt16(member.name.count))
        bytes.append(little: UInt16(0))
        members.append(member)
        try emit(bytes + member.name)
    }

    /// Adds to the member that was begun last.
    package mutating func write(_ bytes: [UInt8]) throws {
        let last = members.count - 1
        members[last].crc = CRC32.update(members[last].crc, bytes)
        members[last].plain += bytes.count
        block += bytes
        var start = 0
        while block.count - start > Self.blockBytes {
            try store(Array(block[start..<start + Self.blockBytes]), isLast: false)
            start += Self.blockBytes
        }
        if start > 0 { block.removeFirst(start) }
    }

    package mutating func end() throws {
        try store(block, isLast: true)
        block = []
        let last = members.count - 1
        members[last].crc ^= 0xFFFF_FFFF
        var bytes: [UInt8] = []
        bytes.append(little: UInt32(0x0807_4B50))
        bytes.append(little: members[last].crc)
        bytes.append(little: try Self.word(members[last].packed))
        bytes.append(little: try Self.word(members[last].plain))
        try emit(bytes)
    }

    private mutating func store(_ bytes: [UInt8], isLast: Bool) throws {
        var head: [UInt8] = [isLast ? 1 : 0]
        head.append(little: UInt16(bytes.count))
        head.append(little: ~UInt16(bytes.count))
        members[members.count - 1].packed += head.count + bytes.count
        try emit(head + bytes)
    }

    /// Writes the directory, by which readers find the members.
    package mutating func finish() throws {
        let start = offset
        for member in members {
            var bytes: [UInt8] = []
            bytes.append(little: UInt32(0x0201_4B50))
            // Made on Unix, so that the mode below is taken: a file that its owner alone may read.
            bytes.append(little: Self.version | 3 << 8)
            for word in [Self.version, Self.flags, Self.deflated, time, date] {
                bytes.append(little: word)
            }
            bytes.append(little: member.crc)
            bytes.append(little: try Self.word(member.packed))
            bytes.append(little: try Self.word(member.plain))
            bytes.append(little: UInt16(member.name.count))
            for _ in 0..<4 { bytes.append(little: UInt16(0)) }
            bytes.append(little: UInt32(0o100600) << 16)
            bytes.append(little: try Self.word(member.offset))
            try emit(bytes + member.name)
        }
        var bytes: [UInt8] = []
        bytes.append(little: UInt32(0x0605_4B50))
        bytes.append(little: UInt32(0))
        for _ in 0..<2 { bytes.append(little: UInt16(members.count)) }
        bytes.append(little: try Self.word(offset - start))
        bytes.append(little: try Self.word(start))
        bytes.append(little: UInt16(0))
        try emit(bytes)
    }

    private mutating func emit(_ bytes: [UInt8]) throws {
        offset += bytes.count
        try sink(bytes)
    }

    private static func word(_ number: Int) throws -> UInt32 {
        guard let word = UInt32(exactly: number), word < .max else { throw TooLarge() }
        return word
    }
}

/// The checksum of ZIP (ISO 3309), over bytes in pieces.
private enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in
            value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1
        }
    }

    static func update(_ crc: UInt32, _ bytes: [UInt8]) -> UInt32 {
        bytes.reduce(crc) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
    }
}

extension [UInt8] {
    fileprivate mutating func append(little number: some FixedWidthInteger) {
        for shift in stride(from: 0, to: number.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }
}
