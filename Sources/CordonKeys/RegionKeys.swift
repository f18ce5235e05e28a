package import CordonModel
package import Crypto
internal import LinuxIO

/// A region's keys on disk: one for each pseudonym field and epoch, one for digests of subjects, one that
/// signs the audit log.
///
/// Every key is 32 independent random bytes in a file of its own, so destroying a file destroys all
/// that could tie its pseudonyms to anyone. Folders have mode 0700 and files 0600; keys that others can
/// read are refused. Where a master key is named, files hold keys wrapped by it. Nothing here leaves the machine, and no
/// key is ever replaced: a rotated epoch gets a further one. Any number of threads and processes may use one folder. `Docs/formats/keys.md` draws it.
package struct RegionKeys: Sendable {
    /// Absolute path of the folder.
    package let directory: String
    package let region: String
    /// Makes the digests by which suppression and requests know a subject; never changes.
    package let subjectDigestKey: HMACKey
    /// Signs the checkpoints of the audit log.
    package let signingKey: Ed25519PrivateKey

    package static let keyBytes = 32
    static let subjectDigestName = "subject-digest.key"
    static let signingName = "audit-signing.key"
    /// What follows ``signingName``, while a change of the key is under way.
    static let nextSigningName = "audit-signing.next.key"
    static let witnessName = "witness.key"
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
        subjectDigestKey = try Self.withKey(Self.subjectDigestName, directory, region) {
            HMACKey($0)
        }
        signingKey = try Self.signer(Self.signingName, directory, region)
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
            try createKey(subjectDigestName, directory, region)
            try createKey(signingName, directory, region)
        }
        return try RegionKeys(opening: directory, region: region)
    }
}

extension RegionKeys {
    /// The key by which the region witnesses other regions' audit logs; nil when there is none and none was to be made.
    package func witnessKey(creating: Bool) throws(KeysError) -> Ed25519PrivateKey? {
        if creating { return try makeSigner(Self.witnessName) }
        return try hasKey(Self.witnessName) ? signer(Self.witnessName) : nil
    }

    /// The signing key in the file `name`, made when there is none.
    func makeSigner(_ name: String) throws(KeysError) -> Ed25519PrivateKey {
        if try !hasKey(name) { try locked { () throws(KeysError) in try createKey(name) } }
        return try signer(name)
    }

    /// Whether there is a key file `name`. What is in it is not read: a secret that is not wanted would lie in memory unwiped.
    private func hasKey(_ name: String) throws(KeysError) -> Bool {
        try Self.system { () throws(LinuxError) in try File.exists(directory + "/" + name) }
    }

    /// The signing key in the file `name`.
    func signer(_ name: String) throws(KeysError) -> Ed25519PrivateKey {
        try Self.signer(name, directory, region)
    }

    private static func signer(
        _ name: String, _ directory: String, _ region: String
    ) throws(KeysError) -> Ed25519PrivateKey {
        try withKey(name, directory, region) { seed in
            guard let key = try? Ed25519PrivateKey(seed: seed) else {
                preconditionFailure("the length was checked")
            }
            return key
        }
    }

    /// By what the audit log and certificates name a request: 32 hexadecimal digits that say nothing in another region,
    /// although regions that are asked together share the request's id.
    package func requestDigest(_ id: String) -> String {
        let code = subjectDigestKey.authenticate(Array("request\u{0}\(id)".utf8))
        return String(code.hex.prefix(32))
    }

    /// The key of `field` for the epoch of `period` that contains `day`: the last one, where it was rotated.
    ///
    /// - Parameter creating: whether to make it when it is missing; two processes that do so at the same time
    ///   get the same key. Only the edge creates; who looks for a subject must not bring keys into being.
    /// - Returns: nil when there is none and none was to be made.
    package func pseudonymKey(
        _ field: PseudonymField, _ period: KeyPeriod, _ day: Day, creating: Bool
    ) throws(KeysError) -> PseudonymKey? {
        let first = Epoch(field: field, period: period, start: period.start(of: day))
        // One that is destroyed between the look and the opening no longer exists; the next look finds what does.
        if let last = try last(first), let key = try open(last) { return key }
        guard creating else { return nil }
        try locked { () throws(KeysError) in
            if try last(first) == nil { try createKey(name(first)) }
        }
        guard let last = try last(first), let key = try open(last) else {
            throw .missing(path: directory + "/" + name(first))
        }
        return key
    }

    /// The last key of an epoch, by generation; nil when there is none.
    func last(_ first: Epoch) throws(KeysError) -> Epoch? {
        try epochs().last {
            $0.field == first.field && $0.period == first.period && $0.start == first.start
        }
    }

    /// Opens the key of an epoch; nil when it does not exist.
    package func open(_ epoch: Epoch) throws(KeysError) -> PseudonymKey? {
        guard var bytes = try Self.key(name(epoch), directory, region) else { return nil }
        defer { Secret.wipe(&bytes) }
        return PseudonymKey(
            field: epoch.field, period: epoch.period, start: epoch.start,
            generation: epoch.generation, key: HMACKey(bytes))
    }

    /// Every key of `field` that still exists, oldest epoch first.
    package func existing(_ field: PseudonymField) throws(KeysError) -> [PseudonymKey] {
        var keys: [PseudonymKey] = []
        for epoch in try epochs() where epoch.field == field {
            // A key that went since the folder was listed no longer exists.
            if let key = try open(epoch) { keys.append(key) }
        }
        return keys
    }

    /// What is known of a pseudonym key without opening it.
    package struct Epoch: Hashable, Sendable {
        package let field: PseudonymField
        package let period: KeyPeriod
        /// First day.
        package let start: Day
        /// 0 for the epoch's first key, one more for each rotation.
        package let generation: Int

        package init(
            field: PseudonymField, period: KeyPeriod, start: Day, generation: Int = 0
        ) {
            self.field = field
            self.period = period
            self.start = start
            self.generation = generation
        }

        /// The period and, behind a full stop, the generation where it is not the first.
        package var periodText: String {
            generation == 0 ? period.text : "\(period.text).\(generation)"
        }

        /// What people call it.
        package var text: String {
            "key \(field.text) of the \(period.text) from \(start.text)"
                + (generation == 0 ? "" : ", rotation \(generation)")
        }

        /// The first day after it.
        package var end: Day {
            var day = start
            while period.start(of: day) == start { day = day + 1 }
            return day
        }
    }

    /// Reads ``Epoch/periodText``.
    package static func period(_ text: String) -> (period: KeyPeriod, generation: Int)? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard let period = KeyPeriod(text: parts[0]), parts.count <= 2 else { return nil }
        guard parts.count == 2 else { return (period, 0) }
        guard let generation = Int(parts[1]), generation > 0, String(generation) == parts[1] else {
            return nil
        }
        return (period, generation)
    }

    /// The epochs whose keys exist, by field, oldest first.
    package func epochs() throws(KeysError) -> [Epoch] {
        let names = try Self.system { () throws(LinuxError) in
            try Directory.list(Self.pseudonymDirectory(directory))
        }
        return names.compactMap(Self.epoch(name:)).sorted {
            ($0.field.rawValue, $0.start, $0.period.rawValue, $0.generation)
                < ($1.field.rawValue, $1.start, $1.period.rawValue, $1.generation)
        }
    }

    /// The epoch's file, from the region's folder.
    func name(_ epoch: Epoch) -> String {
        let suffix = epoch.generation == 0 ? "" : ".\(epoch.generation)"
        return "pseudonym/\(epoch.field.text)-\(epoch.period.text)-\(epoch.start.text)\(suffix)"
            + Self.keySuffix
    }

    private static func epoch(name: String) -> Epoch? {
        guard name.hasSuffix(keySuffix) else { return nil }
        let parts = name.dropLast(keySuffix.count).split(separator: "-", maxSplits: 2)
        guard parts.count == 3, let field = PseudonymField(text: parts[0]),
            let period = KeyPeriod(text: parts[1])
        else { return nil }
        let place = parts[2].split(separator: ".", omittingEmptySubsequences: false)
        guard place.count <= 2, let start = Day(place[0]), period.start(of: start) == start else {
            return nil
        }
        guard place.count == 2 else { return Epoch(field: field, period: period, start: start) }
        guard let generation = Int(place[1]), generation > 0, String(generation) == place[1] else {
            return nil
        }
        return Epoch(field: field, period: period, start: start, generation: generation)
    }
}

// Files.
extension RegionKeys {
    static func pseudonymDirectory(_ directory: String) -> String { directory + "/pseudonym" }

    private static func withKey<Key>(
        _ name: String, _ directory: String, _ region: String, _ make: ([UInt8]) -> Key
    ) throws(KeysError) -> Key {
        guard var bytes = try key(name, directory, region) else {
            throw .missing(path: directory + "/" + name)
        }
        defer { Secret.wipe(&bytes) }
        return make(bytes)
    }

    /// The 32 bytes of the key in the file `name`, unwrapped; nil when there is no such file. The caller wipes them.
    static func key(
        _ name: String, _ directory: String, _ region: String
    ) throws(KeysError) -> [UInt8]? {
        let path = directory + "/" + name
        guard let bytes = try keyContents(of: path) else { return nil }
        if bytes.count == keyBytes { return bytes }
        guard let id = MasterKey.id(of: bytes) else {
            throw .damaged(path: path, bytesExpected: keyBytes, bytesFound: bytes.count)
        }
        let master = try masterKey(id, for: path, directory)
        guard let key = master.unwrap(bytes, context: context(name, region)) else {
            throw .wrappedDamaged(path: path)
        }
        return key
    }

    /// A file that was opened just before another took its place may be read when it is already overwritten: zeros are never
    /// taken for a key, and the second look finds what is there now.
    private static func keyContents(of path: String) throws(KeysError) -> [UInt8]? {
        for _ in 0..<2 {
            guard let bytes = try contents(of: path) else { return nil }
            if bytes.isEmpty || bytes.contains(where: { $0 != 0 }) { return bytes }
        }
        throw .zeroed(path: path)
    }

    /// What a wrapped key is bound to.
    static func context(_ name: String, _ region: String) -> [UInt8] {
        Array("\(region)\u{0}\(name)".utf8)
    }

    /// The file's content after a look at who else could have read it; nil when it is missing.
    static func contents(of path: String) throws(KeysError) -> [UInt8]? {
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
    static let othersMask: UInt32 = 0o077

    /// Makes a key file unless there is one. The name appears when the content is on disk, so a reader
    /// never meets half a key, and of two writers one wins.
    private static func createKey(
        _ name: String, _ directory: String, _ region: String
    ) throws(KeysError) {
        var bytes = SecureRandom.bytes(keyBytes)
        defer { Secret.wipe(&bytes) }
        var file = bytes
        if let source = try masterSources(directory).first {
            file = try masterKey(source).wrap(bytes, context: context(name, region))
        }
        defer { Secret.wipe(&file) }
        do throws(LinuxError) { _ = try File.create(directory + "/" + name, file) } catch {
            throw .system(error)
        }
    }

    func createKey(_ name: String) throws(KeysError) {
        try Self.createKey(name, directory, region)
    }

    func locked(_ body: () throws(KeysError) -> Void) throws(KeysError) {
        try Self.locked(directory, body)
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

    static func system<Result>(
        _ body: () throws(LinuxError) -> Result
    ) throws(KeysError) -> Result {
        do throws(LinuxError) { return try body() } catch { throw .system(error) }
    }
}
