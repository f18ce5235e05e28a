/// Why a change of a table's metadata is not made. Its text quotes names and numbers of the request, never a row.
package struct CommitFailure: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The table is not as the writer saw it; with a fresh look the same change may do.
        case requirement
        /// A change that breaks a rule of the format, whenever it is tried.
        case invalid
        /// A change that this catalog does not know or does not make.
        case unsupported
    }
    package let code: Code
    package let text: String

    package init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }

    package var description: String { text }
}
