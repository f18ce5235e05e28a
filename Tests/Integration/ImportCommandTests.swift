import CordonJournal
import CordonModel
import Foundation
import TestSupport
import Testing

/// `cordon import` as a person runs it: files of every format, given again, cut, grown, and killed.
@Suite(.serialized) struct `Importing with the program` {
    private let directory: TemporaryDirectory
    /// The logs to import, apart from the project: they hold what the project may not.
    private let logs: TemporaryDirectory
    private let cordon: CordonProgram
    private static let regions = ["ap-south", "eu-central", "us-east"]

    init() throws {
        directory = try TemporaryDirectory()
        logs = try TemporaryDirectory(holdsRawValues: true)
        cordon = try CordonProgram(projectIn: directory)
        SentValues.note(Self.addresses + [Self.user, Self.userAgent])
    }

    private static func run(_ words: String...) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }

    private static let addresses = ["46.4.10.20", "8.8.8.9", "49.36.1.2"]
    private static let user = "person77@mail.example"
    private static let userAgent =
        "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"

    /// A line of standard logs in version 2; each has an event of its own.
    private func line(_ number: Int, at time: Double = Date().timeIntervalSince1970) -> String {
        [
            String(Int(time * 1000)), Self.addresses[number % 3], "GET", "pixel.example",
            "/pixel.gif",
            Self.userAgent.replacing(" ", with: "%20"),
            "site=shop.example&event=e\(number)&consent=granted&userid="
                + Self.user.replacing("@", with: "%40"),
            "-",
        ].joined(separator: "\t")
    }

    private static let header =
        "#Version: 1.0\n#Fields: timestamp(ms) c-ip cs-method x-host-header cs-uri-stem cs(User-Agent) "
        + "cs-uri-query cs(Cookie)\n"

    private func write(_ name: String, _ text: String) throws -> String {
        let path = logs.file(name)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func bring(_ words: String...) throws -> CordonProgram.Result {
        try cordon.run(
            ["import", "--unlogged-signals", "absent", "--format"] + words)
    }

    /// The events of all records in all journals.
    private func events() throws -> [String] {
        try Self.regions.flatMap { region in
            let journal = try Journal(path: cordon.project + "/var/\(region)/journal.sqlite")
            return try journal.read(after: .none, bytesMax: .max).flatMap {
                try HitBatch(decoding: $0.bytes).records.map(\.event)
            }
        }
    }

    private func pack(_ path: String) throws -> String {
        try Self.run("gzip", "-k", path)
        return path + ".gz"
    }

    @Test func `a file is taken once, also under another name, and told to the audit log`() throws {
        let text = Self.header + (0..<90).map { line($0) }.joined(separator: "\n")
        let path = try write("one.log", text)
        let first = try bring("cloudfront-standard", path)
        #expect(first.exitCode == 0, "\(first.output) \(first.errorOutput)")
        #expect(first.output.contains("92 lines"))
        #expect(Set(try events()).count == 90)
        let copy = try write("two.log", text)
        let again = try bring("cloudfront-standard", copy, path)
        #expect(again.exitCode == 0)
        #expect(again.output.contains("imported before"))
        #expect(try events().count == 90)
        let log = try cordon.run("audit", "log", "--kind", "import.file", "--json")
        #expect(log.output.contains("\"kept\":30"), "\(log.output)")
        #expect(!log.output.contains("one.log"))
        let ledger = try cordon.run("audit", "log", "--kind", "edge.ledger")
        #expect(ledger.output.contains("kept=30"), "\(ledger.output)")
        let verified = try cordon.run("audit", "verify")
        #expect(verified.exitCode == 0, "\(verified.output)")
    }

    @Test func `a log that has grown is gone on with behind what was in`() throws {
        let start = Self.header + (0..<60).map { line($0) + "\n" }.joined()
        #expect(try bring("cloudfront-standard", write("a.log", start)).exitCode == 0)
        let more = start + (60..<90).map { line($0) + "\n" }.joined()
        let second = try bring("cloudfront-standard", write("a.log", more))
        #expect(second.output.contains("30 lines, behind 62 that were in"), "\(second.output)")
        #expect(try events().count == 90)
        #expect(Set(try events()).count == 90)
    }

    /// What the program says of each file, from `--json`.
    private struct Said: Decodable, Equatable {
        var state: String
        var lines: Int
        var linesBefore: Int

        private enum CodingKeys: String, CodingKey {
            case state, lines
            case linesBefore = "lines_before"
        }
    }

    private func said(_ words: [String]) throws -> [Said] {
        let result = try cordon.run(
            ["import", "--json", "--unlogged-signals", "absent", "--format", "cloudfront-standard"]
                + words)
        try #require(result.exitCode == 0, "\(result.output) \(result.errorOutput)")
        return try result.output.split(separator: "\n").map {
            try JSONDecoder().decode(Said.self, from: Data($0.utf8))
        }
    }

    @Test func `a quiet hour with nothing but a header stands for no other file`() throws {
        let a = try write("a.log", Self.header)
        let b = try write("b.log", Self.header + (0..<5).map { line($0) + "\n" }.joined())
        let c = try write("c.log", Self.header + (5..<10).map { line($0) + "\n" }.joined())
        let known = Said(state: "known", lines: 0, linesBefore: 7)
        #expect(
            try said([a, b, a, c, b]) == [
                Said(state: "imported", lines: 2, linesBefore: 0),
                Said(state: "imported", lines: 5, linesBefore: 2),
                Said(state: "known", lines: 0, linesBefore: 2),
                Said(state: "imported", lines: 5, linesBefore: 2), known,
            ])
        #expect(try events().sorted() == (0..<10).map { "e\($0)" })
        // Another run finds the same.
        #expect(try said([c, b]) == [known, known])
        #expect(try events().count == 10)
        let log = try cordon.run("audit", "log", "--kind", "import.file", "--json")
        #expect(log.output.contains("\"no-request\":2"), "\(log.output)")
    }

    @Test func `beginnings and forks of a log come in once, whatever comes again and when`() throws
    {
        var random = Generator()
        var wanted: Set<String> = []
        for round in 0..<5 {
            var number = round * 1000
            /// Bytes of a file by what it is named, each a longer form of the one it is named after.
            var texts = ["log": Self.header]
            var parents: [String: String] = [:]
            for place in 0..<6 {
                let parent = texts.keys.sorted().randomElement(using: &random)!
                let name = "\(parent)-\(place)"
                let count = Int.random(in: 1...4, using: &random)
                let lines = (number..<number + count).map { line($0) + "\n" }
                wanted.formUnion((number..<number + count).map { "e\($0)" })
                number += count
                texts[name] = texts[parent]! + lines.joined()
                parents[name] = parent
            }
            // A beginning before what begins with it, in any order beside, and anything again at any time.
            var order: [String] = []
            var left = Set(texts.keys)
            while !left.isEmpty {
                let ready = left.filter { parents[$0].map { !left.contains($0) } ?? true }
                let next = ready.sorted().randomElement(using: &random)!
                left.remove(next)
                order.append(next)
                if random.chance(0.6) { order.append(order.randomElement(using: &random)!) }
            }
            let paths = try order.map { try write("\(round)-\($0).log", texts[$0]!) }
            // Over two runs, so that half of it is read back from the journals.
            let half = Int.random(in: 0...paths.count, using: &random)
            for part in [paths.prefix(half), paths.suffix(paths.count - half)] where !part.isEmpty {
                _ = try said(Array(part))
            }
            let found = try events()
            #expect(found.count == wanted.count, "seed \(random.seed), \(order), \(half)")
            #expect(Set(found) == wanted, "seed \(random.seed), \(order), \(half)")
        }
    }

    @Test func `what was taken for one region is taken for the others when they are given it`()
        throws
    {
        let text = Self.header + (0..<30).map { line($0) + "\n" }.joined()
        let path = try write("l.log", text)
        let narrow = try said(["--region", "eu-central", path])
        #expect(narrow == [Said(state: "imported", lines: 32, linesBefore: 0)])
        #expect(try events().count == 10)
        #expect(try said([path]) == [Said(state: "imported", lines: 32, linesBefore: 0)])
        #expect(try events().sorted() == (0..<30).map { "e\($0)" }.sorted())
        #expect(try said([path]) == [Said(state: "known", lines: 0, linesBefore: 32)])
        // And one that has grown since: each region goes on behind its own.
        let more = try write("l.log", text + (30..<60).map { line($0) + "\n" }.joined())
        #expect(try said(["--region", "us-east", more])[0].lines == 30)
        #expect(try events().count == 40)
        #expect(try said([more])[0].lines == 30)
        #expect(try events().count == 60)
        #expect(Set(try events()).count == 60)
        let states: [ImportMark.State] = try Self.regions.flatMap { region in
            let journal = try Journal(path: cordon.project + "/var/\(region)/journal.sqlite")
            return try journal.importMarks().map(\.state)
        }
        #expect(states.allSatisfy { $0 == .told })
    }

    @Test func `an archive that is cut gives the lines before, and the whole one the rest`() throws
    {
        let text = Self.header + (0..<1500).map { line($0) }.joined(separator: "\n")
        let packed = try pack(write("b.log", text))
        let bytes = try Data(contentsOf: URL(fileURLWithPath: packed))
        let cut = logs.file("cut.gz")
        try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: cut))
        let first = try bring("cloudfront-standard", cut)
        #expect(first.exitCode == 4)
        #expect(first.errorOutput.contains("the file is cut"), "\(first.errorOutput)")
        let count = try events().count
        #expect(count > 100 && count < 1500)
        let longer = logs.file("longer.gz")
        try bytes.prefix(bytes.count * 3 / 4).write(to: URL(fileURLWithPath: longer))
        #expect(try bring("cloudfront-standard", longer).exitCode == 4)
        let second = try bring("cloudfront-standard", packed)
        #expect(second.exitCode == 0, "\(second.output) \(second.errorOutput)")
        #expect(try events().count == 1500)
        #expect(Set(try events()).count == 1500)
        // The whole one has brought the rest of both.
        let again = try bring("cloudfront-standard", cut, longer)
        #expect(again.exitCode == 0, "\(again.output) \(again.errorOutput)")
        #expect(try events().count == 1500)
    }

    @Test func `a run that is killed at any moment is gone on with, each line once`() throws {
        var random = Generator()
        let text = Self.header + (0..<2000).map { line($0) }.joined(separator: "\n")
        let path = try write("killed.log", text)
        for _ in 0..<3 {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: CordonProgram.path)
            process.arguments = [
                "import", "--format", "cloudfront-standard", "--unlogged-signals", "absent",
                "--batch", "100", "--project", cordon.project, path,
            ]
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            let journal = try Journal(path: cordon.project + "/var/us-east/journal.sqlite")
            let before = try journal.depth().hits
            let wanted = before + Int.random(in: 30...200, using: &random)
            try process.run()
            while process.isRunning, try journal.depth().hits < wanted { usleep(500) }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        let last = try bring("cloudfront-standard", path)
        #expect(last.exitCode == 0, "\(last.output) \(last.errorOutput)")
        let events = try events()
        #expect(events.count == 2000, "seed \(random.seed)")
        #expect(Set(events).count == 2000, "seed \(random.seed)")
        let scan = try cordon.run(
            "scan", Self.user, Self.addresses[0], "--path", cordon.project,
            "--without", "ipv4-bytes", "--without", "ipv4-bytes-reversed", "--without",
            "hex of ipv4-bytes")
        #expect(scan.exitCode == 0, "\(scan.output)")
    }

    @Test func `other formats come in too, from standard input as well`() throws {
        let time = ISO8601DateFormatter().string(from: Date())
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "UTC")
        formatter.dateFormat = "dd/MMM/yyyy:HH:mm:ss +0000"
        let combined =
            #"46.4.10.20 - - [\#(formatter.string(from: Date()))] "GET /hit?event=c&consent=granted HTTP/1.1" 204 0 "-" "curl/8""#
        let json =
            #"{"time":"\#(time)","client_ip":"46.4.10.20","method":"GET","url":"/hit?event=j&consent=granted","headers":{}}"#
        #expect(try bring("combined", write("c.log", combined)).exitCode == 0)
        let standard = try cordon.run(["import", "--format", "ndjson", "-"], input: json + "\n")
        #expect(standard.exitCode == 0, "\(standard.output) \(standard.errorOutput)")
        #expect(standard.errorOutput.contains("cannot be gone on with"))
        #expect(try events().sorted() == ["c", "j"])
    }

    @Test func `a Parquet file of standard logs is read row by row`() throws {
        let path = logs.file("v2.parquet")
        let millis = Int(Date().timeIntervalSince1970 * 1000)
        try ParquetFile.write(
            """
            SELECT '\(millis)' AS "timestamp(ms)", '46.4.10.20' AS "c-ip", 'GET' AS "cs-method",
                   '/hit' AS "cs-uri-stem", 'event=p' || i || '&consent=granted' AS "cs-uri-query",
                   'curl/8' AS "cs(User-Agent)", '-' AS "cs(Cookie)"
            FROM range(200) AS r(i)
            """, to: path)
        let first = try bring("cloudfront-standard", path)
        #expect(first.exitCode == 0, "\(first.output) \(first.errorOutput)")
        #expect(Set(try events()).count == 200)
        #expect(try bring("cloudfront-standard", path).output.contains("imported before"))
        let other = logs.file("other.parquet")
        try ParquetFile.write("SELECT 1 AS a", to: other)
        #expect(try bring("ndjson", other).exitCode == 4)
    }

    @Test func `mistakes are named, refused lines are counted by reason and never shown`() throws {
        let text = Self.header + line(1) + "\nsecret-text-77\n" + line(2, at: 4_000_000_000) + "\n"
        let result = try bring("cloudfront-standard", write("d.log", text))
        #expect(result.exitCode == 1)
        #expect(result.output.contains("wrong field count"))
        #expect(result.output.contains("in the future"))
        #expect(!(result.output + result.errorOutput).contains("secret-text-77"))
        let json = try cordon.run(
            ["import", "--json", "--format", "cloudfront-standard", logs.file("d.log")])
        #expect(json.output.contains(#""state":"known""#), "\(json.output)")
        #expect(try bring("cloudfront-real", "x").errorOutput.contains("did you mean"))
        let unknown = try bring("cloudfront-realtime", "--fields", "timestamp,c-up", "x")
        #expect(unknown.exitCode == 2)
        #expect(unknown.errorOutput.contains("did you mean `c-ip`?"), "\(unknown.errorOutput)")
        #expect(try bring("combined", logs.path).errorOutput.contains("no regular file"))
        #expect(try bring("combined", logs.file("none")).exitCode == 4)
    }
}
