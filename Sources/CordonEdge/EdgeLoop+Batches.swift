internal import HTTP
internal import LinuxIO
internal import Synchronization

// Batches, contexts and time.
extension EdgeLoop {
    /// Hands each region's oldest batch to its committer, unless one is still there. One of few hits is committed here, the
    /// largest when there are several; others at the same time by their writer threads.
    func submitBatches() {
        var largest = -1
        let isBusy = isBusy
        for slot in lanes.indices where lanes[slot].inFlight == nil {
            let batch: BatchBuffer
            if let sealed = lanes[slot].sealed {
                batch = sealed
                lanes[slot].sealed = nil
            } else {
                guard !lanes[slot].open.isEmpty, isDue(slot), !(isBusy && mayWait(slot)) else {
                    continue
                }
                batch = lanes[slot].turnOver()
            }
            lanes[slot].inFlight = batch
            committers[slot].submit(
                RegionCommitter.Submission(batch: batch, loop: shared.signal), loop: number)
            guard largest >= 0, let other = lanes[largest].inFlight else {
                largest = slot
                continue
            }
            if batch.count > other.count {
                swap(&largest, with: slot)
            } else {
                committers[slot].wakeWriter()
            }
        }
        guard largest >= 0, let batch = lanes[largest].inFlight else { return }
        if batch.hits < Self.hitsOfLongCommit {
            committers[largest].lead()
        } else {
            // While it is synced this loop reads the next one; for so many hits the two switches of threads are nothing.
            committers[largest].wakeWriter()
        }
    }

    /// A batch of so many hits is committed by the region's writer thread, because others will come during its sync.
    private static let hitsOfLongCommit = 16
    /// Hits of one region that make a round a busy one, in which a batch of few hits of another region waits for company: a
    /// sync costs the same for one hit as for a hundred.
    private static let hitsOfBusyRound = 64
    /// How long a batch of few hits waits while rounds are busy, in milliseconds.
    static let companyMilliseconds: UInt64 = 10

    var isBusy: Bool {
        lanes.contains { ($0.inFlight ?? $0.open).hits >= Self.hitsOfBusyRound }
    }

    func mayWait(_ slot: Int) -> Bool {
        lanes[slot].open.hits < Self.hitsOfBusyRound && drainDeadline == nil
            && now < lanes[slot].open.openedAt + Self.companyMilliseconds
    }

    private func swap(_ largest: inout Int, with slot: Int) {
        committers[largest].wakeWriter()
        largest = slot
    }

    /// Whether the batch that is filled goes to its committer now: at once, or in `relaxed` when it is old or large.
    func isDue(_ slot: Int) -> Bool {
        guard isRelaxed[slot], !lanes[slot].hasFailed, drainDeadline == nil,
            lanes[slot].open.waiters.isEmpty
        else { return true }
        return now >= lanes[slot].open.openedAt + EdgeLimits.relaxedMilliseconds
            || lanes[slot].open.count >= EdgeLimits.batchBytesMax / 2
    }

    /// Takes back the batches that the committers have answered, and lets their answers leave.
    func takeAnswers() {
        for slot in lanes.indices {
            guard let batch = lanes[slot].inFlight, batch.phase == .answered else { continue }
            hasNews = true
            let failed = batch.failure != nil
            lanes[slot].hasFailed = failed
            lanes[slot].inFlight = nil
            account(batch, failed: failed)
            for token in batch.waiters {
                guard let connection = connection(token) else { continue }
                connection.settle(slot: Int16(slot), ticket: batch.ticket, failed: failed)
                serve(connection)
            }
            batch.phase = .filling
            batch.clear()
            lanes[slot].spares.append(batch)
        }
    }

    func connection(_ token: UInt64) -> EdgeConnection? {
        let index = Int(truncatingIfNeeded: token & 0xFFFF_FFFF)
        return connections[index].token == token ? connections[index] : nil
    }

    private func account(_ batch: BatchBuffer, failed: Bool) {
        counters.hitsPending -= UInt64(batch.hits)
        for slot in batch.claims { recentEvents.settle(slot: slot, isKept: !failed) }
        guard let origin = batch.context else {
            preconditionFailure("a batch with hits was opened")
        }
        batch.forEachTally { policy, fate, hits in
            let fate = failed ? HitFate.failed : fate
            if origin === context { return count(fate, policy: policy, UInt64(hits)) }
            var rule = RuleCounts(
                region: origin.policyRegions[policy], policy: origin.policyNames[policy],
                fates: Array(repeating: 0, count: HitFate.allCases.count))
            rule.fates[fate.rawValue] = UInt64(hits)
            pastRules.add(rule)
        }
    }

    /// Whether there is a new context that can be taken now.
    var contextHasArrived: Bool {
        shared.contextVersion.load(ordering: .acquiring) != contextVersion
            && lanes.allSatisfy { $0.sealed == nil }
    }

    /// Takes a new context. What is filled under the old one is sealed and goes to its committer first; while an earlier
    /// sealed batch still waits, so does the context.
    func takeContext() {
        guard contextHasArrived else { return }
        let version = shared.contextVersion.load(ordering: .acquiring)
        for slot in lanes.indices {
            if !lanes[slot].open.isEmpty { lanes[slot].sealed = lanes[slot].turnOver() }
            lanes[slot].isOpened = false
        }
        pastRules.add(fates, of: context)
        context = shared.context.withLock { $0 }
        contextVersion = version
        fates = Array(repeating: 0, count: context.policyNames.count * HitFate.allCases.count)
        hasNews = true
    }

    /// Lets other threads see the counts as they are now.
    func publish() {
        guard hasNews else { return }
        hasNews = false
        nextPublication = now + Self.publicationMilliseconds
        counters.connectionsOpen = openCount
        shared.published.withLock { published in
            published.counters = counters
            published.counters.rules = pastRules.rules
            published.context = context
            if published.fates.count == fates.count {
                for index in fates.indices { published.fates[index] = fates[index] }
            } else {
                published.fates = Array(fates[...])
            }
        }
    }

    func tick() {
        nextTick = now + 1000
        transform.userAgents.refill()
        renewLimitKeys()
        recentEvents.renew(at: now)
        for connection in connections where connection.isOpen { expire(connection) }
    }

    func beginDrain() {
        drainDeadline = now + EdgeLimits.drainMillisecondsMax
        for index in listeners.indices { accept(index, upTo: .max) }
        for listener in listeners { listener.close() }
        listeners.removeAll()
        acceptIsDue = acceptIsDue.map { _ in false }
        for connection in connections where connection.isOpen {
            // A last look: what has arrived was accepted, and is answered.
            connection.isReadable = true
            serve(connection)
        }
    }

    private func expire(_ connection: EdgeConnection) {
        if connection.isHandshaking, connection.lingersUntil == nil,
            connection.proxyHeaderDeadline == nil
        {
            guard now >= connection.handshakeDeadline || drainDeadline != nil else { return }
            count(.timedOut)
            return close(connection)
        }
        if let lingersUntil = connection.lingersUntil {
            if now >= lingersUntil { close(connection) }
            return
        }
        if let drainDeadline, now >= drainDeadline, connection.answerCount == 0 {
            return close(connection)
        }
        if let deadline = connection.proxyHeaderDeadline {
            if now >= deadline {
                counters.events[EdgeEvent.connectionsTimedOut.rawValue] += 1
                close(connection)
            }
            return
        }
        if connection.hasOutput {
            if now >= connection.outputDeadline {
                counters.events[EdgeEvent.connectionsTimedOut.rawValue] += 1
                close(connection)
            }
            return
        }
        if let session = connection.http2 { return expireHTTP2(connection, session) }
        guard connection.answerCount == 0, now >= connection.machine.deadline else { return }
        counters.events[EdgeEvent.connectionsTimedOut.rawValue] += 1
        guard connection.machine.isReadingRequest else { return close(connection) }
        connection.machine.close()
        connection.wasRefused = true
        push(.requestTimeout, connection, .close)
        if flush(connection) { rest(connection) }
    }
}
