/// What a request says to the audit log; `CordonServer` makes an entry of it. Holds counts, dates and digests only.
package struct SubjectEvent: Equatable, Sendable {
    package enum Kind: String, CaseIterable, Sendable {
        /// Before rows are shown.
        case find = "subject-find"
        case export = "subject-export"
        case verify = "subject-verify"
        /// Before anything changes.
        case erasureIntent = "erasure-intent"
        /// Before the keys of the person's sealed columns are destroyed.
        case keysDestroyed = "subject-keys-destroyed"
        /// Before keys go that no hit needs, or whose hits can be tied to nobody.
        case keysSwept = "subject-keys-swept"
        /// After everything was read and nothing was found, before anybody is told.
        case erased
        /// Before consent is taken back from what is there, and after it was.
        case rectificationIntent = "rectification-intent"
        case rectified = "consent-rectified"
        /// A rectification waits for a hold.
        case rectificationHeld = "rectification-held"
        case retentionIntent = "retention-intent"
        case retentionApplied = "retention-applied"
        /// Before a hold forbids, and before it no longer does.
        case holdAdded = "hold-added"
        case holdReleased = "hold-released"
        /// An erasure waits for a hold.
        case erasureHeld = "erasure-held"
        /// Before the person's new hits are no longer kept.
        case objection = "subject-objection"
        /// Before the person's hits are no longer used, and before they are again.
        case restricted = "subject-restricted"
        case restrictionLifted = "subject-restriction-lifted"
    }

    package let kind: Kind
    /// The request's id.
    package let request: String
    /// Keyed digest of the person in hexadecimal; nil for retention.
    package let subject: String?
    /// The day that retention counts from.
    package let asOf: String?
    package let counts: [String: Int]
    /// The purposes that consent was taken back for; nil for everything else.
    package var purposes: [String]?
    /// SHA-256 of the statement that an erasure's certificate will hold; nil for everything else.
    package var certificate: String?
}
