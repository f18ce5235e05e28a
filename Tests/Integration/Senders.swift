import Foundation
import TestSupport
import WorldTraffic

/// Threads that send numbered hits until the server goes away.
final class Senders: @unchecked Sendable {
    private let port: UInt16
    private let firstNumber: Int
    private let connectionCount: Int
    private let pauseMilliseconds: Int
    // Guards the five below; signalled when one of them changes that somebody may wait for.
    private let lock = NSCondition()
    private var answeredNumbers: Set<Int> = []
    private var refusedNumbers: Set<Int> = []
    private var nextNumber: Int
    private var isStopping = false
    private var endedCount = 0
    private let group = DispatchGroup()
    private static let depth = 16
    static let userAgent =
        "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
    static let addresses = [
        "193.99.144.80", "128.101.101.101", "2a00:1450:4001:81b::200e", "49.36.77.203",
    ]

    /// - Parameter pauseMilliseconds: between what is sent at once on a connection; 0 sends as fast as answers come.
    init(port: UInt16, firstNumber: Int, connectionCount: Int, pauseMilliseconds: Int = 0) {
        self.pauseMilliseconds = pauseMilliseconds
        self.port = port
        self.firstNumber = firstNumber
        self.connectionCount = connectionCount
        nextNumber = firstNumber
    }

    var answered: Set<Int> { lock.withLock { answeredNumbers } }
    /// Answered with something else than 200.
    var refused: Set<Int> { lock.withLock { refusedNumbers } }
    var answeredCount: Int { lock.withLock { answeredNumbers.count } }
    var sentCount: Int { lock.withLock { nextNumber - firstNumber } }

    func start() {
        SentValues.note(Self.addresses + [Self.userAgent, "user7@mail.example"])
        for _ in 0..<connectionCount {
            group.enter()
            Thread { [self] in
                // The connection ends when the server is killed: that is what the test is about.
                try? send()
                lock.withLock {
                    endedCount += 1
                    lock.broadcast()
                }
                group.leave()
            }.start()
        }
    }

    func wait() { group.wait() }

    /// Returns when something was answered with 200, or when no thread is left that could be answered.
    func waitForAnswer() {
        lock.withLock {
            while answeredNumbers.isEmpty, endedCount < connectionCount { lock.wait() }
        }
    }

    /// Lets each thread end when all that it has sent is answered.
    func stop() {
        lock.withLock { isStopping = true }
        group.wait()
    }

    private func send() throws {
        var client = try LoopbackClient(port: port)
        while !(lock.withLock { isStopping }) {
            let numbers = lock.withLock {
                defer { nextNumber += Self.depth }
                return Array(nextNumber..<nextNumber + Self.depth)
            }
            try client.send(numbers.flatMap(Self.request))
            for number in numbers {
                let status = try client.receiveStatus()
                lock.withLock {
                    if status == 200 {
                        _ = answeredNumbers.insert(number)
                        lock.broadcast()
                    } else {
                        _ = refusedNumbers.insert(number)
                    }
                }
            }
            if pauseMilliseconds > 0 {
                Thread.sleep(forTimeInterval: Double(pauseMilliseconds) / 1000)
            }
        }
    }

    /// The number in letters: a hit that is only counted keeps no event that might number somebody.
    private static func event(_ number: Int) -> String {
        "n" + String(decoding: "\(number)".utf8.map { $0 + 0x31 }, as: UTF8.self)
    }

    /// The number of an event in the lake; nil when it is none of these.
    static func number(ofEvent event: some StringProtocol) -> Int? {
        guard event.first == "n", event.utf8.dropFirst().allSatisfy({ $0 >= 0x61 && $0 <= 0x6A })
        else { return nil }
        return Int(String(decoding: event.utf8.dropFirst().map { $0 - 0x31 }, as: UTF8.self))
    }

    private static func request(_ number: Int) -> [UInt8] {
        let consent = ["granted", "denied"][number % 2]
        return Array(
            ("GET /pixel.gif?site=crash.example&event=\(event(number))&consent=\(consent)&userid=user\(number % 50)%40mail.example HTTP/1.1\r\n"
                + "Host: pixel.example\r\nUser-Agent: \(userAgent)\r\n"
                + "X-Forwarded-For: \(addresses[number % addresses.count])\r\n\r\n").utf8)
    }
}
