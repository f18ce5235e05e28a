import CordonLake
import CordonModel
import CordonServer
import CordonSubjects

extension Command {
    static let deadList = Command(
        ["dead", "list"], summary: "batches that could not be delivered, oldest first",
        usage: "[--region R]…", options: [.regions],
        example: "cordon dead list"
    ) { arguments, console in
        try DeadRun(arguments, console).list()
        return .done
    }

    static let deadExplain = Command(
        ["dead", "explain"],
        summary: "why a batch cannot be read and what of it can; names no value of a hit",
        usage: "--region R ID", options: [.region],
        example: "cordon dead explain --region eu-central 1", arguments: 1...1
    ) { arguments, console in
        _ = try arguments.required("region")
        return try DeadRun(arguments, console).explain()
    }

    static let deadRetry = Command(
        ["dead", "retry"], summary: "deliver dead letters that can be read by now, each hit once",
        usage: "[--region R]… [--readable] [ID…]",
        options: [
            .regions,
            Option(
                name: "readable", value: nil,
                help: "deliver the readable hits of a letter although others cannot be read"),
        ],
        example: "cordon dead retry --readable", arguments: 0...1000
    ) { arguments, console in
        try DeadRun(arguments, console).retry(readable: arguments.has("readable"))
    }
}

/// One command about dead letters.
private struct DeadRun {
    private let regions: [RegionDeadLetters]
    /// The letters that were named; nil for all.
    private let ids: Set<Int64>?
    private let wantsJSON: Bool
    private let console: Console

    init(_ arguments: Arguments, _ console: Console) throws {
        self.console = console
        wantsJSON = arguments.wantsJSON
        regions = try CordonCLI.regions(arguments).map {
            RegionDeadLetters($0, clock: SystemWallClock())
        }
        let numbers = try arguments.free.map { text in
            guard let number = Int64(text), number > 0 else {
                throw UsageError(
                    text:
                        "expected the number of a dead letter, found `\(text)`; see `cordon dead list`"
                )
            }
            return number
        }
        ids = numbers.isEmpty ? nil : Set(numbers)
        if ids != nil, regions.count > 1 {
            throw UsageError(text: "numbers are those of one region: name it with `--region`")
        }
    }

    /// One letter, as `--json` prints it.
    private struct Line: Encodable {
        let region: String
        let id: Int64
        let batch: Int64
        let since: String
        let bytes: Int
        let reason: String
        let version: UInt16?
        let versionRead: UInt16
        let readable: Int
        let unreadable: Int
        let faultOffset: Int?
        let readableByPolicy: [String: Int]

        private enum CodingKeys: String, CodingKey {
            case region, id, batch, since, bytes, reason, version, readable, unreadable
            case versionRead = "version_read"
            case faultOffset = "fault_offset"
            case readableByPolicy = "readable_by_policy"
        }

        init(_ region: String, _ letter: RegionDeadLetters.Letter) {
            self.region = region
            id = letter.id
            batch = letter.batch
            since = letter.at.text
            bytes = letter.bytes
            reason = letter.reason
            version = letter.examination.version
            versionRead = HitBatch.version
            readable = letter.examination.batch.records.count
            unreadable = letter.examination.unreadable
            faultOffset = letter.examination.faultOffset
            readableByPolicy = letter.readableByPolicy
        }
    }

    private func lines() throws -> [Line] {
        var lines: [Line] = []
        for region in regions {
            try region.visit { letter in
                guard ids?.contains(letter.id) ?? true else { return }
                lines.append(Line(region.region.name, letter))
            }
        }
        return lines
    }

    func list() throws {
        let lines = try lines()
        guard !wantsJSON else {
            for line in lines { try console.print(json: line) }
            return
        }
        guard !lines.isEmpty else { return console.print("no dead letters") }
        console.table(
            ["region", "letter", "batch", "since", "bytes", "readable", "not", "reason"],
            lines.map {
                [
                    $0.region, "\($0.id)", "\($0.batch)", $0.since, "\($0.bytes)",
                    "\($0.readable)", "\($0.unreadable)", $0.reason,
                ]
            })
    }

    func explain() throws -> ExitCode {
        guard let line = try lines().first else {
            throw CommandFailure(
                text: "there is no such dead letter; see `cordon dead list`",
                exitCode: .foundProblem)
        }
        guard !wantsJSON else {
            try console.print(json: line)
            return .done
        }
        console.print("\(line.region): letter \(line.id), batch \(line.batch), since \(line.since)")
        console.print("  \(line.bytes) bytes; when it came: \(line.reason)")
        switch line.version {
        case nil: console.print("  does not begin as a batch of any version")
        case line.versionRead?:
            console.print("  written in version \(line.versionRead), which is read")
        case let version?:
            console.print(
                "  written in version \(version), this program reads \(line.versionRead): retry with the program of that version"
            )
        }
        console.print("  \(line.readable) hits can be read, \(line.unreadable) cannot")
        for (policy, hits) in line.readableByPolicy.sorted(by: { $0.key < $1.key }) {
            console.print("    policy `\(policy)`: \(hits)")
        }
        if let offset = line.faultOffset {
            console.print("  the first that cannot be read is damaged at byte \(offset)")
        } else {
            console.print("  all of it can be read by now: `cordon dead retry` delivers it")
        }
        return .done
    }

    /// Exit code 1 while letters are left.
    func retry(readable: Bool) throws -> ExitCode {
        var left = 0
        for region in regions {
            let report = try region.retry(ids, readable: readable)
            let count = try region.count()
            left += count
            if wantsJSON {
                try console.print(
                    json: [
                        "region": JSONValue.text(region.region.name),
                        "letters": .integer(Int64(report.letters)),
                        "delivered": .integer(Int64(report.delivered)),
                        "shortened": .integer(Int64(report.shortened)),
                        "rows": .integer(Int64(report.rows)),
                        "suppressed": .integer(Int64(report.suppressed)),
                        "left": .integer(Int64(count)),
                    ])
            } else {
                console.print(
                    "\(region.region.name): \(report.letters) letters tried, \(report.delivered) delivered whole, "
                        + "\(report.shortened) in part, \(report.rows) hits, \(count) letters left")
            }
        }
        return left == 0 ? .done : .foundProblem
    }
}
