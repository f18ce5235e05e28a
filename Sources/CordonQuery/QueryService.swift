package import ArrowIPC
internal import Bytes
package import CordonModel
package import CordonPolicy
internal import Crypto
internal import Engine
internal import Foundation
internal import LinuxIO

/// A question of a principal.
package struct QueryRequest: Sendable {
    package var sql: String
    /// Values for its parameters, the first for `$1`.
    package var parameters: [QueryParameter]
    package var principal: Principal
    package var format: QueryFormat
    package var limits: QueryLimits
    /// Whether each row of an Arrow answer stands behind its region's name.
    var namesRegion = false
    /// What ends the query before its time, if anything may.
    package var cancellation: QueryCancellation?
    /// Whether only the columns of the answer are wanted: no file is opened then.
    var describes = false

    package init(
        sql: String, parameters: [QueryParameter] = [], principal: Principal,
        format: QueryFormat = .table, limits: QueryLimits = QueryLimits(),
        cancellation: QueryCancellation? = nil
    ) {
        self.sql = sql
        self.parameters = parameters
        self.cancellation = cancellation
        self.principal = principal
        self.format = format
        self.limits = limits
    }
}

/// A region as the query layer needs it; whoever knows the lake, the journal and the audit log supplies it.
package protocol QueryRegion {
    var name: String { get }
    /// ISO 3166 code of the country that the region stands in.
    var jurisdiction: String { get }
    /// A folder of the region for what queries spill to disk.
    var scratchDirectory: String { get }
    /// Columns that hold nothing which a query could open: shown as null to everybody.
    var sealedColumns: Set<String> { get }
    /// The data files of the present snapshot.
    func files() throws -> [QueryFile]
    /// Pseudonyms whose rows must not be seen although they may still stand in files.
    func suppressedPseudonyms() throws -> [SuppressedPseudonym]
    /// Appends an entry to the region's audit log; returns when it is durable.
    func record(_ entry: QueryAuditEntry) throws
}

/// A data file of the lake.
package struct QueryFile: Equatable, Sendable {
    package var path: String
    /// Value of the partition field `retain_until`, when all rows of the file have one.
    package var retainUntil: Day?
    /// Columns that it has not, since it is older than they are.
    package var lacking: Set<String>
    /// Day of `ts` in UTC, when all rows of the file have one.
    package var day: Day?
    /// How many rows it has; nil when that is not known.
    package var rows: Int?
    /// Between which texts every `site` lies; nil when that is not known.
    package var sites: TextBounds?

    package init(
        path: String, retainUntil: Day?, lacking: Set<String> = [], day: Day? = nil,
        rows: Int? = nil, sites: TextBounds? = nil
    ) {
        self.path = path
        self.retainUntil = retainUntil
        self.lacking = lacking
        self.day = day
        self.rows = rows
        self.sites = sites
    }
}

package struct SuppressedPseudonym: Equatable, Sendable {
    /// The column that may hold it.
    package enum Column: String, CaseIterable, Sendable { case user, visitor }
    package var column: Column
    package var pseudonym: Pseudonym

    package init(column: Column, pseudonym: Pseudonym) {
        self.column = column
        self.pseudonym = pseudonym
    }
}

/// What the audit log learns of a query: never its text.
package struct QueryAuditEntry: Equatable, Sendable {
    package enum Outcome: String, Sendable { case answered, refused, failed }

    package var at: Timestamp
    package var region: String
    package var principal: Principal
    package var outcome: Outcome
    /// The rules that granted or refused, as `file:line`; a refusal by no file names its check.
    package var rules: [String]
    /// Rows of the answer; 0 when there is none.
    package var rowCount: Int
    /// Files that could be read.
    package var fileCount: Int
    package var format: QueryFormat
    /// Hexadecimal SHA-256 of the salt, the text as it was asked and the values of its parameters.
    package var statementDigest: String
    /// 16 random bytes in hexadecimal, so that equal questions do not show as equal.
    package var salt: String
}

/// An answered query.
package struct QueryAnswer: Sendable {
    package enum Body: Sendable {
        /// For the form `table`: texts by row, nil where null.
        case cells([[String?]])
        /// Bytes to print as they are: CSV, a JSON object a line, or messages of the PostgreSQL protocol.
        case text([UInt8])
        /// An Arrow stream.
        case arrow(ArrowStreamParts)
        /// A Parquet file that now belongs to the caller.
        case file(path: String)
    }
    package var columns: [String]
    /// The columns with their types, for the form `postgres` alone.
    package var typedColumns: [QueryColumn]
    package var rowCount: Int
    package var body: Body
    package var access: Access
    /// What held the child; see ``WorkerSummary``.
    package var confinement: String
}

/// Why a query was neither answered nor refused. Nothing in it quotes a row.
package struct QueryError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The query is at fault: a name that is not there, types that do not fit, a value that does not convert.
        case query
        /// It asks for more time, memory or rows than it may have.
        case limits
        /// Whoever asked has ended it.
        case cancelled
        /// The kernel cannot confine the child.
        case unconfined
        /// The audit log could not be written, so nothing is shown.
        case audit
        /// A file, the engine or the child failed.
        case world
    }
    /// What exactly, where callers tell it apart.
    package enum Cause: String, Sendable {
        /// A value that cannot be converted or is out of range.
        case value
        case time, memory, scratch
        /// Rows or bytes of the result.
        case size
    }
    package let code: Code
    package let text: String
    package var cause: Cause?
    package var description: String { text }
}

/// Answers or refuses queries over one region.
package struct QueryService {
    let policies: [CompiledPolicy]
    private let clock: any WallClock
    let child: QueryChild
    let allowsUnsandboxed: Bool
    let gate: QueryGate

    /// - Parameters:
    ///   - policies: the rule set's policies; those of other regions are ignored.
    ///   - child: runs the statements; services may share one.
    ///   - allowsUnsandboxed: whether to answer where the kernel has no Landlock or seccomp.
    package init(
        policies: [CompiledPolicy], clock: any WallClock, child: QueryChild = QueryChild(),
        allowsUnsandboxed: Bool = false
    ) throws {
        self.policies = policies
        self.clock = clock
        self.allowsUnsandboxed = allowsUnsandboxed
        self.child = child
        gate = try QueryGate()
    }

    fileprivate static let unsandboxedVariable = "CORDON_ALLOW_UNSANDBOXED"

    /// Whether who runs this process allows answers without a sandbox.
    package static var environmentAllowsUnsandboxed: Bool {
        ProcessInfo.processInfo.environment[unsandboxedVariable] == "1"
    }

    package enum Outcome: Sendable {
        case answered(QueryAnswer)
        case refused(Refusal)
    }

    /// Takes a query through all checks, runs it, and has it in the audit log before this returns. Blocks.
    ///
    /// - Parameter destination: where a Parquet result is put; needed for that form alone.
    package func run(
        _ request: QueryRequest, in region: any QueryRegion, destination: String? = nil
    ) throws -> Outcome {
        precondition(
            (request.format == .parquet) == (destination != nil), "a file goes with Parquet alone")
        let audit = AuditDraft(request, region.name)
        do {
            let outcome = try checked(request, region, destination, audit)
            return outcome
        } catch let error as QueryError where error.code != .audit {
            try record(audit.entry(.failed, at: clock.now(), rules: [error.code.rawValue]), region)
            throw error
        }
    }

    private func checked(
        _ request: QueryRequest, _ region: any QueryRegion, _ destination: String?,
        _ audit: AuditDraft
    ) throws -> Outcome {
        func refused(_ refusal: Refusal) throws -> Outcome {
            let rule = refusal.file.flatMap { file in refusal.line.map { "\(file):\($0)" } }
            try record(
                audit.entry(.refused, at: clock.now(), rules: [rule ?? refusal.rule]), region)
            return .refused(refusal)
        }
        let access: Access
        switch decision(request, region) {
        case .granted(let granted): access = granted
        case .refused(let refusal): return try refused(refusal)
        }
        let statement: Gated
        do {
            statement = try gated(request, access)
        } catch let error as QueryParameter.Invalid {
            throw QueryError(error)
        } catch let error as QueryGate.Refused {
            return try refused(error.refusal)
        } catch let error as GroupGuard.Refused {
            return try refused(minGroupRefusal(access, error.text))
        }
        let today = Day(clock.now())
        let answer = try answer(request, region, access, statement, today, destination)
        // Of what was not read there is nothing to tell.
        if request.describes { return .answered(answer.shown(access)) }
        if access.isHeldToGroups && answer.rowCount == 0 {
            if case .file(let path) = answer.body { _ = try File.remove(path) }
            return try refused(
                minGroupRefusal(
                    access,
                    "no group is left in the result"))
        }
        do {
            try record(
                audit.entry(
                    .answered, at: clock.now(), rules: access.rules, rowCount: answer.rowCount,
                    fileCount: answer.fileCount), region)
        } catch {
            if case .file(let path) = answer.body { _ = try File.remove(path) }
            throw error
        }
        return .answered(answer.shown(access))
    }

    /// What the policies of a region let the principal see.
    func decision(_ request: QueryRequest, _ region: any QueryRegion) -> AccessDecision {
        AccessDecision(
            for: request.principal, in: region.name, jurisdiction: region.jurisdiction,
            under: policies)
    }

    /// What runs, written by the engine.
    private struct Gated {
        var exact: String
        /// The same with quick guards, where there are any that may do.
        var quick: String?
        var pruning: FilePruning
    }

    /// The statement that runs: checked, held to groups where it must be.
    private func gated(_ request: QueryRequest, _ access: Access) throws -> Gated {
        let tree = try gate.check(request.sql, request.parameters)
        // What the engine will take for today, whatever the service's clock says.
        let pruning = FilePruning(
            tree, today: Day(Timestamp(microseconds: SystemClock.realtimeMicroseconds())))
        guard access.isHeldToGroups else {
            return Gated(exact: try gate.render(tree), pruning: pruning)
        }
        let exact = try gate.render(GroupGuard().guarding(tree))
        guard access.grants.allSatisfy({ $0.minGroup <= GroupGuard.quickGroupMax }) else {
            return Gated(exact: exact, pruning: pruning)
        }
        let quick = try gate.render(GroupGuard(isQuick: true).guarding(tree))
        return Gated(exact: exact, quick: quick == exact ? nil : quick, pruning: pruning)
    }

    private func minGroupRefusal(_ access: Access, _ text: String) -> Refusal {
        let grant = access.nearest
        return Refusal(
            rule: "min_group", at: grant.position,
            text:
                "policy `\(grant.policy)` shows groups of at least \(grant.minGroup) people here: \(text)"
        )
    }

    private func record(_ entry: QueryAuditEntry, _ region: any QueryRegion) throws {
        do {
            try region.record(entry)
        } catch {
            throw QueryError(
                code: .audit,
                text:
                    "the audit log of region `\(region.name)` cannot be written, so nothing is shown: \(error)"
            )
        }
    }

    // MARK: Running

    private struct RawAnswer {
        var columns: [String]
        var typedColumns: [QueryColumn]
        var rowCount: Int
        var body: QueryAnswer.Body
        var confinement: String
        var fileCount: Int

        func shown(_ access: Access) -> QueryAnswer {
            QueryAnswer(
                columns: columns, typedColumns: typedColumns, rowCount: rowCount, body: body,
                access: access, confinement: confinement)
        }
    }

    /// Files may be replaced between listing and opening (compaction, erasure); then the listing is taken again.
    private static let attemptsMax = 3

    private func answer(
        _ request: QueryRequest, _ region: any QueryRegion, _ access: Access, _ statement: Gated,
        _ today: Day, _ destination: String?
    ) throws -> RawAnswer {
        var attempt = 1
        while true {
            do {
                return try attemptAnswer(request, region, access, statement, today, destination)
            } catch let failure as WorkerFailure {
                if failure.code == .file && attempt < Self.attemptsMax {
                    attempt += 1
                    continue
                }
                throw QueryError(failure, request.limits)
            } catch let broken as QueryChild.Broken {
                throw QueryError(broken, request.limits)
            }
        }
    }

    private func attemptAnswer(
        _ request: QueryRequest, _ region: any QueryRegion, _ access: Access, _ statement: Gated,
        _ today: Day, _ destination: String?
    ) throws -> RawAnswer {
        let readable =
            request.describes
            ? []
            : try region.files().filter { file in
                (file.retainUntil.map { $0 > today } ?? true) && statement.pruning.needs(file)
            }
        let files = readable.map(\.path)
        let suppressed = try region.suppressedPseudonyms()
        let tables = SuppressedPseudonym.Column.allCases.compactMap { column in
            let texts = suppressed.filter { $0.column == column }.map(\.pseudonym.text)
            return texts.isEmpty
                ? nil
                : (
                    column: column.rawValue,
                    table: QueryPlan.SuppressionTable(
                        name: "cordon.suppressed_\(column.rawValue)", pseudonyms: texts)
                )
        }
        var view = HitsView(
            access: access, files: files,
            lacking: Dictionary(
                readable.lazy.filter { !$0.lacking.isEmpty }.map { ($0.path, $0.lacking) },
                uniquingKeysWith: { $1 }),
            today: today, suppressionTables: tables.map { ($0.column, $0.table.name) },
            sealed: region.sealedColumns)
        let scratch = try ScratchDirectory(in: region.scratchDirectory)
        defer { scratch.remove() }
        let whole = view.sql
        if statement.quick != nil {
            view.sampled = readable.filter { ($0.rows ?? 0) > 2 * HitsView.sampledRows }.map(\.path)
        }
        let plan = QueryPlan(
            view: whole, sampledView: view.sampled.isEmpty ? nil : view.sql, files: files,
            suppression: tables.map(\.table),
            statement: statement.exact,
            quickStatement: statement.quick, format: request.format,
            leadingRegion: request.namesRegion ? region.name : nil, describes: request.describes,
            scratchDirectory: scratch.path, limits: request.limits,
            allowsUnsandboxed: allowsUnsandboxed)
        let outcome = try child.run(plan, request.cancellation)
        let body: QueryAnswer.Body
        switch request.format {
        case .parquet:
            let made = scratch.path + "/" + QueryPlan.parquetName
            body = .file(path: try moved(made, to: destination ?? ""))
        case .table: body = .cells(try cells(outcome.rows))
        case .csv, .json, .postgres: body = .text(outcome.rows)
        case .arrow:
            body = .arrow(ArrowStreamParts(schema: outcome.schema, batches: outcome.rows))
        }
        return RawAnswer(
            columns: outcome.columns,
            typedColumns: zip(outcome.columns, outcome.types).map(QueryColumn.init(name:type:)),
            rowCount: outcome.summary.rowCount, body: body,
            confinement: outcome.summary.confinement, fileCount: files.count)
    }

    func cells(_ lines: [UInt8]) throws -> [[String?]] {
        let decoder = JSONDecoder()
        return try lines.split(separator: 0x0A).map {
            try decoder.decode([String?].self, from: Data($0))
        }
    }

    /// Moves a file, across file systems where it must.
    func moved(_ path: String, to destination: String) throws -> String {
        do {
            try FileManager.default.moveItem(atPath: path, toPath: destination)
        } catch {
            throw QueryError(
                code: .world,
                text: "the result cannot be put at `\(destination)`; is there a file already?")
        }
        return destination
    }
}

extension QueryError {
    init(_ failure: WorkerFailure, _ limits: QueryLimits) {
        switch failure.code {
        case .unconfined:
            self.init(
                code: .unconfined,
                text:
                    "this kernel lacks \(failure.text ?? "Landlock"), which holds the query process to its files;"
                    + " \(QueryService.unsandboxedVariable)=1 answers without it")
        case .setup, .engine: self.init(code: .world, text: "the engine failed")
        case .invalid:
            self.init(code: .query, text: failure.text ?? "the query does not fit the table")
        case .conversion:
            self.init(
                code: .query,
                text: "a value cannot be converted or is out of range; TRY_CAST gives null instead",
                cause: .value)
        case .memory:
            self.init(
                code: .limits,
                text: "the query needs more memory than \(limits.memoryBytes >> 20) MiB",
                cause: .memory)
        case .scratch:
            self.init(
                code: .limits,
                text:
                    "the query needs more than \(limits.scratchBytes >> 20) MiB of disk beside its memory, or the disk is full",
                cause: .scratch)
        case .tooManyRows:
            self.init(
                code: .limits,
                text: "the result has more than \(limits.rows) rows; add LIMIT or aggregate",
                cause: .size)
        case .tooManyBytes:
            self.init(
                code: .limits,
                text:
                    "the result is larger than \(limits.resultBytes >> 20) MiB; add LIMIT or aggregate",
                cause: .size)
        case .file: self.init(code: .world, text: "a data file cannot be read")
        }
    }

    init(_ broken: QueryChild.Broken, _ limits: QueryLimits) {
        switch broken {
        case .notStarted(let errno):
            self.init(code: .world, text: "the query process cannot be started (error \(errno))")
        case .timedOut:
            self.init(
                code: .limits, text: "the query took longer than \(limits.seconds) s", cause: .time)
        case .cancelled:
            self.init(code: .cancelled, text: "the query was cancelled by who asked it")
        case .died:
            self.init(
                code: .limits, text: "the query process died, most likely of its memory limit",
                cause: .memory)
        }
    }

    init(_ invalid: QueryParameter.Invalid) {
        self.init(
            code: .query, text: "a value for a parameter is no `\(invalid.kind.rawValue)`",
            cause: .value)
    }
}

extension QueryRequest {
    /// What the digest in the audit log is made of: the text, and behind a zero each the values.
    fileprivate var committedText: String {
        sql + parameters.map { "\u{0}\($0)" }.joined()
    }
}

/// What every entry of one query shares.
private struct AuditDraft {
    private let request: QueryRequest
    private let region: String
    private let salt: [UInt8]

    init(_ request: QueryRequest, _ region: String) {
        self.request = request
        self.region = region
        salt = SecureRandom.bytes(16)
    }

    func entry(
        _ outcome: QueryAuditEntry.Outcome, at time: Timestamp, rules: [String], rowCount: Int = 0,
        fileCount: Int = 0
    ) -> QueryAuditEntry {
        QueryAuditEntry(
            at: time, region: region, principal: request.principal, outcome: outcome, rules: rules,
            rowCount: rowCount, fileCount: fileCount, format: request.format,
            statementDigest: SHA256.digest(salt + Array(request.committedText.utf8)).hex,
            salt: Bytes.hex(salt))
    }
}

/// A folder of one query's own, 0700.
struct ScratchDirectory {
    let path: String

    /// Folders that a killed parent left are removed once they are older than any query may run.
    private static let staleSeconds: TimeInterval = 3600

    init(in parent: String) throws {
        try FileManager.default.createDirectory(
            atPath: parent, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        path = parent + "/" + UUID().uuidString
        let stale = Date(timeIntervalSinceNow: -Self.staleSeconds)
        for name in try Directory.list(parent) {
            let attributes = try? FileManager.default.attributesOfItem(atPath: parent + "/" + name)
            // One that another query removes meanwhile is as good as removed here.
            if let changed = attributes?[.modificationDate] as? Date, changed < stale {
                try? FileManager.default.removeItem(atPath: parent + "/" + name)
            }
        }
        try Directory.create(path, mode: 0o700)
    }

    func remove() {
        // What cannot be removed now is removed as stale later.
        try? FileManager.default.removeItem(atPath: path)
    }
}
