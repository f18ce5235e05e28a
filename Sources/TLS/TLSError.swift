package import LinuxIO

/// Why certificates and keys cannot be used.
package enum TLSError: Error, Equatable, Sendable, CustomStringConvertible {
    case file(LinuxError)
    case tooLarge(path: String)
    case noCertificate(path: String)
    /// Certificates, and after them a block that cannot be read.
    case damaged(path: String)
    case noKey(path: String)
    case encryptedKey(path: String)
    case mismatch(certificate: String, key: String)
    /// OpenSSL's security level 2: RSA below 2,048 bits, a curve below 224, or a signature with SHA-1.
    case weak(path: String)
    case expired(path: String, day: String)
    case notYetValid(path: String, day: String)

    /// The file that is at fault.
    package var path: String? {
        switch self {
        case .file(let error): error.path
        case .tooLarge(let path), .noCertificate(let path), .damaged(let path), .noKey(let path),
            .encryptedKey(let path), .weak(let path), .expired(let path, _),
            .notYetValid(let path, _):
            path
        case .mismatch(_, let key): key
        }
    }

    package var description: String {
        switch self {
        case .file(let error): error.description
        case .tooLarge(let path):
            "`\(path)` is larger than \(TLSLimits.fileBytesMax) bytes, so it is no certificate or key"
        case .noCertificate(let path):
            "`\(path)` holds no certificate: expected PEM, `-----BEGIN CERTIFICATE-----`"
        case .damaged(let path):
            "`\(path)` holds a certificate that cannot be read after others that can: put the whole chain there anew"
        case .noKey(let path):
            "`\(path)` holds no private key: expected PEM, `-----BEGIN PRIVATE KEY-----`"
        case .encryptedKey(let path):
            "`\(path)` is encrypted, and nobody is there to type its passphrase: "
                + "store it without one (`openssl pkey`), with permissions 0600"
        case .mismatch(let certificate, let key):
            "`\(key)` is not the key of the first certificate in `\(certificate)`: "
                + "name the pair that was issued together, and put the server's own certificate first"
        case .weak(let path):
            "`\(path)` is too weak: expected an EC key, or RSA of at least 2048 bits, signed with SHA-256 or better"
        case .expired(let path, let day):
            "`\(path)` expired on \(day): put a renewed certificate in its place"
        case .notYetValid(let path, let day):
            "`\(path)` is valid only from \(day) on: check the clock, or wait"
        }
    }
}

/// How a handshake ended without a connection.
package enum TLSFailure: Int, CaseIterable, Sendable {
    /// The client went away.
    case closed
    /// The bytes are no TLS, such as plain HTTP.
    case notTLS
    /// The client speaks older versions only.
    case version
    /// No cipher, group or signature in common.
    case cipher
    /// The client wants other protocols inside than those offered.
    case application
    /// The client showed no certificate, or one that the authorities did not issue.
    case clientCertificate
    /// The client refused, most often because it does not trust the certificate.
    case alert
    case other
}
