package import Bytes
package import LinuxIO

/// Sends requests at a fixed rate, whatever the server does, and measures each delay from when its request was due.
///
/// An open loop: a server that stalls meets the requests that fell due meanwhile, and their waiting counts, so a stall
/// shows in the tail as its clients would feel it. One thread, one request at a time on each connection; it sleeps until the
/// next request is due or an answer comes. One that span would keep threads of the kernel from its core, those that end a
/// server's syncs among them: these took 11 ms then in place of 0.3.
package struct PacedLoad: Sendable {
    package var address: IPAddress
    package var port: UInt16
    package var connections: Int
    /// Requests a second over all connections.
    package var rate: Int
    package var seconds: Int
    /// Complete requests that are sent in turn.
    package var requests: [[UInt8]]

    package struct Result: Equatable, Sendable {
        package var answered: Int
        /// Answers of status 200 or 204 among them.
        package var succeeded: Int
        /// Requests without an answer when the time was over.
        package var unanswered: Int
        package var seconds: Double
        /// From when a request was due to the last byte of its answer, in microseconds.
        package var microsecondsMedian: Int
        package var microsecondsP99: Int
        package var microsecondsP999: Int
        package var microsecondsMax: Int
        package var perSecond: Double { Double(answered) / max(seconds, 1e-9) }
    }

    /// How long answers are waited for after the last request was due.
    private static let graceNanoseconds: UInt64 = 2_000_000_000
    /// How long it waits at a time where no request can be sent before an answer comes.
    private static let patienceNanoseconds: UInt64 = 10_000_000

    package init(
        address: IPAddress, port: UInt16, connections: Int = 256, rate: Int, seconds: Int,
        requests: [[UInt8]]
    ) {
        precondition(!requests.isEmpty && connections > 0 && rate > 0, "there is something to send")
        self.address = address
        self.port = port
        self.connections = connections
        self.rate = rate
        self.seconds = seconds
        self.requests = requests
    }

    /// Runs to the end; throws when a connection cannot be opened.
    package func run() throws(NetworkError) -> Result {
        let epoll = try Epoll(eventsMax: 1024)
        var clients: [Client] = []
        for number in 0..<connections {
            let client = Client(try Socket.connected(to: address, port: port))
            try epoll.add(client.descriptor, token: UInt64(number), writing: false)
            clients.append(client)
        }
        Epoll.waitPrecisely()
        var delays: [UInt32] = []
        delays.reserveCapacity(rate * seconds)
        var succeeded = 0
        var idle = Array(clients.indices)
        let total = rate * seconds
        let began = SystemClock.monotonicNanoseconds()
        let spacing = 1e9 / Double(rate)
        var sent = 0
        var lost = 0
        var now = began
        while delays.count + lost < total {
            now = SystemClock.monotonicNanoseconds()
            let elapsed = now - began
            if elapsed > UInt64(seconds) * 1_000_000_000 + Self.graceNanoseconds { break }
            let due = min(total, Int(Double(elapsed) / spacing) + 1)
            while sent < due, let number = idle.popLast() {
                clients[number].due = began + UInt64(Double(sent) * spacing)
                if !clients[number].send(requests[sent % requests.count]) { lost += 1 }
                sent += 1
            }
            var patience = Self.patienceNanoseconds
            if sent < total, !idle.isEmpty {
                let next = began + UInt64(Double(sent) * spacing)
                let now = SystemClock.monotonicNanoseconds()
                patience = min(patience, next > now ? next - now : 0)
            }
            let count = try epoll.wait(nanoseconds: patience)
            guard count > 0 else { continue }
            for index in 0..<count {
                let number = Int(epoll.event(index).token)
                switch clients[number].receive() {
                case .pending: continue
                case .closed:
                    // Its request stays unanswered and the connection is not used again.
                    lost += 1
                case .answered(let isSuccess):
                    let delay = (SystemClock.monotonicNanoseconds() - clients[number].due) / 1000
                    delays.append(UInt32(clamping: delay))
                    if isSuccess { succeeded += 1 }
                    // The one that waited longest is next, so that all connections are used.
                    idle.insert(number, at: 0)
                }
            }
        }
        let elapsed = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        delays.sort()
        func at(_ perMille: Int) -> Int {
            delays.isEmpty ? 0 : Int(delays[min(delays.count - 1, delays.count * perMille / 1000)])
        }
        return Result(
            answered: delays.count, succeeded: succeeded, unanswered: total - delays.count,
            seconds: elapsed, microsecondsMedian: at(500), microsecondsP99: at(990),
            microsecondsP999: at(999), microsecondsMax: delays.last.map(Int.init) ?? 0)
    }

    /// One connection and what it waits for.
    private final class Client {
        private let socket: Socket
        private var reader = AnswerReader()
        private var buffer = [UInt8](repeating: 0, count: 4096)
        var due: UInt64 = 0

        enum Step {
            case pending, closed
            case answered(isSuccess: Bool)
        }

        init(_ socket: consuming Socket) { self.socket = socket }

        var descriptor: Int32 { socket.descriptor }

        func send(_ request: [UInt8]) -> Bool {
            // A request fits the empty send buffer of a connection whose last answer has come.
            if case .bytes(request.count) = unsafe request.withUnsafeBytes({
                unsafe socket.write($0)
            }) {
                return true
            }
            return false
        }

        func receive() -> Step {
            let read = unsafe buffer.withUnsafeMutableBytes { unsafe socket.read(into: $0) }
            guard case .bytes(let count) = read else { return .closed }
            let (answered, succeeded) = (reader.answered, reader.succeeded)
            for index in 0..<count { reader.take(buffer[index]) }
            if reader.answered == answered { return .pending }
            return .answered(isSuccess: reader.succeeded > succeeded)
        }
    }
}

extension EdgeBenchmark {
    /// Opens `count` connections, lets each send one request and wait for its answer, and holds them all open, silent,
    /// until `body` returns.
    package static func holdingConnections<Value>(
        _ count: Int, to address: IPAddress, port: UInt16, request: [UInt8],
        _ body: () throws -> Value
    ) throws -> Value {
        var clients: [SilentClient] = []
        for _ in 0..<count {
            let client = SilentClient(try Socket.connected(to: address, port: port))
            guard client.exchange(request) else {
                throw NetworkError(operation: "recv", code: SilentClient.connectionReset)
            }
            clients.append(client)
        }
        return try withExtendedLifetime(clients) { try body() }
    }

    private final class SilentClient {
        static let connectionReset: Int32 = 104
        private let socket: Socket

        init(_ socket: consuming Socket) { self.socket = socket }

        func exchange(_ request: [UInt8]) -> Bool {
            guard EdgeBenchmark.write(request, to: socket) else { return false }
            var buffer = [UInt8](repeating: 0, count: 4096)
            var reader = AnswerReader()
            while reader.answered == 0 {
                let read = unsafe buffer.withUnsafeMutableBytes { unsafe socket.read(into: $0) }
                guard case .bytes(let count) = read else { return false }
                for index in 0..<count { reader.take(buffer[index]) }
            }
            return true
        }
    }
}
