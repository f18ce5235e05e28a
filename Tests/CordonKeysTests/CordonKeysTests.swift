import Bytes
import CordonKeys
import CordonModel
import Crypto
import Glibc
import LinuxIO
import TestSupport
import Testing

@Suite struct `Region keys` {
    let directory: TemporaryDirectory
    let path: String
    let day = Day(year: 2026, month: 11, day: 25)

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.file("keys")
    }

    private func made() throws -> RegionKeys {
        try RegionKeys.create(directory: path, region: "eu-central")
    }

    @Test func `keys are made once and open the same ever after`() throws {
        let made = try made()
        let again = try self.made()
        let opened = try RegionKeys(opening: path, region: "eu-central")
        let message = Array("x".utf8)
        for keys in [again, opened] {
            #expect(keys.signingKey.publicKey == made.signingKey.publicKey)
            #expect(
                keys.subjectDigestKey.authenticate(message)
                    == made.subjectDigestKey.authenticate(message))
        }
        #expect(
            try Directory.list(path) == [
                "audit-signing.key", "keys.lock", "pseudonym", "region", "subject-digest.key",
            ])
        #expect(try File.metadata(path)?.permissions == 0o700)
        for name in ["audit-signing.key", "subject-digest.key", "keys.lock", "region"] {
            #expect(try File.metadata(path + "/" + name)?.permissions == 0o600)
        }
    }

    @Test func `an epoch has one key, and other epochs, fields and regions have others`() throws {
        let keys = try made()
        let other = try RegionKeys.create(directory: directory.file("other"), region: "us-east")
        #expect(try keys.pseudonymKey(.user, .month, day, creating: false) == nil)
        #expect(try File.exists(path + "/pseudonym/user-month-2026-11-01.key") == false)
        func pseudonym(_ keys: RegionKeys, _ period: KeyPeriod, _ day: Day) throws -> Pseudonym {
            let key = try #require(try keys.pseudonymKey(.user, period, day, creating: true))
            let id = Array("alice".utf8)
            return key.pseudonym(user: id.span)
        }
        let first = try pseudonym(keys, .month, day)
        #expect(try pseudonym(keys, .month, day) == first)
        #expect(try pseudonym(keys, .month, day + -24) == first)
        let others = [
            try pseudonym(keys, .month, day + 6), try pseudonym(keys, .day, day),
            try pseudonym(keys, .year, day), try pseudonym(keys, .week, day),
            try pseudonym(other, .month, day),
        ]
        #expect(Set(others + [first]).count == 6)
        #expect(
            try File.metadata(path + "/pseudonym/user-month-2026-11-01.key")?.permissions == 0o600)
    }

    @Test func `existing keys are listed by age, and a destroyed one is gone`() throws {
        let keys = try made()
        _ = try keys.pseudonymKey(.user, .month, day, creating: true)
        _ = try keys.pseudonymKey(.user, .week, day, creating: true)
        _ = try keys.pseudonymKey(.user, .year, day, creating: true)
        _ = try keys.pseudonymKey(.visitor, .day, day, creating: true)
        try File.write(path + "/pseudonym/notes.txt", [])
        try File.write(path + "/pseudonym/user-month-2026-11-02.key", [])
        let existing = try keys.existing(.user)
        #expect(existing.map(\.start.text) == ["2026-01-01", "2026-11-01", "2026-11-23"])
        #expect(existing.map(\.period) == [.year, .month, .week])
        #expect(try keys.existing(.visitor).map(\.start) == [day])
        #expect(try keys.epochs().count == 4)
        try File.remove(path + "/pseudonym/user-month-2026-11-01.key")
        #expect(try keys.existing(.user).count == 2)
        #expect(try keys.pseudonymKey(.user, .month, day, creating: false) == nil)
    }

    @Test func `many that ask for a new epoch at once get one key`() async throws {
        let keys = try made()
        let pseudonyms = try await withThrowingTaskGroup(of: Pseudonym.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    let id = Array("alice".utf8)
                    let key = try keys.pseudonymKey(.user, .day, day, creating: true)
                    return try #require(key).pseudonym(user: id.span)
                }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(pseudonyms.count == 1)
    }

    @Test func `keys that others can read are refused with the remedy`() throws {
        _ = try made()
        chmod(path + "/audit-signing.key", 0o640)
        var error = #expect(throws: KeysError.self) {
            _ = try RegionKeys(opening: path, region: "eu-central")
        }
        #expect(
            error?.description
                == "`\(path)/audit-signing.key` is open to others than its owner (mode 640): "
                + "run `chmod 600 \(path)/audit-signing.key`")
        chmod(path + "/audit-signing.key", 0o600)
        chmod(path, 0o755)
        error = #expect(throws: KeysError.self) {
            _ = try RegionKeys(opening: path, region: "eu-central")
        }
        #expect(error == .exposed(path: path, permissions: 0o755, isDirectory: true))
        chmod(path, 0o700)
        let keys = try RegionKeys(opening: path, region: "eu-central")
        _ = try keys.pseudonymKey(.user, .day, day, creating: true)
        chmod(path + "/pseudonym/user-day-2026-11-25.key", 0o604)
        #expect(throws: KeysError.self) {
            try keys.pseudonymKey(.user, .day, day, creating: true)
        }
    }

    @Test func `missing, damaged and foreign keys are told apart`() throws {
        #expect(throws: KeysError.missing(path: path)) {
            _ = try RegionKeys(opening: path, region: "eu-central")
        }
        _ = try made()
        #expect(
            throws: KeysError.otherRegion(path: path, expected: "us-east", found: "eu-central")
        ) {
            _ = try RegionKeys(opening: path, region: "us-east")
        }
        try File.write(path + "/subject-digest.key", [1, 2, 3])
        #expect(
            throws: KeysError.damaged(
                path: path + "/subject-digest.key", bytesExpected: 32, bytesFound: 3)
        ) {
            _ = try RegionKeys(opening: path, region: "eu-central")
        }
        try File.remove(path + "/subject-digest.key")
        #expect(throws: KeysError.missing(path: path + "/subject-digest.key")) {
            _ = try RegionKeys(opening: path, region: "eu-central")
        }
    }

    @Test func `making a key that is cut at any call leaves none or a whole one`() throws {
        let keys = try made()
        let file = path + "/pseudonym/user-day-2026-11-25.key"
        for number in 1... {
            try File.remove(file)
            let plan = FaultPlan(failing: number, with: .tornWrite(ENOSPC), then: .everythingFails)
            let made = try? plan.run {
                try keys.pseudonymKey(.user, .day, day, creating: true)
            }
            let size = try File.metadata(file)?.size
            #expect(size == nil || size == 32)
            let key = try keys.pseudonymKey(.user, .day, day, creating: true)
            if let made, let key {
                let id: [UInt8] = [1]
                #expect(made.pseudonym(user: id.span) == key.pseudonym(user: id.span))
            }
            _ = try keys.pseudonymKey(.visitor, .day, day + number, creating: true)
            #expect(try Directory.list(path + "/pseudonym").allSatisfy { !$0.hasPrefix(".") })
            if !plan.hasStruck { break }
        }
    }
}

@Suite struct `Pseudonyms` {
    private let secret = Array("a key of a test, any length will do".utf8)

    private func key(_ field: PseudonymField) -> PseudonymKey {
        PseudonymKey(
            field: field, period: .day, start: Day(number: 0), key: HMACKey(secret))
    }

    /// The definition, written out.
    private func expected(_ tag: String, _ pieces: [[UInt8]]) -> String {
        var message = Array(tag.utf8) + [0]
        for piece in pieces {
            message.append(bigEndian: UInt32(piece.count))
            message += piece
        }
        return String(HMACKey(secret).authenticate(message).hex.prefix(32))
    }

    @Test func `a user pseudonym is the keyed hash that the format page draws`() {
        for id in ["", "alice", "größe"] {
            let bytes = Array(id.utf8)
            #expect(key(.user).pseudonym(user: bytes.span).text == expected("user", [bytes]))
        }
    }

    @Test func `a visitor pseudonym binds address, user agent and site`() throws {
        let agent = Array("Mozilla/5.0".utf8)
        let site = Array("example.org".utf8)
        let address = try #require(IPAddress("203.0.113.9"))
        let pseudonym = key(.visitor).pseudonym(
            address: address, userAgent: agent.span, site: site.span)
        #expect(pseudonym.text == expected("visitor", [[203, 0, 113, 9], agent, site]))
        let mapped = try #require(IPAddress("::ffff:203.0.113.9"))
        #expect(
            key(.visitor).pseudonym(address: mapped, userAgent: agent.span, site: site.span)
                == pseudonym)
        let other = try #require(IPAddress("2001:db8::1"))
        let bytes: [UInt8] = [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
        #expect(
            key(.visitor).pseudonym(address: other, userAgent: agent.span, site: site.span).text
                == expected("visitor", [bytes, agent, site]))
    }

    @Test func `moving a byte from one piece to the next makes another pseudonym`() throws {
        let address = try #require(IPAddress("203.0.113.9"))
        let (first, second) = (Array("ab".utf8), Array("c".utf8))
        let (third, fourth) = (Array("a".utf8), Array("bc".utf8))
        #expect(
            key(.visitor).pseudonym(address: address, userAgent: first.span, site: second.span)
                != key(.visitor).pseudonym(
                    address: address, userAgent: third.span, site: fourth.span))
    }
}
