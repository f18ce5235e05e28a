/// Keys derived by HMAC-SHA256 (RFC 5869).
package enum HKDF {
    /// Most bytes that one expansion gives.
    package static let outputBytesMax = 255 * Digest.byteCount

    /// Concentrates what is secret in `material` into 32 bytes. The caller wipes them.
    package static func extract(salt: [UInt8], _ material: [UInt8]) -> [UInt8] {
        HMACKey(salt).authenticate(material).bytes
    }

    /// `count` bytes from a key that ``extract(salt:_:)`` gave, for the purpose that `info` names. The caller wipes them.
    package static func expand(_ key: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
        precondition((0...outputBytesMax).contains(count), "an expansion gives up to 8,160 bytes")
        let key = HMACKey(key)
        var (output, block): ([UInt8], [UInt8]) = ([], [])
        var number: UInt8 = 0
        while output.count < count {
            number += 1
            block = key.authenticate(block + info + [number]).bytes
            output += block
        }
        return Array(output.prefix(count))
    }
}
