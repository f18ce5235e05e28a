import Compression
import CordonModel
import Crypto
import Engine
import LinuxIO
import Synchronization

/// How far the files of an import have been read; told from one thread, looked at from others.
package final class ImportProgress: Sendable {
    private let bytes = Atomic<Int>(0)

    package init() {}

    /// Bytes of the files that have been looked at, the pass that makes their digests included.
    package var bytesRead: Int { bytes.load(ordering: .relaxed) }

    func add(_ count: Int) { bytes.add(count, ordering: .relaxed) }
}

/// One open log file.
@safe final class LogFile: ByteSource {
    let path: String
    private let file: File
    private let opened: File.Metadata
    private let progress: ImportProgress
    private var left: Int

    /// Opens `path`, which must be a regular file: only such a file can be gone on with.
    init(_ path: String, progress: ImportProgress) throws {
        self.path = path
        self.progress = progress
        file = try File(opening: path, .read)
        opened = try file.metadata()
        guard opened.isRegularFile else {
            throw LogImportError(
                text: "`\(path)` is no regular file: give a stream to standard input, as `-`")
        }
        left = opened.size
    }

    var size: Int { opened.size }

    /// Whether the file is another one now, or has other content.
    func hasChanged() throws -> Bool {
        let now = try File.metadata(path)
        return now != opened
    }

    /// Bytes of `count` from the start, without moving the reading position.
    func start(_ count: Int) throws -> [UInt8] { try file.read(at: 0, count: count) }

    /// SHA-256 of the file, and of each of its beginnings whose size is in `sizes` (ascending).
    func digests(sizes: [Int]) throws -> (whole: [UInt8], beginnings: [Int: [UInt8]]) {
        var hash = SHA256()
        var beginnings: [Int: [UInt8]] = [:]
        var sizes = sizes.filter { $0 < size }[...]
        let chunk = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.chunkBytes, alignment: 64)
        defer { unsafe chunk.deallocate() }
        var offset = 0
        while offset < size {
            let end = min(offset + Self.chunkBytes, sizes.first ?? .max, size)
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: chunk[..<(end - offset)])
            guard try unsafe file.read(at: offset, into: part) == part.count else { throw changed }
            hash.update(unsafe UnsafeRawBufferPointer(part).bytes)
            offset = end
            if sizes.first == end {
                beginnings[end] = hash.finalize().bytes
                sizes = sizes.drop { $0 == end }
            }
            progress.add(part.count)
        }
        return (hash.finalize().bytes, beginnings)
    }

    /// Small enough to stay near the processor between being read and being hashed.
    private static let chunkBytes = 1 << 18

    var changed: LogImportError {
        LogImportError(
            text: "`\(path)` changed while it was read: import it again when nothing writes to it")
    }

    /// What was added since the file was opened is left for the next run.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let room = unsafe UnsafeMutableRawBufferPointer(
            rebasing: buffer.prefix(left))
        guard unsafe !room.isEmpty else { return 0 }
        let count = try unsafe file.read(into: room)
        left -= count
        progress.add(count)
        return count
    }
}

/// Standard input.
@safe final class StandardInput: ByteSource {
    private let file: File
    private let progress: ImportProgress

    init(progress: ImportProgress) throws {
        file = try File(opening: "/dev/stdin", .read)
        self.progress = progress
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try unsafe file.read(into: buffer)
        progress.add(count)
        return count
    }
}

/// The rows of a Parquet file as JSON objects, one a line, in the order of the file.
@safe final class ParquetSource: ByteSource {
    static let magic = Array("PAR1".utf8)
    private static let engineMegabytesMax = 1024

    // The stream holds rows of the connection, so that lives as long.
    private let engine: EngineConnection
    private let rows: ResultStream
    private var batch: ColumnBatch?
    private var row = 0
    private var isAtEnd = false
    private var line: [UInt8] = []
    private var start = 0

    init(_ path: String) throws {
        engine = try EngineConnection(settings: [
            ("memory_limit", "\(Self.engineMegabytesMax)MB"), ("threads", "1"),
            ("temp_directory", ""),
            ("autoinstall_known_extensions", "false"), ("autoload_known_extensions", "false"),
        ])
        rows = try engine.query(
            """
            SELECT CAST(to_json(hit) AS VARCHAR)
            FROM read_parquet(\(EngineText.path(path)), hive_partitioning = false) AS hit
            """)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var filled = 0
        while filled < buffer.count {
            if start == line.count, try !nextLine() { break }
            let count = min(line.count - start, buffer.count - filled)
            unsafe line.withUnsafeBytes { bytes in
                unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
                    .copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
            }
            start += count
            filled += count
        }
        return filled
    }

    private func nextLine() throws -> Bool {
        // The stream ends once, and is not asked again.
        while !isAtEnd, batch == nil || row == batch?.rowCount {
            batch = try rows.next()
            row = 0
            isAtEnd = batch == nil
        }
        guard let batch else { return false }
        line = batch.columns[0].bytes(at: row)
        line.append(0x0A)
        start = 0
        row += 1
        return true
    }
}
