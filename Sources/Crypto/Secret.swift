internal import COpenSSL

/// Random bytes and the wiping of secret ones.
package enum Secret {
    /// Fills `bytes` with zeros in a way that the compiler does not leave out.
    package static func wipe(_ bytes: inout [UInt8]) {
        unsafe bytes.withUnsafeMutableBytes { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
    }
}

/// Random bytes for keys and identifiers (`RAND_bytes`); safe to call from any thread.
package enum SecureRandom {
    package static func bytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        fill(&bytes)
        return bytes
    }

    package static func fill(_ bytes: inout [UInt8]) {
        unsafe bytes.withUnsafeMutableBytes { unsafe fill($0) }
    }

    package static func uint64() -> UInt64 {
        var number: UInt64 = 0
        unsafe withUnsafeMutableBytes(of: &number) { unsafe fill($0) }
        return number
    }

    package static func fill(_ bytes: UnsafeMutableRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        let status = unsafe RAND_bytes(
            start.assumingMemoryBound(to: UInt8.self), Int32(bytes.count))
        // Going on with predictable keys would break every promise, and no caller could help.
        precondition(status == 1, "the system has no random bytes")
    }
}
