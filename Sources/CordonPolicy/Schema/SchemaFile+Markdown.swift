internal import CordonModel

extension ConfigurationSchema {
    /// The reference page: every key of every file in a table.
    package static var reference: String {
        var page = """
            # Configuration files: every key

            Made from the schema by `cordon policy reference --out .`; a test fails when it is stale. What the keys are for and how they play
            together stands in [Policies, regions and atlas](policy-reference.md). `Schemas/` has the same as JSON Schema for editors: with the YAML
            extension of an editor, a first line such as `# yaml-language-server: $schema=../Schemas/policy.schema.json` brings completion and checks as you type.

            A key in **bold** must stand. `[]` behind a key means each item of its list; a key in capitals is one that you name. Days are written
            `395d`, from `1d` to `\(Item.daysMax)d`; a day is written `2026-11-23`; names are 1 to 40 lowercase letters, digits and hyphens and begin with a letter.

            """
        for file in files {
            page += "\n## \(file.title): `\(file.path)`\n\n"
            page += "| key | value | default | what |\n|---|---|---|---|\n"
            page += rows(file.shape, at: "").joined()
            if case .mapping(let mapping) = file.shape, let unless = mapping.unless {
                let keys = unless.required.map { "`\($0)`" }.joined(separator: ", ")
                page += "\nWithout `\(unless.key): \(unless.word)`, \(keys) must stand too.\n"
            }
        }
        page += "\n## Findings of `cordon check`\n\n| finding | when |\n|---|---|\n"
        for finding in Finding.allCases {
            page += "| `\(finding.rawValue)` | \(finding.meaning) |\n"
        }
        return page
    }

    private static func rows(_ shape: SchemaShape, at path: String) -> [String] {
        switch shape {
        case .mapping(let mapping): mapping.keys.flatMap { rows($0, at: path) }
        case .list(let item, _): rows(item, at: path + "[]")
        case .dictionary(let name, _, let value):
            rows(value, at: (path.isEmpty ? "" : path + ".") + name)
        case .anyOf(let shapes): shapes.flatMap { rows($0, at: path) }
        default: []
        }
    }

    private static func rows(_ key: SchemaKey, at path: String) -> [String] {
        let whole = (path.isEmpty ? "" : path + ".") + key.name
        let name = key.isRequired ? "**`\(whole)`**" : "`\(whole)`"
        let fallback = key.fallback.map { "`\($0)`" } ?? ""
        let value = key.shape.words.replacing("|", with: "\\|")
        return ["| \(name) | \(value) | \(fallback) | \(key.text) |\n"] + rows(key.shape, at: whole)
    }
}

extension SchemaShape {
    /// What may stand there, in words.
    fileprivate var words: String {
        switch self {
        case .text(let form): form.map(Self.words) ?? "text"
        case .word(let words): words.map { "`\($0)`" }.joined(separator: ", ")
        case .integer(let range): "\(range.lowerBound) to \(range.upperBound)"
        case .number(let above, let upTo): above == nil ? "0 to \(upTo)" : "above 0, up to \(upTo)"
        case .days: "days"
        case .day: "a day"
        case .scalar: "text"
        case .nothing: "nothing"
        case .list(let item, let least):
            "list of " + item.words + (least > 0 ? ", at least \(least)" : "")
        case .mapping: "mapping"
        case .dictionary(let name, _, let value): "mapping of \(name) to " + value.words
        case .anyOf(let shapes): shapes.map(\.words).joined(separator: ", or ")
        }
    }

    private static func words(_ form: String) -> String {
        switch form {
        case ConfigurationSchema.name: "name"
        case ConfigurationSchema.parameterName: "1 to 64 letters, digits, `.`, `_`, `-`"
        case ConfigurationSchema.site: "site"
        default: "text like `\(form)`"
        }
    }
}
