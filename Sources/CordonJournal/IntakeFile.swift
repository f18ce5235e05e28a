internal import Bytes
internal import LinuxIO

/// The file of an intake: a page that says what it is, and two halves that are filled in turns.
///
/// `Docs/formats/journal.md` draws it. All numbers in it are little endian.
final class IntakeFile {
    /// Where frames are read or written: the turn is the number of the filling, odd ones in the second half.
    struct Position: Equatable {
        var turn: Int64
        /// Within the turn's half, in bytes.
        var offset: Int
    }

    /// What a frame begins with.
    struct Head {
        var hits: UInt32
        var turn: Int64
        var offset: Int
        var minute: Int64
        var tallyBytes: Int
        var payloadBytes: Int
        var payloadHash: UInt64

        static let bytes = 64
        static let magic: UInt32 = 0x464E_4443
        var frameBytes: Int { Self.bytes + tallyBytes + payloadBytes }
    }

    static let pageBytes = 4096
    private static let magic: UInt32 = 0x494E_4443
    private static let version: UInt32 = 1
    /// Who appends for as long as it is open.
    private static let ownerLock = 0

    let file: File
    let inode: UInt64
    /// Random; tells one file from another that was made in its place.
    let id: Int64
    let halfBytes: Int

    /// Opens the file at `path`; nil when there is none.
    ///
    /// - Throws: `.unreadable` when it is something else, or damaged.
    init?(opening path: String) throws {
        do throws(LinuxError) {
            file = try File(opening: path, [.readWrite, .noFollow])
        } catch {
            if error.isMissing { return nil }
            throw error
        }
        let metadata = try file.metadata()
        inode = metadata.inode
        let page = try file.read(at: 0, count: Self.pageBytes)
        var reader = ByteReader(page)
        guard try reader.littleEndian(UInt32.self) == Self.magic,
            try reader.littleEndian(UInt32.self) == Self.version
        else { throw JournalError(.unreadable) }
        id = try reader.littleEndian(Int64.self)
        let half = try reader.littleEndian(Int64.self)
        guard try reader.littleEndian(UInt64.self) == Self.checksum(page.prefix(24)),
            half >= Self.pageBytes, half % Int64(Self.pageBytes) == 0,
            half <= (metadata.size - Self.pageBytes) / 2
        else { throw JournalError(.unreadable) }
        halfBytes = Int(half)
    }

    /// Makes the file at `path` with every byte of it written, so that no later write has to change where it lies.
    static func create(at path: String, halfBytes: Int) throws(LinuxError) {
        var page: [UInt8] = []
        page.append(littleEndian: magic)
        page.append(littleEndian: version)
        page.append(littleEndian: Int64.random(in: 1 ... .max))
        page.append(littleEndian: Int64(halfBytes))
        page.append(littleEndian: checksum(page[...]))
        page += [UInt8](repeating: 0, count: pageBytes + 2 * halfBytes - page.count)
        _ = try File.create(path, page)
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        unsafe XXH64.hash(bytes.span.bytes)
    }

    /// Where `position` is in the file.
    func place(_ position: Position) -> Int {
        Self.pageBytes + Int(position.turn & 1) * halfBytes + position.offset
    }

    // MARK: Locks

    /// Becomes the one who appends; false when another opening of the file is.
    func own() throws(LinuxError) -> Bool { try file.lock(byte: Self.ownerLock) }

    /// Keeps others from appending; false when they were at it all the time.
    func lock(milliseconds: Int) throws(LinuxError) -> Bool {
        try file.lock(byte: Intake.appendLock, milliseconds: milliseconds)
    }

    func unlock() { file.unlock(byte: Intake.appendLock) }

    // MARK: Frames

    /// The head of a frame at `position`, without its text and content; what they must be like is said in `head`.
    func headBytes(_ head: Head, tally: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Head.bytes + tally.count)
        bytes.append(littleEndian: Head.magic)
        bytes.append(littleEndian: head.hits)
        bytes.append(littleEndian: head.turn)
        bytes.append(littleEndian: Int64(head.offset))
        bytes.append(littleEndian: head.minute)
        bytes.append(littleEndian: UInt32(head.tallyBytes))
        bytes.append(littleEndian: UInt32(head.payloadBytes))
        bytes.append(littleEndian: head.payloadHash)
        bytes.append(littleEndian: id)
        var checked = bytes
        checked += tally
        bytes.append(littleEndian: Self.checksum(checked[...]))
        bytes += tally
        return bytes
    }

    /// The head that `bytes` has at `start`, whole together with its tally, for a frame at `position`; nil when there is none.
    private func head(
        in bytes: [UInt8], at start: Int, of position: Position
    ) -> (Head, tally: String)? {
        guard start + Head.bytes <= bytes.count else { return nil }
        var reader = ByteReader(Array(bytes[start..<start + Head.bytes]))
        do throws(ByteReader.Malformed) {
            guard try reader.littleEndian(UInt32.self) == Head.magic else { return nil }
            let head = Head(
                hits: try reader.littleEndian(UInt32.self),
                turn: try reader.littleEndian(Int64.self),
                offset: Int(try reader.littleEndian(Int64.self)),
                minute: try reader.littleEndian(Int64.self),
                tallyBytes: Int(try reader.littleEndian(UInt32.self)),
                payloadBytes: Int(try reader.littleEndian(UInt32.self)),
                payloadHash: try reader.littleEndian(UInt64.self))
            let end = start + Head.bytes + head.tallyBytes
            guard try reader.littleEndian(Int64.self) == id, head.offset == position.offset,
                position.offset + head.frameBytes <= halfBytes, end <= bytes.count
            else { return nil }
            let stated = try reader.littleEndian(UInt64.self)
            let tally = bytes[start + Head.bytes..<end]
            guard
                Self.checksum(bytes[start..<start + Head.bytes - 8] + tally) == stated
            else { return nil }
            return (head, String(decoding: tally, as: UTF8.self))
        } catch { return nil }
    }

    /// Gives the whole frames from `position` on to the end of its turn, and returns where the next one would begin.
    ///
    /// Exact while the intake is locked; else the last frames may still be on their way.
    func forEachFrame(
        from position: Position,
        _ body: (_ hits: Int, _ minute: Int64, _ tally: String, UnsafeRawBufferPointer) throws ->
            Void
    ) throws -> Int {
        let half = try file.read(at: place(position), count: halfBytes - position.offset)
        // The frames of one commit follow each other; the next commit begins with a page.
        var offset = 0
        while true {
            let pageStart = Self.roundUp(offset, to: Self.pageBytes)
            guard
                let found = frame(in: half, at: offset, behind: position)
                    ?? frame(in: half, at: pageStart, behind: position)
            else { return position.offset + pageStart }
            try unsafe half.withUnsafeBytes { bytes in
                try unsafe body(
                    Int(found.head.hits), found.head.minute, found.tally,
                    UnsafeRawBufferPointer(rebasing: bytes[found.payload]))
            }
            offset = Self.roundUp(found.payload.upperBound, to: 8)
        }
    }

    /// The whole frame that `half`, which begins at `position`, has at `start`.
    private func frame(
        in half: [UInt8], at start: Int, behind position: Position
    ) -> (head: Head, tally: String, payload: Range<Int>)? {
        let place = Position(turn: position.turn, offset: position.offset + start)
        guard let (head, tally) = head(in: half, at: start, of: place),
            head.turn == position.turn, start + head.frameBytes <= half.count
        else { return nil }
        let payload = start + Head.bytes + head.tallyBytes..<start + head.frameBytes
        guard Self.checksum(half[payload]) == head.payloadHash else { return nil }
        return (head, tally, payload)
    }

    static func roundUp(_ count: Int, to step: Int) -> Int { (count + step - 1) / step * step }

    /// Whether something that looks like a frame stands at `position`, or like one of a later turn at the start of a half.
    func mayHold(behind position: Position) throws(LinuxError) -> Bool {
        if try peek(position) == position.turn { return true }
        for half: Int64 in 0...1 {
            if let turn = try peek(Position(turn: half, offset: 0)), turn > position.turn {
                return true
            }
        }
        return false
    }

    /// The turn in what looks like a frame at `position`.
    private func peek(_ position: Position) throws(LinuxError) -> Int64? {
        guard position.offset + Head.bytes <= halfBytes else { return nil }
        var reader = ByteReader(try file.read(at: place(position), count: 16))
        guard (try? reader.littleEndian(UInt32.self)) == Head.magic,
            (try? reader.littleEndian(UInt32.self)) != nil
        else { return nil }
        return try? reader.littleEndian(Int64.self)
    }

    /// The first frame of the earliest turn behind `turn` that the halves hold; nil when they hold none.
    func firstFrame(behind turn: Int64) throws(LinuxError) -> Position? {
        var first: Position?
        for half: Int64 in 0...1 {
            guard let found = try firstFrame(inHalf: half), found.turn > turn else { continue }
            if let present = first, present.turn <= found.turn { continue }
            first = found
        }
        return first
    }

    /// The first frame that stands in a half, behind pages that were wiped.
    private func firstFrame(inHalf half: Int64) throws(LinuxError) -> Position? {
        for offset in stride(from: 0, to: halfBytes, by: Self.pageBytes) {
            let place = Position(turn: half, offset: offset)
            let start = try file.read(at: self.place(place), count: Head.bytes)
            if start.allSatisfy({ $0 == 0 }) { continue }
            let bytes = try file.read(
                at: self.place(place), count: min(halfBytes - offset, Self.headBytesMax))
            guard let (head, _) = head(in: bytes, at: 0, of: place), head.turn & 1 == half else {
                return nil
            }
            return Position(turn: head.turn, offset: offset)
        }
        return nil
    }

    /// Of a head and its tally that are looked for alone.
    private static let headBytesMax = 256 << 10

    /// Overwrites both halves with zeros. Nobody may append meanwhile, and the journal must have all that they hold.
    ///
    /// - Parameter syncing: whether the zeros are on disk when it returns.
    func wipe(syncing: Bool) throws(LinuxError) {
        try file.zero(from: Self.pageBytes, to: Self.pageBytes + 2 * halfBytes)
        if syncing { try file.syncData() }
    }
}
