import Glibc

/// A blocking HTTP client of one keep-alive connection to a port of 127.0.0.1, pipelining several requests.
package struct LoopbackClient: ~Copyable {
    private let descriptor: Int32
    private var received: [UInt8] = []
    /// Where the next response starts in `received`.
    private var start = 0

    /// The connection failed: the call that did and its error number.
    package struct Failure: Error, Sendable {
        package let call: String
        package let errno: Int32
    }

    package init(port: UInt16) throws(Failure) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(call: "socket", errno: errno) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        // SAFETY: a sockaddr_in is what AF_INET expects behind the sockaddr pointer.
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw Failure(call: "connect", errno: code)
        }
        var on: Int32 = 1
        // SAFETY: the option's value is an int of the stated size.
        _ = unsafe setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        received.reserveCapacity(1 << 16)
    }

    deinit { close(descriptor) }

    /// Sends `requests` at once.
    package borrowing func send(_ requests: [UInt8]) throws(Failure) {
        var sent = 0
        while sent < requests.count {
            // SAFETY: the buffer lives for the call and the count stays within it.
            let count = unsafe requests.withUnsafeBytes { bytes in
                unsafe Glibc.send(
                    descriptor, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Failure(call: "send", errno: errno) }
            sent += count
        }
    }

    /// Waits for one response and returns its status code; its body is skipped.
    package mutating func receiveStatus() throws(Failure) -> Int {
        let (status, size) = try receive()
        start += size
        return status
    }

    /// Waits until a whole response stands at `start`.
    private mutating func receive() throws(Failure) -> (status: Int, size: Int) {
        while true {
            if let response = Self.response(in: received[start...]) { return response }
            received.removeFirst(start)
            start = 0
            // SAFETY: recv writes at most the scratch buffer's size.
            let chunk = unsafe withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 1) {
                buffer -> (Int, [UInt8]) in
                let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
                return unsafe (count, count > 0 ? Array(buffer[..<count]) : [])
            }
            if chunk.0 < 0 && errno == EINTR { continue }
            guard chunk.0 > 0 else {
                throw Failure(call: "recv", errno: chunk.0 == 0 ? ECONNRESET : errno)
            }
            received += chunk.1
        }
    }

    /// Status and total size of the first response in `bytes`, when it is whole.
    private static func response(
        in bytes: ArraySlice<UInt8>
    ) -> (status: Int, size: Int)? {
        guard let headEnd = headEnd(bytes), headEnd - bytes.startIndex > 16 else { return nil }
        let status = bytes.dropFirst(9).prefix(3).reduce(0) { $0 * 10 + Int($1 &- 0x30) }
        let headSize = headEnd - bytes.startIndex
        let size = headSize + contentLength(bytes[..<headEnd])
        return bytes.count >= size ? (status, size) : nil
    }

    /// Index behind the empty line that ends the head.
    private static func headEnd(_ bytes: ArraySlice<UInt8>) -> Int? {
        var index = bytes.startIndex + 3
        while index < bytes.endIndex {
            if bytes[index] == 0x0A && bytes[index - 1] == 0x0D && bytes[index - 2] == 0x0A {
                return index + 1
            }
            index += 1
        }
        return nil
    }

    private static let contentLengthName = Array("content-length:".utf8)

    private static func contentLength(_ head: ArraySlice<UInt8>) -> Int {
        for line in head.split(separator: 0x0A) where line.count > contentLengthName.count {
            guard zip(line, contentLengthName).allSatisfy({ $0 | 0x20 == $1 | 0x20 }) else {
                continue
            }
            return line.dropFirst(contentLengthName.count).reduce(0) {
                (0x30...0x39).contains($1) ? $0 * 10 + Int($1 - 0x30) : $0
            }
        }
        return 0
    }
}
