/// TLS 1.2 and 1.3 (RFC 5246, RFC 8446) on non-blocking sockets, by OpenSSL's libssl: the server's side, and a plain client's
/// (``TLSClient``) for the few documents that a service fetches.
///
/// The only importer of `CSSL`. It reads certificates and keys with errors that name the file, and moves bytes of a
/// connection whose socket someone else owns; it knows no loop, no log and no product. What it never does: early data
/// (a replay would be a second hit), renegotiation, compression, a cache of sessions. Start at ``TLSContext``.
package enum TLS {}

/// Oldest protocol version that is spoken.
package enum TLSVersion: String, CaseIterable, Sendable {
    case tls12 = "1.2"
    case tls13 = "1.3"
}

/// What is spoken inside, by its name in ALPN (RFC 7301).
package enum TLSApplication: String, Sendable {
    case http1 = "http/1.1"
    /// The PostgreSQL protocol.
    case postgres = "postgresql"
    case http2 = "h2"
}

/// Bounds of this target.
package enum TLSLimits {
    /// The certificates that a client may show, in bytes.
    package static let clientCertificateBytesMax = 32_768
    /// How long one ticket key encrypts, in seconds. It decrypts as long again, and then nothing can open its tickets.
    package static let ticketKeySeconds: UInt64 = 4 * 3600
    /// A certificate or key file in bytes.
    package static let fileBytesMax = 1 << 20
}
