package import AccessLogs
import Bytes
import Compression
import CordonAudit
package import CordonEdge
import CordonJournal
import CordonKeys
package import CordonModel
package import CordonPolicy
import Crypto
import GeoTables
import LinuxIO
import UserAgents

/// Log files on their way into the journals of this machine's regions: `cordon import`.
///
/// A file is known by the digest of its content, not by its name. Each journal remembers how many of its lines are in, in the
/// transaction that holds their hits, so a file that is given again adds nothing, and one that was cut is gone on with. A file
/// that begins with the bytes of a known one is a file of its own whose first lines are in: so what is known of a
/// content never changes when others come. The audit log hears of a file before its first line and after its last.
package final class LogImport {
    package struct Options: Sendable {
        package var format: LogFormat
        /// Columns of real-time logs; nil for all.
        package var columns: [String]?
        package var settings = HitImporter.Settings()
        package init(format: LogFormat) { self.format = format }
    }

    /// What became of one file.
    package struct FileResult: Sendable {
        package var report = ImportReport()
        /// First 16 digits of what the file is known by; it names the file in the audit log.
        package var name = ""
        /// It was in before, whole.
        package var isKnown = false
        /// Why it ended early; what the report counts is in nevertheless.
        package var failure: String?
    }

    private let options: Options
    private let regions: [RegionConfiguration]
    private let ruleSet: RuleSet
    private let clock: any WallClock
    private let logs: [AuditLog]
    private let journals: [Journal]
    private let importer: HitImporter
    private let progress: ImportProgress
    /// Held as long as this lives, so that no two imports take the same file.
    private let locks: [ImportLock]
    /// Marks of each journal, by the file's digest.
    private var marks: [[[UInt8]: ImportMark]]

    /// Opens everything that is needed; nothing is written but tables that are missing.
    ///
    /// - Parameter regions: those whose hits are kept; hits of others count as away.
    package init(
        layout: ProjectLayout, ruleSet: RuleSet, regions: [RegionConfiguration], options: Options,
        progress: ImportProgress, clock: any WallClock = SystemWallClock(),
        moment: @escaping (HitImporter.Moment) throws -> Void = { _ in }
    ) throws {
        self.options = options
        self.regions = regions
        self.ruleSet = ruleSet
        self.clock = clock
        self.progress = progress
        let now = clock.now()
        let keys = try regions.map { try RegionKeys(opening: $0.keysDirectory, region: $0.name) }
        // In one order everywhere, so that two imports never wait for each other.
        locks = try regions.map(\.stateDirectory).sorted().map {
            ImportLock(try FileLock(waitingFor: $0 + "/import.lock"))
        }
        logs = try zip(regions, keys).map { region, keys in
            try AuditLog(
                directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        }
        journals = try regions.map { try Journal(path: $0.journalPath) }
        importer = try HitImporter(
            context: EdgeContext(
                ruleSet: ruleSet, geoTable: GeoTable(mapping: layout.geoTablePath),
                userAgents: UserAgentRules.loadInstalled(), keys: keys, today: Day(now)),
            journals: journals, settings: options.settings, now: now, moment: moment)
        marks = try journals.map { journal in
            Self.byDigest(try journal.importMarks())
        }
    }

    private static func byDigest(_ marks: [ImportMark]) -> [[UInt8]: ImportMark] {
        var known = Dictionary(
            marks.map { ($0.digest, $0) }, uniquingKeysWith: { $0.lines < $1.lines ? $1 : $0 })
        // An older mark was moved from the file that it is named by to a longer one, which the size belongs to.
        for var mark in marks where known[mark.file] == nil {
            mark.digest = mark.file
            mark.bytes = 0
            mark.state = .passedOn
            known[mark.file] = mark
        }
        return known
    }

    /// Imports one file, or standard input for `-`.
    ///
    /// - Throws: what kept it from being opened or known; what ended it later is in the result.
    package func run(_ path: String) throws -> FileResult {
        path == "-" ? try runStandardInput() : try runFile(path)
    }

    private func runStandardInput() throws -> FileResult {
        let name = SecureRandom.bytes(32)
        let source = try StandardInput(progress: progress)
        let own = regions.map { _ in Taken(mark: mark(name, bytes: 0)) }
        return try bring(UnpackedSource(source), own, stays: { true })
    }

    private func runFile(_ path: String) throws -> FileResult {
        let file = try LogFile(path, progress: progress)
        let own = try takeUp(file)
        if own.allSatisfy({ $0.mark.state != .begun }) {
            var result = FileResult(name: shown(own[0].mark.digest), isKnown: true)
            result.report.linesBefore = own.map(\.mark.lines).min() ?? 0
            try finish(own.map(\.mark))
            progress.add(file.size)
            return result
        }
        let source: any ByteSource
        if try file.start(ParquetSource.magic.count) == ParquetSource.magic {
            guard options.format == .cloudFrontStandard else {
                throw LogImportError(
                    text: "`\(path)` is a Parquet file, which only the format "
                        + "`\(LogFormat.cloudFrontStandard.rawValue)` has")
            }
            source = try ParquetSource(path)
            progress.add(file.size)
        } else {
            source = try UnpackedSource(file)
        }
        return try bring(source, own, stays: { try !file.hasChanged() }, changed: file.changed.text)
    }

    private func mark(_ digest: [UInt8], bytes: Int) -> ImportMark {
        ImportMark(
            file: digest, digest: digest, bytes: bytes, lines: 0, state: .begun, decidedBy: [])
    }

    /// What one journal knows of a file.
    private struct Taken {
        var mark: ImportMark
        /// The longest of its beginnings that was imported before, when the file itself was not.
        var beginning: ImportMark?
    }

    /// What each journal knows of `file`. One that is new has the lines of the longest known beginning in (a log that has
    /// grown, an archive that was cut when it came, another one that had the same start).
    private func takeUp(_ file: LogFile) throws -> [Taken] {
        let sizes = Set(marks.flatMap { $0.values.map(\.bytes) }).filter { $0 > 0 }
        let (whole, beginnings) = try file.digests(sizes: sizes.sorted())
        let longestFirst = beginnings.sorted { $0.key > $1.key }
        return marks.map { known in
            if let mark = known[whole] { return Taken(mark: mark) }
            var taken = Taken(mark: mark(whole, bytes: file.size))
            for (size, digest) in longestFirst {
                guard let beginning = known[digest], beginning.bytes == size else { continue }
                taken.mark.lines = beginning.lines
                taken.mark.decidedBy = beginning.decidedBy
                taken.beginning = beginning
                break
            }
            return taken
        }
    }

    private func shown(_ name: [UInt8]) -> String { String(Bytes.hex(name).prefix(16)) }

    // MARK: Lines

    /// - Parameters:
    ///   - stays: whether the file is still the one that was opened.
    private func bring(
        _ source: any ByteSource, _ own: [Taken], stays: () throws -> Bool,
        changed: String = ""
    ) throws -> FileResult {
        var result = FileResult(name: shown(own[0].mark.digest))
        try tellStart(own)
        try goOn(own)
        let lines = LineReader(source)
        let reader = LogReader(options.format, columns: options.columns)
        var reached = own.map(\.mark)
        do {
            result.report = try importer.run(lines, reader, marks: reached)
            reached = importer.marks
            if try !stays() {
                result.failure = changed
                reached = try reopen(reached, open: own.map { $0.mark.state == .begun })
            }
        } catch {
            result.report = importer.partialReport
            reached = importer.marks
            result.failure = "\(error)"
        }
        remember(reached)
        if result.failure == nil { try finish(reached) }
        for (region, log) in zip(regions, logs) {
            try RegionLedger(region: region, log: log, clock: clock).tell(includingOpenMinute: true)
        }
        return result
    }

    /// Writes the marks of files that go on behind a beginning.
    private func goOn(_ own: [Taken]) throws {
        for slot in own.indices {
            guard let beginning = own[slot].beginning else { continue }
            try journals[slot].put(own[slot].mark, behind: beginning)
            marks[slot][own[slot].mark.digest] = own[slot].mark
            if beginning.state == .begun { marks[slot][beginning.digest]?.state = .passedOn }
        }
    }

    /// Takes back that the file is whole, where this run says so.
    private func reopen(_ reached: [ImportMark], open: [Bool]) throws -> [ImportMark] {
        var reached = reached
        for slot in reached.indices where open[slot] {
            reached[slot].state = .begun
            try journals[slot].put(reached[slot])
        }
        return reached
    }

    private func remember(_ own: [ImportMark]) {
        for (slot, mark) in own.enumerated() { marks[slot][mark.digest] = mark }
    }

    // MARK: Audit

    private func tellStart(_ own: [Taken]) throws {
        for (taken, log) in zip(own, logs) where taken.mark.state == .begun {
            var fields: [String: AuditEntry.Value] = [
                "file": .text(Bytes.hex(taken.mark.file)),
                "digest": .text(Bytes.hex(taken.mark.digest)),
                "bytes": .integer(taken.mark.bytes),
                "format": .text(options.format.rawValue),
                "after_line": .integer(taken.mark.lines),
                "rule_set": .text(ruleSet.digest),
                "unlogged_signals": .text(
                    options.settings.takesUnloggedAsAbsent ? "absent" : "deny"),
            ]
            if let beginning = taken.beginning {
                fields["begins_with"] = .text(Bytes.hex(beginning.file))
            }
            try log.append(
                AuditEntry(
                    at: clock.now(), kind: "import.started", region: log.region, fields: fields))
        }
    }

    /// Tells each region what became of the file's lines, over all runs, and remembers that it was told.
    private func finish(_ own: [ImportMark]) throws {
        for slot in own.indices where own[slot].state == .whole {
            let counts = try journals[slot].importCounts(of: own[slot].file)
            try logs[slot].append(entries(own[slot], counts, region: regions[slot].name))
            var mark = own[slot]
            mark.state = .told
            try journals[slot].put(mark)
            marks[slot][mark.digest] = mark
        }
    }

    /// One entry for the file, with its lines that were no hits, and one for each policy.
    private func entries(
        _ mark: ImportMark, _ counts: [ImportCount], region: String
    ) -> [AuditEntry] {
        Set(counts.map(\.policy) + [""]).sorted().map { policy in
            var fields: [String: AuditEntry.Value] = [
                "file": .text(Bytes.hex(mark.file)), "lines": .integer(mark.lines),
            ]
            if !policy.isEmpty { fields["policy"] = .text(policy) }
            for count in counts where count.policy == policy {
                fields[count.outcome.replacing(" ", with: "-")] = .integer(count.lines)
            }
            return AuditEntry(at: clock.now(), kind: "import.file", region: region, fields: fields)
        }
    }
}

/// A log file cannot be imported as asked.
package struct LogImportError: Error, CustomStringConvertible {
    package let text: String
    package var description: String { text }
}

/// Holds one region's lock.
private final class ImportLock: Sendable {
    private let lock: FileLock
    init(_ lock: consuming FileLock) { self.lock = lock }
}
