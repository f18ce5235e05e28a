import Bytes
import Foundation
import TestSupport
import Testing
import WorldTraffic

/// Kills of the whole process under load: what was answered is in the lake exactly once, what was not is there at most once.
@Suite(.serialized) struct `Killed under load` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        cordon = CordonProgram(project: directory.file("project"))
        let result = try cordon.run("init")
        try #require(result.exitCode == 0, "\(result.errorOutput)")
    }

    @Test func `every answered hit is read back exactly once after kill -9 at random moments`()
        async throws
    {
        var random = Generator()
        var answered: Set<Int> = []
        var sentCount = 0
        for round in 0..<4 {
            let server = try await cordon.up()
            let port = try #require(server.ports["eu-central"])
            let senders = Senders(port: port, firstNumber: sentCount, connectionCount: 3)
            senders.start()
            let limit = Int.random(in: 300...3000, using: &random)
            while senders.answeredCount < limit { try await Task.sleep(for: .milliseconds(2)) }
            server.end(round == 3 ? SIGTERM : SIGKILL)
            senders.wait()
            answered.formUnion(senders.answered)
            sentCount += senders.sentCount
        }
        for region in ["eu-central", "us-east", "ap-south"] {
            let result = try cordon.run("deliver", "--region", region, "--once")
            #expect(result.exitCode == 0, "\(result.errorOutput)")
        }
        let found = try readBack()
        let counts = Dictionary(found.map { ($0, 1) }, uniquingKeysWith: +)
        #expect(counts.values.allSatisfy { $0 == 1 }, "a hit stands twice, seed \(random.seed)")
        #expect(
            answered.subtracting(counts.keys).isEmpty,
            "an answered hit is missing, seed \(random.seed)")
        #expect(counts.keys.allSatisfy { $0 < sentCount }, "a hit nobody sent, seed \(random.seed)")
        try expectNothingRaw()
    }

    @Test func `a delivery that is killed is finished by the next one`() async throws {
        var random = Generator()
        let server = try await cordon.up()
        let port = try #require(server.ports["eu-central"])
        let senders = Senders(port: port, firstNumber: 0, connectionCount: 3)
        senders.start()
        while senders.answeredCount < 6000 { try await Task.sleep(for: .milliseconds(2)) }
        // Killed so that most hits are still in the journals.
        server.end(SIGKILL)
        senders.wait()
        for _ in 0..<6 {
            let delivery = Process()
            delivery.executableURL = URL(fileURLWithPath: CordonProgram.path)
            delivery.arguments = [
                "deliver", "--region", "eu-central", "--once", "--project", cordon.project,
            ]
            delivery.standardOutput = FileHandle.nullDevice
            delivery.standardError = FileHandle.nullDevice
            try delivery.run()
            try await Task.sleep(for: .milliseconds(Int.random(in: 20...700, using: &random)))
            kill(delivery.processIdentifier, SIGKILL)
            delivery.waitUntilExit()
        }
        for region in ["eu-central", "us-east", "ap-south"] {
            let result = try cordon.run("deliver", "--region", region, "--once")
            #expect(result.exitCode == 0, "\(result.errorOutput)")
        }
        let found = try readBack()
        #expect(Set(found).count == found.count, "a hit stands twice, seed \(random.seed)")
        #expect(
            senders.answered.subtracting(found).isEmpty,
            "an answered hit is missing, seed \(random.seed)")
    }

    /// Nothing raw that was sent lies in what the kills left: journals, logs, half-written files. Forms of four bytes are
    /// left out: among so many random pseudonyms they turn up by chance.
    private func expectNothingRaw() throws {
        let values = Senders.addresses + [Senders.userAgent, "user7@mail.example"]
        let scan = try cordon.run(
            "scan", "--values", "-", "--path", directory.path, "--without", "ipv4-bytes",
            "--without", "ipv4-bytes-reversed", "--without", "hex of ipv4-bytes",
            input: values.joined(separator: "\n") + "\n")
        #expect(scan.exitCode == 0, "\(scan.output)")
    }

    /// The numbers of all hits in all lakes; the number is sent as the event, which every outcome that keeps anything keeps.
    private func readBack() throws -> [Int] {
        var numbers: [Int] = []
        for (region, place) in [("eu-central", "DE"), ("us-east", "US"), ("ap-south", "IN")] {
            let result = try cordon.run(
                "query", "--region", region, "--role", "privacy-officer", "--purpose",
                "data-subject-request", "--from",
                place, "--format", "csv", "SELECT event FROM hits")
            try #require(result.exitCode == 0, "\(region): \(result.errorOutput)")
            numbers += result.output.split(whereSeparator: \.isNewline).dropFirst().compactMap {
                Int($0.dropFirst())
            }
        }
        return numbers
    }
}

/// Threads that send numbered hits until the server goes away.
private final class Senders: @unchecked Sendable {
    private let port: UInt16
    private let firstNumber: Int
    private let connectionCount: Int
    // Guards the three below.
    private let lock = NSLock()
    private var answeredNumbers: Set<Int> = []
    private var nextNumber: Int
    private let group = DispatchGroup()
    private static let depth = 16
    static let userAgent =
        "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
    static let addresses = [
        "193.99.144.80", "128.101.101.101", "2a00:1450:4001:81b::200e", "49.36.77.203",
    ]

    init(port: UInt16, firstNumber: Int, connectionCount: Int) {
        self.port = port
        self.firstNumber = firstNumber
        self.connectionCount = connectionCount
        nextNumber = firstNumber
    }

    var answered: Set<Int> { lock.withLock { answeredNumbers } }
    var answeredCount: Int { lock.withLock { answeredNumbers.count } }
    var sentCount: Int { lock.withLock { nextNumber - firstNumber } }

    func start() {
        SentValues.note(Self.addresses + [Self.userAgent, "user7@mail.example"])
        for _ in 0..<connectionCount {
            group.enter()
            Thread { [self] in
                // The connection ends when the server is killed: that is what the test is about.
                try? send()
                group.leave()
            }.start()
        }
    }

    func wait() { group.wait() }

    private func send() throws {
        var client = try LoopbackClient(port: port)
        while true {
            let numbers = lock.withLock {
                defer { nextNumber += Self.depth }
                return Array(nextNumber..<nextNumber + Self.depth)
            }
            try client.send(numbers.flatMap(Self.request))
            for number in numbers {
                guard try client.receiveStatus() == 200 else { continue }
                lock.withLock { _ = answeredNumbers.insert(number) }
            }
        }
    }

    private static func request(_ number: Int) -> [UInt8] {
        let consent = ["granted", "denied"][number % 2]
        return Array(
            ("GET /pixel.gif?site=crash.example&event=n\(number)&consent=\(consent)&userid=user\(number % 50)%40mail.example HTTP/1.1\r\n"
                + "Host: pixel.example\r\nUser-Agent: \(userAgent)\r\n"
                + "X-Forwarded-For: \(addresses[number % addresses.count])\r\n\r\n").utf8)
    }
}
