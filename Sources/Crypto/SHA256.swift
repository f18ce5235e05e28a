internal import COpenSSL

/// SHA-256 (FIPS 180-4) over bytes that come in pieces. Allocates nothing.
package struct SHA256: Sendable {
    private var context = SHA256_CTX()

    package init() { unsafe cossl_sha256_init(&context) }

    package mutating func update(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes {
            unsafe cossl_sha256_update(&context, $0.baseAddress, $0.count)
        }
    }

    package mutating func update(_ bytes: Span<UInt8>) { update(unsafe bytes.bytes) }
    package mutating func update(_ bytes: [UInt8]) { update(unsafe bytes.span.bytes) }

    package mutating func update(_ byte: UInt8) {
        unsafe withUnsafeBytes(of: byte) { unsafe cossl_sha256_update(&context, $0.baseAddress, 1) }
    }

    package mutating func update(_ digest: Digest) {
        unsafe withUnsafeBytes(of: digest) {
            unsafe cossl_sha256_update(&context, $0.baseAddress, $0.count)
        }
    }

    /// The digest of everything that came; the value is used up.
    package consuming func finalize() -> Digest {
        var digest = Digest()
        unsafe withUnsafeMutableBytes(of: &digest) {
            unsafe cossl_sha256_final(&context, $0.baseAddress!)
        }
        return digest
    }
}

extension SHA256 {
    package static func digest(_ bytes: [UInt8]) -> Digest {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finalize()
    }

    package static func digest(_ bytes: Span<UInt8>) -> Digest {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finalize()
    }

    /// The 32 bytes of the digest.
    package static func hash(_ bytes: [UInt8]) -> [UInt8] { digest(bytes).bytes }
}
