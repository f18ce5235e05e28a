import CordonKeys
import CordonModel
import CordonPolicy
import CordonServer
import CordonSubjects
import Foundation
import TestSupport
import Testing

@testable import CordonCLI

@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: builtProgram)))
struct `Commands about requests` {
    private let project: TestProject
    private let region: RegionConfiguration

    /// A project of the shipped regions and policies; of the EU region's keys one can mark a person.
    init() throws {
        SentValues.note("customer-4711")
        project = try TestProject()
        region = try #require(
            try project.configuration().regions.first { $0.name == "eu-central" })
        let keys = try RegionKeys.create(directory: region.keysDirectory, region: region.name)
        _ = try keys.pseudonymKey(
            .user, .month, Day(SystemWallClock().now()), creating: true)
    }

    private var inRegion: [String] { ["--region", region.name, "--project", project.layout.root] }

    private func run(_ words: String...) -> Int32 { CordonCLI.main(words + inRegion) }

    /// What the command prints as JSON.
    private func printed(_ words: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: builtProgram)
        process.arguments = words + inRegion + ["--json"]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self)
    }

    private func service() throws -> SubjectService {
        try RegionSubjects(region, clock: SystemWallClock()).service()
    }

    @Test func `a hold may be of a person, of days and of a column together`() throws {
        let days = "2026-11-01..2026-11-03"
        let reason = ["--reason", "case 12"]
        let pseudonym = String(repeating: "0a", count: 16)
        for person in [["--user", "customer-4711"], ["--pseudonym", pseudonym]] {
            let words = ["hold", "add"] + person + ["--days", days] + reason
            #expect(CordonCLI.main(words + inRegion) == 0)
            #expect(CordonCLI.main(words + ["--field", "user"] + inRegion) == 0)
        }
        let holds = try service().standing()
        #expect(holds.map(\.naming) == [.user, .user, .pseudonym, .pseudonym])
        #expect(
            holds.allSatisfy {
                $0.days.map { "\($0.lowerBound.text)..\($0.upperBound.text)" } == days
            })
        #expect(holds.map(\.column) == [nil, "user", nil, "user"])
        #expect(run("hold", "add", "--user", "a", "--pseudonym", pseudonym, "--reason", "r") == 2)
        #expect(run("hold", "add", "--reason", "r") == 2)
        // A person's hits of some days are found and erased by a visitor alone.
        #expect(run("subject", "restrict", "--user", "customer-4711", "--days", days) == 2)
    }

    @Test func `an erasure that waits is told as itself, and found, whatever holds come after it`()
        throws
    {
        #expect(run("hold", "add", "--user", "customer-4711", "--reason", "case 12") == 0)
        #expect(run("subject", "erase", "--user", "customer-4711", "--yes") == 3)
        let erasure = try #require(
            try service().requests(max: 1, without: RequestKind.standing).first)
        #expect(run("hold", "add", "--field", "user", "--reason", "inquiry 8") == 0)
        let answer = try printed("subject", "erase", "--user", "customer-4711", "--yes")
        #expect(answer.contains(#""kind":"erase""#) && !answer.contains(#""kind":"hold""#))

        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let store = try RequestStore(path: region.requestsPath, maskKey: keys.subjectDigestKey)
        for number in 0..<SubjectStatus.requestsMax {
            try store.insert(
                SubjectRequest(
                    standing: .hold, id: "h\(number)", subject: nil, days: nil,
                    at: SystemWallClock().now()))
        }
        #expect(run("subject", "status") == 1)
        #expect(try printed("subject", "status").contains(erasure.id))
        #expect(run("subject", "status", erasure.id) == 1)
        #expect(run("subject", "status", "h0") == 1)
        #expect(run("subject", "status", "no-such") == 2)
    }

    @Test func `what a hold stops is refused, by the first attempt and by each later one`() throws {
        #expect(run("hold", "add", "--user", "customer-4711", "--reason", "case 12") == 0)
        #expect(run("subject", "erase", "--user", "customer-4711", "--yes") == 3)
        #expect(run("subject", "erase", "--resume") == 3)
        #expect(run("subject", "erase", "--resume", "--json") == 3)
        let hold = try #require(try service().standing().first)
        #expect(run("hold", "release", hold.id) == 0)
        #expect(run("subject", "erase", "--resume") == 0)
    }

    @Test func `a hold and a restriction each say which command ends them`() throws {
        #expect(run("subject", "restrict", "--user", "customer-4711", "--reason", "disputed") == 0)
        let restriction = try #require(try service().standing().first)
        let other = try project.tell(["hold", "release", restriction.id, "--region", region.name])
        #expect(other.exitCode == 2)
        #expect(other.output.contains("is a restriction: `cordon subject unrestrict` ends it"))
        #expect(run("subject", "unrestrict", restriction.id) == 0)
        #expect(run("hold", "add", "--days", "2026-11-01", "--reason", "case 12") == 0)
        let hold = try #require(try service().standing().first)
        let wrong = try project.tell(
            ["subject", "unrestrict", hold.id, "--region", region.name])
        #expect(wrong.output.contains("is a hold: `cordon hold release` ends it"))
        #expect(run("hold", "release", hold.id) == 0)
        let gone = try project.tell(["hold", "release", hold.id, "--region", region.name])
        #expect(gone.exitCode == 2 && gone.output.contains("is in force in none"))
    }

    @Test func `a key that was rotated and destroyed is said to be lost, not only older days`()
        throws
    {
        let today = Day(SystemWallClock().now())
        let month = KeyPeriod.month.start(of: today).text
        #expect(
            try printed("subject", "find", "--user", "customer-4711").contains(#""keys_lost":[]"#))
        #expect(run("keys", "rotate", "--field", "user") == 0)
        #expect(
            try printed("subject", "find", "--user", "customer-4711").contains(#""keys_lost":[]"#))
        #expect(run("keys", "destroy", "--rotated", "--yes") == 0)
        let found = try printed("subject", "find", "--user", "customer-4711")
        #expect(found.contains(#""keys_lost":["\#(month)"]"#), "\(found)")
        #expect(found.contains(#""keys_from":"\#(month)""#))
        #expect(
            try printed("subject", "export", "--user", "customer-4711").contains(
                #""keys_lost":["\#(month)"]"#))
        let told = try project.tell(
            ["subject", "find", "--user", "customer-4711", "--region", region.name])
        #expect(told.output.contains("a key of the period from \(month) was rotated and destroyed"))
    }

    @Test func `a file that is no certificate is refused as such`() throws {
        let path = project.directory.file("letter")
        try Data("Dear Sir or Madam\n".utf8).write(to: URL(fileURLWithPath: path))
        let told = try project.tell(["certificate", "verify", path])
        #expect(told.exitCode == 1)
        #expect(told.output.contains("is no certificate of an erasure, and none of a proof"))
    }

    @Test func `a certificate states whose hits were to go, however they were named`() throws {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        _ = try keys.pseudonymKey(.visitor, .day, Day(SystemWallClock().now()), creating: true)
        SentValues.note("192.0.2.7", "Agent/1")
        let ids = try TemporaryDirectory(holdsRawValues: true)
        defer { withExtendedLifetime(ids) {} }
        try Data("customer-4711\n".utf8).write(to: URL(fileURLWithPath: ids.file("ids")))
        for (named, scope) in [
            (["--user", "customer-4711"], "hits of one user id under"),
            (["--file", ids.file("ids")], "hits of the user ids of one list"),
            (["--visitor-of", "192.0.2.7,Agent/1,shop.example"], "of one address, user agent and"),
            (["--pseudonym", String(repeating: "0a", count: 16)], "hits of one pseudonym, and"),
        ] {
            let before = try certificates()
            #expect(CordonCLI.main(["subject", "erase", "--yes"] + named + inRegion) == 0)
            let path = try #require(try certificates().subtracting(before).first)
            #expect(try String(contentsOfFile: path, encoding: .utf8).contains(scope), "\(named)")
        }
    }

    private func certificates() throws -> Set<String> {
        let folder = region.stateDirectory + "/certificates"
        guard FileManager.default.fileExists(atPath: folder) else { return [] }
        return Set(
            try FileManager.default.contentsOfDirectory(atPath: folder).map { folder + "/" + $0 })
    }
}
