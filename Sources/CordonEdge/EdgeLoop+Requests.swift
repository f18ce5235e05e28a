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
        // A pattern, because `==` of another module's enum calls through its witness table.
        let headOnly = if case .head = head.method { true } else { false }
        if let slot = connection.limitSlot,
            !limits[connection.listener].admitsRequest(slot, at: now)
        {
            counters.events[EdgeEvent.requestsLimited.rawValue] += 1
            return push(.tooManyRequests, connection, persistence, headOnly: headOnly)
        }
        guard let route = Route(bytes, head.path) else {
            let isKnown = Route.isAsterisk(bytes, head.path)
            return push(
                isKnown ? .methodNotAllowed : .notFound, connection, persistence, headOnly: headOnly
            )
        }
        switch head.method {
        case .get, .head: break
        case .post where route == .hit:
            return answerPost(connection, head, bytes, persistence)
        case .options where route == .hit:
            counters.events[EdgeEvent.preflights.rawValue] += 1
            return push(.preflight, connection, persistence)
        case .post, .options, .other:
            return push(
                route == .hit ? .methodNotAllowedForHit : .methodNotAllowed, connection, persistence
            )
        }
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
            case .script: .script
            case .metrics: .metrics
            case .ready: isReady ? .ready : .notReady
            default: .healthy
            }
        if answer == .metrics { hasAskedForPage = true }
        push(answer, connection, persistence, headOnly: headOnly)
    }

    /// Ready: not draining, and the last commit of each region went well.
    private var isReady: Bool { drainDeadline == nil && committers.allSatisfy(\.isWell) }

    private func answerPost(
        _ connection: EdgeConnection, _ head: RequestHead, _ bytes: Span<UInt8>,
        _ persistence: Persistence
    ) {
        var head = head
        let refusal = posted.take(&head, bytes)
        if let refusal {
            counters.events[EdgeEvent.bodiesRefused.rawValue] += 1
            push(
                refusal == .malformed ? .malformedBody : .unsupportedMediaType, connection,
                persistence)
        } else {
            answerPosted(connection, head, persistence)
        }
        posted.wipe()
    }

    private func answerPosted(
        _ connection: EdgeConnection, _ head: RequestHead, _ persistence: Persistence
    ) {
        let bytes = posted.bytes
        answerHit(.noContent, connection, head, bytes.span, persistence)
    }

    private func answerHit(
        _ image: Answer, _ connection: EdgeConnection, _ head: RequestHead, _ bytes: Span<UInt8>,
        _ persistence: Persistence
    ) {
        counters.events[EdgeEvent.hitRequests.rawValue] += 1
        // Taken hold of once: the property would be for each of the calls.
        let context = context
        let client = resolvers[connection.listener].resolve(
            peer: connection.peer, announced: connection.announced, head: head, bytes: bytes)
        counters.addresses[Int(client.provenance.rawValue)] += 1
        let decided = transform.decide(head, bytes, client, context, at: timestamp)
        if let shadow = context.shadow {
            transform.compare(decided, shadow, tally: number, bytes, client, at: timestamp)
        }
        let policy = decided.decision.policy
        if let fate = decided.fate {
            count(fate, policy: policy)
            return push(image, connection, persistence)
        }
        let slot = decided.slot
        let fields = transform.fields(decided, context.rules, bytes)
        var claim: RecentEvents.Claim?
        if fields.eventID != nil {
            switch finding(decided, fields, bytes) {
            case .new(let claimed): claim = claimed
            case .unremembered, nil: break
            case .known:
                count(.duplicate, policy: policy)
                return push(image, connection, persistence)
            case .pending(let earlier):
                if answersEarly(slot) {
                    count(.duplicate, policy: policy)
                    return push(image, connection, persistence)
                }
                return awaitTwin(earlier, image, connection, policy, persistence)
            }
        }
        let batch = openBatch(slot)
        guard batch.hasRoom else {
            if let claim { recentEvents.settle(slot: claim.slot, isKept: false) }
            counters.events[EdgeEvent.batchesFull.rawValue] += 1
            count(.failed, policy: policy)
            return push(.unavailable, connection, persistence)
        }
        if let claim { batch.addClaim(claim.slot) }
        let written = transform.write(
            decided, fields, head, bytes, client, context,
            suppression: lanes[slot].isSuppressing ? lanes[slot].suppression : nil,
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
        if answersEarly(slot) { return push(image, connection, persistence) }
        batch.addWaiter(connection.token)
        push(image, connection, persistence, slot: slot, ticket: lanes[slot].ticket)
    }

    /// Whether hits of a region are answered before they are in the journal: in `relaxed`, while commits go well and soon. A
    /// commit that hangs, on a disk or on a lock, would let the answered hits that a crash loses grow.
    private func answersEarly(_ slot: Int) -> Bool {
        guard isRelaxed[slot], !lanes[slot].hasFailed else { return false }
        let oldest = lanes[slot].inFlight ?? lanes[slot].sealed ?? lanes[slot].open
        return oldest.isEmpty || now < oldest.openedAt + EdgeLimits.relaxedMillisecondsMax
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
                lanes[slot].isSuppressing = !list.isEmpty
            }
            lanes[slot].open.open(
                context, ticket: lanes[slot].ticket,
                generation: lanes[slot].suppression.generation, at: now)
            lanes[slot].isOpened = true
        }
        return lanes[slot].open
    }
}

// Events that come more than once.
extension EdgeLoop {
    /// Whether the event came lately; nil when its id cannot be remembered.
    private func finding(
        _ decided: HitTransform.Decided, _ fields: HitTransform.QueryFields, _ bytes: Span<UInt8>
    ) -> RecentEvents.Finding? {
        if let keys = recentEvents.keys(ifNewerThan: eventKeys.version) { eventKeys = keys }
        return transform.eventDigests(fields, decided, eventKeys, bytes)
            .map { recentEvents.claim($0, at: now) }
    }

    /// Lets a hit wait until it is known whether the earlier one with its id is in the journal: only then it may be answered as
    /// if it were.
    private func awaitTwin(
        _ earlier: RecentEvents.Claim, _ image: Answer, _ connection: EdgeConnection, _ policy: Int,
        _ persistence: Persistence
    ) {
        guard twins.count < EdgeLimits.twinsMax else {
            count(.failed, policy: policy)
            return push(.unavailable, connection, persistence)
        }
        twinTicket &+= 1
        twins.append(
            Twin(
                claim: earlier, connection: connection.token, ticket: twinTicket, policy: policy,
                context: context))
        counters.hitsPending += 1
        push(
            image, connection, persistence, slot: Int(EdgeConnection.PendingAnswer.twin),
            ticket: twinTicket)
    }

    /// Answers the hits whose earlier ones have met their fate: as duplicates, or 503 as those.
    func settleTwins() {
        var index = 0
        while index < twins.count {
            guard let isKept = recentEvents.outcome(of: twins[index].claim) else {
                index += 1
                continue
            }
            hasNews = true
            let twin = twins.remove(at: index)
            let fate = isKept ? HitFate.duplicate : .failed
            counters.hitsPending -= 1
            if twin.context === context {
                count(fate, policy: twin.policy)
            } else {
                var rule = RuleCounts(
                    region: twin.context.policyRegions[twin.policy],
                    policy: twin.context.policyNames[twin.policy],
                    fates: Array(repeating: 0, count: HitFate.allCases.count))
                rule.fates[fate.rawValue] = 1
                pastRules.add(rule)
            }
            guard let connection = connection(twin.connection) else { continue }
            connection.settle(
                slot: EdgeConnection.PendingAnswer.twin, ticket: twin.ticket, failed: !isKept)
            serve(connection)
        }
    }
}
