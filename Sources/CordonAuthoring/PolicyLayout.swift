package import CordonPolicy
internal import YAML

/// The one layout of policies, atlas, invariants and cases: ``YAMLLayout``, with a policy's `fields` as a table.
package enum PolicyLayout {
    /// `bytes` laid out; throws where the file cannot be read or laid out, with every reason.
    ///
    /// - Parameter file: what messages call it.
    package static func format(
        _ bytes: [UInt8], file: String
    ) throws(ConfigurationErrors) -> [UInt8] {
        do throws(YAMLLayout.Failure) {
            return try YAMLLayout.format(bytes, aligned: ["fields"])
        } catch {
            throw ConfigurationErrors(
                problems: error.problems.map {
                    ConfigurationProblem(
                        position: FilePosition(
                            file: file, line: $0.position.line, column: $0.position.column),
                        text: $0.text)
                }, warnings: [])
        }
    }

    /// The first line, counted from 1, in which two texts differ; nil when they are equal.
    package static func firstChange(_ old: [UInt8], _ new: [UInt8]) -> Int? {
        guard old != new else { return nil }
        let shared = zip(old, new).prefix { $0 == $1 }
        return shared.count { $0.0 == 0x0A } + 1
    }
}
