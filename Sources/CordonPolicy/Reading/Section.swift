internal import YAML

/// A YAML value with its file, and the readers of its simple kinds. A reader that finds a mistake notes it and
/// answers nil.
struct Item {
    let node: YAMLNode
    let file: String
    let problems: ProblemList

    var position: FilePosition {
        FilePosition(file: file, line: node.position.line, column: node.position.column)
    }

    func error(_ text: String) { problems.error(position, text) }

    /// What stands there, for messages.
    var found: String {
        switch node.content {
        case .scalar where node.isNull: "nothing"
        case .scalar(let text, _): "`\(text)`"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    var isMapping: Bool { if case .mapping = node.content { true } else { false } }
    var isList: Bool { if case .sequence = node.content { true } else { false } }
    var isNull: Bool { node.isNull }

    /// The text without quotes, which alone can be a number.
    var plain: String? {
        guard case .scalar(let text, isPlain: true) = node.content else { return nil }
        return text
    }

    /// Whatever text stands there, if text does.
    var scalar: String? {
        guard case .scalar(let text, _) = node.content, !node.isNull else { return nil }
        return text
    }

    /// Text that is not empty.
    func text() -> String? {
        guard let text = scalar, !text.isEmpty else {
            error("expected text, found \(found)")
            return nil
        }
        return text
    }

    /// The items of a list, or of none when it is missing its list.
    func list() -> [Item]? {
        guard case .sequence(let nodes) = node.content else {
            error("expected a list, found \(found)")
            return nil
        }
        return nodes.map { Item(node: $0, file: file, problems: problems) }
    }

    /// A list of distinct texts.
    func texts() -> [(text: String, item: Item)]? {
        guard let items = list() else { return nil }
        var seen: Set<String> = []
        var texts: [(String, Item)] = []
        for item in items {
            guard let text = item.text() else { continue }
            if seen.insert(text).inserted {
                texts.append((text, item))
            } else {
                item.error("`\(text)` stands twice in the list")
            }
        }
        return texts
    }

    /// One of the words of an enumeration.
    func word<Word: RawRepresentable & CaseIterable>(_ type: Word.Type) -> Word?
    where Word.RawValue == String {
        guard let text = text() else { return nil }
        if let word = Word(rawValue: text) { return word }
        let words = Word.allCases.map(\.rawValue)
        let expected = words.map { "`\($0)`" }.joined(separator: ", ")
        error(
            "expected one of \(expected), found `\(text)`" + Spelling.suggestion(text, among: words)
        )
        return nil
    }

    func integer(in range: ClosedRange<Int>) -> Int? {
        guard let text = plain, let number = Int(text),
            range.contains(number), text.first != "+"
        else {
            error(
                "expected a whole number from \(range.lowerBound) to \(range.upperBound), found \(found)"
            )
            return nil
        }
        return number
    }

    /// A name: lowercase letters, digits and hyphens, from a letter on, 1 to 40 characters.
    func name() -> String? {
        guard let text = text() else { return nil }
        guard Self.isName(text) else {
            error(
                "expected a name of 1 to 40 lowercase letters, digits and hyphens that begins with a letter, found `\(text)`"
            )
            return nil
        }
        return text
    }

    static func isName(_ text: String) -> Bool {
        let units = Array(text.utf8)
        guard (1...40).contains(units.count), (0x61...0x7A).contains(units[0]) else { return false }
        return units.allSatisfy {
            (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D
        }
    }

    /// A length of time such as `395d`.
    func days() -> Int? {
        let bound = Self.daysMax
        guard let text = scalar, text.hasSuffix("d"), let days = Int(text.dropLast()),
            (1...bound).contains(days), text.utf8.allSatisfy({ $0 != 0x2B })
        else {
            error("expected days such as `395d`, from `1d` to `\(bound)d`, found \(found)")
            return nil
        }
        return days
    }

    /// Longest retention in days: ten years, the longest that any shipped law's limitation period reaches.
    static let daysMax = 3660
}

/// A mapping whose keys are known: unknown ones are noted when it is made.
struct Section {
    let item: Item
    private let values: [String: Item]

    /// Reads `item` as a mapping of `keys`. Keys in `later` are known to a later version.
    init?(_ item: Item, keys: [String], later: [String] = []) {
        guard case .mapping(let entries) = item.node.content else {
            item.error("expected a mapping, found \(item.found)")
            return nil
        }
        self.item = item
        item.problems.noteMapping(keys)
        var values: [String: Item] = [:]
        for entry in entries {
            let position = FilePosition(
                file: item.file, line: entry.keyPosition.line, column: entry.keyPosition.column)
            if keys.contains(entry.key) {
                values[entry.key] = Item(
                    node: entry.value, file: item.file, problems: item.problems)
            } else if later.contains(entry.key) {
                item.problems.error(position, "`\(entry.key)` is not supported by this version")
            } else {
                item.problems.error(
                    position,
                    "unknown key `\(entry.key)`" + Spelling.suggestion(entry.key, among: keys))
            }
        }
        self.values = values
    }

    subscript(key: String) -> Item? { values[key] }

    /// The value of a key that must be there.
    func required(_ key: String) -> Item? {
        if let value = values[key] { return value }
        item.error("key `\(key)` is missing")
        return nil
    }
}

extension Item {
    /// The keys and values of a mapping whose keys are free.
    func entries() -> [(key: String, keyPosition: FilePosition, value: Item)]? {
        guard case .mapping(let entries) = node.content else {
            error("expected a mapping, found \(found)")
            return nil
        }
        return entries.map { entry in
            (
                entry.key,
                FilePosition(
                    file: file, line: entry.keyPosition.line, column: entry.keyPosition.column),
                Item(node: entry.value, file: file, problems: problems)
            )
        }
    }
}
