import Bytes
import CordonAudit
import CordonModel
import Crypto
import Glibc
import LinuxIO
import Merkle
import TestSupport
import Testing

/// One log in a folder of its own.
struct LogFixture {
    let directory: TemporaryDirectory
    let key = Ed25519PrivateKey.generate().key
    var path: String { directory.file("audit") }

    init() throws { directory = try TemporaryDirectory() }

    /// - Parameter key: another than the log's own.
    func open(_ key: Ed25519PrivateKey? = nil) throws -> AuditLog {
        try AuditLog(directory: path, region: "eu-central", key: key ?? self.key)
    }

    /// - Parameter key: another than the log's own.
    func reader(_ key: Ed25519PrivateKey? = nil) -> AuditReader {
        AuditReader(directory: path, region: "eu-central", key: (key ?? self.key).publicKey)
    }

    static func entry(_ number: Int, kind: String = "note") -> AuditEntry {
        AuditEntry(
            at: Timestamp(microseconds: Int64(number) * 1_000_000), kind: kind,
            region: "eu-central", fields: ["number": .integer(number)])
    }

    static func entries(_ range: Range<Int>) -> [AuditEntry] { range.map { entry($0) } }

    /// Replaces the bytes of a file of the log.
    func edit(_ name: String, _ change: (inout [UInt8]) -> Void) throws {
        var bytes = try File.read(path + "/" + name)
        change(&bytes)
        try File.write(path + "/" + name, bytes)
    }
}

@Suite struct `Audit logs` {
    let log: LogFixture
    init() throws { log = try LogFixture() }

    /// The root by the definition of RFC 6962, from the entries themselves.
    private func naiveRoot(_ entries: ArraySlice<[UInt8]>) -> [UInt8] {
        if entries.isEmpty { return SHA256.hash([]) }
        if entries.count == 1 { return SHA256.hash([0] + entries[entries.startIndex]) }
        var power = 1
        while power * 2 < entries.count { power *= 2 }
        let middle = entries.startIndex + power
        return SHA256.hash([1] + naiveRoot(entries[..<middle]) + naiveRoot(entries[middle...]))
    }

    @Test func `a new log is empty, signed and sound`() throws {
        let opened = try log.open()
        #expect(opened.size == 0)
        let found = try log.reader().verify()
        #expect(found.isSound)
        #expect(found.size == 0)
        #expect(found.root == TreeHash.empty.hex)
        #expect(try log.reader().entries() == [])
        let key = String(decoding: try File.read(log.path + "/key.vkey"), as: UTF8.self)
        #expect(key == log.reader().verifierKey + "\n")
        #expect(key.hasPrefix("eu-central/audit+"))
    }

    @Test func `entries come back in order with the root of the definition`() throws {
        var size = 0
        for count in [1, 1, 3, 250, 1, 1, 255, 256, 1, 300] {
            let opened = try log.open()
            let range = try opened.append(LogFixture.entries(size..<size + count))
            #expect(range == size..<size + count)
            size += count
        }
        let stored = try log.reader().entries()
        #expect(stored.map(\.index) == Array(0..<size))
        #expect(stored.map(\.entry) == LogFixture.entries(0..<size))
        let found = try log.reader().verify()
        #expect(found.isSound)
        #expect(found.size == size)
        #expect(found.root == Bytes.hex(naiveRoot(stored.map(\.entry.encoded)[...])))
    }

    @Test func `one entry at a time crosses tiles, and partial tiles go when full`() throws {
        let opened = try log.open()
        for number in 0..<258 {
            #expect(try opened.append(LogFixture.entry(number)) == number)
            if number % 50 == 0 { #expect(try log.reader().verify().isSound) }
        }
        #expect(try log.reader().verify().isSound)
        #expect(try Directory.list(log.path + "/tile/0") == ["000", "001.p"])
        #expect(try Directory.list(log.path + "/tile/0/001.p") == ["1", "2"])
        #expect(try Directory.list(log.path + "/tile/entries") == ["000", "001.p"])
        #expect(try Directory.list(log.path + "/tile/1/000.p") == ["1"])
        #expect(try File.metadata(log.path + "/tile/0/000")?.size == 8192)
    }

    @Test func `the last entries that match a filter are found`() throws {
        let opened = try log.open()
        let analyst = Principal(role: "analyst", purpose: "p", place: "DE")
        let entries = (0..<600).map { (number: Int) -> AuditEntry in
            AuditEntry(
                at: Timestamp(microseconds: Int64(number)),
                kind: number % 2 == 0 ? "even" : "odd", region: "eu-central",
                principal: number % 3 == 0 ? analyst : nil)
        }
        try opened.append(entries)
        func indices(_ filter: AuditReader.Filter, limit: Int = .max) throws -> [Int] {
            try log.reader().entries(matching: filter, limit: limit).map(\.index)
        }
        #expect(try indices(.init(), limit: 3) == [597, 598, 599])
        #expect(try indices(.init(kind: "even"), limit: 2) == [596, 598])
        #expect(try indices(.init(role: "analyst"), limit: 2) == [594, 597])
        #expect(
            try indices(
                .init(
                    kind: "odd", role: "analyst", since: Timestamp(microseconds: 9),
                    until: Timestamp(microseconds: 21))) == [9, 15])
        #expect(try indices(.init(kind: "none")) == [])
        #expect(try indices(.init(), limit: 0) == [])
    }

    @Test func `threads that append at once are each told their own places`() async throws {
        let opened = try log.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    for number in 0..<25 {
                        let name = writer * 1000 + number * 2
                        let places = try opened.append(LogFixture.entries(name..<name + 2))
                        let stored = try log.reader().entries().filter {
                            places.contains($0.index)
                        }
                        #expect(stored.map(\.entry) == LogFixture.entries(name..<name + 2))
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(opened.size == 200)
        #expect(try log.reader().verify().isSound)
    }

    @Test func `several writers of one folder take turns`() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    // Each has its own view, as another process has.
                    let opened = try log.open()
                    for number in 0..<25 {
                        try opened.append(LogFixture.entry(writer * 1000 + number))
                    }
                }
            }
            try await group.waitForAll()
        }
        let found = try log.reader().verify()
        #expect(found.isSound)
        #expect(found.size == 100)
        let numbers = try log.reader().entries().map(\.entry)
        #expect(Set(numbers.map { $0.at.microseconds / 1_000_000 }).count == 100)
    }

    @Test func `an append cut at any call loses nothing that was promised`() throws {
        for start in [3, 254] {
            for (fault, aftermath) in [
                (FaultPlan.Fault.error(EIO), FaultPlan.Aftermath.everythingWorks),
                (.tornWrite(ENOSPC), .everythingFails),
            ] {
                for number in 1... {
                    let log = try LogFixture()
                    let opened = try log.open()
                    try opened.append(LogFixture.entries(0..<start))
                    let plan = FaultPlan(failing: number, with: fault, then: aftermath)
                    let indices = try? plan.run {
                        try opened.append(LogFixture.entries(start..<start + 3))
                    }
                    // A reader that comes first sees the old tree or the new one, never a torn one.
                    let between = try log.reader().verify()
                    #expect(between.isSound, "\(start) \(number) \(between)")
                    #expect(between.size == start || between.size == start + 3)
                    if indices != nil { #expect(between.size == start + 3) }
                    // The same process goes on, or another one takes over.
                    let next = number % 2 == 0 ? opened : try log.open()
                    try next.append(LogFixture.entry(7777))
                    let found = try log.reader().verify()
                    #expect(found.isSound, "\(start) \(number) \(found)")
                    #expect(found.unpublished == [])
                    #expect(found.size == between.size + 1)
                    if !plan.hasStruck { break }
                }
            }
        }
    }

    @Test func `a second process cuts what the first one left when it died`() throws {
        let (first, second) = (try log.open(), try log.open())
        try first.append(LogFixture.entries(0..<5))
        let plan = FaultPlan(
            failing: 4, with: .tornWrite(EIO), then: .everythingFails, among: [.write])
        _ = try? plan.run { try first.append(LogFixture.entries(5..<600)) }
        #expect(plan.hasStruck)
        #expect(try !log.reader().verify().unpublished.isEmpty)
        try second.append(LogFixture.entries(5..<12))
        let found = try log.reader().verify()
        #expect(found.isSound)
        #expect(found.unpublished == [])
        #expect(found.size == 12)
    }

    @Test func `a log that went back is not signed again`() throws {
        let opened = try log.open()
        try opened.append(LogFixture.entries(0..<10))
        let old = try File.read(log.path + "/checkpoint")
        try opened.append(LogFixture.entries(10..<20))
        try File.write(log.path + "/checkpoint", old)
        let error = #expect(throws: AuditError.self) { try opened.append(LogFixture.entry(20)) }
        #expect(
            error == .wentBack(path: log.path + "/checkpoint", signedSize: 20, foundSize: 10))
    }

    @Test func `another history under the same key is not signed again`() throws {
        let opened = try log.open()
        try opened.append(LogFixture.entries(0..<300))
        let forged = try LogFixture()
        let other = try AuditLog(directory: forged.path, region: "eu-central", key: log.key)
        try other.append(LogFixture.entries(1..<500))
        try FileMover.replace(log.path, by: forged.path)
        #expect(throws: AuditError.self) { try opened.append(LogFixture.entry(20)) }
    }

    @Test func `a damaged right edge is refused at opening`() throws {
        try log.open().append(LogFixture.entries(0..<300))
        let partial = log.path + "/tile/0/001.p/44"
        let bytes = try File.read(partial)
        try log.edit("tile/0/001.p/44") { $0[0] ^= 1 }
        #expect(throws: AuditError.self) { _ = try log.open() }
        try File.remove(partial)
        #expect(throws: AuditError.self) { _ = try log.open() }
        try File.write(partial, bytes)
        try log.edit("tile/entries/001.p/44") { $0[10] ^= 1 }
        #expect(throws: AuditError.self) { _ = try log.open() }
        try log.edit("tile/entries/001.p/44") { $0[10] ^= 1 }
        _ = try log.open()
        try log.edit("checkpoint") { $0[$0.count - 10] ^= 1 }
        #expect(throws: AuditError.checkpointInvalid(path: log.path + "/checkpoint")) {
            _ = try log.open()
        }
        try File.remove(log.path + "/checkpoint")
        #expect(throws: AuditError.checkpointMissing(path: log.path + "/checkpoint")) {
            _ = try log.open()
        }
    }

    @Test func `entries too large or of another region are refused and not recorded`() throws {
        let opened = try log.open()
        let large = AuditEntry(
            at: Timestamp(microseconds: 0), kind: "a", region: "eu-central",
            fields: ["text": .text(String(repeating: "x", count: 70_000))])
        #expect(throws: AuditError.self) { try opened.append([LogFixture.entry(1), large]) }
        let foreign = AuditEntry(at: Timestamp(microseconds: 0), kind: "a", region: "us-east")
        #expect(throws: AuditError.otherRegion(expected: "eu-central", found: "us-east")) {
            try opened.append(foreign)
        }
        #expect(opened.size == 0)
        #expect(try opened.append([]) == 0..<0)
        #expect(try log.reader().verify().isSound)
    }
}

enum FileMover {
    /// Moves the folder `other` to where `path` was.
    static func replace(_ path: String, by other: String) throws {
        try File.rename(path, to: path + ".old")
        try File.rename(other, to: path)
    }
}
