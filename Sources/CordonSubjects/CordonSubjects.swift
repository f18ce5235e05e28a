/// Requests about persons: find, export, erase, verify; and the end of retention.
///
/// A request runs in small steps. Each is idempotent and is recorded when it is done, so a request that was cut at any
/// point goes on where it stood, and a region says "erased" only when everything in it has been read and holds
/// nothing of the person. The id itself is never stored: requests know a person by a keyed digest and, while they are
/// unfinished, by masked pseudonyms.
///
/// The lake is known only as ``SubjectLake``. Start at ``SubjectService`` and ``RequestStep``; ``DiskScan`` is the
/// search that proves absence.
package enum CordonSubjects {}

/// Why a request cannot be carried out, or not yet. Names no one.
package enum SubjectError: Error, Equatable, Sendable, CustomStringConvertible {
    /// More of the region's rows would go than was allowed.
    case shareExceeded(region: String, rows: Int64, of: Int64, percentMax: Double)
    /// Keys were made since the request was; only who knows the id can tell the new pseudonyms.
    case needsIdentifier(request: String)
    /// The region still holds the person; the request goes on from suppression when it is resumed.
    case tracesLeft(region: String, paths: [String])
    /// A hold forbids it; the request waits for its release.
    case held(region: String, holds: [String])
    /// The ledger of those who were erased is none, or of another region.
    case foreignLedger(path: String)
    case damagedLedger(path: String, record: Int)
    /// Only who has a user id can be told among new hits.
    case namesNoUser
    /// There is no hold or restriction of this id that is in force.
    case notInForce(id: String)
    /// A hold names a column that the table has not.
    case unknownColumn(name: String, known: [String])
    /// Nothing can be said of what could not be read.
    case unread(region: String, paths: [String])
    /// The store was made by a later version, or is none.
    case foreignStore(path: String)
    case damagedStore(path: String)
    /// The day lies ahead, so rows would go that are not due.
    case notDueYet(asOf: String, today: String)

    package var description: String {
        switch self {
        case .shareExceeded(let region, let rows, let total, let max):
            "region `\(region)`: \(rows) of \(total) rows would go, more than \(max) %: "
                + "is the id that of one person? `--allow-share PERCENT` allows more"
        case .needsIdentifier(let request):
            "request `\(request)` was cut before the suppression and new keys exist since: "
                + "run `cordon subject erase` with the id again"
        case .tracesLeft(let region, let paths):
            "region `\(region)` still holds the person in \(paths.joined(separator: ", ")): "
                + "not erased; remove what does not belong there and run `cordon subject erase --resume`"
        case .held(let region, let holds):
            "region `\(region)`: held by \(holds.joined(separator: ", ")): nothing was removed; "
                + "it goes on when `cordon hold release`, of a restriction `cordon subject unrestrict`, lets it"
        case .foreignLedger(let path):
            "`\(path)` is not a ledger of people who were erased"
        case .damagedLedger(let path, let record):
            "record \(record) of `\(path)` was not written under this region's key: "
                + "it is damaged, or a ledger of another region"
        case .namesNoUser:
            "an objection needs a user id: new hits of a visitor or a pseudonym cannot be told for good"
        case .notInForce(let id):
            "`\(id)` is in force in none of these regions: `cordon hold list` has those that are"
        case .unknownColumn(let name, let known):
            "the table has no column `\(name)`; it has \(known.joined(separator: ", "))"
        case .unread(let region, let paths):
            "region `\(region)`: \(paths.count) file(s) could not be read, so nothing can be said of them: "
                + paths.joined(separator: "; ")
        case .foreignStore(let path):
            "`\(path)` is not a request store of this version"
        case .damagedStore(let path):
            "the request store `\(path)` holds something that this program never wrote"
        case .notDueYet(let asOf, let today):
            "\(asOf) lies ahead of today, \(today): rows would go before they are due"
        }
    }
}
