/// Why a consent string is not one: nothing of the string itself, so that it can be shown anywhere.
package struct ConsentFault: Error, Equatable, Sendable {
    package enum Code: String, Sendable {
        case tooLong, badEscape, badCharacter, wrongDelimiter, emptySegment, truncated, trailingBits
        case unknownVersion, unknownSegment, repeatedSegment, missingSegment, badValue, badRange
        case unknownSection, sectionCount, datesReversed
    }

    package let code: Code
    /// The specification's name of the field in which it was found; empty when it concerns no single field.
    package let field: StaticString

    package init(_ code: Code, _ field: StaticString = "") {
        self.code = code
        self.field = field
    }

    package static func == (left: ConsentFault, right: ConsentFault) -> Bool {
        left.code == right.code && left.field.description == right.field.description
    }

    /// One line for people, without anything of the string.
    package var text: String {
        let reason =
            switch code {
            case .tooLong: "longer than \(ConsentLimits.textBytesMax) bytes"
            case .badEscape: "a `%` without two hexadecimal digits behind it"
            case .badCharacter: "a character outside the web-safe base64 alphabet"
            case .wrongDelimiter: "a delimiter where none may stand"
            case .emptySegment: "an empty segment"
            case .truncated: "the string ends inside a field"
            case .trailingBits: "bits behind the last field"
            case .unknownVersion: "a version that no specification defines"
            case .unknownSegment: "a segment type that no specification defines"
            case .repeatedSegment: "a segment stands twice"
            case .missingSegment:
                "the disclosed vendors are missing, which TCF 2.3 demands of strings updated since March 2026"
            case .badValue: "a value that the specification does not define"
            case .badRange: "a range that is empty, reversed or beyond its bound"
            case .unknownSection: "a section that is not registered"
            case .sectionCount: "the header names another number of sections than follow"
            case .datesReversed: "the string was updated before it was created"
            }
        return field.utf8CodeUnitCount == 0 ? reason : "\(field): \(reason)"
    }
}

/// Bounds of what is read of consent strings.
package enum ConsentLimits {
    /// Longest string in bytes as it stands in the request: several times the longest that consent tools make, and no more
    /// than a request's head may hold.
    package static let textBytesMax = 8192
    /// Zero bits that may follow the last field. The specifications pad to 6 or 8 bits; tools in use pad to 24, and some
    /// leave room for fields that they do not write.
    package static let paddingBitsMax = 64
    /// Sections in one GPP string: all that are registered, and some.
    package static let sectionsMax = 32
    /// Vendors that the policies of one rule set may name.
    package static let vendorsMax = 4
    /// Deciseconds since 1970 of 2026-03-01: a TC string updated since then must say which vendors were disclosed (TCF 2.3).
    package static let disclosureDemandedSince: UInt64 = 17_723_232_000
}
