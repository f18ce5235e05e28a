import Bytes
import Crypto
import LinuxIO

/// A new tar archive (POSIX ustar) that is written from front to back, with the SHA-256 of each member.
///
/// The file is private to its owner and must not be there yet. It is whole when ``finish()`` has returned.
final class TarArchive {
    private let file: File
    private let path: String
    private let modifiedSeconds: Int64
    private var waiting: [UInt8] = []
    private(set) var members: [(name: String, sha256: String)] = []
    private(set) var bytes = 0

    private static let blockBytes = 512
    /// Bytes gathered before they are written.
    private static let pieceBytes = 1 << 20
    /// What the format has room for: the last part of a name, and what stands before it.
    private static let nameBytesMax = 100
    private static let prefixBytesMax = 155

    /// - Parameter modifiedSeconds: the time of every member, in seconds since 1970.
    init(creating path: String, modifiedSeconds: Int64) throws(LinuxError) {
        self.path = path
        self.modifiedSeconds = modifiedSeconds
        file = try File(opening: path, [.write, .create, .exclusive], mode: 0o600)
    }

    /// Adds a file. Its name has parts joined by slashes and is shorter than the format's 255 bytes.
    func add(_ name: String, _ content: [UInt8]) throws(LinuxError) {
        waiting += header(name, content.count)
        waiting += content
        pad()
        members.append((name, Bytes.hex(SHA256.hash(content))))
        if waiting.count >= Self.pieceBytes { try flush() }
    }

    /// Ends the archive and brings it to disk.
    func finish() throws(LinuxError) {
        waiting += [UInt8](repeating: 0, count: 2 * Self.blockBytes)
        try flush()
        try file.sync()
        try Directory.sync(File.parent(of: path))
    }

    private func flush() throws(LinuxError) {
        try file.write(waiting)
        bytes += waiting.count
        waiting.removeAll(keepingCapacity: true)
    }

    private func pad() {
        let excess = waiting.count % Self.blockBytes
        if excess > 0 {
            waiting += [UInt8](repeating: 0, count: Self.blockBytes - excess)
        }
    }

    private func header(_ name: String, _ size: Int) -> [UInt8] {
        let (prefix, rest) = Self.split(name)
        var block: [UInt8] = []
        func text(_ text: String, _ width: Int) {
            block += Array(text.utf8.prefix(width))
            block += [UInt8](repeating: 0, count: width - min(width, text.utf8.count))
        }
        func octal(_ number: Int64, _ width: Int) {
            let digits = String(number, radix: 8)
            precondition(digits.utf8.count < width, "a member of an archive is shorter than 8 GB")
            text(String(repeating: "0", count: width - 1 - digits.utf8.count) + digits, width)
        }
        text(rest, Self.nameBytesMax)
        octal(0o600, 8)
        octal(0, 8)
        octal(0, 8)
        octal(Int64(size), 12)
        octal(modifiedSeconds, 12)
        block += [UInt8](repeating: 0x20, count: 8)
        text("0", 1)
        text("", 100)
        text("ustar", 6)
        text("00", 2)
        text("", 64)
        octal(0, 8)
        octal(0, 8)
        text(prefix, Self.prefixBytesMax)
        text("", 12)
        // The sum over the block, with spaces where the sum goes.
        let sum = block.reduce(0) { $0 + Int($1) }
        let digits = String(sum, radix: 8)
        let field = String(repeating: "0", count: 6 - digits.utf8.count) + digits
        block.replaceSubrange(148..<156, with: Array(field.utf8) + [0, 0x20])
        return block
    }

    private static func split(_ name: String) -> (prefix: String, rest: String) {
        if name.utf8.count <= nameBytesMax { return ("", name) }
        let units = Array(name.utf8)
        let cut = units.indices.first {
            units[$0] == UInt8(ascii: "/") && units.count - $0 - 1 <= nameBytesMax
        }
        guard let cut, cut <= prefixBytesMax else {
            preconditionFailure("names in an archive are short")
        }
        return (
            String(decoding: units[..<cut], as: UTF8.self),
            String(decoding: units[(cut + 1)...], as: UTF8.self)
        )
    }
}
