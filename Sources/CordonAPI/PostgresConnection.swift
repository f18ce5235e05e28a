internal import Bytes
internal import CordonQuery
internal import Crypto
internal import Glibc
internal import LinuxIO
internal import PostgresWire
internal import Synchronization
internal import TLS

/// What a client proves by that it may end a query of a session: both were told to that session alone.
struct PostgresKey: Equatable, Sendable {
    var process: UInt32
    var secret: [UInt8]
}

/// The sessions of one listener, by the key under which each may be cancelled.
final class PostgresSessions: Sendable {
    private struct Entry {
        let secret: [UInt8]
        let cancellation: QueryCancellation
    }
    private let open = Mutex<[UInt32: Entry]>([:])
    /// Protocol 3.0 has room for no more.
    private static let secretBytes = 4

    /// A key of nobody else's.
    func enter(_ cancellation: QueryCancellation) -> PostgresKey {
        open.withLock { open in
            while true {
                // Positive for those clients that read it with a sign.
                let process = UInt32(truncatingIfNeeded: SecureRandom.uint64()) >> 1
                guard process != 0, open[process] == nil else { continue }
                let secret = SecureRandom.bytes(Self.secretBytes)
                open[process] = Entry(secret: secret, cancellation: cancellation)
                return PostgresKey(process: process, secret: secret)
            }
        }
    }

    func leave(_ key: PostgresKey) { open.withLock { $0[key.process] = nil } }

    /// Ends the query that runs under the key, if there is one. Nobody is told whether there was.
    func cancel(_ key: PostgresKey) {
        let entry = open.withLock { $0[key.process] }
        guard let entry, Bytes.constantTimeEqual(entry.secret, key.secret) else { return }
        entry.cancellation.cancel()
    }
}

/// One connection of the PostgreSQL protocol, from its first packet to its last.
final class PostgresConnection: ServedConnection {
    private let socket: Socket
    private let context: TLSContext?
    private let wake: Int32
    private let limits: ServiceLimits
    private let clock: any ServiceClock
    private let backend: any PostgresBackend
    private let sessions: PostgresSessions

    init(
        _ socket: consuming Socket, _ context: TLSContext?, _ wake: Int32, _ limits: ServiceLimits,
        _ clock: any ServiceClock, _ backend: any PostgresBackend, _ sessions: PostgresSessions
    ) {
        self.socket = socket
        self.context = context
        self.wake = wake
        self.limits = limits
        self.clock = clock
        self.backend = backend
        self.sessions = sessions
    }

    func refuse() {
        // Clients understand it also where they would have asked for TLS.
        let bytes = Self.fatal(.tooManyConnections, "too many connections; try again")
        // The client may be gone, and then there is nobody to tell.
        _ = unsafe bytes.withUnsafeBytes { unsafe socket.write($0) }
    }

    private static func fatal(_ state: SQLState, _ message: String) -> [UInt8] {
        var output = BackendMessages()
        output.error(PostgresNotice(state, message, severity: .fatal))
        return output.take()
    }

    func serve(isStopping: () -> Bool) {
        var stream = ServiceStream(socket.descriptor, nil, clock)
        var input: [UInt8] = []
        // Everything until the token is known has one time together. Without a descriptor left there is no session.
        let deadline = clock.now() + limits.headMilliseconds
        guard let startup = readStartup(&stream, &input, until: deadline),
            let cancellation = try? QueryCancellation()
        else { return }
        let key = sessions.enter(cancellation)
        defer { sessions.leave(key) }
        let limits = limits
        let clock = clock
        var session = PostgresSession(backend, key: key, cancellation: cancellation) { bytes in
            stream.write(bytes, until: clock.now() + limits.answerMilliseconds)
        }
        converse(&session, &input, startup, until: deadline, isStopping) { input, until, wake in
            stream.read(into: &input, until: until, orWake: wake)
        }
        stream.finish()
        stream.linger(until: clock.now() + limits.lingerMilliseconds, orWake: wake)
    }

    // MARK: Before the session

    /// Answers requests for encryption until the client says who it is; nil when the connection ends here.
    private func readStartup(
        _ stream: inout ServiceStream, _ input: inout [UInt8], until deadline: UInt64
    ) -> StartupMessage? {
        while true {
            let packet: StartupPacket
            do throws(PostgresProtocolError) {
                guard let (read, end) = try StartupPacket.read(input) else {
                    guard
                        stream.read(into: &input, until: deadline, orWake: wake) == .arrived
                    else { return nil }
                    continue
                }
                input.removeFirst(end)
                packet = read
            } catch {
                return refuse(&stream, .protocolViolation, error.text)
            }
            switch packet {
            case .gssEncryptionRequest:
                guard stream.write([UInt8(ascii: "N")], until: deadline) else { return nil }
            case .encryptionRequest:
                // What came along would be taken for encrypted although anybody may have sent it.
                guard input.isEmpty, !stream.isEncrypted else {
                    return refuse(
                        &stream, .protocolViolation, "nothing may follow a request for encryption")
                }
                guard let context else {
                    guard stream.write([UInt8(ascii: "N")], until: deadline) else { return nil }
                    continue
                }
                guard stream.write([UInt8(ascii: "S")], until: deadline) else { return nil }
                stream.begin(context)
                guard stream.handshake(until: deadline, orWake: wake) else { return nil }
            case .cancel(let process, let secret):
                sessions.cancel(PostgresKey(process: process, secret: secret))
                return nil
            case .otherVersion(let version):
                return refuse(
                    &stream, .protocolViolation,
                    "protocol \(version >> 16).\(version & 0xFFFF) is not spoken here, 3.0 is")
            case .startup(let startup):
                guard context == nil || stream.isEncrypted else {
                    return refuse(
                        &stream, .invalidAuthorization,
                        "this service speaks TLS alone: connect with sslmode=verify-full")
                }
                return startup
            }
        }
    }

    private func refuse(
        _ stream: inout ServiceStream, _ state: SQLState, _ message: String
    ) -> StartupMessage? {
        let bytes = Self.fatal(state, message)
        if stream.write(bytes, until: clock.now() + limits.answerMilliseconds) {
            stream.finish()
            stream.linger(until: clock.now() + limits.lingerMilliseconds, orWake: wake)
        }
        return nil
    }

    // MARK: The session

    private func converse(
        _ session: inout PostgresSession, _ input: inout [UInt8], _ startup: StartupMessage,
        until loginEnd: UInt64, _ isStopping: () -> Bool,
        read: (inout [UInt8], UInt64, Int32?) -> ServiceStream.Arrival
    ) {
        defer { session.flush() }
        guard session.begin(startup) == .goOn else { return }
        session.flush()
        var position = 0
        while true {
            do throws(PostgresProtocolError) {
                while let (message, end) = try FrontendMessage.read(
                    input[position...],
                    bytesMax: session.isReady
                        ? PostgresLimits.messageBytesMax : PostgresLimits.startupBytesMax)
                {
                    position = end
                    guard session.receive(message) == .goOn else { return }
                }
            } catch {
                session.end(.protocolViolation, error.text)
                return
            }
            input.removeFirst(position)
            position = 0
            // Of a message that is not whole no answer is due; a client that waits has sent Sync or Flush.
            if input.isEmpty || !session.isReady { session.flush() }
            if isStopping(), input.isEmpty {
                session.end(.adminShutdown, "the service stops")
                return
            }
            let hasBegun = !input.isEmpty
            let now = clock.now()
            let deadline =
                !session.isReady
                ? loginEnd : now + (hasBegun ? limits.bodyMilliseconds : limits.idleMilliseconds)
            switch read(&input, deadline, hasBegun ? nil : wake) {
            case .arrived: continue
            case .timedOut:
                session.end(
                    .idleSessionTimeout,
                    hasBegun ? "a message took too long" : "nothing was asked for too long")
                return
            case .ended:
                if isStopping() { session.end(.adminShutdown, "the service stops") }
                return
            }
        }
    }
}
