internal import Bytes

/// One HTTP/1.1 connection as a pure state machine.
///
/// The shell keeps the unconsumed input in one run of bytes and calls ``step(_:at:)`` until it asks for more. What
/// the machine does depends on the bytes alone, never on how they were cut into reads.
package struct ConnectionMachine: Sendable {
    /// What the shell does next.
    package enum Step: Equatable, Sendable {
        /// Read more, keeping what is there.
        case needMore
        /// Forget this many bytes from the start of the input.
        case discard(Int)
        /// ``ConnectionMachine/head`` is a request; answer it, then forget its `byteCount` bytes.
        case request
        /// Answer with this status and close.
        case refuse(HTTPStatus)
        /// The conversation is over; nothing more is read.
        case closed
    }

    /// The request that ``Step/request`` announced; ranges count from the start of the input.
    package private(set) var head = RequestHead()
    private var phase = Phase.idle
    /// Bytes of the unfinished head that have been looked through.
    private var scanned = 0
    /// The unfinished head's request line has ended.
    private var hasRequestLine = false
    private var bodyBytesLeft = 0
    private var emptyLines = 0
    /// When the present head or body began, in monotonic milliseconds.
    private var phaseStart: UInt64 = 0
    /// When the present phase must have ended or moved on, in monotonic milliseconds.
    package private(set) var deadline: UInt64

    private enum Phase: UInt8 { case idle, head, post, body, closed }

    package init(at now: UInt64) { deadline = now + HTTPLimits.idleMillisecondsMax }

    /// No request has begun: closing now harms no one.
    package var isIdle: Bool { phase == .idle }

    /// A request has begun and is not complete.
    package var isReadingRequest: Bool { phase == .head || phase == .post }

    /// The conversation is over.
    package var isClosed: Bool { phase == .closed }

    /// The conversation is over, and the body of its last request was not read.
    package var leavesBody: Bool { phase == .closed && bodyBytesLeft > 0 }

    /// No more requests are read, such as after a request that asked for it or while draining.
    package mutating func close() { phase = .closed }

    /// Starts the idle time anew, when the answers to all requests have left.
    package mutating func rest(at now: UInt64) {
        if phase == .idle { deadline = now + HTTPLimits.idleMillisecondsMax }
    }

    /// Looks at the whole unconsumed input.
    package mutating func step(_ input: Span<UInt8>, at now: UInt64) -> Step {
        switch phase {
        case .closed: return .closed
        case .body: return skipBody(input, at: now)
        case .post: return readPost(input, at: now)
        case .idle:
            if input.isEmpty { return .needMore }
            if input[0] == 0x0D, emptyLines < HTTPLimits.emptyLinesMax {
                if input.count == 1 { return .needMore }
                if input[1] == 0x0A {
                    emptyLines += 1
                    return .discard(2)
                }
            }
            phase = .head
            scanned = 0
            hasRequestLine = false
            phaseStart = now
            return readHead(input, at: now)
        case .head: return readHead(input, at: now)
        }
    }

    /// Waits for the whole body of a `POST`.
    private mutating func readPost(_ input: Span<UInt8>, at now: UInt64) -> Step {
        let left = head.byteCount - input.count
        guard left <= 0 else {
            deadline = HTTPLimits.bodyPace.deadline(
                start: phaseStart, bytes: head.bodyByteCount - left)
            return .needMore
        }
        if head.keepsAlive { becomeIdle(at: now) } else { phase = .closed }
        return .request
    }

    private mutating func skipBody(_ input: Span<UInt8>, at now: UInt64) -> Step {
        let count = min(input.count, bodyBytesLeft)
        bodyBytesLeft -= count
        deadline = HTTPLimits.bodyPace.deadline(
            start: phaseStart, bytes: head.bodyByteCount - bodyBytesLeft)
        if bodyBytesLeft == 0 { becomeIdle(at: now) }
        return count == 0 ? .needMore : .discard(count)
    }

    private mutating func becomeIdle(at now: UInt64) {
        phase = .idle
        emptyLines = 0
        deadline = now + HTTPLimits.idleMillisecondsMax
    }

    /// Looks for the head's empty line; the first fault in order of bytes decides.
    private mutating func readHead(_ input: Span<UInt8>, at now: UInt64) -> Step {
        let limit = min(input.count, HTTPLimits.headBytesMax)
        // Mostly the whole head came at once and is lawful, which one walk shows. Of any other it says nothing: lines that are
        // not there yet decide with those that are.
        if scanned == 0, RequestParser.parse(input, end: limit, into: &head) == nil {
            return take(input, at: now)
        }
        let lineBytesMax = HTTPLimits.requestLineBytesMax
        var index = scanned
        while index < limit {
            let lineFeed = input.firstIndex(of: 0x0A, from: index, to: limit)
            guard lineFeed < limit else { break }
            if !hasRequestLine, lineFeed > lineBytesMax + 1 { return refuse(.uriTooLong) }
            hasRequestLine = true
            if lineFeed == 0 || input[lineFeed - 1] != 0x0D { return refuse(.badRequest) }
            let isEmptyLine = lineFeed == 1 || (lineFeed >= 3 && input[lineFeed - 2] == 0x0A)
            if isEmptyLine { return finishHead(input, end: lineFeed + 1, at: now) }
            index = lineFeed + 1
        }
        scanned = limit
        deadline = HTTPLimits.headPace.deadline(start: phaseStart, bytes: limit)
        if !hasRequestLine, limit > lineBytesMax + 1 { return refuse(.uriTooLong) }
        return input.count >= HTTPLimits.headBytesMax ? refuse(.headerFieldsTooLarge) : .needMore
    }

    private mutating func finishHead(_ input: Span<UInt8>, end: Int, at now: UInt64) -> Step {
        if let refusal = RequestParser.parse(input, end: end, into: &head) {
            return refuse(refusal)
        }
        return take(input, at: now)
    }

    /// Goes on behind the head that was parsed.
    private mutating func take(_ input: Span<UInt8>, at now: UInt64) -> Step {
        let end = head.byteCount
        if head.bodyByteCount > 0, case .post = head.method {
            if head.bodyByteCount > HTTPLimits.postBytesMax { return refuse(.contentTooLarge) }
            head.byteCount = end + head.bodyByteCount
            head.body = ByteRange(end, head.byteCount)
            phase = .post
            phaseStart = now
            return readPost(input, at: now)
        }
        bodyBytesLeft = head.bodyByteCount
        if !head.keepsAlive {
            phase = .closed
        } else if bodyBytesLeft > 0 {
            phase = .body
            phaseStart = now
            deadline = HTTPLimits.bodyPace.deadline(start: now, bytes: 0)
        } else {
            becomeIdle(at: now)
        }
        return .request
    }

    private mutating func refuse(_ status: HTTPStatus) -> Step {
        phase = .closed
        return .refuse(status)
    }
}
