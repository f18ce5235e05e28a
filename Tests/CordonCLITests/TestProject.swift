import CordonAudit
import CordonKeys
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

    /// Runs a command of the built program on it; gives its exit code, and what it prints for people and programs together.
    func tell(_ words: [String]) throws -> Tool.Result {
        try Tool.run(builtProgram, words + ["--project", layout.root])
    }

    /// Makes the keys of every region and begins their audit logs.
    func makeKeys() throws -> [RegionConfiguration] {
        let regions = try configuration().regions
        for region in regions {
            let keys = try RegionKeys.create(directory: region.keysDirectory, region: region.name)
            let log = try AuditLog(
                directory: region.auditDirectory, region: region.name, key: keys.signingKey)
            try log.append(
                AuditEntry(at: Timestamp(microseconds: 0), kind: "start", region: region.name))
        }
        return regions
    }

    func doctor() -> [DoctorFinding] { DoctorChecks(project: layout).run() }
}
