/// How one rule stands to another by what it lets be kept and seen: a partial order with four answers.
///
/// `Docs/policy-reference.md` defines it key by key. Two rules of which each lets something that the other does not are
/// ``mixed``, and so is whatever cannot be compared.
package enum Strictness: String, CaseIterable, Sendable {
    case equal, stricter, looser, mixed

    /// What holds of two changes taken together.
    package func and(_ other: Strictness) -> Strictness {
        if self == .equal || self == other { return other }
        return other == .equal ? self : .mixed
    }

    /// The answer when old and new change places.
    package var reversed: Strictness {
        switch self {
        case .equal, .mixed: self
        case .stricter: .looser
        case .looser: .stricter
        }
    }
}

extension Strictness {
    /// Of sets of which a larger one lets more: purposes, parameters, places.
    static func ofAllowed<Element: Hashable>(_ old: Set<Element>, _ new: Set<Element>) -> Strictness
    {
        if old == new { return .equal }
        if new.isSubset(of: old) { return .stricter }
        return old.isSubset(of: new) ? .looser : .mixed
    }

    /// Of sets of which a larger one demands more: needs, opt-outs, hidden columns.
    static func ofDemanded<Element: Hashable>(_ old: Set<Element>, _ new: Set<Element>)
        -> Strictness
    { ofAllowed(new, old) }

    /// Of numbers of which a larger one lets more.
    static func ofAmount<Number: Comparable>(_ old: Number, _ new: Number) -> Strictness {
        old == new ? .equal : new < old ? .stricter : .looser
    }
}
