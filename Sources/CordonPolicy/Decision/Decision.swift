package import CordonModel

/// What the consent signals of one request amount to under one policy.
package struct ConsentOutcome: Equatable, Sendable, BitwiseCopyable {
    package var state: ConsentState
    /// Purposes the hit may be used for: bit `n` is purpose `n` of ``BoundRules/purposes``. Under an absent consent
    /// this is what the policy's `when_absent` gives.
    package var purposes: UInt32
    /// Signals that said something: bit `n` is signal `n` of ``BoundRules/signals``.
    package var signals: UInt32

    package init(state: ConsentState, purposes: UInt32, signals: UInt32) {
        self.state = state
        self.purposes = purposes
        self.signals = signals
    }
}

/// What may be kept of one hit, and where: the whole answer of the rules.
///
/// A small plain value: what it says of names stands in ``BoundRules`` under the indices given here. A field
/// that is not to be kept is dropped, whatever the request held.
package struct Decision: Equatable, Sendable, BitwiseCopyable {
    package enum Outcome: UInt8, Sendable, BitwiseCopyable {
        /// Keep the hit with the fields said here.
        case keep
        /// Keep the hour, site, event and country (if `place` says so) alone.
        case count
        /// Keep nothing, because of consent.
        case drop
        /// Keep nothing, because policy admits no hit of this place.
        case refuse

        /// The word that `policy explain` prints.
        package var text: String {
            switch self {
            case .keep: "keep"
            case .count: "count"
            case .drop: "drop"
            case .refuse: "refuse"
            }
        }
    }

    package enum Page: UInt8, Sendable, BitwiseCopyable { case drop, host, path }
    package enum Place: UInt8, Sendable, BitwiseCopyable { case drop, country, subdivision }

    package var outcome = Outcome.refuse
    /// Index into ``BoundRules/policies``.
    package var policy = 0
    /// Index into ``BoundRules/regions``; -1 when the outcome is ``Outcome/refuse``.
    package var region = -1
    package var consent = ConsentOutcome(state: .invalid, purposes: 0, signals: 0)
    /// Leading bits of an address that are kept; 0 drops it.
    package var ipv4Bits: UInt8 = 0
    package var ipv6Bits: UInt8 = 0
    /// Period of the pseudonym's key; nil drops the user.
    package var user: KeyPeriod?
    package var visitor: KeyPeriod?
    package var keepsUserAgentFamily = false
    package var keepsReferrerHost = false
    package var keepsLanguage = false
    package var page = Page.drop
    package var place = Place.drop
    /// Query parameters of the page that stay in its path: indices into ``BoundRules/parameterNames``, sorted by
    /// name; empty unless `page` is ``Page/path``.
    package var pageParameters = IndexRange()
    /// Parameters of the hit that are kept: indices into ``BoundRules/parameterNames``, sorted by name.
    package var parameters = IndexRange()
    /// Days from the hit's own day to its `retain_until`, the first day on which it is no longer readable.
    package var retainDays: Int32 = 0
    /// Of a million hits, how many are kept.
    package var samplingPerMillion: UInt32 = 1_000_000

    package init() {}

    /// Whether the hit is kept with its fields. Asked at each hit, by a pattern, because `==` of another module's enum calls
    /// through its witness table.
    package var isKept: Bool {
        if case .keep = outcome { true } else { false }
    }

    /// Keeps the hour, site, event and, if the place was kept, the country.
    package mutating func becomeCount() {
        outcome = .count
        keepOnlyPlace()
        if place == .subdivision { place = .country }
    }

    /// Drops every field but the place.
    mutating func keepOnlyPlace() {
        ipv4Bits = 0
        ipv6Bits = 0
        user = nil
        visitor = nil
        keepsUserAgentFamily = false
        keepsReferrerHost = false
        keepsLanguage = false
        page = .drop
        pageParameters = .init()
        parameters = .init()
    }

    /// The value of the column `sample_rate`.
    package var sampleRate: Float { Float(samplingPerMillion) / 1_000_000 }

    /// A half-open range of indices in a quarter of a `Range<Int>`.
    package struct IndexRange: Equatable, Sendable, BitwiseCopyable {
        private var start: UInt16 = 0
        private var end: UInt16 = 0

        /// Greatest index: the parameter names of all policies stand in one list.
        package static let indexMax = Int(UInt16.max)

        package init() {}
        package init(_ range: Range<Int>) {
            start = UInt16(range.lowerBound)
            end = UInt16(range.upperBound)
        }

        package var range: Range<Int> { Int(start)..<Int(end) }
        package var isEmpty: Bool { start == end }
    }
}
