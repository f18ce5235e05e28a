package import CordonModel
package import Crypto
internal import LinuxIO

/// A region's keys on disk: one for each pseudonym field and epoch, one for digests of subjects, one that
/// signs the audit log.
///
/// Every key is 32 independent random bytes in a file of its own, so destroying a file destroys all
/// that could tie its pseudonyms to anyone. Folders have mode 0700 and files 0600; keys that others can
/// read are refused. Nothing here leaves the machine, and no key is ever replaced. Any number of threads
/// and processes may use one folder. `Docs/formats/keys.md` draws it.
package struct RegionKeys: Sendable {
    /// Absolute path of the folder.
    package let directory: String
    package let region: String
    /// Makes the digests by which suppression and requests know a subject; never changes.
    package let subjectDigestKey: HMACKey
    /// Signs the checkpoints of the audit log.
    package let signingKey: Ed25519PrivateKey

    package static let keyBytes = 32
    private static let subjectDigestName = "subject-digest.key"
    private static let signingName = "audit-signing.key"
    private static let regionName = "region"
    private static let lockName = "keys.lock"
    private static let keySuffix = ".key"

    /// Opens the keys of `region` in `directory`, checking who may read them.
    package init(opening directory: String, region: String) throws(KeysError) {
        self.directory = directory
        self.region = region
        guard try Self.system({ () throws(LinuxError) in try File.exists(directory) }) else {
            throw .missing(path: directory)
        }
        try Self.checkFolder(directory)
        try Self.checkFolder(Self.pseudonymDirectory(directory))
        let owner = String(
            decoding: try Self.contents(of: directory + "/" + Self.regionName) ?? [], as: UTF8.self)
        guard owner == region + "\n" else {
            throw .otherRegion(
                path: directory, expected: region,
                found: owner.split(separator: "\n").first.map(String.init) ?? "")
        }
        subjectDigestKey = try Self.withKey(directory + "/" + Self.subjectDigestName) {
            HMACKey($0)
        }
        signingKey = try Self.withKey(directory + "/" + Self.signingName) { seed in
            guard let key = try? Ed25519PrivateKey(seed: seed) else {
                preconditionFailure("the length was checked")
            }
            return key
        }
    }

    /// Makes the folder and the keys that every region has, as far as they are missing, and opens them.
    package static func create(
        directory: String, region: String
    ) throws(KeysError) -> RegionKeys {
        try system { () throws(LinuxError) in
            try Directory.create(directory)
            try Directory.create(pseudonymDirectory(directory))
        }
        try checkFolder(directory)
        try locked(directory) { () throws(KeysError) in
            try system { () throws(LinuxError) in
                _ = try File.create(directory + "/" + regionName, Array((region + "\n").utf8))
            }
            try createKey(directory + "/" + subjectDigestName)
            try createKey(directory + "/" + signingName)
        }
        return try RegionKeys(opening: directory, region: region)
    }
}

extension RegionKeys {
    /// By what the audit log and certificates name a request: 32 hexadecimal digits that say nothing in another region,
    /// although regions that are asked together share the request's id.
    package func requestDigest(_ id: String) -> String {
        let code = subjectDigestKey.authenticate(Array("request\u{0}\(id)".utf8))
        return String(code.hex.prefix(32))
    }

    /// The key of `field` for the epoch of `period` that contains `day`.
    ///
    /// - Parameter creating: whether to make it when it is missing; two processes that do so at the same time
    ///   get the same key. Only the edge creates; who looks for a subject must not bring keys into being.
    /// - Returns: nil when there is none and none was to be made.
    package func pseudonymKey(
        _ field: PseudonymField, _ period: KeyPeriod, _ day: Day, creating: Bool
    ) throws(KeysError) -> PseudonymKey? {
        let start = period.start(of: day)
        let path = path(field, period, start)
        if let key = try Self.pseudonymKey(at: path, field, period, start) { return key }
        guard creating else { return nil }
        try Self.locked(directory) { () throws(KeysError) in try Self.createKey(path) }
        guard let key = try Self.pseudonymKey(at: path, field, period, start) else {
            throw .missing(path: path)
        }
        return key
    }

    /// Every key of `field` that still exists, oldest epoch first.
    package func existing(_ field: PseudonymField) throws(KeysError) -> [PseudonymKey] {
        var keys: [PseudonymKey] = []
        for epoch in try epochs() where epoch.field == field {
            let path = path(epoch.field, epoch.period, epoch.start)
            // A key that went since the folder was listed no longer exists.
            if let key = try Self.pseudonymKey(at: path, field, epoch.period, epoch.start) {
                keys.append(key)
            }
        }
        return keys
    }

    /// What is known of a pseudonym key without opening it.
    package struct Epoch: Hashable, Sendable {
        package let field: PseudonymField
        package let period: KeyPeriod
        /// First day.
        package let start: Day

        package init(field: PseudonymField, period: KeyPeriod, start: Day) {
            self.field = field
            self.period = period
            self.start = start
        }
    }

    /// The epochs whose keys exist, by field, oldest first.
    package func epochs() throws(KeysError) -> [Epoch] {
        let names = try Self.system { () throws(LinuxError) in
            try Directory.list(Self.pseudonymDirectory(directory))
        }
        return names.compactMap(Self.epoch(name:)).sorted {
            ($0.field.rawValue, $0.start, $0.period.rawValue)
                < ($1.field.rawValue, $1.start, $1.period.rawValue)
        }
    }

    private func path(_ field: PseudonymField, _ period: KeyPeriod, _ start: Day) -> String {
        let name = "\(field.text)-\(period.text)-\(start.text)\(Self.keySuffix)"
        return Self.pseudonymDirectory(directory) + "/" + name
    }

    private static func epoch(name: String) -> Epoch? {
        guard name.hasSuffix(keySuffix) else { return nil }
        let parts = name.dropLast(keySuffix.count).split(separator: "-", maxSplits: 2)
        guard parts.count == 3, let field = PseudonymField(text: parts[0]),
            let period = KeyPeriod(text: parts[1]), let start = Day(parts[2]),
            period.start(of: start) == start
        else { return nil }
        return Epoch(field: field, period: period, start: start)
    }
}

// Files.
extension RegionKeys {
    private static func pseudonymDirectory(_ directory: String) -> String {
        directory + "/pseudonym"
    }

    private static func pseudonymKey(
        at path: String, _ field: PseudonymField, _ period: KeyPeriod, _ start: Day
    ) throws(KeysError) -> PseudonymKey? {
        guard var bytes = try contents(of: path) else { return nil }
        defer { Secret.wipe(&bytes) }
        try checkLength(bytes, path)
        return PseudonymKey(field: field, period: period, start: start, key: HMACKey(bytes))
    }

    private static func withKey<Key>(
        _ path: String, _ make: ([UInt8]) -> Key
    ) throws(KeysError) -> Key {
        guard var bytes = try contents(of: path) else { throw .missing(path: path) }
        defer { Secret.wipe(&bytes) }
        try checkLength(bytes, path)
        return make(bytes)
    }

    private static func checkLength(_ bytes: [UInt8], _ path: String) throws(KeysError) {
        guard bytes.count == keyBytes else {
            throw .damaged(path: path, bytesExpected: keyBytes, bytesFound: bytes.count)
        }
    }

    /// The file's content after a look at who else could have read it; nil when it is missing.
    private static func contents(of path: String) throws(KeysError) -> [UInt8]? {
        let permissions: UInt32
        do throws(LinuxError) {
            let file = try File(opening: path, [.read, .noFollow])
            permissions = try file.metadata().permissions
            if permissions & othersMask == 0 { return try file.readToEnd() }
        } catch {
            if error.isMissing { return nil }
            throw .system(error)
        }
        throw .exposed(path: path, permissions: permissions, isDirectory: false)
    }

    private static func checkFolder(_ path: String) throws(KeysError) {
        let metadata = try system { () throws(LinuxError) in try File.metadata(path) }
        guard let metadata else { throw .missing(path: path) }
        guard metadata.permissions & othersMask == 0 else {
            throw .exposed(path: path, permissions: metadata.permissions, isDirectory: true)
        }
    }

    /// Permission bits of the group and of all others.
    private static let othersMask: UInt32 = 0o077

    /// Makes a key file unless there is one. The name appears when the content is on disk, so a reader
    /// never meets half a key, and of two writers one wins.
    private static func createKey(_ path: String) throws(KeysError) {
        var bytes = SecureRandom.bytes(keyBytes)
        defer { Secret.wipe(&bytes) }
        do throws(LinuxError) { _ = try File.create(path, bytes) } catch { throw .system(error) }
    }

    /// Runs `body` while no other process makes keys here, after removing what a process that died in it
    /// left behind: an unfinished file holds key bytes too.
    private static func locked(
        _ directory: String, _ body: () throws(KeysError) -> Void
    ) throws(KeysError) {
        let lock = try lock(directory)
        try body()
        _ = consume lock
    }

    private static func lock(_ directory: String) throws(KeysError) -> FileLock {
        do throws(LinuxError) {
            let lock = try FileLock(waitingFor: directory + "/" + lockName)
            try Directory.removeTemporaryFiles(in: directory)
            try Directory.removeTemporaryFiles(in: pseudonymDirectory(directory))
            return lock
        } catch { throw .system(error) }
    }

    private static func system<Result>(
        _ body: () throws(LinuxError) -> Result
    ) throws(KeysError) -> Result {
        do throws(LinuxError) { return try body() } catch { throw .system(error) }
    }
}
