internal import ArrowIPC
package import CordonModel
internal import Engine
internal import Foundation
internal import LinuxIO

// One question to several regions: each answers under its own rules, and only its answer leaves it.
extension QueryService {
    /// What a region made of the question.
    package enum RegionResult: Sendable {
        /// With what held the child; see ``WorkerSummary``.
        case answered(access: Access, confinement: String, asOf: Timestamp?, epsilon: Int?)
        case refused(Refusal)
        /// The region could not be asked. What it holds is missing from the answer.
        case missing(QueryError)
    }

    /// The answers of several regions together.
    package struct RegionalAnswer: Sendable {
        /// By region, in the order they were asked in.
        package var regions: [(name: String, result: RegionResult)]
        /// Whether the rows are sums over the regions; else each stands beside its region's name.
        package var isCombined: Bool
        package var columns: [String] = []
        package var rowCount = 0
        /// Nil when no region answered.
        package var body: QueryAnswer.Body?
    }

    /// Asks each region by itself, and combines what adds up: counts, sums, averages and extremes over groups that the
    /// result shows. What does not add up is given region by region. Blocks.
    ///
    /// A group that is too small in one region is left out there, and so of the sum: the other regions' part of it is what shows.
    ///
    /// - Throws: ``QueryError`` with the code `query` when the statement itself is at fault; a region that fails for other
    ///   reasons is told of in the answer.
    package func runTogether(
        _ request: QueryRequest, in regions: [any QueryRegion], destination: String? = nil
    ) throws -> RegionalAnswer {
        let query: DecomposedQuery
        let texts: (rows: String, groups: String)
        do {
            // What has noise is shown as it is, and a part that has none is nobody's to see.
            guard !regions.contains(where: { hasNoise(request, $0) }) else {
                return try beside(request, regions)
            }
            let tree = try gate.check(request.sql)
            guard let free = DecomposedQuery(tree), let held = DecomposedQuery(tree, isHeld: true)
            else { return try beside(request, regions) }
            query = free
            texts = (try gate.render(free.partial), try gate.render(held.partial))
        } catch is QueryGate.Refused {
            // Each region refuses it by itself, and its log says so.
            return try beside(request, regions)
        }
        let scratch = try ScratchDirectory(in: regions[0].scratchDirectory)
        defer { scratch.remove() }
        var answer = RegionalAnswer(regions: [], isCombined: true)
        var files: [String] = []
        for (index, region) in regions.enumerated() {
            var part = request
            part.sql = isHeld(request, region) ? texts.groups : texts.rows
            part.format = .parquet
            let file = scratch.path + "/part-\(index).parquet"
            let result = try asked(part, region, destination: file).result
            if case .answered = result { files.append(file) }
            answer.regions.append((region.name, result))
        }
        guard !files.isEmpty else { return answer }
        let combined = try combined(query, files, request, scratch.path, destination)
        answer.columns = combined.columns
        answer.rowCount = combined.summary.rowCount
        answer.body = combined.body
        return answer
    }

    private func hasNoise(_ request: QueryRequest, _ region: any QueryRegion) -> Bool {
        guard case .granted(let access) = decision(request, region) else { return false }
        return access.noise != nil
    }

    private func isHeld(_ request: QueryRequest, _ region: any QueryRegion) -> Bool {
        switch decision(request, region) {
        case .granted(let access): access.isHeldToGroups
        case .refused: true
        }
    }

    private func asked(
        _ request: QueryRequest, _ region: any QueryRegion, destination: String? = nil
    ) throws -> (result: RegionResult, answer: QueryAnswer?) {
        do {
            switch try run(request, in: region, destination: destination) {
            case .refused(let refusal): return (.refused(refusal), nil)
            case .answered(let answer):
                return (
                    .answered(
                        access: answer.access, confinement: answer.confinement,
                        asOf: answer.asOf, epsilon: answer.epsilon), answer
                )
            }
        } catch let error as QueryError where error.code != .query {
            return (.missing(error), nil)
        } catch let error as QueryError {
            throw error
        } catch {
            return (
                .missing(
                    QueryError(
                        code: .world, text: "region `\(region.name)` cannot be asked: \(error)")),
                nil
            )
        }
    }

    // MARK: Combining

    private typealias Combined = (
        columns: [String], body: QueryAnswer.Body, summary: WorkerSummary
    )

    /// Runs the query over the parts in a child of its own, which can open nothing but them.
    private func combined(
        _ query: DecomposedQuery, _ files: [String], _ request: QueryRequest, _ scratch: String,
        _ destination: String?
    ) throws -> Combined {
        let list = files.map(EngineText.literal).joined(separator: ", ")
        var plan = QueryPlan(
            view:
                "SELECT * FROM read_parquet([\(list)], hive_partitioning = false, union_by_name = false)",
            files: files, suppression: [], statement: "", format: .table,
            scratchDirectory: scratch, limits: request.limits,
            allowsUnsandboxed: allowsUnsandboxed)
        do {
            var types: [Int: String] = [:]
            if !query.typedColumns.isEmpty {
                let columns = query.typedColumns.map { "max(t\($0)), min(t\($0))" }
                plan.statement = "SELECT \(columns.joined(separator: ", ")) FROM hits"
                let found = try cells(child.run(plan).rows).first ?? []
                for (place, column) in query.typedColumns.enumerated() {
                    let type = found[place * 2]
                    // Regions whose columns are of one schema sum to one type; anything else adds up as a fraction.
                    if let type, type == found[place * 2 + 1], Self.isNumber(type) {
                        types[column] = type
                    }
                }
            }
            plan.statement = query.combining(types: types)
            plan.format = request.format
            let outcome = try child.run(plan)
            let body: QueryAnswer.Body =
                switch request.format {
                case .table: .cells(try cells(outcome.rows))
                case .csv, .json, .postgres: .text(outcome.rows)
                case .arrow:
                    .arrow(ArrowStreamParts(schema: outcome.schema, batches: outcome.rows))
                case .parquet:
                    .file(
                        path: try moved(
                            scratch + "/" + QueryPlan.parquetName, to: destination ?? ""))
                }
            return (outcome.columns, body, outcome.summary)
        } catch let failure as WorkerFailure {
            throw QueryError(failure, request.limits)
        } catch let broken as QueryChild.Broken {
            throw QueryError(broken, request.limits)
        }
    }

    private static func isNumber(_ type: String) -> Bool {
        if ["DOUBLE", "HUGEINT", "BIGINT", "INTEGER"].contains(type) { return true }
        return type.wholeMatch(of: #/DECIMAL\(\d{1,2},\d{1,2}\)/#) != nil
    }

    // MARK: Side by side

    /// The regions' own answers one after another, each row behind its region's name.
    private func beside(
        _ request: QueryRequest, _ regions: [any QueryRegion]
    ) throws -> RegionalAnswer {
        guard request.format != .parquet else {
            throw QueryError(
                code: .query,
                text:
                    "this query does not add up over regions, and its answers fit no one file; ask each region by itself"
            )
        }
        var answer = RegionalAnswer(regions: [], isCombined: false)
        var rows: [[String?]] = []
        var lines: [UInt8] = []
        var stream: ArrowStreamParts?
        for region in regions {
            var part = request
            part.format = [.json, .arrow].contains(request.format) ? request.format : .table
            part.namesRegion = true
            let (result, found) = try asked(part, region)
            answer.regions.append((region.name, result))
            guard let found else { continue }
            answer.columns = ["region"] + found.columns
            answer.rowCount += found.rowCount
            switch found.body {
            case .cells(let cells): rows += cells.map { [region.name] + $0 }
            case .text(let bytes):
                let head = Array("{\"region\":\(ColumnValue.quoted(region.name)),".utf8)
                for line in bytes.split(separator: 0x0A) {
                    lines += head + line.dropFirst() + [0x0A]
                }
            case .arrow(let found): stream = try Self.joined(stream, found)
            case .file: preconditionFailure("no file was asked for")
            }
        }
        guard answer.columns.count > 1 else { return answer }
        answer.body =
            switch request.format {
            case .table: .cells(rows)
            case .csv:
                .text(
                    Array(([answer.columns] + rows).map { RowWriter.csv($0) }.joined().utf8))
            case .arrow: stream.map { .arrow($0) }
            default: .text(lines)
            }
        return answer
    }

    /// The rows of one region's stream behind those of the others, which a stream of one schema can hold.
    static func joined(
        _ stream: ArrowStreamParts?, _ next: ArrowStreamParts
    ) throws -> ArrowStreamParts {
        guard var stream else { return next }
        guard stream.schema == next.schema else {
            throw QueryError(
                code: .query,
                text:
                    "the regions' answers have columns of different types, which fit no one Arrow stream; cast them, or ask each region by itself"
            )
        }
        stream.batches += next.batches
        return stream
    }
}
