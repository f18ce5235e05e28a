internal import Foundation
internal import LinuxIO
internal import Synchronization

/// The parent's side: starts the child, gives it the plan, gathers its frames, and ends it in time.
///
/// Starting a process and loading the engine into it takes longer than many a question. So one may be started before there
/// is a plan; it waits on its standard input, knows of nothing, and still runs one statement and ends. It ends as well when
/// this process does.
package final class QueryChild: Sendable {
    /// Program and arguments that end in ``QueryWorker/run()``.
    private let command: [String]
    /// Whether the next one is started when one has ended.
    private let keepsWaiting: Bool
    private let waiting = Mutex<Started?>(nil)

    /// - Parameter keepsWaiting: for who answers many questions: each finds a process that waits for it.
    package init(
        command: [String] = ["/proc/self/exe", "query-worker"], keepsWaiting: Bool = false
    ) {
        self.command = command
        self.keepsWaiting = keepsWaiting
    }

    deinit {
        if let started = waiting.withLock({ $0.take() }) { Self.end(started) }
    }

    private struct Started {
        let process: pid_t
        let input: Pipe
        let output: Pipe
    }

    /// Starts a process that waits for the next plan, unless one waits already. Where that fails, the question will say so.
    package func prepare() {
        guard waitingProcess == nil, let started = try? start() else { return }
        let spare = waiting.withLock { waiting -> Started? in
            guard waiting == nil else { return started }
            waiting = started
            return nil
        }
        // Somebody else has started one meanwhile.
        if let spare { Self.end(spare) }
    }

    /// Returns when the process that waits has loaded what it needs, at the latest when it has ended.
    func waitUntilReady() {
        guard let started = waiting.withLock({ $0 }) else { return }
        var poll = pollfd(
            fd: started.output.fileHandleForReading.fileDescriptor, events: Int16(POLLIN),
            revents: 0)
        while unsafe Foundation.poll(&poll, 1, -1) < 0 && errno == EINTR {}
    }

    /// The process that waits for a plan, for tests.
    var waitingProcess: pid_t? { waiting.withLock { $0?.process } }

    private func start() throws -> Started {
        let input = Pipe()
        let output = Pipe()
        let process = try spawn(input: input, output: output)
        try input.fileHandleForReading.close()
        try output.fileHandleForWriting.close()
        return Started(process: process, input: input, output: output)
    }

    private static func end(_ started: Started) {
        // What has ended by itself is still there until it is waited for, so the number is nobody else's.
        kill(started.process, SIGKILL)
        var status: Int32 = 0
        while unsafe waitpid(started.process, &status, 0) < 0 && errno == EINTR {}
    }

    /// A process that waits and can take the plan, else a new one.
    private func given(_ payload: Data) throws -> Started {
        if let started = waiting.withLock({ $0.take() }) {
            // One that has died while it waited, for want of memory say, takes nothing.
            if (try? started.input.fileHandleForWriting.write(contentsOf: payload)) != nil {
                return started
            }
            Self.end(started)
        }
        let started = try start()
        // Before it has read its plan to the end the child writes the few bytes of `ready`, so this cannot deadlock; it may have died.
        guard (try? started.input.fileHandleForWriting.write(contentsOf: payload)) != nil else {
            Self.end(started)
            throw Broken.died
        }
        return started
    }

    struct Outcome {
        var columns: [String] = []
        /// The first message of an Arrow stream; empty in the other forms.
        var schema: [UInt8] = []
        var types: [String] = []
        var rows: [UInt8] = []
        /// By index of the plan's releases.
        var releases: [Int: [UInt8]] = [:]
        var parts: [Int: [UInt8]] = [:]
        var summary: WorkerSummary
    }

    /// The child ended without saying how, or spoke nonsense.
    enum Broken: Error {
        case notStarted(Int32)
        case timedOut
        case cancelled
        case died
    }

    /// What the releases of one query may come to; a row of one has some hundred bytes.
    private static let releaseBytesMax = 256 << 20

    /// Runs the plan; blocks until the child is gone.
    func run(_ plan: QueryPlan, _ cancellation: QueryCancellation? = nil) throws -> Outcome {
        // A child that died must show as a failed write, not as a signal to this process.
        _ = signal(SIGPIPE, SIG_IGN)
        let payload = try JSONEncoder().encode(plan)
        let deadline = SystemClock.monotonicMilliseconds() + UInt64(plan.limits.seconds) * 1000
        let child = try given(payload)
        defer {
            // Reached on every path: a child that still runs is of no more use.
            Self.end(child)
            if keepsWaiting { prepare() }
        }
        try child.input.fileHandleForWriting.close()
        return try gather(
            from: child.output.fileHandleForReading.fileDescriptor, plan.limits, deadline,
            cancellation)
    }

    private func gather(
        from descriptor: Int32, _ limits: QueryLimits, _ deadline: UInt64,
        _ cancellation: QueryCancellation?
    ) throws -> Outcome {
        var outcome = Outcome(summary: WorkerSummary(rowCount: 0, confinement: ""))
        var received: [UInt8] = []
        var releaseBytes = 0
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let now = SystemClock.monotonicMilliseconds()
            guard now < deadline else { throw Broken.timedOut }
            // A negative descriptor is passed over (poll(2)).
            var watched = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: cancellation?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            let ready = unsafe Foundation.poll(&watched, 2, Int32(min(deadline - now, 60_000)))
            if ready < 0 && errno != EINTR { throw Broken.died }
            if ready <= 0 { continue }
            guard watched[1].revents == 0 else { throw Broken.cancelled }
            let count = unsafe read(descriptor, &chunk, chunk.count)
            guard count > 0 else { throw Broken.died }
            received += chunk[..<count]
            var start = 0
            while let (frame, end) = try frame(in: received, at: start) {
                start = end
                switch frame {
                case .ready: break
                case .columns(let names): outcome.columns = names
                case .schema(let bytes): outcome.schema = bytes
                case .types(let types): outcome.types = types
                case .rows(let bytes):
                    outcome.rows += bytes
                    guard outcome.rows.count <= limits.resultBytes else { throw Broken.died }
                case .release(let index, let bytes):
                    outcome.releases[index, default: []] += bytes
                    releaseBytes += bytes.count
                    guard releaseBytes <= Self.releaseBytesMax else { throw Broken.died }
                case .parts(let index, let bytes):
                    outcome.parts[index, default: []] += bytes
                    releaseBytes += bytes.count
                    guard releaseBytes <= Self.releaseBytesMax else { throw Broken.died }
                case .done(let summary):
                    outcome.summary = summary
                    return outcome
                case .failed(let failure): throw failure
                }
            }
            received.removeFirst(start)
        }
    }

    /// The whole frame at `start`, or nil when more bytes must come.
    private func frame(in bytes: [UInt8], at start: Int) throws -> (WorkerFrame, end: Int)? {
        guard bytes.count - start >= 5 else { return nil }
        var count = 0
        for index in (1...4).reversed() { count = count << 8 | Int(bytes[start + index]) }
        guard count <= WorkerFrame.payloadBytesMax,
            let kind = WorkerFrame.Kind(rawValue: bytes[start])
        else { throw Broken.died }
        let end = start + 5 + count
        guard bytes.count >= end else { return nil }
        let payload = bytes[start + 5..<end]
        let decoder = JSONDecoder()
        switch kind {
        case .ready: return (.ready, end)
        case .columns:
            return (.columns(try decoder.decode([String].self, from: Data(payload))), end)
        case .schema: return (.schema(Array(payload)), end)
        case .types:
            return (.types(try decoder.decode([String].self, from: Data(payload))), end)
        case .rows: return (.rows(Array(payload)), end)
        case .release, .parts:
            guard let index = payload.first.map({ Int($0) }) else { throw Broken.died }
            let rest = Array(payload.dropFirst())
            return (kind == .parts ? .parts(index, rest) : .release(index, rest), end)
        case .done: return (.done(try decoder.decode(WorkerSummary.self, from: Data(payload))), end)
        case .failed:
            return (.failed(try decoder.decode(WorkerFailure.self, from: Data(payload))), end)
        }
    }

    /// Environment variables that the child keeps: where libraries are found.
    private static let keptVariables = ["CORDON_DUCKDB", "LD_LIBRARY_PATH"]

    private func spawn(input: Pipe, output: Pipe) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(
            &actions, input.fileHandleForReading.fileDescriptor, 0)
        unsafe posix_spawn_file_actions_adddup2(
            &actions, output.fileHandleForWriting.fileDescriptor, 1)
        // What a library prints might quote rows.
        unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        let kept = ProcessInfo.processInfo.environment.filter {
            Self.keptVariables.contains($0.key)
        }
        let environment = kept.map { "\($0.key)=\($0.value)" } + ["SWIFT_BACKTRACE=enable=no"]
        var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
        var variables = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer {
            for index in unsafe arguments.indices { unsafe free(arguments[index]) }
            for index in unsafe variables.indices { unsafe free(variables[index]) }
        }
        var child: pid_t = 0
        let status = unsafe posix_spawn(&child, command[0], &actions, nil, &arguments, &variables)
        guard status == 0 else { throw Broken.notStarted(status) }
        return child
    }
}
