import Foundation

/// Where a command prints: results to standard output, progress and problems to standard error.
struct Console: Sendable {
    let isTerminal: Bool

    init() { isTerminal = isatty(1) == 1 }

    /// One line of result.
    func print(_ line: String = "") { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

    /// One line for people, kept out of the result.
    func note(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }

    /// One line of JSON with sorted keys and plain slashes.
    func print(json value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var data = try encoder.encode(value)
        data.append(0x0A)
        FileHandle.standardOutput.write(data)
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
