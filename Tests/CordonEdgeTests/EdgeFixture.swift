import Bytes
import CordonJournal
import CordonKeys
import CordonModel
import CordonPolicy
import Foundation
import GeoTables
import LinuxIO
import Synchronization
import TLS
import Telemetry
import TestSupport
import Testing
import UserAgents

@testable import CordonEdge

/// A collector of three regions on ports of the system's choice, with the shipped policies and a small geo table.
final class EdgeFixture {
    let directory: TemporaryDirectory
    let regions: [RegionConfiguration]
    let ruleSet: RuleSet
    let keys: [RegionKeys]
    let log = CapturedLog()
    let collector: Collector
    let today = Day(Timestamp(microseconds: SystemClock.realtimeMicroseconds()))

    /// Addresses that the geo table places.
    static let german = "46.4.10.20"
    static let american = "8.8.8.9"
    static let indian = "49.36.1.2"
    static let german6 = "2a01:4f8:1:2::3"

    static func geoTable(at path: String) throws -> GeoTable {
        var builder = GeoTableBuilder()
        for (prefix, country) in [
            ("46.4.0.0/16", "DE"), ("8.8.8.0/24", "US"), ("49.36.0.0/16", "IN"),
            ("2a01:4f8::/32", "DE"),
        ] {
            guard let block = IPPrefix(prefix) else { fatalError("a prefix") }
            let rest: UInt128 = (1 << UInt128(block.address.bitCount - block.length)) - 1
            let last =
                block.address.isIPv6
                ? IPAddress(ipv6: block.address.value | rest)
                : IPAddress(ipv4: UInt32(truncatingIfNeeded: block.address.value | rest))
            builder.add(first: block.address, last: last, place: GeoPlace(country: country))
        }
        try builder.write(to: path)
        return try GeoTable(mapping: path)
    }

    /// - Parameters:
    ///   - policies: texts in the place of shipped policy files, by file name.
    ///   - candidate: rules that are asked beside them.
    init(
        loops: Int = 2, journalBytesMax: Int = 0, intakeBytes: Int = 512 << 10,
        policies: [String: String] = [:],
        tls: TLSContext? = nil, candidate: RuleSet? = nil,
        handshakeMilliseconds: UInt64 = EdgeLimits.handshakeMillisecondsMax,
        connectionsMax: Int = EdgeLimits.connectionsMax,
        configure: (inout RegionConfiguration.Collector) -> Void = { _ in },
        clock: @escaping @Sendable () -> Timestamp = {
            Timestamp(microseconds: SystemClock.realtimeMicroseconds())
        },
        monotonic: @escaping @Sendable () -> UInt64 = { SystemClock.monotonicMilliseconds() }
    ) throws {
        directory = try TemporaryDirectory()
        var root = ShippedProject.root
        if !policies.isEmpty {
            let copy = directory.file("project")
            try ShippedProject.copy(to: copy)
            for (name, text) in policies {
                try text.write(
                    toFile: "\(copy)/Policies/\(name)", atomically: false, encoding: .utf8)
            }
            root = copy
        }
        let project = try ProjectConfiguration.load(ProjectLayout(root: root), now: today)
        ruleSet = project.ruleSet
        var regions = project.regions
        var keys: [RegionKeys] = []
        for index in regions.indices {
            let state = directory.file(regions[index].name)
            try FileManager.default.createDirectory(
                atPath: state, withIntermediateDirectories: true)
            regions[index].stateDirectory = state
            regions[index].keysDirectory = state + "/keys"
            regions[index].collector.listen.port = 0
            configure(&regions[index].collector)
            keys.append(
                try RegionKeys.create(directory: state + "/keys", region: regions[index].name))
        }
        self.regions = regions
        self.keys = keys
        let rules = [UInt8](
            """
            cordon-user-agent-rules\t1\ttest
            browser\t\tFirefox\t(Firefox)/
            os\t\tLinux\t(Linux)
            device\t\tSpider\tbot

            """.utf8)
        var context = try EdgeContext(
            ruleSet: ruleSet, geoTable: try Self.geoTable(at: directory.file("places.cgt")),
            userAgents: try UserAgentRules(parsing: rules, path: "rules.tsv"), keys: keys,
            today: today)
        if let candidate { context = context.shadowed(by: candidate, loops: loops) }
        collector = Collector(
            regions: regions, listening: Set(regions.map(\.name)), context: context, loops: loops,
            tlsContexts: regions.map { _ in tls }, journalBytesMax: journalBytesMax,
            intakeBytes: intakeBytes, handshakeMilliseconds: handshakeMilliseconds,
            connectionsMax: connectionsMax,
            logger: Logger(level: .trace, format: .json, sink: log), clock: clock,
            monotonic: monotonic)
        try collector.start()
    }

    func region(_ name: String) -> RegionConfiguration { regions.first { $0.name == name }! }

    /// Keeps commits into a region waiting.
    func held(_ name: String = "eu-central") throws -> HeldIntake {
        try HeldIntake(journal: region(name).journalPath)
    }

    func port(_ region: String = "eu-central") -> UInt16 { collector.ports[region]! }

    func client(_ region: String = "eu-central") throws -> EdgeClient {
        try EdgeClient(port: port(region))
    }

    /// Every record in a region's journal.
    func records(_ name: String) throws -> [HitRecord] {
        let journal = try Journal(path: region(name).journalPath)
        return try journal.read(after: .none, bytesMax: .max).flatMap { stored in
            let batch = try HitBatch(decoding: stored.bytes)
            return batch.records
        }
    }

    /// The bytes of every file of the fixture.
    func everything() throws -> Data {
        var all = Data()
        let files = FileManager.default.enumerator(atPath: directory.path)
        while let name = files?.nextObject() as? String {
            if let data = FileManager.default.contents(atPath: directory.file(name)) { all += data }
        }
        return all
    }
}

/// Stands at a region's intake like somebody who takes it in, so that commits wait from ``hold()`` to ``release()``.
final class HeldIntake {
    private let file: File

    init(journal path: String) throws {
        file = try File(opening: Journal.intakePath(of: path), .readWrite)
    }

    func hold() throws {
        try #require(try file.lock(byte: Intake.appendLock, milliseconds: 2000))
    }

    func release() { file.unlock(byte: Intake.appendLock) }
}

/// A number that a test and the collector's threads share.
final class Counter: Sendable {
    private let number = Mutex<UInt64>(0)
    var value: UInt64 {
        get { number.withLock { $0 } }
        set { number.withLock { $0 = newValue } }
    }

    func increment() { number.withLock { $0 += 1 } }
}

/// A blocking HTTP client that reads answers by their length.
final class EdgeClient: @unchecked Sendable {
    // One thread may send while another reads: the socket allows it, and only reading touches the buffer.
    private let socket: Socket
    private var buffer: [UInt8] = []

    struct Answer: Equatable {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]
    }

    init(port: UInt16) throws {
        socket = try Socket.connected(to: IPAddress(ipv4: 0x7F00_0001), port: port)
    }

    func send(_ text: String) {
        SentValues.note(request: text)
        send(bytes: Array(text.utf8))
    }

    func send(bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard case .bytes(let count) = rest.withUnsafeBytes({ socket.write($0) }) else {
                return
            }
            rest = rest.dropFirst(count)
        }
    }

    func endSending() { socket.shutdownWriting() }

    /// Whether something has arrived that was not read yet; does not wait.
    var hasArrived: Bool {
        var byte: UInt8 = 0
        return !buffer.isEmpty
            || recv(
                socket.descriptor, &byte, 1,
                Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) != -1
    }

    /// Reads to the end: 0 where the peer ended the connection, the system's error number where it broke it off.
    func errorAtEnd() -> Int32 {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(socket.descriptor, &chunk, chunk.count, 0)
            if count <= 0 { return count == 0 ? 0 : errno }
        }
    }

    /// The next answer; nil when the connection has ended.
    func answer(headOnly: Bool = false) -> Answer? {
        while true {
            if let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) {
                let lines = String(decoding: buffer[..<end.lowerBound], as: UTF8.self)
                    .components(separatedBy: "\r\n")
                var headers: [String: String] = [:]
                for line in lines.dropFirst() {
                    let parts = line.split(separator: ":", maxSplits: 1)
                    headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
                }
                let length = headOnly ? 0 : Int(headers["content-length"] ?? "0")!
                if buffer.count >= end.upperBound + length {
                    let body = Array(buffer[end.upperBound..<end.upperBound + length])
                    buffer.removeFirst(end.upperBound + length)
                    return Answer(
                        status: Int(lines[0].split(separator: " ")[1])!, headers: headers,
                        body: body)
                }
            }
            var chunk = [UInt8](repeating: 0, count: 65_536)
            guard case .bytes(let count) = chunk.withUnsafeMutableBytes({ socket.read(into: $0) })
            else { return nil }
            buffer += chunk.prefix(count)
        }
    }

    func get(_ target: String, _ headers: [String] = []) -> Answer? {
        send(Self.request(target, headers))
        return answer()
    }

    func post(_ target: String, _ type: String?, _ body: String, _ headers: [String] = [])
        -> Answer?
    {
        send(Self.post(target, type, body, headers))
        return answer()
    }

    static func post(_ target: String, _ type: String?, _ body: String, _ headers: [String] = [])
        -> String
    {
        let content =
            ["Content-Length: \(body.utf8.count)"] + (type.map { ["Content-Type: \($0)"] } ?? [])
        return request(target, content + headers, method: "POST") + body
    }

    static func request(_ target: String, _ headers: [String] = [], method: String = "GET")
        -> String
    {
        (["\(method) \(target) HTTP/1.1", "Host: pixels.example"] + headers).joined(
            separator: "\r\n")
            + "\r\n\r\n"
    }
}
