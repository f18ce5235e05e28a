/// Counts what waits in one journal, look by look.
///
/// Counting a long journal reads a page for each of its batches. So a look counts what was appended since the one before, and
/// everything only when batches have gone from the front, as with each delivery, or now and then, since an erasure may have
/// changed some in the middle.
package struct DepthCounter: Sendable {
    private var known: JournalDepth?
    /// The first batch that waited at the last look.
    private var first = BatchNumber.none
    private var looks = 0

    /// So many looks count everything once, however little has happened.
    package static let looksMax = 60

    package init() {}

    /// What waits now.
    package mutating func look(at journal: Journal) throws(JournalError) -> JournalDepth {
        let first = try journal.firstNumber()
        var depth: JournalDepth
        if let known, first == self.first, looks < Self.looksMax {
            depth = try journal.depth(after: known.last)
            depth.add(known)
            looks += 1
        } else {
            depth = try journal.depth()
            looks = 1
        }
        self.first = first
        known = depth
        return depth
    }
}
