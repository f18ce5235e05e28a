import CordonAudit
import CordonModel
import Crypto
import Glibc
import LinuxIO
import Merkle
import TestSupport
import Testing

@Suite struct `Changes of the signing key` {
    let log: LogFixture
    private let next = Ed25519PrivateKey.generate().key

    init() throws { log = try LogFixture() }

    /// Ten entries under the first key, five more under the next.
    private func change() throws {
        let opened = try log.open()
        try opened.append(LogFixture.entries(0..<10))
        try opened.introduce(next)
        try log.open(next).append(LogFixture.entries(10..<15))
    }

    @Test func `who trusts either key follows to the other, and finds the log sound`() throws {
        try change()
        for key in [log.key, next] {
            let found = try log.reader(key).verify()
            #expect(found.isSound, "\(found)")
            #expect(found.size == 15)
            let links = try log.reader(key).keyChain().links
            #expect(links.map(\.verifier.key) == [log.key.publicKey, next.publicKey])
            #expect(links.map(\.sizes) == [0...10, 10...Int.max])
            #expect(try log.reader(key).prove(3).checkpoint.size == 15)
        }
        let stranger = Ed25519PrivateKey.generate().key
        #expect(try !log.reader(stranger).verify().isCheckpointValid)
    }

    @Test func `a checkpoint of before is continued under the new key`() throws {
        let opened = try log.open()
        try opened.append(LogFixture.entries(0..<10))
        let kept = try File.read(log.path + "/checkpoint")
        try opened.introduce(next)
        try log.open(next).append(LogFixture.entries(10..<15))
        #expect(try log.reader(next).continuation(from: kept) == .continues(entriesThen: 10))
        #expect(try log.reader().continuation(from: kept) == .continues(entriesThen: 10))
    }

    @Test func `the old key signs nothing more, in no process`() throws {
        let (first, second) = (try log.open(), try log.open())
        try first.append(LogFixture.entries(0..<10))
        try second.append(LogFixture.entries(10..<12))
        try first.introduce(next)
        for opened in [first, second] {
            #expect(throws: AuditError.keyReplaced(path: log.path)) {
                try opened.append(LogFixture.entry(99))
            }
        }
        #expect(throws: AuditError.keyReplaced(path: log.path)) { _ = try log.open() }
        // What a thief of the old key signs beyond the change is no checkpoint.
        try log.open(next).append(LogFixture.entries(12..<20))
        let checkpoint = try log.reader(next).signedCheckpoint().checkpoint
        let forged = SignedNote(
            signing: checkpoint.text, with: NoteSigner(name: "eu-central/audit", key: log.key))
        #expect(try log.reader(next).continuation(from: forged.encoded) == .foreign)
        try File.write(log.path + "/checkpoint", forged.encoded)
        #expect(try !log.reader().verify().isCheckpointValid)
        #expect(try !log.reader(next).verify().isCheckpointValid)
    }

    @Test func `an introduction that was changed leads nowhere and is named`() throws {
        try change()
        let path = log.path + "/keys/1"
        let bytes = try File.read(path)
        for index in stride(from: 0, to: bytes.count, by: 11) {
            var changed = bytes
            changed[index] ^= 1
            try File.write(path, changed)
            #expect(KeyIntroduction(parsing: changed) == nil)
            #expect(try !log.reader().verify().isSound)
            #expect(try log.reader(next).verify().changed.contains("keys/1"))
        }
        try File.write(path, bytes)
        #expect(try log.reader().verify().isSound)
    }

    @Test func `who has the new key alone cannot rewrite what was before it`() throws {
        let opened = try log.open()
        try opened.append(LogFixture.entries(0..<10))
        let kept = try File.read(log.path + "/checkpoint")
        try opened.introduce(next)
        // Another history under the new key, longer than the old one, with the true introduction.
        let forged = try LogFixture()
        try forged.open(next).append(LogFixture.entries(100..<120))
        #expect(try forged.reader(next).verify().isSound)
        #expect(try !forged.reader(log.key).verify().isCheckpointValid)
        try Directory.create(forged.path + "/keys")
        try File.write(forged.path + "/keys/1", try File.read(log.path + "/keys/1"))
        for key in [log.key, next] {
            let found = try forged.reader(key).verify()
            #expect(found.changed.contains("keys/1") && !found.isSound)
            #expect(try forged.reader(key).continuation(from: kept) == .rewritten(entriesThen: 10))
        }
        #expect(throws: AuditError.introductionInvalid(path: forged.path + "/keys/1")) {
            _ = try forged.open(next)
        }
    }

    @Test func `a stranger's key does not put itself forward`() throws {
        try log.open().append(LogFixture.entries(0..<3))
        let before = try File.read(log.path + "/key.vkey")
        #expect(throws: AuditError.checkpointInvalid(path: log.path + "/checkpoint")) {
            _ = try log.open(next)
        }
        #expect(try File.read(log.path + "/key.vkey") == before)
    }

    @Test func `no more changes than are followed`() throws {
        let opened = try log.open()
        try Directory.create(log.path + "/keys")
        for number in 1...1000 { #expect(try File.create(log.path + "/keys/\(number)", [0x0A])) }
        #expect(throws: AuditError.introductionsFull(path: log.path + "/keys", max: 1000)) {
            try opened.introduce(next)
        }
    }

    @Test func `a certificate of before the change stays good, one of a key out of use does not`()
        throws
    {
        let opened = try log.open()
        try opened.append(LogFixture.entries(0..<10))
        let before = try certificate(opened, log.key)
        try opened.introduce(next)
        let after = try certificate(try log.open(next), next)
        for key in [log.key, next] {
            let chain = try log.reader(key).keyChain()
            for bytes in [before, after] {
                let checked = try ErasureCertificate.check(bytes, keys: [], chains: [chain])
                #expect(checked.region == "eu-central")
            }
        }
        // Signed by the old key over a longer log, as only a thief of it would.
        let stolen = try LogFixture()
        let forger = try stolen.open(log.key)
        try forger.append(LogFixture.entries(0..<30))
        let forged = try certificate(forger, log.key)
        let chain = try log.reader(next).keyChain()
        #expect(throws: ErasureCertificate.Refusal.notInLog) {
            _ = try ErasureCertificate.check(forged, keys: [], chains: [chain])
        }
    }

    /// Of an erasure that the log's last entry states.
    private func certificate(_ opened: AuditLog, _ key: Ed25519PrivateKey) throws -> [UInt8] {
        let time = Timestamp(microseconds: 0)
        let statement = ErasureStatement(
            region: "eu-central", request: "00", subject: "11", requestedAt: time, verifiedAt: time,
            counts: ["rows": 1], filesBefore: [:], filesAfter: [:], snapshotBefore: 1,
            snapshotAfter: 2, absence: ["files": 1, "traces": 0])
        let index = try opened.append(
            AuditEntry(
                at: time, kind: ErasureCertificate.entryKind, region: "eu-central",
                fields: [ErasureCertificate.entryField: .text(statement.digest)]))
        let signer = NoteSigner(name: "eu-central/audit", key: key)
        return ErasureCertificate(statement, signer: signer, proven: try opened.reader.prove(index))
            .encoded
    }

    @Test func `a change that is cut at any call is none, or is whole`() throws {
        for number in 1... {
            let log = try LogFixture()
            let opened = try log.open()
            try opened.append(LogFixture.entries(0..<3))
            let plan = FaultPlan(failing: number, with: .tornWrite(EIO), then: .everythingFails)
            _ = try? plan.run { try opened.introduce(next) }
            let after = log.reader(next)
            if try after.keyChain().links.count == 1 {
                let again = try log.open()
                try again.append(LogFixture.entry(3))
                try again.introduce(next)
            }
            try log.open(next).append(LogFixture.entry(4))
            #expect(try after.verify().isSound, "\(number)")
            #expect(try log.reader().verify().isSound, "\(number)")
            if !plan.hasStruck { break }
        }
    }

    @Test func `keys that follow one another three times are followed in both directions`() throws {
        let keys = [log.key] + (0..<3).map { _ in Ed25519PrivateKey.generate().key }
        for (position, pair) in zip(keys, keys.dropFirst()).enumerated() {
            let opened = try log.open(pair.0)
            try opened.append(LogFixture.entries(position * 5..<position * 5 + 5))
            try opened.introduce(pair.1)
        }
        try log.open(keys[3]).append(LogFixture.entries(15..<20))
        for key in keys {
            #expect(
                try log.reader(key).keyChain().links.map(\.verifier.key) == keys.map(\.publicKey))
            #expect(try log.reader(key).verify().isSound)
        }
    }
}
