internal import Bytes
package import CordonModel
package import Crypto
internal import LinuxIO
internal import Synchronization

// The key that wraps the others.
extension RegionKeys {
    /// Names the sources of master keys, a line each: the first wraps, the second only opens what was wrapped before a
    /// change that was cut.
    private static let masterName = "master"

    /// Master keys that this process has fetched, so that a command is not run for each key.
    private static let fetched = Mutex<[MasterKeySource: MasterKey]>([:])

    /// Where the master key comes from; nil when keys lie there as they are.
    package func masterSource() throws(KeysError) -> MasterKeySource? {
        try Self.masterSources(directory).first
    }

    static func masterSources(_ directory: String) throws(KeysError) -> [MasterKeySource] {
        let path = directory + "/" + masterName
        guard let bytes = try contents(of: path) else { return [] }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        let sources = lines.compactMap { MasterKeySource($0) }
        guard !sources.isEmpty, sources.count == lines.count else {
            throw .masterUnavailable(source: path, reason: "the file does not say where it is")
        }
        return sources
    }

    static func masterKey(
        _ source: MasterKeySource, isFresh: Bool = false
    ) throws(KeysError) -> MasterKey {
        if !isFresh, let known = fetched.withLock({ $0[source] }) { return known }
        let key = try source.fetch()
        fetched.withLock { $0[source] = key }
        return key
    }

    /// The master key that a wrapped file names.
    static func masterKey(
        _ id: [UInt8], for path: String, _ directory: String
    ) throws(KeysError) -> MasterKey {
        let sources = try masterSources(directory)
        for source in sources {
            if try masterKey(source).id == id { return try masterKey(source) }
            // Behind the same name there may be another key by now.
            let fresh = try masterKey(source, isFresh: true)
            if fresh.id == id { return fresh }
        }
        throw .masterDiffers(
            path: path, source: sources.first?.text ?? "none", expected: Bytes.hex(id))
    }

    /// What a key's file holds.
    package enum Protection: Equatable, Sendable {
        case plain
        /// The master key's id in hexadecimal.
        case wrapped(by: String)
    }

    /// The keys that last.
    package enum LastingKey: CaseIterable, Sendable {
        case signing, nextSigning, subjectDigest, subjectWrap, witness

        var name: String {
            switch self {
            case .signing: signingName
            case .nextSigning: nextSigningName
            case .subjectDigest: subjectDigestName
            case .subjectWrap: subjectWrapName
            case .witness: witnessName
            }
        }
    }

    /// How the key of `epoch` lies on disk; nil when there is none.
    package func protection(of epoch: Epoch) throws(KeysError) -> Protection? {
        try protection(ofFile: name(epoch))
    }

    /// How a key that lasts lies on disk; nil when there is none.
    package func protection(of key: LastingKey) throws(KeysError) -> Protection? {
        try protection(ofFile: key.name)
    }

    private func protection(ofFile name: String) throws(KeysError) -> Protection? {
        guard var bytes = try Self.contents(of: directory + "/" + name) else { return nil }
        defer { Secret.wipe(&bytes) }
        return MasterKey.id(of: bytes).map { .wrapped(by: Bytes.hex($0)) } ?? .plain
    }

    /// Wraps every key by the master key of `source`, or lays them down as they are for nil. Running processes go on: what
    /// they have opened stays open, and what they open or make from now on is as it is on disk.
    ///
    /// May be repeated after it was cut at any point; until it is done both sources are needed. The bytes that a key had before
    /// are overwritten.
    ///
    /// - Returns: the number of keys.
    @discardableResult
    package func wrap(by source: MasterKeySource?) throws(KeysError) -> Int {
        let master = try source.map { source throws(KeysError) in try newMasterKey(source) }
        var count = 0
        try locked { () throws(KeysError) in
            let before = try Self.masterSources(directory)
            let path = directory + "/" + Self.masterName
            let first = source.map { [$0] } ?? []
            let both = first + before.filter { $0 != source }
            if !both.isEmpty { try write(both, to: path) }
            for name in try keyNames() {
                guard var key = try Self.key(name, directory, region) else { continue }
                defer { Secret.wipe(&key) }
                let context = Self.context(name, region)
                try replace(name, by: master?.wrap(key, context: context) ?? key)
                count += 1
            }
            if first.isEmpty {
                try Self.system { () throws(LinuxError) in _ = try File.remove(path) }
            } else {
                try write(first, to: path)
            }
        }
        return count
    }

    /// Looks whether ``wrap(by:)`` could take its key from `source`; changes nothing.
    package func check(_ source: MasterKeySource) throws(KeysError) {
        _ = try newMasterKey(source)
    }

    /// The key of `source`, which is to wrap the others.
    private func newMasterKey(_ source: MasterKeySource) throws(KeysError) -> MasterKey {
        if case .file(let path) = source.kind, try holds(path) { throw .masterInside(path: path) }
        let failure: KeysError
        do throws(KeysError) { return try Self.masterKey(source, isFresh: true) } catch {
            failure = error
        }
        if case .masterUnavailable(_, let reason) = failure,
            try !Self.masterSources(directory).contains(source)
        {
            throw .masterUnfit(source: source.text, reason: reason)
        }
        throw failure
    }

    /// Whether `path`, or what it links to, lies in the folder of the keys, by whatever name it is reached.
    private func holds(_ path: String) throws(KeysError) -> Bool {
        try Self.system { () throws(LinuxError) in
            guard let folder = try File.metadata(directory) else { return false }
            let named = File.resolved(File.parent(of: path)) + "/" + File.name(of: path)
            for start in [named, File.resolved(path)] {
                var place = start
                while place != "/" {
                    place = File.parent(of: place)
                    // A folder may be mounted at a second place, which no path tells.
                    if let found = try File.metadata(place), found.inode == folder.inode,
                        found.device == folder.device
                    {
                        return true
                    }
                }
            }
            return false
        }
    }

    private func write(_ sources: [MasterKeySource], to path: String) throws(KeysError) {
        let text = sources.map { $0.text + "\n" }.joined()
        try Self.system { () throws(LinuxError) in try File.write(path, Array(text.utf8)) }
    }

    private func keyNames() throws(KeysError) -> [String] {
        [
            Self.subjectDigestName, Self.subjectWrapName, Self.signingName, Self.nextSigningName,
            Self.witnessName,
        ] + (try epochs()).map { name($0) }
    }

    /// Puts `bytes` in the place of a key and overwrites what lay there.
    private func replace(_ name: String, by bytes: [UInt8]) throws(KeysError) {
        let path = directory + "/" + name
        try Self.system { () throws(LinuxError) in
            let old = try File(opening: path, [.write, .noFollow])
            try File.write(path, bytes)
            try Self.overwrite(old)
        }
    }

    /// Zeros over all of a file, brought to disk. What a file system or a drive keeps of it elsewhere is out of reach.
    static func overwrite(_ file: borrowing File) throws(LinuxError) {
        let size = try file.metadata().size
        try file.write([UInt8](repeating: 0, count: size), at: 0)
        try file.sync()
    }
}

// Rotation and destruction.
extension RegionKeys {
    /// The key that is to sign the audit log after the present one; made when there is none. It is on disk when it is returned.
    package func nextSigningKey() throws(KeysError) -> Ed25519PrivateKey {
        try makeSigner(Self.nextSigningName)
    }

    /// Puts the key of ``nextSigningKey()`` in the place of the present one, whose bytes are overwritten. May be repeated after it
    /// was cut at any point.
    ///
    /// - Parameter expected: the key that the log knows by now; another one, which a second process made, is left alone.
    package func adoptNextSigningKey(_ expected: Ed25519PublicKey) throws(KeysError) {
        try locked { () throws(KeysError) in
            guard var key = try Self.key(Self.nextSigningName, directory, region) else { return }
            defer { Secret.wipe(&key) }
            guard try signer(Self.nextSigningName).publicKey == expected else { return }
            var file = key
            if let source = try Self.masterSources(directory).first {
                file = try Self.masterKey(source).wrap(
                    key, context: Self.context(Self.signingName, region))
            }
            defer { Secret.wipe(&file) }
            try replace(Self.signingName, by: file)
            try remove(Self.nextSigningName)
        }
    }

    /// Begins another key for the epoch that contains `day`. The one of before stays, to find persons by; collectors take the
    /// new one when they read the keys again.
    package func rotate(
        _ field: PseudonymField, _ period: KeyPeriod, _ day: Day
    ) throws(KeysError) -> Epoch {
        let first = Epoch(field: field, period: period, start: period.start(of: day))
        var made = first
        try locked { () throws(KeysError) in
            if let last = try last(first) {
                made = Epoch(
                    field: field, period: period, start: first.start,
                    generation: last.generation + 1)
            }
            try createKey(name(made))
        }
        return made
    }

    /// Whether a collector may make pseudonyms with the key today or tomorrow: it is its epoch's last, and the epoch has not
    /// ended.
    package func isInUse(_ epoch: Epoch, on day: Day) throws(KeysError) -> Bool {
        guard epoch.end > day else { return false }
        return try last(epoch) == epoch
    }

    /// Destroys the key of an epoch for good: its bytes are overwritten, and the file goes.
    ///
    /// - Parameter day: today; a key that is in use is refused.
    /// - Returns: whether there was one.
    package func destroy(_ epoch: Epoch, on day: Day) throws(KeysError) -> Bool {
        guard try !isInUse(epoch, on: day) else { throw .inUse(epoch: epoch.text) }
        var wasThere = false
        try locked { () throws(KeysError) in wasThere = try remove(name(epoch)) }
        return wasThere
    }

    /// Overwrites and removes the key in the file `name`; tells whether there was one.
    @discardableResult
    private func remove(_ name: String) throws(KeysError) -> Bool {
        let path = directory + "/" + name
        return try Self.system { () throws(LinuxError) in
            guard try File.exists(path) else { return false }
            // First it stops being a key: zeros must never be taken for one after a crash.
            let folder = File.parent(of: path)
            let gone = "\(folder)/.\(File.name(of: path)).destroyed.cordon-tmp"
            try File.rename(path, to: gone)
            try Directory.sync(folder)
            try Self.overwrite(try File(opening: gone, [.write, .noFollow]))
            let wasThere = try File.remove(gone)
            try Directory.sync(folder)
            return wasThere
        }
    }
}
