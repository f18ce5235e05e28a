/// Paths in statements of the engine.
package enum LakePath {
    /// `path` as a literal that the engine's readers take for one file: they see patterns in `*`, `?` and `[`.
    package static func literal(_ path: String) -> String {
        var pattern = ""
        for character in path {
            pattern += "*?[".contains(character) ? "[\(character)]" : String(character)
        }
        return "'" + pattern.replacing("'", with: "''") + "'"
    }
}
