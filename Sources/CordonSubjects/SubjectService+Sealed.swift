internal import CordonKeys
internal import CordonModel

// Keys of sealed columns: an erasure destroys them first, an export opens with them.
extension SubjectService {
    /// What the audit log and a certificate call the number of destroyed keys.
    static let keysDestroyed = "keys-destroyed"

    /// Nil in a region that never sealed anything.
    func subjectKeys() throws -> SubjectKeys? { try SubjectKeys.existing(keys) }

    /// Destroys the keys of the person's sealed columns, which nobody reads from then on.
    ///
    /// Under the lake lock: a delivery that began before the suppression has ended by then, and no later one makes keys of
    /// people on the list.
    func destroyKeys(_ request: inout SubjectRequest, _ store: RequestStore) throws {
        try lake.quietly {
            guard let subjectKeys = try subjectKeys() else { return }
            let people = SubjectKeys.Sought(
                SubjectFilter(try store.pseudonyms(of: request.id)), keys)
            let foreseen = try subjectKeys.count(of: people)
            if foreseen > 0 {
                try audit(
                    SubjectEvent(
                        kind: .keysDestroyed, request: request.id, subject: request.subject?.hex,
                        asOf: nil, counts: ["keys": foreseen]))
                // Stored first: after a kill the second run would count what is left.
                request.counts.keys = max(request.counts.keys, Int64(foreseen))
                try store.update(request)
            }
            // Also where none is left: a kill may have come before the log was cut.
            try subjectKeys.destroy(people)
            // A run that finds none may finish what one that was cut had begun: then there is a count without a time.
            if foreseen > 0 || (request.counts.keys > 0 && request.unreadableSince == nil) {
                request.unreadableSince = clock.now()
                try store.update(request)
            }
        }
    }

    /// Destroys keys that a backup brought back of people who were erased.
    func destroyErasedKeys(_ id: String) throws {
        try alone { _ in
            try lake.quietly {
                guard let subjectKeys = try subjectKeys() else { return }
                let people = SubjectKeys.Sought(erased: try ledger.contents().pseudonyms, keys)
                try audit(
                    SubjectEvent(
                        kind: .keysDestroyed, request: id, subject: nil, asOf: nil,
                        counts: ["keys": try subjectKeys.count(of: people)]))
                try subjectKeys.destroy(people)
            }
        }
    }

    /// Destroys keys of sealed columns that no hit needs any more, or whose hits can no longer be tied to anyone.
    ///
    /// Nothing goes while there is a hold: what is held must stay readable for whom it is held.
    ///
    /// - Returns: how many there were; nil when a hold keeps them all.
    package func sweepKeys() throws -> Int? {
        guard try subjectKeys() != nil else { return 0 }
        return try alone { store in
            guard try gate(store).isOpen else { return nil }
            return try subjectKeys()?.sweep(dueOn: Day(clock.now())) { count in
                try audit(
                    SubjectEvent(
                        kind: .keysSwept, request: SubjectRequest.newID(), subject: nil,
                        asOf: nil, counts: ["keys": count]))
            } ?? 0
        }
    }
}

/// Opens the sealed values of a region's rows for an export.
final class SealedRowOpener {
    private let region: String
    private let keys: SubjectKeys
    /// Keys by owner: rows of one person follow one another.
    private var known: [SubjectKeys.Owner: [SubjectKey]] = [:]
    /// Values that no key opens.
    private(set) var unopened = 0

    /// Bounds memory where the rows of many people are exported.
    private static let knownMax = 4096

    init(region: String, _ keys: SubjectKeys) {
        self.region = region
        self.keys = keys
    }

    /// The row with its values; null stands for what no key opens.
    func opened(_ row: ExportRow) throws -> ExportRow {
        guard let owner = Self.owner(row), let hit = Self.hitID(row) else { return row }
        var values = row.values
        for column in SealableColumn.allCases {
            switch values[column.rawValue] {
            case .text(let text):
                values[column.rawValue] = try value(text, column, nil, hit, owner)
            case .object(let members):
                values[column.rawValue] = .object(
                    try Dictionary(
                        uniqueKeysWithValues: members.map { key, member in
                            guard case .text(let text) = member else { return (key, member) }
                            return (key, try value(text, column, key, hit, owner))
                        }))
            default: break
            }
        }
        return ExportRow(values: values)
    }

    private func value(
        _ text: String, _ column: SealableColumn, _ parameter: String?, _ hit: UInt128,
        _ owner: SubjectKeys.Owner
    ) throws -> JSONValue {
        guard SealableColumn.isSealed(text) else { return .text(text) }
        let place = SealedPlace(region: region, column: column, parameter: parameter, hit: hit)
        for key in try candidates(owner) {
            if let opened = key.open(text, at: place) { return .text(opened) }
        }
        unopened += 1
        return .null
    }

    private func candidates(_ owner: SubjectKeys.Owner) throws -> [SubjectKey] {
        if let found = known[owner] { return found }
        if known.count >= Self.knownMax { known.removeAll() }
        let found = try keys.keys(opening: owner)
        known[owner] = found
        return found
    }

    private static func owner(_ row: ExportRow) -> SubjectKeys.Owner? {
        func pseudonym(_ column: String) -> Pseudonym? {
            guard case .text(let text) = row.values[column] else { return nil }
            return Pseudonym(text)
        }
        return SubjectKeys.Owner(user: pseudonym("user"), visitor: pseudonym("visitor"))
    }

    private static func hitID(_ row: ExportRow) -> UInt128? {
        guard case .text(let text) = row.values["hit_id"] else { return nil }
        // The same 32 digits as a pseudonym's, with hyphens between them.
        return Pseudonym(text.filter { $0 != "-" })?.value
    }
}
