internal import Bytes
internal import CordonModel
internal import HTTP
internal import HTTP2
internal import LinuxIO
internal import TLS
internal import Telemetry

// Connections.
extension EdgeLoop {
    func accept(_ index: Int, upTo countMax: Int = EdgeLimits.acceptsOfTurnMax) {
        guard index < listeners.count else { return }
        acceptIsDue[index] = false
        let listener = listeners[index]
        var count = 0
        while true {
            guard count < countMax else {
                acceptIsDue[index] = true
                acceptIsSoon = true
                return
            }
            count += 1
            do throws(NetworkError) {
                guard let accepted = try listener.accept() else { return }
                take(accepted, listener: listener.region)
            } catch {
                counters.events[EdgeEvent.acceptFailures.rawValue] += 1
                hasNews = true
                // Without a descriptor the waiting connection stays in the queue; it is tried again in the next round.
                acceptIsDue[index] = true
                return
            }
        }
    }

    private func take(_ accepted: consuming Accepted, listener: Int) {
        hasNews = true
        guard openCount < connectionsMax else {
            counters.events[EdgeEvent.connectionsRefused.rawValue] += 1
            return
        }
        let admission = admit(accepted.peer, listener)
        guard admission != .refused else {
            counters.events[EdgeEvent.connectionsLimited.rawValue] += 1
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
        connection.open(
            socket, peer: peer, listener: listener,
            wantsProxyHeader: resolvers[listener].wantsProxyHeader(from: peer), at: now)
        connection.limitSlot = if case .counted(let slot) = admission { slot } else { nil }
        if let context = tlsContexts[listener] {
            connection.startTLS(context, deadline: now + handshakeMilliseconds)
        }
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

    /// Counts a connection of `peer`, unless it is a trusted proxy.
    private func admit(_ peer: IPAddress, _ listener: Int) -> AddressLimits.Admission {
        if resolvers[listener].isTrusted(peer) { return .uncounted }
        let digest = LimitDigest(key: limitKeys[listener].key).apply(peer)
        let admission = limits[listener].open(digest, at: now)
        if admission == .uncounted {
            counters.events[EdgeEvent.connectionsUncounted.rawValue] += 1
        }
        return admission
    }

    /// Counts the connections of a listener whose key has changed under the new one.
    func renewLimitKeys() {
        for listener in limits.indices {
            guard let next = limits[listener].key(ifNewerThan: limitKeys[listener].version) else {
                continue
            }
            limitKeys[listener] = next
            let digest = LimitDigest(key: next.key)
            for connection in connections where connection.listener == listener {
                guard let old = connection.limitSlot else { continue }
                let moved = limits[listener].open(
                    connection.peer.inspect(with: digest), at: now, isMove: true)
                connection.limitSlot = if case .counted(let slot) = moved { slot } else { nil }
                limits[listener].close(old)
            }
        }
    }

    func close(_ connection: EdgeConnection) {
        if let slot = connection.limitSlot {
            limits[connection.listener].close(slot)
            connection.limitSlot = nil
        }
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

    /// Reads, answers and writes until nothing more can be done now, or the others have their turn.
    func serve(_ connection: EdgeConnection) {
        guard connection.isOpen else { return }
        hasAskedForPage = false
        if connection.lingersUntil != nil { return linger(connection) }
        if connection.proxyHeaderDeadline != nil, !readProxyHeader(connection) { return }
        if connection.isHandshaking, !shakeHands(connection) { return }
        if let session = connection.http2 { return serveHTTP2(connection, session) }
        var rounds = 0
        while true {
            if connection.hasOutput, !writePending(connection) { return }
            readRequests(connection)
            let wasFull = !connection.hasRoomForAnswer
            guard flush(connection) else { return }
            if connection.hasOutput { return }
            // Bytes that were read already may hold more requests, and there is room for their answers again.
            if endsTurn(connection, &rounds) { return }
            guard wasFull, connection.hasRoomForAnswer else { break }
        }
        rest(connection)
    }

    /// Counts one more round of a connection; true when it goes on in the loop's next round.
    func endsTurn(_ connection: EdgeConnection, _ rounds: inout Int) -> Bool {
        rounds += 1
        guard hasAskedForPage || rounds >= EdgeLimits.roundsOfTurnMax else { return false }
        hasAskedForPage = false
        turns.append(connection.token)
        return true
    }

    /// Reads the PROXY header, if it is whole; false when it is not, or the connection was closed.
    ///
    /// The header is looked at in the socket and only its own bytes are taken, so that whoever reads next (TLS, HTTP)
    /// finds the client's first byte.
    private func readProxyHeader(_ connection: EdgeConnection) -> Bool {
        unsafe withUnsafeTemporaryAllocation(
            byteCount: ProxyHeader.bytesMax, alignment: 1
        ) { buffer in
            let seen = unsafe connection.peek(into: buffer)
            switch seen {
            case .wouldBlock:
                if drainDeadline != nil { close(connection) }
                return false
            case .closed:
                close(connection)
                return false
            case .bytes(let count):
                let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<count])
                let reading = unsafe bytes.withMemoryRebound(to: UInt8.self) {
                    unsafe ProxyHeader.read($0.span)
                }
                switch reading {
                case .header(let byteCount, let statement):
                    // They were just seen, so they are there.
                    _ = unsafe connection.readRaw(
                        into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<byteCount]))
                    connection.take(statement)
                    return true
                case .needMore where !connection.hasPeerShut && drainDeadline == nil: return false
                case .needMore, .malformed:
                    counters.events[EdgeEvent.proxyHeadersMalformed.rawValue] += 1
                    close(connection)
                    return false
                }
            }
        }
    }

    /// Goes on with the TLS handshake; false while there is nothing to read a request from.
    private func shakeHands(_ connection: EdgeConnection) -> Bool {
        switch connection.shakeHands(at: now) {
        case .done:
            count(connection.tls?.isResumed == true ? .resumed : .full)
            if connection.http2 != nil {
                counters.events[EdgeEvent.http2Connections.rawValue] += 1
            }
            return true
        case .wouldBlock:
            // Nothing was asked, so nobody waits for an answer.
            if drainDeadline != nil { close(connection) }
            return false
        case .failed(let failure):
            count(HandshakeOutcome(failure))
            if failure == .closed {
                close(connection)
            } else {
                // The alert must arrive: closing with unread bytes would take it back.
                startLingering(connection)
            }
            return false
        }
    }

    func count(_ outcome: HandshakeOutcome) {
        counters.handshakes[outcome.rawValue] += 1
        hasNews = true
    }

    /// Nothing more can be done now: gives back memory, and closes what has ended.
    func rest(_ connection: EdgeConnection) {
        if connection.inputStart == connection.inputEnd { releaseInput(connection) }
        if let session = connection.http2 { return restHTTP2(connection, session) }
        guard connection.answerCount == 0, !connection.hasOutput else { return }
        // Whatever else arrives, such as a new key of TLS, is silence.
        if connection.hasAnswered {
            connection.hasAnswered = false
            connection.machine.rest(at: now)
        }
        let isFinished =
            connection.hasEnded || connection.machine.isClosed
            || (drainDeadline != nil && connection.machine.isIdle
                && connection.inputStart == connection.inputEnd)
        guard isFinished else { return }
        if connection.wasRefused || connection.leavesInput, !connection.hasEnded {
            // Closing with unread bytes would reset the connection and take the answer away from the peer.
            startLingering(connection)
        } else {
            close(connection)
        }
    }

    func startLingering(_ connection: EdgeConnection) {
        connection.shutdownWriting()
        connection.lingersUntil = now + 1000
        linger(connection)
    }

    private func linger(_ connection: EdgeConnection) {
        guard let input = unsafe borrowInput(connection) else { return close(connection) }
        var rounds = 0
        while rounds < 8 {
            rounds += 1
            let room = unsafe UnsafeMutableRawBufferPointer(
                start: input, count: EdgeLimits.inputBytesMax)
            let result = unsafe connection.readRaw(into: room)
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
    func readRequests(_ connection: EdgeConnection) {
        while connection.hasRoomForAnswer, !connection.hasOutput, !hasAskedForPage {
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
                let mayHaveMore =
                    connection.http2 != nil || connection.isReadable && !connection.hasEnded
                guard mayHaveMore, fill(connection) else { return }
            case .discard(let count): connection.inputStart += count
            case .request: connection.inputStart += connection.machine.head.byteCount
            case .refuse(let status):
                if let session = connection.http2 {
                    push(Answer(refusing: status), connection, .open)
                    startNextRequest(connection, session)
                    continue
                }
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
        if let session = connection.http2 {
            let count = unsafe readHTTP2(connection, session, into: buffer)
            connection.inputEnd += count
            return count > 0
        }
        let result = unsafe connection.read(into: buffer)
        switch result {
        case .bytes(let count):
            connection.inputEnd += count
            // Asking again would cost a call to hear that there is nothing; the peer's end must be seen, though.
            if connection.hasReadAll, !connection.hasPeerShut { connection.isReadable = false }
            return true
        case .wouldBlock:
            connection.isReadable = false
            return false
        case .closed:
            connection.hasEnded = true
            return false
        }
    }

    func push(
        _ answer: Answer, _ connection: EdgeConnection, _ persistence: Persistence,
        headOnly: Bool = false, slot: Int = -1, ticket: UInt32 = 0
    ) {
        connection.push(
            EdgeConnection.PendingAnswer(
                answer: answer.rawValue, persistence: persistence.rawValue, headOnly: headOnly,
                slot: Int16(slot), ticket: ticket))
    }

    /// Writes every answer that may leave; false when the connection was closed.
    func flush(_ connection: EdgeConnection) -> Bool {
        if let lone = connection.popLone() {
            connection.hasAnswered = true
            let (answer, persistence) = take(lone)
            if answer.isFixed {
                // Sent from where it lies: what leaves alone needs no copy.
                let result = unsafe responses.withBytes(
                    answer, persistence, headOnly: lone.headOnly
                ) { unsafe send($0, connection) }
                return result
            }
            output.removeAll(keepingCapacity: true)
            append(answer, persistence, headOnly: lone.headOnly, of: connection)
            return sendOutput(connection)
        }
        output.removeAll(keepingCapacity: true)
        while let next = connection.popReady() {
            connection.hasAnswered = true
            let (answer, persistence) = take(next)
            append(answer, persistence, headOnly: next.headOnly, of: connection)
            if let session = connection.http2 {
                // SAFETY: the session copies the bytes before it returns, and reaches nothing of the loop.
                unsafe output.withUnsafeBufferPointer {
                    session.answer(
                        unsafe $0.span, stream: connection.answeredStream, at: now)
                }
                output.removeAll(keepingCapacity: true)
            }
        }
        connection.http2?.takeOutput(into: &output)
        return sendOutput(connection)
    }

    /// Counts an answer that leaves.
    private func take(_ next: EdgeConnection.PendingAnswer) -> (Answer, Persistence) {
        guard let answer = Answer(rawValue: next.answer),
            let persistence = Persistence(rawValue: next.persistence)
        else { preconditionFailure("an answer that this loop made") }
        counters.answers[Self.statusIndex[Int(next.answer)]] += 1
        hasNews = true
        return (answer, persistence)
    }

    private func append(
        _ answer: Answer, _ persistence: Persistence, headOnly: Bool, of connection: EdgeConnection
    ) {
        switch answer {
        case .metrics:
            publish()
            appendMade(
                answer, persistence, type: MetricsText.contentType, Array(metrics().utf8),
                headOnly: headOnly)
        case .whoami:
            appendMade(
                answer, persistence, type: "application/json", connection.bodies.removeFirst(),
                headOnly: headOnly)
        default: responses.append(answer, persistence, headOnly: headOnly, to: &output)
        }
    }

    private func sendOutput(_ connection: EdgeConnection) -> Bool {
        if output.isEmpty { return true }
        return unsafe output.withUnsafeBytes { unsafe send($0, connection) }
    }

    /// Writes `bytes`, and keeps what the peer does not take; false when the connection was closed.
    private func send(_ bytes: UnsafeRawBufferPointer, _ connection: EdgeConnection) -> Bool {
        let written: Int
        switch unsafe connection.write(bytes) {
        case .bytes(let count): written = count
        case .wouldBlock: written = 0
        case .closed:
            close(connection)
            return false
        }
        if written < bytes.count {
            unsafe connection.output.append(contentsOf: bytes[written...])
            connection.outputStart = 0
            connection.outputSince = now
        }
        return true
    }

    private static let statusIndex = Answer.allCases.map { answer in
        HTTPStatus.allCases.firstIndex(of: answer.status) ?? 0
    }

    /// Writes what an earlier write left; false when the connection was closed or takes no more now.
    func writePending(_ connection: EdgeConnection) -> Bool {
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

    /// Appends an answer that was made for one request.
    private func appendMade(
        _ answer: Answer, _ persistence: Persistence, type: String, _ body: [UInt8], headOnly: Bool
    ) {
        let text = ResponseTable.head(answer, persistence, type: type, bodyCount: body.count)
        var head = Array(text.utf8)
        let offset = ResponseTable.dateOffset(in: text)
        for (index, unit) in HTTPDate.bytes(timestamp).enumerated() { head[offset + index] = unit }
        output += head
        if !headOnly { output += body }
    }
}
