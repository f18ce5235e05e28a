internal import Bytes
package import Crypto

/// A witness's named Ed25519 public key (C2SP tlog-cosignature): what it signs says when it saw a checkpoint that continues
/// all it saw before.
package struct CosignatureVerifier: Hashable, Sendable {
    package let name: String
    package let key: Ed25519PublicKey
    /// The first four bytes of SHA-256 over name, line feed, type and key.
    package let keyID: UInt32

    /// Timestamped Ed25519 checkpoint cosignatures in the list of signature types. Another type than a log's own, so that
    /// neither can be taken for the other.
    private static let type: UInt8 = 4
    /// Bytes of a cosignature: seconds since 1970, most significant byte first, then the signature.
    static let byteCount = 8 + Ed25519PublicKey.signatureBytes

    package init(name: String, key: Ed25519PublicKey) {
        precondition(NoteVerifier.isName(name), "a key name has no spaces and no plus sign")
        self.name = name
        self.key = key
        keyID = NoteVerifier.keyID(name, Self.type, key)
    }

    /// The verifier key, as other tools read it: `name+keyid+base64(type ‖ key)`.
    package var text: String { NoteVerifier.text(name, keyID, Self.type, key) }

    /// When the witness last cosigned the text of `note`, in seconds since 1970; nil when it did not, or when a cosignature
    /// under its name and key id is wrong.
    package func seconds(of note: SignedNote) -> Int? {
        var latest: Int?
        for signature in note.signatures where signature.name == name && signature.keyID == keyID {
            guard signature.bytes.count == Self.byteCount else { return nil }
            let stated = signature.bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            guard let seconds = Int(exactly: stated),
                key.isValid(
                    signature: Array(signature.bytes.dropFirst(8)),
                    for: Self.message(note.text, seconds))
            else { return nil }
            latest = max(latest ?? 0, seconds)
        }
        return latest
    }

    static func message(_ text: String, _ seconds: Int) -> [UInt8] {
        Array("cosignature/v1\ntime \(seconds)\n\(text)".utf8)
    }
}

/// A witness's named private key.
package struct Cosigner: Sendable {
    private let key: Ed25519PrivateKey
    package let verifier: CosignatureVerifier

    package init(name: String, key: Ed25519PrivateKey) {
        self.key = key
        verifier = CosignatureVerifier(name: name, key: key.publicKey)
    }

    /// A cosignature of a checkpoint's text. Whether it continues what was cosigned before is the caller's to know.
    package func cosign(_ text: String, atSeconds seconds: Int) -> SignedNote.Signature {
        precondition(seconds >= 0, "nobody witnesses before 1970")
        var bytes: [UInt8] = []
        bytes.append(bigEndian: UInt64(seconds))
        bytes += key.sign(CosignatureVerifier.message(text, seconds))
        return SignedNote.Signature(
            name: verifier.name, keyID: verifier.keyID, bytes: bytes)
    }
}
