/// A place in a file of the project: what a message, a reason or a refusal points at.
package struct FilePosition: Hashable, Comparable, Sendable {
    /// Path relative to the project's folder.
    package let file: String
    /// Counted from 1.
    package let line: Int
    /// Counted in characters from 1.
    package let column: Int

    package init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    package static func < (left: FilePosition, right: FilePosition) -> Bool {
        (left.file, left.line, left.column) < (right.file, right.line, right.column)
    }

    /// `file:line`, as reasons and refusals say it.
    package var text: String { "\(file):\(line)" }
}
