package import Compression
internal import Glibc

/// Cuts a stream into lines, in bounded memory. A line ends with LF or CRLF; the last one may lack its end.
@safe package final class LineReader {
    package enum Next: Sendable {
        /// ``line`` is the next one.
        case line
        /// The next one is longer than ``AccessLogs/lineBytesMax`` and was passed over.
        case tooLong
        case end
    }

    private let source: any ByteSource
    // SAFETY: allocated in `init`, freed in `deinit`; all positions stay within `bufferBytes`.
    private let buffer: UnsafeMutablePointer<UInt8>
    private var start = 0
    private var end = 0
    private var lineStart = 0
    private var lineEnd = 0
    private var isAtEnd = false
    /// Lines so far, those passed over among them.
    package private(set) var number = 0

    /// Small enough to stay near the processor, and for a line of the longest.
    private static let bufferBytes = 1 << 18

    package init(_ source: any ByteSource) {
        self.source = source
        unsafe buffer = .allocate(capacity: Self.bufferBytes)
    }

    deinit {
        // Lines hold raw values.
        unsafe explicit_bzero(buffer, Self.bufferBytes)
        unsafe buffer.deallocate()
    }

    /// The line that the last ``next()`` found, without its end; valid until the next call.
    package var line: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let span = unsafe UnsafeBufferPointer(
                start: buffer + lineStart, count: lineEnd - lineStart
            ).span
            // SAFETY: the buffer lives as long as the reader, and only `next` writes to it.
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Goes on to the next line. What the source throws comes after every whole line before it.
    package func next() throws -> Next {
        var scanned = start
        while true {
            if scanned < end,
                let found = unsafe memchr(buffer + scanned, 0x0A, end - scanned)
            {
                let position = unsafe found.assumingMemoryBound(to: UInt8.self) - buffer
                return take(to: position, next: position + 1)
            }
            scanned = end
            if isAtEnd {
                guard start < end else { return .end }
                return take(to: end, next: end)
            }
            if end - start > AccessLogs.lineBytesMax + 1 { return try passOver() }
            try fill()
            scanned = start + (scanned - lineStart)
        }
    }

    /// Makes room and reads on; `lineStart` remembers where `start` was.
    private func fill() throws {
        lineStart = start
        if start > 0 {
            unsafe buffer.update(from: buffer + start, count: end - start)
            end -= start
            start = 0
        }
        let room = unsafe UnsafeMutableRawBufferPointer(
            start: buffer + end, count: Self.bufferBytes - end)
        let count = try unsafe source.read(into: room)
        if count == 0 { isAtEnd = true }
        if number == 0, end == 0, count >= 3, unsafe buffer[0] == 0xEF, unsafe buffer[1] == 0xBB,
            unsafe buffer[2] == 0xBF
        {
            // A byte order mark is no part of the first line.
            start = 3
            lineStart += 3
        }
        end += count
    }

    private func take(to position: Int, next: Int) -> Next {
        number += 1
        lineStart = start
        lineEnd = position
        start = next
        if lineEnd > lineStart, unsafe buffer[lineEnd - 1] == 0x0D { lineEnd -= 1 }
        guard lineEnd - lineStart <= AccessLogs.lineBytesMax else {
            lineEnd = lineStart
            return .tooLong
        }
        return .line
    }

    /// Throws away bytes up to the end of a line that is too long.
    private func passOver() throws -> Next {
        number += 1
        lineEnd = lineStart
        while true {
            start = end
            if isAtEnd { return .tooLong }
            try fill()
            if let found = unsafe memchr(buffer + start, 0x0A, end - start) {
                start = unsafe found.assumingMemoryBound(to: UInt8.self) - buffer + 1
                return .tooLong
            }
        }
    }
}
