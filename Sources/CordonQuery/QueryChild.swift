internal import Foundation
internal import LinuxIO

/// The parent's side: starts the child, gives it the plan, gathers its frames, and ends it in time.
struct QueryChild {
    /// Program and arguments that end in ``QueryWorker/run()``.
    let command: [String]

    struct Outcome {
        var columns: [String] = []
        /// The first message of an Arrow stream; empty in the other forms.
        var schema: [UInt8] = []
        var rows: [UInt8] = []
        var summary: WorkerSummary
    }

    /// The child ended without saying how, or spoke nonsense.
    enum Broken: Error {
        case notStarted(Int32)
        case timedOut
        case died
    }

    /// Runs the plan; blocks until the child is gone.
    func run(_ plan: QueryPlan) throws -> Outcome {
        // A child that died must show as a failed write, not as a signal to this process.
        _ = signal(SIGPIPE, SIG_IGN)
        let payload = try JSONEncoder().encode(plan)
        let input = Pipe()
        let output = Pipe()
        let child = try spawn(input: input, output: output)
        defer {
            // Reached on every path: a child that still runs is of no more use.
            kill(child, SIGKILL)
            var status: Int32 = 0
            while unsafe waitpid(child, &status, 0) < 0 && errno == EINTR {}
        }
        try input.fileHandleForReading.close()
        try output.fileHandleForWriting.close()
        let deadline = SystemClock.monotonicMilliseconds() + UInt64(plan.limits.seconds) * 1000
        // The child reads its plan to the end before it writes anything, so this cannot deadlock; it may have died.
        guard (try? input.fileHandleForWriting.write(contentsOf: payload)) != nil else {
            throw Broken.died
        }
        try input.fileHandleForWriting.close()
        return try gather(from: output.fileHandleForReading.fileDescriptor, plan.limits, deadline)
    }

    private func gather(
        from descriptor: Int32, _ limits: QueryLimits, _ deadline: UInt64
    ) throws -> Outcome {
        var outcome = Outcome(summary: WorkerSummary(rowCount: 0, confinement: ""))
        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let now = SystemClock.monotonicMilliseconds()
            guard now < deadline else { throw Broken.timedOut }
            var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = unsafe Foundation.poll(&poll, 1, Int32(min(deadline - now, 60_000)))
            if ready < 0 && errno != EINTR { throw Broken.died }
            if ready <= 0 { continue }
            let count = unsafe read(descriptor, &chunk, chunk.count)
            guard count > 0 else { throw Broken.died }
            received += chunk[..<count]
            var start = 0
            while let (frame, end) = try frame(in: received, at: start) {
                start = end
                switch frame {
                case .columns(let names): outcome.columns = names
                case .schema(let bytes): outcome.schema = bytes
                case .rows(let bytes):
                    outcome.rows += bytes
                    guard outcome.rows.count <= limits.resultBytes else { throw Broken.died }
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
        case .columns:
            return (.columns(try decoder.decode([String].self, from: Data(payload))), end)
        case .schema: return (.schema(Array(payload)), end)
        case .rows: return (.rows(Array(payload)), end)
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
