internal import CSSL
internal import Crypto

/// What all connections of one listener share (`SSL_CTX`): identity, protocol bounds, ticket keys. Immutable.
///
/// Ciphers of TLS 1.2 are those with ECDHE and AEAD alone, groups are X25519 and P-256, the server's order decides, except
/// that a client without AES in hardware (one that lists ChaCha20 first) gets ChaCha20. Tickets resume sessions for
/// ``TLSLimits/ticketKeySeconds``; there is no cache. Who must show a certificate gets no ticket: a resumed session would not
/// ask whether the certificate has ended since.
@safe package final class TLSContext: @unchecked Sendable {
    // SAFETY: configured by the initializer, only read afterwards; OpenSSL allows that from any thread.
    let handle: OpaquePointer
    private let tickets: TicketKeys

    private static let suites12 = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    ].joined(separator: ":")
    private static let suites13 =
        "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
    private static let groups = "X25519:P-256"
    /// OpenSSL's scale: 112 bits of security, so RSA from 2,048 bits and no SHA-1.
    private static let securityLevel: Int32 = 2

    /// - Parameters:
    ///   - authorities: when given, a client must show a certificate that one of them issued.
    ///   - applications: what may be spoken inside, the preferred first. A client without ALPN gets HTTP/1.1, or what else
    ///     is spoken here.
    ///   - scope: sessions are resumed within one scope alone, such as a region.
    package init(
        _ identity: TLSIdentity, authorities: TLSAuthorities? = nil, minimum: TLSVersion = .tls12,
        applications: [TLSApplication] = [.http1], scope: String, tickets: TicketKeys
    ) throws(TLSError) {
        guard let handle = unsafe SSL_CTX_new(TLS_server_method()) else {
            preconditionFailure("out of memory")
        }
        unsafe self.handle = handle
        self.tickets = tickets
        unsafe SSL_CTX_set_security_level(handle, Self.securityLevel)
        unsafe cssl_set_server_options(handle)
        unsafe cssl_set_mode(
            handle,
            Int(
                SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                    | SSL_MODE_RELEASE_BUFFERS))
        unsafe cssl_read_ahead(handle)
        unsafe cssl_set_certificate_bytes_max(handle, TLSLimits.clientCertificateBytesMax)
        let version = minimum == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION
        let isSet =
            unsafe cssl_set_min_version(handle, version) == 1
            && SSL_CTX_set_cipher_list(handle, Self.suites12) == 1
            && SSL_CTX_set_ciphersuites(handle, Self.suites13) == 1
            && cssl_set_groups(handle, Self.groups) == 1
        precondition(isSet, "OpenSSL 3 knows these names")
        setUpTickets(scope, authorities)
        setUpApplications(applications)
        try use(identity)
        if let authorities {
            require(authorities)
            unsafe cssl_disable_tickets(handle)
        }
    }

    deinit { unsafe SSL_CTX_free(handle) }

    private func use(_ identity: TLSIdentity) throws(TLSError) {
        defer { ERR_clear_error() }
        var isAccepted =
            unsafe SSL_CTX_use_certificate(handle, identity.certificate.handle) == 1
            && SSL_CTX_use_PrivateKey(handle, identity.key.handle) == 1
        for certificate in identity.chain {
            isAccepted =
                unsafe isAccepted && cssl_add_chain_certificate(handle, certificate.handle) == 1
        }
        // The pair was held against each other when it was read, so what is left is OpenSSL's security level.
        guard isAccepted else { throw .weak(path: identity.certificatePath) }
    }

    private func require(_ authorities: TLSAuthorities) {
        let store = unsafe X509_STORE_new()
        for certificate in authorities.certificates {
            unsafe X509_STORE_add_cert(store, certificate.handle)
            unsafe SSL_CTX_add_client_CA(handle, certificate.handle)
        }
        unsafe SSL_CTX_set_cert_store(handle, store)
        unsafe SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    }

    private func setUpTickets(_ scope: String, _ authorities: TLSAuthorities?) {
        unsafe cssl_disable_session_cache(handle)
        _ = unsafe SSL_CTX_set_timeout(handle, Int(TLSLimits.ticketKeySeconds))
        // Early data stays off, which is OpenSSL's default: whoever repeats it would count a hit twice.
        unsafe SSL_CTX_set_max_early_data(handle, 0)
        unsafe SSL_CTX_set_recv_max_early_data(handle, 0)
        let session = SHA256.hash(Array(scope.utf8) + [0] + (authorities?.digest ?? []))
        unsafe SSL_CTX_set_session_id_context(handle, session, UInt32(session.count))
        unsafe SSL_CTX_set_ex_data(handle, 0, Unmanaged.passUnretained(tickets).toOpaque())
        unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(handle, ticketCallback)
    }

    private func setUpApplications(_ applications: [TLSApplication]) {
        unsafe SSL_CTX_set_alpn_select_cb(
            handle,
            applications.contains(.postgres)
                ? selectPostgres : applications.contains(.http2) ? selectHTTP2 : selectHTTP1, nil)
    }
}

private typealias Selector =
    @convention(c) (
        OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
        UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
    ) -> Int32

private let selectHTTP2: Selector = { _, chosen, count, offered, offeredCount, _ in
    unsafe select(chosen, count, offered, offeredCount, [.http2, .http1])
}

private let selectHTTP1: Selector = { _, chosen, count, offered, offeredCount, _ in
    unsafe select(chosen, count, offered, offeredCount, [.http1])
}

private let selectPostgres: Selector = { _, chosen, count, offered, offeredCount, _ in
    unsafe select(chosen, count, offered, offeredCount, [.postgres])
}

/// Points `chosen` at the first of `preferred` within the client's list (RFC 7301 section 3.1): names, each after its length.
private func select(
    _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, _ count: UnsafeMutablePointer<UInt8>?,
    _ offered: UnsafePointer<UInt8>?, _ offeredCount: UInt32, _ preferred: [TLSApplication]
) -> Int32 {
    let list = unsafe UnsafeBufferPointer(start: offered, count: Int(offeredCount))
    for application in preferred {
        let name = Array(application.rawValue.utf8)
        var start = 0
        while start < list.count {
            let end = unsafe start + 1 + Int(list[start])
            guard end <= list.count else { break }
            if unsafe list[(start + 1)..<end].elementsEqual(name) {
                // SAFETY: OpenSSL copies the name before the client's list goes.
                unsafe chosen?.pointee = offered?.advanced(by: start + 1)
                unsafe count?.pointee = UInt8(name.count)
                return SSL_TLSEXT_ERR_OK
            }
            start = end
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
}
