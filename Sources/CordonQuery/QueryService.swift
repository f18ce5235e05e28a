internal import ArrowIPC
internal import Bytes
package import CordonModel
package import CordonPolicy
internal import Crypto
internal import Engine
internal import Foundation
internal import LinuxIO

/// Answers or refuses queries over one region.
package struct QueryService {
    let policies: [CompiledPolicy]
    private let clock: any WallClock
    let child: QueryChild
    let memory: AnswerMemory
    let allowsUnsandboxed: Bool
    let gate: QueryGate

    /// - Parameters:
    ///   - policies: the rule set's policies; those of other regions are ignored.
    ///   - child: runs the statements; services may share one.
    ///   - memory: what files of the one region that is asked have told; services over it may share one.
    ///   - allowsUnsandboxed: whether to answer where the kernel has no Landlock or seccomp.
    package init(
        policies: [CompiledPolicy], clock: any WallClock, child: QueryChild = QueryChild(),
        memory: AnswerMemory = AnswerMemory(), allowsUnsandboxed: Bool = false
    ) throws {
        self.policies = policies
        self.clock = clock
        self.allowsUnsandboxed = allowsUnsandboxed
        self.child = child
        self.memory = memory
        gate = try QueryGate()
    }

    static let unsandboxedVariable = "CORDON_ALLOW_UNSANDBOXED"

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
        // Of what was not read there is nothing to tell.
        if request.describes { return .answered(try described(request, region, access, statement)) }
        return try answered(request, region, access, statement, destination, audit, refused)
    }

    private func described(
        _ request: QueryRequest, _ region: any QueryRegion, _ access: Access, _ statement: Gated
    ) throws -> QueryAnswer {
        var statement = statement
        statement.releases = []
        let scratch = try ScratchDirectory(in: region.scratchDirectory)
        defer { scratch.remove() }
        let setting = Setting(today: Day(clock.now()), scratch: scratch.path)
        return try answer(request, region, access, statement, setting).shown(access)
    }

    /// Times of earlier answers' newest rows at which a question is answered instead of now.
    private static let horizonsMax = 2

    private func answered(
        _ request: QueryRequest, _ region: any QueryRegion, _ access: Access, _ statement: Gated,
        _ destination: String?, _ audit: AuditDraft, _ refused: (Refusal) throws -> Outcome
    ) throws -> Outcome {
        if let destination, try File.exists(destination) {
            throw QueryError(
                code: .world,
                text: "the result cannot be put at `\(destination)`; there is a file already")
        }
        let ledger = access.isHeldToGroups ? try HeldLedger(region, request, clock.now()) : nil
        let horizons = [nil] + (try ledger?.horizons(most: Self.horizonsMax) ?? [])
        let epsilon = statement.noisy.map(\.epsilon).reduce(0, +)
        var refusal: Refusal?
        for horizon in horizons {
            let scratch = try ScratchDirectory(in: region.scratchDirectory)
            defer { scratch.remove() }
            let setting = Setting(
                today: Day(clock.now()), horizon: horizon, ledger: ledger,
                scratch: scratch.path)
            let answer = try answer(request, region, access, statement, setting)
            if access.isHeldToGroups && answer.rowCount == 0 {
                refusal =
                    refusal ?? minGroupRefusal(access, "no group is left in the result")
                break
            }
            if let ledger {
                refusal = try ledger.refusal(to: answer.told, access, epsilon: epsilon)
                if refusal != nil { continue }
            }
            try record(
                audit.entry(
                    .answered, at: clock.now(), rules: access.rules, rowCount: answer.rowCount,
                    fileCount: answer.fileCount), region)
            // Nothing is shown before both logs have it.
            var shown = answer.shown(access, asOf: horizon)
            if case .file(let made) = shown.body {
                shown.body = .file(path: try moved(made, to: destination ?? ""))
            }
            shown.epsilon = epsilon > 0 ? epsilon : nil
            return .answered(shown)
        }
        guard let refusal else { preconditionFailure("an answer is given or refused") }
        return try refused(refusal)
    }

    /// What the policies of a region let the principal see.
    func decision(_ request: QueryRequest, _ region: any QueryRegion) -> AccessDecision {
        AccessDecision(
            for: request.principal, in: region.name, jurisdiction: region.jurisdiction,
            under: policies)
    }

    /// What runs, written by the engine.
    struct Gated {
        var exact: String
        /// The same with quick guards, where there are any that may do.
        var quick: String?
        var pruning: FilePruning
        /// What it tells of people.
        var releases: [Told] = []
        /// Whether that is told of each row by itself, so that it adds up over rows.
        var addsUp = true
        var noisy: [NoisyColumn] = []
        /// Without guards, for when they are known to hold.
        var proven: String?
        /// Whether what a row tells depends on the row alone, but for bounds of its time, so that it is remembered.
        var isRemembered = false
        /// Whether its answer is the same whenever it is asked over the same rows.
        var isSteady = false

        /// A release with its nodes as the engine writes them.
        struct Told {
            var release: Release
            var part: String
            var quick: String
            var exact: String

            func question(salt: UInt64, inParts: Bool) -> QueryPlan.ReleaseQuestion {
                QueryPlan.ReleaseQuestion(
                    part: inParts ? release.partSQL(part, salt: salt) : nil,
                    quick: release.sql(quick, salt: salt, isQuick: true),
                    exact: release.sql(exact, salt: salt))
            }
        }
    }

    /// The statement that runs: checked, held to groups where it must be.
    private func gated(_ request: QueryRequest, _ access: Access) throws -> Gated {
        var tree = try gate.check(request.sql, request.parameters)
        let isSteady = SteadyStatement.isSteady(tree)
        // What the engine will take for now, whatever the service's clock says.
        let now = Timestamp(microseconds: SystemClock.realtimeMicroseconds())
        let asked = tree
        if access.isHeldToGroups { tree = try FrozenClock(at: now).freezing(tree) }
        let pruning = FilePruning(asked, today: Day(now), frozen: tree)
        var noisy: [NoisyColumn] = []
        if let noise = access.noise {
            guard request.format != .parquet, request.format != .arrow else {
                throw GroupGuard.Refused(
                    "counts and sums have noise here, which no Parquet or Arrow answer gets")
            }
            let statement = try NoisyStatement(tree, noise)
            tree = statement.tree
            noisy = statement.columns
        }
        guard access.isHeldToGroups else {
            return Gated(exact: try gate.render(tree), pruning: pruning)
        }
        let releases = ReleaseList()
        let exact = try gate.render(
            GroupGuard(releases: releases, mergesSmallGroups: access.mergesSmallGroups)
                .guarding(tree))
        guard releases.all.count <= Self.releasesMax else {
            throw GroupGuard.Refused(
                "a statement may aggregate `hits` in \(Self.releasesMax) places")
        }
        func text(_ node: JSONTree) throws -> String {
            var statement = tree["statements"].array[0]
            statement["node"] = node
            var tree = tree
            tree["statements"] = .array([statement])
            return try gate.render(tree)
        }
        let told = try releases.all.map { release in
            Gated.Told(
                release: release, part: try text(release.partNode),
                quick: try text(release.quickNode), exact: try text(release.node))
        }
        let addsUp = !access.mergesSmallGroups && access.noise == nil
        let isRemembered = told.count == 1 && SteadyStatement.isSteady(pruning.unbounded)
        // Which groups are small, and which rows of a person count, is told of all rows and not of a part.
        guard addsUp, access.grants.allSatisfy({ $0.minGroup <= GroupGuard.quickGroupMax }) else {
            return Gated(
                exact: exact, pruning: pruning, releases: told, addsUp: addsUp, noisy: noisy,
                isRemembered: isRemembered, isSteady: isSteady)
        }
        let quick = try gate.render(GroupGuard(isQuick: true).guarding(tree))
        return Gated(
            exact: exact, quick: quick == exact ? nil : quick, pruning: pruning, releases: told,
            proven: isSteady || isRemembered
                ? try gate.render(GroupGuard(isProven: true).guarding(tree)) : nil,
            isRemembered: isRemembered,
            isSteady: isSteady)
    }

    /// More SELECTs over rows in one statement are refused.
    private static let releasesMax = 64

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
        var told: HeldLedger.Told

        func shown(_ access: Access, asOf: Timestamp? = nil) -> QueryAnswer {
            QueryAnswer(
                columns: columns, typedColumns: typedColumns, rowCount: rowCount, body: body,
                access: access, confinement: confinement, asOf: asOf)
        }
    }

    /// Under what a statement runs.
    struct Setting {
        var today: Day
        var horizon: Timestamp?
        /// Nil where nothing is held against anything.
        var ledger: HeldLedger?
        /// The folder for what is spilled, and for a Parquet result.
        var scratch: String
        /// Whether what an answer tells is asked for in parts where it adds up.
        var tellsInParts = true
    }

    /// Files may be replaced between listing and opening (compaction, erasure); then the listing is taken again.
    private static let attemptsMax = 3

    private func answer(
        _ request: QueryRequest, _ region: any QueryRegion, _ access: Access, _ statement: Gated,
        _ setting: Setting
    ) throws -> RawAnswer {
        var attempt = 1
        var setting = setting
        while true {
            do {
                return try attemptAnswer(request, region, access, statement, setting)
            } catch is NotTold {
                setting.tellsInParts = false
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
        _ setting: Setting
    ) throws -> RawAnswer {
        let stored = request.describes ? [] : try region.files()
        if !request.describes { memory.keep(onlyOf: stored.lazy.map(\.path)) }
        let readable = stored.filter { file in
            (file.retainUntil.map { $0 > setting.today } ?? true) && statement.pruning.needs(file)
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
            today: setting.today,
            suppressionTables: tables.map { ($0.column, $0.table.name) },
            sealed: region.sealedColumns, salt: setting.ledger?.salt ?? 0, horizon: setting.horizon)
        let whole = view
        if statement.quick != nil {
            view.sampled = readable.filter { ($0.rows ?? 0) > 2 * HitsView.sampledRows }.map(\.path)
        }
        var plan = QueryPlan(
            view: whole.sql, sampledView: view.sampled.isEmpty ? nil : view.sql, files: files,
            suppression: tables.map(\.table),
            statement: statement.exact,
            quickStatement: statement.quick,
            releases: statement.releases.map {
                $0.question(salt: view.salt, inParts: statement.addsUp && setting.tellsInParts)
            },
            noisy: statement.noisy,
            format: request.format,
            leadingRegion: request.namesRegion ? region.name : nil, describes: request.describes,
            scratchDirectory: setting.scratch, limits: request.limits,
            allowsUnsandboxed: allowsUnsandboxed)
        var question: QueryLedger.Question?
        var isKnown = false
        if let ledger = setting.ledger, statement.isSteady {
            let digest = try plan.digest(salt: ledger.salt)
            question = .init(digest: digest, isProven: false)
            if let isProven = try ledger.known(digest) {
                isKnown = true
                plan.releases = []
                // What was not proven quickly is not now either.
                plan.quickStatement = nil
                plan.sampledView = nil
                if isProven, let proven = statement.proven {
                    plan.statement = proven
                    plan.view = whole.unguarded.sql
                }
            }
        }
        var parts: ToldInParts?
        if let ledger = setting.ledger, !isKnown, !plan.releases.isEmpty {
            parts = try tellInParts(&plan, statement, readable, whole, setting, ledger.salt)
            if plan.releases.isEmpty, plan.statement == statement.proven {
                question?.isProven = true
            }
        }
        let outcome = try child.run(plan, request.cancellation)
        if outcome.summary.isProven { question?.isProven = true }
        let body: QueryAnswer.Body
        switch request.format {
        case .parquet:
            body = .file(path: setting.scratch + "/" + QueryPlan.parquetName)
        case .table: body = .cells(try cells(outcome.rows))
        case .csv, .json, .postgres: body = .text(outcome.rows)
        case .arrow:
            body = .arrow(ArrowStreamParts(schema: outcome.schema, batches: outcome.rows))
        }
        return RawAnswer(
            columns: outcome.columns,
            typedColumns: zip(outcome.columns, outcome.types).map(QueryColumn.init(name:type:)),
            rowCount: outcome.summary.rowCount, body: body,
            confinement: outcome.summary.confinement, fileCount: files.count,
            told: isKnown
                ? .again
                : try told(
                    statement.releases.map(\.release), outcome, parts, setting.ledger?.salt ?? 0,
                    question))
    }

    /// It is not known whether some group is of enough people; what is told must be asked in another way.
    private struct NotTold: Error {}

    /// What the child says of releases.
    private func told(
        _ releases: [Release], _ outcome: QueryChild.Outcome, _ parts: ToldInParts?,
        _ salt: UInt64, _ question: QueryLedger.Question?
    ) throws -> HeldLedger.Told {
        var all: [AnswerVector] = []
        for (index, release) in releases.enumerated() {
            if let parts, outcome.releases[index] == nil {
                let newest = outcome.summary.newest
                switch try parts.told(index, outcome.parts[index], newestRead: newest) {
                case .vectors(let vectors): all += vectors
                case .tooMany: return .tooMuch
                case .unknown: throw NotTold()
                }
                continue
            }
            guard let bytes = outcome.releases[index] else { throw QueryChild.Broken.died }
            let rows = try bytes.split(separator: 0x0A).map { line in
                try line.split(separator: 0x2C).map { digits in
                    guard
                        let number = UInt64(
                            String(decoding: digits.filter { $0 != 0x0D }, as: UTF8.self))
                    else { throw QueryChild.Broken.died }
                    return number
                }
            }
            guard
                let vectors = AnswerVector.read(rows, of: release, number: index, salt: salt)
            else { return .tooMuch }
            all += vectors
        }
        let newest = outcome.summary.newest
        return .vectors(
            all, newest: (parts.map { $0.newest(newest) } ?? newest).map(Timestamp.init), question)
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
