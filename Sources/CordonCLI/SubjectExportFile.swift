import CordonModel
import CordonSubjects
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
        let directory = File.parent(of: path)
        try Directory.create(directory, mode: 0o700)
        do throws(LinuxError) {
            _ = try File(opening: path, [.write, .create, .exclusive], mode: 0o600)
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
