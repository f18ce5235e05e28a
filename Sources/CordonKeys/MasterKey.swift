internal import Bytes
internal import Crypto
internal import Glibc
internal import LinuxIO

/// Where the key is that wraps a region's keys: outside of the folder that holds them, so that a copy of the folder
/// opens nothing.
package struct MasterKeySource: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// A file outside of the keys' folder, private to its owner.
        case file(String)
        /// A variable of the process's environment.
        case environment(String)
        /// A command line that prints the key, such as one that asks a key management service.
        case command(String)
    }

    package let kind: Kind

    /// Reads `file:/PATH`, `env:NAME` or `command:WORDS`; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = String(text).split(separator: ":", maxSplits: 1).map { String($0) }
        guard parts.count == 2, !parts[1].contains("\n") else { return nil }
        switch parts[0] {
        case "file" where parts[1].hasPrefix("/"): kind = .file(parts[1])
        case "env" where !parts[1].contains("="): kind = .environment(parts[1])
        case "command": kind = .command(parts[1])
        default: return nil
        }
    }

    package var text: String {
        switch kind {
        case .file(let path): "file:\(path)"
        case .environment(let name): "env:\(name)"
        case .command(let words): "command:\(words)"
        }
    }

    /// Fetches the key. A command runs in the shell with this process's environment, and may print hexadecimal digits
    /// or base64.
    func fetch() throws(KeysError) -> MasterKey {
        var bytes: [UInt8]
        switch kind {
        case .file(let path): bytes = try contents(of: path)
        case .environment(let name):
            guard let value = unsafe getenv(name) else {
                throw .masterUnavailable(source: text, reason: "the variable is not set")
            }
            bytes = Array(unsafe String(cString: value).utf8)
        case .command(let words): bytes = try output(of: words)
        }
        defer { Secret.wipe(&bytes) }
        guard let key = MasterKey(decoding: bytes, mayBeRaw: mayBeRaw) else {
            throw .masterUnavailable(
                source: text,
                reason:
                    "expected \(mayBeRaw ? "32 bytes, " : "")64 hexadecimal digits or the base64 of 32 bytes, found "
                    + "\(bytes.count) bytes of another form, and `openssl rand -hex 32` makes a key"
            )
        }
        return key
    }

    /// Whether 32 bytes as they are can be a key: 32 characters of a text are none, since they hold half of its strength or
    /// little more.
    private var mayBeRaw: Bool {
        if case .file = kind { true } else { false }
    }

    private func contents(of path: String) throws(KeysError) -> [UInt8] {
        do throws(LinuxError) {
            let file = try File(opening: path, [.read])
            let permissions = try file.metadata().permissions
            if permissions & RegionKeys.othersMask == 0 { return try file.readToEnd() }
        } catch {
            throw .masterUnavailable(source: text, reason: "\(error)")
        }
        throw .masterUnavailable(
            source: text,
            reason: "the file is open to others than its owner: run `chmod 600 \(path)`")
    }

    /// Longest output of a command that is read, in bytes.
    private static let outputBytesMax = 4096

    private func output(of words: String) throws(KeysError) -> [UInt8] {
        guard let stream = unsafe popen(words, "r") else {
            throw .masterUnavailable(source: text, reason: "the command could not be started")
        }
        var bytes = [UInt8](repeating: 0, count: Self.outputBytesMax)
        let count = unsafe fread(&bytes, 1, bytes.count, stream)
        let status = unsafe pclose(stream)
        guard status == 0 else {
            Secret.wipe(&bytes)
            throw .masterUnavailable(
                source: text, reason: "the command failed (status \(status >> 8 & 0xFF))")
        }
        let read = Array(bytes[..<count])
        Secret.wipe(&bytes)
        return read
    }
}

/// The key that wraps a region's keys, in memory. Wiped when it goes.
final class MasterKey: @unchecked Sendable {
    // SAFETY: never changed between the initializer and `deinit`.
    private var bytes: [UInt8]
    /// Says which key it is and nothing about it.
    let id: [UInt8]

    static let idBytes = 8
    private static let magic = Array("CDNW\u{1}".utf8)
    /// Length of a wrapped key's file: mark, id, nonce, 32 bytes, tag.
    static let wrappedBytes =
        magic.count + idBytes + AES256GCM.nonceBytes + RegionKeys.keyBytes + AES256GCM.tagBytes

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
        id = Array(
            HMACKey(bytes).authenticate(Array("cordon master key".utf8)).bytes
                .prefix(Self.idBytes))
    }

    /// Takes 32 bytes in hexadecimal digits or in base64, with or without white space around them, or as they are.
    convenience init?(decoding raw: [UInt8], mayBeRaw: Bool) {
        if mayBeRaw, raw.count == RegionKeys.keyBytes {
            self.init(raw)
            return
        }
        let isSpace = { (unit: UInt8) in unit == 0x20 || (0x09...0x0D).contains(unit) }
        let trimmed = Array(
            raw.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
        let text = String(decoding: trimmed, as: UTF8.self)
        guard let key = Bytes.bytes(hex: text) ?? Base64.decode(text),
            key.count == RegionKeys.keyBytes
        else { return nil }
        self.init(key)
    }

    deinit { Secret.wipe(&bytes) }

    /// The id that a wrapped file names; nil when it is not wrapped.
    static func id(of file: [UInt8]) -> [UInt8]? {
        guard file.count == wrappedBytes, file.starts(with: magic) else { return nil }
        return Array(file[magic.count..<magic.count + idBytes])
    }

    /// - Parameter context: whose key it is, so that wrapped files cannot change places.
    func wrap(_ key: [UInt8], context: [UInt8]) -> [UInt8] {
        let nonce = SecureRandom.bytes(AES256GCM.nonceBytes)
        return Self.magic + id + nonce
            + AES256GCM.seal(key, key: bytes, nonce: nonce, authenticating: context)
    }

    /// The key; nil when the file was changed or is another key's. The caller wipes it.
    func unwrap(_ file: [UInt8], context: [UInt8]) -> [UInt8]? {
        guard Self.id(of: file) == id else { return nil }
        let nonceStart = Self.magic.count + Self.idBytes
        let sealedStart = nonceStart + AES256GCM.nonceBytes
        return AES256GCM.open(
            Array(file[sealedStart...]), key: bytes, nonce: Array(file[nonceStart..<sealedStart]),
            authenticating: context)
    }
}
