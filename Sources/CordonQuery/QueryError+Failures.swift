// What the child's failures are to whoever asked.
extension QueryError {
    init(_ failure: WorkerFailure, _ limits: QueryLimits) {
        switch failure.code {
        case .unconfined:
            self.init(
                code: .unconfined,
                text:
                    "this kernel lacks \(failure.text ?? "Landlock"), which holds the query process to its files;"
                    + " \(QueryService.unsandboxedVariable)=1 answers without it")
        case .setup, .engine: self.init(code: .world, text: "the engine failed")
        case .invalid:
            self.init(code: .query, text: failure.text ?? "the query does not fit the table")
        case .untold:
            self.init(
                code: .query,
                text:
                    "a part of the query over `hits` names columns of what stands around it, so it cannot be held against earlier answers; make it a common table"
            )
        case .conversion:
            self.init(
                code: .query,
                text: "a value cannot be converted or is out of range; TRY_CAST gives null instead",
                cause: .value)
        case .memory:
            self.init(
                code: .limits,
                text: "the query needs more memory than \(limits.memoryBytes >> 20) MiB",
                cause: .memory)
        case .scratch:
            self.init(
                code: .limits,
                text:
                    "the query needs more than \(limits.scratchBytes >> 20) MiB of disk beside its memory, or the disk is full",
                cause: .scratch)
        case .tooManyRows:
            self.init(
                code: .limits,
                text: "the result has more than \(limits.rows) rows; add LIMIT or aggregate",
                cause: .size)
        case .tooManyBytes:
            self.init(
                code: .limits,
                text:
                    "the result is larger than \(limits.resultBytes >> 20) MiB; add LIMIT or aggregate",
                cause: .size)
        case .file: self.init(code: .world, text: "a data file cannot be read")
        }
    }

    init(_ broken: QueryChild.Broken, _ limits: QueryLimits) {
        switch broken {
        case .notStarted(let errno):
            self.init(code: .world, text: "the query process cannot be started (error \(errno))")
        case .timedOut:
            self.init(
                code: .limits, text: "the query took longer than \(limits.seconds) s", cause: .time)
        case .cancelled:
            self.init(code: .cancelled, text: "the query was cancelled by who asked it")
        case .died:
            self.init(
                code: .limits, text: "the query process died, most likely of its memory limit",
                cause: .memory)
        }
    }

    init(_ invalid: QueryParameter.Invalid) {
        self.init(
            code: .query, text: "a value for a parameter is no `\(invalid.kind.rawValue)`",
            cause: .value)
    }
}
