package import CordonModel
import Foundation
package import Merkle

/// A signed statement that every invariant was proved for one subject.
///
/// A C2SP signed note whose text is a first line that no other note of a region has and one line of JSON.
/// `Docs/formats/proof.md` draws it.
package struct ProofCertificate: Equatable, Sendable {
    package let subject: ProofSubject
    /// The version of the program that proved it.
    package let program: String
    /// When, in UTC.
    package let at: String
    package let results: [Result]

    /// One statement that holds.
    package struct Result: Codable, Equatable, Sendable {
        package let name: String
        /// Addresses that it covers, decimal.
        package let ipv4: String
        package let ipv6: String
        /// Combinations of place, kind of site and consent.
        package let cases: Int
    }

    private struct Content: Codable {
        let subject: ProofSubject
        let program: String
        let at: String
        let results: [Result]
    }

    /// First line of the text: no checkpoint begins with it, so neither can pass for the other.
    private static let heading = kind + "v1"
    private static let kind = "cordon.proof/"

    /// Whether a file begins as a certificate of any version does.
    package static func isBegun(_ file: [UInt8]) -> Bool { file.starts(with: kind.utf8) }

    /// Certifies `proof`, which holds.
    package init(_ proof: Proof, of subject: ProofSubject, at time: Timestamp) {
        precondition(proof.holds, "what does not hold is not certified")
        self.subject = subject
        program = CordonModel.version
        at = time.text
        results = proof.results.map {
            Result(name: $0.name, ipv4: $0.ipv4.text, ipv6: $0.ipv6.text, cases: $0.cases)
        }
    }

    /// Reads the text of a note; nil when it is no certificate of this version.
    package init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 3, lines[0] == Self.heading, lines[2].isEmpty else { return nil }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        // Whatever is no such JSON is no certificate; why is of no use to anyone.
        guard let content = try? decoder.decode(Content.self, from: Data(lines[1].utf8)) else {
            return nil
        }
        subject = content.subject
        program = content.program
        at = content.at
        results = content.results
    }

    /// The text to sign.
    package var text: String {
        let content = Content(subject: subject, program: program, at: at, results: results)
        return Self.heading + "\n"
            + String(decoding: CanonicalEncoding.bytes(content), as: UTF8.self)
    }

    /// The certificate as it is stored, signed by each of `signers`.
    package func signed(by signers: [NoteSigner]) -> [UInt8] {
        SignedNote(signing: text, with: signers).encoded
    }
}

/// Why a certificate is not accepted for what is about to run.
package enum ProofRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    case missing(path: String)
    case malformed(path: String)
    /// None of the keys that must have signed did: another project's certificate, or one that was changed.
    case unsigned(by: String)
    /// It was made for something else.
    case stale([String])

    /// The word in the audit log.
    package var code: String {
        switch self {
        case .missing: "missing"
        case .malformed: "malformed"
        case .unsigned: "unsigned"
        case .stale: "stale"
        }
    }

    /// What differs: `another rule set, other decisions`.
    package static func words(_ parts: [String]) -> String {
        parts.map { part in
            let isPlural = ["invariants", "decisions"].contains(part)
            return (isPlural ? "other " : "another ") + part
        }.joined(separator: ", ")
    }

    package var description: String {
        let remedy = "`cordon policy prove --sign` makes one that does"
        switch self {
        case .missing(let path):
            return "there is no proof at `\(path)`: `cordon policy prove --sign` makes one"
        case .malformed(let path):
            return "`\(path)` is no proof certificate: `cordon policy prove --sign` makes one"
        case .unsigned(let name):
            return
                "the proof is not signed by the key of `\(name)`: it is another project's, or was changed"
        case .stale(let parts):
            return
                "the proof is of \(Self.words(parts)) and does not cover what would run: \(remedy)"
        }
    }
}

extension ProofCertificate {
    /// Accepts the stored certificate `bytes` for `subject` when every one of `verifiers` signed it.
    package static func accept(
        _ bytes: [UInt8]?, at path: String, for subject: ProofSubject,
        signedBy verifiers: [NoteVerifier]
    ) throws(ProofRefusal) -> ProofCertificate {
        guard let bytes else { throw .missing(path: path) }
        guard let note = SignedNote(parsing: bytes), let certificate = ProofCertificate(note.text)
        else { throw .malformed(path: path) }
        for verifier in verifiers where !note.isSigned(by: verifier) {
            throw .unsigned(by: verifier.name)
        }
        let differences = subject.differences(from: certificate.subject)
        guard differences.isEmpty else { throw .stale(differences) }
        return certificate
    }
}
