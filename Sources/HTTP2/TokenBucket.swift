/// How often something may happen: at once up to a bound, and then at a rate.
struct TokenBucket {
    private let capacity: UInt64
    private let perSecond: UInt64
    /// In thousandths of a token.
    private var level: UInt64
    private var filledAt: UInt64

    /// - Parameter now: monotonic milliseconds.
    init(capacity: UInt64, perSecond: UInt64, at now: UInt64) {
        self.capacity = capacity
        self.perSecond = perSecond
        level = capacity * 1000
        filledAt = now
    }

    /// Takes one; false when there is none.
    mutating func take(at now: UInt64) -> Bool {
        if now > filledAt {
            // Longer pauses fill it anyway, and the product stays small.
            level = min(capacity * 1000, level + min(now - filledAt, 3_600_000) * perSecond)
            filledAt = now
        }
        guard level >= 1000 else { return false }
        level -= 1000
        return true
    }

    mutating func put() { level = min(capacity * 1000, level + 1000) }
}
