internal import Bytes
internal import CordonJournal
internal import CordonModel
internal import CordonPolicy
internal import Crypto
internal import HTTP
internal import LinuxIO
internal import Synchronization
internal import TLS
internal import Telemetry

/// What a loop shares with the rest of its collector.
final class LoopShared: Sendable {
    let signal: LoopSignal
    /// The context that hits are decided by from the next batch on.
    let context: Mutex<EdgeContext>
    /// Grows with each new context.
    let contextVersion = Atomic<UInt64>(0)
    /// For each region of the collector what its listener speaks TLS with; nil where it is plain.
    let tlsContexts: Mutex<[TLSContext?]>
    let tlsVersion = Atomic<UInt64>(0)
    let isDraining = Atomic<Bool>(false)
    /// As of the end of the loop's last round.
    let published: Mutex<Published>

    /// What a loop lets others see: plain copies, so that it costs the loop the same for many policies as for one; whoever
    /// asks puts the names to the numbers.
    struct Published {
        /// Its rules are those of earlier contexts.
        var counters = EdgeCounters()
        var context: EdgeContext
        /// Of the policies of `context`.
        var fates: [UInt64] = []
    }

    /// The counts that the loop published last.
    var counters: EdgeCounters {
        let published = published.withLock { $0 }
        var counters = published.counters
        if !published.fates.isEmpty { counters.add(published.fates, of: published.context) }
        return counters
    }

    init(context: EdgeContext, tlsContexts: [TLSContext?]) throws(NetworkError) {
        signal = try LoopSignal()
        self.context = Mutex(context)
        self.tlsContexts = Mutex(tlsContexts)
        published = Mutex(Published(context: context))
    }

    func replace(tlsContexts next: [TLSContext?]) {
        tlsContexts.withLock { $0 = next }
        tlsVersion.wrappingAdd(1, ordering: .releasing)
        signal.wake()
    }

    func replace(_ next: EdgeContext) {
        context.withLock { $0 = next }
        contextVersion.wrappingAdd(1, ordering: .releasing)
        signal.wake()
    }

    func drain() {
        isDraining.store(true, ordering: .releasing)
        signal.wake()
    }
}

/// One thread's event loop with all of its connections.
///
/// A round: wait for events, serve what is ready until nothing more is, commit the gathered batches, answer them,
/// publish the counts.
/// Used by one thread from `run` on.
@safe final class EdgeLoop: @unchecked Sendable {
    // SAFETY: made by the collector before the thread starts, and used by that thread alone afterwards; what others
    // touch stands in `shared` and the committers, which are Sendable.
    let number: Int
    let shared: LoopShared
    let committers: [RegionCommitter]
    let isRelaxed: [Bool]
    let resolvers: [ClientAddressResolver]
    /// By listener, like `resolvers`; shared with the other loops.
    let limits: [AddressLimits]
    var limitKeys: [(key: HMACKey, version: UInt64)]
    private let clock: @Sendable () -> Timestamp
    private let monotonic: @Sendable () -> UInt64
    let recentEvents: RecentEvents
    let metrics: @Sendable () -> String
    private let logger: Logger

    let epoll: Epoll
    var listeners: [ListenerBox]
    var connections: [EdgeConnection] = []
    var free: [Int] = []
    var inputPool: [UnsafeMutablePointer<UInt8>] = unsafe []
    var openCount = 0

    var context: EdgeContext
    var contextVersion: UInt64 = 0
    /// What new connections speak TLS with, by region; those under way keep theirs.
    var tlsContexts: [TLSContext?]
    private var tlsVersion: UInt64 = 0
    let handshakeMilliseconds: UInt64
    let connectionsMax: Int
    let transform: HitTransform
    var lanes: [Lane]
    let posted = PostedForm()
    var eventKeys: RecentEvents.Keys
    var twins: [Twin] = []
    /// Number by which the answer of the last twin is known.
    var twinTicket: UInt32 = 0
    var responses = ResponseTable()
    var output: [UInt8] = []
    /// What was read for a session of HTTP/2; empty until there is one.
    var plaintext: [UInt8] = []

    var counters = EdgeCounters()
    /// Fates of the present context's policies; folded into `counters` when they are published.
    var fates: [UInt64] = []
    var pastRules = EdgeCounters()
    var hasNews = true

    var now: UInt64 = 0
    var timestamp = Timestamp(microseconds: 0)
    private var secondOfDate: Int64 = -1
    var nextTick: UInt64 = 0
    var nextPublication: UInt64 = 0
    /// How old the counts that others see may be while there is traffic, in milliseconds.
    static let publicationMilliseconds: UInt64 = 50
    /// How long hits gather for one commit while more keep coming, in milliseconds.
    static let gatherMillisecondsMax: UInt64 = 4
    var drainDeadline: UInt64?
    /// For each listener whether connections may wait that the system will not tell of again.
    var acceptIsDue: [Bool]
    /// A listener has more to accept, and stopped for the others' sake.
    var acceptIsSoon = false
    /// Connections that have more to read, and wait for the others to have their turn.
    var turns: [UInt64] = []
    private var presentTurns: [UInt64] = []
    /// The connection that is served has asked for a page that takes long to make.
    var hasAskedForPage = false

    /// The batches of one region: one that is filled, one at the committer, and between them at most one that was
    /// filled under an earlier context.
    struct Lane {
        var open = BatchBuffer()
        var sealed: BatchBuffer?
        var inFlight: BatchBuffer?
        var spares: [BatchBuffer] = []
        var isOpened = false
        /// Number of the batch that is filled.
        var ticket: UInt32 = 1
        var suppression = Suppression(generation: -1)
        /// Somebody is on that list; said apart, because a hit that is handed the list takes hold of each of its sets.
        var isSuppressing = false
        /// The last commit failed, so `relaxed` answers wait for theirs too.
        var hasFailed = false

        var isEmpty: Bool { open.isEmpty && sealed == nil && inFlight == nil }

        /// Goes on with an empty batch and returns the one that was filled.
        mutating func turnOver() -> BatchBuffer {
            let filled = open
            open = spares.popLast() ?? BatchBuffer()
            ticket &+= 1
            isOpened = false
            return filled
        }
    }

    /// A hit that waits for the fate of an earlier one with its site and id.
    struct Twin {
        var claim: RecentEvents.Claim
        var connection: UInt64
        var ticket: UInt32
        var policy: Int
        var context: EdgeContext
    }

    private enum Token {
        static let wake: UInt64 = .max
        static let listeners: UInt64 = .max - 1024
    }

    init(
        number: Int, shared: LoopShared, committers: [RegionCommitter], isRelaxed: [Bool],
        resolvers: [ClientAddressResolver], limits: [AddressLimits], listeners: [ListenerBox],
        context: EdgeContext, recentEvents: RecentEvents, logger: Logger,
        clock: @escaping @Sendable () -> Timestamp, monotonic: @escaping @Sendable () -> UInt64,
        handshakeMilliseconds: UInt64, connectionsMax: Int,
        metrics: @escaping @Sendable () -> String
    ) throws(NetworkError) {
        self.number = number
        self.shared = shared
        self.committers = committers
        self.isRelaxed = isRelaxed
        self.resolvers = resolvers
        self.limits = limits
        limitKeys = limits.map { limits in
            guard let first = limits.key(ifNewerThan: 0) else {
                preconditionFailure("versions begin with 1")
            }
            return first
        }
        self.listeners = listeners
        acceptIsDue = listeners.map { _ in false }
        self.context = context
        tlsContexts = shared.tlsContexts.withLock { $0 }
        self.handshakeMilliseconds = handshakeMilliseconds
        self.connectionsMax = connectionsMax
        self.recentEvents = recentEvents
        guard let eventKeys = recentEvents.keys(ifNewerThan: 0) else {
            preconditionFailure("versions start at 1")
        }
        self.eventKeys = eventKeys
        self.logger = logger
        self.clock = clock
        self.monotonic = monotonic
        self.metrics = metrics
        epoll = try Epoll(eventsMax: 1024)
        transform = HitTransform(userAgents: UserAgentCache(context.userAgents))
        lanes = committers.map { _ in Lane() }
        output.reserveCapacity(65_536)
        fates = Array(repeating: 0, count: context.policyNames.count * HitFate.allCases.count)
        try epoll.add(shared.signal.descriptor, token: Token.wake, writing: false)
        for (index, listener) in listeners.enumerated() {
            try epoll.add(
                listener.descriptor, token: Token.listeners + UInt64(index), writing: false)
        }
    }

    deinit {
        while let buffer = unsafe inputPool.popLast() { unsafe buffer.deallocate() }
        for connection in connections {
            if let input = unsafe connection.input { unsafe input.deallocate() }
        }
    }

    /// The thread's body: returns when it has drained.
    func run() {
        while !isDone {
            guard let count = wait(milliseconds: waitMilliseconds) else { return }
            swap(&turns, &presentTurns)
            serveEvents(count)
            serveTurns()
            // What the answers that leave here bring back is gathered too, so that batches grow with the load.
            takeAnswers()
            gather()
            acceptIsSoon = false
            for index in listeners.indices where acceptIsDue[index] { accept(index) }
            settleTwins()
            takeContext()
            takeTLSContexts()
            if drainDeadline == nil, shared.isDraining.load(ordering: .acquiring) { beginDrain() }
            if now >= nextTick { tick() }
            submitBatches()
            // Those that were committed here are answered here.
            takeAnswers()
            if now >= nextPublication { publish() }
        }
        publish()
    }

    /// Serves the connections that had more to read when their turn in the last round ended, once each.
    private func serveTurns() {
        guard !presentTurns.isEmpty else { return }
        for token in presentTurns {
            if let connection = connection(token) { serve(connection) }
        }
        presentTurns.removeAll(keepingCapacity: true)
    }

    private func takeTLSContexts() {
        let version = shared.tlsVersion.load(ordering: .acquiring)
        guard version != tlsVersion else { return }
        tlsContexts = shared.tlsContexts.withLock { $0 }
        tlsVersion = version
    }

    /// Serves what has become ready meanwhile, so that one commit takes it along: until nothing is ready, or the
    /// first hit has waited for long enough.
    private func gather() {
        let deadline = now + Self.gatherMillisecondsMax
        while lanes.contains(where: { !$0.open.isEmpty && $0.inFlight == nil }), now < deadline {
            guard let count = wait(milliseconds: 0), count > 0 else { return }
            serveEvents(count)
        }
    }

    /// Waits for events and returns how many there are; nil when the system refuses.
    private func wait(milliseconds: Int32) -> Int? {
        do throws(NetworkError) {
            guard milliseconds > 0 else { return try epoll.wait(milliseconds: 0) }
            shared.signal.prepareToSleep()
            defer { shared.signal.awake() }
            return try epoll.wait(milliseconds: hasArrived ? 0 : milliseconds)
        } catch {
            logger.error(
                "waiting for events failed",
                ["edge.loop": .count(number), "edge.error_number": .count(error.code)])
            return nil
        }
    }

    /// Whether another thread has put something into memory that the next round looks at.
    private var hasArrived: Bool {
        if contextHasArrived { return true }
        if shared.tlsVersion.load(ordering: .acquiring) != tlsVersion { return true }
        if drainDeadline == nil, shared.isDraining.load(ordering: .acquiring) { return true }
        return lanes.contains { $0.inFlight?.phase == .answered }
    }

    private func serveEvents(_ count: Int) {
        readClocks()
        for index in 0..<count {
            let (token, readiness) = epoll.event(index)
            handle(token, readiness)
        }
    }

    private var isDone: Bool {
        guard drainDeadline != nil, openCount == 0, twins.isEmpty else { return false }
        return lanes.allSatisfy { $0.isEmpty }
    }

    private var waitMilliseconds: Int32 {
        if !turns.isEmpty || acceptIsSoon { return 0 }
        // A batch that answers have filled since the last look goes to its committer at once.
        let isBusy = isBusy
        var waitsForCompany = false
        for index in lanes.indices where lanes[index].inFlight == nil {
            if lanes[index].sealed != nil { return 0 }
            guard !lanes[index].open.isEmpty, isDue(index) else { continue }
            guard isBusy, mayWait(index) else { return 0 }
            waitsForCompany = true
        }
        // Another loop may settle what they wait for, and does not know of them.
        if !twins.isEmpty { return 1 }
        // The batch that made the round a busy one wakes the loop when it is committed.
        if waitsForCompany { return Int32(Self.companyMilliseconds) }
        for index in lanes.indices where isRelaxed[index] && !lanes[index].open.isEmpty {
            return Int32(EdgeLimits.relaxedMilliseconds / 2)
        }
        return hasNews ? Int32(Self.publicationMilliseconds) : 500
    }

    private func readClocks() {
        now = monotonic()
        timestamp = clock()
        let second = timestamp.microseconds / 1_000_000
        if second != secondOfDate {
            secondOfDate = second
            responses.setDate(HTTPDate.bytes(timestamp))
        }
    }

    private func handle(_ token: UInt64, _ readiness: Epoll.Readiness) {
        if token == Token.wake {
            shared.signal.clear()
            return
        }
        if token >= Token.listeners {
            accept(Int(token - Token.listeners))
            return
        }
        let index = Int(truncatingIfNeeded: token & 0xFFFF_FFFF)
        guard index < connections.count, connections[index].token == token else { return }
        let connection = connections[index]
        // TLS may have waited for room to write before it could read on.
        if readiness.showsInput || connection.tls != nil { connection.isReadable = true }
        if readiness.showsEnd { connection.hasPeerShut = true }
        serve(connection)
    }
}
