internal import CordonModel

/// In what two decisions on one hit differ: a set of ``DecisionDifference``s in a machine word pair.
package struct DecisionDifferences: Equatable, Sendable, BitwiseCopyable {
    private var bits: UInt128 = 0

    package init() {}

    package var isEmpty: Bool { bits == 0 }

    package mutating func insert(_ difference: DecisionDifference) {
        bits |= 1 << UInt128(difference.index)
    }

    mutating func note(_ part: DecisionDifference.Part, _ change: DecisionDifference.Change?) {
        if let change { insert(.part(part, change)) }
    }

    /// Notes how amounts stand, of which 0 is nothing.
    mutating func note(_ part: DecisionDifference.Part, _ old: Int, _ new: Int) {
        note(part, .init(from: old, to: new))
    }

    /// Takes one out, in the order of their indices; nil when none is left.
    package mutating func next() -> DecisionDifference? {
        guard bits != 0 else { return nil }
        let index = bits.trailingZeroBitCount
        bits &= bits - 1
        return DecisionDifference(index: index)
    }
}

/// One way in which two decisions on the same hit can differ: what differs, and how the second stands to the first.
///
/// There are ``count`` of them, numbered, so that whoever counts them needs an array and no dictionary.
package struct DecisionDifference: Hashable, Sendable, BitwiseCopyable {
    package let index: Int

    /// What two decisions can differ in beside outcome and consent.
    package enum Part: Int, CaseIterable, Sendable, BitwiseCopyable {
        /// Another policy decides, whatever it says.
        case policy
        case region
        case purposes, signals
        case ip, user, visitor, userAgent, page, referrer, place, language, parameters
        case retention
        /// Days of fields that go before the hit does.
        case fieldRetention
        case sampling

        package var text: String {
            switch self {
            case .policy: "policy"
            case .region: "region"
            case .purposes: "purposes"
            case .signals: "signals"
            case .ip: "ip"
            case .user: "user"
            case .visitor: "visitor"
            case .userAgent: "user_agent"
            case .page: "page"
            case .referrer: "referrer"
            case .place: "place"
            case .language: "language"
            case .parameters: "params"
            case .retention: "retention"
            case .fieldRetention: "field_retention"
            case .sampling: "sampling"
            }
        }
    }

    /// How a part of the second decision stands to that of the first.
    package enum Change: Int, CaseIterable, Sendable, BitwiseCopyable {
        /// It was kept and is dropped.
        case removed
        /// Less of it is kept, or for a shorter time.
        case less
        /// Something else is kept.
        case other
        /// More of it is kept, or for a longer time.
        case more
        /// It was dropped and is kept.
        case added

        package var text: String {
            switch self {
            case .removed: "removed"
            case .less: "less"
            case .other: "other"
            case .more: "more"
            case .added: "added"
            }
        }

        /// How amounts stand, of which 0 is nothing.
        init?(from old: Int, to new: Int) {
            if old == new { return nil }
            self = new == 0 ? .removed : old == 0 ? .added : new < old ? .less : .more
        }
    }

    private static let outcomes = 4
    private static let states = ConsentState.allCases.count
    private static let consentStart = outcomes * outcomes
    private static let partStart = consentStart + states * states

    /// Numbers that are given out: outcomes, consents, then the changes of each part. Those that would say
    /// "as before" are among them and never occur.
    package static let count = partStart + Part.allCases.count * Change.allCases.count

    package init(index: Int) {
        precondition(index >= 0 && index < Self.count, "a difference has a number")
        self.index = index
    }

    static func outcome(from old: Decision.Outcome, to new: Decision.Outcome) -> Self {
        Self(index: Int(old.rawValue) * outcomes + Int(new.rawValue))
    }

    static func consent(from old: ConsentState, to new: ConsentState) -> Self {
        Self(index: consentStart + Int(old.rawValue) * states + Int(new.rawValue))
    }

    static func part(_ part: Part, _ change: Change) -> Self {
        Self(index: partStart + part.rawValue * Change.allCases.count + change.rawValue)
    }

    /// What differs: `outcome`, `consent`, or the name of a ``Part``.
    package var kind: String {
        if index < Self.consentStart { return "outcome" }
        if index < Self.partStart { return "consent" }
        return Part.allCases[(index - Self.partStart) / Change.allCases.count].text
    }

    /// How: `keep to count`, `granted to denied`, or the word of a ``Change``.
    package var change: String {
        if index < Self.consentStart {
            func text(_ number: Int) -> String { Decision.Outcome(rawValue: UInt8(number))!.text }
            return "\(text(index / Self.outcomes)) to \(text(index % Self.outcomes))"
        }
        if index < Self.partStart {
            let number = index - Self.consentStart
            func text(_ number: Int) -> String { ConsentState(rawValue: UInt8(number))!.text }
            return "\(text(number / Self.states)) to \(text(number % Self.states))"
        }
        return Change.allCases[(index - Self.partStart) % Change.allCases.count].text
    }
}
