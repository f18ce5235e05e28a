internal import CYAML

/// One parsed text: its root, or all the mistakes in its form.
package struct YAMLDocument: Sendable {
    /// The one document's value; nil when there are problems.
    package let root: YAMLNode?
    /// In the order of the text.
    package let problems: [YAMLProblem]

    /// Longest text in bytes; a rule set of a thousand policies in one file stays below.
    package static let bytesMax = 1 << 20
    /// Deepest nesting of mappings and sequences; policies need six.
    package static let depthMax = 32

    /// Parses UTF-8 `bytes`.
    package init(parsing bytes: [UInt8]) {
        guard bytes.count <= Self.bytesMax else {
            self.init(
                root: nil,
                problem: "the file has \(bytes.count) bytes, at most \(Self.bytesMax) are read")
            return
        }
        // libyaml takes some forms of broken UTF-8; the text of a node must not depend on how they are repaired.
        guard String(validating: bytes, as: UTF8.self) != nil else {
            self.init(root: nil, problem: "the file is not UTF-8")
            return
        }
        var builder = TreeBuilder()
        builder.read(bytes)
        if builder.root == nil, builder.problems.isEmpty {
            self.init(root: nil, problem: "the file is empty")
        } else {
            self.init(
                root: builder.problems.isEmpty ? builder.root : nil,
                problems: builder.problems.sorted { $0.position < $1.position })
        }
    }

    private init(root: YAMLNode?, problem: String) {
        self.init(
            root: root, problems: [.init(position: .init(line: 1, column: 1), text: problem)])
    }

    private init(root: YAMLNode?, problems: [YAMLProblem]) {
        self.root = root
        self.problems = problems
    }
}

/// Makes a tree from libyaml's events (`yaml_parser_parse`), noting what is not taken.
private struct TreeBuilder {
    private(set) var root: YAMLNode?
    private(set) var problems: [YAMLProblem] = []
    private var open: [Frame] = []
    private var documents = 0

    /// A collection whose end has not come.
    private struct Frame {
        let position: YAMLPosition
        let isMapping: Bool
        var items: [YAMLNode] = []
        var entries: [YAMLNode.Entry] = []
        var keys: [String: YAMLPosition] = [:]
        /// The key that waits for its value; the text is nil when it is not usable.
        var key: (text: String?, position: YAMLPosition)?
    }

    mutating func read(_ bytes: [UInt8]) {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { unsafe parser.deallocate() }
        guard unsafe yaml_parser_initialize(parser) == 1 else {
            return note(.init(line: 1, column: 1), "no memory to read the file")
        }
        // SAFETY: the parser is initialized once above and deleted once here; `bytes` stay in place for the whole of
        // the closure, in which alone the parser reads them; each event is deleted before the next.
        defer { unsafe yaml_parser_delete(parser) }
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
            while unsafe step(parser) {}
        }
    }

    /// Takes one event; false at the end.
    private mutating func step(_ parser: UnsafeMutablePointer<yaml_parser_t>) -> Bool {
        var event = unsafe yaml_event_t()
        guard unsafe yaml_parser_parse(parser, &event) == 1 else {
            let problem = unsafe parser.pointee.problem.map { unsafe String(cString: $0) }
            let mark = unsafe parser.pointee.problem_mark
            note(position(mark), problem ?? "the file cannot be read as YAML")
            return false
        }
        defer { unsafe yaml_event_delete(&event) }
        let place = unsafe position(event.start_mark)
        switch unsafe event.type {
        case YAML_STREAM_END_EVENT: return false
        case YAML_DOCUMENT_START_EVENT:
            documents += 1
            if documents == 2 {
                note(place, "expected one document, found a second")
                return false
            }
        case YAML_ALIAS_EVENT:
            note(place, "aliases are not supported")
            add(YAMLNode(content: .scalar("", isPlain: true), position: place))
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let text = unsafe String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length),
                as: UTF8.self)
            let isPlain = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE
            unsafe refuse(anchor: scalar.anchor != nil, tag: scalar.tag != nil, at: place)
            add(YAMLNode(content: .scalar(text, isPlain: isPlain), position: place))
        case YAML_SEQUENCE_START_EVENT:
            let start = unsafe event.data.sequence_start
            unsafe refuse(anchor: start.anchor != nil, tag: start.tag != nil, at: place)
            return push(Frame(position: place, isMapping: false))
        case YAML_MAPPING_START_EVENT:
            let start = unsafe event.data.mapping_start
            unsafe refuse(anchor: start.anchor != nil, tag: start.tag != nil, at: place)
            return push(Frame(position: place, isMapping: true))
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
            let frame = open.removeLast()
            add(
                YAMLNode(
                    content: frame.isMapping ? .mapping(frame.entries) : .sequence(frame.items),
                    position: frame.position))
        default: break
        }
        return true
    }

    private mutating func push(_ frame: Frame) -> Bool {
        guard open.count < YAMLDocument.depthMax else {
            note(frame.position, "nested deeper than \(YAMLDocument.depthMax) levels")
            return false
        }
        open.append(frame)
        return true
    }

    private mutating func add(_ node: YAMLNode) {
        guard let top = open.indices.last else {
            root = node
            return
        }
        guard open[top].isMapping else {
            open[top].items.append(node)
            return
        }
        if let key = open[top].key {
            open[top].key = nil
            guard let text = key.text else { return }
            open[top].entries.append(
                YAMLNode.Entry(key: text, keyPosition: key.position, value: node))
            return
        }
        guard case .scalar(let text, _) = node.content else {
            note(node.position, "a key must be plain text")
            open[top].key = (nil, node.position)
            return
        }
        if let first = open[top].keys[text] {
            note(node.position, "key `\(text)` stands twice, first in line \(first.line)")
            open[top].key = (nil, node.position)
            return
        }
        open[top].keys[text] = node.position
        open[top].key = (text, node.position)
    }

    private mutating func refuse(anchor: Bool, tag: Bool, at position: YAMLPosition) {
        if anchor { note(position, "anchors are not supported") }
        if tag { note(position, "tags are not supported") }
    }

    private mutating func note(_ position: YAMLPosition, _ text: String) {
        problems.append(YAMLProblem(position: position, text: text))
    }

    private func position(_ mark: yaml_mark_t) -> YAMLPosition {
        YAMLPosition(line: mark.line + 1, column: mark.column + 1)
    }
}
