internal import Glibc

/// An open descriptor, closed when it goes.
///
/// Errors of its operations carry no path; ``File`` adds one.
package struct FileDescriptor: ~Copyable, Sendable {
    package let rawValue: Int32

    /// Takes ownership of `rawValue`.
    @inlinable
    package init(owning rawValue: Int32) { self.rawValue = rawValue }

    deinit {
        // Nothing can be done about a failing close here; data that matters was synced before.
        _ = Glibc.close(rawValue)
    }

    /// Gives up ownership; the caller closes it.
    package consuming func release() -> Int32 {
        let value = rawValue
        discard self
        return value
    }
}

/// Calls `body` until it is not interrupted by a signal, and turns a negative result into an error.
/// A fault plan may make it fail instead.
@discardableResult
func systemCall<Result: SignedInteger>(
    _ operation: SystemOperation, _ path: String?, _ body: () -> Result
) throws(LinuxError) -> Result {
    switch FaultPlan.fault(for: operation) {
    case .error(let number), .tornWrite(let number):
        throw LinuxError(operation: operation, path: path, errno: number)
    case .shortWrite, nil:
        break
    }
    while true {
        let result = body()
        if result >= 0 { return result }
        let number = errno
        if number != EINTR { throw LinuxError(operation: operation, path: path, errno: number) }
    }
}
