import CordonAuthoring
import CordonModel
import CordonPolicy
import Foundation
import LinuxIO

extension Command {
    static let policyFormat = Command(
        ["policy", "fmt"],
        summary: "lay policies, atlas, invariants and cases out in one way, comments and all",
        usage: "[--check] [FILE…]",
        options: [
            Option(
                name: "check", value: nil,
                help: "change nothing; name the files that are laid out otherwise and end with 1")
        ],
        example: "cordon policy fmt --check", arguments: 0...10_000
    ) { arguments, console in
        let files = try layoutFiles(arguments)
        let changes = arguments.has("check")
        var reports: [LayoutReport] = []
        for file in files { reports.append(try layOut(file, writing: !changes)) }
        if arguments.wantsJSON {
            for report in reports { try console.print(json: report) }
        } else {
            for report in reports { report.print(to: console, isCheck: changes) }
            let changed = reports.count { $0.line != nil }
            console.print(
                "\(reports.count) files, \(changed) \(changes ? "to be laid out" : "changed")")
        }
        let isRight = reports.allSatisfy { $0.problems.isEmpty && (!changes || $0.line == nil) }
        return isRight ? .done : .foundProblem
    }

    /// Absolute paths, with what messages call them.
    private static func layoutFiles(
        _ arguments: Arguments
    ) throws -> [(path: String, name: String)] {
        if !arguments.free.isEmpty {
            return arguments.free.map {
                (URL(fileURLWithPath: $0).standardizedFileURL.path, $0)
            }
        }
        let layout = CordonCLI.project(arguments)
        var files: [(path: String, name: String)] = []
        for folder in ["Policies", "Policies/cases"] {
            let path = layout.root + "/" + folder
            guard try File.exists(path) else {
                if folder == "Policies" {
                    throw CommandFailure(text: "`\(path)` is missing: this is no project's folder")
                }
                continue
            }
            files += try Directory.list(path).sorted().filter { $0.hasSuffix(".yaml") }
                .map { (path + "/" + $0, folder + "/" + $0) }
        }
        return files
    }

    private static func layOut(
        _ file: (path: String, name: String), writing: Bool
    ) throws -> LayoutReport {
        let old = try File.read(file.path)
        let new: [UInt8]
        do throws(ConfigurationErrors) {
            new = try PolicyLayout.format(old, file: file.name)
        } catch {
            return LayoutReport(file: file.name, line: nil, problems: error.problems)
        }
        let line = PolicyLayout.firstChange(old, new)
        if line != nil, writing { try File.write(file.path, new, mode: 0o644, sync: true) }
        return LayoutReport(file: file.name, line: line, problems: [])
    }
}

/// What became of one file.
private struct LayoutReport: Encodable {
    let file: String
    /// First line that is, or is to be, laid out otherwise.
    let line: Int?
    let problems: [ConfigurationProblem]

    private enum CodingKeys: String, CodingKey { case file, changed, line, problems }

    private struct Problem: Encodable {
        let line: Int
        let column: Int
        let text: String
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(file, forKey: .file)
        try container.encode(line != nil, forKey: .changed)
        try container.encode(line, forKey: .line)
        try container.encode(
            problems.map {
                Problem(line: $0.position.line, column: $0.position.column, text: $0.text)
            }, forKey: .problems)
    }

    func print(to console: Console, isCheck: Bool) {
        for problem in problems { console.print(problem.description) }
        guard let line else { return }
        console.print(isCheck ? "\(file):\(line): laid out otherwise" : "\(file): laid out")
    }
}
