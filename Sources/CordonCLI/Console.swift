import Foundation
import LinuxIO
import Synchronization

/// Where a command prints: results to standard output, progress and problems to standard error.
///
/// What cannot be written is dropped and the command goes on: a reader that has gone, as `head` does, must not cut
/// what it is doing. ``CordonCLI/main(_:)`` tells of lost results at the end.
struct Console: Sendable {
    let isTerminal: Bool

    init() { isTerminal = isatty(1) == 1 }

    /// Number of the system's error at which results could no longer be written; 0 while they could.
    private static let lostAt = Mutex<Int32>(0)

    /// Why results were lost; nil when none were, or when the reader wanted no more.
    static var loss: LinuxError? {
        let number = lostAt.withLock { $0 }
        guard number != 0 && number != EPIPE else { return nil }
        return LinuxError(operation: .write, path: "standard output", errno: number)
    }

    /// One line of result.
    func print(_ line: String = "") { write(Data((line + "\n").utf8)) }

    /// A result as it is.
    func write(_ data: Data) {
        Self.lostAt.withLock { lostAt in
            guard lostAt == 0 else { return }
            do {
                try FileHandle.standardOutput.write(contentsOf: data)
            } catch {
                // Foundation's error wraps the system's.
                let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
                lostAt = cause.map { Int32(truncatingIfNeeded: $0.code) } ?? EIO
            }
        }
    }

    /// One line for people, kept out of the result.
    func note(_ line: String) { note(Data((line + "\n").utf8)) }

    /// For people, as it is.
    func note(_ data: Data) { try? FileHandle.standardError.write(contentsOf: data) }

    /// One line of JSON with sorted keys and plain slashes.
    func print(json value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var data = try encoder.encode(value)
        data.append(0x0A)
        write(data)
    }

    /// A table with a heading row; columns whose every value is a number stand to the right.
    func table(_ heading: [String], _ rows: [[String]]) {
        var widths = heading.map(\.count)
        for row in rows {
            for (index, cell) in row.enumerated() { widths[index] = max(widths[index], cell.count) }
        }
        let numeric = heading.indices.map { column in
            !rows.isEmpty
                && rows.allSatisfy {
                    $0[column].isEmpty
                        || Double($0[column].filter { $0 != "," && $0 != "%" && $0 != " " }) != nil
                }
        }
        func line(_ cells: [String]) -> String {
            cells.enumerated().map { index, cell in
                let padding = String(repeating: " ", count: widths[index] - cell.count)
                return numeric[index]
                    ? padding + cell : index == cells.count - 1 ? cell : cell + padding
            }.joined(separator: "  ")
        }
        print(line(heading))
        print(widths.map { String(repeating: "─", count: $0) }.joined(separator: "  "))
        for row in rows { print(line(row)) }
    }
}
