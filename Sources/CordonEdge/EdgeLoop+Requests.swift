internal import CordonJournal
internal import CordonModel
internal import CordonPolicy
internal import HTTP

// Requests.
extension EdgeLoop {
    /// Decides on the request that the machine has read, and leaves its answer with the connection.
    func answer(_ connection: EdgeConnection, _ bytes: Span<UInt8>) {
        let head = connection.machine.head
        counters.events[EdgeEvent.requests.rawValue] += 1
        hasNews = true
        let persistence: Persistence =
            head.keepsAlive ? (head.isVersion10 ? .keepAlive : .open) : .close
        if let slot = connection.limitSlot,
            !limits[connection.listener].admitsRequest(slot, at: now)
        {
            counters.events[EdgeEvent.requestsLimited.rawValue] += 1
            return push(.tooManyRequests, connection, persistence, headOnly: head.method == .head)
        }
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
        if route == .whoami {
            return answerWhoami(connection, head, bytes, persistence)
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
            peer: connection.peer, announced: connection.announced, head: head, bytes: bytes)
        counters.addresses[Int(client.provenance.rawValue)] += 1
        let decided = transform.decide(head, bytes, client, context, at: timestamp)
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

    func count(_ fate: HitFate, policy: Int, _ number: UInt64 = 1) {
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
