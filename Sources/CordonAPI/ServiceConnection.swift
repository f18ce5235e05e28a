internal import Glibc
internal import HTTP
internal import LinuxIO
internal import TLS

/// One connection: requests in, answers out, one after the other, each within its time.
final class ServiceConnection: Sendable {
    private let socket: Socket
    private let context: TLSContext?
    private let wake: Int32
    private let limits: ServiceLimits
    private let clock: any ServiceClock

    init(
        _ socket: consuming Socket, _ context: TLSContext?, _ wake: Int32, _ limits: ServiceLimits,
        _ clock: any ServiceClock
    ) {
        self.socket = socket
        self.context = context
        self.wake = wake
        self.limits = limits
        self.clock = clock
    }

    /// Answers without reading, as far as the socket takes it at once.
    func refuse(_ response: APIResponse) {
        let bytes = Self.encoded(response, keepsAlive: false, isHead: false)
        // The client may be gone, and then there is nobody to tell.
        _ = unsafe bytes.withUnsafeBytes { unsafe socket.write($0) }
    }

    /// Serves requests until the client goes, breaks a rule, or the service stops.
    ///
    /// - Parameter refusal: asked with a large request's head alone, without its body: what it answers ends the connection.
    func serve(
        _ answer: (APIRequest) -> APIResponse, refusal: (APIRequest) -> APIResponse?,
        isStopping: () -> Bool
    ) {
        var stream = Stream(socket.descriptor, context, clock)
        let handshakeEnd = clock.now() + limits.headMilliseconds
        guard stream.handshake(until: handshakeEnd, orWake: wake) else { return }
        var input: [UInt8] = []
        while true {
            switch readHead(&stream, &input) {
            case .ended: return
            case .refused(let status):
                refuse(&stream, status)
                return
            case .head(let head, let end):
                input.removeFirst(end)
                if head.bodyByteCount > limits.strangerBodyBytes,
                    let request = try? APIRequest(head, body: []), let refused = refusal(request)
                {
                    return refuse(&stream, refused)
                }
                let body: [UInt8]
                switch readBody(&stream, &input, head) {
                case .body(let bytes): body = bytes
                case .tooSlow:
                    refuse(&stream, .requestTimeout)
                    return
                case .ended: return
                }
                let response: APIResponse
                do throws(APIError) {
                    response = answer(try APIRequest(head, body: body))
                } catch {
                    response = RegionAPI.response(error)
                }
                let keepsAlive = head.keepsAlive && !isStopping()
                let bytes = Self.encoded(
                    response, keepsAlive: keepsAlive, isHead: head.method == "HEAD")
                guard stream.write(bytes, until: answerEnd), keepsAlive else {
                    stream.finish()
                    return
                }
            }
        }
    }

    private var answerEnd: UInt64 { clock.now() + limits.answerMilliseconds }

    /// Answers a request that is not read to its end, and ends the connection.
    private func refuse(_ stream: inout Stream, _ status: HTTPStatus) {
        refuse(
            &stream,
            RegionAPI.response(
                APIError(Int(status.rawValue), "BadRequestException", status.reason)))
    }

    private func refuse(_ stream: inout Stream, _ response: APIResponse) {
        let bytes = Self.encoded(response, keepsAlive: false, isHead: false)
        guard stream.write(bytes, until: answerEnd) else { return }
        stream.finish()
        stream.linger(until: clock.now() + limits.lingerMilliseconds, orWake: wake)
    }

    private enum HeadRead {
        case head(ServiceRequest, end: Int)
        case refused(HTTPStatus)
        /// The client is silent or gone.
        case ended
    }

    private static let headEnd = Array("\r\n\r\n".utf8)

    private func readHead(_ stream: inout Stream, _ input: inout [UInt8]) -> HeadRead {
        // What came along with the request before it may be the beginning of this one.
        var hasBegun = !input.isEmpty
        var deadline =
            clock.now() + (hasBegun ? limits.headMilliseconds : limits.idleMilliseconds)
        var searched = 0
        while true {
            if hasBegun, let end = end(of: input, from: &searched) {
                do throws(ServiceRequestRefusal) {
                    let head = try ServiceRequest(
                        input, end: end, bodyBytesMax: limits.bodyBytes)
                    return .head(head, end: end)
                } catch {
                    return .refused(error.status)
                }
            }
            guard input.count < limits.headBytes else {
                return .refused(.headerFieldsTooLarge)
            }
            // A service that stops ends silent connections at once, and waits for those in the middle of a request.
            switch stream.read(into: &input, until: deadline, orWake: hasBegun ? nil : wake) {
            case .arrived: break
            case .timedOut where hasBegun: return .refused(.requestTimeout)
            case .timedOut, .ended: return .ended
            }
            if !hasBegun {
                hasBegun = true
                deadline = clock.now() + limits.headMilliseconds
            }
        }
    }

    private func end(of input: [UInt8], from searched: inout Int) -> Int? {
        var index = searched
        while index + 4 <= min(input.count, limits.headBytes) {
            if input[index] == 0x0D, input[index..<(index + 4)].elementsEqual(Self.headEnd) {
                return index + 4
            }
            index += 1
        }
        searched = index
        return nil
    }

    private enum BodyRead {
        case body([UInt8])
        case tooSlow
        /// The client is gone.
        case ended
    }

    private func readBody(
        _ stream: inout Stream, _ input: inout [UInt8], _ head: ServiceRequest
    ) -> BodyRead {
        if head.expectsContinue, input.isEmpty,
            !stream.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8), until: answerEnd)
        {
            return .ended
        }
        let deadline = clock.now() + limits.bodyMilliseconds
        while input.count < head.bodyByteCount {
            switch stream.read(into: &input, until: deadline, orWake: nil) {
            case .arrived: break
            case .timedOut: return .tooSlow
            case .ended: return .ended
            }
        }
        let body = Array(input.prefix(head.bodyByteCount))
        input.removeFirst(head.bodyByteCount)
        return .body(body)
    }

    private static func encoded(
        _ response: APIResponse, keepsAlive: Bool, isHead: Bool
    ) -> [UInt8] {
        var head = "HTTP/1.1 \(response.status) \(response.reason)\r\n"
        let hasNoBody = [204, 304].contains(response.status)
        if !hasNoBody && !isHead {
            head += "Content-Type: \(response.contentType)\r\n"
            head += "Content-Length: \(response.body.count)\r\n"
        }
        head += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        for (name, value) in response.fields { head += "\(name): \(value)\r\n" }
        if !keepsAlive { head += "Connection: close\r\n" }
        return Array((head + "\r\n").utf8) + (isHead || hasNoBody ? [] : response.body)
    }
}

/// Bytes over a socket, with TLS or without.
private struct Stream {
    private let descriptor: Int32
    private let tls: TLSConnection?
    private let clock: any ServiceClock
    private static let readBytes = 1 << 16

    /// What reading came to.
    enum Arrival {
        case arrived, timedOut
        /// The client is gone, or the service stops.
        case ended
    }

    init(_ descriptor: Int32, _ context: TLSContext?, _ clock: any ServiceClock) {
        self.descriptor = descriptor
        self.clock = clock
        tls = context.map { TLSConnection($0, descriptor: descriptor) }
    }

    mutating func handshake(until deadline: UInt64, orWake wake: Int32) -> Bool {
        guard let tls else { return true }
        while true {
            switch tls.handshake() {
            case .done: return true
            case .failed: return false
            case .wouldBlock:
                // The client's part is what is waited for; what is written here fits into a new socket.
                guard
                    clock.wait(descriptor, for: POLLIN, until: deadline, orWake: wake) == .ready
                else { return false }
            }
        }
    }

    /// Adds what comes to `input`.
    mutating func read(into input: inout [UInt8], until deadline: UInt64, orWake wake: Int32?)
        -> Arrival
    {
        var chunk = [UInt8](repeating: 0, count: Self.readBytes)
        while true {
            let transfer = unsafe chunk.withUnsafeMutableBytes { buffer in
                if let tls { return unsafe tls.read(into: buffer) }
                return unsafe receive(into: buffer)
            }
            switch transfer {
            case .bytes(let count):
                input += chunk.prefix(count)
                return .arrived
            case .closed: return .ended
            case .wouldBlock:
                switch clock.wait(descriptor, for: POLLIN, until: deadline, orWake: wake) {
                case .ready: break
                case .timedOut: return .timedOut
                case .woken: return .ended
                }
            }
        }
    }

    private func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        while true {
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .closed }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .closed
        }
    }

    /// Writes all; false when the client is gone or does not take it in time.
    mutating func write(_ bytes: [UInt8], until deadline: UInt64) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let transfer = unsafe bytes.withUnsafeBytes { buffer in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[sent...])
                if let tls { return unsafe tls.write(rest) }
                while true {
                    let count = unsafe send(
                        descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
                    if count >= 0 { return Transfer.bytes(count) }
                    if errno == EINTR { continue }
                    return errno == EAGAIN ? Transfer.wouldBlock : Transfer.closed
                }
            }
            switch transfer {
            case .bytes(let count): sent += count
            case .closed: return false
            case .wouldBlock:
                guard
                    clock.wait(descriptor, for: POLLOUT, until: deadline, orWake: nil) == .ready
                else { return false }
            }
        }
        return true
    }

    mutating func finish() {
        tls?.finish()
        // Told that nothing more comes; the socket itself closes with its owner.
        _ = shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Reads on and forgets it, until the client closes too.
    ///
    /// A socket that is closed with bytes unread is reset, and many a client then loses the answer it has not read yet.
    func linger(until deadline: UInt64, orWake wake: Int32) {
        var chunk = [UInt8](repeating: 0, count: Self.readBytes)
        while clock.now() < deadline {
            switch unsafe chunk.withUnsafeMutableBytes({ unsafe receive(into: $0) }) {
            case .bytes: break
            case .closed: return
            case .wouldBlock:
                guard
                    clock.wait(descriptor, for: POLLIN, until: deadline, orWake: wake) == .ready
                else { return }
            }
        }
    }
}
