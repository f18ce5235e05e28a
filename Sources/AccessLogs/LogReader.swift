internal import Glibc

/// Finds the request in one line after the other of one log file.
///
/// One for each file, since a header line says which columns follow. Used by one thread.
package final class LogReader {
    package enum Outcome: Equatable, Sendable {
        /// ``entry`` holds the line's request.
        case entry
        /// A header, a comment or an empty line.
        case nothing
        case refused(LogRefusal)
    }

    package let format: LogFormat
    /// Fields of the columns; empty until a header or the caller has named them.
    package private(set) var columns: [LogField] {
        didSet { parser.columns = LineParser.Columns(columns) }
    }
    private var parser = LineParser()

    /// - Parameter columns: names of the columns of a log without a header; nil takes all of real-time logs, or waits for
    ///   the header of standard ones.
    package init(_ format: LogFormat, columns: [String]? = nil) {
        self.format = format
        switch format {
        case .cloudFrontRealTime:
            self.columns = (columns ?? LogField.realTimeNames).map(LogField.realTime)
        case .cloudFrontStandard: self.columns = (columns ?? []).map(LogField.standard)
        case .combined, .ndjson: self.columns = []
        }
        parser.columns = LineParser.Columns(self.columns)
    }

    /// The request of the last line; its ranges are those of ``text``.
    package var entry: LogEntry { parser.entry }

    /// The bytes that the ranges of ``entry`` lie in; valid until the next line is read.
    package var text: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let span = unsafe UnsafeBufferPointer(start: parser.out, count: parser.count).span
            // SAFETY: the memory lives as long as the reader, and only `read` writes to it.
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Whether another line can be read with the ranges of earlier ones kept.
    package var hasRoom: Bool { parser.count <= LineParser.keptBytesMax }

    /// Reads one line, given without its end.
    ///
    /// - Parameter keeping: the ranges of earlier entries stay good in ``text``; there must be room.
    package func read(_ line: Span<UInt8>, keeping: Bool = false) -> Outcome {
        precondition(line.count <= AccessLogs.lineBytesMax, "the line reader bounds every line")
        precondition(!keeping || hasRoom, "lines are kept within bounds")
        if line.isEmpty { return .nothing }
        if format == .cloudFrontStandard, line[0] == 0x23 { return readDirective(line) }
        if let refusal = parser.read(line, format, keeping: keeping) { return .refused(refusal) }
        return .entry
    }

    /// Forgets all lines that were kept.
    package func forget() { parser.count = 0 }

    /// A line that begins with `#`: the columns, or something else about the file.
    private func readDirective(_ line: Span<UInt8>) -> Outcome {
        let name: StaticString = "#Fields:"
        return unsafe line.withUnsafeBufferPointer { line in
            guard line.count > name.utf8CodeUnitCount,
                unsafe memcmp(line.baseAddress!, name.utf8Start, name.utf8CodeUnitCount) == 0
            else { return .nothing }
            let names = unsafe String(decoding: line, as: UTF8.self)
                .dropFirst(name.utf8CodeUnitCount).split { $0 == " " || $0 == "\t" }
            columns = names.map { LogField.standard(String($0)) }
            return .nothing
        }
    }
}
