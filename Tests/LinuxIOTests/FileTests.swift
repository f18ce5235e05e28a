import Glibc
import LinuxIO
import TestSupport
import Testing

@Suite struct `Files` {
    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    @Test func `what was written is read back, replaced whole and private`() throws {
        let path = directory.file("a")
        #expect(try File.readIfPresent(path) == nil)
        try File.write(path, Array("one".utf8))
        #expect(try File.read(path) == Array("one".utf8))
        let large = [UInt8](repeating: 7, count: 300_000)
        try File.write(path, large, sync: false)
        #expect(try File.read(path) == large)
        #expect(try File.metadata(path)?.permissions == 0o600)
        #expect(try File.metadata(path)?.size == 300_000)
        try File.write(path, [])
        #expect(try File.read(path) == [])
        #expect(try Directory.list(directory.path) == ["a"])
    }

    @Test func `creating keeps the first content`() throws {
        let path = directory.file("a")
        #expect(try File.create(path, [1]))
        #expect(try !File.create(path, [2]))
        #expect(try File.read(path) == [1])
        #expect(try Directory.list(directory.path) == ["a"])
    }

    @Test func `of many that create one file exactly one wins and all see its content`()
        async throws
    {
        let path = directory.file("a")
        let outcomes = try await withThrowingTaskGroup(of: (UInt8, Bool, [UInt8]).self) { group in
            for number in UInt8(0)..<16 {
                group.addTask {
                    let won = try File.create(path, [UInt8](repeating: number, count: 5000))
                    return (number, won, try File.read(path))
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let winners = outcomes.filter(\.1)
        #expect(winners.count == 1)
        for outcome in outcomes {
            #expect(outcome.2 == [UInt8](repeating: winners[0].0, count: 5000))
        }
    }

    @Test func `appending, reading at an offset, overwriting and cutting`() throws {
        let path = directory.file("a")
        try File.append(path, Array("hello ".utf8))
        try File.append(path, Array("world".utf8), sync: false)
        let file = try File(opening: path, .readWrite)
        #expect(try file.read(at: 6, count: 100) == Array("world".utf8))
        #expect(try file.read(at: 100, count: 5) == [])
        try file.write(Array("W".utf8), at: 6)
        try file.truncate(to: 8)
        try file.sync()
        try file.syncData()
        #expect(try file.readToEnd() == Array("hello Wo".utf8))
    }

    @Test func `an error names operation, path and number`() throws {
        let error = #expect(throws: LinuxError.self) {
            try File.read(directory.file("missing"))
        }
        #expect(error?.operation == .open)
        #expect(error?.isMissing == true)
        #expect(
            error?.description
                == "cannot open `\(directory.file("missing"))`: no such file or directory")
        #expect(try !File.remove(directory.file("missing")))
        #expect(try File.metadata("/dev/null/x") == nil)
        #expect(throws: LinuxError.self) { try Directory.list(directory.file("missing")) }
    }

    @Test func `files of unknown size are read to their end`() throws {
        #expect(try !File.read("/proc/self/status").isEmpty)
    }

    @Test func `paths split into folder and name`() {
        #expect(File.parent(of: "/a/b") == "/a")
        #expect(File.parent(of: "/a") == "/")
        #expect(File.parent(of: "a") == ".")
        #expect(File.name(of: "/a/b") == "b")
        #expect(File.name(of: "b") == "b")
    }

    @Test func `folders are made with those above them, listed in order and removed`() throws {
        let path = directory.file("x/y/z")
        try Directory.create(path)
        try Directory.create(path)
        #expect(try File.metadata(path)?.permissions == 0o700)
        try File.write(path + "/b", [])
        try File.write(path + "/a", [])
        try File.write(path + "/.a.1-1.cordon-tmp", [])
        try Directory.removeTemporaryFiles(in: path)
        #expect(try Directory.list(path) == ["a", "b"])
        #expect(throws: LinuxError.self) { try Directory.create(path + "/a") }
        #expect(throws: LinuxError.self) { try Directory.removeEmpty(path) }
        try Directory.sync(path)
        try Directory.create(path + "/e")
        try Directory.removeEmpty(path + "/e")
        #expect(try !File.exists(path + "/e"))
    }

    @Test func `a lock keeps others out until it goes`() throws {
        let path = directory.file("lock")
        func isFree(_ kind: FileLock.Kind) throws -> Bool {
            let lock = try FileLock(trying: path, kind)
            return lock != nil
        }
        do {
            let held = try FileLock(waitingFor: path)
            #expect(try !isFree(.exclusive))
            #expect(try !isFree(.shared))
            _ = consume held
        }
        do {
            let held = try FileLock(waitingFor: path, .shared)
            #expect(try isFree(.shared))
            #expect(try !isFree(.exclusive))
            _ = consume held
        }
        #expect(try isFree(.exclusive))
    }

    @Test func `a mapped file shows the content it had when it was opened`() throws {
        let path = directory.file("a")
        let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        try File.write(path, content)
        let mapped = try MappedFile(path)
        try File.write(path, [1])
        #expect(mapped.count == 100_000)
        #expect(Array(mapped.unsafeBytes) == content)
        #expect(mapped.bytes.unsafeLoad(fromByteOffset: 77, as: UInt8.self) == 77)
        try File.write(path, [])
        let empty = try MappedFile(path)
        #expect(empty.bytes.byteCount == 0)
        #expect(throws: LinuxError.self) { _ = try MappedFile(directory.path) }
        #expect(throws: LinuxError.self) { _ = try MappedFile(directory.file("missing")) }
    }
}

@Suite struct `Fault plans` {
    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    @Test func `a replacement cut at any call leaves the old content or the new`() throws {
        let old = [UInt8](repeating: 1, count: 1000)
        let new = [UInt8](repeating: 2, count: 2000)
        for fault in [FaultPlan.Fault.error(EIO), .error(ENOSPC), .tornWrite(ENOSPC)] {
            for aftermath in [FaultPlan.Aftermath.everythingWorks, .everythingFails] {
                var number = 0
                while true {
                    number += 1
                    let path = directory.file("a")
                    try File.write(path, old)
                    let plan = FaultPlan(failing: number, with: fault, then: aftermath)
                    let failed =
                        (try? plan.run { try File.write(path, new) })
                        == nil
                    let found = try File.read(path)
                    #expect(found == old || found == new)
                    if !failed { #expect(found == new) }
                    if aftermath == .everythingWorks {
                        #expect(try Directory.list(directory.path) == ["a"])
                    } else {
                        try Directory.removeTemporaryFiles(in: directory.path)
                    }
                    if !plan.hasStruck { break }
                }
                #expect(number > 5)
            }
        }
    }

    @Test func `a short write goes on until all is written`() throws {
        let content = (0..<999).map { UInt8(truncatingIfNeeded: $0) }
        let plan = FaultPlan(failing: 1, with: .shortWrite, among: [.write])
        try plan.run { try File.write(directory.file("a"), content) }
        #expect(plan.hasStruck)
        #expect(try File.read(directory.file("a")) == content)
    }

    @Test func `a torn write leaves half and fails`() throws {
        let plan = FaultPlan(failing: 1, with: .tornWrite(ENOSPC), among: [.write])
        let error = #expect(throws: LinuxError.self) {
            try plan.run { try File.append(directory.file("a"), [1, 2, 3, 4]) }
        }
        #expect(error?.isFull == true)
        #expect(try File.read(directory.file("a")) == [1, 2])
    }

    @Test func `a plan is felt by its own task alone`() async throws {
        let plan = FaultPlan(failing: 1, with: .error(EIO), then: .everythingFails)
        let path = directory.file("a")
        try await plan.run {
            try await Task.detached { try File.write(path, [1]) }.value
        }
        #expect(!plan.hasStruck)
        #expect(plan.callCount == 0)
    }
}
