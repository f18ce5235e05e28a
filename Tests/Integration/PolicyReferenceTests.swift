import Foundation
import TestSupport
import Testing

/// The reference, the schemas and the findings, through the built program.
@Suite(.serialized) struct `Reference and findings` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        cordon = CordonProgram(project: directory.file("project"))
        try ShippedProject.copy(to: cordon.project)
    }

    @Test func `the reference is printed and written as the repository has it`() throws {
        let page = try String(
            contentsOfFile: ShippedProject.root + "/Docs/configuration-keys.md", encoding: .utf8)
        #expect(try cordon.run("policy", "reference").output == page)
        let out = directory.file("out")
        try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
        let written = try cordon.run("policy", "reference", "--out", out)
        #expect(written.exitCode == 0, "\(written.errorOutput)")
        for path in written.output.split(separator: "\n") {
            let made = FileManager.default.contents(atPath: out + "/" + path)
            #expect(made == FileManager.default.contents(atPath: ShippedProject.root + "/" + path))
        }
        let schema = try cordon.run("policy", "reference", "--schema", "policy")
        #expect(try JSONSerialization.jsonObject(with: Data(schema.output.utf8)) is [String: Any])
        let unknown = try cordon.run("policy", "reference", "--schema", "polcy")
        #expect(unknown.exitCode == 2)
        #expect(unknown.errorOutput.contains("did you mean `policy`?"))
    }

    @Test func `a finding is named, ends a strict check with 1, and is accepted with a reason`()
        throws
    {
        #expect(try cordon.run("check", "--strict").exitCode == 0)
        let path = cordon.project + "/Policies/gdpr.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try text.replacing("[utm_source,", with: "[gclid, utm_source,")
            .write(toFile: path, atomically: true, encoding: .utf8)
        let found = try cordon.run("check")
        #expect(found.exitCode == 0)
        #expect(found.errorOutput.contains("Policies/gdpr.yaml:19:15: "), "\(found.errorOutput)")
        #expect(found.errorOutput.contains("`gclid`"))
        #expect(found.errorOutput.hasSuffix("[identifier-in-parameter]\n"))
        #expect(try cordon.run("check", "--strict").exitCode == 1)
        try
            "accepted:\n  - { finding: identifier-in-parameter, file: Policies/gdpr.yaml, reason: a test }\n"
            .write(
                toFile: cordon.project + "/Policies/accepted.yaml", atomically: true,
                encoding: .utf8)
        let accepted = try cordon.run("check", "--strict")
        #expect(accepted.exitCode == 0 && accepted.errorOutput == "")
        #expect(accepted.output.hasSuffix("1 finding accepted in Policies/accepted.yaml\n"))
        let json = try cordon.run("check", "--json").output
        #expect(json.contains("\"reason\":\"a test\""), "\(json)")
    }
}
