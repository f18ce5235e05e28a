extension Bytes {
    /// `text` as the text of an HTML element or the quoted value of an attribute.
    package static func htmlText(_ text: String) -> String {
        var escaped = ""
        // By scalars: a mark that joins a character must not hide it.
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
