import CordonAudit
import CordonCatalog
import CordonEdge
import CordonJournal
import CordonKeys
import CordonLake
package import CordonModel
import Crypto
import Engine
import LinuxIO

/// Where each hit of one region is, from the edge's count to the lake as it lies there now.
///
/// Three ledgers are held against each other and against what is there: the edge's (audit log and journal), the
/// deliveries' and removals' (audit log), and the catalog's. It changes nothing, and is exact beside a running node: the
/// lake does not move meanwhile, the journal is read at one moment, and audit entries that are younger are left out.
package struct RegionBalance: Sendable {
    package let region: String
    /// By policy; hits whose policy is not known stand under an empty name.
    package internal(set) var rules: [Rule] = []
    /// What does not add up, in the order of a hit's way; empty when all balances.
    package internal(set) var findings: [Finding] = []
    /// What limits the statement.
    package internal(set) var notes: [String] = []
    /// Batches in the dead letters now.
    package internal(set) var deadLetters = 0

    /// The numbers of one policy.
    package struct Rule: Equatable, Sendable {
        package let policy: String
        /// What the edge did, by fate.
        package internal(set) var fates: [String: Int64] = [:]
        /// In the journal now.
        package internal(set) var waiting: Int64 = 0
        /// Taken out of the journal by erasure or the end of retention.
        package internal(set) var removedWaiting: Int64 = 0
        /// Became rows of the lake.
        package internal(set) var delivered: Int64 = 0
        /// Left out by a delivery because their person was erased.
        package internal(set) var leftOut: Int64 = 0
        /// Went to the dead letters.
        package internal(set) var dead: Int64 = 0
        /// Taken out of the lake by erasure or the end of retention.
        package internal(set) var removed: Int64 = 0
        /// Rows in the lake now.
        package internal(set) var present: Int64 = 0

        package var received: Int64 { fates.values.reduce(0, +) }
        package var stored: Int64 {
            HitFate.allCases.reduce(fates[Journal.relocatedFate] ?? 0) {
                $0 + ($1.isStored ? fates[$1.text] ?? 0 : 0)
            }
        }
        /// Stored by the edge, and neither waiting nor taken away nor delivered.
        package var missingBeforeLake: Int64 {
            stored - waiting - removedWaiting - delivered - leftOut - dead
        }
        /// Delivered, and neither removed nor there.
        package var missingInLake: Int64 { delivered - removed - present }

        static func + (left: Rule, right: Rule) -> Rule {
            var sum = Rule(policy: "")
            sum.fates = left.fates.merging(right.fates, uniquingKeysWith: +)
            sum.waiting = left.waiting + right.waiting
            sum.removedWaiting = left.removedWaiting + right.removedWaiting
            sum.delivered = left.delivered + right.delivered
            sum.leftOut = left.leftOut + right.leftOut
            sum.dead = left.dead + right.dead
            sum.removed = left.removed + right.removed
            sum.present = left.present + right.present
            return sum
        }
    }

    /// A stretch of a hit's way.
    package enum Stage: String, CaseIterable, Sendable {
        case ledger
        case edgeToJournal = "edge to journal"
        case journalToLake = "journal to lake"
        case lakeToNow = "lake to now"
    }

    /// Something that does not add up.
    package struct Finding: Equatable, Sendable {
        package let stage: Stage
        package let text: String
        /// Hits concerned; nil when that cannot be known.
        package let hits: Int64?
    }

    package var total: Rule { rules.reduce(Rule(policy: "")) { $0 + $1 } }
    package var isBalanced: Bool { findings.isEmpty }

    /// Adds up what there is of `region`.
    package init(_ region: RegionConfiguration, clock: any WallClock) throws {
        self.region = region.name
        // Deliveries, erasures and the end of retention wait, so that the lake and its ledger are of one moment.
        try Directory.create(region.stateDirectory)
        let lock = try FileLock(waitingFor: region.lakeLockPath, .shared)
        try withExtendedLifetime(lock) { () throws in
            var account = Account(region: region)
            try account.readJournal(lake: RegionLake.reading(region, clock: clock))
            try account.readAudit()
            self = try account.closed(self)
        }
    }

    init(region: String) { self.region = region }
}

/// The numbers while they are gathered.
private struct Account {
    let region: RegionConfiguration
    private var lake: RegionLake?
    private var rules: [String: RegionBalance.Rule] = [:]
    private var findings: [RegionBalance.Finding] = []
    private var notes: [String] = []
    private var deliveredThrough: Int64 = 0
    /// The ledger begins behind this batch.
    private var from: Int64 = 0
    private var told: Int64 = 0
    /// Hits that batches lack which wait.
    private var lostWaiting: Int64 = 0
    private var deliveries: [Int64: AuditEntry] = [:]
    private var changes: [Int64: AuditEntry] = [:]
    private var hasOlderEntries = false

    private static let readBytesMax = 16 << 20
    /// Names in a finding before the rest is only counted.
    private static let namesMax = 20
    private static let engineMegabytesMax = 512

    init(region: RegionConfiguration) { self.region = region }

    private mutating func find(_ stage: RegionBalance.Stage, _ text: String, _ hits: Int64?) {
        findings.append(.init(stage: stage, text: text, hits: hits))
    }

    private mutating func rule(
        _ policy: String, _ change: (inout RegionBalance.Rule) -> Void
    ) {
        change(&rules[policy, default: RegionBalance.Rule(policy: policy)])
    }

    // MARK: Journal

    mutating func readJournal(lake: RegionLake?) throws {
        self.lake = lake
        deliveredThrough = try lake?.table.deliveredThrough() ?? 0
        guard try File.exists(region.journalPath) else {
            if deliveredThrough > 0 {
                find(
                    .edgeToJournal,
                    "there is no journal, and the lake has batches up to \(deliveredThrough)", nil)
            }
            return
        }
        let journal = try Journal(path: region.journalPath)
        var copy = self
        try journal.snapshot { try copy.readOpen(journal) }
        self = copy
    }

    private mutating func readOpen(_ journal: Journal) throws {
        let ledger = try journal.ledger(after: BatchNumber(deliveredThrough))
        told = ledger.told
        from = ledger.from
        for count in ledger.counts {
            rule(count.policy) { $0.fates[count.fate, default: 0] += count.hits }
        }
        for count in ledger.removed { rule(count.policy) { $0.removedWaiting += count.hits } }
        if deliveredThrough > ledger.last {
            find(
                .journalToLake,
                "the lake has batches up to \(deliveredThrough), the journal has numbered only \(ledger.last): it was replaced",
                nil)
        }
        let records = try readBatches(journal, through: ledger.last)
        checkBatches(ledger, records)
    }

    /// Counts the hits that wait by policy, and returns the number of each batch's records.
    private mutating func readBatches(
        _ journal: Journal, through last: Int64
    ) throws -> [Int64: Int64] {
        var records: [Int64: Int64] = [:]
        var newest = BatchNumber(deliveredThrough)
        while true {
            let batches = try journal.read(after: newest, bytesMax: Self.readBytesMax)
            guard let latest = batches.last else { return records }
            newest = latest.number
            for stored in batches {
                if let batch = try? HitBatch(decoding: stored.bytes) {
                    for record in batch.records { rule(record.policy) { $0.waiting += 1 } }
                    records[stored.number.value] = Int64(batch.records.count)
                    continue
                }
                // It will go to the dead letters with what its tally says.
                notes.append("batch \(stored.number.value) cannot be read; delivery keeps it aside")
                records[stored.number.value] = Int64(stored.hits)
                for count in try journal.tally(of: stored.number) {
                    rule(count.policy) { $0.waiting += count.hits }
                }
            }
        }
    }

    private mutating func checkBatches(_ ledger: LedgerState, _ records: [Int64: Int64]) {
        var expectedNumber = max(deliveredThrough, ledger.from) + 1
        for batch in ledger.batches where batch.number >= expectedNumber {
            findGap(expectedNumber, batch.number)
            expectedNumber = batch.number + 1
            guard let tallied = batch.tallied else {
                find(
                    .edgeToJournal, "batch \(batch.number) has no tally: it was put there by hand",
                    batch.present)
                lostWaiting -= records[batch.number] ?? 0
                continue
            }
            let expected = tallied - batch.removed
            let present = records[batch.number] ?? 0
            guard present != expected else { continue }
            lostWaiting += expected - present
            find(
                .edgeToJournal,
                batch.present == nil
                    ? "batch \(batch.number) is gone from the journal"
                    : "batch \(batch.number) holds \(present) hits of \(expected)",
                expected - present)
        }
        findGap(expectedNumber, ledger.last + 1)
    }

    private mutating func findGap(_ expected: Int64, _ found: Int64) {
        guard expected < found else { return }
        let names =
            expected == found - 1
            ? "batch \(expected) is gone" : "batches \(expected) to \(found - 1) are gone"
        find(.edgeToJournal, names + " from the journal with what the ledger had of it", nil)
    }

    // MARK: Audit log

    mutating func readAudit() throws {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let reader = AuditReader(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey.publicKey)
        var copy = self
        var reports: Set<Int64> = []
        try reader.visit { stored in
            let entry = stored.entry
            switch entry.kind {
            case RegionLedger.kind:
                if let report = copy.takeLedger(entry, index: stored.index) {
                    reports.insert(report)
                }
            case LakeEvent.Kind.delivery.rawValue:
                if let after = entry.number(LakeEvent.afterBatch) {
                    copy.deliveries[after] = entry
                } else {
                    copy.hasOlderEntries = true
                }
            default: break
            }
            // An entry stands before its change; when a kill came between, the next change has the same number.
            if let version = entry.number(LakeEvent.tableVersion) { copy.changes[version] = entry }
        }
        self = copy
        let missing = told > 0 ? (1...told).filter { !reports.contains($0) } : []
        if !missing.isEmpty {
            find(
                .ledger, "the audit log lacks the ledger's reports \(Self.list(missing))", nil)
        }
    }

    /// Adds one entry of the edge's ledger; returns its report when it counts.
    private mutating func takeLedger(_ entry: AuditEntry, index: Int) -> Int64? {
        guard let report = entry.number(RegionLedger.reportField),
            case .text(let policy) = entry.fields["policy"]
        else {
            hasOlderEntries = true
            return nil
        }
        // Younger than the state of the journal that was read: its numbers were counted there.
        guard report <= told else { return nil }
        var sum: Int64 = 0
        for (name, value) in entry.fields {
            guard name != RegionLedger.reportField, name != "received",
                case .integer(let hits) = value
            else { continue }
            sum += Int64(hits)
            rule(policy) { $0.fates[name, default: 0] += Int64(hits) }
        }
        if entry.number("received") != sum {
            find(.ledger, "audit entry \(index) does not add up", nil)
        }
        return report
    }

    // MARK: Closing

    func closed(_ empty: RegionBalance) throws -> RegionBalance {
        var account = self
        account.addDeliveries()
        account.findUndelivered()
        try account.addLake()
        var balance = empty
        balance.rules = account.rules.values.sorted { $0.policy < $1.policy }
        balance.findings = account.findings.sorted {
            (RegionBalance.Stage.allCases.firstIndex(of: $0.stage) ?? 0)
                < (RegionBalance.Stage.allCases.firstIndex(of: $1.stage) ?? 0)
        }
        balance.notes = account.notes
        balance.deadLetters =
            try lake?.catalog.deadLetterCount(table: HitsSchema.tableName) ?? 0
        return balance
    }

    /// Follows the deliveries from the ledger's first batch to the last one that the catalog has.
    private mutating func addDeliveries() {
        if from > 0 {
            notes.append(
                "the ledger begins behind batch \(from), with which an earlier version ended")
        }
        if hasOlderEntries { notes.append("audit entries of an earlier version are left out") }
        var position = from
        while position < deliveredThrough {
            guard let entry = deliveries[position],
                let through = entry.number(LakeEvent.throughBatch),
                through > position, through <= deliveredThrough
            else {
                find(
                    .journalToLake,
                    "the audit log has no delivery of the batches \(position + 1) to \(deliveredThrough)",
                    nil)
                return
            }
            for (policy, hits) in entry.byPolicy(LakeEvent.rowsPrefix) {
                rule(policy) { $0.delivered += hits }
            }
            for (policy, hits) in entry.byPolicy(LakeEvent.leftOutPrefix) {
                rule(policy) { $0.leftOut += hits }
            }
            for (policy, hits) in entry.byPolicy(LakeEvent.deadPrefix) {
                rule(policy) { $0.dead += hits }
            }
            position = through
        }
    }

    private var total: RegionBalance.Rule {
        rules.values.reduce(RegionBalance.Rule(policy: "")) { $0 + $1 }
    }

    private mutating func findUndelivered() {
        let missing = total.missingBeforeLake - lostWaiting
        if missing > 0 {
            find(
                .journalToLake,
                "hits that the edge has stored are neither in the journal nor delivered", missing)
        } else if missing < 0 {
            find(
                .journalToLake, "more hits wait or were delivered than the edge has stored",
                missing)
        } else if lostWaiting == 0, rules[""] == nil {
            let uneven = rules.values.filter { $0.missingBeforeLake != 0 }.map(\.policy).sorted()
            if !uneven.isEmpty {
                find(
                    .journalToLake,
                    "hits have changed from one policy to another: "
                        + uneven.map { "`\($0)`" }.joined(separator: ", "), nil)
            }
        }
    }

    /// What was removed, by the audit log, and what is there, by the files.
    private mutating func addLake() throws {
        guard let lake, let head = try lake.catalog.tableHead(HitsSchema.tableName) else { return }
        let version = LakeEvent.version(of: head.metadataLocation)
        let changes = changes.filter { $0.key <= version }
        for entry in changes.values where entry.kind == LakeEvent.Kind.deadLetters.rawValue {
            for (prefix, place) in [
                (LakeEvent.rowsPrefix, \RegionBalance.Rule.delivered),
                (LakeEvent.leftOutPrefix, \RegionBalance.Rule.leftOut),
            ] {
                for (policy, hits) in entry.byPolicy(prefix) {
                    rule(policy) {
                        $0[keyPath: place] += hits
                        $0.dead -= hits
                    }
                }
            }
        }
        let incoming = [LakeEvent.Kind.delivery, .deadLetters].map(\.rawValue)
        for entry in changes.values where !incoming.contains(entry.kind) {
            for (policy, hits) in entry.byPolicy(LakeEvent.rowsPrefix) {
                rule(policy) { $0.removed += hits }
            }
            let known = entry.byPolicy(LakeEvent.rowsPrefix).reduce(0) { $0 + $1.1 }
            let unknown = (entry.number("rows-removed") ?? 0) - known
            if unknown != 0 { rule("") { $0.removed += unknown } }
        }
        let listed = try addFiles(lake)
        if from > 0 || hasOlderEntries {
            notes.append("rows that an earlier version delivered are not told from others")
            return
        }
        if version >= 0 {
            let unknown = (0...version).filter { changes[$0] == nil }
            if !unknown.isEmpty {
                find(
                    .lakeToNow,
                    "the audit log has no entry for the table's versions \(Self.list(unknown))", nil
                )
            }
        }
        let sum = total
        let missing = sum.delivered - sum.removed - listed
        if missing != 0 {
            find(
                .lakeToNow,
                missing > 0
                    ? "rows that were delivered and not removed are in no file of the table"
                    : "the table has rows that no delivery brought", missing)
        }
    }

    /// Counts the rows of each file; returns how many the table says there are.
    private mutating func addFiles(_ lake: RegionLake) throws -> Int64 {
        let snapshot = try lake.table.snapshot()
        guard !snapshot.files.isEmpty else { return 0 }
        let engine = try EngineConnection(settings: [
            ("memory_limit", "\(Self.engineMegabytesMax)MB"), ("threads", "2"),
            ("autoinstall_known_extensions", "false"), ("autoload_known_extensions", "false"),
        ])
        for file in snapshot.files {
            let name = Self.name(file.path, in: lake.table.settings.directory)
            guard try File.exists(file.path) else {
                find(.lakeToNow, "file \(name) is gone", file.records)
                continue
            }
            var rows: Int64 = 0
            do throws(EngineError) {
                let counts = try engine.query(
                    """
                    SELECT policy, count(*)
                    FROM read_parquet(\(EngineText.path(file.path)), hive_partitioning = false)
                    GROUP BY policy
                    """
                ).rows()
                for row in counts {
                    let hits = row[1].flatMap { Int64($0) } ?? 0
                    rows += hits
                    rule(row[0] ?? "") { $0.present += hits }
                }
            } catch {
                find(.lakeToNow, "file \(name) cannot be read", file.records)
                continue
            }
            if rows != file.records {
                find(
                    .lakeToNow, "file \(name) has \(rows) rows of \(file.records)",
                    file.records - rows)
            }
        }
        return snapshot.records
    }

    private static func name(_ path: String, in folder: String) -> String {
        path.hasPrefix(folder + "/") ? String(path.dropFirst(folder.utf8.count + 1)) : path
    }

    private static func list(_ numbers: [Int64]) -> String {
        let names = numbers.prefix(namesMax).map(String.init).joined(separator: ", ")
        return numbers.count > namesMax ? "\(names) and \(numbers.count - namesMax) more" : names
    }
}

extension AuditEntry {
    /// A field that is a whole number.
    fileprivate func number(_ name: String) -> Int64? {
        if case .integer(let number) = fields[name] { return Int64(number) }
        return nil
    }

    /// Fields whose names are `prefix` and a policy.
    fileprivate func byPolicy(_ prefix: String) -> [(String, Int64)] {
        fields.compactMap { name, value in
            guard name.hasPrefix(prefix), case .integer(let hits) = value else { return nil }
            return (String(name.dropFirst(prefix.utf8.count)), Int64(hits))
        }
    }
}
