import AccessLogs
import Bytes
import Compression
import CordonJournal
import CordonKeys
import CordonModel
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import CordonEdge

/// A log in memory.
private final class Text: ByteSource {
    private var rest: ArraySlice<UInt8>
    init(_ text: String) { rest = Array(text.utf8)[...] }
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let part = rest.prefix(buffer.count)
        buffer.copyBytes(from: part)
        rest = rest.dropFirst(part.count)
        return part.count
    }
}

@Suite struct `Importing logs` {
    private let fixture: EdgeFixture
    private let journals: [Journal]
    private let now = Timestamp(microseconds: SystemClock.realtimeMicroseconds())

    init() throws {
        fixture = try EdgeFixture(loops: 1)
        journals = try fixture.regions.map { try Journal(path: $0.journalPath) }
    }

    private static let columns = [
        "timestamp", "c-ip", "cs-method", "cs-host", "cs-uri-stem", "cs-user-agent", "cs-referer",
        "cs-headers",
    ]

    /// A line of a real-time log with ``columns``.
    private func line(
        _ address: String, _ target: String, at time: Timestamp? = nil, agent: String = "Firefox/1",
        headers: [String] = []
    ) -> String {
        let seconds = Double((time ?? now).microseconds) / 1e6
        let lines = (["Host: pixels.example"] + headers).map { $0 + "%0A" }.joined()
        return [
            String(format: "%.3f", seconds), address, "GET", "pixels.example", target,
            agent.replacingOccurrences(of: " ", with: "%20"), "-",
            lines.replacingOccurrences(of: " ", with: "%20"),
        ].joined(separator: "\t")
    }

    private struct Run {
        var report: ImportReport
        var marks: [ImportMark]
    }

    private func marks(_ name: UInt8) -> [ImportMark] {
        let file = [UInt8](repeating: name, count: 32)
        return journals.map { _ in
            ImportMark(file: file, digest: file, bytes: 1, lines: 0, state: .begun, decidedBy: [])
        }
    }

    /// Runs for `regions` alone, with their marks in order; nil is all.
    private func bring(
        _ log: String, format: LogFormat = .cloudFrontRealTime, columns: [String]? = Self.columns,
        settings: HitImporter.Settings = .init(), marks: [ImportMark]? = nil,
        regions: [Int]? = nil,
        moment: @escaping (HitImporter.Moment) throws -> Void = { _ in }
    ) throws -> Run {
        var context = fixture.collector.context
        if let regions {
            context = try EdgeContext(
                ruleSet: context.ruleSet, geoTable: context.geoTable,
                userAgents: context.userAgents, keys: regions.map { fixture.keys[$0] },
                today: context.keyDay)
        }
        let importer = try HitImporter(
            context: context, journals: regions.map { $0.map { journals[$0] } } ?? journals,
            settings: settings, now: now, moment: moment)
        let report = try importer.run(
            LineReader(try UnpackedSource(Text(log))), LogReader(format, columns: columns),
            marks: marks ?? self.marks(1))
        return Run(report: report, marks: importer.marks)
    }

    /// Each region's records without what differs from hit to hit.
    private func records() throws -> [String: [HitRecord]] {
        var all: [String: [HitRecord]] = [:]
        for region in fixture.regions {
            all[region.name] = try fixture.records(region.name).map { record in
                var record = record
                record.hitID = 0
                record.timestamp = Timestamp(microseconds: 0)
                return record
            }.sorted { "\($0)" < "\($1)" }
        }
        return all
    }

    @Test func `a line gives the record that the same request gives live`() throws {
        var random = Generator()
        let addresses = [EdgeFixture.german, EdgeFixture.american, EdgeFixture.indian, "::1"]
        let queries = [
            "",
            "?event=view&userid=u1%40mail.example&consent=granted&url=https%3A%2F%2Fa.example%2Fp%3Fq",
            "?consent=denied", "?site=shop.example&value=3&consent=granted",
            "?consent=audience-measurement&ref=https%3A%2F%2Fr.example%2F&sku=%2541",
        ]
        let headers = [
            [], ["Sec-GPC: 1"], ["DNT: 1"], ["Cookie: consent=granted"], ["DNT: 1", "DNT: 0"],
        ]
        var requests: [(String, String, [String])] = []
        for _ in 0..<150 {
            requests.append(
                (
                    addresses.randomElement(using: &random)!,
                    ["/pixel.gif", "/1x1.png", "/hit"].randomElement(using: &random)!
                        + queries.randomElement(using: &random)!,
                    headers.randomElement(using: &random)!
                ))
        }
        let client = try fixture.client()
        for (address, target, headers) in requests {
            let answer = client.get(
                target,
                ["X-Forwarded-For: \(address)", "User-Agent: Firefox/1 Linux"] + headers)
            #expect(answer?.status == 200 || answer?.status == 204)
        }
        fixture.collector.drain()
        let live = try records()
        for journal in journals { try journal.delete(through: BatchNumber(.max)) }
        let log = requests.map { line($0, $1, agent: "Firefox/1 Linux", headers: $2) }
        let run = try bring(log.joined(separator: "\n"))
        let imported = try records()
        #expect(imported == live, "seed \(random.seed)")
        #expect(run.report.lines == requests.count)
        #expect(run.report.refusedLines == 0)
        #expect(
            run.report.total(.kept) + run.report.total(.counted)
                == live.values.reduce(0) { $0 + $1.count }, "seed \(random.seed)")
    }

    @Test func `a run that ends before or after any commit is gone on with, each line once`() throws
    {
        defer { fixture.collector.drain() }
        struct Ended: Error {}
        let addresses = [EdgeFixture.german, EdgeFixture.american, EdgeFixture.indian]
        let log = (0..<400).map { number in
            line(addresses[number % 3], "/hit?consent=granted&event=e\(number)")
        }.joined(separator: "\n")
        var settings = HitImporter.Settings()
        settings.windowLines = 100
        var ends = 0
        for name in 1...UInt8.max {
            for journal in journals { try journal.delete(through: BatchNumber(.max)) }
            var marks = marks(name)
            var left = Int(name)
            do {
                _ = try bring(log, settings: settings, marks: marks) { _ in
                    left -= 1
                    // Nothing is written from there on, as after a kill.
                    if left <= 0 { throw Ended() }
                }
                break
            } catch is Ended {
                ends += 1
            }
            // What a new process finds.
            marks = try zip(journals, marks).map { journal, mark in
                try journal.importMarks().first { $0.file == mark.file } ?? mark
            }
            let second = try bring(log, settings: settings, marks: marks)
            #expect(second.marks.allSatisfy { $0.lines == 400 && $0.state == .whole })
            let events = try fixture.regions.flatMap { try fixture.records($0.name).map(\.event) }
            #expect(events.count == 400, "ended at moment \(name)")
            #expect(Set(events).count == 400, "ended at moment \(name)")
            let counted = try journals.flatMap { try $0.importCounts(of: marks[0].file) }
            #expect(counted.reduce(0) { $0 + $1.lines } == 400, "ended at moment \(name)")
        }
        // Four windows and the end, three regions, two moments each.
        #expect(ends == 5 * 3 * 2)
    }

    @Test func `a file that was cut between two regions is not gone on with under other options`()
        throws
    {
        defer { fixture.collector.drain() }
        struct Ended: Error {}
        let log = line(EdgeFixture.german, "/hit?consent=granted")
        var own = marks(1)
        #expect(throws: Ended.self) {
            try bring(log, marks: own) { if $0 == .afterCommit(slot: 0) { throw Ended() } }
        }
        own = try zip(journals, own).map { journal, mark in
            try journal.importMarks().first { $0.file == mark.file } ?? mark
        }
        var other = HitImporter.Settings()
        other.takesUnloggedAsAbsent = true
        #expect(throws: ImportError.self) { try bring(log, settings: other, marks: own) }
        #expect(throws: Never.self) { try bring(log, marks: own) }
    }

    /// What a new process finds.
    private func found(_ own: [ImportMark]) throws -> [ImportMark] {
        try zip(journals, own).map { journal, mark in
            try journal.prepareImports()
            return try journal.importMarks().first { $0.file == mark.file } ?? mark
        }
    }

    @Test func `regions that lack what another one took alone catch up, each line once`() throws {
        defer { fixture.collector.drain() }
        struct Ended: Error {}
        let addresses = [EdgeFixture.german, EdgeFixture.american, EdgeFixture.indian]
        SentValues.note(addresses)
        let log = (0..<300).map { number in
            number % 10 == 9
                ? line(addresses[0], "/other")
                : line(addresses[number % 3], "/hit?consent=granted&event=e\(number)")
        }.joined(separator: "\n")
        var settings = HitImporter.Settings()
        settings.windowLines = 100
        for slot in journals.indices {
            let name = UInt8(10 + slot)
            for journal in journals { try journal.delete(through: BatchNumber(.max)) }
            let narrow = try bring(
                log, settings: settings, marks: [marks(name)[slot]], regions: [slot])
            #expect(narrow.report.total(.away) == 180)
            #expect(narrow.report.notHits == 30)
            // The first run for all is killed on its way.
            var left = 3
            #expect(throws: Ended.self) {
                try bring(log, settings: settings, marks: try found(marks(name))) { _ in
                    left -= 1
                    if left == 0 { throw Ended() }
                }
            }
            let whole = try bring(log, settings: settings, marks: try found(marks(name)))
            #expect(whole.marks.allSatisfy { $0.lines == 300 && $0.state == .whole })
            let events = try fixture.regions.flatMap { try fixture.records($0.name).map(\.event) }
            #expect(events.count == 270)
            #expect(Set(events).count == 270)
            let counts = try journals.flatMap {
                try $0.importCounts(of: whole.marks[0].file)
            }
            #expect(counts.filter { $0.outcome == "not a hit" }.map(\.lines) == [30])
        }
    }

    @Test func `regions do not catch up under other options, and the error says why`() throws {
        defer { fixture.collector.drain() }
        SentValues.note(EdgeFixture.german)
        let log = line(EdgeFixture.german, "/hit?consent=granted")
        _ = try bring(log, marks: [marks(1)[0]], regions: [0])
        var other = HitImporter.Settings()
        other.takesUnloggedAsAbsent = true
        let error = #expect(throws: ImportError.self) {
            try bring(log, settings: other, marks: try found(marks(1)))
        }
        let text = try #require(error).description
        #expect(text.hasPrefix("lines 1 to 1 of this file are in the journals of some"))
        #expect(throws: Never.self) { try bring(log, marks: try found(marks(1))) }
    }

    @Test func `lines that are no hits, and those of other regions, are counted and not kept`()
        throws
    {
        defer { fixture.collector.drain() }
        let german = EdgeFixture.german
        let later = Timestamp(
            microseconds: now.microseconds + HitImporter.futureMicrosecondsMax + 1_000_000)
        let old = Timestamp(microseconds: now.microseconds - 4000 * Timestamp.microsecondsPerDay)
        let lines = [
            line(german, "/style.css"), line(german, "/pixel.gif/x"), "",
            line(german, "/hit").replacingOccurrences(of: "\tGET\t", with: "\tPOST\t"),
            line("not-an-address", "/hit"), line(german, "/hit", at: later),
            line(german, "/hit?consent=granted", at: old), "one\ttwo",
            line(german, "/hit?x=" + String(repeating: "y", count: 20_000)),
            String(repeating: "z", count: 1 << 20), line(german, "/hit?\u{1}"),
        ]
        let report = try bring(lines.joined(separator: "\r\n")).report
        #expect(report.lines == 11)
        #expect(report.notHits == 3)
        #expect(report.blank == 1)
        let refused = zip(ImportRefusal.all, report.refused).filter { $0.1 > 0 }
        #expect(
            Dictionary(uniqueKeysWithValues: refused.map { ($0.0.text, $0.1) }) == [
                "bad address": 1, "in the future": 1, "outside retention": 1,
                "wrong field count": 1, "too long": 2, "bad encoding": 1,
            ])
        for region in fixture.regions { #expect(try fixture.records(region.name).isEmpty) }
    }

    @Test func `a day whose keys are gone gives hits without pseudonyms, and no key is made`()
        throws
    {
        defer { fixture.collector.drain() }
        let past = Timestamp(microseconds: now.microseconds - 40 * Timestamp.microsecondsPerDay)
        let target = "/hit?consent=granted&userid=u1"
        let before = try fixture.keys.map { try $0.epochs() }
        let run = try bring(
            [line(EdgeFixture.german, target, at: past), line(EdgeFixture.german, target)]
                .joined(separator: "\n"))
        #expect(try fixture.keys.map { try $0.epochs() } == before)
        #expect(run.report.keysMissing == 1)
        let records = try fixture.records("eu-central").sorted { $0.timestamp < $1.timestamp }
        #expect(records.map { $0.visitor != nil } == [false, true])
        #expect(records.map { $0.user != nil } == [false, true])
        #expect(records.map { Day($0.timestamp) } == [Day(past), Day(now)])
    }

    @Test func `a run that a key ends is gone on with at the line that needed it, each line once`()
        throws
    {
        defer { fixture.collector.drain() }
        SentValues.note(EdgeFixture.german)
        let slot = try #require(fixture.regions.firstIndex { $0.name == "eu-central" })
        let folder = fixture.regions[slot].keysDirectory + "/pseudonym"
        let names = { try Set(FileManager.default.contentsOfDirectory(atPath: folder)) }
        let before = try names()
        let past = Timestamp(microseconds: now.microseconds - 3 * Timestamp.microsecondsPerDay)
        for period in KeyPeriod.allCases {
            for field in PseudonymField.allCases {
                _ = try fixture.keys[slot].pseudonymKey(field, period, Day(past), creating: true)
            }
        }
        let paths = try names().subtracting(before).map { folder + "/" + $0 }
        try #require(!paths.isEmpty)
        let contents = try paths.map { try Data(contentsOf: URL(fileURLWithPath: $0)) }
        for path in paths { try Data("no key".utf8).write(to: URL(fileURLWithPath: path)) }
        // Of the block of lines in which the key is missed some stand before, and one behind cannot be read.
        let log = (0..<30).map { number in
            number == 15
                ? "no line"
                : line(
                    EdgeFixture.german, "/hit?consent=granted&event=e\(number)",
                    at: number == 12 ? past : now)
        }.joined(separator: "\n")
        #expect(throws: KeysError.self) { try bring(log, marks: marks(1)) }
        let cut = try found(marks(1))
        #expect(cut.allSatisfy { $0.lines == 12 && $0.state == .begun })
        for (path, content) in zip(paths, contents) {
            try content.write(to: URL(fileURLWithPath: path))
        }
        let rest = try bring(log, marks: cut)
        #expect(rest.report.lines == 18 && rest.report.refusedLines == 1)
        let events = try fixture.records("eu-central").map(\.event)
        #expect(events.count == 29 && Set(events).count == 29)
        let counts = try journals.flatMap { try $0.importCounts(of: cut[0].file) }
        #expect(counts.reduce(0) { $0 + $1.lines } == 30)
    }

    @Test func `a hit's record does not depend on how many lines wait with it`() throws {
        defer { fixture.collector.drain() }
        let addresses = [EdgeFixture.german, EdgeFixture.american, EdgeFixture.indian, "::1"]
        SentValues.note(addresses)
        let lines = (0..<60).map { number in
            number % 7 == 3
                ? "not a line"
                : line(
                    addresses[number % 4],
                    "/hit?consent=granted&userid=u\(number)&event=e\(number)",
                    agent: "Firefox/\(number)")
        }
        var wanted: [String: [HitRecord]]?
        for (name, windowLines) in [1, 3, 8, 50_000].enumerated() {
            for journal in journals { try journal.delete(through: BatchNumber(.max)) }
            var settings = HitImporter.Settings()
            settings.windowLines = windowLines
            let run = try bring(
                lines.joined(separator: "\n"), settings: settings, marks: marks(UInt8(1 + name)))
            #expect(run.report.lines == 60 && run.report.refusedLines == 9)
            let given = try records()
            #expect(given == wanted ?? given, "windows of \(windowLines)")
            wanted = given
        }
    }

    @Test func `what a log does not show counts as refused, unless it is said to be absent`() throws
    {
        defer { fixture.collector.drain() }
        let columns = Array(Self.columns.dropLast())
        let log = line(EdgeFixture.german, "/hit?consent=granted").split(separator: "\t")
            .dropLast().joined(separator: "\t")
        let strict = try bring(log, columns: columns).report
        #expect(strict.total(.kept) == 0)
        #expect(strict.consentUnknown == 1)
        var settings = HitImporter.Settings()
        settings.takesUnloggedAsAbsent = true
        let open = try bring(log, columns: columns, settings: settings, marks: marks(2)).report
        #expect(open.total(.kept) == 1)
        #expect(open.consentUnknown == 0)
    }

    @Test func `a suppressed person's lines are counted and not kept`() throws {
        defer { fixture.collector.drain() }
        let target = "/hit?consent=granted&userid=gone%40mail.example"
        let keys = fixture.keys[fixture.regions.firstIndex { $0.name == "eu-central" }!]
        let digest = SubjectDigest(
            user: Array("gone@mail.example".utf8).span, key: keys.subjectDigestKey)
        let slot = fixture.regions.firstIndex { $0.name == "eu-central" }!
        try journals[slot].suppress(subjects: [digest.suppressed], pseudonyms: [])
        let report = try bring(line(EdgeFixture.german, target)).report
        #expect(report.total(.suppressed) == 1)
        let record = try #require(try fixture.records("eu-central").first)
        #expect(record.user == nil && record.visitor == nil && record.ipPrefix == nil)
    }

    @Test func `a list that grows while a window is filled keeps its person out`() throws {
        defer { fixture.collector.drain() }
        let slot = fixture.regions.firstIndex { $0.name == "eu-central" }!
        let log = line(EdgeFixture.german, "/hit?consent=granted&userid=late")
        let key = try #require(
            try fixture.keys[slot].existing(.user).first { $0.start <= Day(now) })
        let pseudonym = key.pseudonym(user: Array("late".utf8).span)
        let report = try bring(log) { moment in
            guard moment == .beforeCommit(slot: slot) else { return }
            try journals[slot].suppress(subjects: [], pseudonyms: [(.user, pseudonym)])
        }.report
        #expect(report.total(.suppressed) == 1)
        #expect(try fixture.records("eu-central").allSatisfy { $0.user == nil })
    }

    @Test func `X-Forwarded-For is believed from trusted networks alone`() throws {
        defer { fixture.collector.drain() }
        let columns = ["timestamp", "c-ip", "cs-method", "cs-uri-stem", "x-forwarded-for"]
        let time = String(format: "%.3f", Double(now.microseconds) / 1e6)
        let log = [
            [time, "10.0.0.1", "GET", "/hit", EdgeFixture.german],
            [time, EdgeFixture.american, "GET", "/hit", EdgeFixture.german],
        ].map { $0.joined(separator: "\t") }.joined(separator: "\n")
        var settings = HitImporter.Settings()
        settings.takesUnloggedAsAbsent = true
        settings.trustedProxies = [try #require(IPPrefix("10.0.0.0/8"))]
        let report = try bring(log, columns: columns, settings: settings).report
        #expect(report.rules.contains { $0.policy == "gdpr" && $0.received == 1 })
        #expect(report.rules.contains { $0.region == "us-east" && $0.received == 1 })
    }

    @Test func `a chain of several headers gives what the edge gives, in every form of a log`()
        throws
    {
        let forged = EdgeFixture.american
        let client = EdgeFixture.german
        SentValues.note([forged, client])
        let live = try fixture.client()
        for chain in [
            [forged, client], [client, "127.0.0.2"], ["\(forged), \(client)"], [forged],
        ] {
            let answer = live.get(
                "/hit?consent=granted&event=chain",
                chain.map { "X-Forwarded-For: \($0)" } + ["User-Agent: Firefox/1"])
            #expect(answer?.status == 200 || answer?.status == 204)
        }
        // More headers than are remembered: nobody knows the client.
        let many = [String](repeating: forged, count: 8) + [client]
        _ = live.get(
            "/hit?consent=granted&event=chain",
            many.map { "X-Forwarded-For: \($0)" } + ["User-Agent: Firefox/1"])
        fixture.collector.drain()
        let wanted = try records()
        #expect(wanted.values.contains { !$0.isEmpty })

        let time = String(format: "%.3f", Double(now.microseconds) / 1e6)
        let chains = [
            [forged, client], [client, "127.0.0.2"], ["\(forged), \(client)"], [forged], many,
        ]
        func object(_ chain: String) -> String {
            "{\"ts\":\(time),\"ip\":\"127.0.0.1\",\"method\":\"GET\",\"host\":\"pixels.example\","
                + "\"url\":\"/hit?consent=granted&event=chain\",\"user_agent\":\"Firefox/1\",\(chain)}"
        }
        let list = chains.map { chain in
            object(
                "\"headers\":{\"X-Forwarded-For\":["
                    + chain.map { "\"\($0)\"" }.joined(separator: ",") + "]}")
        }
        let keys = chains.map { chain in
            object(
                "\"headers\":{},"
                    + chain.map { "\"x_forwarded_for\":\"\($0)\"" }.joined(separator: ","))
        }
        let columns = chains.map { chain in
            line(
                "127.0.0.1", "/hit?consent=granted&event=chain",
                headers: chain.map { "X-Forwarded-For: \($0)" })
        }
        var settings = HitImporter.Settings()
        settings.trustedProxies = [try #require(IPPrefix("127.0.0.0/8"))]
        for (name, (log, format)) in [
            (list, LogFormat.ndjson), (keys, .ndjson), (columns, .cloudFrontRealTime),
        ].enumerated() {
            for journal in journals { try journal.delete(through: BatchNumber(.max)) }
            _ = try bring(
                log.joined(separator: "\n"), format: format,
                columns: format == .ndjson ? nil : Self.columns, settings: settings,
                marks: marks(UInt8(100 + name)))
            #expect(try records() == wanted, "form \(name)")
        }
    }

    @Test func `a chain that the log cut is not believed`() throws {
        defer { fixture.collector.drain() }
        SentValues.note(EdgeFixture.american)
        var settings = HitImporter.Settings()
        settings.takesUnloggedAsAbsent = true
        settings.trustedProxies = [try #require(IPPrefix("10.0.0.0/8"))]
        func policies(_ headers: [String], _ name: UInt8) throws -> [String] {
            try bring(
                line("10.0.0.1", "/hit?consent=granted", headers: headers), settings: settings,
                marks: marks(name)
            ).report.rules.map(\.policy)
        }
        let forged = "X-Forwarded-For: \(EdgeFixture.american)"
        let unknown = try policies([], 1)
        let known = try policies([forged], 2)
        #expect(known != unknown)
        let filler = "X-Filler: " + String(repeating: "x", count: 800)
        #expect(try policies([forged, filler], 3) == unknown)
    }

    @Test func `nothing raw of a log is on disk`() throws {
        let raw = "person77@mail.example"
        _ = try bring(
            line(
                EdgeFixture.german,
                "/hit?consent=granted&userid=person77%40mail.example&secret=token77",
                agent: "Agent77 Linux"))
        fixture.collector.drain()
        let all = try fixture.everything()
        for value in [raw, "person77%40", "token77", "Agent77", EdgeFixture.german] {
            #expect(all.range(of: Data(value.utf8)) == nil, "\(value)")
        }
    }
}
