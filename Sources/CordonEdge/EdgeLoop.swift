internal import Bytes
internal import CordonJournal
internal import CordonModel
internal import CordonPolicy
internal import HTTP
internal import LinuxIO
internal import Synchronization
internal import Telemetry

/// What a loop shares with the rest of its collector.
final class LoopShared: Sendable {
    let signal: LoopSignal
    /// The context that hits are decided by from the next batch on.
    let context: Mutex<EdgeContext>
    /// Grows with each new context.
    let contextVersion = Atomic<UInt64>(0)
    let isDraining = Atomic<Bool>(false)
    /// As of the end of the loop's last round.
    let counters = Mutex(EdgeCounters())

    init(context: EdgeContext) throws(NetworkError) {
        signal = try LoopSignal()
        self.context = Mutex(context)
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
/// A round: wait for events, serve what is ready, hand the gathered batches to their committers, publish the counts.
/// Used by one thread from `run` on.
@safe final class EdgeLoop: @unchecked Sendable {
    // SAFETY: made by the collector before the thread starts, and used by that thread alone afterwards; what others
    // touch stands in `shared` and the committers, which are Sendable.
    private let number: Int
    private let shared: LoopShared
    private let committers: [RegionCommitter]
    private let isRelaxed: [Bool]
    private let resolvers: [ClientAddressResolver]
    private let metrics: @Sendable () -> String
    private let logger: Logger

    private let epoll: Epoll
    private var listeners: [ListenerBox]
    private var connections: [EdgeConnection] = []
    private var free: [Int] = []
    private var inputPool: [UnsafeMutablePointer<UInt8>] = unsafe []
    private var openCount = 0

    private var context: EdgeContext
    private var contextVersion: UInt64 = 0
    private let transform: HitTransform
    private var lanes: [Lane]
    private var responses = ResponseTable()
    private var output: [UInt8] = []

    private var counters = EdgeCounters()
    /// Fates of the present context's policies; folded into `counters` when they are published.
    private var fates: [UInt64] = []
    private var pastRules = EdgeCounters()
    private var hasNews = true

    private var now: UInt64 = 0
    private var timestamp = Timestamp(microseconds: 0)
    private var secondOfDate: Int64 = -1
    private var nextTick: UInt64 = 0
    private var nextPublication: UInt64 = 0
    /// How old the counts that others see may be while there is traffic, in milliseconds.
    private static let publicationMilliseconds: UInt64 = 50
    private var drainDeadline: UInt64?
    private var acceptIsDue = false

    /// The batches of one region: one that is filled, one at the committer, and between them at most one that was
    /// filled under an earlier context.
    private struct Lane {
        var open = BatchBuffer()
        var sealed: BatchBuffer?
        var inFlight: BatchBuffer?
        var spares: [BatchBuffer] = []
        var isOpened = false
        /// Number of the batch that is filled.
        var ticket: UInt32 = 1
        var suppression = Suppression(generation: -1)
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

    private enum Token {
        static let wake: UInt64 = .max
        static let listeners: UInt64 = .max - 1024
    }

    init(
        number: Int, shared: LoopShared, committers: [RegionCommitter], isRelaxed: [Bool],
        resolvers: [ClientAddressResolver], listeners: [ListenerBox], context: EdgeContext,
        logger: Logger, metrics: @escaping @Sendable () -> String
    ) throws(NetworkError) {
        self.number = number
        self.shared = shared
        self.committers = committers
        self.isRelaxed = isRelaxed
        self.resolvers = resolvers
        self.listeners = listeners
        self.context = context
        self.logger = logger
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
            let count: Int
            do throws(NetworkError) {
                count = try epoll.wait(milliseconds: waitMilliseconds)
            } catch {
                logger.error(
                    "waiting for events failed",
                    ["edge.loop": .count(number), "edge.error_number": .count(error.code)])
                return
            }
            readClocks()
            for index in 0..<count {
                let (token, readiness) = epoll.event(index)
                handle(token, readiness)
            }
            if acceptIsDue { for index in listeners.indices { accept(index) } }
            takeAnswers()
            takeContext()
            if drainDeadline == nil, shared.isDraining.load(ordering: .acquiring) { beginDrain() }
            if now >= nextTick { tick() }
            submitBatches()
            if now >= nextPublication { publish() }
        }
        publish()
    }

    private var isDone: Bool {
        guard drainDeadline != nil, openCount == 0 else { return false }
        return lanes.allSatisfy { $0.isEmpty }
    }

    private var waitMilliseconds: Int32 {
        for index in lanes.indices where isRelaxed[index] && !lanes[index].open.isEmpty {
            return Int32(EdgeLimits.relaxedMilliseconds / 2)
        }
        return hasNews ? Int32(Self.publicationMilliseconds) : 500
    }

    private func readClocks() {
        now = SystemClock.monotonicMilliseconds()
        timestamp = Timestamp(microseconds: SystemClock.realtimeMicroseconds())
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
        if !readiness.isDisjoint(with: [.read, .ended]) { connection.isReadable = true }
        serve(connection)
    }
}

// Connections.
extension EdgeLoop {
    private func accept(_ index: Int) {
        acceptIsDue = false
        guard index < listeners.count else { return }
        let listener = listeners[index]
        while true {
            do throws(NetworkError) {
                guard let accepted = try listener.accept() else { return }
                take(accepted, listener: listener.region)
            } catch {
                counters.events[EdgeEvent.acceptFailures.rawValue] += 1
                hasNews = true
                // Without a descriptor the waiting connection stays in the queue; it is tried again in the next round.
                acceptIsDue = true
                return
            }
        }
    }

    private func take(_ accepted: consuming Accepted, listener: Int) {
        hasNews = true
        guard openCount < EdgeLimits.connectionsMax else {
            counters.events[EdgeEvent.connectionsRefused.rawValue] += 1
            return
        }
        if free.isEmpty {
            free.append(connections.count)
            connections.append(EdgeConnection(index: connections.count))
        }
        let connection = connections[free.removeLast()]
        let peer = accepted.peer
        let socket = accepted.take()
        let descriptor = socket.descriptor
        connection.open(socket, peer: peer, listener: listener, at: now)
        openCount += 1
        do throws(NetworkError) {
            try epoll.add(descriptor, token: connection.token, writing: true)
        } catch {
            counters.events[EdgeEvent.acceptFailures.rawValue] += 1
            close(connection)
            return
        }
        counters.events[EdgeEvent.connectionsAccepted.rawValue] += 1
        serve(connection)
    }

    private func close(_ connection: EdgeConnection) {
        releaseInput(connection)
        connection.close()
        free.append(connection.index)
        openCount -= 1
        hasNews = true
    }

    private func releaseInput(_ connection: EdgeConnection) {
        guard let input = unsafe connection.input else { return }
        unsafe inputPool.append(input)
        unsafe connection.input = nil
        connection.inputStart = 0
        connection.inputEnd = 0
    }

    /// Reads, answers and writes until nothing more can be done now.
    private func serve(_ connection: EdgeConnection) {
        guard connection.isOpen else { return }
        if connection.lingersUntil != nil { return linger(connection) }
        while true {
            if connection.hasOutput, !writePending(connection) { return }
            readRequests(connection)
            let wasFull = !connection.hasRoomForAnswer
            guard flush(connection) else { return }
            if connection.hasOutput { return }
            // Bytes that were read already may hold more requests, and there is room for their answers again.
            guard wasFull, connection.hasRoomForAnswer else { break }
        }
        rest(connection)
    }

    /// Nothing more can be done now: gives back memory, and closes what has ended.
    private func rest(_ connection: EdgeConnection) {
        if connection.inputStart == connection.inputEnd { releaseInput(connection) }
        guard connection.answerCount == 0, !connection.hasOutput else { return }
        connection.machine.rest(at: now)
        let isFinished =
            connection.hasEnded || connection.machine.isClosed
            || (drainDeadline != nil && connection.machine.isIdle
                && connection.inputStart == connection.inputEnd)
        guard isFinished else { return }
        if connection.wasRefused, !connection.hasEnded {
            // Closing with unread bytes would reset the connection and take the answer away from the peer.
            connection.shutdownWriting()
            connection.lingersUntil = now + 1000
            linger(connection)
        } else {
            close(connection)
        }
    }

    private func linger(_ connection: EdgeConnection) {
        guard let input = unsafe borrowInput(connection) else { return close(connection) }
        var rounds = 0
        while rounds < 8 {
            rounds += 1
            let room = unsafe UnsafeMutableRawBufferPointer(
                start: input, count: EdgeLimits.inputBytesMax)
            let result = unsafe connection.read(into: room)
            switch result {
            case .bytes: continue
            case .wouldBlock:
                releaseInput(connection)
                return
            case .closed: return close(connection)
            }
        }
        close(connection)
    }

    private func borrowInput(_ connection: EdgeConnection) -> UnsafeMutablePointer<UInt8>? {
        if let input = unsafe connection.input { return unsafe input }
        let input =
            unsafe inputPool.popLast() ?? .allocate(capacity: EdgeLimits.inputBytesMax)
        unsafe connection.input = unsafe input
        connection.inputStart = 0
        connection.inputEnd = 0
        return unsafe input
    }

    /// Takes requests from the input, reading more when it is used up, while there is room for their answers.
    private func readRequests(_ connection: EdgeConnection) {
        while connection.hasRoomForAnswer, !connection.hasOutput {
            let start = connection.inputStart
            let count = connection.inputEnd - start
            let step: ConnectionMachine.Step
            if let input = unsafe connection.input {
                // SAFETY: the range lies within the connection's buffer, which nothing else touches meanwhile.
                let bytes = unsafe UnsafeBufferPointer(start: input + start, count: count)
                step = unsafe connection.machine.step(bytes.span, at: now)
                if step == .request { unsafe answer(connection, bytes.span) }
            } else {
                step = connection.machine.step(Span(), at: now)
            }
            switch step {
            case .needMore:
                guard connection.isReadable, !connection.hasEnded, fill(connection) else { return }
            case .discard(let count): connection.inputStart += count
            case .request: connection.inputStart += connection.machine.head.byteCount
            case .refuse(let status):
                connection.wasRefused = true
                push(Answer(refusing: status), connection, .close)
                return
            case .closed: return
            }
        }
    }

    /// Reads once; false when there was nothing.
    private func fill(_ connection: EdgeConnection) -> Bool {
        guard let input = unsafe borrowInput(connection) else { return false }
        if connection.inputStart > 0 {
            let count = connection.inputEnd - connection.inputStart
            if count > 0 { unsafe input.update(from: input + connection.inputStart, count: count) }
            connection.inputStart = 0
            connection.inputEnd = count
        }
        let room = EdgeLimits.inputBytesMax - connection.inputEnd
        let buffer = unsafe UnsafeMutableRawBufferPointer(
            start: input + connection.inputEnd, count: room)
        let result = unsafe connection.read(into: buffer)
        switch result {
        case .bytes(let count):
            connection.inputEnd += count
            return true
        case .wouldBlock:
            connection.isReadable = false
            return false
        case .closed:
            connection.hasEnded = true
            return false
        }
    }

    private func push(
        _ answer: Answer, _ connection: EdgeConnection, _ persistence: Persistence,
        headOnly: Bool = false, slot: Int = -1, ticket: UInt32 = 0
    ) {
        connection.push(
            EdgeConnection.PendingAnswer(
                answer: answer.rawValue, persistence: persistence.rawValue, headOnly: headOnly,
                slot: Int8(slot), ticket: ticket))
    }

    /// Writes every answer that may leave; false when the connection was closed.
    private func flush(_ connection: EdgeConnection) -> Bool {
        output.removeAll(keepingCapacity: true)
        while let next = connection.popReady() {
            guard let answer = Answer(rawValue: next.answer),
                let persistence = Persistence(rawValue: next.persistence)
            else { preconditionFailure("an answer that this loop made") }
            counters.answers[Self.statusIndex[Int(next.answer)]] += 1
            hasNews = true
            if answer == .metrics {
                appendMetrics(persistence, headOnly: next.headOnly)
            } else {
                responses.append(answer, persistence, headOnly: next.headOnly, to: &output)
            }
        }
        if output.isEmpty { return true }
        let count = output.count
        let result = unsafe output.withUnsafeBytes { unsafe connection.write($0) }
        let written: Int
        switch result {
        case .bytes(let bytes): written = bytes
        case .wouldBlock: written = 0
        case .closed:
            close(connection)
            return false
        }
        if written < count {
            connection.output.append(contentsOf: output[written...])
            connection.outputStart = 0
            connection.outputDeadline = now + EdgeLimits.writeMillisecondsMax
        }
        return true
    }

    private static let statusIndex = Answer.allCases.map { answer in
        HTTPStatus.allCases.firstIndex(of: answer.status) ?? 0
    }

    /// Writes what an earlier write left; false when the connection was closed or takes no more now.
    private func writePending(_ connection: EdgeConnection) -> Bool {
        let result = unsafe connection.output.withUnsafeBytes { bytes in
            unsafe connection.write(
                UnsafeRawBufferPointer(rebasing: bytes[connection.outputStart...]))
        }
        switch result {
        case .bytes(let count):
            connection.outputStart += count
            guard !connection.hasOutput else { return false }
            connection.output.removeAll(keepingCapacity: true)
            connection.outputStart = 0
            return true
        case .wouldBlock: return false
        case .closed:
            close(connection)
            return false
        }
    }

    private func appendMetrics(_ persistence: Persistence, headOnly: Bool) {
        publish()
        let body = metrics()
        var head = Array(
            ResponseTable.head(
                .metrics, persistence, type: MetricsText.contentType, bodyCount: body.utf8.count
            ).utf8)
        let offset = ResponseTable.dateOffset(in: String(decoding: head, as: UTF8.self))
        for (index, unit) in HTTPDate.bytes(timestamp).enumerated() { head[offset + index] = unit }
        output += head
        if !headOnly { output += Array(body.utf8) }
    }
}

// Requests.
extension EdgeLoop {
    /// Decides on the request that the machine has read, and leaves its answer with the connection.
    private func answer(_ connection: EdgeConnection, _ bytes: Span<UInt8>) {
        let head = connection.machine.head
        counters.events[EdgeEvent.requests.rawValue] += 1
        hasNews = true
        let persistence: Persistence =
            head.keepsAlive ? (head.isVersion10 ? .keepAlive : .open) : .close
        let route = Route(bytes, head.path)
        if head.method == .other {
            let isKnown = route != nil || Route.isAsterisk(bytes, head.path)
            return push(isKnown ? .methodNotAllowed : .notFound, connection, persistence)
        }
        let headOnly = head.method == .head
        guard let route else { return push(.notFound, connection, persistence, headOnly: headOnly) }
        if let image = route.image {
            if !headOnly { return answerHit(image, connection, head, bytes, persistence) }
            counters.events[EdgeEvent.hitHeads.rawValue] += 1
            return push(image, connection, persistence, headOnly: true)
        }
        let answer: Answer =
            switch route {
            case .demo: .demo
            case .metrics: .metrics
            case .ready: isReady ? .ready : .notReady
            default: .healthy
            }
        push(answer, connection, persistence, headOnly: headOnly)
    }

    /// Ready: not draining, and the last commit of each region went well.
    private var isReady: Bool { drainDeadline == nil && !lanes.contains { $0.hasFailed } }

    private func answerHit(
        _ image: Answer, _ connection: EdgeConnection, _ head: RequestHead, _ bytes: Span<UInt8>,
        _ persistence: Persistence
    ) {
        counters.events[EdgeEvent.hitRequests.rawValue] += 1
        let client = resolvers[connection.listener].resolve(
            peer: connection.peer, head: head, bytes: bytes)
        counters.addresses[Int(client.provenance.rawValue)] += 1
        let decided = transform.decide(head, bytes, client, context)
        let policy = decided.decision.policy
        if let fate = decided.fate {
            count(fate, policy: policy)
            return push(image, connection, persistence)
        }
        let slot = decided.slot
        let batch = openBatch(slot)
        guard batch.hasRoom else {
            counters.events[EdgeEvent.batchesFull.rawValue] += 1
            count(.failed, policy: policy)
            return push(.unavailable, connection, persistence)
        }
        let written = transform.write(
            decided, head, bytes, client, context, suppression: lanes[slot].suppression,
            at: timestamp, into: batch)
        switch written.fate {
        case .counted: batch.add(.counted, policy: policy)
        case .suppressed: batch.add(.suppressed, policy: policy)
        default: batch.add(.kept, policy: policy)
        }
        counters.hitsPending += 1
        if written.lacksKey { counters.events[EdgeEvent.keysMissing.rawValue] += 1 }
        switch written.userAgent {
        case .known: break
        case .classified: counters.events[EdgeEvent.userAgentsClassified.rawValue] += 1
        case .overflow: counters.events[EdgeEvent.userAgentsOverflowed.rawValue] += 1
        }
        if isRelaxed[slot], !lanes[slot].hasFailed {
            return push(image, connection, persistence)
        }
        batch.addWaiter(connection.token)
        push(image, connection, persistence, slot: slot, ticket: lanes[slot].ticket)
    }

    private func count(_ fate: HitFate, policy: Int, _ number: UInt64 = 1) {
        fates[policy * HitFate.allCases.count + fate.rawValue] += number
    }

    private func openBatch(_ slot: Int) -> BatchBuffer {
        if !lanes[slot].isOpened {
            if let list = committers[slot].suppression(
                ifNewerThan: lanes[slot].suppression.generation)
            {
                lanes[slot].suppression = list
            }
            lanes[slot].open.open(
                context, ticket: lanes[slot].ticket,
                generation: lanes[slot].suppression.generation, at: now)
            lanes[slot].isOpened = true
        }
        return lanes[slot].open
    }
}

// Batches, contexts and time.
extension EdgeLoop {
    /// Hands each region's oldest batch to its committer, unless one is still there.
    private func submitBatches() {
        for slot in lanes.indices where lanes[slot].inFlight == nil {
            let batch: BatchBuffer
            if let sealed = lanes[slot].sealed {
                batch = sealed
                lanes[slot].sealed = nil
            } else {
                guard !lanes[slot].open.isEmpty, isDue(slot) else { continue }
                batch = lanes[slot].turnOver()
            }
            lanes[slot].inFlight = batch
            committers[slot].submit(
                RegionCommitter.Submission(batch: batch, loop: shared.signal), loop: number)
        }
    }

    /// Whether the batch that is filled goes to its committer now: at once, or in `relaxed` when it is old or large.
    private func isDue(_ slot: Int) -> Bool {
        guard isRelaxed[slot], !lanes[slot].hasFailed, drainDeadline == nil else { return true }
        return now >= lanes[slot].open.openedAt + EdgeLimits.relaxedMilliseconds
            || lanes[slot].open.count >= EdgeLimits.batchBytesMax / 2
    }

    /// Takes back the batches that the committers have answered, and lets their answers leave.
    private func takeAnswers() {
        for slot in lanes.indices {
            guard let batch = lanes[slot].inFlight, batch.phase == .answered else { continue }
            hasNews = true
            let failed = batch.failure != nil
            lanes[slot].hasFailed = failed
            lanes[slot].inFlight = nil
            account(batch, failed: failed)
            for token in batch.waiters {
                guard let connection = connection(token) else { continue }
                connection.settle(slot: Int8(slot), ticket: batch.ticket, failed: failed)
            }
            for token in batch.waiters {
                guard let connection = connection(token) else { continue }
                serve(connection)
            }
            batch.phase = .filling
            batch.clear()
            lanes[slot].spares.append(batch)
        }
    }

    private func connection(_ token: UInt64) -> EdgeConnection? {
        let index = Int(truncatingIfNeeded: token & 0xFFFF_FFFF)
        return connections[index].token == token ? connections[index] : nil
    }

    private func account(_ batch: BatchBuffer, failed: Bool) {
        counters.hitsPending -= UInt64(batch.hits)
        guard let origin = batch.context else {
            preconditionFailure("a batch with hits was opened")
        }
        if origin === context {
            for policy in context.policyNames.indices {
                for tally in BatchBuffer.Tally.allCases {
                    let number = UInt64(batch.tally(tally, policy: policy))
                    if number > 0 { count(failed ? .failed : tally.fate, policy: policy, number) }
                }
            }
            return
        }
        for policy in origin.policyNames.indices {
            var rule = RuleCounts(
                region: origin.policyRegions[policy], policy: origin.policyNames[policy],
                fates: Array(repeating: 0, count: HitFate.allCases.count))
            for tally in BatchBuffer.Tally.allCases {
                let fate = failed ? HitFate.failed : tally.fate
                rule.fates[fate.rawValue] += UInt64(batch.tally(tally, policy: policy))
            }
            pastRules.add(rule)
        }
    }

    /// Takes a new context. What is filled under the old one is sealed and goes to its committer first; while an earlier
    /// sealed batch still waits, so does the context.
    private func takeContext() {
        let version = shared.contextVersion.load(ordering: .acquiring)
        guard version != contextVersion, lanes.allSatisfy({ $0.sealed == nil }) else { return }
        for slot in lanes.indices {
            if !lanes[slot].open.isEmpty { lanes[slot].sealed = lanes[slot].turnOver() }
            lanes[slot].isOpened = false
        }
        for rule in currentRules { pastRules.add(rule) }
        context = shared.context.withLock { $0 }
        contextVersion = version
        fates = Array(repeating: 0, count: context.policyNames.count * HitFate.allCases.count)
        hasNews = true
    }

    private var currentRules: [RuleCounts] {
        let size = HitFate.allCases.count
        return context.policyNames.indices.map { policy in
            RuleCounts(
                region: context.policyRegions[policy], policy: context.policyNames[policy],
                fates: Array(fates[policy * size..<(policy + 1) * size]))
        }
    }

    /// Lets other threads see the counts as they are now.
    private func publish() {
        guard hasNews else { return }
        hasNews = false
        nextPublication = now + Self.publicationMilliseconds
        counters.connectionsOpen = openCount
        shared.counters.withLock { $0 = snapshot() }
    }

    private func snapshot() -> EdgeCounters {
        var snapshot = counters
        snapshot.rules = pastRules.rules
        for rule in currentRules { snapshot.add(rule) }
        return snapshot
    }

    private func tick() {
        nextTick = now + 1000
        transform.userAgents.refill()
        for connection in connections where connection.isOpen { expire(connection) }
    }

    private func beginDrain() {
        drainDeadline = now + EdgeLimits.drainMillisecondsMax
        for index in listeners.indices { accept(index) }
        for listener in listeners { listener.close() }
        listeners.removeAll()
        acceptIsDue = false
        for connection in connections where connection.isOpen {
            // A last look: what has arrived was accepted, and is answered.
            connection.isReadable = true
            serve(connection)
        }
    }

    private func expire(_ connection: EdgeConnection) {
        if let lingersUntil = connection.lingersUntil {
            if now >= lingersUntil { close(connection) }
            return
        }
        if let drainDeadline, now >= drainDeadline, connection.answerCount == 0 {
            return close(connection)
        }
        if connection.hasOutput {
            if now >= connection.outputDeadline {
                counters.events[EdgeEvent.connectionsTimedOut.rawValue] += 1
                close(connection)
            }
            return
        }
        guard connection.answerCount == 0, now >= connection.machine.deadline else { return }
        counters.events[EdgeEvent.connectionsTimedOut.rawValue] += 1
        guard connection.machine.isReadingHead else { return close(connection) }
        connection.machine.close()
        connection.wasRefused = true
        push(.requestTimeout, connection, .close)
        if flush(connection) { rest(connection) }
    }
}

/// A path that the collector knows.
enum Route {
    case gif, png, hit, health, ready, metrics, demo

    init?(_ bytes: Span<UInt8>, _ path: ByteRange) {
        switch path.count {
        case 4 where Self.equals(bytes, path, "/hit"): self = .hit
        case 5 where Self.equals(bytes, path, "/demo"): self = .demo
        case 7 where Self.equals(bytes, path, "/readyz"): self = .ready
        case 8 where Self.equals(bytes, path, "/1x1.png"): self = .png
        case 8 where Self.equals(bytes, path, "/healthz"): self = .health
        case 8 where Self.equals(bytes, path, "/metrics"): self = .metrics
        case 10 where Self.equals(bytes, path, "/pixel.gif"): self = .gif
        default: return nil
        }
    }

    /// What a hit on this path is answered with; nil when it is none.
    var image: Answer? {
        switch self {
        case .gif: .gif
        case .png: .png
        case .hit: .noContent
        default: nil
        }
    }

    static func isAsterisk(_ bytes: Span<UInt8>, _ path: ByteRange) -> Bool {
        equals(bytes, path, "*")
    }

    private static func equals(
        _ bytes: Span<UInt8>, _ range: ByteRange, _ text: StaticString
    ) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count {
            // SAFETY: `offset` is below the number of code units that the literal has.
            if unsafe text.utf8Start[offset] != bytes[range.lowerBound + offset] { return false }
        }
        return true
    }
}
