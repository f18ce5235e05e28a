/// What a hit keeps that policy or an erasure lets be counted and no more: nothing by which it could be told from
/// the others of its kind, or joined to any other row.
///
/// Such a hit has no id of its own, no time but its hour, and no event whose name could number somebody. Where it stands
/// among the hits of a batch still tells when it came, until delivery sorts it in.
package enum CountedHit {
    /// The precision of its time.
    package static let microsecondsPerStep: Int64 = 3_600_000_000
    /// Longest event that it keeps, in bytes, and most digits in it: `scroll-50` is a name, an order's number is not.
    package static let eventBytesMax = 32
    package static let eventDigitsMax = 2
    /// What stands for any other event.
    package static let otherEvent: StaticString = "other"
    /// What a browser asked for ahead of the person begins with one of these, which stays.
    package static let aheadPrefixes = ["prefetch:", "prerender:"]

    /// The start of the hour.
    package static func time(_ time: Timestamp) -> Timestamp {
        var rest = time.microseconds % microsecondsPerStep
        if rest < 0 { rest += microsecondsPerStep }
        return Timestamp(microseconds: time.microseconds - rest)
    }

    /// Whether an event's name, without what stands before it, is kept.
    package static func keeps(event: Span<UInt8>) -> Bool {
        guard event.count <= eventBytesMax else { return false }
        var digits = 0
        for index in 0..<event.count where event[index] >= 0x30 && event[index] <= 0x39 {
            digits += 1
        }
        return digits <= eventDigitsMax
    }
}

extension HitRecord {
    /// Whether the record is of a hit that is only counted.
    package var isCounted: Bool { hitID == 0 }

    /// Keeps the hour, site, event, country and what is always filled.
    package mutating func becomeCount() {
        hitID = 0
        timestamp = CountedHit.time(timestamp)
        let ahead = CountedHit.aheadPrefixes.first { event.hasPrefix($0) } ?? ""
        if !CountedHit.keeps(event: Array(event.utf8.dropFirst(ahead.utf8.count)).span) {
            event = ahead + "\(CountedHit.otherEvent)"
        }
        pageHost = nil
        pagePath = nil
        referrerHost = nil
        visitor = nil
        user = nil
        keyEpoch = nil
        ipPrefix = nil
        subdivision = nil
        browser = nil
        os = nil
        device = nil
        language = nil
        purposes = []
        signals = []
        parameters = []
    }
}
