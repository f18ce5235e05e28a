import Bytes
import Crypto
import LinuxIO

/// Keys that archives are sealed to: X25519, as PEM from any OpenSSL (RFC 8410) or as 64 hexadecimal digits.
enum ExportKeys {
    /// What stands before the 32 bytes of a key in DER.
    private static let publicPrefix: [UInt8] = [
        0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x6E, 0x03, 0x21, 0x00,
    ]
    private static let privatePrefix: [UInt8] = [
        0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x6E, 0x04, 0x22, 0x04,
        0x20,
    ]
    /// A file that is longer is no key.
    private static let fileBytesMax = 4096

    static func publicKey(_ path: String) throws -> X25519PublicKey {
        let bytes = try key(
            path, label: "PUBLIC KEY", prefix: publicPrefix,
            hint: "`openssl pkey -in KEY -pubout` writes one")
        return try X25519PublicKey(bytes)
    }

    static func privateKey(_ path: String) throws -> X25519PrivateKey {
        var bytes = try key(
            path, label: "PRIVATE KEY", prefix: privatePrefix,
            hint: "`openssl genpkey -algorithm X25519 -out KEY` makes one")
        defer { Secret.wipe(&bytes) }
        return try X25519PrivateKey(bytes)
    }

    private static func key(
        _ path: String, label: String, prefix: [UInt8], hint: String
    ) throws -> [UInt8] {
        let file = try File.read(path)
        let wrong = CommandFailure(
            text:
                "`\(path)` is not an X25519 \(label.lowercased()) in PEM or 64 hexadecimal digits: \(hint)",
            exitCode: .wrongUsage)
        guard file.count <= fileBytesMax else { throw wrong }
        let lines = String(decoding: file, as: UTF8.self).split(whereSeparator: \.isNewline)
        if lines.count == 1, lines[0].utf8.count == 64, let bytes = Bytes.bytes(hex: lines[0]) {
            return bytes
        }
        guard let start = lines.firstIndex(of: "-----BEGIN \(label)-----"),
            let end = lines.firstIndex(of: "-----END \(label)-----"), start < end,
            let der = Base64.decode(lines[(start + 1)..<end].joined()),
            der.count == prefix.count + 32, der.starts(with: prefix)
        else { throw wrong }
        return Array(der[prefix.count...])
    }
}
