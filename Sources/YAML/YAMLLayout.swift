/// Writes a document's text in one layout, comments and all.
///
/// What is laid out: indentation by two, one space behind `:` and `,`, two before a comment at the end of a line, at most one
/// empty line between entries, a flow collection (`{ … }`, `[…]`) on one line where it fits and has no comment inside,
/// else as a block. What stays as it is: the order of entries, the words and quotes of scalars on one line, whether a
/// collection that fits is written as flow or block, and every comment. Scalars over several lines are joined to one.
package enum YAMLLayout {
    /// Longest line in characters up to which a flow collection stays on one line.
    package static let widthMax = 160

    /// Why a text was not laid out; never empty, in the order of the text.
    package struct Failure: Error, Equatable, Sendable {
        package let problems: [YAMLProblem]
    }

    /// The layout of UTF-8 `bytes`: the same tree with the same comments, and laid out again it stays the same.
    ///
    /// - Parameter aligned: keys of the document's root whose entries are written as a table, their values in one column.
    package static func format(
        _ bytes: [UInt8], aligned: Set<String> = []
    ) throws(Failure) -> [UInt8] {
        let text = SourceText(bytes)
        let document = YAMLDocument(parsing: text.bytes)
        guard let root = document.root else { throw Failure(problems: document.problems) }
        if let line = text.directiveLine {
            throw Failure(
                problems: [
                    .init(position: .init(line: line, column: 1), text: "directives are not kept")
                ])
        }
        let source = SourceTree(parsing: text)
        var writer = LayoutWriter(source: source, aligned: aligned)
        let written = writer.document()
        let again = SourceText(written)
        // What is written is read again: a layout that says something else is none.
        if let place = Self.difference(root, YAMLDocument(parsing: again.bytes).root) {
            throw Failure(
                problems: [.init(position: place, text: "the text here cannot be laid out safely")])
        }
        let kept = SourceTree(parsing: again).comments.map(\.text).sorted()
        guard kept == source.comments.map(\.text).sorted() else {
            let lost = source.comments.first { !kept.contains($0.text) } ?? source.comments.first
            throw Failure(
                problems: [
                    .init(
                        position: .init(line: lost?.line ?? 1, column: lost?.column ?? 1),
                        text: "a comment here has no place in the layout")
                ])
        }
        return written
    }

    /// Where two trees first say something else, as a position in the first.
    private static func difference(_ left: YAMLNode, _ right: YAMLNode?) -> YAMLPosition? {
        guard let right else { return left.position }
        switch (left.content, right.content) {
        case (.scalar(let text, let isPlain), .scalar(let other, let isOtherPlain)):
            return text == other && isPlain == isOtherPlain ? nil : left.position
        case (.sequence(let items), .sequence(let others)) where items.count == others.count:
            for (item, other) in zip(items, others) {
                if let place = difference(item, other) { return place }
            }
            return nil
        case (.mapping(let entries), .mapping(let others)) where entries.count == others.count:
            for (entry, other) in zip(entries, others) {
                if entry.key != other.key { return entry.keyPosition }
                if let place = difference(entry.value, other.value) { return place }
            }
            return nil
        default: return left.position
        }
    }
}

/// Writes a tree's lines in the layout.
private struct LayoutWriter {
    private let source: SourceTree
    private let aligned: Set<String>
    private var lines: [String] = []
    /// Index of the first comment that is not written.
    private var next = 0
    /// Whether an empty line of the source is left out here: at the beginning of a collection.
    private var beginsCollection = true

    private static let step = 2

    init(source: SourceTree, aligned: Set<String>) {
        self.source = source
        self.aligned = aligned
    }

    mutating func document() -> [UInt8] {
        let root = source.root
        if let text = inline(root, width: 0) {
            comments(before: root.end, indent: 0)
            lines.append(text)
            trail(root.end, limit: .max)
        } else {
            block(root, indent: 0, lead: nil, parentColumn: -1, limit: .max)
        }
        comments(before: .max, indent: 0)
        return Array((lines.joined(separator: "\n") + "\n").utf8)
    }

    // MARK: collections

    /// A collection as a block at `indent`. `lead` is what stands before its first line in place of blanks, `limit` where
    /// what follows begins.
    private mutating func block(
        _ node: SourceNode, indent: Int, lead: String?, parentColumn: Int, limit: Int,
        align: Bool = false
    ) {
        let end = node.isFlow ? node.end : limit
        var column = 1
        switch node.content {
        case .scalar: preconditionFailure("a scalar is written on one line")
        case .mapping(let entries):
            let width = align ? entries.map(\.key.text.count).max() ?? 0 : 0
            for (index, entry) in entries.enumerated() {
                let following = index + 1 < entries.count ? entries[index + 1].key.start : end
                self.entry(
                    entry, prefix: index == 0 ? lead : nil, indent: indent, width: width,
                    limit: following)
            }
            column = source.column(of: entries[0].key.start)
        case .sequence(let items):
            for (index, item) in items.enumerated() {
                let following = index + 1 < items.count ? items[index + 1].start : end
                self.item(
                    item, prefix: index == 0 ? lead : nil, indent: indent, limit: following)
            }
            column = source.dashColumn(before: items[0].start)
        }
        // Comments behind the last entry belong here as far as they stand no further left.
        while let comment = pending, comment.start < end,
            node.isFlow || comment.column >= column && comment.column > parentColumn
        {
            write(comment, indent: indent)
        }
    }

    private mutating func entry(
        _ entry: SourceNode.Entry, prefix: String?, indent: Int, width: Int, limit: Int
    ) {
        let blanks = String(repeating: " ", count: indent)
        let key = (prefix ?? blanks) + entry.key.text + ":"
        let outer = prefix.map { $0.prefix { $0 == " " }.count } ?? indent
        let value = entry.value
        let padding = String(repeating: " ", count: max(0, width - entry.key.text.count) + 1)
        if let text = inline(value, width: key.count + padding.count) {
            comments(before: value.isEmpty ? entry.key.start : value.end, indent: outer)
            space(before: source.line(of: entry.key.start))
            append(value.isEmpty ? key : key + padding + text)
            trail(value.isEmpty ? entry.key.end : value.end, limit: limit)
            return
        }
        comments(before: entry.key.start, indent: outer)
        let closing = closingComment(of: value, limit: limit)
        if let closing { write(closing, indent: outer) }
        space(before: source.line(of: entry.key.start))
        append(key)
        trail(entry.key.end, limit: value.firstStart)
        beginsCollection = true
        block(
            value, indent: indent + Self.step, lead: nil,
            parentColumn: source.column(of: entry.key.start), limit: limit,
            align: indent == 0 && aligned.contains(entry.key.text))
        if value.isFlow { comments(onLineOf: value.end, indent: indent + Self.step, limit) }
    }

    private mutating func item(_ item: SourceNode, prefix: String?, indent: Int, limit: Int) {
        let blanks = String(repeating: " ", count: indent)
        let dash = (prefix ?? blanks) + "- "
        let outer = prefix.map { $0.prefix { $0 == " " }.count } ?? indent
        comments(before: item.start, indent: outer)
        if let text = inline(item, width: dash.count) {
            comments(before: item.end, indent: outer)
            space(before: source.line(of: item.start))
            append(item.isEmpty ? String(dash.dropLast()) : dash + text)
            trail(item.end, limit: limit)
            return
        }
        let closing = closingComment(of: item, limit: limit)
        if let closing { write(closing, indent: outer) }
        block(
            item, indent: indent + Self.step, lead: dash,
            parentColumn: source.dashColumn(before: item.start), limit: limit)
        if item.isFlow { comments(onLineOf: item.end, indent: indent + Self.step, limit) }
    }

    /// The node on one line behind `width` characters, where it may stand so.
    private func inline(_ node: SourceNode, width: Int) -> String? {
        if case .scalar = node.content { return node.text }
        guard node.isFlow else { return nil }
        if node.isEmptyCollection { return node.flowText }
        guard !hasComment(in: node) else { return nil }
        let text = node.flowText
        return width + text.count <= YAMLLayout.widthMax ? text : nil
    }

    // MARK: comments

    private var pending: SourceTree.Comment? {
        next < source.comments.count ? source.comments[next] : nil
    }

    private func hasComment(in node: SourceNode) -> Bool {
        source.comments.contains { $0.start >= node.start && $0.start < node.end }
    }

    /// Writes the comments up to `index`, each on a line of its own.
    private mutating func comments(before index: Int, indent: Int) {
        while let comment = pending, comment.start < index { write(comment, indent: indent) }
    }

    /// Writes the comments that stand behind the end of a flow collection that has become a block.
    private mutating func comments(onLineOf end: Int, indent: Int, _ limit: Int) {
        while let comment = pending, comment.start >= end, comment.start < limit,
            comment.line == source.line(of: end - 1)
        {
            write(comment, indent: indent)
        }
    }

    /// The comment behind a flow collection that becomes a block for its width alone: it stands before it then.
    private func closingComment(of node: SourceNode, limit: Int) -> SourceTree.Comment? {
        guard node.isFlow, let comment = pending, comment.start >= node.end, comment.start < limit,
            comment.line == source.line(of: node.end - 1)
        else { return nil }
        return comment
    }

    /// Puts the comment that stands behind `end` on the same line behind the line just written.
    private mutating func trail(_ end: Int, limit: Int) {
        guard let comment = pending, comment.start >= end, comment.start < limit,
            comment.line == source.line(of: max(end - 1, 0))
        else { return }
        lines[lines.count - 1] += "  " + comment.text
        next += 1
    }

    private mutating func write(_ comment: SourceTree.Comment, indent: Int) {
        if !comment.isTrailing { space(before: comment.line) }
        append(String(repeating: " ", count: indent) + comment.text)
        next += 1
    }

    // MARK: lines

    /// Keeps one empty line where the source has some before `line`.
    private mutating func space(before line: Int) {
        guard !beginsCollection, source.isBlank(line: line - 1), lines.last != "" else { return }
        lines.append("")
    }

    private mutating func append(_ line: String) {
        lines.append(line)
        beginsCollection = false
    }
}
