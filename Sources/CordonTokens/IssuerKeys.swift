package import CordonModel
internal import Crypto
internal import Dispatch
internal import LinuxIO
internal import Synchronization

/// Where the key set of an issuer comes from.
package protocol KeySetSource: Sendable {
    /// Reads the set. Blocks, within a bound of its own.
    ///
    /// - Parameter bytesMax: a longer one is an error.
    func read(bytesMax: Int) throws -> KeySetReading
}

/// A key set as it was read.
package struct KeySetReading: Sendable {
    package let bytes: [UInt8]
    /// How long its server says that it stays as it is, in seconds; nil where nobody says.
    package let freshSeconds: Int64?

    package init(bytes: [UInt8], freshSeconds: Int64? = nil) {
        self.bytes = bytes
        self.freshSeconds = freshSeconds
    }
}

/// A key set in a file.
package struct KeySetFile: KeySetSource {
    private let path: String

    package init(path: String) { self.path = path }

    package func read(bytesMax: Int) throws -> KeySetReading {
        KeySetReading(bytes: try File(opening: path, [.read]).readNext(bytesMax + 1))
    }
}

/// How the keys of one issuer stand, without any of them.
package struct IssuerStanding: Codable, Equatable, Sendable {
    package let issuer: String
    package let state: State
    /// Keys that can be used.
    package let keys: Int
    /// When the present set was read, as RFC 3339 text; nil when none was.
    package let readAt: String?
    package let ageSeconds: Int64?
    /// Attempts to read a set that failed since the start.
    package let failures: Int

    package enum State: String, Codable, Sendable {
        /// Nobody has asked for them yet.
        case unread
        case current
        /// They should have been read anew, which failed; they go on for a while.
        case old
        /// None, or too old: no token of the issuer is accepted.
        case none
    }

    private enum CodingKeys: String, CodingKey {
        case issuer, state, keys, failures
        case readAt = "read_at"
        case ageSeconds = "age_seconds"
    }
}

/// A set of keys that comes into force in place of another one.
package struct KeySetChange: Sendable {
    package let issuer: String
    /// Keys that can be used.
    package let keys: Int
    /// Digest of these keys, whatever else the set says.
    package let digest: String
}

/// The present keys of one issuer.
///
/// They are read on a queue of their own: when ``refreshIfDue(at:)`` finds that they have an age, and when a token names a key that is
/// not among them; not sooner than ``floorSeconds`` after the last attempt, so that no flood of tokens makes more than that. A
/// token whose key is there waits for nothing. One whose key is not waits for a reading under way, within bounds. While reading
/// fails the last set goes on, for ``keepSeconds``; then nothing is accepted. Any thread may ask.
package final class IssuerKeys: Sendable {
    package let issuer: TrustedIssuer
    private let source: any KeySetSource
    private let waitMilliseconds: Int
    private let willChange: @Sendable (KeySetChange) throws -> Void
    private let onFailure: @Sendable (any Error) -> Void
    private let present = Mutex(State())
    private let queue = DispatchQueue(label: "issuer-keys")
    /// Entered while a reading is under way.
    private let reading = DispatchGroup()

    /// Age from which on a set is read anew, where its server says nothing.
    package static let refreshSeconds: Int64 = 3600
    /// Bounds of that age where it does: no server makes us ask all the time, or never.
    package static let refreshSecondsRange: ClosedRange<Int64> = 300...6 * 3600
    /// Least time between two attempts.
    package static let floorSeconds: Int64 = 60
    /// Age from which on a set is no longer good.
    package static let keepSeconds: Int64 = 86_400
    /// How late a set may be read anew before it counts as old: several attempts.
    package static let lateSeconds: Int64 = 5 * floorSeconds
    /// How long a token waits for a reading under way, in milliseconds.
    package static let waitMillisecondsMax = 5000
    /// Tokens that wait at the same time, fewer than the connections of a service: those of all others are served meanwhile.
    package static let waitersMax = 8

    private struct State {
        var keys = KeySet.none
        var readAt: Timestamp?
        var freshSeconds = IssuerKeys.refreshSeconds
        var attemptedAt: Timestamp?
        var failures = 0
        var waiters = 0
        var isReading = false
        var isEnded = false

        func holds(at now: Timestamp) -> Bool { readAt.isWithin(IssuerKeys.keepSeconds, of: now) }
        func isDue(at now: Timestamp) -> Bool { !readAt.isWithin(freshSeconds, of: now) }
    }

    private struct NoKeySet: Error, CustomStringConvertible {
        let description = "it is no JSON Web Key Set with a key that can be used"
    }

    /// - Parameters:
    ///   - waitMilliseconds: how long a token waits for a reading under way.
    ///   - willChange: told of other keys than before, the first ones among them, before they hold; what it throws prevents them.
    ///   - onFailure: told of each attempt that failed.
    package init(
        _ issuer: TrustedIssuer, source: any KeySetSource,
        waitMilliseconds: Int = waitMillisecondsMax,
        willChange: @escaping @Sendable (KeySetChange) throws -> Void = { _ in },
        onFailure: @escaping @Sendable (any Error) -> Void = { _ in }
    ) {
        self.issuer = issuer
        self.source = source
        self.waitMilliseconds = waitMilliseconds
        self.willChange = willChange
        self.onFailure = onFailure
    }

    /// The key of that name.
    func key(_ name: String, at now: Timestamp) throws(TokenRefusal) -> SignatureKey {
        refreshIfDue(at: now)
        var state = present.withLock { $0 }
        if !state.holds(at: now) || state.keys.keys[name] == nil {
            begin(at: now)
            waitForReading()
            state = present.withLock { $0 }
        }
        guard state.holds(at: now) else { throw .issuerUnavailable }
        guard let key = state.keys.keys[name] else {
            // While nobody knows whether it is a new one, it is not refused for good.
            throw state.isReading ? .issuerUnavailable : .unknown
        }
        return key
    }

    /// Begins to read the set anew when it has its age, and waits for nothing.
    package func refreshIfDue(at now: Timestamp) {
        if present.withLock({ $0.isDue(at: now) }) { begin(at: now) }
    }

    /// Reads the set, unless somebody has just tried to, waits for it, and says how it stands.
    package func look(at now: Timestamp) -> IssuerStanding {
        begin(at: now)
        finishReading()
        return standing(at: now)
    }

    package func standing(at now: Timestamp) -> IssuerStanding {
        let state = present.withLock { $0 }
        let age = state.readAt.map { (now.microseconds - $0.microseconds) / 1_000_000 }
        let standing: IssuerStanding.State =
            state.attemptedAt == nil
            ? .unread
            : !state.holds(at: now)
                ? .none
                : state.readAt.isWithin(state.freshSeconds + Self.lateSeconds, of: now)
                    ? .current : .old
        return IssuerStanding(
            issuer: issuer.issuer, state: standing, keys: state.keys.keys.count,
            readAt: state.readAt?.text, ageSeconds: age, failures: state.failures)
    }

    /// Begins no reading any more; of one under way nothing comes.
    package func end() { present.withLock { $0.isEnded = true } }

    /// Waits for a reading under way.
    func finishReading() { reading.wait() }

    /// Begins a reading, unless one is under way or somebody has just tried to.
    private func begin(at now: Timestamp) {
        let isBegun = present.withLock { state in
            guard !state.isReading, !state.isEnded,
                !state.attemptedAt.isWithin(Self.floorSeconds, of: now)
            else { return false }
            state.attemptedAt = now
            state.isReading = true
            reading.enter()
            return true
        }
        guard isBegun else { return }
        queue.async { [self] in
            read(at: now)
            present.withLock { $0.isReading = false }
            reading.leave()
        }
    }

    private func waitForReading() {
        let mayWait = present.withLock { state in
            guard state.isReading, state.waiters < Self.waitersMax else { return false }
            state.waiters += 1
            return true
        }
        guard mayWait else { return }
        _ = reading.wait(timeout: .now() + .milliseconds(waitMilliseconds))
        present.withLock { $0.waiters -= 1 }
    }

    private func read(at now: Timestamp) {
        do {
            let found = try source.read(bytesMax: KeySet.bytesMax)
            guard let keys = KeySet(found.bytes), !keys.keys.isEmpty else { throw NoKeySet() }
            let (digest, isEnded) = present.withLock { ($0.keys.digest, $0.isEnded) }
            if isEnded { return }
            if keys.digest != digest {
                try willChange(
                    KeySetChange(
                        issuer: issuer.issuer, keys: keys.keys.count, digest: keys.digest))
            }
            let range = Self.refreshSecondsRange
            let fresh = found.freshSeconds.map {
                min(max($0, range.lowerBound), range.upperBound)
            }
            present.withLock { state in
                state.keys = keys
                state.readAt = now
                state.freshSeconds = fresh ?? Self.refreshSeconds
            }
        } catch {
            present.withLock { $0.failures += 1 }
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
