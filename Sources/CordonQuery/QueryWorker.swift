internal import ArrowIPC
internal import CLinux
package import CordonModel
internal import Engine
internal import Foundation
internal import LinuxIO
internal import PostgresWire

/// The child's side: confines itself, then runs one statement and hands its rows over.
///
/// INVARIANT: before any text of the principal reaches the engine the process has no descriptor but its three pipes, may
/// open the planned files alone, and can neither make sockets nor start programs. The engine's threads start after that, so
/// the restrictions hold for them too.
package enum QueryWorker {
    /// Runs the plan on standard input and returns the process's exit code.
    package static func run() -> Int32 {
        guard clinux_enter_child() == 0 else { return 1 }
        let output = FrameWriter()
        // Before the plan is there, so that a process that waits for one has done it. What goes wrong is told with the plan.
        _ = try? DuckDBLibrary.load()
        // Where nobody is there to hear of it, no plan comes either.
        try? output.send(.ready, Data())
        var scratch: String?
        do {
            let input = FileHandle.standardInput.readDataToEndOfFile()
            let plan = try JSONDecoder().decode(QueryPlan.self, from: input)
            output.limits = plan.limits
            scratch = plan.scratchDirectory
            var summary = WorkerSummary(rowCount: 0, confinement: try confine(plan))
            try run(plan, output, &summary)
            try output.send(.done, JSONEncoder().encode(summary))
            return 0
        } catch {
            return report(error, scratch, output)
        }
    }

    private static func report(
        _ error: any Error, _ scratchDirectory: String?, _ output: FrameWriter
    ) -> Int32 {
        let failure: WorkerFailure =
            switch error {
            case let error as WorkerFailure: error
            case let error as EngineError: WorkerFailure(error, scratchDirectory)
            case ArrowIPCError.tooLarge: WorkerFailure(code: .tooManyBytes)
            default: WorkerFailure(code: .setup)
            }
        guard let payload = try? JSONEncoder().encode(failure),
            (try? output.send(.failed, payload)) != nil
        else {
            // Nobody reads any more; the exit code is all that is left to say.
            return 1
        }
        return 0
    }

    // MARK: Confinement

    private static func confine(_ plan: QueryPlan) throws -> String {
        // The library and what it needs are opened while that is still allowed; this starts no thread.
        _ = try DuckDBLibrary.load()
        try limitResources(plan.limits)
        // Landlock restricts one thread and those that it starts.
        let threads = try Directory.list("/proc/self/task")
        var missing: [String] = []
        let abi = clinux_landlock_abi()
        if threads.count != 1 || !restrictFiles(plan, abi: abi) { missing.append("Landlock") }
        if clinux_seccomp_restrict() != 0 { missing.append("seccomp") }
        if missing.isEmpty { return "landlock \(abi), seccomp" }
        guard plan.allowsUnsandboxed else {
            throw WorkerFailure(code: .unconfined, text: missing.joined(separator: " and "))
        }
        return "without \(missing.joined(separator: " and "))"
    }

    /// What the engine reads of the machine at its start: how much memory it may use. It does not survive being denied
    /// them. They name no region and no person.
    private static let engineFiles = ["/proc/self/cgroup", "/proc/meminfo", "/sys/fs/cgroup"]

    private static func restrictFiles(_ plan: QueryPlan, abi: Int32) -> Bool {
        guard abi > 0 else { return false }
        let rules = clinux_landlock_create(abi)
        guard rules >= 0 else { return false }
        defer { close(rules) }
        for file in plan.files + engineFiles
        where unsafe clinux_landlock_allow(rules, abi, file, false) != 0 {
            // A file that is gone is reported when the query opens it.
            if errno != ENOENT { return false }
        }
        guard unsafe clinux_landlock_allow(rules, abi, plan.scratchDirectory, true) == 0 else {
            return false
        }
        return clinux_landlock_restrict(rules) == 0
    }

    private static func limitResources(_ limits: QueryLimits) throws {
        let addressSpace = limits.memoryBytes / 2 * 3 + QueryLimits.overheadBytes
        let bounds: [(__rlimit_resource, Int)] = [
            (RLIMIT_AS, addressSpace), (RLIMIT_CORE, 0), (RLIMIT_FSIZE, limits.scratchBytes),
            (RLIMIT_CPU, limits.seconds * (limits.threads + 1)),
        ]
        for (resource, bound) in bounds {
            var limit = rlimit(rlim_cur: UInt(bound), rlim_max: UInt(bound))
            guard unsafe setrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 else {
                throw WorkerFailure(code: .setup)
            }
        }
        // A file beyond its limit is an error of the write, not a signal.
        _ = signal(SIGXFSZ, SIG_IGN)
    }

    // MARK: Running

    private static func run(
        _ plan: QueryPlan, _ output: FrameWriter, _ summary: inout WorkerSummary
    ) throws {
        let connection = try prepared(plan)
        if plan.format == .postgres {
            let columns = try described(plan.statement, connection)
            try output.send(.types, JSONEncoder().encode(columns.map(\.type)))
            guard !plan.describes else {
                try output.send(.columns, JSONEncoder().encode(columns.map(\.name)))
                return
            }
        }
        try tell(plan, connection, output, &summary)
        if summary.isProven, let proven = plan.proven {
            try show(proven.view, connection)
            summary.rowCount = try run(
                proven.statement, plan, connection, output, sendsAtOnce: true)
            return
        }
        try answer(plan, connection, output, &summary)
    }

    /// Sends what the answer will tell of people; notes the newest row's time, and whether all groups are proven.
    private static func tell(
        _ plan: QueryPlan, _ connection: EngineConnection, _ output: FrameWriter,
        _ summary: inout WorkerSummary
    ) throws {
        guard !plan.releases.isEmpty, let view = plan.view else { return }
        // A mistake of the statement is found by the statement itself, and told in its words.
        try connection.execute("EXPLAIN " + plan.statement)
        var rest = Array(plan.releases.enumerated())
        var groups = plan.proven?.groups ?? ProvenGroups(needed: 0)
        if let partView = plan.partView {
            try show(partView, connection)
            rest = try rest.filter { index, release in
                guard let part = release.part else { return true }
                return try !told { try sendParts(part, index, &groups, connection, output) }
            }
        }
        summary.isProven = plan.proven != nil && rest.isEmpty && groups.areAll
        if !rest.isEmpty { try show(view, connection) }
        for (index, release) in rest {
            try told {
                do {
                    try send(release.quick, index, connection, output)
                } catch let error as EngineError
                    where error.engineText.contains(GroupGuard.notProven)
                {
                    try send(release.exact, index, connection, output)
                }
            }
        }
        summary.newest = try newest(plan, connection)
        try show(view, connection)
    }

    private static func show(
        _ view: String, _ connection: EngineConnection
    ) throws(EngineError) {
        // Columns that are not there any more would be missed by the view that names them.
        try connection.execute(
            """
            CREATE OR REPLACE VIEW pixels.hits AS \(view); \
            CREATE OR REPLACE VIEW main.hits AS SELECT * FROM pixels.hits
            """)
    }

    private static func newest(
        _ plan: QueryPlan, _ connection: EngineConnection
    ) throws -> Int64? {
        for view in plan.newestViews {
            let newest = try connection.text(
                "SELECT system.main.epoch_us(system.main.max(ts)) FROM (\(view))")
            if let newest { return Int64(newest) }
        }
        return nil
    }

    /// What `body` gives, where a part of the statement can be looked at by itself.
    @discardableResult private static func told<Result>(_ body: () throws -> Result) throws
        -> Result
    {
        do { return try body() } catch let error as EngineError
            where ["Binder Error", "Catalog Error"].contains(error.kind)
        {
            throw WorkerFailure(code: .untold)
        }
    }

    /// Whether they were sent: there are not too many.
    private static func sendParts(
        _ statement: String, _ index: Int, _ proven: inout ProvenGroups,
        _ connection: EngineConnection, _ output: FrameWriter
    ) throws -> Bool {
        let result = try connection.query(statement)
        guard var bytes = try ReleasePart.encoded(result, &proven) else { return false }
        try output.send(.parts, index, &bytes)
        return true
    }

    private static func send(
        _ statement: String, _ index: Int, _ connection: EngineConnection, _ output: FrameWriter
    ) throws {
        let result = try connection.query(statement)
        var writer = RowWriter(format: .csv, names: [])
        writer.bytes = []
        while let batch = try result.next() { writer.append(batch) }
        try output.send(.release, index, &writer.bytes)
    }

    private static func answer(
        _ plan: QueryPlan, _ connection: EngineConnection, _ output: FrameWriter,
        _ summary: inout WorkerSummary
    ) throws {
        if let quick = plan.quickStatement {
            for view in [plan.sampledView, plan.view].compactMap({ $0 }) {
                try show(view, connection)
                do {
                    summary.rowCount = try run(
                        quick, plan, connection, output, sendsAtOnce: false)
                    summary.isProven = true
                    return
                } catch let error as EngineError
                    where error.engineText.contains(GroupGuard.notProven)
                {
                    // Some group is small, or looks it: more of its people are looked at, then all are counted.
                }
            }
        }
        summary.rowCount = try run(
            plan.statement, plan, connection, output, sendsAtOnce: true)
    }

    /// The columns of a statement's result, which is not run.
    private static func described(
        _ statement: String, _ connection: EngineConnection
    ) throws(EngineError) -> [QueryColumn] {
        try connection.query("SELECT column_name, column_type FROM (DESCRIBE \(statement))").rows()
            .map { QueryColumn(name: ($0[0] ?? ""), type: ($0[1] ?? "")) }
    }

    /// - Parameter sendsAtOnce: whether rows leave before the statement has come to its end.
    private static func run(
        _ statement: String, _ plan: QueryPlan, _ connection: EngineConnection,
        _ output: FrameWriter, sendsAtOnce: Bool
    ) throws -> Int {
        if plan.format == .parquet {
            let path = plan.scratchDirectory + "/" + QueryPlan.parquetName
            // One row more than allowed shows that there are more.
            let result = try connection.query(
                """
                COPY (SELECT * FROM (\(statement)) LIMIT \(plan.limits.rows + 1)) \
                TO \(EngineText.literal(path)) (FORMAT parquet, COMPRESSION zstd, WRITE_BLOOM_FILTER false)
                """)
            let rowCount = Int(try result.rows().first?.first.flatMap { $0 } ?? "") ?? 0
            guard rowCount <= plan.limits.rows else { throw WorkerFailure(code: .tooManyRows) }
            return rowCount
        }
        let result = try connection.query(statement)
        let names = result.fields.map(\.name)
        let arrow = plan.format == .arrow ? ArrowStreamEncoder(result.fields, plan) : nil
        func sendHead() throws {
            try output.send(.columns, JSONEncoder().encode(names))
            if let arrow { try output.send(.schema, Data(arrow.schema)) }
        }
        if sendsAtOnce { try sendHead() }
        var rowCount = 0
        var writer = RowWriter(format: plan.format, names: names)
        writer.noisy = plan.noisy
        while let batch = try result.next() {
            rowCount += batch.rowCount
            guard rowCount <= plan.limits.rows else { throw WorkerFailure(code: .tooManyRows) }
            if let arrow {
                writer.bytes += try arrow.message(batch, bytesMax: plan.limits.resultBytes)
            } else {
                writer.append(batch)
            }
            guard writer.bytes.count <= plan.limits.resultBytes else {
                throw WorkerFailure(code: .tooManyBytes)
            }
            if sendsAtOnce && writer.bytes.count >= FrameWriter.flushBytes {
                try output.send(rows: &writer.bytes)
            }
        }
        if !sendsAtOnce { try sendHead() }
        try output.send(rows: &writer.bytes)
        return rowCount
    }

    /// A connection with the settings of the plan, locked, and the relation `hits` in place.
    private static func prepared(_ plan: QueryPlan) throws -> EngineConnection {
        do {
            let connection = try EngineConnection(settings: [
                ("threads", String(plan.limits.threads)),
                ("memory_limit", "\(plan.limits.memoryBytes)B"),
                ("temp_directory", plan.scratchDirectory),
                ("max_temp_directory_size", "\(plan.limits.scratchBytes)B"),
                ("autoinstall_known_extensions", "false"),
                ("autoload_known_extensions", "false"),
                ("allow_community_extensions", "false"), ("allow_persistent_secrets", "false"),
            ])
            try connection.execute("SET TimeZone = 'UTC'")
            // A file's footer is read once, however many parts of the statement read the file.
            try connection.execute("SET parquet_metadata_cache = true")
            // What stands twice in a statement would be computed once, outside of the `TRY` that each of them stands in.
            try connection.execute("SET disabled_optimizers = 'common_subexpressions'")
            // The engine's own locks are no boundary; they only make a mistake elsewhere harder to use.
            let files = plan.files.map(EngineText.literal).joined(separator: ", ")
            try connection.execute("SET allowed_paths = [\(files)]")
            try connection.execute(
                "SET allowed_directories = [\(EngineText.literal(plan.scratchDirectory))]")
            try connection.execute("SET enable_external_access = false")
            try connection.execute("CREATE SCHEMA pixels; CREATE SCHEMA cordon")
            for table in plan.suppression {
                let rows = IngestTable([("value", .utf8)])
                for pseudonym in table.pseudonyms { rows.columns[0].append(pseudonym) }
                try connection.ingest(rows, into: "staged", mode: .create)
                try connection.execute("CREATE TABLE \(table.name) AS SELECT value FROM staged")
                try connection.execute("DROP TABLE staged")
            }
            for statement in plan.catalog { try connection.execute(statement) }
            if let view = plan.view {
                try show(view, connection)
            }
            try connection.execute("SET lock_configuration = true")
            return connection
        } catch {
            let isFile = error.kind == "IO Error"
            throw WorkerFailure(code: isFile ? .file : .setup)
        }
    }
}

extension ArrowStreamEncoder {
    fileprivate init(_ fields: [ColumnType.Field], _ plan: QueryPlan) {
        self.init(
            fields: fields,
            leading: plan.leadingRegion.map { Constant(name: "region", value: $0) })
    }
}

extension WorkerFailure {
    /// Sorts an engine error by its kind. Text goes along only for kinds that arise while names and types are resolved.
    ///
    /// - Parameter scratchDirectory: where the engine spills to; nil before it is known.
    init(_ error: EngineError, _ scratchDirectory: String?) {
        switch error.kind {
        case "Binder Error", "Catalog Error", "Parser Error", "Syntax Error":
            let line = error.engineText.split(separator: "\n").first.map(String.init) ?? error.kind
            let isOwn = line.contains(HitsColumn.reservedPrefix)
            self.init(code: .invalid, text: isOwn ? error.kind : String(line.prefix(300)))
        case "Conversion Error", "Out of Range Error", "Invalid Input Error", "Mismatch Type Error",
            "Invalid type Error":
            self.init(code: .conversion)
        case "Out of Memory Error": self.init(code: .memory)
        case "IO Error":
            // What the engine spills has met its bound; nothing else is written but a result. Words count where the
            // engine speaks, not in the path that it quotes.
            let parts = error.engineText.split(
                maxSplits: 1, omittingEmptySubsequences: false,
                whereSeparator: { "\"'".contains($0) })
            let isWritten = parts[0].contains("rite") || parts[0].contains("temp")
            let isScratch =
                scratchDirectory.map { parts.count > 1 && parts[1].hasPrefix($0 + "/") } ?? false
            self.init(code: isWritten || isScratch ? .scratch : .file)
        default: self.init(code: error.engineText.contains("bad_alloc") ? .memory : .engine)
        }
    }
}

/// Writes frames to standard output and holds the result to its size.
private final class FrameWriter {
    /// Rows are gathered to this size before they are sent.
    static let flushBytes = 1 << 20

    var limits = QueryLimits()
    private var sentBytes = 0

    func send(_ kind: WorkerFrame.Kind, _ payload: Data) throws {
        var frame = Data([kind.rawValue])
        let count = UInt32(payload.count)
        for shift in [UInt32(0), 8, 16, 24] {
            frame.append(UInt8(truncatingIfNeeded: count >> shift))
        }
        frame.append(payload)
        try FileHandle.standardOutput.write(contentsOf: frame)
    }

    /// What is told of the release with the index.
    func send(_ kind: WorkerFrame.Kind, _ index: Int, _ bytes: inout [UInt8]) throws {
        var rest = bytes[...]
        repeat {
            let part = rest.prefix(WorkerFrame.payloadBytesMax - 1)
            try send(kind, Data([UInt8(index)]) + Data(part))
            rest = rest.dropFirst(part.count)
        } while !rest.isEmpty
        bytes.removeAll(keepingCapacity: true)
    }

    func send(rows bytes: inout [UInt8]) throws {
        sentBytes += bytes.count
        guard sentBytes <= limits.resultBytes else { throw WorkerFailure(code: .tooManyBytes) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(WorkerFrame.payloadBytesMax)
            try send(.rows, Data(part))
            rest = rest.dropFirst(part.count)
        }
        bytes.removeAll(keepingCapacity: true)
    }
}

/// Turns batches into lines of the asked form.
struct RowWriter {
    let format: QueryFormat
    private let quotedNames: [String]
    /// Columns whose numbers get noise, from the system's generator.
    var noisy: [NoisyColumn] = []
    var bytes: [UInt8] = []

    init(format: QueryFormat, names: [String]) {
        self.format = format
        quotedNames = names.map { ColumnValue.quoted($0) + ":" }
        if format == .csv { append(names.map { Self.csv($0) }.joined(separator: ",") + "\r\n") }
    }

    mutating func append(_ batch: ColumnBatch) {
        for row in 0..<batch.rowCount {
            var values = batch.columns.map { $0.value(at: row) }
            for column in noisy {
                var generator = SystemRandomNumberGenerator()
                values[column.index] = Self.noised(
                    values[column.index], column.noise.draw(&generator))
            }
            switch format {
            case .csv:
                append(
                    Self.csv(
                        values.map { value in
                            if case .null = value { return nil }
                            return value.text
                        }))
            case .postgres:
                var messages = BackendMessages()
                messages.dataRow(values.map { $0.postgresText.map { Array($0.utf8) } })
                bytes += messages.take()
            case .json:
                let members = zip(quotedNames, values).map { $0 + $1.json }
                append("{" + members.joined(separator: ",") + "}\n")
            default:
                let cells = values.map { value in
                    if case .null = value { return "null" }
                    return ColumnValue.quoted(value.text)
                }
                append("[" + cells.joined(separator: ",") + "]\n")
            }
        }
    }

    /// The number to the nearest whole one, with noise. What is no number is not shown.
    static func noised(_ value: ColumnValue, _ noise: Int64) -> ColumnValue {
        guard let number = Double(value.text), number.isFinite,
            abs(number) < Double(Int64.max / 4)
        else { return .null }
        return .int(Int64(number.rounded()) + noise)
    }

    private mutating func append(_ line: String) { bytes += Array(line.utf8) }

    /// A line of RFC 4180. An empty text is quoted, so that it differs from a null.
    static func csv(_ cells: [String?]) -> String {
        cells.map { cell in
            guard let cell else { return "" }
            return cell.isEmpty ? "\"\"" : csv(cell)
        }.joined(separator: ",") + "\r\n"
    }

    /// A field of RFC 4180.
    private static func csv(_ text: String) -> String {
        let needsQuotes = text.utf8.contains { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }
        guard needsQuotes else { return text }
        return "\""
            + text.split(separator: "\"", omittingEmptySubsequences: false).joined(
                separator: "\"\"") + "\""
    }
}

extension QueryWorker: RestingWriter {
    /// Masks, groups and row rules decide what of it a principal sees.
    package static let rests = [Rest(.queryResults, HitBatch.columns)]
}
