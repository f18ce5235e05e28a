import Bytes
import Crypto
import Merkle
import TestSupport
import Testing

@Suite struct `Cosignatures` {
    private let text = Checkpoint(
        origin: "eu-central/audit", size: 7, root: SHA256.digest([1])
    ).text
    private let cosigner: Cosigner
    private let log: NoteSigner

    init() throws {
        let seed = try #require(Bytes.bytes(hex: String(repeating: "07", count: 32)))
        cosigner = Cosigner(name: "us-east/witness", key: try Ed25519PrivateKey(seed: seed))
        log = NoteSigner(name: "eu-central/audit", key: Ed25519PrivateKey.generate().key)
    }

    @Test func `a cosignature is the time and a signature over time and text`() throws {
        let signature = cosigner.cosign(text, atSeconds: 1_700_000_000)
        #expect(signature.bytes.count == 72)
        #expect(signature.bytes.prefix(8) == [0, 0, 0, 0, 0x65, 0x53, 0xF1, 0x00])
        // Made again from the words of the specification.
        let message = Array("cosignature/v1\ntime 1700000000\n\(text)".utf8)
        let key = cosigner.verifier.key
        #expect(key.isValid(signature: Array(signature.bytes.dropFirst(8)), for: message))
        let digest = SHA256.hash(Array("us-east/witness\n\u{4}".utf8) + key.bytes)
        #expect(signature.keyID == digest.prefix(4).reduce(0) { $0 << 8 | UInt32($1) })
    }

    @Test func `a note carries cosignatures beside its log's signature`() throws {
        var note = SignedNote(signing: text, with: log)
        #expect(cosigner.verifier.seconds(of: note) == nil)
        note = note.adding(cosigner.cosign(text, atSeconds: 5))
        note = note.adding(cosigner.cosign(text, atSeconds: 9))
        let read = try #require(SignedNote(parsing: note.encoded))
        #expect(read == note)
        #expect(read.isSigned(by: log.verifier))
        #expect(cosigner.verifier.seconds(of: read) == 9)
        #expect(
            read.keeping { $0.name == log.verifier.name } == SignedNote(signing: text, with: log))
    }

    @Test func `a changed time, text, signature or key is refused`() throws {
        let right = cosigner.cosign(text, atSeconds: 5)
        let note = SignedNote(signing: text, with: log)
        for index in right.bytes.indices {
            var bytes = right.bytes
            bytes[index] ^= 1
            let wrong = SignedNote.Signature(name: right.name, keyID: right.keyID, bytes: bytes)
            #expect(cosigner.verifier.seconds(of: note.adding(wrong)) == nil)
            // It spoils the note even beside a right one.
            #expect(cosigner.verifier.seconds(of: note.adding(right).adding(wrong)) == nil)
        }
        let other = SignedNote(signing: text + "more\n", with: log)
        #expect(cosigner.verifier.seconds(of: other.adding(right)) == nil)
        let short = SignedNote.Signature(name: right.name, keyID: right.keyID, bytes: [1, 2])
        #expect(cosigner.verifier.seconds(of: note.adding(short)) == nil)
    }

    @Test func `a witness's verifier key is no log's, nor the other way round`() throws {
        let text = cosigner.verifier.text
        #expect(CosignatureVerifier(text) == cosigner.verifier)
        #expect(NoteVerifier(text) == nil)
        #expect(CosignatureVerifier(log.verifier.text) == nil)
        #expect(CosignatureVerifier(text.replacing("us-east", with: "us-west")) == nil)
        let sameKey = NoteVerifier(name: cosigner.verifier.name, key: cosigner.verifier.key)
        #expect(sameKey.keyID != cosigner.verifier.keyID)
    }
}

@Suite struct `Requests to a witness` {
    private func note() -> SignedNote {
        let checkpoint = Checkpoint(origin: "a/audit", size: 3, root: SHA256.digest([1]))
        let key = Ed25519PrivateKey.generate().key
        return SignedNote(signing: checkpoint.text, with: NoteSigner(name: "a/audit", key: key))
    }

    @Test func `a request is read as it was written`() throws {
        for count in [0, 1, 63] {
            let request = WitnessRequest(
                oldSize: count, proof: (0..<count).map { SHA256.digest([UInt8($0)]) }, note: note())
            let body = request.encoded
            #expect(WitnessRequest(parsing: body) == request)
            #expect(String(decoding: body, as: UTF8.self).hasPrefix("old \(count)\n"))
        }
    }

    @Test func `what is malformed is no request`() throws {
        let note = String(decoding: note().encoded, as: UTF8.self)
        let hash = Base64.encode(SHA256.digest([1]).bytes)
        let long = (0..<64).map { _ in hash }.joined(separator: "\n")
        for head in [
            "old -1\n\n", "old 01\n\n", "old +1\n\n", "new 1\n\n", "old 1\nshort\n\n", "\n\n",
            "old 1\n\(long)\n\n",
        ] {
            #expect(WitnessRequest(parsing: Array((head + note).utf8)) == nil, "\(head)")
        }
        #expect(WitnessRequest(parsing: Array("old 1\n\(hash)\n\n".utf8)) == nil)
        #expect(WitnessRequest(parsing: Array("old 1\n\(hash)\n\n\(note)".utf8)) != nil)
        var random = Generator()
        for _ in 0..<300 {
            // No input ends the process.
            _ = WitnessRequest(parsing: random.bytes(count: Int.random(in: 0...90, using: &random)))
        }
    }
}
