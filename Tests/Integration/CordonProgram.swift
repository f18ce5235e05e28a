import Foundation
import TestSupport
import Testing

/// The built `cordon` program, run as a person runs it.
struct CordonProgram: Sendable {
    /// What a finished run left.
    struct Result: Sendable {
        let exitCode: Int32
        let output: String
        let errorOutput: String
    }

    /// The program stands beside the test bundle.
    static let path: String = {
        let bundle = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let candidates = [bundle, URL(fileURLWithPath: CommandLine.arguments[0])].map {
            $0.deletingLastPathComponent().appendingPathComponent("cordon").path
        }
        return candidates.first { FileManager.default.isExecutableFile(atPath: $0) }
            ?? "cordon-not-built"
    }()

    /// Folder of the project under test; passed as `--project`.
    let project: String

    init(project: String) { self.project = project }

    /// With a project of its own in `directory`, as `cordon init` makes it.
    ///
    /// It is made once and copied, because a debug build takes ten seconds to compile the world's addresses.
    init(projectIn directory: TemporaryDirectory) throws {
        project = directory.file("project")
        try FileManager.default.copyItem(atPath: Self.template.get(), toPath: project)
    }

    private static let templatePath =
        (TemporaryDirectory.remains ?? FileManager.default.temporaryDirectory.path)
        + "/cordon-test-template-\(ProcessInfo.processInfo.processIdentifier)"

    private static let template = Swift.Result {
        if TemporaryDirectory.remains == nil {
            // Nothing is left to be searched, so it goes with the run.
            atexit { try? FileManager.default.removeItem(atPath: CordonProgram.templatePath) }
        }
        let made = try CordonProgram(project: templatePath).run("init")
        try #require(made.exitCode == 0, "\(made.errorOutput)")
        return templatePath
    }

    /// Adds a role to whom every policy shows whole rows, as only an operator can write it.
    func admitEngineers() throws {
        let policies = project + "/Policies"
        for name in try FileManager.default.contentsOfDirectory(atPath: policies)
        where name.hasSuffix(".yaml") {
            let path = policies + "/" + name
            let text = try String(contentsOfFile: path, encoding: .utf8)
            guard text.contains("\naccess:\n") else { continue }
            let rule =
                "  - { role: engineer, purposes: [data-subject-request], from: [world], see: rows }\n"
            try text.replacing("\naccess:\n", with: "\naccess:\n" + rule)
                .write(toFile: path, atomically: true, encoding: .utf8)
        }
    }

    /// A new token of the region, for what `words` name.
    func token(_ region: String, _ words: String...) throws -> String {
        let issued = try run(
            ["token", "issue", "--region", region, "--subject", "tester"] + words)
        try #require(issued.exitCode == 0, "\(issued.errorOutput)")
        return issued.output.trimmingCharacters(in: .newlines)
    }

    /// Runs to the end.
    func run(_ words: String..., input: String? = nil) throws -> Result {
        try run(words, input: input)
    }

    func run(_ words: [String], input: String? = nil) throws -> Result {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.path)
        process.arguments =
            words.first == "init" ? words + [project] : words + ["--project", project]
        let scratch = try TemporaryDirectory()
        // The input holds what a person would type.
        let typed = try TemporaryDirectory(holdsRawValues: true)
        defer { withExtendedLifetime(typed) {} }
        // Files instead of pipes: nothing to drain while the child runs.
        process.standardOutput = try Self.writable(scratch.file("output"))
        process.standardError = try Self.writable(scratch.file("error"))
        if let input {
            try input.write(toFile: typed.file("input"), atomically: false, encoding: .utf8)
            process.standardInput = FileHandle(forReadingAtPath: typed.file("input"))
        } else {
            process.standardInput = FileHandle.nullDevice
        }
        try process.run()
        process.waitUntilExit()
        return Result(
            exitCode: process.terminationStatus,
            output: String(
                decoding: FileManager.default.contents(atPath: scratch.file("output")) ?? Data(),
                as: UTF8.self),
            errorOutput: String(
                decoding: FileManager.default.contents(atPath: scratch.file("error")) ?? Data(),
                as: UTF8.self))
    }

    /// A `cordon up` under way.
    struct Running: Sendable {
        let processIdentifier: pid_t
        /// Port of each region's collector, by region name.
        let ports: [String: UInt16]
        /// Port of each region's service, by region name.
        let servicePorts: [String: UInt16]
        /// Port for clients of PostgreSQL of each region's service that has one, by region name.
        let postgresPorts: [String: UInt16]
        private let process: Process
        private let logPath: String

        init(
            process: Process, ports: [String: UInt16], servicePorts: [String: UInt16],
            postgresPorts: [String: UInt16], logPath: String
        ) {
            self.process = process
            self.ports = ports
            self.servicePorts = servicePorts
            self.postgresPorts = postgresPorts
            self.logPath = logPath
            processIdentifier = process.processIdentifier
        }

        /// Sends `signal` and waits for the end; returns the exit code, or the signal's number when it killed.
        @discardableResult
        func end(_ signal: Int32) -> Int32 {
            kill(processIdentifier, signal)
            process.waitUntilExit()
            return process.terminationStatus
        }

        /// All that the process logged so far.
        var log: String {
            String(decoding: FileManager.default.contents(atPath: logPath) ?? Data(), as: UTF8.self)
        }
    }

    /// Starts `cordon up` on free ports and waits until every listener accepts.
    func up() async throws -> Running { try await start("up") }

    /// Starts `up`, `collect` or `serve` with further words, and waits until every listener accepts.
    func start(_ words: String...) async throws -> Running {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.path)
        let readyFile = project + "/var/ready-\(UUID().uuidString).json"
        process.arguments =
            words + ["--project", project, "--free-ports", "--ready-file", readyFile]
        let logPath = project + "/up.log"
        let log = try Self.writable(logPath, keeping: true)
        process.standardOutput = log
        process.standardError = log
        process.standardInput = FileHandle.nullDevice
        try process.run()
        while FileManager.default.contents(atPath: readyFile) == nil {
            guard process.isRunning else {
                throw NotReady(log: (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        struct Ready: Decodable {
            struct Listener: Decodable {
                let region: String
                let port: UInt16
            }
            let regions: [Listener]
            let services: [Listener]
            let postgres: [Listener]
        }
        let ready = try JSONDecoder().decode(
            Ready.self, from: FileManager.default.contents(atPath: readyFile) ?? Data())
        let ports = Dictionary(uniqueKeysWithValues: ready.regions.map { ($0.region, $0.port) })
        let services = Dictionary(
            uniqueKeysWithValues: ready.services.map { ($0.region, $0.port) })
        let postgres = Dictionary(
            uniqueKeysWithValues: ready.postgres.map { ($0.region, $0.port) })
        return Running(
            process: process, ports: ports, servicePorts: services, postgresPorts: postgres,
            logPath: logPath)
    }

    /// A command under way that nobody listens to.
    struct Spawned: Sendable {
        fileprivate let process: Process

        /// Sends `signal` and waits for the end; returns the exit code, or the signal's number when it killed.
        @discardableResult
        func end(_ signal: Int32) -> Int32 {
            kill(process.processIdentifier, signal)
            process.waitUntilExit()
            return process.terminationStatus
        }
    }

    /// Starts a command and leaves it to run.
    func spawn(_ words: [String]) throws -> Spawned {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.path)
        process.arguments = words + ["--project", project]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        return Spawned(process: process)
    }

    /// `cordon up` ended before it was ready.
    struct NotReady: Error {
        let log: String
    }

    private static func writable(_ path: String, keeping: Bool = false) throws -> FileHandle {
        if !keeping || !FileManager.default.fileExists(atPath: path) {
            guard FileManager.default.createFile(atPath: path, contents: nil) else {
                throw CocoaError(.fileWriteUnknown)
            }
        }
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seekToEnd()
        return handle
    }
}
