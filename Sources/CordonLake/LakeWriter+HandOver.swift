import Bytes
package import CordonModel
import Iceberg
import LinuxIO

/// Which rows leave the table for other regions, and what they become there.
package struct RowTransfer {
    /// What the rows have in common by which it is decided whether they belong elsewhere.
    package struct Group: Hashable, Sendable {
        package var prefix: String?
        package var site: String
        package var policy: String

        package init(prefix: String?, site: String, policy: String) {
            self.prefix = prefix
            self.site = site
            self.policy = policy
        }
    }

    package enum Fate {
        case stays
        /// The row goes, and nothing of it arrives anywhere.
        case dropped
        case moved(to: String, HitRecord)
    }

    /// Whether rows of a group may leave; asked once for each group of each file, with how many rows it has there.
    package var mayLeave: (Group, Int64) -> Bool
    /// What becomes of a row of such a group. It sees the row with its pseudonyms; what it makes of it has none.
    package var fate: (HitRecord) throws -> Fate
    /// Told of each row of such a group that a hold keeps where it is.
    package var held: (HitRecord) -> Void
    /// Rule set and geo table that fates are decided by.
    package var ruleSet: String
    package var geoBuild: String

    package init(
        ruleSet: String, geoBuild: String, mayLeave: @escaping (Group, Int64) -> Bool,
        fate: @escaping (HitRecord) throws -> Fate, held: @escaping (HitRecord) -> Void = { _ in }
    ) {
        self.ruleSet = ruleSet
        self.geoBuild = geoBuild
        self.mayLeave = mayLeave
        self.fate = fate
        self.held = held
    }
}

extension LakeWriter {
    /// Rows that one commit takes out at most, in whole batches: bounds memory.
    package static let handOverRowsMax = 100_000
    /// Hits of one outgoing batch.
    fileprivate static let hitsPerOutgoingBatch = 1000

    /// Looks at every row that ``handOver(_:rowsMax:)`` would take, and changes nothing.
    package func examine(_ transfer: RowTransfer) throws {
        let gate = try table.gate()
        for file in try dataFiles() {
            try leaving(file, transfer, gate, rowsMax: .max) { _, record in
                _ = try transfer.fate(record)
                return true
            }
        }
    }

    /// Takes rows that leave out of the table, at most about `rowsMax`, and makes them outgoing batches, in one commit.
    ///
    /// Rows that are held do not leave. Those that leave stay on disk, reachable by older snapshots, until ``expireAllButCurrent()``; a mark among the outgoing
    /// batches says so until somebody takes it away.
    ///
    /// - Returns: rows that left; 0 when none is left to leave.
    package func handOver(
        _ transfer: RowTransfer, rowsMax: Int = LakeWriter.handOverRowsMax
    ) throws -> Int {
        let gate = try table.gate()
        var load = HandOverLoad()
        var touched: [(file: DataFileRef, rows: [Int64])] = []
        for file in try dataFiles() where load.rows < rowsMax {
            var numbers: [Int64] = []
            try leaving(file, transfer, gate, rowsMax: rowsMax - load.rows) { number, record in
                switch try transfer.fate(record) {
                case .stays: return false
                case .dropped: load.dropped += 1
                case .moved(let region, let moved):
                    precondition(
                        moved.user == nil && moved.visitor == nil && moved.keyEpoch == nil,
                        "a pseudonym means nothing in another region")
                    load.moved[region, default: []].append(moved)
                }
                load.rows += 1
                load.rowsByPolicy[record.policy, default: 0] += 1
                numbers.append(number)
                return true
            }
            if !numbers.isEmpty { touched.append((file, numbers)) }
        }
        guard !touched.isEmpty else { return 0 }
        let added = try rewrite(touched)
        _ = try commit(
            LakeChange(
                operation: added.isEmpty ? .delete : .overwrite, added: added,
                removed: Set(touched.map { TableFiles.uri(of: $0.file.path) }),
                outgoing: load.batches(transfer),
                event: LakeEvent(
                    kind: .relocation,
                    counts: load.counts(filesBefore: touched.count, filesAfter: added.count))))
        return load.rows
    }

    /// Writes each file anew without the rows of these numbers; one that keeps none has no successor.
    private func rewrite(
        _ touched: [(file: DataFileRef, rows: [Int64])]
    ) throws -> [DataFile] {
        let replaced = touched.filter { Int64($0.rows.count) < $0.file.records }
        let paths = replaced.map { newDataPath(day: $0.file.day) }
        if !paths.isEmpty {
            try catalog.noteWriting(paths.map(TableFiles.uri), table: name)
            try table.step(.dataFilesNoted)
        }
        var added: [DataFile] = []
        for batch in Array(zip(replaced, paths)).batches(of: Self.filesAtATimeMax) {
            var new: [NewDataFile] = []
            for (old, path) in batch {
                try Directory.create(File.parent(of: path))
                let rest = try engine().withoutRows(old.rows) {
                    try writeRest(of: old.file.path, where: $0, to: path)
                }
                try table.step(.dataFileWritten)
                new.append(
                    NewDataFile(
                        path: path, day: old.file.day, retainUntil: old.file.retainUntil,
                        rows: old.file.records - Int64(old.rows.count), rest: rest))
            }
            added += try finishDataFiles(new)
        }
        return added
    }

    /// Calls `body` with the rows of a file that may leave and are not held, by number, until it has taken `rowsMax` of them.
    private func leaving(
        _ file: DataFileRef, _ transfer: RowTransfer, _ gate: RemovalGate, rowsMax: Int,
        _ body: (Int64, HitRecord) throws -> Bool
    ) throws {
        let groups = try engine().groups(in: file.path).filter { transfer.mayLeave($0, $1) }
        guard !groups.isEmpty else { return }
        try engine().records(of: groups.map(\.0), in: file.path, rowsMax: rowsMax) {
            number, record in
            // What is held stays where it is.
            if gate.holds(record) {
                transfer.held(record)
                return false
            }
            return try body(number, record)
        }
    }
}

/// What one commit takes out.
private struct HandOverLoad {
    var rows = 0
    var dropped = 0
    var rowsByPolicy: [String: Int] = [:]
    var moved: [String: [HitRecord]] = [:]

    func counts(filesBefore: Int, filesAfter: Int) -> [String: Int] {
        var counts = [
            "rows-removed": rows, "rows-dropped": dropped, "files-before": filesBefore,
            "files-after": filesAfter,
        ]
        for (policy, count) in rowsByPolicy { counts[LakeEvent.rowsPrefix + policy] = count }
        for (region, records) in moved {
            counts[LakeEvent.destinationPrefix + region] = records.count
        }
        return counts
    }

    /// A mark, and the hits by region.
    func batches(_ transfer: RowTransfer) -> [OutgoingBatch] {
        var batches = [OutgoingBatch(id: Self.id(), destination: "", hits: 0, bytes: [])]
        for (region, records) in moved.sorted(by: { $0.key < $1.key }) {
            for start in stride(from: 0, to: records.count, by: LakeWriter.hitsPerOutgoingBatch) {
                let end = min(start + LakeWriter.hitsPerOutgoingBatch, records.count)
                let batch = HitBatch(
                    ruleSet: transfer.ruleSet, geoBuild: transfer.geoBuild,
                    records: Array(records[start..<end]))
                batches.append(
                    OutgoingBatch(
                        id: Self.id(), destination: region, hits: end - start,
                        bytes: batch.encoded))
            }
        }
        return batches
    }

    private static func id() -> String {
        Bytes.hex((0..<16).map { _ in UInt8.random(in: .min ... .max) })
    }
}
