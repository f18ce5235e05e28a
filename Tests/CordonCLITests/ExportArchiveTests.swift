import Bytes
import CordonModel
import CordonSubjects
import Crypto
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import CordonCLI

@Suite struct `An export archive` {
    private let folder: TemporaryDirectory
    private let time = Timestamp(
        microseconds: Day(year: 2026, month: 11, day: 29).start.microseconds + 3_661_000_000)

    init() throws { folder = try TemporaryDirectory() }

    private struct Failure: Error {}

    private func write(_ name: String, to recipient: X25519PublicKey? = nil) throws -> String {
        let path = folder.file(name)
        try ExportArchive.write(path, to: recipient, at: time) { archive in
            try archive.begin("export.json")
            let table = try archive.spool("eu.csv")
            for number in 0..<3000 {
                try archive.write("{\"number\":\(number),\"text\":\"größer\"}\n")
                try table("\(number),größer\r\n")
            }
            try archive.end()
            try archive.addSpools()
            try archive.begin("empty.txt")
            try archive.end()
        }
        return path
    }

    /// What another program reads in it: names, sizes, dates and the sums of the contents.
    private func read(_ path: String) throws -> String {
        let script = """
            import sys, zipfile, hashlib
            z = zipfile.ZipFile(sys.argv[1])
            assert z.testzip() is None
            for i in z.infolist():
                print(i.filename, i.file_size, i.date_time[:5], oct(i.external_attr >> 16), hashlib.sha256(z.read(i)).hexdigest())
            """
        let result = try Tool.run("python3", ["-c", script, path])
        #expect(result.exitCode == 0, "\(result.output)")
        return result.output
    }

    private var expected: String {
        func line(_ name: String, _ text: String) -> String {
            let bytes = Array(text.utf8)
            return
                "\(name) \(bytes.count) (2026, 11, 29, 1, 1) 0o100600 \(Bytes.hex(SHA256.hash(bytes)))\n"
        }
        let numbers = 0..<3000
        return line(
            "export.json",
            numbers.map { "{\"number\":\($0),\"text\":\"größer\"}\n" }.joined())
            + line("eu.csv", numbers.map { "\($0),größer\r\n" }.joined()) + line("empty.txt", "")
    }

    @Test func `another program reads every member as it was written`() throws {
        let path = try write("a.zip")
        let found = try read(path)
        #expect(found == expected)
        #expect(try File.metadata(path)?.permissions == 0o600)
        #expect(try Directory.list(folder.path) == ["a.zip"])
    }

    @Test func `sealed to a key that OpenSSL made, only that key opens it`() throws {
        for name in ["one", "two"] {
            let made = try Tool.run(
                "openssl", ["genpkey", "-algorithm", "X25519", "-out", folder.file(name)])
            #expect(made.exitCode == 0, "\(made.output)")
            let given = try Tool.run(
                "openssl",
                ["pkey", "-in", folder.file(name), "-pubout", "-out", folder.file(name + ".pub")])
            #expect(given.exitCode == 0, "\(given.output)")
        }
        let path = try write("a.sealed", to: ExportKeys.publicKey(folder.file("one.pub")))
        let bytes = try File.read(path)
        #expect(!bytes.starts(with: Array("PK".utf8)))
        let out = folder.file("a.zip")
        try ExportArchive.open(path, with: ExportKeys.privateKey(folder.file("one")), to: out)
        let found = try read(out)
        #expect(found == expected)
        let other = folder.file("b.zip")
        #expect(throws: (any Error).self) {
            try ExportArchive.open(path, with: ExportKeys.privateKey(folder.file("two")), to: other)
        }
        #expect(try !File.exists(other))
        #expect(throws: CommandFailure.self) { try ExportKeys.publicKey(folder.file("one")) }
        #expect(throws: CommandFailure.self) { try ExportKeys.privateKey(folder.file("one.pub")) }
    }

    @Test func `what failed leaves no archive, and nothing is written over`() throws {
        let path = folder.file("a.zip")
        #expect(throws: Failure.self) {
            try ExportArchive.write(path, to: nil, at: time) { archive in
                try archive.begin("export.json")
                _ = try archive.spool("eu.csv")
                throw Failure()
            }
        }
        #expect(try Directory.list(folder.path).isEmpty)
        _ = try write("a.zip")
        #expect(throws: CommandFailure.self) { try write("a.zip") }
    }

    @Test func `the page says what is held, what for, how long and who may see it`() throws {
        var page = ExportPage(madeAt: time)
        var finding = SubjectFinding()
        finding.rows = 3
        finding.journalHits = 1
        finding.keysFrom = Day(year: 2026, month: 11, day: 1)
        finding.keysLost = [Day(year: 2026, month: 12, day: 1)]
        page.add(
            ExportHeading(
                region: "eu", title: "Union <Frankfurt>", jurisdiction: "DE",
                policies: [
                    .init(
                        policy: "gdpr", title: "General Regulation", source: "articles 4-7",
                        purposes: ["audience-measurement"], retentionDays: 395,
                        fieldDays: ["user": 90], recipients: ["analyst: aggregates"])
                ]), finding)
        for text in [
            "Union &lt;Frankfurt&gt;", "4 events", "articles 4-7", "audience-measurement",
            "395 days", "user: 90 days", "analyst: aggregates", "2026-11-01", "eu.csv",
            "a part of the time since 2026-12-01 was destroyed",
        ] {
            #expect(page.html.contains(text), "\(text)")
        }
        #expect(!page.html.contains("<Frankfurt>"))
    }
}
