import CordonModel
import CordonPolicy
import TestSupport

@testable import CordonCLI

/// A project of the shipped regions and policies in a folder of a test's own.
struct TestProject {
    let directory: TemporaryDirectory
    var layout: ProjectLayout { ProjectLayout(root: directory.path) }

    init() throws {
        directory = try TemporaryDirectory()
        try ShippedProject.copy(to: directory.path)
    }

    func configuration() throws -> ProjectConfiguration {
        try CordonCLI.configuration(
            Arguments(parsing: ["--project", layout.root], for: .auditVerify))
    }

    /// Runs a command on it, and gives its exit code.
    func run(_ words: [String]) -> Int32 {
        CordonCLI.main(words + ["--project", layout.root])
    }

    func doctor() -> [DoctorFinding] { DoctorChecks(project: layout).run() }
}
