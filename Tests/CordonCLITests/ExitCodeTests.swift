import Foundation
import TestSupport
import Testing

@testable import CordonCLI

@Suite struct `Exit codes of mistakes` {
    let project: TestProject

    init() throws { project = try TestProject() }

    private func write(_ text: String, _ path: String) throws -> String {
        let path = project.directory.file(path)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test func `are the same for init as for check and geo build`() throws {
        let source = try write("1.0.0.0/24,usa\n", "bad.csv")
        #expect(project.run(["init", "--geo-format", "csv", "--geo", source]) == 1)
        let missing = project.directory.file("missing.csv")
        #expect(project.run(["init", "--geo-format", "csv", "--geo", missing]) == 4)
        _ = try write("policy: gdpr\n", "Policies/gdpr.yaml")
        #expect(project.run(["check"]) == 1)
        #expect(project.run(["init"]) == 1)
    }

    @Test func `tell wrong words from rules that are not there`() {
        func explain(_ asOf: String) -> Int32 {
            project.run([
                "policy", "explain", "--address", "192.0.2.1", "--url", "/pixel.gif", "--as-of",
                asOf,
            ])
        }
        #expect(explain("NONSENSE") == 2)
        #expect(explain("0123456") == 2)
        #expect(explain("01234567") == 1)
        #expect(project.run(["policy", "diff", "NONSENSE"]) == 2)
    }
}
