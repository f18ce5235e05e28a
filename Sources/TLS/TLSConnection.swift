internal import CSSL
internal import Glibc
package import LinuxIO

/// The server's side of one connection (`SSL`) on a non-blocking socket that someone else owns and closes after this.
///
/// First ``handshake()`` until it is done, then ``read(into:)`` and ``write(_:)`` as with a socket, at last
/// ``finish()``. After `wouldBlock` each is called again when the socket is ready. Used by one thread at a time.
@safe package final class TLSConnection {
    // SAFETY: made in `init`, freed in `deinit`.
    private let handle: OpaquePointer
    /// Holds what the callbacks of `handle` point at.
    private let context: TLSContext
    private var isEstablished = false
    /// A fatal error came: OpenSSL allows nothing more but freeing.
    private var isBroken = false

    package enum Progress: Equatable, Sendable {
        case done
        case wouldBlock
        case failed(TLSFailure)
    }

    package init(_ context: TLSContext, descriptor: Int32) {
        guard let handle = unsafe SSL_new(context.handle),
            let bio = unsafe SocketBIO.make(descriptor)
        else { preconditionFailure("out of memory") }
        unsafe self.handle = handle
        self.context = context
        unsafe SSL_set_bio(handle, bio, bio)
        unsafe SSL_set_accept_state(handle)
    }

    deinit { unsafe SSL_free(handle) }

    /// Goes on with the handshake. After a failure the client has been sent the alert, if it was still there.
    package func handshake() -> Progress {
        ERR_clear_error()
        let status = unsafe SSL_do_handshake(handle)
        if status == 1 {
            isEstablished = true
            return .done
        }
        switch unsafe SSL_get_error(handle, status) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wouldBlock
        case SSL_ERROR_SSL:
            isBroken = true
            return .failed(TLSFailure(code: ERR_peek_error()))
        default:
            isBroken = true
            return .failed(.closed)
        }
    }

    /// The session came out of a ticket.
    package var isResumed: Bool { unsafe SSL_session_reused(handle) == 1 }

    /// What the client and the context agreed on; HTTP/1.1 when the client did not say.
    package var application: TLSApplication {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(handle, &name, &count)
        return count == 2 ? .http2 : .http1
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        guard !isBroken else { return .closed }
        ERR_clear_error()
        var count = 0
        let status = unsafe SSL_read_ex(handle, buffer.baseAddress, buffer.count, &count)
        if status == 1 { return .bytes(count) }
        return result(status)
    }

    /// Writes as much as the socket takes. After a short write the next one must begin with the bytes that were left.
    package func write(_ buffer: UnsafeRawBufferPointer) -> Transfer {
        guard !isBroken else { return .closed }
        var written = 0
        while written < buffer.count {
            ERR_clear_error()
            var count = 0
            // One record at a time (partial writes are on).
            let status = unsafe SSL_write_ex(
                handle, buffer.baseAddress?.advanced(by: written), buffer.count - written, &count)
            if status == 1 {
                written += count
                continue
            }
            let result = result(status)
            return result == .wouldBlock && written > 0 ? .bytes(written) : result
        }
        return .bytes(written)
    }

    private func result(_ status: Int32) -> Transfer {
        switch unsafe SSL_get_error(handle, status) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wouldBlock
        case SSL_ERROR_ZERO_RETURN: return .closed
        default:
            isBroken = true
            return .closed
        }
    }

    /// Tells the client that nothing more will be written (`close_notify`), as far as the socket takes it at once.
    package func finish() {
        guard isEstablished, !isBroken else { return }
        ERR_clear_error()
        // Whether it arrives changes nothing: the socket is closed next.
        _ = unsafe SSL_shutdown(handle)
        ERR_clear_error()
    }
}

extension TLSFailure {
    /// The reason in an OpenSSL error code.
    fileprivate init(code: UInt) {
        let reason = ERR_GET_REASON(code)
        switch reason {
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST, SSL_R_WRONG_VERSION_NUMBER,
            SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_RECORD_LENGTH_MISMATCH, SSL_R_BAD_RECORD_TYPE,
            SSL_R_UNEXPECTED_MESSAGE, SSL_R_LENGTH_MISMATCH, SSL_R_BAD_PACKET,
            SSL_R_UNSUPPORTED_SSL_VERSION, SSL_R_UNKNOWN_PROTOCOL:
            self = .notTLS
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW: self = .version
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SHARED_GROUPS,
            SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS,
            SSL_R_NO_CIPHERS_SPECIFIED:
            self = .cipher
        case SSL_R_NO_APPLICATION_PROTOCOL: self = .application
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, SSL_R_CERTIFICATE_VERIFY_FAILED,
            SSL_R_EXCESSIVE_MESSAGE_SIZE:
            self = .clientCertificate
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: self = .closed
        case SSL_AD_REASON_OFFSET...: self = .alert
        default: self = .other
        }
    }
}

/// A BIO on a socket that never raises SIGPIPE, which OpenSSL's own does when the client has gone.
enum SocketBIO {
    // SAFETY: made once, never changed or freed.
    nonisolated(unsafe) private static let method: OpaquePointer = {
        guard let method = unsafe BIO_meth_new(BIO_get_new_index() | 0x0400, "socket") else {
            preconditionFailure("out of memory")
        }
        unsafe BIO_meth_set_read(method) { bio, bytes, count in
            unsafe cssl_clear_retry(bio!)
            while true {
                let moved = unsafe recv(SocketBIO.descriptor(bio), bytes, Int(count), 0)
                if moved >= 0 { return Int32(moved) }
                if errno == EINTR { continue }
                if errno == EAGAIN { unsafe cssl_retry_read(bio!) }
                return -1
            }
        }
        unsafe BIO_meth_set_write(method) { bio, bytes, count in
            unsafe cssl_clear_retry(bio!)
            while true {
                let moved = unsafe send(
                    SocketBIO.descriptor(bio), bytes, Int(count), Int32(MSG_NOSIGNAL))
                if moved >= 0 { return Int32(moved) }
                if errno == EINTR { continue }
                if errno == EAGAIN { unsafe cssl_retry_write(bio!) }
                return -1
            }
        }
        unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in
            // Nothing is buffered here, so flushing is done; nothing else is supported.
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
        return unsafe method
    }()

    static func make(_ descriptor: Int32) -> OpaquePointer? {
        guard let bio = unsafe BIO_new(method) else { return nil }
        // One more than the descriptor, since zero would be no pointer.
        unsafe BIO_set_data(bio, UnsafeMutableRawPointer(bitPattern: Int(descriptor) + 1))
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    static func descriptor(_ bio: OpaquePointer?) -> Int32 {
        Int32(unsafe Int(bitPattern: BIO_get_data(bio)) - 1)
    }
}
