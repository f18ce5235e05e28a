import CordonAPI
import CordonAudit
import CordonKeys
package import CordonModel
package import CordonPolicy
import CordonQuery
package import CordonTokens
import Foundation
import LinuxIO
import Synchronization
import TLS
package import Telemetry

/// The service of one region: its lake, tokens and policies behind a ``RegionAPI``, and the sockets that it is asked at.
package final class RegionService: Sendable {
    private let layout: ProjectLayout
    private let region: RegionConfiguration
    private let logger: Logger
    private let clock: any WallClock
    private let log: AuditLog
    private let issuers: [IssuerKeys]
    private let api: RegionAPI
    private let listener: ServiceListener
    /// Runs all queries; a process waits for the next one.
    private let queryChild: QueryChild
    /// For clients of PostgreSQL, where the region's file says so.
    private let postgres: ServiceListener?
    /// The policies in force; a reload replaces them whole.
    private let policies: Policies
    private let keyReader = Mutex<Worker?>(nil)
    /// What the files of the region have told, for questions that are asked again.
    private let memory: AnswerMemory
    private let memoryKeeper = Mutex<Worker?>(nil)

    /// How long what a file has told may be remembered when the file is gone and nobody asks, in seconds.
    private static let memoryLookSeconds = 60

    /// How often it is looked whether an issuer's keys have their age, in seconds.
    private static let keyLookSeconds = Int(IssuerKeys.floorSeconds)

    private final class Policies: Sendable {
        private let present: Mutex<[CompiledPolicy]>
        init(_ policies: [CompiledPolicy]) { present = Mutex(policies) }
        var all: [CompiledPolicy] { present.withLock { $0 } }
        func replace(_ policies: [CompiledPolicy]) { present.withLock { $0 = policies } }
    }

    /// Opens all that the service needs, its socket too; ``start()`` begins to accept.
    ///
    /// - Parameter usesFreePort: whether the system chooses the port instead of the region file.
    package init(
        _ region: RegionConfiguration, _ configuration: ProjectConfiguration,
        layout: ProjectLayout, usesFreePort: Bool, logger: Logger,
        clock: any WallClock = SystemWallClock()
    ) throws {
        guard let settings = region.service else {
            throw NodeError(
                text: "Regions/\(region.name).yaml has no `service`, such as"
                    + " `service: { listen: 127.0.0.1:9401 }`")
        }
        self.layout = layout
        self.region = region
        self.logger = logger
        self.clock = clock
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        self.log = log
        let issuers = Self.issuers(region, settings, log, clock, logger)
        self.issuers = issuers
        let lake = try RegionLake(region, clock: clock, log: log)
        let subjects = RegionSubjects(lake, keys: keys, log: log, clock: clock)
        let policies = Policies(configuration.ruleSet.policies)
        self.policies = policies
        let allowsUnsandboxed = QueryService.environmentAllowsUnsandboxed
        let child = QueryChild(keepsWaiting: true)
        queryChild = child
        let memory = AnswerMemory()
        self.memory = memory
        api = RegionAPI(
            region: region,
            tokens: try RegionTokens(region, log: log, clock: clock, issuers: issuers).authority,
            catalog: lake.catalog, hits: lake.table, log: log, clock: clock, logger: logger,
            policies: { policies.all }, openErasures: { try subjects.unusableCount() },
            queries: { token in
                // Each query has a gate of its own, since an engine's connection serves one thread.
                let service = try QueryService(
                    policies: policies.all, clock: clock, child: child, memory: memory,
                    allowsUnsandboxed: allowsUnsandboxed)
                let bearer = RegionQueries.Bearer(
                    token: token.id, subject: token.grant.subject)
                return (
                    service, RegionQueries(region, clock: clock, log: log, bearer: bearer)
                )
            })
        let api = api
        let tickets = settings.tls.map { _ in TicketKeys(at: SystemClock.monotonicMilliseconds()) }
        func listening<Listening>(
            on address: RegionConfiguration.SocketAddress, for what: String,
            _ open: () throws -> Listening
        ) throws -> Listening {
            do { return try open() } catch let error as NetworkError {
                throw NodeError(
                    text:
                        "region `\(region.name)` cannot listen on \(address.text) for \(what): \(error)"
                )
            }
        }
        listener = try listening(on: settings.listen, for: "its service") {
            try ServiceListener(
                address: settings.listen.address, port: usesFreePort ? 0 : settings.listen.port,
                tls: try tickets.flatMap { try Self.tls(settings, region, clock, $0, .http1) },
                tickets: tickets, logger: logger, refusal: { api.refusal($0) },
                answer: { api.answer($0) })
        }
        postgres = try settings.postgres.map { listen in
            // With ticket keys of its own: sessions are resumed within one listener alone.
            let tickets = settings.tls.map { _ in
                TicketKeys(at: SystemClock.monotonicMilliseconds())
            }
            return try listening(on: listen, for: "clients of PostgreSQL") {
                try api.postgresListener(
                    address: listen.address, port: usesFreePort ? 0 : listen.port,
                    tls: try tickets.flatMap {
                        try Self.tls(settings, region, clock, $0, .postgres)
                    },
                    tickets: tickets)
            }
        }
    }

    /// The keys of the issuers that the region trusts.
    static func issuers(
        _ region: RegionConfiguration, _ settings: RegionConfiguration.Service, _ log: AuditLog,
        _ clock: any WallClock, _ logger: Logger
    ) -> [IssuerKeys] {
        settings.issuers.map { issuer in
            IssuerKeys(
                issuer, source: IssuerKeySource(issuer, region: region.name),
                willChange: { change in
                    try log.append(
                        AuditEntry(
                            at: clock.now(), kind: "service.issuer-keys", region: region.name,
                            fields: [
                                "issuer": .text(change.issuer), "keys": .integer(change.keys),
                                "digest": .text(change.digest),
                            ]))
                }
            ) { error in
                logger.warning(
                    "the keys of an issuer cannot be read; the last ones go on for a day",
                    ["service.issuer": .text(issuer.issuer), "error": .text("\(error)")])
            }
        }
    }

    private static func tls(
        _ settings: RegionConfiguration.Service, _ region: RegionConfiguration,
        _ clock: any WallClock, _ tickets: TicketKeys, _ application: TLSApplication
    ) throws -> TLSContext? {
        guard let tls = settings.tls else { return nil }
        let identity = try TLSIdentity(
            certificatePath: tls.certificate.path, keyPath: tls.key.path)
        try identity.requireValid(at: clock.now().microseconds / 1_000_000)
        return try TLSContext(
            identity,
            authorities: try tls.clientAuthorities.map { try TLSAuthorities(path: $0.path) },
            minimum: tls.minimum == .tls13 ? .tls13 : .tls12, applications: [application],
            scope: region.name + " service " + application.rawValue, tickets: tickets)
    }

    /// Begins to accept; returns where, over HTTP and, if it does, in the PostgreSQL protocol.
    package func start() throws -> (http: Node.Listener, postgres: Node.Listener?) {
        try api.sweep()
        try log.append(
            AuditEntry(at: clock.now(), kind: "service.started", region: region.name))
        queryChild.prepare()
        readIssuerKeys()
        if !issuers.isEmpty {
            let worker = Worker(name: "issuer-keys", everySeconds: Self.keyLookSeconds) {
                [self] in readIssuerKeys()
            }
            keyReader.withLock { $0 = worker }
        }
        let keeper = Worker(name: "answer-memory", everySeconds: Self.memoryLookSeconds) {
            [self] in forgetGoneFiles()
        }
        memoryKeeper.withLock { $0 = keeper }
        listener.start()
        postgres?.start()
        var listen = region.service?.listen ?? region.collector.listen
        listen.port = listener.port
        let http = Node.Listener(
            region: region.name, address: listen.text, port: listen.port,
            scheme: region.service?.tls == nil ? "http" : "https")
        guard let postgres, var listen = region.service?.postgres else { return (http, nil) }
        listen.port = postgres.port
        return (
            http,
            Node.Listener(
                region: region.name, address: listen.text, port: listen.port, scheme: "postgresql")
        )
    }

    package var regionName: String { region.name }

    /// Reads keys anew that have their age, so that no token has to wait for that.
    private func readIssuerKeys() {
        for keys in issuers { keys.refreshIfDue(at: clock.now()) }
    }

    /// What files have told is forgotten that are not in the table any more; all where that is not known.
    private func forgetGoneFiles() {
        guard memory.size.bytes > 0 else { return }
        let files = try? RegionQueries(region, clock: clock, log: log).files().map(\.path)
        memory.keep(onlyOf: files ?? [])
    }

    /// How the keys of the issuers that the region trusts stand.
    package var issuerStandings: [IssuerStanding] {
        issuers.map { $0.standing(at: clock.now()) }
    }

    /// Takes up policies that were changed. A project with a mistake leaves the old ones in force.
    package func reload() {
        do {
            let configuration = try ProjectConfiguration.load(layout, now: Day(clock.now()))
            try replacePolicies(configuration)
        } catch {
            logger.error(
                "the project was not reloaded; the policies stay as they were",
                ["error": .text("\(error)")])
        }
    }

    /// Decides by the policies of `configuration` from the next request on.
    package func replacePolicies(_ configuration: ProjectConfiguration) throws {
        policies.replace(configuration.ruleSet.policies)
    }

    /// Answers what is under way and ends.
    package func stop() throws {
        listener.stop()
        postgres?.stop()
        keyReader.withLock { $0 }?.stop()
        memoryKeeper.withLock { $0 }?.stop()
        for keys in issuers { keys.end() }
        try log.append(
            AuditEntry(at: clock.now(), kind: "service.stopped", region: region.name))
    }
}
