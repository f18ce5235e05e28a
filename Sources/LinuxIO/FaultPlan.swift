internal import Synchronization

/// Makes a chosen file operation fail, so that tests can cut a sequence of them at every place.
///
/// ```swift
/// for number in 1... {
///     let plan = FaultPlan(failing: number, with: .error(EIO), then: .everythingFails)
///     do { try plan.run { try log.append(entry) } } catch { … reopen and check … }
///     if !plan.hasStruck { break }
/// }
/// ```
/// A plan governs the calls made in ``run(_:)`` by the same thread or task; other tests in the process
/// do not feel it. Without any plan the cost is one relaxed load of a counter that never changes.
package final class FaultPlan: Sendable {
    /// What happens at the chosen call.
    package enum Fault: Equatable, Sendable {
        /// The call does nothing and fails with this error number.
        case error(Int32)
        /// A write takes only half of its bytes and succeeds, as the kernel may; other calls work.
        case shortWrite
        /// A write takes half of its bytes, then fails; other calls fail.
        case tornWrite(Int32)
    }

    /// What happens to the calls behind the chosen one.
    package enum Aftermath: Sendable {
        case everythingWorks
        /// Each fails with `EIO` and does nothing, as if the process had died at the chosen call.
        case everythingFails
    }

    private struct State {
        var callCount = 0
        var hasStruck = false
    }

    private let number: Int
    private let fault: Fault
    private let aftermath: Aftermath
    private let operations: Set<SystemOperation>
    private let state = Mutex(State())

    /// - Parameters:
    ///   - number: which call fails, counted from 1.
    ///   - operations: the calls that count.
    package init(
        failing number: Int, with fault: Fault, then aftermath: Aftermath = .everythingWorks,
        among operations: Set<SystemOperation> = Set(SystemOperation.allCases)
    ) {
        self.number = number
        self.fault = fault
        self.aftermath = aftermath
        self.operations = operations
    }

    /// Whether the chosen call was reached.
    package var hasStruck: Bool { state.withLock { $0.hasStruck } }

    /// Calls counted so far.
    package var callCount: Int { state.withLock { $0.callCount } }

    package func run<Result>(_ body: () throws -> Result) rethrows -> Result {
        // Relaxed: the count is only a hint to look at the task-local value, which is exact.
        Self.activeCount.add(1, ordering: .relaxed)
        defer { Self.activeCount.subtract(1, ordering: .relaxed) }
        return try Self.$current.withValue(self, operation: body)
    }

    package func run<Result>(
        isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
    ) async rethrows -> Result {
        Self.activeCount.add(1, ordering: .relaxed)
        defer { Self.activeCount.subtract(1, ordering: .relaxed) }
        return try await Self.$current.withValue(self, operation: body)
    }

    /// Makes the plan govern the gathered writes to the file at `path`, whichever thread makes them, while `body` runs; and
    /// nothing else.
    package func run<Result>(on path: String, _ body: () throws -> Result) rethrows -> Result {
        Self.byPath.withLock { $0[path] = self }
        Self.activeCount.add(1, ordering: .sequentiallyConsistent)
        defer {
            Self.byPath.withLock { $0[path] = nil }
            Self.activeCount.subtract(1, ordering: .relaxed)
        }
        return try body()
    }

    @TaskLocal private static var current: FaultPlan?
    private static let byPath = Mutex<[String: FaultPlan]>([:])
    private static let activeCount = Atomic<Int>(0)
    private static let inputOutputError: Int32 = 5

    /// The fault that the next call of `operation` meets; nil, nearly always, for none.
    static func fault(for operation: SystemOperation) -> Fault? {
        guard activeCount.load(ordering: .relaxed) != 0 else { return nil }
        return current?.next(operation)
    }

    /// The same for a call on the file at `path`.
    static func fault(for operation: SystemOperation, on path: String) -> Fault? {
        guard activeCount.load(ordering: .relaxed) != 0 else { return nil }
        if let current { return current.next(operation) }
        return byPath.withLock { $0[path] }?.next(operation)
    }

    private func next(_ operation: SystemOperation) -> Fault? {
        state.withLock { state in
            if state.hasStruck, aftermath == .everythingFails {
                return .error(Self.inputOutputError)
            }
            guard operations.contains(operation) else { return nil }
            state.callCount += 1
            guard state.callCount == number else { return nil }
            state.hasStruck = true
            return fault
        }
    }
}
