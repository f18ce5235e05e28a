import Bytes
import CordonEdge
import CordonModel
import Foundation
import GeoTables
import LinuxIO
import WorldTraffic

// The parts of a comparison between servers: the same requests for each, sent at a fixed rate. `scripts/bench-edge` puts
// them together.
extension Command {
    static let benchRequests = Command(
        ["bench", "requests"],
        summary: "write requests from all over the world to a file, to send to any server",
        usage: "[--count N] [--seed N] FILE",
        options: [
            Option(name: "count", value: "N", help: "how many requests (default: 20000)"),
            Option(name: "seed", value: "N", help: "the same seed gives the same requests"),
        ],
        example: "cordon bench requests --count 20000 requests.txt", arguments: 1...1
    ) { arguments, console in
        let layout = CordonCLI.project(arguments)
        let table = try GeoTable(mapping: layout.geoTablePath)
        let count = try arguments.integer("count", in: 1...1_000_000) ?? 20_000
        let seed = try arguments.integer("seed", in: 0...Int.max) ?? 1
        var generator = TrafficGenerator(
            pool: AddressPool(table.rangesWithPlace), seed: UInt64(seed))
        var bytes: [UInt8] = []
        for _ in 0..<count { bytes += generator.next().request }
        try Data(bytes).write(to: URL(fileURLWithPath: arguments.free[0]))
        if arguments.wantsJSON {
            try console.print(json: ["requests": count, "bytes": bytes.count])
        } else {
            console.print("\(groupedDigits(count)) requests, \(groupedDigits(bytes.count)) bytes")
        }
        return .done
    }

    static let benchSend = Command(
        ["bench", "send"],
        summary: "send requests at a fixed rate to a server on this machine, measure their delays",
        usage: "--port P --rate N [--seconds N] [--connections N] FILE",
        options: [
            Option(name: "port", value: "P", help: "port of 127.0.0.1"),
            Option(name: "rate", value: "N", help: "requests a second"),
            Option(name: "seconds", value: "N", help: "for how long (default: 10)"),
            Option(
                name: "connections", value: "N",
                help: "connections, each with one request at a time (default: 256)"),
        ],
        example: "cordon bench send --port 8401 --rate 10000 requests.txt", arguments: 1...1
    ) { arguments, console in
        guard let port = try arguments.integer("port", in: 1...65_535),
            let rate = try arguments.integer("rate", in: 1...10_000_000)
        else { throw UsageError(text: "options `--port` and `--rate` are needed") }
        let load = PacedLoad(
            address: IPAddress(ipv4: 0x7F00_0001), port: UInt16(port),
            connections: try arguments.integer("connections", in: 1...16_384) ?? 256, rate: rate,
            seconds: try arguments.integer("seconds", in: 1...3600) ?? 10,
            requests: try requests(in: arguments.free[0]))
        let result = try load.run()
        if arguments.wantsJSON {
            try console.print(json: SendReport(result))
        } else {
            console.table(
                ["what", "figure", "unit"],
                [
                    ["answered", groupedDigits(result.answered), "requests"],
                    ["with status 200 or 204", groupedDigits(result.succeeded), "requests"],
                    ["not answered", groupedDigits(result.unanswered), "requests"],
                    ["rate", groupedDigits(Int(result.perSecond.rounded())), "requests/s"],
                    ["delay, median", groupedDigits(result.microsecondsMedian), "µs"],
                    ["delay, p99", groupedDigits(result.microsecondsP99), "µs"],
                    ["delay, p99.9", groupedDigits(result.microsecondsP999), "µs"],
                    ["delay, longest", groupedDigits(result.microsecondsMax), "µs"],
                ])
        }
        return result.succeeded == rate * load.seconds ? .done : .foundProblem
    }

    static let benchHold = Command(
        ["bench", "hold"],
        summary: "hold silent connections to a server on this machine open until input ends",
        usage: "--port P [--connections N]",
        options: [
            Option(name: "port", value: "P", help: "port of 127.0.0.1"),
            Option(name: "connections", value: "N", help: "connections (default: 10000)"),
        ],
        example: "cordon bench hold --port 8401"
    ) { arguments, console in
        guard let port = try arguments.integer("port", in: 1...65_535) else {
            throw UsageError(text: "option `--port` is needed")
        }
        let count = try arguments.integer("connections", in: 1...60_000) ?? 10_000
        OpenFiles.raiseLimit()
        let request = Array("GET /pixel.gif HTTP/1.1\r\nHost: pixel.example\r\n\r\n".utf8)
        try EdgeBenchmark.holdingConnections(
            count, to: IPAddress(ipv4: 0x7F00_0001), port: UInt16(port), request: request
        ) {
            console.print(
                "\(groupedDigits(count)) connections are open; they close when input ends")
            while readLine() != nil {}
        }
        return .done
    }

    /// The requests that stand in a file one after another, each with its empty line.
    private static func requests(in path: String) throws -> [[UInt8]] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(text: "`\(path)` cannot be read")
        }
        var requests: [[UInt8]] = []
        var request: [UInt8] = []
        for byte in data {
            request.append(byte)
            if byte == 0x0A, request.suffix(4) == [0x0D, 0x0A, 0x0D, 0x0A] {
                requests.append(request)
                request = []
            }
        }
        guard request.isEmpty, !requests.isEmpty else {
            throw CommandFailure(
                text: "`\(path)` does not hold whole requests, each with its empty line;"
                    + " `cordon bench requests` writes such a file")
        }
        return requests
    }
}

/// What `bench send --json` prints.
private struct SendReport: Encodable {
    let answered: Int
    let succeeded: Int
    let unanswered: Int
    let perSecond: Double
    let microsecondsMedian: Int
    let microsecondsP99: Int
    let microsecondsP999: Int
    let microsecondsMax: Int

    init(_ result: PacedLoad.Result) {
        answered = result.answered
        succeeded = result.succeeded
        unanswered = result.unanswered
        perSecond = result.perSecond
        microsecondsMedian = result.microsecondsMedian
        microsecondsP99 = result.microsecondsP99
        microsecondsP999 = result.microsecondsP999
        microsecondsMax = result.microsecondsMax
    }

    enum CodingKeys: String, CodingKey {
        case answered, succeeded, unanswered
        case perSecond = "per_second"
        case microsecondsMedian = "microseconds_median"
        case microsecondsP99 = "microseconds_p99"
        case microsecondsP999 = "microseconds_p999"
        case microsecondsMax = "microseconds_max"
    }
}
