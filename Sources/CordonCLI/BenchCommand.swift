import Bytes
import Consent
import CordonAudit
import CordonEdge
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonPolicy
import CordonProof
import CordonQuery
import CordonServer
import Foundation
import GeoTables
import Synchronization
import UserAgents
import WorldTraffic

extension Command {
    static let bench = Command(
        ["bench"],
        summary:
            "measure this machine: edge, hit, geo, consent, decision, proof, journal, audit, "
            + "import, delivery, freshness, query, erase",
        usage: "[--quick] [--entries N] [--rows N] [PART]…",
        options: [
            Option(
                name: "quick", value: nil, help: "small sizes: shows that it works, not how fast"),
            Option(
                name: "entries", value: "N",
                help: "size of the audit log that is verified, up to 100000000 (default: 1000000); "
                    + "each takes some 230 bytes of disk in TMPDIR"),
            Option(
                name: "rows", value: "N",
                help: "hits that are queried, up to 200000000 (default: 20000000); "
                    + "each takes some 40 bytes of disk in TMPDIR"),
        ],
        example: "cordon bench geo decision", arguments: 0...Bench.Part.allCases.count
    ) { arguments, console in
        let parts =
            try arguments.free.isEmpty
            ? Bench.Part.allCases
            : arguments.free.map { name in
                guard let part = Bench.Part(rawValue: name) else {
                    let names = Bench.Part.allCases.map(\.rawValue)
                    throw UsageError(
                        text: "unknown part `\(name)`" + suggestion(name, among: names)
                            + "; the parts are \(names.joined(separator: ", "))")
                }
                return part
            }
        try Bench(
            isQuick: arguments.has("quick"),
            auditEntries: try arguments.integer("entries", in: 1...100_000_000),
            queriedRows: try arguments.integer("rows", in: 1000...200_000_000),
            wantsJSON: arguments.wantsJSON, console: console
        ).run(parts)
        return .done
    }
}

/// Runs the benchmarks of the targets on a project of its own, made in a temporary folder and removed.
struct Bench {
    enum Part: String, CaseIterable {
        case geo, consent, decision, hit, proof, journal, audit, edge, `import`, delivery
        case freshness, query, erase
    }

    let isQuick: Bool
    /// Size of the audit log that is verified; nil for the usual one.
    let auditEntries: Int?
    /// Hits that are queried; nil for the usual number.
    let queriedRows: Int?
    let wantsJSON: Bool
    let console: Console

    /// One measured number.
    private struct Figure: Encodable {
        let part: String
        let what: String
        let value: Double
        let unit: String
    }

    func run(_ parts: [Part]) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "cordon-bench-\(getpid())"
        ).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // A folder left in the temporary place harms nobody.
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let layout = ProjectLayout(root: folder + "/project")
        try ProjectSetup(layout: layout) { _ in }.run(
            geoFormat: .torGeoIPDB, geoSources: ProjectSetup.defaultGeoSources,
            clock: SystemWallClock())
        var figures: [Figure] = []
        for part in parts {
            if !wantsJSON { console.note("measuring \(part.rawValue) …") }
            figures += try measure(part, layout, folder).map { what, value, unit in
                Figure(part: part.rawValue, what: what, value: value, unit: unit)
            }
        }
        if wantsJSON {
            for figure in figures { try console.print(json: figure) }
        } else {
            console.table(
                ["part", "what", "figure", "unit"],
                figures.map { [$0.part, $0.what, Self.shown($0.value), $0.unit] })
        }
    }

    private typealias Measured = (what: String, value: Double, unit: String)

    private func measure(
        _ part: Part, _ layout: ProjectLayout, _ folder: String
    ) throws -> [Measured] {
        switch part {
        case .geo:
            try GeoBenchmark.run(
                GeoTable(mapping: layout.geoTablePath), count: isQuick ? 2000 : 1_000_000,
                directory: folder
            ).map { ("\($0.addresses), \($0.method)", $0.nanosecondsPerLookup, "ns/lookup") }
        case .consent:
            ConsentBenchmark.run(count: isQuick ? 2000 : 1_000_000).flatMap {
                [
                    ("\($0.what), read", $0.nanosecondsFirst, "ns/string"),
                    ("\($0.what), seen before", $0.nanosecondsAgain, "ns/string"),
                ]
            }
        case .decision: try measureDecision(layout)
        case .hit: try measureHit(layout, folder)
        case .proof: try measureProof(layout, folder)
        case .journal: try measureJournal(folder)
        case .audit: try measureAudit(folder)
        case .edge: try measureEdge(layout)
        case .import: try measureImport(layout, folder)
        case .delivery: try measureDelivery(folder)
        case .freshness: try measureFreshness(folder)
        case .query: try measureQuery(folder)
        case .erase: try measureErase(folder)
        }
    }

    private func measureDecision(_ layout: ProjectLayout) throws -> [Measured] {
        let configuration = try ProjectConfiguration.load(layout, now: CordonCLI.today)
        let table = try GeoTable(mapping: layout.geoTablePath)
        let result = try DecisionBenchmark.run(
            configuration.ruleSet, places: table.places.map { RulePlace($0) },
            hits: isQuick ? 2000 : 2_000_000)
        return [("site, consent and decision", result.nanosecondsPerHit, "ns/hit")]
    }

    /// A hit from its bytes to its record, under the shipped policies and under many more.
    private func measureHit(_ layout: ProjectLayout, _ folder: String) throws -> [Measured] {
        let rows = try (isQuick ? [0, 5] : [0, 50, 500]).map { extra -> Measured in
            let name = extra == 0 ? "shipped policies" : "and \(extra) of \(extra * 2) sites"
            let figure = try hitNanoseconds(layout, extraPolicies: extra, folder + "/hit-\(extra)")
            return ("a hit, bytes to record, \(name)", figure, "ns/hit")
        }
        let figure = try hitNanoseconds(
            layout, extraPolicies: 0, folder + "/hit-shadow", asksCandidate: true)
        return rows + [("the same with a candidate beside the shipped", figure, "ns/hit")]
    }

    /// With `extraPolicies` beside the shipped ones, each for two sites of its own, in a new project at `root`.
    /// - Parameter asksCandidate: whether the same rules are asked a second time, as a candidate.
    private func hitNanoseconds(
        _ shipped: ProjectLayout, extraPolicies: Int, _ root: String, asksCandidate: Bool = false
    ) throws -> Double {
        let manager = FileManager.default
        try manager.copyItem(atPath: shipped.root, toPath: root)
        let layout = ProjectLayout(root: root)
        let world = try String(contentsOfFile: root + "/Policies/world.yaml", encoding: .utf8)
        for number in 0..<extraPolicies {
            let policy = world.replacingOccurrences(
                of: "policy: world", with: "policy: site-\(number)"
            ).replacingOccurrences(
                of: "sites: [\"*\"]",
                with: "sites: [\"shop\(number).example\", \"*.group\(number).example\"]")
            try policy.write(
                toFile: root + "/Policies/site-\(number).yaml", atomically: true, encoding: .utf8)
        }
        let configuration = try ProjectConfiguration.load(layout, now: CordonCLI.today)
        guard let region = configuration.regions.first else { return 0 }
        let table = try GeoTable(mapping: layout.geoTablePath)
        let keys = try configuration.regions.map {
            try RegionKeys(opening: $0.keysDirectory, region: $0.name)
        }
        var context = try EdgeContext(
            ruleSet: configuration.ruleSet, geoTable: table,
            userAgents: UserAgentRules.loadInstalled(), keys: keys, today: CordonCLI.today)
        if asksCandidate { context = context.shadowed(by: configuration.ruleSet, loops: 1) }
        var generator = TrafficGenerator(pool: AddressPool(table.rangesWithPlace), seed: 1)
        let requests = (0..<(isQuick ? 200 : 20_000)).map { _ in generator.next().request }
        return HitBenchmark.run(
            context, collector: region.collector, requests: requests,
            hits: isQuick ? 1000 : 2_000_000
        ).nanosecondsPerHit
    }

    /// The world under the shipped policies, then how proving grows with ranges and with policies.
    private func measureProof(_ layout: ProjectLayout, _ folder: String) throws -> [Measured] {
        let project = try ProjectConfiguration.load(layout, now: CordonCLI.today)
        let world = try GeoTable(mapping: layout.geoTablePath)
        func row(_ what: String, _ project: ProjectConfiguration, _ table: GeoTable) -> Measured {
            let result = ProofBenchmark.run(project, table: table)
            let ranges = groupedDigits(result.ranges)
            return (
                "prove \(what): \(ranges) ranges, \(result.policies) policies",
                result.milliseconds, "ms"
            )
        }
        var rows = [row("the world", project, world)]
        for count in isQuick ? [100] : [10_000, 100_000, 1_000_000] {
            let path = folder + "/ranges-\(count).cgt"
            try ProofBenchmark.writeTable(ranges: count, to: path)
            rows.append(row("ranges", project, try GeoTable(mapping: path)))
        }
        for count in isQuick ? [3] : [10, 100, 1000] {
            rows.append(row("policies", try ProofBenchmark.project(policies: count), world))
        }
        return rows
    }

    private func measureJournal(_ folder: String) throws -> [Measured] {
        try [1, 40, 1000].flatMap { hits -> [Measured] in
            let result = try JournalBenchmark.run(
                path: folder + "/journal-\(hits).sqlite", hitsPerCommit: hits,
                commits: isQuick ? 5 : 500)
            return [
                ("synced commit of \(hits) hits, median", result.microsecondsMedian, "µs"),
                ("synced commit of \(hits) hits, p99", result.microsecondsP99, "µs"),
            ]
        }
    }

    private func measureAudit(_ folder: String) throws -> [Measured] {
        let result = try AuditBenchmark.run(
            directory: folder, appends: isQuick ? 100 : 50_000,
            entries: auditEntries ?? (isQuick ? 1000 : 1_000_000))
        let count = groupedDigits(result.verifiedEntries)
        return [
            ("entries, one after the other", result.singlePerSecond, "entries/s"),
            (
                "entries, \(AuditBenchmark.threads) threads one at a time each",
                result.sharedPerSecond, "entries/s"
            ),
            ("entries in hundreds", result.batchedPerSecond, "entries/s"),
            ("\(count) entries in bulk", result.bulkPerSecond, "entries/s"),
            ("size of their log", Double(result.verifiedBytes) / 1e6, "MB"),
            ("verify \(count) entries (\(result.checksum))", result.verifySeconds, "s"),
            ("most memory of the process", Double(result.memoryBytes) / 1e6, "MB"),
        ]
    }

    private func measureEdge(_ layout: ProjectLayout) throws -> [Measured] {
        let server = try RunningNode(project: layout.root)
        defer { server.stop() }
        guard let port = server.ports.first else { return [] }
        let table = try GeoTable(mapping: layout.geoTablePath)
        let addresses = ["DE", "US", "IN", "FR", "GB"].compactMap {
            table.someAddress(ofCountry: $0)?.text
        }
        let result = try EdgeBenchmark(
            address: IPAddress(ipv4: 0x7F00_0001), port: port,
            requestsPerThread: isQuick ? 320 : 200_000,
            requests: EdgeBenchmark.mixedRequests(addresses: addresses)
        ).run()
        guard result.succeeded == result.answered else {
            throw CommandFailure(
                text: "only \(result.succeeded) of \(result.answered) hits were taken")
        }
        return [
            ("hits answered, client on the same cores", result.perSecond, "hits/s"),
            ("32 pipelined hits, median", Double(result.groupMicrosecondsMedian), "µs"),
            ("32 pipelined hits, p99", Double(result.groupMicrosecondsP99), "µs"),
        ]
    }

    private func measureImport(_ layout: ProjectLayout, _ folder: String) throws -> [Measured] {
        try ImportBenchmark.Log.all.flatMap { log -> [Measured] in
            let result = try ImportBenchmark.run(
                log, lines: isQuick ? 2000 : 500_000, layout: layout, folder: folder)
            let lines = Double(result.lines)
            return [
                (log.name, lines / result.computedSeconds, "lines/s a core"),
                ("\(log.name), by the clock", lines / result.seconds, "lines/s"),
                ("\(log.name), size", Double(result.bytes) / lines, "bytes/line"),
            ]
        }
    }

    /// The first region of a new project at `root`.
    private func newRegion(_ root: String) throws -> RegionConfiguration? {
        let layout = ProjectLayout(root: root)
        try ProjectSetup(layout: layout) { _ in }.run(
            geoFormat: .torGeoIPDB, geoSources: ProjectSetup.defaultGeoSources,
            clock: SystemWallClock())
        return try ProjectConfiguration.load(layout, now: CordonCLI.today).regions.first
    }

    private func measureDelivery(_ folder: String) throws -> [Measured] {
        guard let region = try newRegion(folder + "/delivery") else { return [] }
        let lake = try RegionLake(region, clock: SystemWallClock())
        let result = try DeliveryBenchmark.run(
            hits: isQuick ? 500 : 500_000, from: lake.journal(), to: lake.table)
        return [
            ("journal to committed snapshot", result.rowsPerSecond, "hits/s"),
            ("size in the lake", Double(result.bytes) / Double(max(result.rows, 1)), "bytes/hit"),
        ]
    }

    /// Many deliveries of a few hits, and what a query costs before and after maintenance.
    private func measureFreshness(_ folder: String) throws -> [Measured] {
        guard let region = try newRegion(folder + "/freshness") else { return [] }
        let clock = BenchClock()
        let lake = try RegionLake(region, clock: clock) { _ in }
        let result = try FreshnessBenchmark.run(
            deliveries: isQuick ? 12 : 1000, from: lake.journal(), to: lake.table,
            advance: { clock.advance(seconds: $0) })
        let before = "after \(groupedDigits(result.deliveries)) deliveries"
        func rows(_ state: FreshnessBenchmark.State, _ when: String) -> [Measured] {
            [
                ("data files \(when)", Double(state.files), "files"),
                ("manifests \(when)", Double(state.manifests), "files"),
                ("a query of all hits \(when)", state.queryMilliseconds, "ms"),
            ]
        }
        return [("one of the last deliveries, 20 hits", result.deliveryMilliseconds, "ms")]
            + rows(result.before, before)
            + [("maintenance", result.maintenanceSeconds, "s")]
            + rows(result.after, "after maintenance")
    }

    private func measureQuery(_ folder: String) throws -> [Measured] {
        let rows = queriedRows ?? (isQuick ? 1000 : 20_000_000)
        try requireSpace(rows * 60, in: folder)
        let result = try QueryBenchmark.run(
            rows: rows, days: isQuick ? 2 : 100, rounds: isQuick ? 1 : 5, in: folder)
        let hits = "\(groupedDigits(rows)) hits"
        func checked(_ who: String, _ time: Double, _ first: Double) -> [Measured] {
            [
                ("\(hits), checked, who sees \(who)", time, "ms"),
                ("  with a process started for it", first, "ms"),
            ]
        }
        return [
            ("size of \(hits) in \(result.files) files", Double(result.bytes) / 1e6, "MB"),
            ("\(hits), plain engine", result.plainMilliseconds, "ms"),
            ("the same, 50 ms and a twentieth", result.checkedMillisecondsMax, "ms"),
        ] + checked("rows", result.rowsMilliseconds, result.rowsFirstMilliseconds)
            + checked("groups", result.groupsMilliseconds, result.groupsFirstMilliseconds)
            + [
                (
                    "  asked again after a delivery of \(groupedDigits(result.deliveredRows)) hits",
                    result.groupsDeliveredMilliseconds, "ms"
                ), ("  asked again over the same files", result.groupsAgainMilliseconds, "ms"),
            ]
            + result.pruned.flatMap { pruned -> [Measured] in
                let of = "\(pruned.what) of \(groupedDigits(pruned.filesStored)) small files"
                return [
                    ("\(of)", pruned.milliseconds, "ms"),
                    ("  files that it may open", Double(pruned.filesOpened), "files"),
                ]
            }
    }

    /// Throws where `bytes` would fill what is left of the disk.
    private func requireSpace(_ bytes: Int, in folder: String) throws {
        let attributes = try FileManager.default.attributesOfFileSystem(forPath: folder)
        let free = (attributes[.systemFreeSize] as? NSNumber)?.int64Value ?? 0
        guard Int64(bytes) + 1_000_000_000 < free else {
            throw CommandFailure(
                text:
                    "\(bytes / 1_000_000) MB are needed in `\(folder)` and a gigabyte beside, found "
                    + "\(free / 1_000_000) MB; set TMPDIR, or ask for fewer `--rows`")
        }
    }

    /// One person and many, found in a lake of many files and taken out of it.
    private func measureErase(_ folder: String) throws -> [Measured] {
        guard let region = try newRegion(folder + "/erase") else { return [] }
        let people = isQuick ? 20 : 10_000
        let result = try EraseBenchmark.run(
            region, files: isQuick ? 6 : 1000, hitsPerFile: isQuick ? 50 : 4000,
            population: isQuick ? 60 : 400_000, people: people)
        guard let region = try newRegion(folder + "/large") else { return [] }
        let large = try LargeFileErasure.run(
            region, hits: isQuick ? 300 : 2_000_000, population: isQuick ? 60 : 200_000,
            people: people)
        let rows = "a file of \(groupedDigits(Int(large.rows))) hits"
        let all = "\(groupedDigits(result.files)) files"
        let many = "\(groupedDigits(people)) people"
        func rewriting(
            _ what: String, _ rewriting: EraseBenchmark.Rewriting, times: Int = 1
        ) -> [Measured] {
            [
                (what, rewriting.seconds / Double(times), "s"),
                (
                    what + ", by touched bytes", rewriting.bytesPerCoreSecond / 1e6,
                    "MB/s a core"
                ),
            ]
        }
        let rounds = LargeFileErasure.rounds
        let rewritings = [result.one, result.many, large.one, large.many]
        let (files, byPages) = rewritings.reduce((0, 0)) {
            ($0.0 + $1.files, $0.1 + $1.filesByPages)
        }
        return [
            ("size of \(all)", Double(result.bytes) / 1e6, "MB"),
            ("of it read to find one person", result.findPercent, "%"),
            ("find one person in \(all)", result.findSeconds * 1000, "ms"),
        ] + rewriting("one person, \(result.one.files) small files", result.one)
            + rewriting(
                "one person, \(groupedDigits(result.everywhere.files)) small files",
                result.everywhere)
            + rewriting("\(many), \(groupedDigits(result.many.files)) small files", result.many)
            + [("that for one person there", result.many.times(result.everywhere), "times")]
            + rewriting("the same by the engine alone", result.copies) + [
                ("size of \(rows)", Double(large.bytes) / 1e6, "MB")
            ] + rewriting("one person in \(rows)", large.one, times: rounds)
            + rewriting("one person, the engine alone", large.oneCopies, times: rounds)
            + rewriting("\(many) in \(rows)", large.many)
            + rewriting("\(many), the engine alone", large.manyCopy)
            + rewriting("\(many), as where pages are not understood", large.byEngine) + [
                (
                    "most memory of the process then", Double(large.byEngineMemoryBytes) / 1e6,
                    "MB"
                ),
                (
                    "files of these written page by page, the others by the engine",
                    Double(byPages) * 100 / Double(max(1, files)), "%"
                ),
                ("a whole erasure of one person", result.wholeSeconds, "s"),
                ("reading everything at its end", result.verifiedBytesPerSecond / 1e6, "MB/s"),
                ("most memory meanwhile", Double(result.memoryBytes) / 1e6, "MB"),
            ]
    }

    private static func shown(_ value: Double) -> String {
        value >= 1000 ? groupedDigits(Int(value.rounded())) : String(format: "%.1f", value)
    }
}

/// A clock that goes by what the benchmark says.
private final class BenchClock: WallClock {
    private let microseconds = Mutex(Day(year: 2026, month: 11, day: 23).start.microseconds)
    func now() -> Timestamp { Timestamp(microseconds: microseconds.withLock { $0 }) }
    func advance(seconds: Int) { microseconds.withLock { $0 += Int64(seconds) * 1_000_000 } }
}
