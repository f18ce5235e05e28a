internal import Glibc
internal import Synchronization

/// How much an operator should care.
package enum LogLevel: Int, Comparable, CaseIterable, Sendable {
    case trace, debug, info, warning, error

    package var text: String {
        switch self {
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }

    /// The level that `text` names.
    package init?(_ text: String) {
        guard let level = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = level
    }

    package static func < (left: LogLevel, right: LogLevel) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// The value of a field.
package enum LogValue: Equatable, Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral
{
    case text(String)
    case integer(Int64)
    case number(Double)
    case flag(Bool)

    package init(stringLiteral value: String) { self = .text(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .flag(value) }
    package static func count(_ value: some BinaryInteger) -> LogValue {
        .integer(Int64(clamping: value))
    }
}

/// Where finished lines go.
package protocol LogSink: Sendable {
    /// Takes one line without its line feed; called from any thread.
    func write(_ line: String)
}

/// Writes lines to the process's standard error, each in one call.
package struct StandardErrorSink: LogSink {
    package init() {}

    package func write(_ line: String) {
        var bytes = Array(line.utf8)
        bytes.append(0x0A)
        // A log that cannot be written has nowhere to report that.
        _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(2, $0.baseAddress, $0.count) }
    }
}

/// Keeps lines in memory, for tests that read what a service logged.
package final class CapturedLog: LogSink {
    private let kept = Mutex<[String]>([])
    package init() {}
    package func write(_ line: String) { kept.withLock { $0.append(line) } }
    package var lines: [String] { kept.withLock { $0 } }
}

/// Writes log entries: a constant message and fields under dotted keys, one line each.
package struct Logger: Sendable {
    package enum Format: String, CaseIterable, Sendable {
        /// One JSON object a line.
        case json
        /// `time=… level=… message="…" key=value`.
        case logfmt
    }

    package let level: LogLevel
    package let format: Format
    private let sink: any LogSink
    private let now: @Sendable () -> Int64

    /// - Parameter now: microseconds since 1970 in UTC; tests give a fake.
    package init(
        level: LogLevel = .info, format: Format = .logfmt,
        sink: any LogSink = StandardErrorSink(),
        now: @escaping @Sendable () -> Int64 = Logger.systemTime
    ) {
        self.level = level
        self.format = format
        self.sink = sink
        self.now = now
    }

    /// Writes an entry when `level` is at or above the logger's. `message` is constant text; values belong in `fields`.
    package func log(
        _ level: LogLevel, _ message: StaticString, _ fields: KeyValuePairs<String, LogValue> = [:]
    ) {
        guard level >= self.level else { return }
        let time = LogTime.text(microseconds: now())
        var line: String
        switch format {
        case .json:
            line = "{\"time\":\"\(time)\",\"level\":\"\(level.text)\",\"message\":"
            Self.appendQuoted(message.description, to: &line)
            for (key, value) in fields {
                line += ","
                Self.appendQuoted(key, to: &line)
                line += ":"
                Self.append(value, to: &line, quotingAlways: true)
            }
            line += "}"
        case .logfmt:
            line = "time=\(time) level=\(level.text) message="
            Self.appendQuoted(message.description, to: &line)
            for (key, value) in fields {
                line += " \(key)="
                Self.append(value, to: &line, quotingAlways: false)
            }
        }
        sink.write(line)
    }

    package func error(_ message: StaticString, _ fields: KeyValuePairs<String, LogValue> = [:]) {
        log(.error, message, fields)
    }
    package func warning(_ message: StaticString, _ fields: KeyValuePairs<String, LogValue> = [:]) {
        log(.warning, message, fields)
    }
    package func info(_ message: StaticString, _ fields: KeyValuePairs<String, LogValue> = [:]) {
        log(.info, message, fields)
    }
    package func debug(_ message: StaticString, _ fields: KeyValuePairs<String, LogValue> = [:]) {
        log(.debug, message, fields)
    }

    private static func append(_ value: LogValue, to line: inout String, quotingAlways: Bool) {
        switch value {
        case .integer(let number): line += String(number)
        case .number(let number): line += number.isFinite ? String(number) : "null"
        case .flag(let flag): line += flag ? "true" : "false"
        case .text(let text):
            let isPlain = !text.isEmpty && text.utf8.allSatisfy(isPlainUnit)
            if quotingAlways || !isPlain { appendQuoted(text, to: &line) } else { line += text }
        }
    }

    private static func isPlainUnit(_ unit: UInt8) -> Bool {
        unit > 0x20 && unit < 0x7F && unit != 0x22 && unit != 0x3D && unit != 0x5C
    }

    /// Quotes by the rules of JSON, which logfmt readers understand as well; a line never breaks.
    private static func appendQuoted(_ text: String, to line: inout String) {
        line += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": line += "\\\""
            case "\\": line += "\\\\"
            case "\n": line += "\\n"
            case "\r": line += "\\r"
            case "\t": line += "\\t"
            case _
            where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
                || scalar.value == 0x2028 || scalar.value == 0x2029:
                let digits = String(scalar.value, radix: 16)
                line += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: line.unicodeScalars.append(scalar)
            }
        }
        line += "\""
    }

    /// Microseconds since 1970 by the system's clock.
    @Sendable
    package static func systemTime() -> Int64 {
        var time = timespec()
        // Fails only for an unknown clock.
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}

/// RFC 3339 text of an instant in UTC.
private enum LogTime {
    static func text(microseconds: Int64) -> String {
        var seconds = time_t(microseconds / 1_000_000)
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        let date = unsafe [Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday)]
            .map { padded($0, 2) }.joined(separator: "-")
        let clock = unsafe [parts.tm_hour, parts.tm_min, parts.tm_sec]
            .map { padded(Int($0), 2) }.joined(separator: ":")
        return "\(date)T\(clock).\(padded(Int(microseconds % 1_000_000), 6))Z"
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
