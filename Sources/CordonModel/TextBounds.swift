/// Two texts between which all of some column's texts lie, as UTF-8; not the least and the greatest of them, since long ones
/// are cut.
package struct TextBounds: Hashable, Sendable {
    package let lower: [UInt8]
    /// Nil where nothing is above all of them.
    package let upper: [UInt8]?

    package init(lower: [UInt8], upper: [UInt8]?) {
        self.lower = lower
        self.upper = upper
    }

    /// Whether `text` may be among them, by the order of bytes.
    package func contains(_ text: [UInt8]) -> Bool {
        let isAbove = upper.map { $0.lexicographicallyPrecedes(text) } ?? false
        return !text.lexicographicallyPrecedes(lower) && !isAbove
    }
}
