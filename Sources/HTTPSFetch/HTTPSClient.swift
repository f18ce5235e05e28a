internal import Bytes
internal import Glibc
package import LinuxIO
package import TLS

/// Fetches small documents over HTTPS, such as the keys of an issuer.
///
/// One GET, one answer: TLS with a verified certificate, no redirect followed, no cookie, no proxy, nothing kept, and a bound
/// on every size and on the whole time, but for the system's resolver, which has its own. Errors hold no byte that a server sent. Start
/// at ``HTTPSClient``.
package enum HTTPSFetch {}

/// Why a document could not be fetched.
package enum HTTPSError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The name is not known to the system's resolver.
    case unknownHost
    case network(NetworkError)
    case tls(TLSClientError)
    /// An answer other than 200, redirects among them.
    case status(Int)
    /// No answer of HTTP/1.1, or one whose end is not clear.
    case malformed
    case tooLarge

    package var description: String {
        switch self {
        case .unknownHost: "the host is not known"
        case .network(let error): error.description
        case .tls(let error): error.description
        case .status(let status):
            (300..<400).contains(status)
                ? "the answer is a redirect (\(status)), which is not followed"
                : "the answer has status \(status)"
        case .malformed: "the answer is no sound HTTP"
        case .tooLarge: "the answer is too large"
        }
    }
}

package struct HTTPSClient: Sendable {
    private let authorities: TLSAuthorities?

    /// Longest time for one document, in milliseconds.
    package static let millisecondsMax: UInt64 = 10_000
    private static let chunkBytes = 16 << 10
    /// Addresses of a host that are tried.
    private static let addressesMax = 4

    /// - Parameter authorities: who may have issued the servers' certificates; nil for those that the system trusts.
    package init(authorities: TLSAuthorities? = nil) { self.authorities = authorities }

    /// What stands at `address`. Blocks.
    package func get(_ address: HTTPSAddress, bytesMax: Int) throws(HTTPSError) -> HTTPSDocument {
        let deadline = SystemClock.monotonicMilliseconds() + Self.millisecondsMax
        let socket = try connect(address, deadline)
        let client = TLSClient(
            descriptor: socket.descriptor, host: address.host, authorities: authorities)
        do throws(TLSClientError) {
            try client.handshake(until: deadline)
            try client.write(address.request, until: deadline)
        } catch {
            throw .tls(error)
        }
        var received: [UInt8] = []
        while true {
            let part: [UInt8]
            do throws(TLSClientError) {
                part = try client.read(Self.chunkBytes, until: deadline)
            } catch {
                throw .tls(error)
            }
            received += part
            if let document = try HTTPSAnswer.document(
                in: received, isEnded: part.isEmpty, bytesMax: bytesMax)
            {
                return document
            }
        }
    }

    /// A connection to the first of the host's addresses that takes one.
    private func connect(
        _ address: HTTPSAddress, _ deadline: UInt64
    ) throws(HTTPSError) -> Socket {
        var last = HTTPSError.unknownHost
        let candidates = Self.resolve(address.host).prefix(Self.addressesMax)
        for (index, candidate) in candidates.enumerated() {
            let share = Self.share(
                of: deadline, at: SystemClock.monotonicMilliseconds(),
                among: candidates.count - index)
            do throws(NetworkError) {
                return try Socket.connected(to: candidate, port: address.port, until: share)
            } catch {
                last = .network(error)
            }
        }
        throw last
    }

    /// Until when one of `count` addresses that are left may be tried: a host of two networks, one of which leads nowhere, is reached
    /// by the other.
    static func share(of deadline: UInt64, at now: UInt64, among count: Int) -> UInt64 {
        now < deadline ? now + (deadline - now) / UInt64(max(1, count)) : deadline
    }

    private static func resolve(_ host: String) -> [IPAddress] {
        if let address = IPAddress(host) { return [address] }
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { unsafe freeaddrinfo(list) }
        var found: [IPAddress] = []
        var next = unsafe list
        while let entry = unsafe next {
            var text = [CChar](repeating: 0, count: 128)
            let status = unsafe getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil,
                0, NI_NUMERICHOST)
            let name = String(
                decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if status == 0, let address = IPAddress(name) { found.append(address) }
            unsafe next = entry.pointee.ai_next
        }
        return found
    }
}
