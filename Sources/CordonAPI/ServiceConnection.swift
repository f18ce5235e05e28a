internal import Glibc
internal import HTTP
internal import LinuxIO
internal import TLS

/// One connection that a listener took, of whichever protocol.
protocol ServedConnection: Sendable {
    /// Tells that there are too many, without reading, as far as the socket takes it at once.
    func refuse()
    /// Serves until the client goes, breaks a rule, or the service stops.
    func serve(isStopping: () -> Bool)
}

/// One connection of HTTP: requests in, answers out, one after the other, each within its time.
final class ServiceConnection: ServedConnection {
    private let socket: Socket
    private let context: TLSContext?
    private let wake: Int32
    private let limits: ServiceLimits
    private let clock: any ServiceClock
    private let answer: @Sendable (APIRequest) -> APIResponse
    private let refusal: @Sendable (APIRequest) -> APIResponse?

    /// - Parameter refusal: asked with a large request's head alone, without its body: what it answers ends the connection.
    init(
        _ socket: consuming Socket, _ context: TLSContext?, _ wake: Int32, _ limits: ServiceLimits,
        _ clock: any ServiceClock, refusal: @escaping @Sendable (APIRequest) -> APIResponse?,
        answer: @escaping @Sendable (APIRequest) -> APIResponse
    ) {
        self.answer = answer
        self.refusal = refusal
        self.socket = socket
        self.context = context
        self.wake = wake
        self.limits = limits
        self.clock = clock
    }

    func refuse() {
        // Before a handshake nobody would understand it.
        guard context == nil else { return }
        let bytes = Self.encoded(
            RegionAPI.response(.unavailable("too many connections; try again")), keepsAlive: false,
            isHead: false)
        // The client may be gone, and then there is nobody to tell.
        _ = unsafe bytes.withUnsafeBytes { unsafe socket.write($0) }
    }

    func serve(isStopping: () -> Bool) {
        var stream = ServiceStream(socket.descriptor, context, clock)
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
    private func refuse(_ stream: inout ServiceStream, _ status: HTTPStatus) {
        refuse(
            &stream,
            RegionAPI.response(
                APIError(Int(status.rawValue), "BadRequestException", status.reason)))
    }

    private func refuse(_ stream: inout ServiceStream, _ response: APIResponse) {
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

    private func readHead(_ stream: inout ServiceStream, _ input: inout [UInt8]) -> HeadRead {
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
        _ stream: inout ServiceStream, _ input: inout [UInt8], _ head: ServiceRequest
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
