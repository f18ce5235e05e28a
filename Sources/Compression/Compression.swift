/// Reads gzip (RFC 1952) and Zstandard (RFC 8878) as streams, in bounded memory, and packs and unpacks pieces of known size.
///
/// It knows no format of what is inside. Which of the two a stream is, or that it is neither, its
/// first bytes tell. Start at ``UnpackedSource``.
package enum Compression: String, Sendable {
    case none, gzip, zstd

    /// What a stream that begins with `bytes` is packed with.
    package init(magic bytes: some Collection<UInt8>) {
        let start = Array(bytes.prefix(4))
        if start.starts(with: [0x1F, 0x8B]) {
            self = .gzip
        } else if start == [0x28, 0xB5, 0x2F, 0xFD]
            || start.count == 4 && start[0] & 0xF0 == 0x50 && start[1...] == [0x2A, 0x4D, 0x18]
        {
            // A frame, or one that is to be skipped (section 3.1.2).
            self = .zstd
        } else {
            self = .none
        }
    }

    /// Bytes by which every kind can be told.
    package static let magicBytes = 4
}

/// Something that bytes are read from, front to back. Used by one thread at a time.
package protocol ByteSource: AnyObject {
    /// Puts the next bytes into `buffer` and says how many; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

/// Why a packed stream could not be read on. What came before was whole and stays good.
package struct CompressionError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The stream ends inside a member or frame.
        case truncated
        /// The bytes are not what the first ones promised, or a checksum is wrong.
        case damaged
        /// A frame asks for more memory than it gets.
        case windowTooLarge = "window-too-large"
        case outOfMemory = "out-of-memory"
    }

    package let code: Code
    package let compression: Compression

    package var description: String {
        switch code {
        case .truncated: "the \(compression.rawValue) data ends in the middle: the file is cut"
        case .damaged: "the \(compression.rawValue) data is damaged"
        case .windowTooLarge:
            "the \(compression.rawValue) data needs a window of more than "
                + "\(ZstdStream.windowBytesMax >> 20) MiB: pack it again without `--long`"
        case .outOfMemory: "no memory is left to unpack the \(compression.rawValue) data"
        }
    }
}

/// A source of bytes that is unpacked while it is read, when it is packed at all.
///
/// Several gzip members or Zstandard frames that follow each other are one stream, as their standards say.
@safe package final class UnpackedSource: ByteSource {
    package let compression: Compression
    private let source: any ByteSource
    // SAFETY: allocated in `init`, freed in `deinit`; `start..<end` are the bytes that `source` put there.
    private let input: UnsafeMutablePointer<UInt8>
    private var start = 0
    private var end = 0
    private var isAtEnd = false
    private var unpacking: Unpacking

    private enum Unpacking {
        case plain
        case gzip(GzipStream)
        case zstd(ZstdStream)
    }

    /// Packed bytes that are read at once.
    private static let inputBytes = 1 << 17

    /// Looks at the first bytes of `source`.
    package init(_ source: any ByteSource) throws {
        self.source = source
        unsafe input = .allocate(capacity: Self.inputBytes)
        unpacking = .plain
        var count = 0
        var ended = false
        // A pipe may give its bytes one by one.
        while count < Compression.magicBytes, !ended {
            let room = unsafe UnsafeMutableRawBufferPointer(
                start: input + count, count: Self.inputBytes - count)
            let taken: Int
            do { taken = try unsafe source.read(into: room) } catch {
                unsafe input.deallocate()
                throw error
            }
            count += taken
            ended = taken == 0
        }
        end = count
        isAtEnd = ended
        compression = unsafe Compression(
            magic: UnsafeBufferPointer(start: input, count: count))
        switch compression {
        case .none: break
        case .gzip: unpacking = .gzip(try GzipStream())
        case .zstd: unpacking = .zstd(try ZstdStream())
        }
    }

    deinit { unsafe input.deallocate() }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        switch unpacking {
        case .plain:
            guard start < end else { return try unsafe source.read(into: buffer) }
            let count = min(end - start, buffer.count)
            unsafe buffer.copyMemory(
                from: UnsafeRawBufferPointer(start: input + start, count: count))
            start += count
            return count
        case .gzip(let stream):
            return try unsafe unpack(buffer) { try unsafe stream.step($0, $1) }
        case .zstd(let stream):
            return try unsafe unpack(buffer) { try unsafe stream.step($0, $1) }
        }
    }

    /// What one step of a stream took and gave.
    struct Step {
        var taken: Int
        var given: Int
        /// The stream stands between two members: it may end here.
        var mayEnd: Bool
    }

    private func unpack(
        _ buffer: UnsafeMutableRawBufferPointer,
        _ step: (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) throws -> Step
    ) throws -> Int {
        while true {
            if start == end, !isAtEnd {
                start = 0
                let room = unsafe UnsafeMutableRawBufferPointer(
                    start: input, count: Self.inputBytes)
                end = try unsafe source.read(into: room)
                isAtEnd = end == 0
            }
            let packed = unsafe UnsafeRawBufferPointer(start: input + start, count: end - start)
            let done = try unsafe step(packed, buffer)
            start += done.taken
            if done.given > 0 { return done.given }
            if isAtEnd, start == end {
                guard done.mayEnd else {
                    throw CompressionError(code: .truncated, compression: compression)
                }
                return 0
            }
            guard done.taken > 0 || start == end else {
                throw CompressionError(code: .damaged, compression: compression)
            }
        }
    }
}
