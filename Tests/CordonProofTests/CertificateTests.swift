import CordonModel
import CordonProofCheck
import Crypto
import Foundation
import GeoTables
import Merkle
import TestSupport
import Testing

@testable import CordonPolicy
@testable import CordonProof

@Suite struct `A proof certificate` {
    let fixture = ProofFixture.shared
    let signer = NoteSigner(name: "north/audit", key: Ed25519PrivateKey.generate().key)
    let project: ProjectConfiguration
    let proof: Proof
    let subject: ProofSubject
    let bytes: [UInt8]

    init() throws {
        project = try fixture.load()
        proof = fixture.prove(project)
        subject = ProofSubject(
            project, table: fixture.table, decisions: proof.decisions.encoded())
        bytes = ProofCertificate(proof, of: subject, at: Timestamp(microseconds: 0))
            .signed(by: [signer])
    }

    private func refusal(
        _ bytes: [UInt8]?, for other: ProofSubject? = nil, by verifier: NoteVerifier? = nil
    ) -> ProofRefusal? {
        do throws(ProofRefusal) {
            _ = try ProofCertificate.accept(
                bytes, at: "certificate", for: other ?? subject,
                signedBy: [verifier ?? signer.verifier])
            return nil
        } catch {
            return error
        }
    }

    private func present(_ project: ProjectConfiguration) -> ProofSubject {
        ProofSubject(
            project, rules: project.ruleSet.bound(to: fixture.table.places), table: fixture.table)
    }

    @Test func `is accepted for what it was made for`() {
        #expect(refusal(bytes) == nil)
        #expect(present(project) == subject)
    }

    @Test func `is refused by name when it is missing, no certificate, another's or changed`() {
        #expect(refusal(nil)?.code == "missing")
        #expect(refusal(Array("hello\n".utf8))?.code == "malformed")
        let stranger = NoteSigner(name: "north/audit", key: Ed25519PrivateKey.generate().key)
        #expect(refusal(bytes, by: stranger.verifier)?.code == "unsigned")
        let text = String(decoding: bytes, as: UTF8.self)
        let forged = text.replacingOccurrences(
            of: subject.ruleSet, with: String(repeating: "0", count: 64))
        #expect(forged != text)
        #expect(refusal(Array(forged.utf8))?.code == "unsigned")
    }

    @Test func `is stale for other rules, places, invariants and atlases, and says which`() throws {
        let rules = try fixture.edited("Policies/lgpd.yaml", "hits: 365d", "hits: 364d")
        #expect(refusal(bytes, for: present(rules)) == .stale(["rule set", "decisions"]))
        let stated = try fixture.edited("Policies/invariants.yaml", "user: 90d", "user: 91d")
        #expect(refusal(bytes, for: present(stated)) == .stale(["invariants", "decisions"]))
        let atlas = try fixture.edited(
            "Policies/atlas.yaml", "members: [US]\n", "members: [US, TW]\n")
        #expect(refusal(bytes, for: present(atlas)) == .stale(["atlas"]))
        let directory = try TemporaryDirectory()
        let table = try ProofFixture.table("1.0.0.0/24,DE\n", in: directory)
        let moved = ProofSubject(
            project, rules: project.ruleSet.bound(to: table.places), table: table)
        #expect(refusal(bytes, for: moved) == .stale(["geo table", "decisions"]))
    }

    // MARK: the second checker

    private func check(
        _ certificate: [UInt8]? = nil, _ decisions: [UInt8]? = nil, _ table: [UInt8]? = nil
    ) -> String? {
        do throws(CheckFailure) {
            _ = try CertificateCheck(
                certificate: certificate ?? bytes,
                decisions: decisions ?? proof.decisions.encoded(),
                geoTable: table ?? fixture.tableBytes, keys: [signer.verifier]
            ).run()
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `is found right by a checker that shares no code with the prover`() {
        #expect(check() == nil)
    }

    @Test func `does not cover other decisions or another table, and the checker sees it`() throws {
        let decisions = String(decoding: proof.decisions.encoded(), as: UTF8.self)
        let looser = decisions.replacingOccurrences(of: "\"days\":365", with: "\"days\":366")
        #expect(check(nil, Array(looser.utf8)) == "the decisions are not those that were certified")
        var table = fixture.tableBytes
        table[table.count - 1] ^= 1
        #expect(check(nil, nil, table) == "the geo table does not have the digest in its header")
        #expect(check(Array("hello\n".utf8)) == "the certificate is no signed note")
    }

    /// A certificate over `decisions`, signed by the right key, as a prover that errs would make it.
    private func certified(_ decisions: String, _ change: (String) -> String = { $0 }) -> [UInt8] {
        let wrong = ProofSubject(
            project, table: fixture.table, decisions: Array(decisions.utf8))
        let text = ProofCertificate(proof, of: wrong, at: Timestamp(microseconds: 0)).text
        return SignedNote(signing: change(text), with: signer).encoded
    }

    @Test func `that a wrong prover signed is refused by the checker's own sweep`() {
        let right = String(decoding: proof.decisions.encoded(), as: UTF8.self)
        func found(_ old: String, _ new: String) -> String? {
            let wrong = right.replacingOccurrences(of: old, with: new)
            #expect(wrong != right, "\(old)")
            return check(certified(wrong), Array(wrong.utf8))
        }
        #expect(found("\"days\":395", "\"days\":396") == "`kept no longer than 395d` does not hold")
        #expect(
            found("\"jurisdiction\":\"IN\"", "\"jurisdiction\":\"US\"")?.hasSuffix("does not hold")
                == true)
        #expect(
            found("\"JP\":[0]", "\"JP\":[1]") == "`JP` has another policy than the closest one")
        #expect(
            found("\"consent\":\"invalid\"", "\"consent\":\"denied\"")?.contains("has no case")
                == true)
        let counts = check(
            certified(right) {
                $0.replacingOccurrences(of: "\"ipv4\":\"256\"", with: "\"ipv4\":\"257\"")
            })
        #expect(counts?.hasSuffix("covers other addresses than certified") == true)
    }

    @Test func `the second checker stays small and apart`() throws {
        let folder = URL(
            fileURLWithPath: ShippedProject.root + "/Sources/CordonProofCheck")
        var lines = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            let text = try String(
                contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            lines += text.utf8.count { $0 == 0x0A }
            let imports = text.matches(of: #/(?m)^(?:\w+ )?import (\w+)$/#).map { String($0.1) }
            #expect(
                Set(imports).isSubset(of: ["Bytes", "Crypto", "Merkle", "Foundation"]), "\(name)")
        }
        #expect(lines < 500)
    }
}
