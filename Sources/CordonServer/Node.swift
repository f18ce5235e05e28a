import CordonAudit
import CordonAuthoring
import CordonEdge
import CordonKeys
import CordonLake
package import CordonModel
import CordonPolicy
import CordonProof
import Crypto
import Dispatch
import GeoTables
import Glibc
import LinuxIO
import Synchronization
import TLS
package import Telemetry
import UserAgents

/// The running parts of one machine: a collector for the chosen regions, a delivery for each, and the minute's ledger.
///
/// ``start()``, then ``reload()`` as often as wanted, then ``stop()`` once; `cordon up` and `cordon collect` do nothing else.
package final class Node: Sendable {
    package struct Options: Sendable {
        /// Names of the regions that collect here; nil means all.
        package var regions: [String]?
        /// Whether journals are delivered to the lakes, retention is applied and erasures are resumed here.
        package var delivers = true
        /// Whether collectors listen on ports that are free instead of those in the region files.
        package var usesFreePorts = false
        /// Threads that serve connections.
        package var loopCount: Int
        /// How long hits wait in the journal before the next delivery begins, in seconds; nil for what each region's
        /// `maintenance.freshness_seconds` asks for.
        package var deliverySeconds: Int?
        /// Whether nothing is decided by rules without a proof certificate that covers them.
        package var requiresProof = false
        /// Percent of the addresses with a place above which a reload of the geo table waits for a confirmation.
        package var holdAbovePercent = Node.holdAbovePercentDefault
        /// Absolute path of a folder whose `Policies/` are asked beside the rules, for their counts alone; nil asks none.
        package var shadow: String?

        package init(loopCount: Int) { self.loopCount = loopCount }
    }

    /// Where one region listens.
    package struct Listener: Encodable, Sendable {
        package let region: String
        package let address: String
        package let port: UInt16
        /// `http`, or `https` where the region has a certificate.
        package let scheme: String
    }

    /// Tables of two months differ in some tenths of a per cent; a source that was cut or mixed up, in tens.
    package static let holdAbovePercentDefault = 2.0

    /// How often the loss ledger is written to the audit log, in seconds.
    package static let ledgerSeconds = 60

    /// How often the regions cosign each other's checkpoints, in seconds.
    private static let witnessSeconds = 60

    private let layout: ProjectLayout
    private let options: Options
    private let logger: Logger
    private let clock: any WallClock
    /// Names of the regions that listen here.
    private let listening: [String]
    /// The regions as they were configured at the start.
    private let configured: [RegionConfiguration]
    /// The project as it was read at the start.
    private let initial: ProjectConfiguration
    private let collector: Collector
    private let tickets: TicketKeys
    private let logs: [AuditLog]
    private let shadow: ShadowMode?
    private let witnesses: ProjectWitnesses
    /// Logs that a witness refused, by both names, so that each is told once.
    private let refusals = Mutex<Set<String>>([])
    private let workers = Mutex<[Worker]>([])
    private let services = Mutex<[RegionService]>([])
    private let control = Mutex<NodeControl?>(nil)
    /// Held for the length of a reload: a signal and orders may come together.
    private let reloading = Mutex<HeldReload?>(nil)

    /// Reads the project and opens what it names; nothing runs yet.
    package init(
        layout: ProjectLayout, options: Options, logger: Logger,
        clock: any WallClock = SystemWallClock()
    ) throws {
        self.layout = layout
        self.options = options
        self.logger = logger
        self.clock = clock
        let today = Day(clock.now())
        let configuration = try ProjectConfiguration.load(layout, now: today)
        let local = configuration.regions
        let listening = try Self.listening(local, options)
        self.listening = listening
        configured = local
        initial = configuration
        let keys = try local.map {
            try RegionKeys(opening: $0.keysDirectory, region: $0.name)
        }
        let logs = try zip(local, keys).map { region, keys in
            try AuditLog(
                directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        }
        self.logs = logs
        // Before anything is signed: what other regions saw is what this one may not go behind.
        witnesses = try ProjectWitnesses(local, creating: true)
        try witnesses.require()
        var context = try EdgeContext(
            ruleSet: configuration.ruleSet, geoTable: GeoTable(mapping: layout.geoTablePath),
            userAgents: UserAgentRules.loadInstalled(), keys: keys, today: today)
        if options.requiresProof {
            do {
                try Self.requireProof(
                    configuration, context, layout, keys.filter { listening.contains($0.region) })
            } catch let refusal as UnprovedRules {
                for log in logs {
                    _ = try log.append(
                        AuditEntry(
                            at: clock.now(), kind: "start.refused", region: log.region,
                            fields: refusal.auditFields))
                }
                throw refusal
            }
        }
        let shadow = options.shadow.map {
            ShadowMode(
                folder: $0, layout: layout, loops: options.loopCount, regions: listening,
                logger: logger, clock: clock)
        }
        self.shadow = shadow
        if let shadow { context = shadow.attached(to: context) }
        tickets = TicketKeys(at: SystemClock.monotonicMilliseconds())
        let contexts = try Self.tlsContexts(local, listening, clock.now(), tickets, logger)
        collector = Collector(
            regions: Self.withPorts(local, options), listening: Set(listening), context: context,
            loops: options.loopCount, tlsContexts: contexts, tickets: tickets, logger: logger)
    }

    /// What each region's listener speaks TLS with; certificates of regions that do not listen here are not looked at.
    private static func tlsContexts(
        _ regions: [RegionConfiguration], _ listening: [String], _ now: Timestamp,
        _ tickets: TicketKeys, _ logger: Logger
    ) throws -> [TLSContext?] {
        let own = regions.map { region in
            var region = region
            if !listening.contains(region.name) { region.collector.tls = nil }
            return region
        }
        let certificates = CollectorCertificates(own, now: now, tickets: tickets)
        for warning in certificates.warnings {
            logger.warning("certificate", ["tls.warning": .text(warning.description)])
        }
        return try certificates.usable()
    }

    /// Names of the regions that listen here.
    private static func listening(
        _ all: [RegionConfiguration], _ options: Options
    ) throws -> [String] {
        let names = all.map(\.name)
        for name in options.regions ?? [] where !names.contains(name) {
            throw NodeError(
                text: "no region `\(name)` in Regions/; there are "
                    + names.map { "`\($0)`" }.joined(separator: ", "), isUsage: true)
        }
        return options.regions ?? names
    }

    private static func withPorts(
        _ regions: [RegionConfiguration], _ options: Options
    ) -> [RegionConfiguration] {
        guard options.usesFreePorts else { return regions }
        return regions.map { region in
            var region = region
            region.collector.listen.port = 0
            return region
        }
    }

    /// Starts everything; when it returns, every listener accepts. What could not start altogether has stopped when it throws.
    ///
    /// - Returns: where the collectors listen, and where the services of the regions that have one do.
    package func start() throws -> (
        collectors: [Listener], services: [Listener], postgres: [Listener]
    ) {
        do {
            let collectors = try startCollecting()
            let services = options.delivers ? try startServices() : []
            return (collectors, services.map(\.http), services.compactMap(\.postgres))
        } catch {
            // Hits may have been taken. Why the start failed says more than what may fail on top of it.
            if !collector.ports.isEmpty { try? stop() }
            throw error
        }
    }

    private func startServices() throws -> [(http: Listener, postgres: Listener?)] {
        let configuration = try ProjectConfiguration.load(layout, now: Day(clock.now()))
        let made = try configuration.regions.filter { $0.service != nil }.map {
            try RegionService(
                $0, configuration, layout: layout, usesFreePort: options.usesFreePorts,
                logger: logger, clock: clock)
        }
        return try made.map { service in
            let listeners = try service.start()
            services.withLock { $0.append(service) }
            return listeners
        }
    }

    private func startCollecting() throws -> [Listener] {
        try reportRecovery()
        OpenFiles.raiseLimit()
        // Before the first hit is decided by them, so that whoever finds their digest in a record finds them too.
        let file = try KeptRules(layout).keep(initial)
        try tell(
            "node.started",
            rulesFields(collector.context, file: file).merging(["regions": .list(listening)]) {
                $1
            })
        shadow?.begin(collector.context)
        ProcessMemory.returnLargeBlocks()
        try collector.start()
        let ports = collector.ports
        var workers = [
            Worker(name: "ledger", everySeconds: Self.ledgerSeconds) { [self] in
                report("the ledger was not written") { try tellLedger(includingOpenMinute: false) }
                shadow?.save()
            }
        ]
        defer { self.workers.withLock { $0 = workers } }
        if options.delivers {
            workers.append(
                Worker(name: "witness", everySeconds: Self.witnessSeconds) { [self] in
                    report("the audit logs were not witnessed") { try witness() }
                })
            for (region, log) in zip(collector.regions, logs) {
                let upkeep = try RegionUpkeep(
                    region, of: collector.regions, log: log, logger: logger, clock: clock
                ) { [collector] in
                    FieldAges(collector.context.ruleSet, region: region.name)
                }
                workers += upkeep.workers(everySeconds: options.deliverySeconds)
            }
        }
        let control = try NodeControl(layout: layout) { [self] order in
            switch order {
            case .status: status()
            case .reload(let build): reload(confirming: build)
            }
        }
        self.control.withLock { $0 = control }
        return collector.regions.compactMap { region in
            guard let port = ports[region.name] else { return nil }
            var listen = region.collector.listen
            listen.port = port
            return Listener(
                region: region.name, address: listen.text, port: listen.port,
                scheme: region.collector.tls == nil ? "http" : "https")
        }
    }

    /// Says in logs and audit logs what the last run left in each region, if anything.
    private func reportRecovery() throws {
        for (region, log) in zip(collector.regions, logs) {
            let lake = try RegionLake(region, clock: clock, log: log)
            let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
            try RegionRecovery.report(
                lake, subjects: RegionSubjects(lake, keys: keys, log: log, clock: clock), log: log,
                logger: logger, clock: clock, ownsJournal: true)
        }
    }

    /// Reads the project again and decides by it from the next batch on. When anything in it is wrong, all stays as it was.
    /// - Parameter build: the geo table that may be taken although it moves many addresses.
    @discardableResult
    package func reload(confirming build: String? = nil) -> ReloadOutcome {
        reloading.withLock { held in
            do {
                held = try loadAgain(confirming: build)
                return outcome(mistakes: [], held)
            } catch {
                let problems = (error as? ConfigurationErrors)?.problems.map(\.description)
                let mistakes = problems ?? ["\(error)"]
                logger.error(
                    "the project was not reloaded; the rules stay as they were",
                    ["error": .text(mistakes.joined(separator: "\n"))])
                report("the audit log was not told of a reload that failed") {
                    try tell("rules.refused", Self.refusalFields(error, mistakes))
                }
                return outcome(mistakes: mistakes, held)
            }
        }
    }

    /// What is decided by now, and whether a reload waits; counts of a candidate are on disk when it returns.
    private func status() -> ReloadOutcome {
        shadow?.save()
        return reloading.withLock { held in outcome(mistakes: [], held) }
    }

    private func outcome(mistakes: [String], _ held: HeldReload?) -> ReloadOutcome {
        let context = collector.context
        return ReloadOutcome(
            pid: getpid(), project: layout.root, regions: listening,
            ruleSet: context.ruleSet.digest, geoBuild: context.geoTable.build, mistakes: mistakes,
            held: held, shadow: shadow?.status,
            issuers: Dictionary(
                uniqueKeysWithValues: services.withLock { $0 }.map {
                    ($0.regionName, $0.issuerStandings)
                }))
    }

    /// Takes the project up, or says why its geo table waits.
    private func loadAgain(confirming build: String?) throws -> HeldReload? {
        let today = Day(clock.now())
        let configuration = try ProjectConfiguration.load(layout, now: today)
        try requireSameRegions(configuration.regions)
        let keys = try configuration.regions.map {
            try RegionKeys(opening: $0.keysDirectory, region: $0.name)
        }
        var context = try EdgeContext(
            ruleSet: configuration.ruleSet, geoTable: GeoTable(mapping: layout.geoTablePath),
            // They belong to the installation, not to the project, and take longer to read than all the rest.
            userAgents: collector.context.userAgents, keys: keys, today: today)
        let contexts = try Self.tlsContexts(
            configuration.regions, listening, clock.now(), tickets, logger)
        if options.requiresProof {
            try Self.requireProof(
                configuration, context, layout, keys.filter { listening.contains($0.region) })
        }
        let hold = hold(context)
        if let hold, hold.geoBuild != build {
            try tell(
                "reload.held",
                [
                    "geo_build": .text(hold.geoBuild),
                    "rule_set": .text(configuration.ruleSet.digest),
                    "home_percent": .text("\(hold.homePercent)"),
                    "protection_percent": .text("\(hold.protectionPercent)"),
                ])
            logger.warning(
                "a reload is held: its geo table moves many addresses; all stays as it was until it is confirmed",
                [
                    "geo.build": .text(hold.geoBuild),
                    "geo.home_percent": .text("\(hold.homePercent)"),
                    "geo.protection_percent": .text("\(hold.protectionPercent)"),
                ])
            return hold
        }
        if let shadow { context = shadow.attached(to: context) }
        let file = try KeptRules(layout).keep(configuration)
        var fields = rulesFields(context, file: file)
        fields["confirmed"] = .text(hold == nil ? "not needed" : "by hand")
        try tell("rules.loaded", fields)
        shadow?.begin(context)
        collector.replace(context)
        collector.replace(tlsContexts: contexts)
        for service in services.withLock({ $0 }) { try service.replacePolicies(configuration) }
        logger.info("project reloaded", ["policy.rule_set": .text(configuration.ruleSet.digest)])
        return nil
    }

    /// Why the geo table of `next` is not taken without a confirmation; nil when it is.
    private func hold(_ next: EdgeContext) -> HeldReload? {
        let present = collector.context.geoTable
        guard next.geoTable.digest != present.digest else { return nil }
        let impact = GeoImpact(from: present, to: next.geoTable, under: next.ruleSet)
        guard impact.isAbove(percent: options.holdAbovePercent) else { return nil }
        func percent(_ share: Double) -> Double { (share * 100_000).rounded() / 1_000 }
        return HeldReload(
            geoBuild: next.geoTable.build, homePercent: percent(impact.homeShare),
            protectionPercent: percent(impact.protectionShare),
            limitPercent: options.holdAbovePercent, since: clock.now().text,
            changes: Array(
                impact.changes.filter { $0.movesHome || $0.changesProtection }
                    .prefix(HeldReload.changesMax)))
    }

    /// Listeners, proxies and folders are taken up at the start alone: a change of them that a reload passed over in
    /// silence would look as if it held.
    private func requireSameRegions(_ regions: [RegionConfiguration]) throws {
        guard regions.map(\.name) == configured.map(\.name) else {
            throw NodeError(text: "regions were added or removed, which needs a restart")
        }
        for (old, new) in zip(configured, regions) {
            var compared = new
            compared.title = old.title
            compared.jurisdiction = old.jurisdiction
            // Certificates are taken up; whether there are any is not.
            if compared.collector.tls != nil, old.collector.tls != nil {
                compared.collector.tls = old.collector.tls
            }
            guard compared == old else {
                throw NodeError(
                    text: "Regions/\(new.name).yaml: how the region listens, where it keeps its "
                        + "files or what it seals was changed, which needs a restart")
            }
        }
    }

    /// Answers what was accepted, commits it, lets work under way end, and writes the last ledger.
    package func stop() throws {
        control.withLock { $0 }?.stop()
        for service in services.withLock({ $0 }) { try service.stop() }
        collector.drain()
        for worker in workers.withLock({ $0 }) { worker.stop() }
        shadow?.save()
        try tellLedger(includingOpenMinute: true)
        try tell("node.stopped", [:])
        if options.delivers { try witness() }
    }

    /// Refuses rules without a proof that covers them.
    private static func requireProof(
        _ configuration: ProjectConfiguration, _ context: EdgeContext, _ layout: ProjectLayout,
        _ keys: [RegionKeys]
    ) throws {
        do {
            try ProjectProof(layout: layout).require(
                of: configuration, rules: context.rules, table: context.geoTable, keys: keys)
        } catch let refusal as ProofRefusal {
            throw UnprovedRules(
                refusal: refusal, ruleSet: configuration.ruleSet.digest,
                geoBuild: context.geoTable.build)
        }
    }

    /// Rules that no proof covers, with what the audit log says of them.
    package struct UnprovedRules: Error, CustomStringConvertible {
        let refusal: ProofRefusal
        let ruleSet: String
        let geoBuild: String

        package var description: String { refusal.description }
        var auditFields: [String: AuditEntry.Value] {
            [
                "reason": .text(refusal.code), "rule_set": .text(ruleSet),
                "geo_build": .text(geoBuild),
            ]
        }
    }

    /// What the one audit entry of a refused reload says.
    private static func refusalFields(
        _ error: any Error, _ mistakes: [String]
    ) -> [String: AuditEntry.Value] {
        var fields = (error as? UnprovedRules)?.auditFields ?? [:]
        fields["mistakes"] = .integer(mistakes.count)
        return fields
    }

    // MARK: Audit

    /// What audit entries say of rules that come into force: `rules_file` is the digest of the file they are kept in,
    /// `candidate` that of the rules that are asked beside them.
    private func rulesFields(
        _ context: EdgeContext, file: String
    ) -> [String: AuditEntry.Value] {
        var fields: [String: AuditEntry.Value] = [
            "rule_set": .text(context.ruleSet.digest), "rules_file": .text(file),
            "geo_build": .text(context.geoTable.build),
        ]
        if let shadow = context.shadow { fields["candidate"] = .text(shadow.ruleSet.digest) }
        return fields
    }

    /// One entry in every region's log.
    private func tell(_ kind: String, _ fields: [String: AuditEntry.Value]) throws {
        for log in logs {
            _ = try log.append(
                AuditEntry(at: clock.now(), kind: kind, region: log.region, fields: fields))
        }
    }

    /// Tells each region's log how its hits fared since the last time: the loss ledger.
    private func tellLedger(includingOpenMinute: Bool) throws {
        for (region, log) in zip(collector.regions, logs) {
            try RegionLedger(region: region, log: log, clock: clock)
                .tell(includingOpenMinute: includingOpenMinute)
        }
    }

    /// Has the regions cosign each other's checkpoints. A refusal is told once, to the log of the region that refused.
    private func witness() throws {
        for standing in witnesses.round(at: clock.now()) {
            guard let problem = standing.problem,
                refusals.withLock({
                    $0.insert("\(standing.witness) \(standing.region)").inserted
                })
            else { continue }
            logger.error(
                "a region does not cosign another one's audit log",
                [
                    "audit.region": .text(standing.region),
                    "audit.witness": .text(standing.witness), "error": .text(problem),
                ])
            guard let log = logs.first(where: { $0.region == standing.witness }) else { continue }
            try log.append(
                AuditEntry(
                    at: clock.now(), kind: "witness.refused", region: log.region,
                    fields: [
                        "log": .text(standing.region + "/audit"),
                        "size": .integer(standing.size ?? 0),
                    ]))
        }
    }

    /// Runs `work`; what it throws is logged under `message`.
    private func report(_ message: StaticString, _ work: () throws -> Void) {
        do { try work() } catch { logger.error(message, ["error": .text("\(error)")]) }
    }
}

/// A node cannot be made or changed as asked.
package struct NodeError: Error, CustomStringConvertible {
    package let text: String
    /// It was asked for what the project does not have.
    package var isUsage = false
    package var description: String { text }
}
