internal import CYAML

/// A text cut into characters and lines as libyaml counts them.
struct SourceText {
    let characters: [Unicode.Scalar]
    /// Index of each line's first character.
    let lineStarts: [Int]

    /// Takes UTF-8; a byte order mark is left out, and `CR LF` is one break.
    init(_ bytes: [UInt8]) {
        var characters: [Unicode.Scalar] = []
        for character in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            if characters.isEmpty, character == "\u{FEFF}" { continue }
            if character == "\n", characters.last == "\r" { characters.removeLast() }
            characters.append(character)
        }
        self.characters = characters
        lineStarts =
            [0] + characters.indices.filter { Self.isBreak(characters[$0]) }.map { $0 + 1 }
    }

    var bytes: [UInt8] {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: characters)
        return Array(String(text).utf8)
    }

    func text(_ range: Range<Int>) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: characters[range])
        return String(text)
    }

    /// Line of the character at `index`, counted from 1.
    func line(of index: Int) -> Int {
        var low = 0
        var high = lineStarts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if lineStarts[middle] <= index { low = middle } else { high = middle }
        }
        return low + 1
    }

    /// Characters of a line without its break.
    func range(ofLine line: Int) -> Range<Int> {
        let start = lineStarts[line - 1]
        var end = start
        while end < characters.count, !Self.isBreak(characters[end]) { end += 1 }
        return start..<end
    }

    /// The line of a directive (`%YAML`), which can only stand before the document.
    var directiveLine: Int? {
        for line in 1...lineStarts.count {
            let range = range(ofLine: line)
            guard let first = range.first(where: { !Self.isBlank(characters[$0]) }),
                characters[first] != "#"
            else { continue }
            return characters[first] == "%" && first == range.lowerBound ? line : nil
        }
        return nil
    }

    static func isBreak(_ character: Unicode.Scalar) -> Bool {
        switch character {
        case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": true
        default: false
        }
    }

    static func isBlank(_ character: Unicode.Scalar) -> Bool {
        character == " " || character == "\t"
    }
}

/// A value with its place in the text.
struct SourceNode {
    indirect enum Content {
        /// As it is written on one line.
        case scalar(String)
        case sequence([SourceNode])
        case mapping([Entry])
    }

    struct Entry {
        var key: SourceNode
        var value: SourceNode
    }

    var content: Content
    /// Whether it stands in brackets or braces.
    var isFlow = false
    /// First character.
    var start: Int
    /// Behind the last character of a scalar or flow collection.
    var end: Int

    var text: String {
        guard case .scalar(let text) = content else { return flowText }
        return text
    }

    /// Whether it is a value of no characters.
    var isEmpty: Bool {
        guard case .scalar(let text) = content else { return false }
        return text.isEmpty
    }

    var isEmptyCollection: Bool {
        switch content {
        case .scalar: false
        case .sequence(let items): items.isEmpty
        case .mapping(let entries): entries.isEmpty
        }
    }

    /// Where the first scalar or collection in it begins; of an empty collection its end.
    var firstStart: Int {
        switch content {
        case .scalar: start
        case .sequence(let items): items.first?.start ?? end
        case .mapping(let entries): entries.first?.key.start ?? end
        }
    }

    /// The node on one line.
    var flowText: String {
        switch content {
        case .scalar(let text): return text
        case .sequence(let items):
            return "[" + items.map(\.flowText).joined(separator: ", ") + "]"
        case .mapping(let entries):
            guard !entries.isEmpty else { return "{}" }
            let texts = entries.enumerated().map { index, entry in
                // A colon must not touch the comma, or it is read as part of the key.
                entry.value.isEmpty
                    ? entry.key.text + (index + 1 < entries.count ? ": " : ":")
                    : entry.key.text + ": " + entry.value.flowText
            }
            return "{ " + texts.joined(separator: ", ") + " }"
        }
    }
}

/// A document as it is written: its values with their places, and the comments between them.
///
/// Made of texts that ``YAMLDocument`` takes: no anchors, aliases, tags, and bounded depth.
struct SourceTree {
    struct Comment {
        /// From its `#` on, without blanks at the end.
        var text: String
        var start: Int
        /// Counted from 1.
        var line: Int
        /// Counted from 1.
        var column: Int
        /// Whether something else stands before it on its line.
        var isTrailing: Bool
    }

    let root: SourceNode
    let comments: [Comment]
    private let text: SourceText

    init(parsing text: SourceText) {
        self.text = text
        var reader = EventReader(text)
        var events = reader.events()[...]
        root = Self.node(&events, text)
        comments = Self.comments(text, scalars: reader.scalars)
    }

    func line(of index: Int) -> Int { text.line(of: index) }

    /// Counted from 1.
    func column(of index: Int) -> Int { index - text.lineStarts[line(of: index) - 1] + 1 }

    /// Column of the dash before a list's item.
    func dashColumn(before index: Int) -> Int {
        let start = text.lineStarts[line(of: index) - 1]
        var place = index - 1
        while place >= start, SourceText.isBlank(text.characters[place]) { place -= 1 }
        return place >= start && text.characters[place] == "-"
            ? place - start + 1 : column(of: index) - 2
    }

    func isBlank(line: Int) -> Bool {
        guard line >= 1, line <= text.lineStarts.count else { return false }
        return text.characters[text.range(ofLine: line)].allSatisfy(SourceText.isBlank)
    }

    // MARK: values

    private static func node(_ events: inout ArraySlice<SourceEvent>, _ text: SourceText)
        -> SourceNode
    {
        switch events.removeFirst() {
        case .scalar(let node): return node
        case .begin(let isMapping, let isFlow, let start):
            var items: [SourceNode] = []
            while true {
                if case .end(let end)? = events.first {
                    events.removeFirst()
                    return SourceNode(
                        content: isMapping
                            ? .mapping(pairs(items)) : .sequence(items), isFlow: isFlow,
                        start: start, end: end)
                }
                items.append(node(&events, text))
            }
        case .end: preconditionFailure("libyaml ends what it began")
        }
    }

    private static func pairs(_ items: [SourceNode]) -> [SourceNode.Entry] {
        stride(from: 0, to: items.count, by: 2).map { .init(key: items[$0], value: items[$0 + 1]) }
    }

    // MARK: comments

    /// Between scalars there are signs, blanks and comments alone, so a `#` there begins a comment. The first line of a block scalar
    /// may hold one too.
    private static func comments(_ text: SourceText, scalars: [SourceScalar]) -> [Comment] {
        var found: [Comment] = []
        var index = 0
        func take() {
            let line = text.line(of: index)
            let range = text.range(ofLine: line)
            var end = range.upperBound
            while end > index, SourceText.isBlank(text.characters[end - 1]) { end -= 1 }
            found.append(
                Comment(
                    text: text.text(index..<end), start: index, line: line,
                    column: index - range.lowerBound + 1,
                    isTrailing: !text.characters[range.lowerBound..<index]
                        .allSatisfy(SourceText.isBlank)))
            index = range.upperBound
        }
        for scalar in scalars + [.init(range: text.characters.count..<text.characters.count)] {
            while index < scalar.range.lowerBound {
                if text.characters[index] == "#" { take() } else { index += 1 }
            }
            if scalar.isBlock {
                let line = text.range(ofLine: text.line(of: index))
                index = line.first { $0 > index && text.characters[$0] == "#" } ?? index
                if text.characters[index] == "#" { take() }
            }
            index = max(index, scalar.range.upperBound)
        }
        return found
    }
}

/// What libyaml says of a text, in its order.
enum SourceEvent {
    case scalar(SourceNode)
    case begin(isMapping: Bool, isFlow: Bool, start: Int)
    case end(Int)
}

/// Where a scalar's characters stand.
struct SourceScalar {
    var range: Range<Int>
    /// Whether it is written as `|` or `>`.
    var isBlock = false
}

/// Reads a text's events (`yaml_parser_parse`).
private struct EventReader {
    private let text: SourceText
    private(set) var scalars: [SourceScalar] = []

    init(_ text: SourceText) { self.text = text }

    mutating func events() -> [SourceEvent] {
        var events: [SourceEvent] = []
        let bytes = text.bytes
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { unsafe parser.deallocate() }
        guard unsafe yaml_parser_initialize(parser) == 1 else {
            preconditionFailure("no memory to read a file a second time")
        }
        // SAFETY: the parser is initialized once above and deleted once here; `bytes` stay in place for the whole of
        // the closure, in which alone the parser reads them; each event is deleted before the next.
        defer { unsafe yaml_parser_delete(parser) }
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
            while unsafe take(parser, &events) {}
        }
        return events
    }

    private mutating func take(
        _ parser: UnsafeMutablePointer<yaml_parser_t>, _ events: inout [SourceEvent]
    ) -> Bool {
        var event = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &event) == 1 else {
            preconditionFailure("the text was read before")
        }
        defer { unsafe yaml_event_delete(&event) }
        let start = unsafe Int(event.start_mark.index)
        let end = unsafe Int(event.end_mark.index)
        switch unsafe event.type {
        case YAML_STREAM_END_EVENT: return false
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let value = unsafe String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length),
                as: UTF8.self)
            let style = unsafe scalar.style
            events.append(.scalar(self.scalar(value, style, start..<max(start, end))))
        case YAML_SEQUENCE_START_EVENT:
            let style = unsafe event.data.sequence_start.style
            events.append(
                .begin(isMapping: false, isFlow: style == YAML_FLOW_SEQUENCE_STYLE, start: start))
        case YAML_MAPPING_START_EVENT:
            let style = unsafe event.data.mapping_start.style
            events.append(
                .begin(isMapping: true, isFlow: style == YAML_FLOW_MAPPING_STYLE, start: start))
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: events.append(.end(end))
        default: break
        }
        return true
    }

    private mutating func scalar(
        _ value: String, _ style: yaml_scalar_style_t, _ range: Range<Int>
    ) -> SourceNode {
        let isBlock = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE
        if !range.isEmpty { scalars.append(.init(range: range, isBlock: isBlock)) }
        let isOneLine = !text.characters[range].contains(where: SourceText.isBreak)
        let written: String =
            if isOneLine, !isBlock {
                text.text(range)
            } else if style == YAML_PLAIN_SCALAR_STYLE,
                !value.unicodeScalars.contains(where: SourceText.isBreak)
            { value } else { Self.quoted(value) }
        return SourceNode(content: .scalar(written), start: range.lowerBound, end: range.upperBound)
    }

    /// `value` in double quotes on one line (YAML 1.1 section 5.6).
    private static func quoted(_ value: String) -> String {
        var text = "\""
        for character in value.unicodeScalars {
            switch character {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{85}": text += "\\N"
            case "\u{2028}": text += "\\L"
            case "\u{2029}": text += "\\P"
            default: text.unicodeScalars.append(character)
            }
        }
        return text + "\""
    }
}
