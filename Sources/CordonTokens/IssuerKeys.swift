package import CordonModel
internal import Crypto
internal import Dispatch
internal import LinuxIO
internal import Synchronization

/// Where the key set of an issuer comes from.
package protocol KeySetSource: Sendable {
    /// The bytes of the set. Blocks, within a bound of its own.
    ///
    /// - Parameter bytesMax: a longer one is an error.
    func read(bytesMax: Int) throws -> [UInt8]
}

/// A key set in a file.
package struct KeySetFile: KeySetSource {
    private let path: String

    package init(path: String) { self.path = path }

    package func read(bytesMax: Int) throws -> [UInt8] {
        try File(opening: path, [.read]).readNext(bytesMax + 1)
    }
}

/// The present keys of one issuer.
///
/// A set is read anew when it has an age, or when a token names a key that is not in it; in either case not sooner than
/// ``floorSeconds`` after the last attempt, so that no flood of tokens makes more than that. While reading fails the last
/// set goes on, for ``keepSeconds``; then nothing is accepted. Any thread may ask; one reads at a time.
package final class IssuerKeys: Sendable {
    package let issuer: TrustedIssuer
    private let source: any KeySetSource
    private let onFailure: @Sendable (any Error) -> Void
    private let present = Mutex(State())
    private let turn = DispatchSemaphore(value: 1)

    /// Age from which on a set is read anew.
    package static let refreshSeconds: Int64 = 3600
    /// Least time between two attempts.
    package static let floorSeconds: Int64 = 60
    /// Age from which on a set is no longer good.
    package static let keepSeconds: Int64 = 86_400

    private struct State {
        var keys = KeySet.none
        var readAt: Timestamp?
        var attemptedAt: Timestamp?

        func holds(at now: Timestamp) -> Bool { readAt.isWithin(IssuerKeys.keepSeconds, of: now) }
    }

    private struct NoKeySet: Error, CustomStringConvertible {
        let description = "it is no JSON Web Key Set with a key that can be used"
    }

    /// - Parameter onFailure: told of each attempt that failed.
    package init(
        _ issuer: TrustedIssuer, source: any KeySetSource,
        onFailure: @escaping @Sendable (any Error) -> Void = { _ in }
    ) {
        self.issuer = issuer
        self.source = source
        self.onFailure = onFailure
    }

    /// The key of that name.
    func key(_ name: String, at now: Timestamp) throws(TokenRefusal) -> SignatureKey {
        var state = present.withLock { $0 }
        if !state.holds(at: now) || state.keys.keys[name] == nil {
            refresh(at: now, mayWait: true)
            state = present.withLock { $0 }
        } else if !state.readAt.isWithin(Self.refreshSeconds, of: now) {
            refresh(at: now, mayWait: false)
            state = present.withLock { $0 }
        }
        guard state.holds(at: now) else { throw .issuerUnavailable }
        guard let key = state.keys.keys[name] else { throw .unknown }
        return key
    }

    /// Reads the set, unless somebody has just tried to.
    private func refresh(at now: Timestamp, mayWait: Bool) {
        guard turn.wait(timeout: mayWait ? .distantFuture : .now()) == .success else { return }
        defer { turn.signal() }
        let isDue = present.withLock { state in
            guard !state.attemptedAt.isWithin(Self.floorSeconds, of: now) else { return false }
            state.attemptedAt = now
            return true
        }
        guard isDue else { return }
        do {
            guard let keys = KeySet(try source.read(bytesMax: KeySet.bytesMax)),
                !keys.keys.isEmpty
            else { throw NoKeySet() }
            present.withLock { state in
                state.keys = keys
                state.readAt = now
            }
        } catch {
            onFailure(error)
        }
    }
}

extension Timestamp? {
    /// Whether it is there, not after `now`, and not `seconds` before it: a clock that went back proves nothing.
    fileprivate func isWithin(_ seconds: Int64, of now: Timestamp) -> Bool {
        guard let self else { return false }
        let age = now.microseconds - self.microseconds
        return age >= 0 && age < seconds * 1_000_000
    }
}
