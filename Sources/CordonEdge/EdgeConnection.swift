internal import Bytes
internal import CordonModel
internal import HTTP
internal import HTTP2
internal import LinuxIO
internal import TLS

/// One connection of a loop; reused for another when it has closed.
@safe final class EdgeConnection {
    let index: Int
    /// Grows with each use, so that events for an earlier connection are known as such.
    private(set) var generation: UInt32 = 0
    private(set) var socket: Socket?
    /// Nil on a plain connection.
    private(set) var tls: TLSConnection?
    /// When the handshake must be over, in monotonic milliseconds; 0 when none is under way.
    private(set) var handshakeDeadline: UInt64 = 0
    private(set) var peer = Sensitive(IPAddress(ipv4: 0))
    /// Until when the PROXY header must have come, in monotonic milliseconds; nil when none is awaited.
    private(set) var proxyHeaderDeadline: UInt64?
    private(set) var announced = AnnouncedClient()
    /// The region that it listens for.
    private(set) var listener = 0
    /// Where its address is counted; nil for a trusted proxy, or where there was no room.
    var limitSlot: AddressLimits.Slot?

    // SAFETY: of `inputBytesMax` bytes, from the loop's pool; `inputStart...inputEnd` lies within.
    var input: UnsafeMutablePointer<UInt8>?
    var inputStart = 0
    var inputEnd = 0

    private var answerStart = 0
    private var pipelineCount = 0

    /// Nil while HTTP/1.1 is spoken.
    private(set) var http2: HTTP2Session?
    /// Answers of HTTP/2, which leave in any order.
    private var streamAnswers: [(stream: Int32, answer: PendingAnswer)] = []
    /// Whose answer ``popReady()`` gave last.
    private(set) var answeredStream: Int32 = 0

    /// Bodies of answers that are not fixed, in the order of those answers.
    var bodies: [[UInt8]] = []

    /// What the peer has not taken yet.
    var output: [UInt8] = []
    var outputStart = 0
    /// When the peer first took less than it was given, in monotonic milliseconds.
    var outputSince: UInt64 = 0

    /// Bytes may wait in the socket.
    var isReadable = true
    /// The last read took all that the socket held: there was room for more. What comes later is reported anew.
    private(set) var hasReadAll = false
    /// The peer has sent its last byte, and it was read.
    var hasEnded = false
    /// The peer has sent its last byte; some may wait in the socket.
    var hasPeerShut = false
    /// Everything was answered; what the peer still sends is thrown away until this time.
    var lingersUntil: UInt64?
    /// A refusal was answered: the peer may still be sending.
    var wasRefused = false
    /// An answer has left since the idle time began.
    var hasAnswered = false

    // Behind everything else, so that what each event looks at lies close together.
    var machine = ConnectionMachine(at: 0)
    private var answers = InlineArray<32, PendingAnswer>(repeating: PendingAnswer())

    struct PendingAnswer: BitwiseCopyable {
        var answer: UInt8 = 0
        var persistence: UInt8 = 0
        var headOnly = false
        /// The region whose batch it waits for; -1 when it may leave, ``twin`` when it waits for an earlier hit.
        var slot: Int16 = -1
        var ticket: UInt32 = 0

        /// In the place of a region.
        static let twin = Int16.max
    }

    init(index: Int) { self.index = index }

    var isOpen: Bool { socket != nil }
    var token: UInt64 { UInt64(generation) << 32 | UInt64(index) }
    var hasOutput: Bool { outputStart < output.count }
    /// Requests without an answer.
    var answerCount: Int { http2 == nil ? pipelineCount : streamAnswers.count }
    var hasRoomForAnswer: Bool {
        guard let http2 else { return pipelineCount < EdgeLimits.pipelineMax }
        return streamAnswers.count < HTTP2Limits.streamsMax
            && http2.answerBytes <= HTTP2Limits.answerBytesMax
    }

    var isHandshaking: Bool { handshakeDeadline != 0 }

    func open(
        _ socket: consuming Socket, peer: IPAddress, listener: Int, wantsProxyHeader: Bool,
        at now: UInt64
    ) {
        generation &+= 1
        self.socket = consume socket
        self.peer = Sensitive(peer)
        self.listener = listener
        announced = AnnouncedClient()
        proxyHeaderDeadline =
            wantsProxyHeader ? now + EdgeLimits.proxyHeaderMillisecondsMax : nil
        machine = ConnectionMachine(at: now)
        inputStart = 0
        inputEnd = 0
        answerStart = 0
        pipelineCount = 0
        bodies.removeAll()
        output.removeAll(keepingCapacity: true)
        outputStart = 0
        isReadable = true
        hasEnded = false
        hasPeerShut = false
        lingersUntil = nil
        wasRefused = false
        hasAnswered = false
    }

    /// Everything from here on is TLS.
    func startTLS(_ context: TLSContext, deadline: UInt64) {
        guard let descriptor = socket?.descriptor else { return }
        tls = TLSConnection(context, descriptor: descriptor)
        handshakeDeadline = deadline
    }

    /// Goes on with the handshake, or says that none is under way.
    func shakeHands(at now: UInt64) -> TLSConnection.Progress {
        guard isHandshaking, let tls else { return .done }
        let progress = tls.handshake()
        if progress == .done {
            handshakeDeadline = 0
            // The client's idle time begins now.
            machine = ConnectionMachine(at: now)
            if tls.application == .http2 { http2 = HTTP2Session(at: now) }
        }
        return progress
    }

    /// Closes the socket; the peer's address is forgotten.
    func close() {
        tls?.finish()
        tls = nil
        handshakeDeadline = 0
        http2 = nil
        streamAnswers = []
        socket = nil
        peer = Sensitive(IPAddress(ipv4: 0))
        announced = AnnouncedClient()
        generation &+= 1
        bodies = []
        output = []
        outputStart = 0
    }

    func push(_ answer: PendingAnswer) {
        precondition(hasRoomForAnswer, "the loop looks for room before it reads a request")
        if let http2 {
            streamAnswers.append((http2.currentStream, answer))
            return
        }
        answers[(answerStart + pipelineCount) % EdgeLimits.pipelineMax] = answer
        pipelineCount += 1
    }

    /// The answer that may leave, when it is the only one of a connection of HTTP/1.1.
    func popLone() -> PendingAnswer? {
        guard http2 == nil, pipelineCount == 1 else { return nil }
        return popReady()
    }

    /// The first answer, if it may leave; with HTTP/2 the first that may.
    func popReady() -> PendingAnswer? {
        if http2 != nil {
            guard let index = streamAnswers.firstIndex(where: { $0.answer.slot < 0 }) else {
                return nil
            }
            let next = streamAnswers.remove(at: index)
            answeredStream = next.stream
            return next.answer
        }
        guard pipelineCount > 0, answers[answerStart].slot < 0 else { return nil }
        let answer = answers[answerStart]
        answerStart = (answerStart + 1) % EdgeLimits.pipelineMax
        pipelineCount -= 1
        return answer
    }

    /// The batch `ticket` of region `slot` is in the journal, or has failed.
    func settle(slot: Int16, ticket: UInt32, failed: Bool) {
        for index in streamAnswers.indices
        where streamAnswers[index].answer.slot == slot
            && streamAnswers[index].answer.ticket == ticket
        {
            streamAnswers[index].answer.slot = -1
            if failed { streamAnswers[index].answer.answer = Answer.unavailable.rawValue }
        }
        for offset in 0..<pipelineCount {
            let index = (answerStart + offset) % EdgeLimits.pipelineMax
            guard answers[index].slot == slot, answers[index].ticket == ticket else { continue }
            answers[index].slot = -1
            if failed { answers[index].answer = Answer.unavailable.rawValue }
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        if let tls {
            // A record may be whole in memory while the socket is empty.
            hasReadAll = false
            return unsafe tls.read(into: buffer)
        }
        let result = unsafe socket?.read(into: buffer) ?? .closed
        if case .bytes(let count) = result { hasReadAll = count < buffer.count }
        return result
    }

    /// Reads what the peer sends as it is on the wire, to throw it away.
    func readRaw(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        unsafe socket?.read(into: buffer) ?? .closed
    }

    func write(_ buffer: UnsafeRawBufferPointer) -> Transfer {
        if let tls { return unsafe tls.write(buffer) }
        return unsafe socket?.write(buffer) ?? .closed
    }

    /// The PROXY header said this; what follows is the client's.
    func take(_ statement: ProxyHeader.Statement) {
        announced = AnnouncedClient(statement)
        proxyHeaderDeadline = nil
    }

    /// When what the peer has not taken is given up.
    var outputDeadline: UInt64 {
        HTTPLimits.answerPace.deadline(start: outputSince, bytes: outputStart)
    }

    /// The peer sent more than was read before the conversation ended, or may have.
    var leavesInput: Bool {
        machine.leavesBody || inputStart < inputEnd
            || tls == nil && machine.isClosed && isReadable
    }

    /// Looks at what waits in the socket without taking it.
    func peek(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        unsafe socket?.peek(into: buffer) ?? .closed
    }

    func shutdownWriting() {
        tls?.finish()
        socket?.shutdownWriting()
    }
}
