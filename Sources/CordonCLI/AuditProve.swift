import Bytes
import CordonAudit
import CordonModel
import Crypto
import LinuxIO
import Merkle

extension Command {
    static let auditProve = Command(
        ["audit", "prove"],
        summary:
            "prove that an entry is in a region's audit log, for somebody who has the key alone",
        usage: "--region REGION [--out DIR] ENTRY",
        options: [
            .region,
            .init(
                name: "out", value: "DIR",
                help: "write REGION-ENTRY.json (the entry) and REGION-ENTRY.tlog-proof there"),
        ],
        example: "cordon audit prove --region eu-central 0 --out proof", arguments: 1...1
    ) { arguments, console in
        let region = try arguments.required("region")
        let found = try CordonCLI.regions(arguments)
        precondition(found.count == 1, "one name is one region")
        guard let index = Int(arguments.free[0]), index >= 0 else {
            throw UsageError(
                text: "`\(arguments.free[0])` is no entry: `cordon audit log` shows their numbers")
        }
        let proven: AuditReader.Proven
        let reader = try CordonCLI.auditReader(found[0])
        do throws(AuditError) {
            proven = try reader.prove(index)
        } catch {
            throw CommandFailure(text: "\(error)", exitCode: .foundProblem)
        }
        if let directory = arguments.value("out") {
            let name = try AuditProofFiles.write(proven, region, directory)
            console.note(
                "wrote \(name).json and \(name).tlog-proof; `verify.py proof` of any `cordon audit export` "
                    + "checks them")
        }
        let entry = String(decoding: proven.entry, as: UTF8.self)
        if arguments.wantsJSON {
            try console.print(
                json: Answer(
                    region: region, index: index, size: proven.checkpoint.size,
                    root: proven.checkpoint.root.hex,
                    leaf: TreeHash.leaf(proven.entry).hex, entry: entry, proof: proven.proof.text))
        } else if !arguments.has("out") {
            console.print(entry)
            console.print()
            console.print(String(proven.proof.text.dropLast()))
        } else {
            console.print(
                "\(region): entry \(index) of \(proven.checkpoint.size), root \(proven.checkpoint.root.hex)"
            )
        }
        return .done
    }

    /// The JSON of `audit prove`.
    private struct Answer: Encodable {
        let region: String
        let index: Int
        let size: Int
        let root: String
        /// What is hashed into the tree, in hexadecimal.
        let leaf: String
        let entry: String
        let proof: String
    }

    static let auditCheckpoint = Command(
        ["audit", "checkpoint"],
        summary: "the signed heads of the audit logs, to keep where nobody here can change them",
        usage: "[--region REGION]…", options: [.regions],
        example: "cordon audit checkpoint --region eu-central > checkpoint-of-today"
    ) { arguments, console in
        for (position, region) in try CordonCLI.regions(arguments).enumerated() {
            let reader = try CordonCLI.auditReader(region)
            let (note, checkpoint) = try reader.signedCheckpoint()
            let text = String(decoding: note.encoded, as: UTF8.self)
            if arguments.wantsJSON {
                try console.print(
                    json: Head(
                        region: region.name, size: checkpoint.size, root: checkpoint.root.hex,
                        note: text, verifierKey: reader.verifierKey))
            } else {
                if position > 0 { console.print() }
                console.print(String(text.dropLast()))
            }
        }
        return .done
    }

    /// A line of `audit checkpoint --json`.
    private struct Head: Encodable {
        let region: String
        let size: Int
        let root: String
        let note: String
        let verifierKey: String

        private enum CodingKeys: String, CodingKey {
            case region, size, root, note
            case verifierKey = "verifier_key"
        }
    }
}

/// An entry and its proof as two files for somebody else.
enum AuditProofFiles {
    /// Writes both and returns what their names begin with.
    @discardableResult
    static func write(
        _ proven: AuditReader.Proven, _ region: String, _ directory: String
    ) throws -> String {
        try Directory.create(directory, mode: 0o755)
        let name = "\(directory)/\(region)-\(proven.index)"
        try File.write(name + ".json", proven.entry, mode: 0o644, sync: true)
        try File.write(
            name + ".tlog-proof", Array(proven.proof.text.utf8), mode: 0o644, sync: true)
        return name
    }
}
