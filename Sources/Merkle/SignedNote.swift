internal import Bytes
package import Crypto

/// Text signed by one or more keys (C2SP signed-note).
package struct SignedNote: Equatable, Sendable {
    /// What is signed; ends in a line feed.
    package let text: String
    package let signatures: [Signature]

    package struct Signature: Equatable, Sendable {
        package let name: String
        package let keyID: UInt32
        package let bytes: [UInt8]

        package init(name: String, keyID: UInt32, bytes: [UInt8]) {
            self.name = name
            self.keyID = keyID
            self.bytes = bytes
        }
    }

    /// Most signatures of a note that is read.
    package static let signatureCountMax = 16
    /// Longest note that is read unless the caller has another bound, in bytes.
    package static let byteCountMax = 64 << 10

    private static let lineStart = "\u{2014} "

    /// Signs `text`, which ends in a line feed.
    package init(signing text: String, with signer: NoteSigner) {
        self.init(signing: text, with: [signer])
    }

    /// Signs `text`, which ends in a line feed, with each of 1 to ``signatureCountMax`` keys.
    package init(signing text: String, with signers: [NoteSigner]) {
        precondition(text.hasSuffix("\n"), "the text of a note ends in a line feed")
        precondition(
            (1...Self.signatureCountMax).contains(signers.count), "a note has 1 to 16 signatures")
        self.text = text
        signatures = signers.map { signer in
            Signature(
                name: signer.verifier.name, keyID: signer.verifier.keyID,
                bytes: signer.key.sign(Array(text.utf8)))
        }
    }

    /// The same text with another signature behind those that it has.
    package func adding(_ signature: Signature) -> SignedNote {
        SignedNote(text: text, signatures: signatures + [signature])
    }

    /// The same text with those signatures that are wanted.
    package func keeping(_ isWanted: (Signature) -> Bool) -> SignedNote {
        SignedNote(text: text, signatures: signatures.filter(isWanted))
    }

    private init(text: String, signatures: [Signature]) {
        self.text = text
        self.signatures = signatures
    }

    /// Reads a note without checking its signatures; nil when it is not one, or longer than `byteCountMax`.
    package init?(parsing bytes: [UInt8], byteCountMax: Int = SignedNote.byteCountMax) {
        guard bytes.count <= byteCountMax,
            bytes.allSatisfy({ $0 >= 0x20 || $0 == 0x0A }),
            let note = String(validating: bytes, as: UTF8.self), bytes.last == 0x0A
        else { return nil }
        // The last empty line parts text and signatures.
        let units = Array(note.utf8)
        var split = units.count - 2
        while split >= 0, !(units[split] == 0x0A && units[split + 1] == 0x0A) { split -= 1 }
        guard split >= 0 else { return nil }
        text = String(decoding: units[...split], as: UTF8.self)
        let lines = String(decoding: units[(split + 2)...], as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        guard !lines.isEmpty, lines.count <= Self.signatureCountMax else { return nil }
        var signatures: [Signature] = []
        for line in lines {
            guard let signature = Self.signature(line) else { return nil }
            signatures.append(signature)
        }
        self.signatures = signatures
    }

    private static func signature(_ line: Substring) -> Signature? {
        guard line.hasPrefix(lineStart) else { return nil }
        let parts = line.dropFirst(lineStart.count).split(
            separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2, NoteVerifier.isName(parts[0]),
            let bytes = Base64.decode(parts[1]), bytes.count > 4
        else { return nil }
        return Signature(
            name: String(parts[0]), keyID: bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) },
            bytes: Array(bytes.dropFirst(4)))
    }

    /// The note as it is stored.
    package var encoded: [UInt8] {
        var note = text + "\n"
        for signature in signatures {
            var bytes: [UInt8] = []
            bytes.append(bigEndian: signature.keyID)
            note += "\(Self.lineStart)\(signature.name) \(Base64.encode(bytes + signature.bytes))\n"
        }
        return Array(note.utf8)
    }

    /// Whether the holder of `verifier`'s key signed the text. A wrong signature under that name and key id
    /// spoils the note even beside a right one.
    package func isSigned(by verifier: NoteVerifier) -> Bool {
        let own = signatures.filter { $0.name == verifier.name && $0.keyID == verifier.keyID }
        return !own.isEmpty
            && own.allSatisfy {
                verifier.key.isValid(signature: $0.bytes, for: Array(text.utf8))
            }
    }
}

/// A named Ed25519 key that signs notes.
package struct NoteSigner: Sendable {
    package let key: Ed25519PrivateKey
    package let verifier: NoteVerifier

    package init(name: String, key: Ed25519PrivateKey) {
        self.key = key
        verifier = NoteVerifier(name: name, key: key.publicKey)
    }
}

/// A named Ed25519 public key; its ``text`` is what is handed to an auditor.
package struct NoteVerifier: Hashable, Sendable {
    package let name: String
    package let key: Ed25519PublicKey
    /// The first four bytes of SHA-256 over name, line feed, type and key.
    package let keyID: UInt32

    /// Ed25519 in the list of signature types.
    private static let type: UInt8 = 1

    package init(name: String, key: Ed25519PublicKey) {
        precondition(Self.isName(name), "a key name has no spaces and no plus sign")
        self.name = name
        self.key = key
        keyID = Self.keyID(name, Self.type, key)
    }

    /// Reads a verifier key: `name+keyid+base64(type ‖ key)`; nil when it is malformed, of another type, or
    /// its key id does not fit.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, Self.isName(parts[0]), parts[1].utf8.count == 8,
            let bytes = Base64.decode(parts[2]), bytes.first == Self.type,
            let key = try? Ed25519PublicKey(Array(bytes.dropFirst()))
        else { return nil }
        self.init(name: String(parts[0]), key: key)
        guard self.text == text else { return nil }
    }

    /// The verifier key, as other tools read it.
    package var text: String { Self.text(name, keyID, Self.type, key) }

    // What verifier keys of every type have in common.

    static func keyID(_ name: String, _ type: UInt8, _ key: Ed25519PublicKey) -> UInt32 {
        let digest = SHA256.hash(Array(name.utf8) + [0x0A, type] + key.bytes)
        return digest.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    static func text(
        _ name: String, _ keyID: UInt32, _ type: UInt8, _ key: Ed25519PublicKey
    ) -> String {
        var identifier: [UInt8] = []
        identifier.append(bigEndian: keyID)
        return "\(name)+\(Bytes.hex(identifier))+\(Base64.encode([type] + key.bytes))"
    }

    static func isName(_ text: some StringProtocol) -> Bool {
        !text.isEmpty
            && text.unicodeScalars.allSatisfy {
                !$0.properties.isWhitespace && $0 != "+" && $0.value >= 0x20
            }
    }
}
