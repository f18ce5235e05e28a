import CordonModel
import CordonPolicy
import CordonServer
import CordonTokens
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

    // MARK: Keys and logs

    private func finding(_ check: String, _ project: TestProject) -> DoctorFinding? {
        project.doctor().first { $0.check == check }
    }

    @Test
    func `has lost keys brought back where there is an audit log, and made where there is none`()
        throws
    {
        let project = try TestProject()
        let region = try #require(try project.configuration().regions.first)
        let check = "region \(region.name), keys"
        #expect(finding(check, project)?.fix == "cordon init")
        _ = try project.makeKeys()
        #expect(finding(check, project)?.state == .well)
        for lost in [region.keysDirectory, region.keysDirectory + "/audit-signing.key"] {
            let kept = project.directory.file("kept")
            try File.rename(lost, to: kept)
            let found = finding(check, project)
            #expect(found?.state == .wrong)
            #expect(found?.fix?.contains("back from a backup") == true)
            // What would make other keys in their place does not.
            #expect(project.run(["init"]) == 4)
            #expect(try !File.exists(lost))
            #expect(try !File.exists(project.layout.geoTablePath))
            try File.rename(kept, to: lost)
            #expect(finding(check, project)?.state == .well)
        }
    }

    @Test func `says that the key is not the one that signed the log`() throws {
        let project = try TestProject()
        let region = try #require(try project.makeKeys().first)
        let check = "region \(region.name), audit log"
        #expect(finding(check, project) == nil)
        try File.write(
            region.keysDirectory + "/audit-signing.key", [UInt8](repeating: 9, count: 32))
        let found = finding(check, project)
        #expect(found?.state == .wrong)
        #expect(found?.fix?.contains("from one backup") == true)
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: builtProgram)))
    func `counts the files that a node may open, not those that a shell gives it`() throws {
        let project = try TestProject()
        func state(_ limits: String) throws -> Bool {
            let output = try Tool.run(
                "bash",
                [
                    "-c", "\(limits) && exec \"$0\" doctor --project \"$1\"", builtProgram,
                    project.layout.root,
                ]
            ).output
            let line = output.split(separator: "\n").first { $0.contains(" open files: ") }
            return try #require(line).hasPrefix("ok ")
        }
        #expect(try state("ulimit -Sn 512 && ulimit -Hn 4096"))
        #expect(try !state("ulimit -Sn 512 && ulimit -Hn 4095"))
    }

    @Test func `reads the keys of other issuers, and names the place of those that it cannot`()
        throws
    {
        let project = try TestProject()
        let path = project.directory.file("Regions/eu-central.yaml")
        let text = String(decoding: try File.read(path), as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let service = try #require(lines.firstIndex { $0.hasPrefix("service:") })
        let changed =
            lines[..<service] + [
                "service:", "  listen: 127.0.0.1:9401", "  issuers:",
                "    - issuer: https://login.example", "      audience: cordon",
                "      jwks: keys.json", "      role: analyst", "      purposes: [p]",
                "      places: [DE]",
            ] + lines[(service + 1)...]
        try File.write(path, Array(changed.joined(separator: "\n").utf8))
        func found() -> DoctorFinding? {
            finding("region eu-central, issuer https://login.example", project)
        }
        #expect(found()?.state == .wrong)
        let place = "Regions/eu-central.yaml:\(service + 6):13: cannot read keys from `keys.json`: "
        #expect(found()?.detail.hasPrefix(place) == true)
        let key =
            #"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#
        try File.write(project.directory.file("keys.json"), Array(key.utf8))
        #expect(found()?.state == .well)
    }

    @Test func `names issuers whose keys a running service has lost`() throws {
        func findings(_ state: String, readAt: String?) throws -> [DoctorFinding] {
            let read = readAt.map { "\"\($0)\"" } ?? "null"
            let json = """
                {"pid":7,"project":"p","regions":["r"],"rule_set":"s","geo_build":"g","mistakes":[],"issuers":{"r":[
                {"issuer":"https://login.example","state":"\(state)","keys":1,"read_at":\(read),"failures":3}]}}
                """
            return DoctorChecks.oldKeys(
                try JSONDecoder().decode(ReloadOutcome.self, from: Data(json.utf8)))
        }
        #expect(try findings("current", readAt: "2026-11-30T00:00:00Z").isEmpty)
        #expect(try findings("unread", readAt: nil).isEmpty)
        let old = try findings("old", readAt: "2026-11-30T00:00:00Z")
        #expect(old.map(\.state) == [.doubtful])
        #expect(old.first?.detail.contains("2026-11-30T00:00:00Z") == true)
        #expect(try findings("none", readAt: nil).map(\.state) == [.wrong])
    }
}
