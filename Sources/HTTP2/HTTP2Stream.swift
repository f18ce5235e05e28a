internal import HTTP

/// One request and its answer; reused for another when its stream has closed.
final class HTTP2Stream {
    private(set) var identifier: Int32 = 0
    /// When its first frame came, in monotonic milliseconds.
    private(set) var startedAt: UInt64 = 0
    var phase = Phase.head
    var wasResetHere = false

    private var method: [UInt8] = []
    private var path: [UInt8] = []
    private var authority: [UInt8] = []
    private var host: [UInt8]?
    private var fields: [UInt8] = []
    /// Its crumbs (RFC 9113 section 8.2.3) put together.
    private var cookie: [UInt8] = []
    private var body: [UInt8] = []
    private var isBodyTooLarge = false
    /// Bytes of the header list as section 6.5.2 counts them.
    private(set) var headerListBytes = 0

    /// The request as HTTP/1.1, once it is complete.
    private(set) var request: [UInt8] = []
    var requestStart = 0
    /// The body of the answer.
    private(set) var answer: [UInt8] = []
    private var answerStart = 0

    enum Phase {
        case head, body
        /// Waits to be read by the caller.
        case complete
        /// Is being read, or was.
        case taken
    }

    func begin(_ identifier: Int32, at now: UInt64) {
        self.identifier = identifier
        startedAt = now
        phase = .head
        wasResetHere = false
        method.removeAll(keepingCapacity: true)
        path.removeAll(keepingCapacity: true)
        authority.removeAll(keepingCapacity: true)
        host = nil
        fields.removeAll(keepingCapacity: true)
        cookie.removeAll(keepingCapacity: true)
        body.removeAll(keepingCapacity: true)
        isBodyTooLarge = false
        headerListBytes = 0
        request.removeAll(keepingCapacity: true)
        requestStart = 0
        answer.removeAll(keepingCapacity: true)
        answerStart = 0
    }

    /// Bytes of the request that are held.
    var requestBytes: Int { phase == .taken ? 0 : max(headerListBytes, request.count) + body.count }
    /// Bytes of the answer that have not gone into frames.
    var answerBytes: Int { answer.count - answerStart }
    /// Whether its memory is worth keeping.
    var isSmall: Bool {
        request.capacity + body.capacity + answer.capacity + fields.capacity
            <= HTTP2Limits.spareBytesMax
    }

    /// Takes one field of the head. What is beyond the bound is counted and left out: the request is then too long for the
    /// parser, which says so.
    func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
        headerListBytes += name.count + value.count + 32
        guard headerListBytes <= 2 * HTTPLimits.headBytesMax else { return }
        if unsafe name.first == 0x3A {
            if unsafe Self.equals(name, ":method") {
                unsafe method.append(contentsOf: value)
            } else if unsafe Self.equals(name, ":path") {
                unsafe path.append(contentsOf: value)
            } else if unsafe Self.equals(name, ":authority") {
                unsafe authority.append(contentsOf: value)
            }
            return
        }
        if unsafe Self.equals(name, "cookie") {
            if !cookie.isEmpty { cookie.append(contentsOf: [0x3B, 0x20]) }
            unsafe cookie.append(contentsOf: value)
        } else if unsafe host == nil && Self.equals(name, "host") {
            unsafe host = Array(value)
        } else if unsafe !Self.equals(name, "content-length") {
            // The length is known when the last byte has come; that it is the one announced was checked before.
            unsafe fields.append(contentsOf: name)
            fields.append(contentsOf: [0x3A, 0x20])
            unsafe fields.append(contentsOf: value)
            fields.append(contentsOf: [0x0D, 0x0A])
        }
    }

    /// Whether the head names one host alone, no user, and a path of the origin form (section 8.3.1).
    var isWellFormed: Bool {
        if let host, !authority.isEmpty, host != authority { return false }
        if authority.contains(0x40) || host?.contains(0x40) == true { return false }
        guard let first = path.first else { return true }
        return first == 0x2F || path == [0x2A]
    }

    /// Takes bytes of the body; false when it has become larger than any that is read.
    func add(body bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard !isBodyTooLarge else { return false }
        guard body.count + bytes.count <= HTTPLimits.bodyBytesMax else {
            isBodyTooLarge = true
            body.removeAll()
            return false
        }
        unsafe body.append(contentsOf: bytes)
        return true
    }

    /// Puts the request together as HTTP/1.1.
    func complete() {
        phase = .complete
        request.append(contentsOf: method)
        request.append(0x20)
        request.append(contentsOf: path)
        request.append(contentsOf: Array(" HTTP/1.1\r\n".utf8))
        if let name = authority.isEmpty ? host : authority {
            request.append(contentsOf: Array("host: ".utf8))
            request.append(contentsOf: name)
            request.append(contentsOf: [0x0D, 0x0A])
        }
        request.append(contentsOf: fields)
        if !cookie.isEmpty {
            request.append(contentsOf: Array("cookie: ".utf8))
            request.append(contentsOf: cookie)
            request.append(contentsOf: [0x0D, 0x0A])
        }
        if isBodyTooLarge {
            append(length: HTTPLimits.bodyBytesMax + 1)
        } else if !body.isEmpty {
            append(length: body.count)
        }
        request.append(contentsOf: [0x0D, 0x0A])
        request.append(contentsOf: body)
        body.removeAll(keepingCapacity: true)
    }

    private func append(length: Int) {
        request.append(contentsOf: Array("content-length: \(length)\r\n".utf8))
    }

    func beginAnswer(_ bytes: Span<UInt8>, from start: Int) {
        answer.removeAll(keepingCapacity: true)
        answerStart = 0
        unsafe bytes.withUnsafeBufferPointer {
            unsafe answer.append(contentsOf: UnsafeBufferPointer(rebasing: $0[start...]))
        }
    }

    /// Moves the next bytes of the answer to `buffer`; returns how many.
    func takeAnswer(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, answerBytes)
        unsafe answer.withUnsafeBytes {
            unsafe buffer.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: $0[answerStart..<answerStart + count]))
        }
        answerStart += count
        return count
    }

    private static func equals(_ name: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
        guard name.count == text.utf8CodeUnitCount else { return false }
        for index in 0..<name.count {
            // SAFETY: `index` is below the count of both.
            if unsafe text.utf8Start[index] != name[index] { return false }
        }
        return true
    }
}
