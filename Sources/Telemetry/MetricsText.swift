/// Builds a page of the Prometheus text exposition format, version 0.0.4.
package struct MetricsText {
    /// The page so far.
    package private(set) var text = ""
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package enum Kind: String, Sendable { case counter, gauge }

    package init() {}

    /// Starts a family; its samples follow.
    package mutating func family(_ name: String, _ kind: Kind, help: String) {
        text +=
            "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// One sample. Label values come from closed sets, never from a request.
    package mutating func sample(
        _ name: String, _ labels: KeyValuePairs<String, String>, _ value: some BinaryInteger
    ) {
        text += name
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.key)=\"\(Self.escaped($0.value, quotes: true))\"" }
            text += "{" + pairs.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// The one sample of a family without labels.
    package mutating func sample(_ name: String, _ value: some BinaryInteger) {
        sample(name, [:], value)
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
