internal import HTTP
internal import HTTP2
internal import LinuxIO

// Connections that speak HTTP/2: each request comes out of the session as one of HTTP/1.1 and goes the same way.
extension EdgeLoop {
    /// Reads frames, answers and writes until nothing more can be done now, or the others have their turn.
    func serveHTTP2(_ connection: EdgeConnection, _ session: HTTP2Session) {
        var hasMore = true
        var rounds = 0
        while hasMore {
            if connection.hasOutput, !writePending(connection) { return }
            // Frames are read also while there is no room for answers: they may open the windows that make some.
            hasMore = receiveFrames(connection, session)
            // What has arrived was accepted, and is answered.
            if !hasMore, drainDeadline != nil { session.drain() }
            readRequests(connection)
            guard flush(connection) else { return }
            if connection.hasOutput { return }
            if session.isOver { break }
            if endsTurn(connection, &rounds) { return }
            if session.hasRequests, connection.hasRoomForAnswer { hasMore = true }
        }
        rest(connection)
    }

    /// Reads once; false when there was nothing.
    private func receiveFrames(_ connection: EdgeConnection, _ session: HTTP2Session) -> Bool {
        guard connection.isReadable, !connection.hasEnded else { return false }
        if plaintext.isEmpty {
            plaintext = Array(repeating: 0, count: EdgeLimits.plaintextBytesMax)
        }
        let result = unsafe plaintext.withUnsafeMutableBytes { unsafe connection.read(into: $0) }
        switch result {
        case .bytes(let count):
            unsafe plaintext.withUnsafeBytes {
                unsafe session.receive(UnsafeRawBufferPointer(rebasing: $0[..<count]), at: now)
            }
            return true
        case .wouldBlock:
            connection.isReadable = false
            return false
        case .closed:
            connection.hasEnded = true
            return false
        }
    }

    /// Moves bytes of the present request, or of the next one when the machine is done with that; returns how many.
    func readHTTP2(
        _ connection: EdgeConnection, _ session: HTTP2Session,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        if !connection.machine.isIdle, session.isRequestUsedUp {
            // INVARIANT: a request is whole. Were it not, the next one would be taken for its rest.
            session.end(.internalError)
            return 0
        }
        return unsafe session.read(into: buffer)
    }

    /// Leaves what is unread of the present request, which was refused; the others are not concerned.
    func startNextRequest(_ connection: EdgeConnection, _ session: HTTP2Session) {
        session.skipRequest()
        connection.inputStart = 0
        connection.inputEnd = 0
        connection.machine = ConnectionMachine(at: now)
    }

    /// Nothing more can be done now: closes what has ended.
    func restHTTP2(_ connection: EdgeConnection, _ session: HTTP2Session) {
        guard !connection.hasOutput else { return }
        if session.isOver {
            let isGoodbye = session.failure == nil || session.failure == .noError
            if !isGoodbye { counters.events[EdgeEvent.http2Ended.rawValue] += 1 }
            if connection.hasEnded || isGoodbye { return close(connection) }
            // GOAWAY must arrive: closing with unread bytes would take it back.
            startLingering(connection)
        } else if connection.hasEnded, connection.answerCount == 0 {
            close(connection)
        }
    }

    /// Ends what takes too long: a request that does not end, answers that are not taken, silence.
    func expireHTTP2(_ connection: EdgeConnection, _ session: HTTP2Session) {
        let isSlow =
            session.oldestRequest.map { now >= $0 + HTTP2Limits.requestMillisecondsMax } ?? false
        let isStuck =
            session.answerBytes > 0
            && now >= session.progressedAt + EdgeLimits.streamMillisecondsMax
        let isSilent =
            session.isIdle && connection.answerCount == 0 && now >= connection.machine.deadline
        guard isSlow || isStuck || isSilent else { return }
        counters.events[EdgeEvent.connectionsTimedOut.rawValue] += 1
        hasNews = true
        session.end(isSilent ? .noError : .enhanceYourCalm)
        if flush(connection) { rest(connection) }
    }
}
