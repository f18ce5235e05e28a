import Bytes
import CordonModel
import Crypto
import Foundation
import LinuxIO
import SQLite
import TestSupport
import Testing

@testable import CordonKeys

@Suite struct `A sealed value` {
    private let key = SubjectKey(SecureRandom.bytes(32))
    private let place = SealedPlace(region: "r1", column: .pagePath, parameter: nil, hit: 7)

    @Test(arguments: [
        "", "/", "/account/orders", String(repeating: "ä€", count: 300), "x\u{0}\u{0}",
    ])
    func `opens at its place under its key`(_ text: String) {
        let sealed = key.seal(text, at: place)
        #expect(SealableColumn.isSealed(sealed))
        #expect(key.open(sealed, at: place) == text)
    }

    @Test func `is another one each time, and tells lengths in steps of 32 bytes alone`() {
        #expect(key.seal("/a", at: place) != key.seal("/a", at: place))
        let lengths = Set(
            (0...31).map { key.seal(String(repeating: "x", count: $0), at: place).count })
        #expect(lengths.count == 1)
        #expect(key.seal(String(repeating: "x", count: 32), at: place).count > lengths.max()!)
    }

    @Test func `opens in no other row, column, parameter or region, and under no other key`() {
        let sealed = key.seal("/account", at: place)
        let parameter = SealedPlace(region: "r1", column: .parameters, parameter: "a", hit: 7)
        let others = [
            SealedPlace(region: "r1", column: .pagePath, parameter: nil, hit: 8),
            SealedPlace(region: "r1", column: .referrerHost, parameter: nil, hit: 7),
            SealedPlace(region: "r2", column: .pagePath, parameter: nil, hit: 7), parameter,
        ]
        for other in others { #expect(key.open(sealed, at: other) == nil) }
        let value = key.seal("1", at: parameter)
        #expect(
            key.open(
                value, at: SealedPlace(region: "r1", column: .parameters, parameter: "b", hit: 7))
                == nil)
        #expect(SubjectKey(SecureRandom.bytes(32)).open(sealed, at: place) == nil)
    }

    @Test func `that was changed in any character does not open`() {
        let sealed = Array(key.seal("/account", at: place))
        for index in sealed.indices {
            var changed = sealed
            changed[index] = changed[index] == "A" ? "B" : "A"
            #expect(key.open(String(changed), at: place) == nil, "\(index)")
        }
        for text in [
            "", "/plain", "sealed:1:", "sealed:1:AAAA", "sealed:2:" + String(sealed.dropFirst(9)),
        ] {
            #expect(key.open(text, at: place) == nil)
        }
    }

    @Test func `stands in every column that is sealed, and in no other`() {
        var record = HitRecord()
        record.hitID = 9
        record.site = "shop.example"
        record.pagePath = "/a"
        record.language = "de"
        record.parameters = [.init(key: "k", value: "v"), .init(key: "l", value: "w")]
        let plain = record
        let columns = SealedColumns(region: "r1", columns: [.pagePath, .parameters])
        columns.seal(&record, under: key)
        #expect(record.site == plain.site && record.language == plain.language)
        #expect(SealableColumn.isSealed(record.pagePath ?? ""))
        #expect(record.parameters.map(\.key) == ["k", "l"])
        #expect(record.parameters.allSatisfy { SealableColumn.isSealed($0.value) })
        // The values of two parameters have changed places.
        var moved = record
        moved.parameters[0].value = record.parameters[1].value
        moved.parameters[1].value = record.parameters[0].value
        #expect(columns.open(&moved, under: [key]) == 2)
        #expect(moved.parameters.isEmpty && moved.pagePath == plain.pagePath)
        let other = SubjectKey(SecureRandom.bytes(32))
        #expect(columns.open(&record, under: [other, key]) == 0)
        #expect(record == plain)
        // Who is tied to nobody has no key.
        columns.seal(&record, under: nil)
        #expect(record.pagePath == nil && record.parameters.isEmpty && record.language == "de")
    }
}

@Suite struct `The keys of a region's people` {
    private let directory: TemporaryDirectory
    private let keys: RegionKeys
    private static let day = Day(year: 2026, month: 11, day: 20)
    private let use = SubjectKeys.Use(day: day, retainUntil: day + 30)
    private let place = SealedPlace(region: "r1", column: .pagePath, parameter: nil, hit: 7)

    init() throws {
        directory = try TemporaryDirectory()
        keys = try RegionKeys.create(directory: directory.file("keys"), region: "r1")
        _ = try keys.pseudonymKey(.user, .month, Self.day, creating: true)
        _ = try keys.pseudonymKey(.visitor, .day, Self.day, creating: true)
    }

    private func owner(_ user: UInt128?, _ visitor: UInt128?) throws -> SubjectKeys.Owner {
        try #require(
            SubjectKeys.Owner(
                user: user.map { Pseudonym(value: $0) },
                visitor: visitor.map { Pseudonym(value: $0) }
            ))
    }

    private func sought(users: [UInt128] = [], visitors: [UInt128] = []) -> SubjectKeys.Sought {
        .init(
            SubjectFilter(
                users: Set(users.map { Pseudonym(value: $0) }),
                visitors: Set(visitors.map { Pseudonym(value: $0) })), keys)
    }

    @Test func `are made once, and found again by another process`() throws {
        #expect(try SubjectKeys.existing(keys) == nil)
        #expect(try !File.exists(SubjectKeys.path(in: keys.directory)))
        let pair = try owner(1, 2)
        let made = try SubjectKeys(creating: keys).keys(for: [pair: use])
        let sealed = try #require(made[pair]).seal("/a", at: place)
        let again = try #require(try SubjectKeys.existing(keys))
        #expect(try again.keys(for: [pair: use])[pair]?.open(sealed, at: place) == "/a")
        #expect(try again.keys(opening: pair).map { $0.open(sealed, at: place) } == ["/a"])
        #expect(try again.count() == 1)
        #expect(SubjectKeys.Owner(user: nil, visitor: nil) == nil)
    }

    @Test func `open hits of which one pseudonym is gone, and of nobody else`() throws {
        let store = try SubjectKeys(creating: keys)
        let pair = try owner(1, 2)
        let others = [try owner(1, 3), try owner(4, 2), try owner(5, 6), try owner(1, nil)]
        let made = try store.keys(
            for: Dictionary(uniqueKeysWithValues: ([pair] + others).map { ($0, use) }))
        let sealed = try #require(made[pair]).seal("/a", at: place)
        func opens(_ owner: SubjectKeys.Owner) throws -> Bool {
            try store.keys(opening: owner).contains { $0.open(sealed, at: place) == "/a" }
        }
        #expect(try opens(owner(1, nil)))
        #expect(try opens(owner(nil, 2)))
        #expect(try !opens(owner(5, nil)))
        #expect(try !opens(owner(2, 1)))
        #expect(try store.keys(opening: pair).first?.open(sealed, at: place) == "/a")
    }

    @Test
    func `of a user go with all visitors, and those of a visitor alone without the user's others`()
        throws
    {
        let store = try SubjectKeys(creating: keys)
        let owners = [
            try owner(1, 2), try owner(1, 3), try owner(4, 3), try owner(nil, 3), try owner(5, nil),
        ]
        _ = try store.keys(for: Dictionary(uniqueKeysWithValues: owners.map { ($0, use) }))
        #expect(try store.count(of: sought(users: [1], visitors: [3])) == 4)
        #expect(try store.destroy(sought(visitors: [3])) == 3)
        #expect(try store.keys(opening: owner(1, 2)).count == 1)
        #expect(try store.destroy(sought(users: [1])) == 1)
        #expect(try store.destroy(sought(users: [1])) == 0)
        #expect(try store.keys(opening: owner(1, 2)).isEmpty)
        #expect(try store.count() == 1)
    }

    @Test func `leave no byte behind when they are destroyed`() throws {
        let store = try SubjectKeys(creating: keys)
        let numbers = (0..<1500).map { UInt128($0 + 1) }
        _ = try store.keys(
            for: Dictionary(
                uniqueKeysWithValues: try numbers.map { (try owner($0, $0 + 10_000), use) }))
        let path = SubjectKeys.path(in: keys.directory)
        let rows = try Connection(path: path, mode: .readOnly).prepare(
            "SELECT user, wrapped FROM subject_keys")
        var wrapped: [[UInt8]: [UInt8]] = [:]
        while try rows.step() { wrapped[rows.bytes(0)] = rows.bytes(1) }
        rows.reset()
        let gone = numbers.filter { $0 % 3 == 0 }
        #expect(try store.destroy(sought(users: gone)) == gone.count)
        var patterns: [[UInt8]] = []
        for number in gone {
            let digests = SubjectKeys.digests(of: Pseudonym(value: number), keys)
            patterns += digests
            patterns += digests.compactMap { wrapped[$0] }
        }
        #expect(patterns.count == 3 * gone.count)
        let set = PatternSet(patterns)
        var found = 0
        for suffix in ["", "-wal"] where try File.exists(path + suffix) {
            let bytes = try File.read(path + suffix)
            if suffix == "-wal" { #expect(bytes.isEmpty) }
            set.forEachMatch(in: bytes.span) { _, _ in found += 1 }
        }
        #expect(found == 0)
        #expect(try store.count() == numbers.count - gone.count)
    }

    @Test func `are swept when the last hit is due, however early its first was`() throws {
        let store = try SubjectKeys(creating: keys)
        let (short, long) = (try owner(1, 2), try owner(1, 3))
        _ = try store.keys(for: [short: use, long: use])
        _ = try store.keys(for: [long: .init(day: Self.day, retainUntil: Self.day + 90)])
        _ = try store.keys(for: [long: use])
        #expect(try store.sweep(dueOn: Self.day + 29) == 0)
        var foreseen: [Int] = []
        #expect(try store.sweep(dueOn: Self.day + 30) { foreseen.append($0) } == 1)
        #expect(foreseen == [1])
        #expect(try store.keys(opening: short).count == 1, "the other pair of the user")
        #expect(try store.sweep(dueOn: Self.day + 90) == 1)
    }

    @Test func `are swept when no key is left that could have made either pseudonym`() throws {
        let store = try SubjectKeys(creating: keys)
        let owners = [try owner(1, 2), try owner(nil, 2), try owner(1, nil)]
        _ = try store.keys(for: Dictionary(uniqueKeysWithValues: owners.map { ($0, use) }))
        #expect(try store.sweep(dueOn: Self.day) == 0)
        #expect(
            try keys.destroy(
                .init(field: .visitor, period: .day, start: Self.day), on: Self.day + 1))
        #expect(try store.sweep(dueOn: Self.day) == 1)
        #expect(try store.keys(opening: owner(1, 2)).count == 2)
        let month = RegionKeys.Epoch(
            field: .user, period: .month, start: Day(year: 2026, month: 11, day: 1))
        #expect(try keys.destroy(month, on: Self.day + 40))
        #expect(try store.sweep(dueOn: Self.day) == 2)
    }

    @Test func `do not open in another row, and not without the key that wraps them`() throws {
        let store = try SubjectKeys(creating: keys)
        _ = try store.keys(for: [try owner(1, nil): use, try owner(2, nil): use])
        let path = SubjectKeys.path(in: keys.directory)
        let connection = try Connection(path: path)
        try connection.execute(
            "UPDATE subject_keys SET wrapped = (SELECT max(wrapped) FROM subject_keys)")
        #expect(throws: KeysError.wrappedDamaged(path: path)) {
            _ = try store.keys(opening: owner(1, nil))
            _ = try store.keys(opening: owner(2, nil))
        }
        let wrap = keys.directory + "/subject-wrap.key"
        try FileManager.default.removeItem(atPath: wrap)
        #expect(throws: KeysError.missing(path: wrap)) { _ = try SubjectKeys.existing(keys) }
    }

    @Test func `stay as they are when the master key changes`() throws {
        let pair = try owner(1, 2)
        let sealed = try #require(try SubjectKeys(creating: keys).keys(for: [pair: use])[pair])
            .seal("/a", at: place)
        let master = directory.file("master")
        try File.write(master, SecureRandom.bytes(32), mode: 0o600, sync: false)
        let source = try #require(MasterKeySource("file:" + master))
        #expect(try keys.wrap(by: source) == 5)
        #expect(try File.read(keys.directory + "/subject-wrap.key").count == 73)
        let opened = try #require(try SubjectKeys.existing(keys)).keys(opening: pair)
        #expect(opened.map { $0.open(sealed, at: place) } == ["/a"])
    }

    @Test func `are refused when others may read them or the file is another`() throws {
        let path = SubjectKeys.path(in: keys.directory)
        _ = try SubjectKeys(creating: keys)
        try File(opening: path, .readWrite).setPermissions(0o644)
        #expect(throws: KeysError.exposed(path: path, permissions: 0o644, isDirectory: false)) {
            _ = try SubjectKeys.existing(keys)
        }
        try FileManager.default.removeItem(atPath: path)
        try Connection(path: path).execute("CREATE TABLE other (a INTEGER)")
        #expect(throws: KeysError.foreignSubjectKeys(path: path)) {
            _ = try SubjectKeys.existing(keys)
        }
    }
}
