/// What one consent signal of one request says.
@frozen
package enum SignalReading: Equatable, Sendable, BitwiseCopyable {
    /// The signal is not there, or says nothing about consent.
    case silent
    /// Consent to the purposes whose bits are set, and to no other.
    case granted(UInt32)
    /// Consent to some purposes, refusal of others, nothing about the rest; no purpose is in both.
    case mixed(granted: UInt32, denied: UInt32)
    /// Consent to nothing.
    case denied
    /// The signal is there and cannot be understood.
    case invalid

    /// Consent to some purposes and refusal of others, which wins where both are said.
    @inlinable
    package static func says(granted: UInt32, denied: UInt32) -> SignalReading {
        granted | denied == 0 ? .silent : .mixed(granted: granted & ~denied, denied: denied)
    }

    /// The stricter of two readings: what one of them withholds stays withheld, and a fault is kept over a
    /// grant. An outright refusal stands over a fault, because both keep nothing and the refusal says why.
    @inlinable
    package func combined(with other: SignalReading) -> SignalReading {
        switch (self, other) {
        case (.silent, let reading), (let reading, .silent): reading
        case (.denied, _), (_, .denied): .denied
        case (.invalid, _), (_, .invalid): .invalid
        case (.granted(let left), .granted(let right)): .granted(left & right)
        case (.granted(let granted), .mixed(_, let denied)),
            (.mixed(_, let denied), .granted(let granted)):
            .granted(granted & ~denied)
        case (.mixed(let left, let noLeft), .mixed(let right, let noRight)):
            .says(granted: left | right, denied: noLeft | noRight)
        }
    }
}

/// A header that a browser sends to refuse: `Sec-GPC` (Global Privacy Control, W3C) and `DNT` (Tracking
/// Preference Expression, W3C note).
package enum PreferenceHeader {
    /// Reads a header's value. `1` refuses. `0` says nothing: it is the absence of a refusal, and the law asks for
    /// more than that. Anything else is a fault.
    package static func read(_ bytes: Span<UInt8>, _ range: Range<Int>) -> SignalReading {
        guard range.count == 1 else { return .invalid }
        return switch bytes[range.lowerBound] {
        case 0x31: .denied
        case 0x30: .silent
        default: .invalid
        }
    }
}
