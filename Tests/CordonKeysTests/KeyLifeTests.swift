import Bytes
import CordonKeys
import CordonModel
import Crypto
import Glibc
import LinuxIO
import TestSupport
import Testing

/// Rotation, destruction and the master key.
@Suite struct `The life of keys` {
    let directory: TemporaryDirectory
    let path: String
    let keys: RegionKeys
    let day = Day(year: 2026, month: 11, day: 25)

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.file("keys")
        keys = try RegionKeys.create(directory: path, region: "eu-central")
    }

    private func pseudonym(_ keys: RegionKeys, _ day: Day) throws -> Pseudonym? {
        let id = Array("alice".utf8)
        return try keys.pseudonymKey(.user, .month, day, creating: false)?.pseudonym(user: id.span)
    }

    @Test func `a rotated epoch goes on with another key, and both find the person`() throws {
        let first = try #require(try keys.pseudonymKey(.user, .month, day, creating: true))
        #expect(try keys.rotate(.user, .month, day).generation == 1)
        #expect(try keys.rotate(.user, .month, day).generation == 2)
        let second = try #require(try keys.pseudonymKey(.user, .month, day, creating: true))
        #expect(second.generation == 2)
        #expect(second.fingerprint != first.fingerprint)
        #expect(try keys.existing(.user).map(\.generation) == [0, 1, 2])
        #expect(
            try keys.existing(.user).map(\.epoch.periodText) == ["month", "month.1", "month.2"])
        for epoch in try keys.epochs() {
            #expect(RegionKeys.period(epoch.periodText)?.generation == epoch.generation)
        }
        for text in ["month.0", "month.01", "month.", "month.1.1", "decade", ""] {
            #expect(RegionKeys.period(text) == nil, "\(text)")
        }
    }

    @Test func `a key in use is not destroyed, and a destroyed one is gone with its bytes`() throws
    {
        _ = try keys.pseudonymKey(.user, .month, day, creating: true)
        let first = try #require(try keys.epochs().first)
        #expect(throws: KeysError.inUse(epoch: first.text)) { try keys.destroy(first, on: day) }
        _ = try keys.rotate(.user, .month, day)
        let file = path + "/pseudonym/user-month-2026-11-01.key"
        // A second name keeps hold of what the file held.
        #expect(link(file, directory.file("kept")) == 0)
        #expect(try keys.destroy(first, on: day))
        #expect(try !keys.destroy(first, on: day))
        #expect(try File.read(directory.file("kept")) == [UInt8](repeating: 0, count: 32))
        #expect(try keys.existing(.user).map(\.generation) == [1])
        let last = try #require(try keys.epochs().first)
        #expect(try !keys.isInUse(last, on: Day(year: 2026, month: 12, day: 1)))
        #expect(try keys.destroy(last, on: Day(year: 2026, month: 12, day: 1)))
        #expect(try keys.pseudonymKey(.user, .month, day, creating: false) == nil)
    }

    @Test func `a destruction that is cut at any call leaves the key, or none`() throws {
        let before = Day(year: 2026, month: 10, day: 1)
        for number in 1... {
            let made = try #require(try keys.pseudonymKey(.user, .month, before, creating: true))
            let plan = FaultPlan(failing: number, with: .tornWrite(ENOSPC), then: .everythingFails)
            _ = try? plan.run { try keys.destroy(made.epoch, on: day) }
            let left = try keys.open(made.epoch)
            #expect(left == nil || left?.fingerprint == made.fingerprint)
            _ = try keys.pseudonymKey(.visitor, .day, day + number, creating: true)
            #expect(try Directory.list(path + "/pseudonym").allSatisfy { !$0.hasPrefix(".") })
            if !plan.hasStruck { break }
        }
    }

    @Test func `a key that signs is read once, and not to see whether it is there`() throws {
        func opened(_ body: () throws -> Ed25519PrivateKey?) rethrows -> Int {
            let plan = FaultPlan(failing: .max, with: .error(EIO), among: [.open])
            _ = try plan.run(body)
            return plan.callCount
        }
        #expect(try opened { try keys.witnessKey(creating: false) } == 0)
        let witness = try #require(try keys.witnessKey(creating: true)).publicKey
        let next = try keys.nextSigningKey().publicKey
        #expect(try opened { try keys.witnessKey(creating: true) } == 1)
        #expect(try opened { try keys.witnessKey(creating: false) } == 1)
        #expect(try opened { try keys.nextSigningKey() } == 1)
        #expect(try keys.witnessKey(creating: false)?.publicKey == witness)
        #expect(try keys.nextSigningKey().publicKey == next)
    }

    @Test func `a change of the signing key that is cut at any call is gone on with`() throws {
        let nextPath = path + "/audit-signing.next.key"
        var present = keys.signingKey.publicKey
        for number in 1... {
            let next = try keys.nextSigningKey().publicKey
            #expect(try keys.nextSigningKey().publicKey == next)
            let plan = FaultPlan(failing: number, with: .tornWrite(ENOSPC), then: .everythingFails)
            _ = try? plan.run { try keys.adoptNextSigningKey(next) }
            let after = try RegionKeys(opening: path, region: "eu-central").signingKey.publicKey
            #expect(after == present || after == next)
            if try File.exists(nextPath) {
                #expect(try keys.nextSigningKey().publicKey == next)
                // Another key than the log knows is not taken.
                try keys.adoptNextSigningKey(present)
                #expect(try File.exists(nextPath))
                try keys.adoptNextSigningKey(next)
            }
            present = try RegionKeys(opening: path, region: "eu-central").signingKey.publicKey
            #expect(present == next, "\(number)")
            #expect(try !File.exists(nextPath))
            if !plan.hasStruck { break }
        }
    }

    @Test func `the signing key that is replaced is overwritten, and the next one is wrapped too`()
        throws
    {
        let master = directory.file("master")
        try File.write(master, [UInt8](repeating: 7, count: 32))
        #expect(link(path + "/audit-signing.key", directory.file("kept")) == 0)
        let next = try keys.nextSigningKey().publicKey
        try keys.wrap(by: MasterKeySource("file:\(master)"))
        #expect(try keys.nextSigningKey().publicKey == next)
        try keys.adoptNextSigningKey(next)
        #expect(try File.read(directory.file("kept")) == [UInt8](repeating: 0, count: 32))
        let after = try RegionKeys(opening: path, region: "eu-central")
        #expect(after.signingKey.publicKey == next)
        #expect(try after.protection(of: .signing) != .plain)
    }

    @Test func `zeros are never taken for a key`() throws {
        _ = try keys.pseudonymKey(.user, .month, day, creating: true)
        let file = path + "/pseudonym/user-month-2026-11-01.key"
        for count in [32, 73] {
            try File.write(file, [UInt8](repeating: 0, count: count))
            #expect(throws: KeysError.zeroed(path: file)) {
                try keys.pseudonymKey(.user, .month, day, creating: true)
            }
        }
    }

    // MARK: The master key

    private func source(_ name: String, _ content: String) throws -> MasterKeySource {
        let file = directory.file(name)
        try File.write(file, Array(content.utf8))
        return try #require(MasterKeySource("file:\(file)"))
    }

    private static let hex = String(repeating: "0f", count: 32)

    @Test func `wrapped keys are the same keys, and nothing plain is left of them`() throws {
        _ = try keys.pseudonymKey(.user, .month, day, creating: true)
        let (before, signer) = (try pseudonym(keys, day), keys.signingKey.publicKey)
        let plain = try File.read(path + "/audit-signing.key")
        #expect(link(path + "/audit-signing.key", directory.file("kept")) == 0)
        #expect(try keys.wrap(by: source("m", Self.hex + "\n")) == 3)
        #expect(try File.read(directory.file("kept")) == [UInt8](repeating: 0, count: 32))
        // A key that is made by who opened them before is wrapped as well.
        _ = try keys.pseudonymKey(.visitor, .day, day, creating: true)
        for key in [RegionKeys.LastingKey.signing, .subjectDigest] {
            #expect(try keys.protection(of: key) != .plain)
        }
        #expect(try keys.protection(of: .witness) == nil)
        // Each key is told by its own file.
        try File.write(path + "/witness.key", [UInt8](repeating: 9, count: 32))
        #expect(try keys.protection(of: .witness) == .plain)
        try File.remove(path + "/witness.key")
        for epoch in try keys.epochs() {
            guard case .wrapped = try keys.protection(of: epoch) else {
                Issue.record("a key lies there as it is")
                continue
            }
        }
        let opened = try RegionKeys(opening: path, region: "eu-central")
        #expect(opened.signingKey.publicKey == signer)
        #expect(try pseudonym(opened, day) == before)
        let wrapped = try File.read(path + "/audit-signing.key")
        let pieces = (0...wrapped.count - 32).map { Array(wrapped[$0..<$0 + 32]) }
        #expect(!pieces.contains(plain))

        // From one master key to another, and back to none.
        let command = try #require(MasterKeySource("command:printf %064d 7"))
        #expect(try keys.wrap(by: command) == 4)
        #expect(try pseudonym(RegionKeys(opening: path, region: "eu-central"), day) == before)
        #expect(try keys.wrap(by: nil) == 4)
        #expect(try File.read(path + "/audit-signing.key") == plain)
        #expect(try keys.masterSource() == nil)
    }

    @Test func `a lost, wrong or unfit master key is said with what it means`() throws {
        try keys.wrap(by: source("m", Self.hex))
        // Behind the same name this process has another key in memory: so the name goes, not the file.
        try File.write(path + "/master", Array("file:\(directory.file("gone"))\n".utf8))
        var error = #expect(throws: KeysError.self) {
            _ = try RegionKeys(opening: path, region: "eu-central")
        }
        #expect(error?.description.contains("Without it no key of the region opens") == true)
        let other = try source("other", String(repeating: "f0", count: 32))
        try File.write(path + "/master", Array("\(other.text)\n".utf8))
        error = #expect(throws: KeysError.self) {
            _ = try RegionKeys(opening: path, region: "eu-central")
        }
        #expect(error?.description.contains("is another: bring back that key") == true)
        for (text, reason) in [
            ("env:CORDON_TEST_NO_SUCH_VARIABLE", "not set"), ("command:exit 3", "status 3"),
            ("command:echo short", "of another form"), ("file:/nonexistent/key", "nonexistent"),
        ] {
            let source = try #require(MasterKeySource(text))
            let error = #expect(throws: KeysError.self) { try keys.wrap(by: source) }
            #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
        }
        chmod(directory.file("other"), 0o644)
        let exposed = #expect(throws: KeysError.self) { try keys.wrap(by: other) }
        #expect(exposed?.description.contains("chmod 600") == true)
        let inside = try #require(MasterKeySource("file:\(path)/m"))
        #expect(throws: KeysError.masterInside(path: path + "/m")) { try keys.wrap(by: inside) }
        for text in ["", "file:relative", "env:", "vault:x", "env:A=B", "command:a\nb"] {
            #expect(MasterKeySource(text) == nil, "\(text)")
        }
    }

    @Test func `a source that cannot be had is no lost key while nothing is wrapped by it`() throws
    {
        let missing = try #require(MasterKeySource("env:CORDON_TEST_NO_SUCH_VARIABLE"))
        let unfit = KeysError.masterUnfit(source: missing.text, reason: "the variable is not set")
        #expect(throws: unfit) { try keys.check(missing) }
        #expect(throws: unfit) { try keys.wrap(by: missing) }
        #expect(!unfit.description.contains("no key of the region opens"))
        #expect(try keys.masterSource() == nil)
        let first = try source("m", Self.hex)
        try keys.check(first)
        #expect(try keys.masterSource() == nil)
        try keys.wrap(by: first)
        #expect(throws: unfit) { try keys.wrap(by: missing) }
        // The one that wraps them is another matter.
        try File.remove(directory.file("m"))
        let lost = #expect(throws: KeysError.self) { try keys.wrap(by: first) }
        #expect(lost?.description.contains("no key of the region opens") == true)
    }

    @Test func `a master key lies outside of the folder, by whatever name it is reached`() throws {
        let folder = path
        try File.write(folder + "/pseudonym/m", Array(Self.hex.utf8))
        #expect(symlink(folder, directory.file("linked")) == 0)
        #expect(symlink(folder + "/pseudonym/m", directory.file("m")) == 0)
        #expect(symlink(directory.file("elsewhere"), folder + "/out") == 0)
        try File.write(directory.file("elsewhere"), Array(Self.hex.utf8))
        for name in [
            folder + "/pseudonym/m", folder + "/./pseudonym/m", folder + "//pseudonym//m",
            folder + "/../keys/pseudonym/m", directory.file("linked/pseudonym/m"),
            directory.file("linked/missing"), directory.file("m"), folder + "/out",
        ] {
            let inside = try #require(MasterKeySource("file:\(name)"))
            #expect(throws: KeysError.masterInside(path: name)) { try keys.wrap(by: inside) }
        }
        for name in ["elsewhere", "./elsewhere", "linked/../elsewhere"] {
            try keys.check(#require(MasterKeySource("file:\(directory.file(name))")))
        }
    }

    @Test func `32 characters are a key in a file alone`() throws {
        let text = String(repeating: "0f", count: 16)
        setenv("CORDON_TEST_SHORT_KEY", text, 1)
        setenv("CORDON_TEST_LONG_KEY", text + text, 1)
        for short in ["env:CORDON_TEST_SHORT_KEY", "command:printf \(text)"] {
            let source = try #require(MasterKeySource(short))
            let error = #expect(throws: KeysError.self) { try keys.wrap(by: source) }
            #expect(
                error?.description.contains("expected 64 hexadecimal digits or the base64") == true)
            #expect(error?.description.contains("openssl rand -hex 32") == true)
        }
        try keys.check(#require(MasterKeySource("env:CORDON_TEST_LONG_KEY")))
        try keys.wrap(by: source("m", text))
    }

    @Test func `a wrapped key opens in its own place alone, and no bit of it can be changed`()
        throws
    {
        _ = try keys.pseudonymKey(.user, .month, day, creating: true)
        try keys.wrap(by: source("m", Self.hex))
        let name = path + "/pseudonym/user-month-2026-11-01.key"
        let right = try File.read(name)
        try File.write(path + "/pseudonym/user-year-2026-01-01.key", right)
        #expect(
            throws: KeysError.wrappedDamaged(path: path + "/pseudonym/user-year-2026-01-01.key")
        ) {
            try keys.pseudonymKey(.user, .year, day, creating: false)
        }
        for index in right.indices {
            var changed = right
            changed[index] ^= 1
            try File.write(name, changed)
            #expect(throws: KeysError.self) {
                try keys.pseudonymKey(.user, .month, day, creating: true)
            }
        }
    }

    @Test func `wrapping that is cut at any call can be repeated`() throws {
        _ = try keys.pseudonymKey(.user, .month, day, creating: true)
        let before = try pseudonym(keys, day)
        var sources = [
            try source("a", Self.hex), try source("b", String(repeating: "aa", count: 32)),
        ]
        for number in 1... {
            sources.swapAt(0, 1)
            let plan = FaultPlan(failing: number, with: .tornWrite(ENOSPC), then: .everythingFails)
            _ = try? plan.run { try keys.wrap(by: sources[0]) }
            let opened = try RegionKeys(opening: path, region: "eu-central")
            #expect(opened.signingKey.publicKey == keys.signingKey.publicKey)
            #expect(try pseudonym(opened, day) == before)
            #expect(try keys.wrap(by: sources[0]) == 3)
            #expect(try pseudonym(opened, day) == before)
            if !plan.hasStruck { break }
        }
    }
}

@Suite struct `AES-256-GCM` {
    /// Test case 16 of the GCM specification (McGrew and Viega), AES-256 with additional data.
    @Test func `agrees with the published vector`() throws {
        func bytes(_ text: String) throws -> [UInt8] { try #require(Bytes.bytes(hex: text)) }
        let key = try bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
        let nonce = try bytes("cafebabefacedbaddecaf888")
        let plain = try bytes(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
        let context = try bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2")
        let sealed = AES256GCM.seal(plain, key: key, nonce: nonce, authenticating: context)
        #expect(
            Bytes.hex(sealed)
                == "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                + "76fc6ece0f4e1768cddf8853bb2d551b")
        #expect(
            AES256GCM.open(sealed, key: key, nonce: nonce, authenticating: context) == plain)
        #expect(AES256GCM.open(sealed, key: key, nonce: nonce, authenticating: []) == nil)
        #expect(AES256GCM.open([1], key: key, nonce: nonce, authenticating: context) == nil)
    }
}
