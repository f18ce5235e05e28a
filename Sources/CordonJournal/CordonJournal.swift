/// The durable queue between the edge and the lake: one SQLite file a region.
///
/// A batch is in the journal once ``Journal/append(_:expecting:)`` returns: written, synced, and numbered by a
/// number that no other batch ever gets. Delivery reads in order of number and deletes what the lake has. The
/// journal also holds the suppression list, because a hit may be appended only under the list that was looked at.
///
/// It stores transformed hits and keyed digests, nothing raw, and does not look into a batch. No Foundation.
/// `Docs/formats/journal.md` draws the file. Start at ``Journal``.
package enum CordonJournal {}
