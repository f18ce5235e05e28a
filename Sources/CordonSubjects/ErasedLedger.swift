internal import Bytes
package import CordonKeys
package import CordonModel
internal import Crypto
internal import LinuxIO

/// Who was erased in a region, so that nobody comes back with a backup, an import or a delivery that is done again.
///
/// One file that only grows: a digest under the region's key for each user id and each pseudonym that an erasure covered. It names
/// no one, and only who has the key and a row before him can tell that the row is of somebody who was erased. Copies of it, kept where a
/// restore does not reach, are merged into it. `Docs/formats/keys.md` draws it.
package struct ErasedLedger: Sendable {
    private let path: String
    private let key: HMACKey

    private static let magic = Array("CORDON ERASED 1\n".utf8)
    private static let recordBytes = 32
    private static let checkedBytes = 24

    /// - Parameter path: of the file, which need not be there.
    package init(path: String, keys: RegionKeys) {
        self.path = path
        key = keys.subjectDigestKey
    }

    /// What a record is about; the numbers stand in the file.
    enum Kind: UInt8, Sendable {
        case person = 0
        case user = 1
        case visitor = 2

        init(_ field: PseudonymField) { self = field == .user ? .user : .visitor }
    }

    /// One record.
    struct Entry: Hashable, Sendable {
        let kind: Kind
        let digest: UInt128
    }

    /// All of a ledger in memory: 17 bytes a record, and no file behind it.
    package struct Contents: Sendable {
        let key: HMACKey
        var entries: Set<Entry> = []

        package var isEmpty: Bool { entries.isEmpty }
        package var count: Int { entries.count }
        /// Digests of user ids as the suppression list has them.
        package var people: Set<UInt128> {
            Set(entries.lazy.filter { $0.kind == .person }.map(\.digest))
        }

        /// Digests of the pseudonyms.
        var pseudonyms: [(PseudonymField, UInt128)] {
            entries.compactMap { entry in
                switch entry.kind {
                case .person: nil
                case .user: (.user, entry.digest)
                case .visitor: (.visitor, entry.digest)
                }
            }
        }

        /// Whether the pseudonym is of somebody who was erased.
        package func contains(_ pseudonym: Pseudonym, _ field: PseudonymField) -> Bool {
            entries.contains(
                Entry(kind: Kind(field), digest: ErasedLedger.digest(pseudonym, field, key)))
        }

        /// Whether the hit is of somebody who was erased.
        package func contains(_ record: HitRecord) -> Bool {
            if entries.isEmpty { return false }
            if let user = record.user, contains(user, .user) { return true }
            if let visitor = record.visitor, contains(visitor, .visitor) { return true }
            return false
        }
    }

    fileprivate static func digest(
        _ pseudonym: Pseudonym, _ field: PseudonymField, _ key: HMACKey
    ) -> UInt128 {
        RegionKeys.erasedDigest(pseudonym, field, key)
    }

    /// What the ledger has now.
    package func contents() throws -> Contents {
        guard try File.exists(path) else { return Contents(key: key) }
        return try read(path).contents
    }

    /// Reads a ledger of this region. A record that was cut at the end of the file was never promised to anybody.
    private func read(_ path: String) throws -> (contents: Contents, wholeBytes: Int) {
        let bytes = try File.read(path)
        guard bytes.count >= Self.magic.count, bytes.starts(with: Self.magic) else {
            throw SubjectError.foreignLedger(path: path)
        }
        var contents = Contents(key: key)
        let whole = (bytes.count - Self.magic.count) / Self.recordBytes
        for number in 0..<whole {
            let start = Self.magic.count + number * Self.recordBytes
            let record = Array(bytes[start..<start + Self.recordBytes])
            guard let kind = Kind(rawValue: record[0]),
                check(record) == Array(record[Self.checkedBytes...])
            else {
                throw SubjectError.damagedLedger(path: path, record: number + 1)
            }
            let digest = record[8..<Self.checkedBytes].reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
            contents.entries.insert(Entry(kind: kind, digest: digest))
        }
        return (contents, Self.magic.count + whole * Self.recordBytes)
    }

    /// Eight bytes that nobody makes without the region's key: a ledger of another region is told by them.
    private func check(_ record: [UInt8]) -> [UInt8] {
        var code = key.begin()
        code.update(Array("\u{0}erased-record\u{0}".utf8))
        code.update(Array(record[..<Self.checkedBytes]))
        return Array(code.finalize().bytes.prefix(Self.recordBytes - Self.checkedBytes))
    }

    /// Adds people and pseudonyms that are not in it yet; they are on disk when this returns. Only for who holds the region's
    /// request lock.
    package func add(
        people: [SubjectDigest], pseudonyms: [Subject.EpochPseudonym], on day: Day
    ) throws {
        try add(
            people.map { Entry(kind: .person, digest: $0.suppressed) }
                + pseudonyms.map {
                    Entry(
                        kind: Kind($0.field), digest: Self.digest($0.pseudonym, $0.field, key))
                }, on: day)
    }

    /// Adds what a copy of this region's ledger has and this one has not.
    ///
    /// - Returns: how many records were missing.
    package func merge(_ copy: String, on day: Day) throws -> Int {
        try add(Array(read(copy).contents.entries), on: day)
    }

    /// - Returns: how many were not in it yet.
    @discardableResult
    private func add(_ entries: [Entry], on day: Day) throws -> Int {
        var known: Set<Entry> = []
        if try File.exists(path) {
            let (contents, wholeBytes) = try read(path)
            known = contents.entries
            let file = try File(opening: path, .readWrite)
            if Int(try file.metadata().size) > wholeBytes { try file.truncate(to: wholeBytes) }
        } else {
            try Directory.create(File.parent(of: path))
            try File.write(path, Self.magic, mode: 0o600, sync: true)
        }
        var bytes: [UInt8] = []
        for entry in entries where known.insert(entry).inserted {
            var record: [UInt8] = [entry.kind.rawValue, 0, 0, 0]
            record.append(bigEndian: UInt32(bitPattern: day.number))
            record.append(bigEndian: entry.digest)
            bytes += record + check(record)
        }
        if !bytes.isEmpty { try File.append(path, bytes, mode: 0o600, sync: true) }
        return bytes.count / Self.recordBytes
    }
}

extension ErasedLedger: RestingWriter {
    /// Keyed digests.
    package static let rests = [Rest(.erasedLedger, [])]
}
