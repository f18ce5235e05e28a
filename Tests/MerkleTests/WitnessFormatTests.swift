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

    @Test func `a witness's verifier key is no log's`() throws {
        let text = cosigner.verifier.text
        #expect(NoteVerifier(text) == nil)
        let sameKey = NoteVerifier(name: cosigner.verifier.name, key: cosigner.verifier.key)
        #expect(sameKey.keyID != cosigner.verifier.keyID)
    }
}
