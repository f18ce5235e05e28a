/// Texts as the engine's SQL takes them.
package enum EngineText {
    /// `text` as a string literal.
    package static func literal(_ text: String) -> String {
        "'" + text.replacing("'", with: "''") + "'"
    }

    /// `name` as a quoted identifier.
    package static func identifier(_ name: String) -> String {
        "\"" + name.replacing("\"", with: "\"\"") + "\""
    }

    /// `path` as a literal that the engine's readers take for one file: they see patterns in `*`, `?` and `[`.
    package static func path(_ path: String) -> String {
        var pattern = ""
        for character in path {
            pattern += "*?[".contains(character) ? "[\(character)]" : String(character)
        }
        return literal(pattern)
    }
}
