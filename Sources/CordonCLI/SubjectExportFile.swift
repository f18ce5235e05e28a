import CordonModel
import CordonSubjects
import Crypto
import HPKE
import LinuxIO

/// Where one piece of an export goes: a new file that only its owner may read, or standard output.
final class ExportFile {
    private let path: String?
    private let console: Console
    private var waiting = ""
    /// Bytes gathered before they are written.
    private static let pieceBytes = 1 << 20

    /// - Parameter path: of a file that must not be there yet; nil is standard output.
    init(_ path: String?, _ console: Console) throws {
        self.path = path
        self.console = console
        guard let path else { return }
        try Directory.create(File.parent(of: path), mode: 0o700)
        _ = try Self.create(path)
    }

    /// A new file that only its owner may read.
    static func create(_ path: String) throws -> File {
        do throws(LinuxError) {
            return try File(opening: path, [.write, .create, .exclusive], mode: 0o600)
        } catch {
            guard error.isExisting else { throw error }
            throw CommandFailure(text: "`\(path)` is there already: it may be of another person")
        }
    }

    func write(_ text: String) throws {
        waiting += text
        if waiting.utf8.count >= Self.pieceBytes { try flush(isLast: false) }
    }

    /// Writes what waits; a file is on disk when this returns.
    func finish() throws { try flush(isLast: true) }

    private func flush(isLast: Bool) throws {
        if let path {
            try File.append(path, Array(waiting.utf8), mode: 0o600, sync: isLast)
            if isLast { try Directory.sync(File.parent(of: path)) }
            waiting = ""
        } else if let end = waiting.lastIndex(of: "\n") {
            // The console ends each line by itself.
            console.print(String(waiting[..<end]))
            waiting = String(waiting[waiting.index(after: end)...])
        }
    }
}

extension ExportFile: RestingWriter {
    static let rests = [Rest(.exports, ExportRow.columns)]
}

/// One archive of an export: a new ZIP file that only its owner may read, sealed to a recipient's key when one is given.
///
/// What is begun and not finished is removed again: it would be taken for whole by its name.
final class ExportArchive {
    private let path: String
    private let file: OpenFile
    private let sealing: SealedWriter?
    private var zip: ZipStream
    private var spools: [(name: String, file: OpenFile)] = []

    /// A file that several closures write to.
    private final class OpenFile {
        let file: File
        init(_ file: consuming File) { self.file = file }
    }

    /// What whoever opens a sealed archive has to say too.
    static let purpose = "cordon subject export 1"
    private static let pieceBytes = 1 << 20

    /// Makes the archive at `path`, which must not be there yet, and lets `body` fill it.
    static func write(
        _ path: String, to recipient: X25519PublicKey?, at time: Timestamp,
        _ body: (ExportArchive) throws -> Void
    ) throws {
        let archive = try ExportArchive(path, recipient, time)
        do {
            try body(archive)
            try archive.zip.finish()
            try archive.sealing?.finish()
            try archive.file.file.sync()
            try Directory.sync(File.parent(of: path))
        } catch {
            // The first failure is the one to tell.
            _ = try? File.remove(path)
            throw error
        }
    }

    private init(_ path: String, _ recipient: X25519PublicKey?, _ time: Timestamp) throws {
        self.path = path
        try Directory.create(File.parent(of: path), mode: 0o700)
        let file = OpenFile(try ExportFile.create(path))
        self.file = file
        let sink = { (bytes: [UInt8]) in try file.file.write(bytes) }
        let sealing: SealedWriter?
        do {
            sealing = try recipient.map {
                try SealedWriter(to: $0, purpose: Self.purpose, sink: sink)
            }
        } catch {
            _ = try? File.remove(path)
            throw error
        }
        self.sealing = sealing
        zip = ZipStream(modified: time) { bytes in
            if let sealing { try sealing.write(bytes) } else { try sink(bytes) }
        }
    }

    func begin(_ name: String) throws { try zip.begin(name) }
    func write(_ text: String) throws { try zip.write(Array(text.utf8)) }
    func end() throws { try zip.end() }

    /// A table that is filled while another member is written, and takes its place in the archive later. It has no name on the disk.
    func spool(_ name: String) throws -> (String) throws -> Void {
        let path = path + ".part"
        let spool = OpenFile(
            try File(opening: path, [.readWrite, .create, .exclusive], mode: 0o600))
        try File.remove(path)
        spools.append((name, spool))
        return { text in try spool.file.write(Array(text.utf8)) }
    }

    /// Takes up what was spooled.
    func addSpools() throws {
        for (name, spool) in spools {
            try zip.begin(name)
            var offset = 0
            while true {
                let piece = try spool.file.read(at: offset, count: Self.pieceBytes)
                if piece.isEmpty { break }
                try zip.write(piece)
                offset += piece.count
            }
            try zip.end()
        }
        spools = []
    }

    /// Opens a sealed archive at `sealed` to a new file at `path`.
    static func open(_ sealed: String, with key: X25519PrivateKey, to path: String) throws {
        let source = try File(opening: sealed, [.read])
        let target = try ExportFile.create(path)
        do {
            try SealedReader.open(
                { try source.readNext($0) }, with: key, purpose: purpose,
                sink: { try target.write($0) })
            try target.sync()
        } catch {
            _ = try? File.remove(path)
            throw error
        }
    }
}
