internal import COpenSSL

/// A key of HMAC-SHA256 (RFC 2104) with both pads hashed in advance, so a short message costs three
/// SHA-256 blocks and no allocation. Wiped when it goes.
@safe package final class HMACKey: @unchecked Sendable {
    // SAFETY: written by the initializer and by `deinit` only, so threads may read it together.
    private let pads: UnsafeMutablePointer<Pads>

    fileprivate struct Pads {
        var inner = SHA256_CTX()
        var outer = SHA256_CTX()
    }

    private static let blockBytes = 64

    package convenience init(_ key: [UInt8]) { self.init(key.span) }

    /// Takes a key of any length; the caller wipes its own copy (``Secret/wipe(_:)``).
    package init(_ key: Span<UInt8>) {
        unsafe pads = .allocate(capacity: 1)
        unsafe pads.initialize(to: Pads())
        var block = InlineArray<64, UInt8>(repeating: 0)
        if key.count > Self.blockBytes {
            let digest = SHA256.digest(key).bytes
            for index in digest.indices { block[index] = digest[index] }
        } else {
            for index in key.indices { block[index] = key[index] }
        }
        for index in block.indices { block[index] ^= 0x36 }
        unsafe cossl_sha256_init(&pads.pointee.inner)
        unsafe Self.absorb(block.span, into: &pads.pointee.inner)
        for index in block.indices { block[index] ^= 0x36 ^ 0x5C }
        unsafe cossl_sha256_init(&pads.pointee.outer)
        unsafe Self.absorb(block.span, into: &pads.pointee.outer)
        unsafe withUnsafeMutableBytes(of: &block) {
            unsafe OPENSSL_cleanse($0.baseAddress, $0.count)
        }
    }

    deinit {
        unsafe OPENSSL_cleanse(pads, MemoryLayout<Pads>.size)
        unsafe pads.deallocate()
    }

    private static func absorb(_ bytes: Span<UInt8>, into context: inout SHA256_CTX) {
        unsafe bytes.withUnsafeBytes {
            unsafe cossl_sha256_update(&context, $0.baseAddress, $0.count)
        }
    }

    /// The code of one message.
    package func authenticate(_ message: Span<UInt8>) -> Digest {
        var code = begin()
        code.update(message)
        return code.finalize()
    }

    package func authenticate(_ message: [UInt8]) -> Digest { authenticate(message.span) }

    /// Starts the code of a message that comes in pieces.
    package func begin() -> HMAC {
        unsafe HMAC(inner: pads.pointee.inner, outer: pads.pointee.outer)
    }
}

/// HMAC-SHA256 over bytes that come in pieces; made by ``HMACKey/begin()``. Allocates nothing.
package struct HMAC: Sendable {
    private var inner: SHA256_CTX
    private var outer: SHA256_CTX

    fileprivate init(inner: SHA256_CTX, outer: SHA256_CTX) {
        self.inner = inner
        self.outer = outer
    }

    package mutating func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes {
            unsafe cossl_sha256_update(&inner, $0.baseAddress, $0.count)
        }
    }

    package mutating func update(_ bytes: [UInt8]) { update(bytes.span) }

    package mutating func update(_ byte: UInt8) {
        unsafe withUnsafeBytes(of: byte) { unsafe cossl_sha256_update(&inner, $0.baseAddress, 1) }
    }

    /// Absorbs `number`, most significant byte first.
    package mutating func update(bigEndian number: UInt32) {
        unsafe withUnsafeBytes(of: number.bigEndian) {
            unsafe cossl_sha256_update(&inner, $0.baseAddress, $0.count)
        }
    }

    /// Absorbs the last `count` bytes of `number`, most significant byte first.
    package mutating func update(bigEndian number: UInt128, lastBytes count: Int) {
        unsafe withUnsafeBytes(of: number.bigEndian) {
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: $0.suffix(count))
            unsafe cossl_sha256_update(&inner, bytes.baseAddress, bytes.count)
        }
    }

    /// The code of everything that came; the value is used up.
    package consuming func finalize() -> Digest {
        var digest = Digest()
        unsafe withUnsafeMutableBytes(of: &digest) {
            unsafe cossl_sha256_final(&inner, $0.baseAddress!)
            unsafe cossl_sha256_update(&outer, $0.baseAddress, $0.count)
            unsafe cossl_sha256_final(&outer, $0.baseAddress!)
        }
        return digest
    }
}
