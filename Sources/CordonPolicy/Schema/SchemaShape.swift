/// What may stand in one place of a configuration file.
package indirect enum SchemaShape: Sendable {
    /// Text of a form, a regular expression that JSON Schema and people read alike; nil where any text will do.
    case text(form: String?)
    /// One of these words.
    case word([String])
    case integer(ClosedRange<Int>)
    /// A number from 0, or above it, to the bound.
    case number(above: Int?, upTo: Int)
    /// Days such as `395d`.
    case days
    /// A day such as `2026-11-23`.
    case day
    /// Text, or a number or truth value that is read as text.
    case scalar
    /// Nothing at all.
    case nothing
    /// Distinct items, and how many at least.
    case list(SchemaShape, least: Int)
    case mapping(SchemaMapping)
    /// Keys of a form, each with such a value. The name stands for the key in the reference.
    case dictionary(name: String, form: String, SchemaShape)
    case anyOf([SchemaShape])
}

/// A mapping whose keys are known; every other key is a mistake.
package struct SchemaMapping: Sendable {
    package var keys: [SchemaKey]
    /// Keys that must stand unless `key` holds `word`, with which they must not.
    package var unless: Exception?
    /// Exactly one of these must stand.
    package var oneOf: [String] = []
    /// One of these must stand, or several.
    package var anyOf: [String] = []

    package struct Exception: Sendable {
        package var key: String
        package var word: String
        package var required: [String]
        package var barred: [String]
    }

    package init(
        _ keys: [SchemaKey], unless: Exception? = nil, oneOf: [String] = [], anyOf: [String] = []
    ) {
        self.keys = keys
        self.unless = unless
        self.oneOf = oneOf
        self.anyOf = anyOf
    }
}

package struct SchemaKey: Sendable {
    package var name: String
    package var shape: SchemaShape
    package var isRequired: Bool
    /// What holds where the key is left out, as the reference shows it; nil where nothing does.
    package var fallback: String?
    /// A clause without a final period.
    package var text: String

    package init(
        _ name: String, _ shape: SchemaShape, required: Bool = false, fallback: String? = nil,
        _ text: String
    ) {
        self.name = name
        self.shape = shape
        isRequired = required
        self.fallback = fallback
        self.text = text
    }
}

/// One kind of configuration file.
package struct SchemaFile: Sendable {
    /// Names the JSON Schema: `Schemas/<name>.schema.json`.
    package var name: String
    /// Where such files lie.
    package var path: String
    package var title: String
    package var shape: SchemaShape

    package init(name: String, path: String, title: String, shape: SchemaShape) {
        self.name = name
        self.path = path
        self.title = title
        self.shape = shape
    }
}
