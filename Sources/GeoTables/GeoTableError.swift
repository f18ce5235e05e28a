/// Why a table could not be opened, or a source not be compiled into one.
package struct GeoTableError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// A file could not be read or written; `errno` says why.
        case systemCall
        /// The file does not begin as a geo table does.
        case foreignFile
        /// The table was written by a version that this one does not read.
        case unsupportedVersion
        /// The file is shorter or longer than its header says.
        case wrongLength
        /// The content does not have the digest that the header states.
        case digestMismatch
        /// The digest is right and the content is none that this program writes.
        case malformedTable
        /// A line or record of a source is not what its format asks for.
        case malformedSource
        /// Two ranges of the sources overlap and disagree.
        case contradiction
        /// The sources have more distinct places or ranges than a table can hold.
        case tooLarge
        /// The sources hold no range at all.
        case nothingToBuild
    }

    package let code: Code
    /// The file that is at fault.
    package let path: String
    /// Its line, counted from 1, where the fault has one.
    package let line: Int?
    /// What was expected and what was found.
    package let text: String
    /// The C error number, when `code` is `systemCall`.
    package let errno: CInt?

    package init(
        _ code: Code, path: String, line: Int? = nil, text: String, errno: CInt? = nil
    ) {
        self.code = code
        self.path = path
        self.line = line
        self.text = text
        self.errno = errno
    }

    package var description: String {
        // The text of a failed system call names the file already.
        code == .systemCall ? text : "\(path)\(line.map { ":\($0)" } ?? ""): \(text)"
    }
}
