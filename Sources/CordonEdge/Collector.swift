package import CordonJournal
internal import CordonKeys
package import CordonModel
internal import HTTP
internal import LinuxIO
internal import Synchronization
package import TLS
package import Telemetry

/// Why a collector could not start.
package enum CollectorError: Error, Sendable, CustomStringConvertible {
    /// A listener could not be opened.
    case listen(region: String, address: String, operation: String, errorNumber: Int32)
    case journal(region: String, JournalError)
    case system(operation: String, errorNumber: Int32)

    package var description: String {
        switch self {
        case .listen(let region, let address, let operation, let number):
            "region `\(region)` cannot listen on \(address): "
                + NetworkError(operation: operation, code: number).description
        case .journal(let region, let error): "region `\(region)`: \(error)"
        case .system(let operation, let number):
            NetworkError(operation: operation, code: number).description
        }
    }
}

/// The collector of one process: listeners of one or several regions, loops, committers.
///
/// ``start()``, then ``replace(_:)`` as often as the rules change, then ``drain()`` once. All of it may be called from
/// any thread; none of it is on the hot path.
package final class Collector: Sendable {
    /// Regions whose hits are kept here.
    package let regions: [RegionConfiguration]
    /// Names of those that listen here.
    private let listening: Set<String>
    private let loopCount: Int
    private let journalBytesMax: Int
    private let intakeBytes: Int
    private let handshakeMilliseconds: UInt64
    private let connectionsMax: Int
    /// Keys of the session tickets of every listener.
    private let tickets: TicketKeys?
    private let logger: Logger
    private let clock: @Sendable () -> Timestamp
    private let monotonic: @Sendable () -> UInt64
    private let state: Mutex<State>

    private struct State {
        var context: EdgeContext
        var tlsContexts: [TLSContext?]
        var loops: [LoopShared] = []
        var committers: [RegionCommitter] = []
        var gauges: [JournalGauge] = []
        var threads: [ThreadBox] = []
        var committerThreads: [ThreadBox] = []
        var journalKeepers: [ThreadBox] = []
        var keeper: Keeper?
        var keeperThread: ThreadBox?
        var ports: [String: UInt16] = [:]
        var isStarted = false
    }

    /// - Parameters:
    ///   - regions: those whose hits are kept here, in the order of the context's keys.
    ///   - listening: names of those that listen here; a hit for any of `regions` may come in at each.
    ///   - loops: threads that serve connections; one a core is right.
    ///   - tlsContexts: for each region what its listener speaks TLS with, nil where it is plain; empty when all are.
    ///   - tickets: what those contexts were made with; renewed here.
    ///   - journalBytesMax: bound on each journal's file; 0 leaves it to the disk.
    ///   - intakeBytes: size of a journal's intake where it has none yet.
    ///   - connectionsMax: of each loop; one more is closed at once.
    ///   - clock: the wall clock, asked once a round of each loop; deadlines never ask it.
    ///   - monotonic: milliseconds that only grow, asked as often; deadlines and limits go by it.
    package init(
        regions: [RegionConfiguration], listening: Set<String>, context: EdgeContext, loops: Int,
        tlsContexts: [TLSContext?] = [], tickets: TicketKeys? = nil, journalBytesMax: Int = 0,
        intakeBytes: Int = Intake.bytes,
        handshakeMilliseconds: UInt64 = EdgeLimits.handshakeMillisecondsMax,
        connectionsMax: Int = EdgeLimits.connectionsMax, logger: Logger,
        clock: @escaping @Sendable () -> Timestamp = {
            Timestamp(microseconds: SystemClock.realtimeMicroseconds())
        },
        monotonic: @escaping @Sendable () -> UInt64 = { SystemClock.monotonicMilliseconds() }
    ) {
        precondition(loops > 0 && !regions.isEmpty, "a collector listens for someone")
        precondition(
            context.localRegions == regions.map(\.name), "keys and regions stand in the same order")
        self.regions = regions
        self.listening = listening
        loopCount = loops
        self.journalBytesMax = journalBytesMax
        self.intakeBytes = intakeBytes
        self.handshakeMilliseconds = handshakeMilliseconds
        self.connectionsMax = connectionsMax
        self.tickets = tickets
        self.logger = logger
        self.clock = clock
        self.monotonic = monotonic
        let tlsContexts = tlsContexts.isEmpty ? regions.map { _ in nil } : tlsContexts
        precondition(tlsContexts.count == regions.count, "each region is plain or has its TLS")
        state = Mutex(State(context: context, tlsContexts: tlsContexts))
    }

    /// Opens journals and listeners and starts the threads; when it returns, every listener accepts.
    package func start() throws(CollectorError) {
        let (context, tlsContexts) = state.withLock { ($0.context, $0.tlsContexts) }
        let committers = try makeCommitters()
        let (listeners, ports) = try openListeners()
        do throws(NetworkError) {
            try launch(context, tlsContexts, committers, listeners, ports)
        } catch {
            throw .system(operation: error.operation, errorNumber: error.code)
        }
        for (region, port) in ports.sorted(by: { $0.key < $1.key }) {
            logger.info(
                "collector listens",
                [
                    "edge.region": .text(region), "edge.port": .count(port),
                    "edge.loops": .count(loopCount),
                ])
        }
    }

    /// The port of each region's listener, once started.
    package var ports: [String: UInt16] { state.withLock { $0.ports } }

    /// The context that the next batches are made under.
    package var context: EdgeContext { state.withLock { $0.context } }

    /// Lets every loop decide by `context` from its next batch on; requests in hand keep the old one.
    package func replace(_ context: EdgeContext) {
        state.withLock { replace(context, &$0) }
    }

    /// The same, but only where `base` is the present context: what was made from an older one must not put that back. Returns
    /// whether it was.
    @discardableResult
    package func replace(_ context: EdgeContext, madeFrom base: EdgeContext) -> Bool {
        state.withLock { state in
            guard state.context === base else { return false }
            replace(context, &state)
            return true
        }
    }

    private func replace(_ context: EdgeContext, _ state: inout State) {
        precondition(
            context.localRegions == regions.map(\.name), "a collector keeps its regions for life")
        state.context = context
        for loop in state.loops { loop.replace(context) }
    }

    /// Lets connections accepted from now on speak TLS with `tlsContexts`, one a region; those under way go on as they are.
    package func replace(tlsContexts: [TLSContext?]) {
        precondition(tlsContexts.count == regions.count, "each region is plain or has its TLS")
        state.withLock { state in
            state.tlsContexts = tlsContexts
            for loop in state.loops { loop.replace(tlsContexts: tlsContexts) }
        }
    }

    /// Stops accepting, answers what was accepted, commits it, and ends the threads. Blocks until that is done.
    package func drain() {
        let (loops, threads, keeper) = state.withLock { state in
            (state.loops, state.threads, (state.keeper, state.keeperThread))
        }
        keeper.0?.stop()
        keeper.1?.join()
        for loop in loops { loop.drain() }
        for thread in threads { thread.join() }
        let (committers, committerThreads, journalKeepers) = state.withLock {
            ($0.committers, $0.committerThreads, $0.journalKeepers)
        }
        for committer in committers { committer.stop() }
        for thread in committerThreads { thread.join() }
        for committer in committers { committer.stopKeeping() }
        for thread in journalKeepers { thread.join() }
        logger.info("collector drained", ["edge.hits": .count(counters().received)])
    }

    /// The counts of all loops; up to a few hundredths of a second old while there is traffic, exact after ``drain()``.
    package func counters() -> EdgeCounters {
        Self.sum(state.withLock { $0.loops })
    }

    /// The page at `/metrics`.
    package func metricsPage() -> String {
        let (loops, committers, gauges) = state.withLock { ($0.loops, $0.committers, $0.gauges) }
        return Self.page(loops, committers, gauges, at: clock())
    }
}

// Starting.
extension Collector {
    private func makeCommitters() throws(CollectorError) -> [RegionCommitter] {
        var committers: [RegionCommitter] = []
        for region in regions {
            let committer: RegionCommitter
            do throws(NetworkError) {
                committer = try RegionCommitter(
                    region: region.name, path: region.journalPath, loops: loopCount,
                    journalBytesMax: journalBytesMax, intakeBytes: intakeBytes, logger: logger)
            } catch {
                throw .system(operation: error.operation, errorNumber: error.code)
            }
            do throws(JournalError) { try committer.prepare() } catch {
                throw .journal(region: region.name, error)
            }
            committers.append(committer)
        }
        return committers
    }

    /// Opens each region's listener once for each loop; the first choice of a port binds the others.
    private func openListeners() throws(CollectorError) -> ([[ListenerBox]], [String: UInt16]) {
        var listeners = [[ListenerBox]](repeating: [], count: loopCount)
        var ports: [String: UInt16] = [:]
        for (index, region) in regions.enumerated() where listening.contains(region.name) {
            let listen = region.collector.listen
            var port = listen.port
            do throws(NetworkError) {
                try Socket.requireFree(listen.address, port: port)
                for loop in 0..<loopCount {
                    let socket = try Socket.listening(
                        on: listen.address, port: port, backlog: EdgeLimits.backlog)
                    port = try socket.localPort
                    listeners[loop].append(ListenerBox(socket, region: index))
                }
            } catch {
                throw .listen(
                    region: region.name, address: listen.text, operation: error.operation,
                    errorNumber: error.code)
            }
            ports[region.name] = port
        }
        return (listeners, ports)
    }

    private func launch(
        _ context: EdgeContext, _ tlsContexts: [TLSContext?], _ committers: [RegionCommitter],
        _ listeners: [[ListenerBox]], _ ports: [String: UInt16]
    ) throws(NetworkError) {
        var shared: [LoopShared] = []
        for _ in 0..<loopCount {
            shared.append(try LoopShared(context: context, tlsContexts: tlsContexts))
        }
        let all = shared
        let gauges = regions.map { JournalGauge(region: $0.name, path: $0.journalPath) }
        let metrics: @Sendable () -> String = { [clock] in
            Self.page(all, committers, gauges, at: clock())
        }
        let limits = regions.map {
            AddressLimits($0.collector.limits, at: monotonic())
        }
        let recentEvents = RecentEvents(at: monotonic())
        var loops: [EdgeLoop] = []
        for number in 0..<loopCount {
            loops.append(
                try EdgeLoop(
                    number: number, shared: shared[number], committers: committers,
                    isRelaxed: regions.map { $0.collector.durability == .relaxed },
                    resolvers: regions.map { ClientAddressResolver($0.collector) },
                    limits: limits, listeners: listeners[number], context: context,
                    recentEvents: recentEvents, logger: logger, clock: clock,
                    monotonic: monotonic, handshakeMilliseconds: handshakeMilliseconds,
                    connectionsMax: connectionsMax, metrics: metrics))
        }
        var committerThreads: [ThreadBox] = []
        var journalKeepers: [ThreadBox] = []
        let local = Set(regions.map(\.name))
        // Hits that no region here may hold are told to the first region that listens, so that each is told once.
        let first = regions.first { listening.contains($0.name) }?.name
        for committer in committers {
            let region = committer.region
            committerThreads.append(
                ThreadBox(try SystemThread(name: "journal") { committer.run() }))
            journalKeepers.append(
                ThreadBox(
                    try SystemThread(name: "intake") {
                        committer.keep(
                            UnkeptLedger {
                                Self.sum(all).rules.filter {
                                    $0.region == region
                                        || region == first && !local.contains($0.region)
                                }
                            })
                    }))
        }
        var threads: [ThreadBox] = []
        for loop in loops {
            threads.append(ThreadBox(try SystemThread(name: "edge") { loop.run() }))
        }
        let keeper = try Keeper()
        let keeperThread = ThreadBox(
            try SystemThread(name: "edge-keeper") { [weak self, monotonic] in
                for gauge in gauges { gauge.measure() }
                while keeper.waitsOn() {
                    for gauge in gauges { gauge.measure() }
                    self?.renewKeys()
                    for limits in limits { limits.renew(at: monotonic()) }
                    self?.tickets?.rotateIfDue(at: monotonic())
                }
                for gauge in gauges { gauge.close() }
            })
        state.withLock { state in
            precondition(!state.isStarted, "a collector starts once")
            state.isStarted = true
            state.loops = all
            state.committers = committers
            state.gauges = gauges
            state.threads = threads
            state.committerThreads = committerThreads
            state.journalKeepers = journalKeepers
            state.keeper = keeper
            state.keeperThread = keeperThread
            state.ports = ports
        }
    }

    /// Opens the keys of a new day. When that fails the old ones serve on: hits of tomorrow still find theirs, and those of
    /// the day after lose their pseudonyms, which is the stricter outcome.
    private func renewKeys() {
        let today = Day(clock())
        let context = self.context
        guard today != context.keyDay else { return }
        do throws(KeysError) {
            // A reload meanwhile has rules of its own; its keys are looked at in the next round.
            replace(try context.renewed(today: today), madeFrom: context)
        } catch {
            logger.error(
                "pseudonym keys were not renewed", ["keys.error": .text(error.description)])
        }
    }

    private static func sum(_ loops: [LoopShared]) -> EdgeCounters {
        var sum = EdgeCounters()
        for loop in loops { sum.add(loop.counters) }
        return sum
    }

    private static func page(
        _ loops: [LoopShared], _ committers: [RegionCommitter], _ gauges: [JournalGauge],
        at now: Timestamp
    ) -> String {
        var page = MetricsText()
        sum(loops).write(to: &page)
        // All loops share the context, and with it the candidate.
        let shadow = loops.first?.context.withLock { $0.shadow }
        ShadowCounts.write(shadow?.counts(), to: &page)
        let counts = committers.map { ($0.region, $0.counts) }
        page.family(
            "cordon_journal_commits_total", .counter, help: "Transactions that were synced.")
        for (region, count) in counts {
            page.sample("cordon_journal_commits_total", ["region": region], count.commits)
        }
        page.family("cordon_journal_hits_total", .counter, help: "Hits in those transactions.")
        for (region, count) in counts {
            page.sample("cordon_journal_hits_total", ["region": region], count.hits)
        }
        page.family(
            "cordon_journal_bytes_total", .counter, help: "Batch bytes in those transactions.")
        for (region, count) in counts {
            page.sample("cordon_journal_bytes_total", ["region": region], count.bytes)
        }
        page.family(
            "cordon_journal_failures_total", .counter, help: "Commits that failed, by reason.")
        for (region, count) in counts {
            for (index, code) in JournalError.Code.allCases.enumerated() {
                page.sample(
                    "cordon_journal_failures_total", ["region": region, "reason": code.rawValue],
                    count.failures[index])
            }
        }
        page.family(
            "cordon_journal_failed_hits_total", .counter,
            help: "Hits of those commits, by reason: they were answered 503.")
        for (region, count) in counts {
            for (index, code) in JournalError.Code.allCases.enumerated() {
                page.sample(
                    "cordon_journal_failed_hits_total",
                    ["region": region, "reason": code.rawValue], count.failedHits[index])
            }
        }
        write(gauges.map { ($0.region, $0.reading) }, to: &page, at: now)
        return page.text
    }

    /// What waits in the journals; a region whose journal cannot be read has no sample.
    private static func write(
        _ readings: [(region: String, reading: JournalGauge.Reading?)], to page: inout MetricsText,
        at now: Timestamp
    ) {
        let families: [(String, String, (JournalGauge.Reading) -> Int64)] = [
            (
                "cordon_journal_unsent_batches", "Batches that wait for their delivery.",
                { Int64($0.depth.batches) }
            ),
            ("cordon_journal_unsent_hits", "Hits in those batches.", { Int64($0.depth.hits) }),
            ("cordon_journal_unsent_bytes", "Bytes of those batches.", { Int64($0.depth.bytes) }),
            (
                "cordon_journal_unsent_age_seconds",
                "How long the oldest of them has waited, from the start of the minute of its commit; 0 without any.",
                { $0.age(at: now.microseconds) }
            ),
        ]
        for (name, help, value) in families {
            page.family(name, .gauge, help: help)
            for (region, reading) in readings {
                if let reading { page.sample(name, ["region": region], value(reading)) }
            }
        }
    }
}

/// A listener that its loop closes when it drains.
@safe final class ListenerBox: @unchecked Sendable {
    // SAFETY: used by the loop that it was made for alone, once that runs.
    private var socket: Socket?
    let descriptor: Int32
    let region: Int

    init(_ socket: consuming Socket, region: Int) {
        descriptor = socket.descriptor
        self.socket = consume socket
        self.region = region
    }

    func accept() throws(NetworkError) -> Accepted? { try socket?.accept() ?? nil }
    func close() { socket = nil }
}

/// Wakes the thread that renews the keys, once a second until it is stopped.
private final class Keeper: Sendable {
    private let signal: WakeSignal
    private let isStopped = Atomic<Bool>(false)

    init() throws(NetworkError) { signal = try WakeSignal() }

    func stop() {
        isStopped.store(true, ordering: .releasing)
        signal.signal()
    }

    /// Waits for a second; false when it was stopped.
    func waitsOn() -> Bool {
        signal.wait(milliseconds: 1000)
        return !isStopped.load(ordering: .acquiring)
    }
}
