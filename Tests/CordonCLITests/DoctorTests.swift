import CordonModel
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import CordonCLI

@Suite struct `The doctor` {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    private func findings() -> [DoctorFinding] {
        DoctorChecks(project: ProjectLayout(root: folder.path)).run()
    }

    private func finding(_ check: String) -> DoctorFinding? {
        findings().first { $0.check == check }
    }

    @Test func `says that a folder without regions is no project, and how to make one`() {
        let finding = finding("project")
        #expect(finding?.state == .wrong)
        #expect(finding?.fix?.contains("cordon init") == true)
    }

    @Test func `says that the geo table is missing, and the command that makes it`() throws {
        try Directory.create(folder.file("Regions"))
        let finding = finding("geo table")
        #expect(finding?.state == .wrong)
        #expect(finding?.fix?.hasPrefix("cordon geo build") == true)
    }

    @Test func `says that a file is no geo table`() throws {
        try Directory.create(folder.file("Regions"))
        try Directory.create(folder.file("var/geo"))
        try File.write(folder.file("var/geo/places.cgt"), Array("something else".utf8))
        #expect(finding("geo table")?.state == .wrong)
    }

    @Test func `repeats the first mistake of the configuration with its place`() throws {
        try Directory.create(folder.file("Regions"))
        try Directory.create(folder.file("Policies"))
        try File.write(folder.file("Regions/one.yaml"), Array("region: one\ncolour: blue\n".utf8))
        let finding = finding("configuration")
        #expect(finding?.state == .wrong)
        #expect(finding?.detail.contains("the first: Policies:1:1: ") == true)
        #expect(finding?.fix?.contains("cordon check") == true)
    }

    @Test func `gives a fix for everything that is not well, and for nothing that is`() throws {
        try Directory.create(folder.file("Regions"))
        for finding in findings() {
            #expect((finding.fix == nil) == (finding.state == .well), "\(finding.check)")
            #expect(!finding.detail.isEmpty)
        }
    }
}
