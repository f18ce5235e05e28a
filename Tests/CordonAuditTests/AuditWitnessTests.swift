import CordonAudit
import CordonModel
import Crypto
import Glibc
import LinuxIO
import Merkle
import TestSupport
import Testing

@Suite struct `Heads kept beside a log` {
    let log: LogFixture
    init() throws { log = try LogFixture() }

    private var head: String { log.path + ".head" }

    /// A copy of the log's folder, to put back later.
    private func copy() throws -> String {
        let copy = log.directory.file("copy")
        _ = try log.reader().copy { path, bytes in
            let file = copy + "/" + path
            try Directory.create(File.parent(of: file))
            try File.write(file, bytes)
        }
        return copy
    }

    @Test func `a log folder that was put back is refused at opening, and says what to do`() throws
    {
        try log.open().append(LogFixture.entries(0..<10))
        let old = try copy()
        try log.open().append(LogFixture.entries(10..<300))
        try FileMover.replace(log.path, by: old)
        let refused = AuditError.rolledBack(
            path: log.path + "/checkpoint", keptPath: head, signedSize: 300, foundSize: 10)
        #expect(throws: refused) { _ = try log.open() }
        #expect(refused.description.contains("Restore the folder that has all 300 entries"))
        // Reading it is not refused, and by itself it is sound.
        #expect(try log.reader().verify().isSound)
        let kept = try #require(try log.reader().keptHead())
        #expect(
            try log.reader().continuation(from: kept.bytes)
                == .wentBack(entriesThen: 300, entriesNow: 10))
    }

    @Test func `a log folder that is gone is not begun anew`() throws {
        try log.open().append(LogFixture.entries(0..<3))
        try File.rename(log.path, to: log.path + ".gone")
        #expect(throws: AuditError.self) { _ = try log.open() }
        try Directory.create(log.path)
        #expect(throws: AuditError.self) { _ = try log.open() }
    }

    @Test func `another history that is longer is refused as well`() throws {
        try log.open().append(LogFixture.entries(0..<300))
        let forged = try LogFixture()
        try forged.open(log.key).append(LogFixture.entries(1..<700))
        try FileMover.replace(log.path, by: forged.path)
        #expect(
            throws: AuditError.rolledBack(
                path: log.path + "/checkpoint", keptPath: head, signedSize: 300, foundSize: 699)
        ) { _ = try log.open() }
    }

    @Test func `a head that is missing or behind is caught up, and a damaged one is not believed`()
        throws
    {
        try log.open().append(LogFixture.entries(0..<10))
        let behind = try File.read(head)
        try log.open().append(LogFixture.entries(10..<20))
        let present = try File.read(head)
        #expect(present == (try File.read(log.path + "/checkpoint")))
        try File.write(head, behind)
        _ = try log.open()
        #expect(try File.read(head) == present)
        try File.remove(head)
        _ = try log.open()
        #expect(try File.read(head) == present)
        try File.write(head, Array("nonsense".utf8))
        #expect(throws: AuditError.keptInvalid(path: head)) { _ = try log.open() }
    }
}

@Suite struct `Witnesses` {
    let log: LogFixture
    let witness: AuditWitness
    private let now = Timestamp(microseconds: 1_700_000_000_000_000)

    init() throws {
        log = try LogFixture()
        witness = AuditWitness(
            directory: log.directory.file("witness"), region: "us-east",
            key: Ed25519PrivateKey.generate().key)
    }

    @discardableResult
    private func submit() throws -> AuditWitness.Answer {
        try log.reader().submit(to: witness, at: now)
    }

    @Test func `a log that grows is cosigned each time, and both sides keep it`() throws {
        let opened = try log.open()
        for count in [0, 1, 2, 254, 0, 300] {
            if count > 0 { try opened.append(LogFixture.entries(0..<count)) }
            guard case .cosigned = try submit() else {
                Issue.record("not cosigned at \(opened.size)")
                return
            }
            let seen = try #require(try witness.last(of: log.reader()))
            #expect(seen.checkpoint.size == opened.size)
            #expect(seen.seconds == 1_700_000_000)
            let own = try #require(
                try log.reader().cosigned(by: witness.verifier, of: "us-east"))
            #expect(own.note == seen.note)
            try log.reader().require(seen)
        }
        // What a witness added is no part of the tree.
        #expect(try log.reader().verify().isSound)
    }

    @Test func `a log that went back or has another history is not cosigned, whoever asks`() throws
    {
        let opened = try log.open()
        try opened.append(LogFixture.entries(0..<10))
        try submit()
        let forged = try LogFixture()
        let other = try forged.open(log.key)
        let reader = forged.reader(log.key)
        try other.append(LogFixture.entries(1..<5))
        #expect(try reader.submit(to: witness, at: now) == .conflict(size: 10))
        try other.append(LogFixture.entries(1..<7))
        #expect(try reader.submit(to: witness, at: now) == .conflict(size: 10))
        try other.append(LogFixture.entries(1..<700))
        #expect(try reader.submit(to: witness, at: now) == .inconsistent)
        let seen = try #require(try witness.last(of: reader))
        #expect(seen.checkpoint.size == 10)
        let refused = #expect(throws: AuditError.self) { try reader.require(seen) }
        #expect(refused?.description.contains("witness/eu-central") == true)
        // The true log goes on.
        try opened.append(LogFixture.entries(10..<20))
        guard case .cosigned = try submit() else {
            Issue.record("the true log is not cosigned")
            return
        }
    }

    @Test func `requests that are wrong are answered as the specification says`() throws {
        try log.open().append(LogFixture.entries(0..<10))
        let reader = log.reader()
        let (note, checkpoint) = try reader.signedCheckpoint()
        func answer(
            _ request: WitnessRequest, _ logs: [AuditReader]
        ) throws -> AuditWitness.Answer { try witness.answer(request, of: logs, at: now) }
        func isCosigned(_ request: WitnessRequest) throws -> Bool {
            guard case .cosigned = try answer(request, [reader]) else { return false }
            return true
        }
        let right = WitnessRequest(oldSize: 0, proof: [], note: note)
        #expect(try answer(right, []) == .unknownLog)
        let stranger = NoteSigner(
            name: reader.origin, key: Ed25519PrivateKey.generate().key)
        let forged = SignedNote(signing: checkpoint.text, with: stranger)
        #expect(
            try answer(WitnessRequest(oldSize: 0, proof: [], note: forged), [reader]) == .notSigned)
        let words = SignedNote(
            signing: "words\n", with: NoteSigner(name: reader.origin, key: log.key))
        #expect(
            try answer(WitnessRequest(oldSize: 0, proof: [], note: words), [reader]) == .malformed)
        #expect(
            try answer(WitnessRequest(oldSize: 11, proof: [], note: note), [reader]) == .malformed)
        #expect(
            try answer(WitnessRequest(oldSize: 3, proof: [], note: note), [reader])
                == .conflict(size: 0))
        let hash = SHA256.digest([1])
        #expect(
            try answer(WitnessRequest(oldSize: 0, proof: [hash], note: note), [reader])
                == .inconsistent)
        #expect(try witness.last(of: reader) == nil)
        #expect(try isCosigned(right))
        #expect(try answer(right, [reader]) == .conflict(size: 10))
        #expect(try isCosigned(WitnessRequest(oldSize: 10, proof: [], note: note)))
    }

    @Test func `the time of a cosignature does not go back with the clock`() throws {
        try log.open().append(LogFixture.entry(1))
        try submit()
        _ = try log.reader().submit(to: witness, at: Timestamp(microseconds: 5_000_000))
        #expect(try witness.last(of: log.reader())?.seconds == 1_700_000_000)
    }

    @Test func `what a witness keeps is not believed when it was changed`() throws {
        try log.open().append(LogFixture.entries(0..<3))
        try submit()
        let path = log.directory.file("witness/eu-central")
        var bytes = try File.read(path)
        bytes[bytes.count - 10] ^= 1
        try File.write(path, bytes)
        #expect(throws: AuditError.keptInvalid(path: path)) { try witness.last(of: log.reader()) }
        #expect(throws: AuditError.keptInvalid(path: path)) { try submit() }
    }

    @Test func `a witness that fails at any call has cosigned nothing that it does not keep`()
        throws
    {
        let opened = try log.open()
        for number in 1... {
            try opened.append(LogFixture.entry(number))
            let plan = FaultPlan(failing: number, with: .error(EIO), then: .everythingFails)
            let answer = try? plan.run { try submit() }
            if case .cosigned = answer {
                #expect(try witness.last(of: log.reader())?.checkpoint.size == opened.size)
            }
            guard case .cosigned = try submit() else {
                Issue.record("not cosigned after fault \(number)")
                return
            }
            if !plan.hasStruck { break }
        }
    }
}
