import CordonModel
internal import CordonPolicy

/// The parsed words of one command line.
struct Arguments: Sendable {
    /// Values by option name; a flag has one empty value.
    private var values: [String: [String]] = [:]
    /// What is not an option.
    private(set) var free: [String] = []

    /// Parses what follows the command's words. Accepts `--name value`, `--name=value` and `--` before free arguments.
    init(parsing words: [String], for command: Command) throws(UsageError) {
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("--"), word != "--" else {
                if word == "--" {
                    free += rest
                    break
                }
                free.append(word)
                continue
            }
            let parts = word.dropFirst(2).split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            guard let option = command.options.first(where: { $0.name == name }) else {
                throw UsageError(
                    text: "unknown option `--\(name)`"
                        + suggestion(name, among: command.options.map(\.name), prefix: "--"))
            }
            guard option.repeats || values[name] == nil else {
                throw UsageError(text: "option `--\(name)` is given twice")
            }
            if option.value == nil {
                guard parts.count == 1 else {
                    throw UsageError(text: "option `--\(name)` takes no value")
                }
                values[name] = [""]
            } else if parts.count == 2 {
                values[name, default: []].append(String(parts[1]))
            } else if let value = rest.popFirst() {
                values[name, default: []].append(value)
            } else {
                throw UsageError(text: "option `--\(name)` needs a value: \(option.value ?? "")")
            }
        }
        guard command.argumentCounts.contains(free.count) else {
            let range = command.argumentCounts
            let expected =
                range.lowerBound == range.upperBound
                ? "\(range.lowerBound)"
                : range.upperBound == .max
                    ? "at least \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
            throw UsageError(text: "expected \(expected) argument(s), found \(free.count)")
        }
    }

    func has(_ name: String) -> Bool { values[name] != nil }
    func value(_ name: String) -> String? { values[name]?.last }
    func all(_ name: String) -> [String] { values[name] ?? [] }

    /// The value of an option that must be there.
    func required(_ name: String) throws(UsageError) -> String {
        guard let value = value(name) else {
            throw UsageError(text: "option `--\(name)` is missing")
        }
        return value
    }

    /// The value of an option as a number within `range`.
    func integer(_ name: String, in range: ClosedRange<Int>) throws(UsageError) -> Int? {
        guard let text = value(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw UsageError(
                text:
                    "option `--\(name)` takes a whole number from \(range.lowerBound) to \(range.upperBound), found `\(text)`"
            )
        }
        return number
    }

    /// The value of an option as a day.
    func day(_ name: String) throws(UsageError) -> Day? {
        guard let text = value(name) else { return nil }
        guard let day = Day(text) else {
            throw UsageError(text: "option `--\(name)` takes a day as YYYY-MM-DD, found `\(text)`")
        }
        return day
    }

    var wantsJSON: Bool { has("json") }
}

/// `, did you mean …?` for the nearest of `candidates`, or nothing when none is near.
func suggestion(_ word: String, among candidates: [String], prefix: String = "") -> String {
    Spelling.suggestion(word, among: candidates, prefix: prefix)
}
