internal import Glibc
internal import HTTP
internal import LinuxIO
internal import TLS

/// One connection: requests in, answers out, one after the other, each within its time.
final class ServiceConnection: Sendable {
    private let socket: Socket
    private let context: TLSContext?
    private let wake: Int32

    init(_ socket: consuming Socket, _ context: TLSContext?, _ wake: Int32) {
        self.socket = socket
        self.context = context
        self.wake = wake
    }

    /// Answers without reading, as far as the socket takes it at once.
    func refuse(_ response: APIResponse) {
        let bytes = Self.encoded(response, keepsAlive: false, isHead: false)
        // The client may be gone, and then there is nobody to tell.
        _ = unsafe bytes.withUnsafeBytes { unsafe socket.write($0) }
    }

    /// Serves requests until the client goes, breaks a rule, or the service stops.
    func serve(
        _ answer: (APIRequest) -> APIResponse, isStopping: () -> Bool
    ) {
        var stream = Stream(socket.descriptor, context)
        guard stream.handshake() else { return }
        var input: [UInt8] = []
        while true {
            switch readHead(&stream, &input) {
            case .ended: return
            case .refused(let status):
                finish(
                    &stream,
                    RegionAPI.response(
                        APIError(Int(status.rawValue), "BadRequestException", status.reason)))
                return
            case .head(let head, let end):
                input.removeFirst(end)
                guard let body = readBody(&stream, &input, head) else { return }
                let response: APIResponse
                do throws(APIError) {
                    response = answer(try APIRequest(head, body: body))
                } catch {
                    response = RegionAPI.response(error)
                }
                let keepsAlive = head.keepsAlive && !isStopping()
                let bytes = Self.encoded(
                    response, keepsAlive: keepsAlive, isHead: head.method == "HEAD")
                guard stream.write(bytes), keepsAlive else {
                    stream.finish()
                    return
                }
            }
        }
    }

    private func finish(_ stream: inout Stream, _ response: APIResponse) {
        _ = stream.write(Self.encoded(response, keepsAlive: false, isHead: false))
        stream.finish()
    }

    private enum HeadRead {
        case head(ServiceRequest, end: Int)
        case refused(HTTPStatus)
        /// The client is silent or gone.
        case ended
    }

    private static let headEnd = Array("\r\n\r\n".utf8)

    private func readHead(_ stream: inout Stream, _ input: inout [UInt8]) -> HeadRead {
        var deadline = SystemClock.monotonicMilliseconds() + APILimits.idleMillisecondsMax
        var hasBegun = !input.isEmpty
        var searched = 0
        while true {
            if hasBegun, let end = Self.end(of: input, from: &searched) {
                do throws(ServiceRequestRefusal) {
                    let head = try ServiceRequest(
                        input, end: end, bodyBytesMax: APILimits.bodyBytesMax)
                    return .head(head, end: end)
                } catch {
                    return .refused(error.status)
                }
            }
            guard input.count < APILimits.headBytesMax else {
                return .refused(.headerFieldsTooLarge)
            }
            // A service that stops ends silent connections at once, and waits for those in the middle of a request.
            guard stream.read(into: &input, until: deadline, orWake: hasBegun ? nil : wake) else {
                return hasBegun ? .refused(.requestTimeout) : .ended
            }
            if !hasBegun {
                hasBegun = true
                deadline = SystemClock.monotonicMilliseconds() + APILimits.headMillisecondsMax
            }
        }
    }

    private static func end(of input: [UInt8], from searched: inout Int) -> Int? {
        var index = searched
        while index + 4 <= min(input.count, APILimits.headBytesMax) {
            if input[index] == 0x0D, input[index..<(index + 4)].elementsEqual(headEnd) {
                return index + 4
            }
            index += 1
        }
        searched = index
        return nil
    }

    /// The body; nil when the client went or was too slow.
    private func readBody(
        _ stream: inout Stream, _ input: inout [UInt8], _ head: ServiceRequest
    ) -> [UInt8]? {
        if head.expectsContinue, input.isEmpty,
            !stream.write(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
        {
            return nil
        }
        let deadline = SystemClock.monotonicMilliseconds() + APILimits.bodyMillisecondsMax
        while input.count < head.bodyByteCount {
            guard stream.read(into: &input, until: deadline, orWake: nil) else { return nil }
        }
        let body = Array(input.prefix(head.bodyByteCount))
        input.removeFirst(head.bodyByteCount)
        return body
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
    private static let readBytes = 1 << 16

    init(_ descriptor: Int32, _ context: TLSContext?) {
        self.descriptor = descriptor
        tls = context.map { TLSConnection($0, descriptor: descriptor) }
    }

    mutating func handshake() -> Bool {
        guard let tls else { return true }
        let deadline = SystemClock.monotonicMilliseconds() + APILimits.headMillisecondsMax
        while true {
            switch tls.handshake() {
            case .done: return true
            case .failed: return false
            case .wouldBlock:
                guard
                    Readiness.wait(descriptor, for: POLLIN, until: deadline, orWake: nil) == .ready
                else { return false }
            }
        }
    }

    /// Adds what comes to `input`; false when nothing does, in time.
    mutating func read(into input: inout [UInt8], until deadline: UInt64, orWake wake: Int32?)
        -> Bool
    {
        var chunk = [UInt8](repeating: 0, count: Self.readBytes)
        while true {
            let transfer = unsafe chunk.withUnsafeMutableBytes { buffer in
                if let tls { return unsafe tls.read(into: buffer) }
                while true {
                    let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
                    if count > 0 { return Transfer.bytes(count) }
                    if count == 0 { return Transfer.closed }
                    if errno == EINTR { continue }
                    return errno == EAGAIN ? Transfer.wouldBlock : Transfer.closed
                }
            }
            switch transfer {
            case .bytes(let count):
                input += chunk.prefix(count)
                return true
            case .closed: return false
            case .wouldBlock:
                guard
                    Readiness.wait(descriptor, for: POLLIN, until: deadline, orWake: wake)
                        == .ready
                else { return false }
            }
        }
    }

    mutating func write(_ bytes: [UInt8]) -> Bool {
        let deadline = SystemClock.monotonicMilliseconds() + APILimits.answerMillisecondsMax
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
                    Readiness.wait(descriptor, for: POLLOUT, until: deadline, orWake: nil)
                        == .ready
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
}
