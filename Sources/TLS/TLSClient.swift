internal import Bytes
internal import CSSL
internal import Glibc
package import LinuxIO

/// Why a server cannot be spoken to. It holds names of causes alone.
package enum TLSClientError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The certificate was issued by nobody who is trusted, is of another name, or does not hold now.
    case untrusted(String)
    case handshakeFailed
    /// The connection ended in the middle, which a good end of TLS would have announced.
    case broken
    case network(NetworkError)

    package var description: String {
        switch self {
        case .untrusted(let reason): "the server's certificate is not trusted: \(reason)"
        case .handshakeFailed: "the server speaks no TLS that is safe"
        case .broken: "the connection broke off"
        case .network(let error): error.description
        }
    }
}

/// The client's side of one connection, TLS 1.2 or 1.3, to a server whose certificate is verified for its name.
///
/// On a non-blocking socket that someone else owns and closes after this. Every call waits, until a time by
/// ``SystemClock/monotonicMilliseconds()``. Used by one thread.
@safe package final class TLSClient {
    // SAFETY: made in `init`, freed in `deinit`.
    private let context: OpaquePointer
    private let handle: OpaquePointer
    private let descriptor: Int32
    private var isEstablished = false

    private static let suites12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
    /// OpenSSL's scale: 112 bits of security, so RSA from 2,048 bits and no SHA-1.
    private static let securityLevel: Int32 = 2

    /// - Parameters:
    ///   - host: the name, or the address, that the certificate must be for.
    ///   - authorities: who may have issued it; nil for those that the system trusts.
    package init(descriptor: Int32, host: String, authorities: TLSAuthorities?) {
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
            preconditionFailure("out of memory")
        }
        unsafe SSL_CTX_set_security_level(context, Self.securityLevel)
        let isSet =
            unsafe cssl_set_min_version(context, TLS1_2_VERSION) == 1
            && SSL_CTX_set_cipher_list(context, Self.suites12) == 1
        precondition(isSet, "OpenSSL 3 knows these names")
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        if let authorities {
            let store = unsafe X509_STORE_new()
            for certificate in authorities.certificates {
                unsafe X509_STORE_add_cert(store, certificate.handle)
            }
            unsafe SSL_CTX_set_cert_store(context, store)
        } else {
            // Where the system has none, no certificate is trusted.
            unsafe SSL_CTX_set_default_verify_paths(context)
        }
        guard let handle = unsafe SSL_new(context), let bio = unsafe SocketBIO.make(descriptor)
        else { preconditionFailure("out of memory") }
        unsafe SSL_set_bio(handle, bio, bio)
        unsafe SSL_set_connect_state(handle)
        let isNamed: Bool
        if IPAddress(host) != nil {
            isNamed = unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(handle), host) == 1
        } else {
            unsafe SSL_set_hostflags(handle, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            isNamed =
                unsafe SSL_set1_host(handle, host) == 1 && cssl_set_server_name(handle, host) == 1
        }
        precondition(isNamed, "a name fails only without memory")
        unsafe self.context = context
        unsafe self.handle = handle
        self.descriptor = descriptor
        ERR_clear_error()
    }

    deinit {
        unsafe SSL_free(handle)
        unsafe SSL_CTX_free(context)
    }

    package func handshake(until deadline: UInt64) throws(TLSClientError) {
        let handle = unsafe handle
        do throws(TLSClientError) {
            guard try attempt(until: deadline, { unsafe SSL_do_handshake(handle) }) else {
                throw .broken
            }
            isEstablished = true
        } catch .handshakeFailed {
            let result = unsafe SSL_get_verify_result(handle)
            guard result != X509_V_OK else { throw .handshakeFailed }
            let text = unsafe X509_verify_cert_error_string(result)
            throw .untrusted(unsafe text.map { unsafe String(cString: $0) } ?? "")
        }
    }

    package func write(_ bytes: [UInt8], until deadline: UInt64) throws(TLSClientError) {
        let handle = unsafe handle
        var count = 0
        guard
            try attempt(
                until: deadline, { unsafe SSL_write_ex(handle, bytes, bytes.count, &count) })
        else { throw .broken }
    }

    /// What comes next, at most `count` bytes; none at the end that the server announced.
    package func read(_ count: Int, until deadline: UInt64) throws(TLSClientError) -> [UInt8] {
        let handle = unsafe handle
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        let isOpen = try attempt(
            until: deadline, { unsafe SSL_read_ex(handle, &bytes, count, &filled) })
        return isOpen ? Array(bytes[..<filled]) : []
    }

    /// Calls until it is done; false when the server has ended the connection.
    private func attempt(
        until deadline: UInt64, _ call: () -> Int32
    ) throws(TLSClientError) -> Bool {
        while true {
            ERR_clear_error()
            let status = call()
            if status == 1 { return true }
            let cause = unsafe SSL_get_error(handle, status)
            ERR_clear_error()
            do throws(NetworkError) {
                switch cause {
                case SSL_ERROR_WANT_READ: try Socket.wait(descriptor, POLLIN, until: deadline)
                case SSL_ERROR_WANT_WRITE: try Socket.wait(descriptor, POLLOUT, until: deadline)
                case SSL_ERROR_ZERO_RETURN: return false
                default: break
                }
            } catch {
                throw .network(error)
            }
            if cause == SSL_ERROR_SSL { throw isEstablished ? .broken : .handshakeFailed }
            if cause == SSL_ERROR_SYSCALL { throw .broken }
        }
    }
}
