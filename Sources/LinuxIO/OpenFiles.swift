internal import Glibc

/// How many files and sockets this process may have open.
package enum OpenFiles {
    /// Raises the limit as far as this process may (from the soft to the hard one, getrlimit(2)), and returns what it is
    /// then. Shells start programs with 1,024, which a collector of ten thousand connections passes at once.
    @discardableResult
    package static func raiseLimit() -> Int {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard unsafe getrlimit(resource, &limit) == 0 else { return 0 }
        if limit.rlim_cur < limit.rlim_max {
            let before = limit.rlim_cur
            limit.rlim_cur = limit.rlim_max
            // Refused where a supervisor holds the limit down; then it stays what it was.
            if unsafe setrlimit(resource, &limit) != 0 { limit.rlim_cur = before }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
