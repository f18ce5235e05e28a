/// A position in a text, both counted from 1; columns count characters (Unicode scalars).
package struct YAMLPosition: Hashable, Comparable, Sendable {
    package let line: Int
    package let column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package static func < (left: YAMLPosition, right: YAMLPosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// One value of a document and where it begins.
package struct YAMLNode: Equatable, Sendable {
    package indirect enum Content: Equatable, Sendable {
        /// Text, and whether it stands without quotes (only then can it be a number or nothing).
        case scalar(String, isPlain: Bool)
        case sequence([YAMLNode])
        /// In the order of the text; no key stands twice.
        case mapping([Entry])
    }

    package struct Entry: Equatable, Sendable {
        package var key: String
        package var keyPosition: YAMLPosition
        package var value: YAMLNode
    }

    package var content: Content
    package var position: YAMLPosition

    /// Whether it is an empty or `null` value without quotes.
    package var isNull: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return text.isEmpty || text == "~" || text == "null"
    }
}

/// A mistake in a document's form.
package struct YAMLProblem: Error, Equatable, Sendable {
    package let position: YAMLPosition
    package let text: String
}
