internal import CSSL
internal import Crypto
internal import Glibc
internal import LinuxIO

/// A server's certificate with its chain and private key, read and held against each other.
package final class TLSIdentity: Sendable {
    let certificate: Certificate
    /// Intermediates, in the order of the file.
    let chain: [Certificate]
    let key: PrivateKey
    let certificatePath: String

    /// Reads PEM files: the server's certificate followed by its intermediates, and its unencrypted key.
    package init(certificatePath: String, keyPath: String) throws(TLSError) {
        let certificates = try PEM.certificates(certificatePath)
        certificate = certificates[0]
        chain = Array(certificates.dropFirst())
        key = try PEM.privateKey(keyPath)
        self.certificatePath = certificatePath
        guard unsafe X509_check_private_key(certificate.handle, key.handle) == 1 else {
            ERR_clear_error()
            throw .mismatch(certificate: certificatePath, key: keyPath)
        }
    }

    /// When the certificate ends to be valid, in seconds since 1970.
    package var notAfter: Int64 { certificate.notAfter }

    /// The last day of validity, `YYYY-MM-DD` in UTC.
    package var lastDay: String { Self.day(notAfter) }

    /// Throws when the certificate is not valid at `seconds` since 1970.
    package func requireValid(at seconds: Int64) throws(TLSError) {
        if seconds < certificate.notBefore {
            throw .notYetValid(path: certificatePath, day: Self.day(certificate.notBefore))
        }
        if seconds > notAfter { throw .expired(path: certificatePath, day: lastDay) }
    }

    private static func day(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var parts = unsafe tm()
        unsafe gmtime_r(&time, &parts)
        let numbers = unsafe [Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday)]
        return numbers.map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: "-")
    }
}

/// The authorities whose certificates clients must show.
package final class TLSAuthorities: Sendable {
    let certificates: [Certificate]
    /// Digest of the file: sessions made under other authorities are not resumed.
    let digest: [UInt8]

    /// Reads a PEM file of one or several certificates.
    package init(path: String) throws(TLSError) {
        certificates = try PEM.certificates(path)
        digest = SHA256.hash(try PEM.read(path))
    }
}

/// An `X509`.
@safe final class Certificate: @unchecked Sendable {
    // SAFETY: never changed after the initializer; OpenSSL counts references itself.
    let handle: OpaquePointer
    /// Seconds since 1970.
    let notBefore: Int64
    let notAfter: Int64

    fileprivate init(owning handle: OpaquePointer) {
        unsafe self.handle = handle
        notBefore = unsafe Self.seconds(X509_get0_notBefore(handle))
        notAfter = unsafe Self.seconds(X509_get0_notAfter(handle))
    }

    deinit { unsafe X509_free(handle) }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64 {
        var parts = unsafe tm()
        guard unsafe ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
        return Int64(unsafe timegm(&parts))
    }
}

/// An `EVP_PKEY`; OpenSSL wipes it when it goes.
@safe final class PrivateKey: @unchecked Sendable {
    // SAFETY: as for ``Certificate``.
    let handle: OpaquePointer

    fileprivate init(owning handle: OpaquePointer) { unsafe self.handle = handle }

    deinit { unsafe EVP_PKEY_free(handle) }
}

/// Reading of PEM files.
private enum PEM {
    static func read(_ path: String) throws(TLSError) -> [UInt8] {
        let bytes: [UInt8]
        do throws(LinuxError) { bytes = try File.read(path) } catch { throw .file(error) }
        guard bytes.count <= TLSLimits.fileBytesMax else { throw .tooLarge(path: path) }
        return bytes
    }

    /// At least one.
    static func certificates(_ path: String) throws(TLSError) -> [Certificate] {
        let bytes = try read(path)
        var found: [Certificate] = []
        ERR_clear_error()
        unsafe bytes.withUnsafeBytes { raw in
            let bio = unsafe BIO_new_mem_buf(raw.baseAddress, Int32(raw.count))
            defer { unsafe BIO_free(bio) }
            while let next = unsafe PEM_read_bio_X509(bio, nil, noPassphrase, nil) {
                unsafe found.append(Certificate(owning: next))
            }
        }
        // The end of the file is reported as an error too, and as no other.
        let reason = ERR_GET_REASON(ERR_peek_last_error())
        ERR_clear_error()
        if !found.isEmpty, reason != PEM_R_NO_START_LINE { throw .damaged(path: path) }
        if found.isEmpty { throw .noCertificate(path: path) }
        return found
    }

    static func privateKey(_ path: String) throws(TLSError) -> PrivateKey {
        var bytes = try read(path)
        defer { Secret.wipe(&bytes) }
        let key = unsafe bytes.withUnsafeBytes { raw -> PrivateKey? in
            let bio = unsafe BIO_new_mem_buf(raw.baseAddress, Int32(raw.count))
            defer { unsafe BIO_free(bio) }
            let key = unsafe PEM_read_bio_PrivateKey(bio, nil, noPassphrase, nil)
            return unsafe key.map { unsafe PrivateKey(owning: $0) }
        }
        ERR_clear_error()
        if let key { return key }
        let isEncrypted = bytes.firstRange(of: Array("ENCRYPTED".utf8)) != nil
        throw isEncrypted ? .encryptedKey(path: path) : .noKey(path: path)
    }

    /// Without it OpenSSL would ask on the terminal.
    private static let noPassphrase:
        @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) ->
            Int32 = { _, _, _, _ in -1 }
}
