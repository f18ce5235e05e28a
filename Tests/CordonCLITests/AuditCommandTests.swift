import CordonAudit
import CordonKeys
import CordonModel
import CordonPolicy
import CordonServer
import Crypto
import Foundation
import LinuxIO
import Merkle
import TestSupport
import Testing

@testable import CordonCLI

@Suite struct `Audit commands` {
    private let project: TestProject

    /// A project of the shipped regions and policies, with keys and two entries in each log.
    init() throws {
        project = try TestProject()
        for region in try regions() {
            let keys = try RegionKeys.create(
                directory: region.keysDirectory, region: region.name)
            let log = try AuditLog(
                directory: region.auditDirectory, region: region.name, key: keys.signingKey)
            let analyst = Principal(role: "analyst", purpose: "p", place: "DE")
            try log.append([
                AuditEntry(at: Timestamp(microseconds: 0), kind: "start", region: region.name),
                AuditEntry(
                    at: Timestamp(microseconds: 1), kind: "query", region: region.name,
                    principal: analyst, fields: ["rows": 3, "rule": "gdpr", "regions": ["a", "b"]]),
            ])
        }
    }

    private func regions() throws -> [RegionConfiguration] {
        try project.configuration().regions
    }

    private func run(_ words: String...) -> Int32 { project.run(words) }

    @Test func `sound logs are verified and listed`() throws {
        #expect(run("audit", "verify") == 0)
        #expect(run("audit", "verify", "--json") == 0)
        #expect(run("audit", "log") == 0)
        #expect(
            run("audit", "log", "--kind", "query", "--principal", "analyst", "--limit", "1") == 0)
        #expect(run("audit", "log", "--since", "1970-01-01", "--until", "1970-01-01") == 0)
        #expect(run("keys", "list") == 0)
        #expect(run("keys", "list", "--json") == 0)
    }

    @Test func `a forged entry is a found problem, in its region alone`() throws {
        let region = try #require(try regions().first)
        let other = try #require(try regions().last)
        let path = region.auditDirectory + "/tile/entries/000.p/2"
        var bytes = try File.read(path)
        bytes[bytes.count - 2] ^= 1
        try File.write(path, bytes)
        #expect(run("audit", "verify") == 1)
        #expect(run("audit", "verify", "--region", region.name, "--json") == 1)
        #expect(run("audit", "verify", "--region", other.name) == 0)
    }

    @Test func `a log that is gone is a found problem`() throws {
        let region = try #require(try regions().first)
        try FileManager.default.removeItem(atPath: region.auditDirectory)
        #expect(run("audit", "verify", "--region", region.name) == 1)
    }

    @Test func `an auditor's own copy of the key decides`() throws {
        let regions = try regions()
        let (first, last) = (try #require(regions.first), try #require(regions.last))
        let key = try CordonCLI.auditReader(first).verifierKey
        #expect(run("audit", "verify", "--region", first.name, "--key", key) == 0)
        #expect(run("audit", "verify", "--region", last.name, "--key", key) == 2)
        let stranger = try RegionKeys.create(
            directory: project.directory.file("k"), region: first.name)
        let reader = AuditReader(
            directory: first.auditDirectory, region: first.name, key: stranger.signingKey.publicKey)
        #expect(
            run("audit", "verify", "--region", first.name, "--key", reader.verifierKey) == 1)
    }

    @Test func `regions witness each other, and a region put back whole is found by the others`()
        throws
    {
        let regions = try regions()
        let first = try #require(regions.first)
        let copy = project.directory.file("copy")
        try FileManager.default.copyItem(atPath: first.stateDirectory, toPath: copy)
        let keys = try RegionKeys(opening: first.keysDirectory, region: first.name)
        try AuditLog(directory: first.auditDirectory, region: first.name, key: keys.signingKey)
            .append(AuditEntry(at: Timestamp(microseconds: 2), kind: "more", region: first.name))
        #expect(run("audit", "witness") == 0)
        #expect(run("audit", "witness", "--json") == 0)
        #expect(run("audit", "verify") == 0)
        #expect(run("keys", "list") == 0)
        let witnesses = try ProjectWitnesses(regions, creating: false)
        try witnesses.require()
        let seen = witnesses.standings(of: first.name)
        #expect(seen.count == regions.count - 1)
        #expect(seen.allSatisfy { $0.size == 3 && $0.unwitnessed == 0 && $0.problem == nil })

        // With its head and its keys: alone the region cannot know.
        try FileManager.default.removeItem(atPath: first.stateDirectory)
        try FileManager.default.moveItem(atPath: copy, toPath: first.stateDirectory)
        _ = try AuditLog(
            directory: first.auditDirectory, region: first.name, key: keys.signingKey)
        let refused = #expect(throws: AuditError.self) { try witnesses.require() }
        #expect(refused?.description.contains("has 2 entries and does not continue the 3") == true)
        #expect(run("audit", "verify", "--region", first.name) == 1)
        #expect(run("audit", "witness") == 1)
        let findings = project.doctor()
        #expect(
            findings.first { $0.check == "region \(first.name), witnesses" }?.state == .wrong)
    }

    @Test func `a witness whose key cannot be opened is an error, and not one witness less`()
        throws
    {
        let regions = try regions()
        let (first, last) = (try #require(regions.first), try #require(regions.last))
        #expect(run("audit", "witness") == 0)
        #expect(run("audit", "verify", "--region", first.name) == 0)
        try File.write(last.keysDirectory + "/witness.key", [1, 2, 3])
        #expect(run("audit", "verify", "--region", first.name) == 4)
        #expect(run("audit", "verify") == 4)
        // Who has another key for the log needs none of the project's.
        let key = try CordonCLI.auditReader(first).verifierKey
        #expect(run("audit", "verify", "--region", first.name, "--key", key) == 0)
    }

    // MARK: The key that signs

    private func keys(_ region: RegionConfiguration) throws -> RegionKeys {
        try RegionKeys(opening: region.keysDirectory, region: region.name)
    }

    @Test func `the signing key is changed, and old and new key, checkpoints and witnesses agree`()
        throws
    {
        let region = try #require(try regions().first)
        #expect(run("audit", "witness") == 0)
        let old = try CordonCLI.auditReader(region).verifierKey
        let kept = project.directory.file("kept")
        try File.write(kept, try File.read(region.auditDirectory + "/checkpoint"))
        #expect(run("keys", "rotate", "--signing", "--field", "user") == 2)
        for _ in 0..<2 {
            #expect(run("keys", "rotate", "--signing", "--region", region.name) == 0)
        }
        #expect(run("keys", "rotate", "--signing", "--json") == 0)
        let new = try CordonCLI.auditReader(region).verifierKey
        #expect(new != old)
        #expect(try CordonCLI.auditReader(region).keyChain().links.count == 4)
        #expect(run("audit", "verify", "--earlier", kept) == 0)
        for key in [old, new] {
            #expect(
                run(
                    "audit", "verify", "--region", region.name, "--key", key, "--earlier", kept)
                    == 0)
        }
        #expect(run("audit", "witness") == 0)
        try ProjectWitnesses(regions(), creating: false).require()
        #expect(run("audit", "verify") == 0)
        #expect(run("keys", "list") == 0)
        let entries = try CordonCLI.auditReader(region).entries()
        #expect(entries.filter { $0.entry.kind == "keys.signing-rotated" }.count == 3)
    }

    @Test func `a certificate that a former key signed is held against the log at hand`() throws {
        let region = try #require(try regions().first)
        let key = try keys(region).signingKey
        let old = try CordonCLI.auditReader(region).verifierKey
        /// Writes the certificate of an erasure that the last entry of the log in `folder` states.
        func certify(_ name: String, logIn folder: String) throws -> String {
            let log = try AuditLog(directory: folder, region: region.name, key: key)
            let statement = ErasureStatement(
                region: region.name, request: name, subject: "11",
                requestedAt: Timestamp(microseconds: 0), verifiedAt: Timestamp(microseconds: 0),
                counts: [:], filesBefore: [:], filesAfter: [:], snapshotBefore: 1,
                snapshotAfter: 2, absence: [:])
            let entry = AuditEntry(
                at: Timestamp(microseconds: 0), kind: ErasureCertificate.entryKind,
                region: region.name,
                fields: [ErasureCertificate.entryField: .text(statement.digest)])
            let proven = try log.reader.prove(try log.append(entry))
            let signer = NoteSigner(name: region.name + "/audit", key: key)
            let path = project.directory.file(name)
            try File.write(
                path, ErasureCertificate(statement, signer: signer, proven: proven).encoded)
            return path
        }
        let right = try certify("right", logIn: region.auditDirectory)
        let forged = try certify("forged", logIn: project.directory.file("thief"))
        #expect(run("keys", "rotate", "--signing", "--region", region.name) == 0)
        #expect(run("certificate", "verify", right) == 0)
        #expect(run("certificate", "verify", forged) == 1)
        // By the key alone the one is as good as the other.
        for path in [right, forged] {
            #expect(run("certificate", "verify", "--key", old, path) == 0)
        }
    }

    @Test func `a change of the signing key that was cut between its steps is finished`() throws {
        let region = try #require(try regions().first)
        let path = region.keysDirectory + "/audit-signing.next.key"
        let step = ["keys", "rotate", "--signing", "--region", region.name]
        func finish(_ made: Ed25519PublicKey, changes: Int) throws {
            #expect(project.run(step) == 0)
            #expect(try keys(region).signingKey.publicKey == made)
            #expect(try !File.exists(path))
            #expect(try CordonCLI.auditReader(region).keyChain().links.count == changes + 1)
            #expect(run("audit", "verify", "--region", region.name) == 0)
        }
        // The next key was made, and no more.
        let first = try keys(region)
        let second = try first.nextSigningKey()
        try finish(second.publicKey, changes: 1)

        // It was introduced: the old key, which still lies in its place, signs nothing more.
        let before = try keys(region)
        let third = try before.nextSigningKey()
        try AuditLog(
            directory: region.auditDirectory, region: region.name, key: before.signingKey
        ).introduce(third)
        #expect(throws: AuditError.keyReplaced(path: region.auditDirectory)) {
            _ = try AuditLog(
                directory: region.auditDirectory, region: region.name, key: before.signingKey)
        }
        try finish(third.publicKey, changes: 2)

        // It took the old one's place, and its own file was left.
        let last = try keys(region)
        let fourth = try last.nextSigningKey()
        try AuditLog(directory: region.auditDirectory, region: region.name, key: last.signingKey)
            .introduce(fourth)
        let bytes = try File.read(path)
        try last.adoptNextSigningKey(fourth.publicKey)
        try File.write(path, bytes)
        try finish(fourth.publicKey, changes: 3)
    }

    @Test func `the doctor tells a log that nobody else has seen`() throws {
        let region = try #require(try regions().first)
        let check = "region \(region.name), witnesses"
        let before = project.doctor().first { $0.check == check }
        #expect(before?.state == .doubtful)
        #expect(before?.fix?.contains("cordon audit witness") == true)
        #expect(run("audit", "witness") == 0)
        #expect(project.doctor().first { $0.check == check }?.state == .well)
    }

    @Test func `the record of processing adds up what the logs have of the period`() throws {
        let configuration = try project.configuration()
        let region = try #require(configuration.regions.first { $0.name == "eu-central" })
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let day = Day(year: 2026, month: 3, day: 1)
        func entry(
            _ days: Int, _ kind: String, from place: String? = nil,
            _ fields: [String: AuditEntry.Value] = [:]
        ) -> AuditEntry {
            AuditEntry(
                at: (day + days).start, kind: kind, region: region.name,
                principal: place.map {
                    Principal(role: "analyst", purpose: "audience-measurement", place: $0)
                }, fields: fields)
        }
        try AuditLog(directory: region.auditDirectory, region: region.name, key: keys.signingKey)
            .append([
                entry(-9, "erasure-intent", ["request": "a"]),
                entry(0, "edge.ledger", ["received": 7, "kept": 5, "counted": 2, "report": 1]),
                entry(1, "edge.ledger", ["received": 3, "kept": 3, "report": 2]),
                entry(2, "query-answered", from: "DE", ["rows": 4]),
                entry(2, "query-answered", from: "DE", ["rows": 2]),
                entry(2, "query-answered", from: "NZ", ["rows": 1]),
                entry(3, "query-refused", from: "CN"),
                entry(3, "subject-find", ["request": "b"]),
                entry(4, "erasure-intent", ["request": "b"]),
                entry(30, "erased", ["request": "a"]),
                entry(99, "edge.ledger", ["received": 100, "report": 3]),
            ])
        var options = ProcessingRecord.Options()
        options.since = day
        options.until = day + 40
        options.controller = "Example <b>Ltd</b> | Berlin"
        let record = try ProcessingRecord(
            configuration, regions: [region], options: options, clock: FixedClock(day: day + 40))
        let told = try #require(record.regions.first)
        #expect(told.entries == 9)
        #expect(told.hits == ["received": 10, "kept": 8, "counted": 2])
        #expect(told.queries.map(\.place) == ["DE"])
        #expect(told.queries.map(\.answers) == [2])
        #expect(told.queries.map(\.rows) == [6])
        #expect(told.transfers.map(\.place) == ["NZ"])
        #expect(told.refusals == ["query-refused": 1])
        #expect(told.requests == ["subject-find": 1, "erasure-intent": 1, "erased": 1])
        #expect(told.erasures.done == 1)
        #expect(told.erasures.daysMax == 39)
        #expect(told.erasures.late == 1)
        #expect(told.erasures.open == 1)
        #expect(told.erasures.overdue == 1)
        #expect(told.erasures.nextDue == (day + 4 + 28).text)
        // A period that is over is told as it stood at its end, whatever day it is now.
        options.until = day + 20
        let earlier = try ProcessingRecord(
            configuration, regions: [region], options: options, clock: FixedClock(day: day + 90))
        #expect(earlier.regions.map(\.erasures.open) == [2])
        #expect(earlier.regions.map(\.erasures.overdue) == [1])
        let gdpr = try #require(record.activities.first { $0.policy == "gdpr" })
        #expect(gdpr.purposes.contains("audience-measurement"))
        #expect(gdpr.categories.first { $0.field == "visitor" }?.days == 30)
        #expect(gdpr.transfers.map(\.minGroup) == [20])
        #expect(record.activities.allSatisfy { $0.region == nil || $0.region == "eu-central" })

        #expect(record.html.contains("Example &lt;b&gt;Ltd&lt;/b&gt; | Berlin"))
        #expect(record.markdown.contains("Example \\<b>Ltd\\</b> \\| Berlin"))
        // Every row of a table has as many cells as its head.
        var cells = 0
        for line in record.markdown.split(separator: "\n", omittingEmptySubsequences: false) {
            let count = line.replacing("\\|", with: "").count { $0 == "|" }
            if !line.hasPrefix("|") { cells = 0 } else if cells == 0 { cells = count }
            #expect(count == cells, "\(line)")
        }
    }

    @Test func `the record of processing is printed, and written where it is wanted`() throws {
        let file = project.directory.file("record.html")
        #expect(run("audit", "report") == 0)
        #expect(run("audit", "report", "--json", "--since", "2026-01-01") == 0)
        #expect(run("audit", "report", "--format", "html", "--out", file) == 0)
        let page = String(decoding: try File.read(file), as: UTF8.self)
        #expect(page.contains("Record of processing activities") && page.contains("gdpr"))
        #expect(run("audit", "report", "--format", "pdf") == 2)
        #expect(run("audit", "report", "--since", "2026-02-30") == 2)
        #expect(run("audit", "report", "--since", "2026-02-03", "--until", "2026-02-01") == 2)
    }

    @Test func `wrong use is told apart`() {
        #expect(run("audit", "log", "--region", "eu-centrl") == 2)
        #expect(run("audit", "log", "--limit", "0") == 2)
        #expect(run("audit", "log", "--since", "yesterday") == 2)
        #expect(run("audit", "verify", "--key", "nonsense") == 2)
    }
}
