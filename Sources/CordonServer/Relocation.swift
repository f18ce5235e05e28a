import CordonAudit
import CordonCatalog
import CordonJournal
import CordonKeys
import CordonLake
package import CordonModel
import CordonPolicy
import LinuxIO

/// Moves stored hits of one region that belong to others under the rules and the geo table in force.
///
/// One commit of the region's catalog takes rows out of its table and puts what may arrive elsewhere among the outgoing
/// hits; from there the journals of the other regions take them, each batch once, and their deliveries go on. So a hit is
/// in one region at any time, whatever is killed when, and ``finish()`` goes on where a run was cut.
package struct Relocation: Sendable {
    /// A point between the effects of a run; a test throws at one to see what a kill there leaves behind.
    package enum Step: String, CaseIterable, Sendable {
        /// Rows have left the table, and are among the outgoing hits.
        case handedOver
        /// No older snapshot holds them any more.
        case expired
        /// The other region's audit log knows; its journal does not have them.
        case announced
        case taken
        /// And the region that they left has forgotten them.
        case forgotten
        /// And so has the other region their name.
        case unmarked
    }

    package let region: RegionConfiguration
    private let regions: [RegionConfiguration]
    private let lake: RegionLake
    private let clock: any WallClock
    private let moment: @Sendable (Step) throws -> Void

    /// - Parameters:
    ///   - lake: of the region that hits are moved out of.
    ///   - regions: all of the project.
    package init(
        out lake: RegionLake, regions: [RegionConfiguration], clock: any WallClock,
        moment: @escaping @Sendable (Step) throws -> Void = { _ in }
    ) {
        region = lake.region
        self.lake = lake
        self.regions = regions
        self.clock = clock
        self.moment = moment
    }

    /// What is or would be moved, and what stays though it belongs elsewhere.
    package struct Report: Sendable {
        package struct Move: Hashable, Sendable {
            package let policy: String
            package let destination: RelocationRules.Destination
        }

        package struct Count: Equatable, Sendable {
            /// Arrive with what both policies keep.
            package var moved = 0
            /// Arrive as counts alone.
            package var counted = 0
            /// Leave, and do not arrive: the new home keeps nothing of them, or they are due there.
            package var dropped = 0
        }

        package struct Refused: Hashable, Sendable {
            package let policy: String
            package let refusal: RelocationRules.Refusal
        }

        package var rows = 0
        /// Of them, those whose prefix has one place.
        package var placed = 0
        package var moves: [Move: Count] = [:]
        package var refused: [Refused: Int] = [:]
        /// Rows that an erasure which is under way is about to remove.
        package var beingErased = 0
        /// Rows that belong elsewhere and stay because they are held.
        package var held = 0
        /// Hits that wait in the journal and are looked at once they are delivered.
        package var waiting = 0
        /// Hits that an earlier run has taken out and not yet brought home.
        package var unfinished = 0

        package var isEmpty: Bool { moves.isEmpty && refused.isEmpty && unfinished == 0 }

        init() {}
    }

    /// Looks, and changes nothing.
    package func preview(_ rules: RelocationRules) throws -> Report {
        var report = Report()
        if try File.exists(region.journalPath) {
            report.waiting = try lake.journal().depth(
                after: BatchNumber(try lake.table.deliveredThrough())
            ).hits
        }
        report.unfinished = try outgoing().hits
        let tally = Tally(rules, region: region.name, today: Day(clock.now()))
        tally.suppression = try region.suppression()
        tally.opener = try RegionOpener(region)
        try lake.table.write { try $0.examine(tally.transfer) }
        report.take(tally, isRun: false)
        return report
    }

    /// Moves what may be moved: what waits in the journal is delivered first, and what was moved is readable at its new
    /// home when this returns.
    package func run(_ rules: RelocationRules) throws -> Report {
        try finish()
        if try File.exists(region.journalPath) {
            _ = try lake.table.deliver(from: lake.journal())
        }
        let tally = Tally(rules, region: region.name, today: Day(clock.now()))
        tally.opener = try RegionOpener(region)
        while true {
            // The list is read under the lock, for an erasure adds to it before it waits for the lock.
            let left = try lake.table.write { writer in
                tally.suppression = try region.suppression()
                tally.startPass()
                return try writer.handOver(tally.transfer)
            }
            guard left > 0 else { break }
            try moment(.handedOver)
            try finish()
        }
        var report = Report()
        report.take(tally, isRun: true)
        return report
    }

    /// Whether anything is on its way, and how many hits.
    package func outgoing() throws -> (batches: Int, hits: Int) {
        try lake.catalog.outgoingHits(table: HitsSchema.tableName)
    }

    /// Brings home what an earlier run has taken out; does nothing when there is nothing.
    package func finish() throws {
        guard try outgoing().batches > 0 else { return }
        let marks = try lake.catalog.outgoingMarks(table: HitsSchema.tableName)
        var arrivals: [String: Arrivals] = [:]
        // Under the lock of the region that they leave, so that two runs do not bring one batch at the same time.
        try lake.table.write { writer in
            try writer.expireAllButCurrent()
            try moment(.expired)
            while true {
                let batches = try lake.catalog.outgoing(
                    table: HitsSchema.tableName, max: Self.batchesPerRead)
                guard !batches.isEmpty else { break }
                for batch in batches {
                    let name = batch.destination
                    let open = try arrivals[name] ?? Arrivals(at: destination(name))
                    arrivals[name] = open
                    try send(batch, to: open)
                }
                try lake.catalog.removeOutgoing(batches.map(\.id), table: HitsSchema.tableName)
                try moment(.forgotten)
            }
            // Nothing is on its way, so no name can be asked for again.
            for region in try others {
                try Journal(path: region.journalPath).forgetTaken(from: self.region.name)
            }
            try moment(.unmarked)
        }
        for region in try others {
            let lake = try RegionLake(region, clock: clock)
            _ = try lake.table.deliver(from: lake.journal())
        }
        // The marks go last, so that whoever goes on after a kill does all of the above.
        try lake.table.write { _ in
            try lake.catalog.removeOutgoing(marks, table: HitsSchema.tableName)
        }
    }

    /// The regions that hits may have come to.
    private var others: [RegionConfiguration] {
        get throws {
            try regions.filter { other in
                guard other.name != region.name else { return false }
                return try File.exists(other.journalPath)
            }
        }
    }

    private static let batchesPerRead = 16

    /// Kind of the entry in the log of the region that hits arrive in.
    package static let arrivalKind = "relocation.received"

    /// Where hits arrive, opened once for all of its batches.
    private struct Arrivals {
        let journal: Journal
        let log: AuditLog

        init(at region: RegionConfiguration) throws {
            try Directory.create(region.stateDirectory)
            journal = try Journal(path: region.journalPath)
            let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
            log = try AuditLog(
                directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        }
    }

    private func send(_ batch: OutgoingBatch, to arrivals: Arrivals) throws {
        guard try !arrivals.journal.hasTaken(batch, from: region.name) else { return }
        var hits: [String: Int] = [:]
        for record in try HitBatch(decoding: batch.bytes).records {
            hits[record.policy, default: 0] += 1
        }
        var fields: [String: AuditEntry.Value] = [
            "from": .text(region.name), "batch": .text(batch.id), "hits": .integer(batch.hits),
        ]
        for (policy, count) in hits { fields[LakeEvent.rowsPrefix + policy] = .integer(count) }
        _ = try arrivals.log.append(
            AuditEntry(
                at: clock.now(), kind: Self.arrivalKind, region: batch.destination, fields: fields)
        )
        try moment(.announced)
        _ = try arrivals.journal.take(batch, from: region.name, hits: hits)
        try moment(.taken)
    }

    private func destination(_ name: String) throws -> RegionConfiguration {
        guard let region = regions.first(where: { $0.name == name }) else {
            throw RelocationError(region: region.name, destination: name)
        }
        return region
    }
}

/// Hits that are on their way cannot go on.
package struct RelocationError: Error, Equatable, Sendable, CustomStringConvertible {
    package let region: String
    package let destination: String

    package var description: String {
        "region `\(region)` has hits on their way to region `\(destination)`, which no region file names any more: put the file back"
    }
}

/// Counts what the rules say of the rows, as the lake asks.
private final class Tally {
    private let rules: RelocationRules
    private let region: String
    private let today: Day
    var suppression = Suppression()
    /// Opens what the region has sealed: elsewhere nothing could. Nil where nothing is.
    var opener: RegionOpener?
    private(set) var rows = 0
    private(set) var placed = 0
    private(set) var beingErased = 0
    private(set) var held = 0
    private(set) var moves: [Relocation.Report.Move: Relocation.Report.Count] = [:]
    private(set) var refused: [Relocation.Report.Refused: Int] = [:]
    private var verdicts: [RowTransfer.Group: RelocationRules.Verdict] = [:]

    init(_ rules: RelocationRules, region: String, today: Day) {
        self.rules = rules
        self.region = region
        self.today = today
    }

    /// Forgets what each pass counts anew: all but what has left.
    func startPass() {
        rows = 0
        placed = 0
        beingErased = 0
        held = 0
        refused = [:]
    }

    var transfer: RowTransfer {
        RowTransfer(
            ruleSet: rules.rules.digest, geoBuild: rules.geoBuild,
            mayLeave: { [self] in mayLeave($0, $1) }, fate: { [self] in try fate($0) },
            held: { [self] _ in held += 1 })
    }

    private func mayLeave(_ group: RowTransfer.Group, _ count: Int64) -> Bool {
        rows += Int(count)
        let verdict = rules.verdict(
            prefix: group.prefix, site: group.site, policy: group.policy, in: region)
        if verdict != .untellable { placed += Int(count) }
        if case .refused(let refusal) = verdict {
            refused[.init(policy: group.policy, refusal: refusal), default: 0] += Int(count)
        }
        guard case .belongs = verdict else { return false }
        verdicts[group] = verdict
        return true
    }

    private func fate(_ record: HitRecord) throws -> RowTransfer.Fate {
        let group = RowTransfer.Group(
            prefix: record.ipPrefix, site: record.site, policy: record.policy)
        guard case .belongs(let destination)? = verdicts[group] else { return .stays }
        guard !suppression.contains(user: record.user, visitor: record.visitor) else {
            beingErased += 1
            return .stays
        }
        let move = Relocation.Report.Move(policy: record.policy, destination: destination)
        let leaving = try opener?.opened(record) ?? record
        guard let arriving = rules.arriving(leaving, at: destination, today: today) else {
            moves[move, default: .init()].dropped += 1
            return .dropped
        }
        if arriving.isCounted {
            moves[move, default: .init()].counted += 1
        } else {
            moves[move, default: .init()].moved += 1
        }
        return .moved(to: destination.region, arriving)
    }
}

extension Relocation.Report {
    fileprivate mutating func take(_ tally: Tally, isRun: Bool) {
        let left = tally.moves.values.reduce(0) { $0 + $1.moved + $1.counted + $1.dropped }
        // The last pass of a run has counted what is left; a preview counts all as if it stayed.
        rows = tally.rows + (isRun ? left : 0)
        placed = tally.placed + (isRun ? left : 0)
        beingErased = tally.beingErased
        held = tally.held
        moves = tally.moves
        refused = tally.refused
    }
}
