/// What one consent signal of one request says.
@frozen
package enum SignalReading: Equatable, Sendable, BitwiseCopyable {
    /// The signal is not there, or says nothing about consent.
    case silent
    /// Consent to the purposes whose bits are set.
    case granted(UInt32)
    /// Consent to nothing.
    case denied
    /// The signal is there and cannot be understood.
    case invalid

    /// The stricter of two readings: what one of them withholds stays withheld, and a fault is kept over a
    /// grant. An outright refusal stands over a fault, because both keep nothing and the refusal says why.
    @inlinable
    package func combined(with other: SignalReading) -> SignalReading {
        switch (self, other) {
        case (.silent, let reading), (let reading, .silent): reading
        case (.denied, _), (_, .denied): .denied
        case (.invalid, _), (_, .invalid): .invalid
        case (.granted(let left), .granted(let right)): .granted(left & right)
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
