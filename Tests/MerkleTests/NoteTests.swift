import Bytes
import Crypto
import Merkle
import TestSupport
import Testing

@Suite struct `Signed notes` {
    /// The example of C2SP signed-note.
    static let specificationKey =
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    static let specificationNote =
        "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONn"
        + "cAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"

    /// The example of the Go package sumdb/note, with its private key.
    static let goKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    static let goSeed = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
    static let goNote =
        "If you think cryptography is the answer to your problem,\n"
        + "then you don't know what your problem is.\n\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFup"
        + "LLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"

    @Test(arguments: [(specificationKey, specificationNote), (goKey, goNote)])
    func `published notes verify under their published keys`(_ key: String, _ text: String) throws {
        let verifier = try #require(NoteVerifier(key))
        #expect(verifier.text == key)
        let note = try #require(SignedNote(parsing: Array(text.utf8)))
        #expect(note.isSigned(by: verifier))
        #expect(note.encoded == Array(text.utf8))
        for index in 0..<note.text.utf8.count where index % 7 == 0 {
            var bytes = Array(text.utf8)
            bytes[index] ^= 1
            #expect(SignedNote(parsing: bytes)?.isSigned(by: verifier) != true)
        }
    }

    @Test func `signing gives the published bytes`() throws {
        let seed = try #require(Base64.decode(Self.goSeed)).dropFirst()
        let signer = NoteSigner(
            name: "PeterNeumann", key: try Ed25519PrivateKey(seed: Array(seed)))
        #expect(signer.verifier.text == Self.goKey)
        let text = try #require(SignedNote(parsing: Array(Self.goNote.utf8))).text
        #expect(SignedNote(signing: text, with: signer).encoded == Array(Self.goNote.utf8))
    }

    @Test func `foreign signatures do not matter, a wrong one of the known key does`() throws {
        let verifier = try #require(NoteVerifier(Self.specificationKey))
        let other = NoteSigner(name: "other", key: Ed25519PrivateKey.generate().key)
        let text = "This is an example message.\n"
        let foreign = SignedNote(signing: text, with: other).encoded.dropFirst(text.utf8.count + 1)
        let both = Array(Self.specificationNote.utf8) + foreign
        let note = try #require(SignedNote(parsing: both))
        #expect(note.signatures.count == 2)
        #expect(note.isSigned(by: verifier))
        #expect(note.isSigned(by: other.verifier))
        #expect(!note.isSigned(by: NoteVerifier(name: "other", key: verifier.key)))
        let forged = "— example.com/foo \(Base64.encode([0x53, 0x0D, 0x90, 0x3A, 1, 2, 3]))\n"
        let spoilt = try #require(
            SignedNote(parsing: Array(Self.specificationNote.utf8) + Array(forged.utf8)))
        #expect(!spoilt.isSigned(by: verifier))
    }

    @Test(arguments: [
        "", "text\n", "text\n\n", "text\n\n— name\n", "text\n\n— na+me AAAAAAA=\n",
        "text\n\n— name AAAA\n", "text\n\n— name AAAAAAA\n", "text\n\n- name AAAAAAA=\n",
        "text\n\n— name AAAAAAA=", "te\u{1}xt\n\n— name AAAAAAA=\n", "text\n\n— name AAAAAAA=\n\n",
        "text\n\n— name  AAAAAAA=\n",
    ])
    func `what is no note is refused`(_ text: String) {
        #expect(SignedNote(parsing: Array(text.utf8)) == nil)
    }

    @Test func `text with empty lines ends at the last one`() throws {
        let note = try #require(SignedNote(parsing: Array("a\n\nb\n\n— name AAAAAAA=\n".utf8)))
        #expect(note.text == "a\n\nb\n")
        #expect(note.signatures.map(\.name) == ["name"])
        #expect(note.signatures.map(\.bytes) == [[0]])
        let many = String(repeating: "— name AAAAAAA=\n", count: SignedNote.signatureCountMax + 1)
        #expect(SignedNote(parsing: Array("a\n\n\(many)".utf8)) == nil)
    }

    @Test(arguments: [
        "", "name", "name+530d903a",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/fo o+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm",
    ])
    func `what is no verifier key is refused`(_ text: String) {
        #expect(NoteVerifier(text) == nil)
    }
}

@Suite struct `Checkpoints` {
    @Test func `a checkpoint survives its text`() {
        let checkpoint = Checkpoint(
            origin: "eu-central/audit", size: 70_000, root: TreeHash.leaf([1]))
        #expect(Checkpoint(checkpoint.text) == checkpoint)
        #expect(
            Checkpoint(origin: "a", size: 0, root: TreeHash.empty).text
                == "a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
    }

    @Test(arguments: [
        "", "a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "a\n00\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n-1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n+1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", "a\n0\n47DE\n",
        "a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nmore\n",
    ])
    func `what is no checkpoint is refused`(_ text: String) {
        #expect(Checkpoint(text) == nil)
    }
}
