import CordonPolicy
import CordonServer
import Foundation
import LinuxIO

extension Command {
    static let auditExport = Command(
        ["audit", "export"],
        summary: "one archive for an auditor: logs, certificates, rules, and a verifier of its own",
        usage: "[--region REGION]… --out FILE.tar",
        options: [
            .regions,
            .init(
                name: "out", value: "FILE", help: "the tar archive to write; must not be there yet"),
        ],
        example: "cordon audit export --out audit.tar"
    ) { arguments, console in
        let path = URL(fileURLWithPath: try arguments.required("out")).standardizedFileURL.path
        let project = try CordonCLI.configuration(arguments)
        let archive = AuditArchive(
            CordonCLI.project(arguments), ruleSet: project.ruleSet.digest,
            regions: try CordonCLI.regions(arguments), clock: SystemWallClock())
        let report: AuditArchive.Report
        do {
            report = try archive.write(to: path)
        } catch let error as LinuxError where error.isExisting {
            throw CommandFailure(text: "`\(path)` is there already: name a new file")
        }
        if arguments.wantsJSON {
            try console.print(json: Answer(report, path: path))
        } else {
            console.table(
                ["region", "entries", "erasure certificates", "root"],
                report.regions.map { [$0.name, "\($0.entries)", "\($0.certificates)", $0.root] })
            console.print("\(report.files) files, \(report.bytes) bytes: \(path)")
            console.note(
                "hand over the verifier keys (`cordon keys list`) by another way; in the unpacked folder "
                    + "`python3 verify.py --key KEY …` checks everything")
        }
        return .done
    }

    /// The JSON of `audit export`.
    private struct Answer: Encodable {
        struct Region: Encodable {
            let region: String
            let entries: Int
            let root: String
            let erasureCertificates: Int
            let verifierKey: String

            private enum CodingKeys: String, CodingKey {
                case region, entries, root
                case erasureCertificates = "erasure_certificates"
                case verifierKey = "verifier_key"
            }
        }

        let path: String
        let files: Int
        let bytes: Int
        let regions: [Region]

        init(_ report: AuditArchive.Report, path: String) {
            self.path = path
            files = report.files
            bytes = report.bytes
            regions = report.regions.map {
                Region(
                    region: $0.name, entries: $0.entries, root: $0.root,
                    erasureCertificates: $0.certificates, verifierKey: $0.verifierKey)
            }
        }
    }
}
