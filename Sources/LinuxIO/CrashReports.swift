internal import Glibc

/// What a crash of this process leaves behind.
package enum CrashReports {
    /// Keeps memory out of it, and with that what requests brought.
    ///
    /// The runtime's report of a crash shows each register and what lies behind it. Its settings are read before a program's
    /// first line, so the program is started once more with `SWIFT_BACKTRACE=registers=none`; where the variable is set already,
    /// it stays. Where that cannot be done the report is given up. Core dumps are forbidden by a limit of one byte, at which
    /// the system (core(5)) starts no handler of them either.
    package static func withholdMemory() {
        let core = __rlimit_resource_t(RLIMIT_CORE.rawValue)
        var limit = rlimit()
        if unsafe getrlimit(core, &limit) == 0, limit.rlim_max > 0 {
            limit.rlim_cur = 1
            // It cannot fail: the soft limit is set below the hard one.
            _ = unsafe setrlimit(core, &limit)
        }
        guard unsafe getenv("SWIFT_BACKTRACE") == nil else { return }
        _ = unsafe setenv("SWIFT_BACKTRACE", "registers=none", 1)
        // SAFETY: the arguments are those that the system gave, and end with nil. It returns only where it failed.
        _ = unsafe execv(InstalledData.executablePath(), CommandLine.unsafeArgv)
        for number in [SIGQUIT, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP] {
            _ = signal(number, SIG_DFL)
        }
    }
}
