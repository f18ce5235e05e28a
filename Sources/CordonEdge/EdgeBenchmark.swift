package import Bytes
internal import LinuxIO
internal import Synchronization

/// Sends hits to a collector from threads of its own and measures what comes back: what `cordon bench` runs.
///
/// Each thread keeps one connection and sends groups of pipelined requests, so client and collector share the cores
/// of this machine; compare the figures of one machine with each other, not with those of a load generator elsewhere.
package struct EdgeBenchmark: Sendable {
    package var address: IPAddress
    package var port: UInt16
    package var threads: Int
    /// Requests of one thread that are on their way together.
    package var depth: Int
    package var requestsPerThread: Int
    /// Heads of the requests that are sent in turn, each complete with its empty line.
    package var requests: [[UInt8]]

    package struct Result: Equatable, Sendable {
        package var answered: Int
        /// Answers of status 200 or 204 among them.
        package var succeeded: Int
        package var seconds: Double
        package var perSecond: Double { Double(answered) / max(seconds, 1e-9) }
        /// From the first byte of a group to the last of its answers, in microseconds.
        package var groupMicrosecondsMedian: Int
        package var groupMicrosecondsP99: Int
    }

    package init(
        address: IPAddress, port: UInt16, threads: Int = 2, depth: Int = 32,
        requestsPerThread: Int = 50_000, requests: [[UInt8]]
    ) {
        precondition(!requests.isEmpty && threads > 0 && depth > 0, "there is something to send")
        self.address = address
        self.port = port
        self.threads = threads
        self.depth = depth
        self.requestsPerThread = requestsPerThread
        self.requests = requests
    }

    /// Requests with `addresses` in `X-Forwarded-For`, a mix of consent, pages and parameters.
    package static func mixedRequests(addresses: [String]) -> [[UInt8]] {
        let consents = ["", "&consent=granted", "&consent=denied", "&consent=audience-measurement"]
        let agents = [
            "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
                + "Version/17.5 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
                + "Chrome/129.0.0.0 Safari/537.36",
        ]
        return addresses.enumerated().map { index, address in
            let target =
                "/pixel.gif?site=shop\(index % 7).example&event=view&userid=u\(index % 911)"
                + "&url=https%3A%2F%2Fshop\(index % 7).example%2Fp%2F\(index % 97)"
                + consents[index % 4]
            let head =
                "GET \(target) HTTP/1.1\r\nHost: pixels.example\r\nX-Forwarded-For: \(address)\r\n"
                + "User-Agent: \(agents[index % agents.count])\r\nAccept-Language: de,en;q=0.5\r\n\r\n"
            return Array(head.utf8)
        }
    }

    /// Runs to the end; throws when a connection cannot be opened.
    package func run() throws -> Result {
        let tally = TallyBox()
        let start = SystemClock.monotonicNanoseconds()
        var running: [ThreadBox] = []
        for number in 0..<threads {
            let thread = try SystemThread(name: "bench") {
                let own = send(thread: number)
                tally.sum.withLock { $0.add(own) }
            }
            running.append(ThreadBox(thread))
        }
        for thread in running { thread.join() }
        let seconds = Double(SystemClock.monotonicNanoseconds() - start) / 1e9
        let total = tally.sum.withLock { $0 }
        let times = total.groupMicroseconds.sorted()
        return Result(
            answered: total.answered, succeeded: total.succeeded, seconds: seconds,
            groupMicrosecondsMedian: times.isEmpty ? 0 : times[times.count / 2],
            groupMicrosecondsP99: times.isEmpty
                ? 0 : times[min(times.count - 1, times.count * 99 / 100)])
    }

    private struct Tally {
        var answered = 0
        var succeeded = 0
        var groupMicroseconds: [Int] = []

        mutating func add(_ other: Tally) {
            answered += other.answered
            succeeded += other.succeeded
            groupMicroseconds += other.groupMicroseconds
        }
    }

    private final class TallyBox: Sendable {
        let sum = Mutex(Tally())
    }

    private func send(thread number: Int) -> Tally {
        var tally = Tally()
        // A collector that refuses the connection shows as answers that are missing.
        guard let socket = try? Socket.connected(to: address, port: port) else { return tally }
        var next = number * 7919
        var group: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var reader = AnswerReader()
        while tally.answered < requestsPerThread {
            let count = min(depth, requestsPerThread - tally.answered)
            group.removeAll(keepingCapacity: true)
            for _ in 0..<count {
                group += requests[next % requests.count]
                next += 1
            }
            let began = SystemClock.monotonicNanoseconds()
            guard Self.write(group, to: socket) else { return tally }
            let wanted = reader.answered + count
            while reader.answered < wanted {
                let read = unsafe buffer.withUnsafeMutableBytes { unsafe socket.read(into: $0) }
                guard case .bytes(let size) = read else { return tally }
                for index in 0..<size { reader.take(buffer[index]) }
            }
            tally.answered = reader.answered
            tally.succeeded = reader.succeeded
            tally.groupMicroseconds.append(
                Int((SystemClock.monotonicNanoseconds() - began) / 1000))
        }
        return tally
    }

    static func write(_ bytes: [UInt8], to socket: borrowing Socket) -> Bool {
        var position = 0
        while position < bytes.count {
            let rest = position
            let result = unsafe bytes.withUnsafeBytes { all in
                unsafe socket.write(UnsafeRawBufferPointer(rebasing: all[rest...]))
            }
            guard case .bytes(let count) = result else { return false }
            position += count
        }
        return true
    }
}

/// Counts answers in a stream of them by their lengths.
struct AnswerReader {
    private(set) var answered = 0
    private(set) var succeeded = 0
    private var line: [UInt8] = []
    private var isFirstLine = true
    private var length = 0
    private var bodyLeft = 0

    mutating func take(_ byte: UInt8) {
        if bodyLeft > 0 {
            bodyLeft -= 1
            if bodyLeft == 0 { answered += 1 }
            return
        }
        guard byte == 0x0A else {
            if line.count < 64 { line.append(byte) }
            return
        }
        endLine()
        line.removeAll(keepingCapacity: true)
    }

    private mutating func endLine() {
        if isFirstLine {
            // `HTTP/1.1 200 …`
            if line.count > 10, line[9] == 0x32 { succeeded += 1 }
            isFirstLine = false
            return
        }
        if line.count <= 1 {
            isFirstLine = true
            bodyLeft = length
            length = 0
            if bodyLeft == 0 { answered += 1 }
            return
        }
        let name = Self.lengthName
        guard line.count > name.count, line.starts(with: name) else { return }
        for unit in line[name.count...] where unit >= 0x30 && unit <= 0x39 {
            length = length * 10 + Int(unit - 0x30)
        }
    }

    private static let lengthName = Array("Content-Length: ".utf8)
}
