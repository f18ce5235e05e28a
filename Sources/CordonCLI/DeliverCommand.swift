import CordonJournal
import CordonLake
import CordonModel
import CordonServer
import Dispatch
import Glibc

extension Command {
    static let deliver = Command(
        ["deliver"], summary: "move a region's journal into its lake, each hit exactly once",
        usage: "--region R [--once] [--every SECONDS]",
        options: [
            .region,
            Option(
                name: "once", value: nil,
                help: "deliver what waits now, then end (default: go on until SIGTERM)"),
            Option(
                name: "every", value: "SECONDS",
                help:
                    "how long to wait between deliveries, 1 to 3600 (default: a sixth of the region's `freshness_seconds`)"
            ),
        ],
        example: "cordon deliver --region eu-central --once"
    ) { arguments, console in
        _ = try arguments.required("region")
        guard let region = try CordonCLI.regions(arguments).first else {
            throw CommandFailure(text: "there is no region")
        }
        let seconds =
            try arguments.integer("every", in: 1...3600)
            ?? region.maintenance.deliverySeconds
        let run = DeliverRun(
            region: region.name, lake: try RegionLake(region, clock: SystemWallClock()),
            wantsJSON: arguments.wantsJSON, console: console)
        for (name, count) in try RegionRecovery.reportForDelivery(
            region, clock: SystemWallClock())
        {
            console.note("\(region.name): found what the last run left: \(count) \(name)")
        }
        if arguments.has("once") {
            try run.deliver(reportsNothing: true)
        } else {
            try run.loop(everySeconds: seconds)
        }
        return .done
    }
}

/// Deliveries of one region for one command line.
private struct DeliverRun {
    let region: String
    let lake: RegionLake
    let wantsJSON: Bool
    let console: Console

    /// One line of `--json`.
    private struct Line: Encodable {
        let region: String
        let commits: Int
        let batches: Int
        let rows: Int
        let suppressed: Int
        let deadBatches: Int
        let files: Int
        let bytes: Int64
        let deliveredThrough: Int64
        let rowsByPolicy: [String: Int]

        private enum CodingKeys: String, CodingKey {
            case region, commits, batches, rows, suppressed, files, bytes
            case deadBatches = "dead_batches"
            case deliveredThrough = "delivered_through"
            case rowsByPolicy = "rows_by_policy"
        }
    }

    /// Delivers what waits now.
    ///
    /// - Parameter reportsNothing: whether a delivery without hits is reported too.
    func deliver(reportsNothing: Bool) throws {
        let journal = try lake.journal()
        let waiting = try journal.depth().hits
        let clock = ContinuousClock()
        let begun = clock.now
        let report = try lake.table.deliver(from: journal) { total in
            guard console.isTerminal, total.rows < waiting else { return }
            let taken = (clock.now - begun) / .seconds(1)
            console.note(Progress.text(total.rows, of: waiting, "hits", after: taken))
        }
        guard reportsNothing || report.batches > 0 else { return }
        if wantsJSON {
            try console.print(
                json: Line(
                    region: region, commits: report.commits, batches: report.batches,
                    rows: report.rows, suppressed: report.suppressed,
                    deadBatches: report.deadBatches, files: report.files, bytes: report.bytes,
                    deliveredThrough: report.deliveredThrough, rowsByPolicy: report.rowsByPolicy))
        } else {
            console.print(text(report, seconds: (clock.now - begun) / .seconds(1)))
        }
    }

    private func text(_ report: DeliveryReport, seconds: Double) -> String {
        guard report.batches > 0 else { return "\(region): nothing waits in the journal" }
        var text =
            "\(region): \(report.rows) hits into \(report.files) files, \(report.bytes) bytes, "
            + "\(Int(Double(report.rows) / max(seconds, 0.001))) hits/s"
        if report.suppressed > 0 { text += "; \(report.suppressed) of suppressed people left out" }
        if report.deadBatches > 0 {
            text += "; \(report.deadBatches) unreadable batches kept as dead letters"
        }
        return text
    }

    /// Delivers again and again until SIGTERM or SIGINT, which let a delivery that runs end.
    func loop(everySeconds seconds: Int) throws {
        let stop = DispatchSemaphore(value: 0)
        let sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { stop.signal() }
            source.resume()
            return source
        }
        defer { for source in sources { source.cancel() } }
        while true {
            try deliver(reportsNothing: false)
            if stop.wait(timeout: .now() + .seconds(seconds)) == .success { break }
        }
        // What arrived while waiting is delivered too, so that a drained collector leaves nothing behind.
        try deliver(reportsNothing: false)
    }
}
