import Bytes
import CordonModel
import CordonPolicy
import CordonServer
import Foundation
import GeoTables
import WorldTraffic

/// The main job on real input, told step by step; every step is a command that the reader can run again.
struct Demo {
    let directory: String
    let hitCount: Int
    let seed: UInt64
    let console: Console

    private static let connectionCount = 12
    /// Hits for each person who may send an id: with fewer, a law that keeps no id may have all hits of any one of them.
    private static let hitsPerUser = 20
    /// The disk is searched for the values of one hit in so many.
    private static let scanEvery = 20
    /// Forms of four bytes: among so many random bytes some turn up that nobody wrote.
    private static let chanceEncodings = [
        "ipv4-bytes", "ipv4-bytes-reversed", "hex of ipv4-bytes",
    ]
    /// Folder mark: only a folder that an earlier demo made is ever removed.
    private static let mark = ".cordon-demo"

    private var layout: ProjectLayout { ProjectLayout(root: directory) }

    init(directory: String, hitCount: Int, seed: UInt64, console: Console) {
        self.directory = directory
        self.hitCount = hitCount
        self.seed = seed
        self.console = console
    }

    mutating func run() throws -> ExitCode {
        let started = ContinuousClock.now
        try makeFolder()
        heading(
            "A project: three regions, one policy a law, keys, a table of the world's addresses")
        try show(["init", directory])
        try show(["check"])

        heading(
            "\(grouped(hitCount)) hits from all over the world, over HTTP, at any of the three collectors"
        )
        let sent = try sendTraffic()
        try show(["audit", "log", "--kind", "edge.ledger"])
        heading("From the journals to the lakes")
        for region in try regions().map(\.name) {
            try show(["deliver", "--region", region, "--once"])
        }

        try showRouting()
        try showQueries()
        heading("The audit log: every batch, query and refusal above, in a signed Merkle tree")
        try show(["audit", "verify"])
        try showErasure(of: sent)
        try showScan(of: sent)

        let seconds = (ContinuousClock.now - started) / .seconds(1)
        heading("Done in \(Int(seconds.rounded())) s")
        console.print("The project is left in \(shownDirectory). Try:")
        for line in [
            "up",
            "query --region us-east --role analyst --purpose audience-measurement --from US "
                + "\"SELECT browser, count(*) AS hits FROM hits GROUP BY browser ORDER BY hits DESC\"",
            "catalog files --region eu-central", "audit log --region eu-central --limit 20",
            "doctor",
        ] {
            console.print("  cordon \(line) --project \(shownDirectory)")
        }
        return .done
    }

    // MARK: Steps

    private func makeFolder() throws {
        let manager = FileManager.default
        if manager.fileExists(atPath: directory) {
            guard manager.fileExists(atPath: directory + "/" + Self.mark) else {
                throw CommandFailure(
                    text:
                        "`\(directory)` exists and was not made by a demo; name another folder with --dir",
                    exitCode: .wrongUsage)
            }
            try manager.removeItem(atPath: directory)
        }
        try manager.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Data().write(to: URL(fileURLWithPath: directory + "/" + Self.mark))
    }

    /// What was sent and must not be found again.
    private struct Sent {
        /// Of one hit in ``Demo/scanEvery``.
        var rawValues: Set<String> = []
        var userIDs: [String: Int] = [:]
    }

    private func sendTraffic() throws -> Sent {
        let words = RunningNode.arguments(project: directory)
        console.print("$ cordon " + words.map(shown).joined(separator: " ") + " &")
        let server = try RunningNode(project: directory)
        defer { server.kill() }

        let table = try GeoTable(mapping: layout.geoTablePath)
        let pool = AddressPool(table.rangesWithPlace)
        let share = (hitCount + Self.connectionCount - 1) / Self.connectionCount
        let generators = (0..<Self.connectionCount).map { index in
            TrafficGenerator(
                pool: pool, seed: seed &+ UInt64(index), firstNumber: index * share,
                userCount: max(1, hitCount / Self.hitsPerUser))
        }
        let run = TrafficRun()
        let begun = ContinuousClock.now
        let progress = Progress(console: console, total: share * Self.connectionCount, unit: "hits")
        let outcome = progress.follow(
            { run.answeredCount },
            { run.send(generators: generators, hitsEach: share, ports: server.ports) })
        let seconds = (ContinuousClock.now - begun) / .seconds(1)
        let answered = outcome.statuses.map { "\(grouped($0.value)) × \($0.key)" }.sorted().joined(
            separator: ", ")
        console.print(
            "answered: \(answered) in \(String(format: "%.1f", seconds)) s, "
                + "\(grouped(Int(Double(outcome.answered.count) / seconds))) hits/s, each durable before its answer"
        )
        guard outcome.brokenConnections == 0, outcome.answered.count == share * Self.connectionCount
        else {
            throw CommandFailure(
                text: "not every hit was answered with the image; see the messages above")
        }
        console.print(
            "$ kill -TERM \(server.processIdentifier)   # drains: answers, commits, delivers, ends")
        let exitCode = server.stop()
        guard exitCode == 0 else {
            throw CommandFailure(text: "`cordon up` ended with exit code \(exitCode)")
        }
        return repeated(generators, hitsEach: share)
    }

    /// Makes the same hits again to know the raw values in them, instead of having kept those while sending.
    private func repeated(_ generators: [TrafficGenerator], hitsEach: Int) -> Sent {
        var sent = Sent()
        for var generator in generators {
            for _ in 0..<hitsEach {
                let hit = generator.next()
                if let user = hit.userID { sent.userIDs[user, default: 0] += 1 }
                guard hit.number.isMultiple(of: Self.scanEvery) else { continue }
                sent.rawValues.insert(hit.address.text)
                sent.rawValues.insert(hit.userAgent)
                if let user = hit.userID { sent.rawValues.insert(user) }
            }
        }
        return sent
    }

    private func showRouting() throws {
        heading("Where the hits went, and why")
        for region in try regions() {
            try show(
                query(
                    region.name, from: region.jurisdiction, as: "privacy-officer",
                    "SELECT policy, consent, count(*) AS hits, count(DISTINCT country) AS countries "
                        + "FROM hits GROUP BY policy, consent ORDER BY hits DESC"))
        }
        let table = try GeoTable(mapping: layout.geoTablePath)
        for (country, consent) in [("DE", "granted"), ("US", "denied")] {
            guard let address = table.someAddress(ofCountry: country) else { continue }
            console.print(
                "\nWhy does a hit from a \(country) address with consent=\(consent) end where it does?"
            )
            try show([
                "policy", "explain", "--address", address.text, "--url",
                "https://pixel.example/pixel.gif?site=shop.example&userid=someone&consent=\(consent)",
            ])
        }
    }

    private func showQueries() throws {
        heading("Queries: one allowed, one refused for its region, one refused for its group size")
        let question =
            "SELECT country, count(*) AS hits, count(DISTINCT site) AS sites FROM hits "
            + "GROUP BY country ORDER BY hits DESC LIMIT 8"
        try show(query("eu-central", from: "DE", question))
        try show(query("eu-central", from: "CN", question), expecting: .refusedByPolicy)
        try show(
            query(
                "eu-central", from: "DE",
                "SELECT count(*) AS hits FROM hits WHERE country = 'LI' AND page_path = '/pricing' "
                    + "AND browser = 'Firefox' AND event = 'signup' AND site = 'blog.example.org'"),
            expecting: .refusedByPolicy)
    }

    private func showErasure(of sent: Sent) throws {
        heading("A person asks: what do you hold on me, give it to me, erase it, prove it")
        // The person with the most hits, so that there is something to see.
        guard let user = sent.userIDs.max(by: { ($0.value, $0.key) < ($1.value, $1.key) })?.key
        else { return }
        try show(["subject", "find", "--user", user])
        try show(["subject", "export", "--user", user, "--out", directory + "/export"])
        try show(["subject", "erase", "--user", user, "--yes"])
        try show(["subject", "verify", "--user", user])
        try FileManager.default.removeItem(atPath: directory + "/export")
        try show(["audit", "verify"])
    }

    private func showScan(of sent: Sent) throws {
        heading(
            "Is any raw value on disk? The addresses, ids and user agents of one hit in \(Self.scanEvery)"
        )
        let values = sent.rawValues.sorted().joined(separator: "\n") + "\n"
        console.print(
            "(\(grouped(sent.rawValues.count)) values on standard input, in every encoding but an IPv4 address's four bare bytes, "
                + "which turn up by chance in any pseudonym)")
        let words = Self.chanceEncodings.flatMap { ["--without", $0] }
        try show(["scan", "--values", "-"] + words, input: Data(values.utf8))
    }

    // MARK: Helpers

    private func regions() throws -> [RegionConfiguration] {
        try ProjectConfiguration.load(layout, now: Day(SystemWallClock().now())).regions
    }

    private func query(
        _ region: String, from place: String, as role: String = "analyst", _ sql: String
    ) -> [String] {
        [
            "query", "--region", region, "--role", role, "--purpose",
            role == "analyst" ? "audience-measurement" : "data-subject-request", "--from", place,
            sql,
        ]
    }

    private func show(
        _ words: [String], input: Data? = nil, expecting expected: ExitCode = .done
    ) throws {
        console.print("\n$ cordon " + words.map(shown).joined(separator: " "))
        let result = try OwnProcess.run(
            words.first == "init" ? words : words + ["--project", directory], input: input)
        let text = (result.output + result.errorOutput).trimmingCharacters(in: .newlines)
        if !text.isEmpty { console.print(text) }
        if expected != .done { console.print("(exit code \(result.exitCode))") }
        guard result.exitCode == expected.rawValue else {
            throw CommandFailure(
                text:
                    "`cordon \(words.prefix(2).joined(separator: " "))` ended with exit code \(result.exitCode)"
                    + ", expected \(expected.rawValue)")
        }
    }

    private func heading(_ text: String) {
        console.print("\n\u{2501}\u{2501} \(text)")
    }

    private var shownDirectory: String { shown(directory) }

    /// A word as a person would type it: paths from the current folder, quoted where needed.
    private func shown(_ word: String) -> String {
        let current = FileManager.default.currentDirectoryPath + "/"
        let text = word.hasPrefix(current) ? String(word.dropFirst(current.count)) : word
        let plain = text.allSatisfy { $0.isLetter || $0.isNumber || "-_./:@=,".contains($0) }
        return plain && !text.isEmpty ? text : "\"\(text)\""
    }

    private func grouped(_ number: Int) -> String { groupedDigits(number) }
}

/// A whole number with a comma every three digits.
func groupedDigits(_ number: Int) -> String {
    var text = ""
    for (index, digit) in String(number).reversed().enumerated() {
        if index > 0 && index % 3 == 0 && digit != "-" { text.append(",") }
        text.append(digit)
    }
    return String(text.reversed())
}
