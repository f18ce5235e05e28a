import CordonModel
import CordonPolicy
import CordonServer
import Foundation
import LinuxIO
import Telemetry

extension Command {
    private static let runOptions = [
        Option(
            name: "free-ports", value: nil,
            help: "listen on ports that are free instead of those in the region files"),
        Option(
            name: "ready-file", value: "FILE",
            help: "written when every listener accepts: process id and listeners as JSON"),
        Option(
            name: "loops", value: "N", help: "threads that serve connections (default: one a core)"),
        Option(
            name: "require-proof", value: nil,
            help: "refuse rules that var/proof/certificate does not cover, now and at each reload"),
        Option(
            name: "hold-above", value: "PERCENT",
            help:
                "hold a reload whose geo table gives more of the addresses another home or policy, 0 to 100 (default: 2)"
        ),
        Option(
            name: "shadow", value: "DIR",
            help:
                "also ask the policies below DIR about each hit, and count where they decide otherwise: see `policy shadow`"
        ),
        Option(
            name: "log-level", value: "LEVEL", help: "error, warning, info or debug (default: info)"
        ),
    ]

    static let up = Command(
        ["up"], summary: "run every region in one process: collectors, delivery, upkeep",
        usage:
            "[--require-proof] [--shadow DIR] [--free-ports] [--ready-file FILE] [--every SECONDS]",
        options: runOptions + [
            Option(
                name: "every", value: "SECONDS",
                help:
                    "how long hits wait before the next delivery, 1 to 3600 (default: a sixth of each region's `freshness_seconds`)"
            )
        ],
        example: "cordon up --project my-project"
    ) { arguments, console in
        var options = try nodeOptions(arguments)
        options.deliverySeconds = try arguments.integer("every", in: 1...3600)
        return try NodeRun(arguments, console).run(options)
    }

    static let collect = Command(
        ["collect"], summary: "run one region's collector and nothing else",
        usage: "--region R [--require-proof] [--shadow DIR] [--free-ports] [--ready-file FILE]",
        options: runOptions + [.region],
        example: "cordon collect --region eu-central"
    ) { arguments, console in
        var options = try nodeOptions(arguments)
        options.regions = [try arguments.required("region")]
        options.delivers = false
        return try NodeRun(arguments, console).run(options)
    }

    /// What ``runOptions`` say.
    private static func nodeOptions(_ arguments: Arguments) throws -> Node.Options {
        var options = Node.Options(
            loopCount: try arguments.integer("loops", in: 1...256)
                ?? ProcessInfo.processInfo.activeProcessorCount)
        options.usesFreePorts = arguments.has("free-ports")
        options.requiresProof = arguments.has("require-proof")
        options.holdAbovePercent =
            try percent("hold-above", arguments) ?? Node.holdAbovePercentDefault
        options.shadow = arguments.value("shadow").map {
            URL(fileURLWithPath: $0).standardizedFileURL.path
        }
        return options
    }

    /// The value of an option that is a percentage.
    static func percent(_ name: String, _ arguments: Arguments) throws -> Double? {
        guard let text = arguments.value(name) else { return nil }
        guard let percent = Double(text), (0...100).contains(percent) else {
            throw UsageError(
                text: "option `--\(name)` takes a percentage from 0 to 100, found `\(text)`")
        }
        return percent
    }
}

extension Command {
    static let serve = Command(
        ["serve"],
        summary:
            "run one region's service: Iceberg REST catalog and queries over HTTP, queries for clients of PostgreSQL",
        usage: "--region R [--free-ports] [--ready-file FILE]",
        options: [
            .region,
            Option(
                name: "free-ports", value: nil,
                help: "listen on ports that are free instead of those in the region file"),
            Option(
                name: "ready-file", value: "FILE",
                help: "written when the listeners accept: process id and listeners as JSON"),
            Option(
                name: "log-level", value: "LEVEL",
                help: "error, warning, info or debug (default: info)"),
        ],
        example: "cordon serve --region eu-central"
    ) { arguments, console in
        let name = try arguments.required("region")
        return try NodeRun(arguments, console).serve(name, arguments)
    }
}

/// A node from start to signal to stop.
private struct NodeRun {
    private let layout: ProjectLayout
    private let readyFile: String?
    private let logger: Logger
    private let console: Console
    private let wantsJSON: Bool

    init(_ arguments: Arguments, _ console: Console) throws {
        layout = CordonCLI.project(arguments)
        readyFile = arguments.value("ready-file").map {
            URL(fileURLWithPath: $0).standardizedFileURL.path
        }
        let name = arguments.value("log-level") ?? "info"
        guard let level = LogLevel(name) else {
            throw UsageError(
                text: "unknown log level `\(name)`"
                    + suggestion(name, among: LogLevel.allCases.map(\.text)))
        }
        logger = Logger(level: level)
        self.console = console
        wantsJSON = arguments.wantsJSON
    }

    private struct Ready: Encodable {
        let pid: Int32
        let regions: [Node.Listener]
        let services: [Node.Listener]
        /// Where clients of PostgreSQL connect.
        let postgres: [Node.Listener]
    }

    private static func text(_ listener: Node.Listener) -> String {
        "\(listener.region): clients of PostgreSQL at \(listener.scheme)://\(listener.address)/\(listener.region)"
    }

    /// Runs one region's service until SIGTERM or SIGINT; SIGHUP takes up policies that were changed.
    func serve(_ name: String, _ arguments: Arguments) throws -> ExitCode {
        let signals = WaitedSignals([SIGTERM, SIGINT, SIGHUP])
        try withdraw()
        let configuration = try CordonCLI.configuration(arguments)
        guard let region = configuration.regions.first(where: { $0.name == name }) else {
            throw UsageError(
                text: "unknown region `\(name)`"
                    + suggestion(name, among: configuration.regions.map(\.name)))
        }
        OpenFiles.raiseLimit()
        let service = try RegionService(
            region, configuration, layout: layout, usesFreePort: arguments.has("free-ports"),
            logger: logger)
        let (listener, postgres) = try service.start()
        let ready = Ready(
            pid: getpid(), regions: [], services: [listener],
            postgres: postgres.map { [$0] } ?? [])
        if wantsJSON {
            try console.print(json: ready)
        } else {
            console.print(
                "\(listener.region): catalog and queries at \(listener.scheme)://\(listener.address)"
            )
            if let postgres { console.print(Self.text(postgres)) }
        }
        try announce(ready) { try service.stop() }
        while signals.next() == SIGHUP { service.reload() }
        try service.stop()
        return .done
    }

    /// Removes a ready file of an earlier start: nobody may take it for this one's.
    private func withdraw() throws {
        guard let readyFile else { return }
        try File.remove(readyFile)
    }

    /// Writes the ready file, if one was asked for; stops where nobody would hear that it is ready.
    private func announce(_ ready: Ready, orStop stop: () throws -> Void) throws {
        guard let readyFile else { return }
        do {
            try File.write(
                readyFile, Array(JSONEncoder().encode(ready)), mode: 0o644, sync: false)
        } catch {
            // Why it ends says more than what may fail on top of it.
            try? stop()
            throw error
        }
    }

    private func make(_ options: Node.Options) throws -> Node {
        do {
            return try Node(layout: layout, options: options, logger: logger)
        } catch let mistakes as ConfigurationErrors {
            throw CommandFailure(text: mistakes.description, exitCode: .foundProblem)
        } catch let refusal as Node.UnprovedRules {
            throw CommandFailure(text: refusal.description, exitCode: .refusedByPolicy)
        } catch let error as NodeError where error.isUsage {
            throw UsageError(text: error.text)
        }
    }

    /// Runs until SIGTERM or SIGINT; SIGHUP reloads.
    func run(_ options: Node.Options) throws -> ExitCode {
        // Before any thread starts, so that all inherit the mask and the signals wait for this one.
        let signals = WaitedSignals([SIGTERM, SIGINT, SIGHUP])
        try withdraw()
        let node = try make(options)
        let listeners = try node.start()
        let ready = Ready(
            pid: getpid(), regions: listeners.collectors, services: listeners.services,
            postgres: listeners.postgres)
        if wantsJSON {
            try console.print(json: ready)
        } else {
            console.table(
                ["region", "collector"],
                listeners.collectors.map { [$0.region, "\($0.scheme)://\($0.address)/pixel.gif"] })
            for service in listeners.services {
                console.print(
                    "\(service.region): catalog and queries at \(service.scheme)://\(service.address)"
                )
            }
            for listener in listeners.postgres { console.print(Self.text(listener)) }
        }
        try announce(ready) { try node.stop() }
        while signals.next() == SIGHUP { node.reload() }
        try node.stop()
        return .done
    }
}

/// Signals that are waited for instead of interrupting.
private struct WaitedSignals {
    private var set = sigset_t()

    init(_ numbers: [Int32]) {
        unsafe sigemptyset(&set)
        for number in numbers { unsafe sigaddset(&set, number) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Waits for one of them.
    func next() -> Int32 {
        var set = set
        var number: Int32 = 0
        while unsafe sigwait(&set, &number) != 0 {}
        return number
    }
}
