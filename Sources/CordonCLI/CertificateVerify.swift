import CordonAudit
import CordonKeys
import CordonModel
import CordonPolicy
import CordonProof
import CordonProofCheck
import CordonServer
import Foundation
import GeoTables
import LinuxIO
import Merkle

extension Command {
    static let certificateVerify = Command(
        ["certificate", "verify"],
        summary:
            "check an erasure certificate, or a proof certificate with a second sweep of all addresses",
        usage: "[--key VKEY]… [--decisions FILE] [--table TABLE] [--checkpoint FILE] [FILE]",
        options: [
            Option(
                name: "key", value: "VKEY",
                help: "a key that must have signed, as var/REGION/audit/key.vkey has it "
                    + "(default: the keys of the project's regions)", repeats: true),
            Option(
                name: "decisions", value: "FILE",
                help: "the decisions that were certified (default: beside the certificate)"),
            Option(
                name: "table", value: "TABLE", help: "the geo table (default: the project's)"),
            Option(
                name: "checkpoint", value: "FILE",
                help: "of an erasure: a checkpoint of the log that you have by another way"),
        ],
        example: "cordon certificate verify", arguments: 0...1
    ) { arguments, console in
        let layout = CordonCLI.project(arguments)
        let path = arguments.free.first.map(absolute) ?? layout.proofPath
        let bytes = try File.read(path)
        // A proof certificate begins with its heading, an erasure's is an object.
        if bytes.first == UInt8(ascii: "{") {
            return try verifyErasure(bytes, arguments, console)
        }
        guard ProofCertificate.isBegun(bytes) else {
            throw CommandFailure(
                text: "refused: `\(path)` is no certificate of an erasure, and none of a proof",
                exitCode: .foundProblem)
        }
        guard !arguments.has("checkpoint") else {
            throw UsageError(text: "`--checkpoint` is for erasure certificates, `\(path)` is none")
        }
        let decisions =
            arguments.value("decisions").map(absolute) ?? ProjectProof.decisionsPath(of: path)
        let table = arguments.value("table").map(absolute) ?? layout.geoTablePath
        let given = try givenKeys(arguments)
        let project = given.isEmpty ? try CordonCLI.configuration(arguments) : nil
        let keys = try project.map { project in
            ProjectProof.verifiers(
                try project.regions.map {
                    try RegionKeys(opening: $0.keysDirectory, region: $0.name)
                })
        }
        let certificate = bytes
        let check = CertificateCheck(
            certificate: certificate, decisions: try File.read(decisions),
            geoTable: try File.read(table), keys: keys ?? given)
        let report: CertificateCheck.Report
        do throws(CheckFailure) {
            report = try check.run()
        } catch {
            throw CommandFailure(text: "refused: \(error)", exitCode: .foundProblem)
        }
        // Who has the project at hand wants to know whether the certificate is of its present rules as well.
        var changed: [String] = []
        if let project, let note = SignedNote(parsing: certificate),
            let certified = ProofCertificate(note.text)
        {
            let table = try openGeoTable(table)
            let rules = project.ruleSet.bound(to: table.places)
            changed = ProofSubject(project, rules: rules, table: table)
                .differences(from: certified.subject)
        }
        let answer = Answer(
            report, signers: (keys ?? given).map(\.name),
            isCurrent: project == nil ? nil : changed.isEmpty)
        if arguments.wantsJSON {
            try console.print(json: answer)
        } else {
            console.print(
                "right: \(report.statements) statements over \(report.places) places, proved \(report.at)"
            )
            console.print("rule set   \(report.ruleSet)")
            console.print("geo table  \(report.geoBuild)")
            console.print("signed by  \(answer.signers.joined(separator: ", "))")
            if !changed.isEmpty {
                console.print(
                    "stale: this project now has \(ProofRefusal.words(changed))")
            }
        }
        return changed.isEmpty ? .done : .foundProblem
    }

    private static func givenKeys(_ arguments: Arguments) throws -> [NoteVerifier] {
        try arguments.all("key").map { text in
            guard let key = NoteVerifier(text) else {
                throw UsageError(text: "`\(text)` is no key such as `name+0123abcd+base64`")
            }
            return key
        }
    }

    private static func verifyErasure(
        _ bytes: [UInt8], _ arguments: Arguments, _ console: Console
    ) throws -> ExitCode {
        for name in ["decisions", "table"] where arguments.has(name) {
            throw UsageError(text: "`--\(name)` is for proof certificates, this is of an erasure")
        }
        let keys = try givenKeys(arguments)
        // A certificate from before a change of the signing key is checked by the key of then.
        let readers =
            try keys.isEmpty
            ? CordonCLI.configuration(arguments).regions.map(CordonCLI.auditReader) : []
        let chains = try readers.map { try $0.keyChain() }
        let kept = try arguments.value("checkpoint").map { try File.read($0) }
        let checked: ErasureCertificate.Checked
        do {
            checked = try ErasureCertificate.check(
                bytes, keys: keys, chains: chains, checkpoint: kept)
            for reader in readers where reader.region == checked.region {
                try reader.require(checked)
            }
        } catch let error as ErasureCertificate.Refusal {
            throw CommandFailure(text: "refused: \(error)", exitCode: .foundProblem)
        }
        if arguments.wantsJSON {
            try console.print(json: ErasureAnswer(checked))
            return .done
        }
        console.print(
            "right: \(checked.region) erased a person, asked at \(checked.requestedAt), verified at "
                + checked.verifiedAt)
        console.print("request    \(checked.request)")
        console.print(
            "removed    "
                + checked.counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
                .joined(separator: ", "))
        console.print(
            "files      \(checked.filesBefore) before, \(checked.filesAfter) in their place")
        console.print(
            "absence    "
                + checked.absence.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
                .joined(separator: ", "))
        console.print("audit log  entry \(checked.index) of \(checked.size)")
        return .done
    }

    /// The JSON of `certificate verify` for an erasure.
    private struct ErasureAnswer: Encodable {
        let valid = true
        let kind = "erasure"
        let region: String
        let request: String
        let requestedAt: String
        let verifiedAt: String
        let counts: [String: Int]
        let filesBefore: Int
        let filesAfter: Int
        let absence: [String: Int]
        let index: Int
        let size: Int

        private enum CodingKeys: String, CodingKey {
            case valid, kind, region, request, counts, absence, index, size
            case requestedAt = "requested_at"
            case verifiedAt = "verified_at"
            case filesBefore = "files_before"
            case filesAfter = "files_after"
        }

        init(_ checked: ErasureCertificate.Checked) {
            region = checked.region
            request = checked.request
            requestedAt = checked.requestedAt
            verifiedAt = checked.verifiedAt
            counts = checked.counts
            filesBefore = checked.filesBefore
            filesAfter = checked.filesAfter
            absence = checked.absence
            index = checked.index
            size = checked.size
        }
    }

    private static func absolute(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }

    /// The JSON of `certificate verify`.
    private struct Answer: Encodable {
        let valid = true
        let at: String
        let ruleSet: String
        let geoBuild: String
        let signers: [String]
        let statements: Int
        let places: Int
        /// Whether it is of the project's present rules; null without a project.
        let current: Bool?

        private enum CodingKeys: String, CodingKey {
            case valid, at, signers, statements, places, current
            case ruleSet = "rule_set"
            case geoBuild = "geo_build"
        }

        init(_ report: CertificateCheck.Report, signers: [String], isCurrent: Bool?) {
            at = report.at
            ruleSet = report.ruleSet
            geoBuild = report.geoBuild
            self.signers = signers
            statements = report.statements
            places = report.places
            current = isCurrent
        }
    }
}
