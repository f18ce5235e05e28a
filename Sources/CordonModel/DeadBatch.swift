/// A batch, or what is left of one, that becomes a dead letter.
package struct DeadBatch: Equatable, Sendable {
    /// Its number in the journal.
    package let batch: Int64
    /// Why it could not be delivered, in words that hold no value.
    package let reason: String
    package let bytes: [UInt8]
    /// Since when its hits are in a dead letter; nil when they become one now.
    package let since: Timestamp?

    package init(batch: Int64, reason: String, bytes: [UInt8], since: Timestamp? = nil) {
        self.batch = batch
        self.reason = reason
        self.bytes = bytes
        self.since = since
    }
}
