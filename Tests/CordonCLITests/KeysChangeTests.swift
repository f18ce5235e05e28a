import CordonAudit
import CordonKeys
import CordonModel
import CordonPolicy
import CordonServer
import Crypto
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import CordonCLI

@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: builtProgram)))
struct `A change of keys` {
    private let project: TestProject
    private let regions: [RegionConfiguration]
    private let master: String

    /// A project with a pseudonym key in each of its regions.
    init() throws {
        project = try TestProject()
        regions = try project.makeKeys()
        try #require(regions.count >= 3)
        for region in regions {
            _ = try RegionKeys(opening: region.keysDirectory, region: region.name).pseudonymKey(
                .user, .month, Day(SystemWallClock().now()), creating: true)
        }
        master = project.directory.file("master")
        try File.write(master, Array(String(repeating: "5a", count: 32).utf8))
    }

    /// Cuts the pseudonym key of a region short.
    private func damage(_ region: RegionConfiguration) throws {
        let folder = region.keysDirectory + "/pseudonym"
        for name in try Directory.list(folder) { try File.write(folder + "/" + name, [1]) }
    }

    private func kinds(_ region: RegionConfiguration) throws -> [String] {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        return try AuditReader(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey.publicKey
        ).entries().map(\.entry.kind)
    }

    private func isPlain(_ region: RegionConfiguration) throws -> Bool {
        try RegionKeys(opening: region.keysDirectory, region: region.name)
            .protection(of: .signing) == .plain
    }

    @Test func `by a master key that cannot be had is none, and none in the log`() throws {
        let told = try project.tell(["keys", "wrap", "--master", "env:CORDON_TEST_NOT_SET"])
        #expect(told.exitCode == 4)
        #expect(told.output.contains("No key is wrapped by it"), "\(told.output)")
        #expect(!told.output.contains("no key of the region opens"))
        // One that does not do for the last region alone changes none either.
        let inside = try #require(regions.last).keysDirectory + "/m"
        try File.write(inside, Array(String(repeating: "5a", count: 32).utf8))
        #expect(project.run(["keys", "wrap", "--master", "file:\(inside)"]) == 4)
        for region in regions {
            #expect(try kinds(region) == ["start"])
            #expect(try isPlain(region))
        }
    }

    @Test func `is in the log before it begins and when it is done`() throws {
        #expect(project.run(["keys", "wrap", "--master", "file:\(master)"]) == 0)
        #expect(project.run(["keys", "wrap", "--plain"]) == 0)
        for region in regions {
            #expect(
                try kinds(region) == [
                    "start", "keys.wrapping", "keys.wrapped", "keys.unwrapping", "keys.unwrapped",
                ])
            #expect(try isPlain(region))
        }
    }

    @Test(arguments: ["wrap", "rotate", "destroy"])
    func `that fails in one region is shown of those before`(_ verb: String) throws {
        for region in regions where verb == "destroy" {
            let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
            _ = try keys.pseudonymKey(
                .user, .month, try #require(Day("2025-01-01")), creating: true)
        }
        try damage(regions[2])
        let words = [
            "wrap": ["--master", "file:\(master)"], "destroy": ["--before", "2025-06-01", "--yes"],
        ]
        let told = try project.tell(["keys", verb] + (words[verb] ?? []))
        #expect(told.exitCode == 4, "\(told.output)")
        let lines = told.output.split(separator: "\n").filter {
            !$0.hasPrefix("cordon") && !$0.hasPrefix("keep")
        }
        for region in regions[..<2] {
            #expect(lines.contains { $0.hasPrefix(region.name) }, "\(told.output)")
        }
        #expect(!lines.contains { $0.hasPrefix(regions[2].name) })
        #expect(told.output.contains("is damaged"))
        if verb == "wrap" {
            #expect(told.output.contains("keep a copy of the master key elsewhere"))
            #expect(try kinds(regions[2]) == ["start", "keys.wrapping"])
        }
    }
}
