import AccessLogs
import Bytes
import Compression
import CordonEdge
import CordonModel
import CordonPolicy
import CordonServer
import Foundation
import GeoTables
import WorldTraffic

/// What the import of a log costs: from a file to synced journals, its digest, its unpacking and every decision among it.
struct ImportBenchmark {
    /// How a log is written and packed.
    struct Log {
        let name: String
        let format: LogFormat
        /// Columns of a tab-separated log; nil for a log that has none.
        var columns: [String]?
        var packing = Compression.none

        static let all = [
            Log(
                name: "real-time, 40 columns", format: .cloudFrontRealTime,
                columns: LogField.realTimeNames),
            Log(
                name: "the same, gzip", format: .cloudFrontRealTime,
                columns: LogField.realTimeNames, packing: .gzip),
            Log(
                name: "the same, zstd", format: .cloudFrontRealTime,
                columns: LogField.realTimeNames, packing: .zstd),
            Log(
                name: "real-time, the 8 columns of a hit", format: .cloudFrontRealTime,
                columns: [
                    "timestamp", "c-ip", "cs-method", "cs-host", "cs-uri-stem", "cs-user-agent",
                    "cs-referer", "cs-headers",
                ]),
            Log(
                name: "standard, 33 columns", format: .cloudFrontStandard,
                columns: LogField.standardNames),
            Log(name: "standard as JSON, 33 keys", format: .cloudFrontStandard),
            Log(name: "combined", format: .combined),
            Log(name: "ndjson", format: .ndjson),
        ]
    }

    let lines: Int
    /// As they are without packing.
    let bytes: Int
    let seconds: Double
    /// Time that the process computed, on whatever core, and that the kernel computed for it.
    let computedSeconds: Double

    /// Imports a log of `lines` hits of the world's traffic into the project at `layout`.
    static func run(
        _ log: Log, lines: Int, layout: ProjectLayout, folder: String
    ) throws -> ImportBenchmark {
        let path = folder + "/access.log"
        let bytes = try LogWriter(log, layout).write(lines, path)
        let configuration = try ProjectConfiguration.load(layout, now: CordonCLI.today)
        var options = LogImport.Options(format: log.format)
        if log.format == .cloudFrontRealTime { options.columns = log.columns }
        let work = try LogImport(
            layout: layout, ruleSet: configuration.ruleSet, regions: configuration.regions,
            options: options, progress: ImportProgress())
        let computed = Self.computedSeconds
        let clock = ContinuousClock()
        let begun = clock.now
        let result = try work.run(path)
        let seconds = (clock.now - begun) / .seconds(1)
        guard result.failure == nil, result.report.refusedLines == 0,
            result.report.lines - result.report.blank == lines
        else { throw CommandFailure(text: "the log was not imported whole") }
        try FileManager.default.removeItem(atPath: path)
        return ImportBenchmark(
            lines: lines, bytes: bytes, seconds: seconds,
            computedSeconds: Self.computedSeconds - computed)
    }

    private static var computedSeconds: Double {
        var usage = rusage()
        // SAFETY: the structure is filled during the call.
        _ = unsafe getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }
}

/// Writes hits of the world's traffic as an edge network or a web server would have logged them.
private struct LogWriter {
    private let log: ImportBenchmark.Log
    private let addresses: AddressPool

    init(_ log: ImportBenchmark.Log, _ layout: ProjectLayout) throws {
        self.log = log
        addresses = AddressPool(try GeoTable(mapping: layout.geoTablePath).rangesWithPlace)
    }

    /// Writes `lines` hits of the last minute and returns their size before packing.
    func write(_ lines: Int, _ path: String) throws -> Int {
        var traffic = TrafficGenerator(pool: addresses, seed: 1)
        try Data().write(to: URL(fileURLWithPath: path))
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        let zstd = try ZstdFrames(level: 3)
        let start = Date().timeIntervalSince1970 - 60
        var chunk: [UInt8] = []
        if log.format == .cloudFrontStandard, let columns = log.columns {
            chunk += "#Version: 1.0\n#Fields: \(columns.joined(separator: " "))\n".utf8
        }
        var size = 0
        for number in 0..<lines {
            let time = start + Double(number) * 50 / Double(lines)
            append(LoggedHit(traffic.next(), time), &chunk)
            guard chunk.count > 1 << 20 || number == lines - 1 else { continue }
            size += chunk.count
            if log.packing == .zstd {
                _ = try zstd.pack(chunk.span)
                chunk.removeAll(keepingCapacity: true)
                zstd.appendPacked(to: &chunk)
            }
            try file.write(contentsOf: chunk)
            chunk.removeAll(keepingCapacity: true)
        }
        try file.close()
        if log.packing == .gzip { try gzip(path) }
        return size
    }

    private func gzip(_ path: String) throws {
        let packer = Process()
        packer.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        packer.arguments = ["gzip", "-6", path]
        try packer.run()
        packer.waitUntilExit()
        guard packer.terminationStatus == 0 else {
            throw CommandFailure(text: "`gzip` could not pack the log")
        }
        try FileManager.default.moveItem(atPath: path + ".gz", toPath: path)
    }

    private func append(_ hit: LoggedHit, _ line: inout [UInt8]) {
        let isStandard = log.format == .cloudFrontStandard
        switch log.format {
        case .combined: line += hit.combined.utf8
        case .ndjson: line += hit.json.utf8
        case .cloudFrontRealTime, .cloudFrontStandard:
            if let columns = log.columns {
                for (index, column) in columns.enumerated() {
                    if index > 0 { line.append(0x09) }
                    line += hit.column(column, isStandard: isStandard).utf8
                }
            } else {
                line.append(0x7B)
                for (index, column) in LogField.standardNames.enumerated() {
                    let value = hit.column(column, isStandard: isStandard)
                    line += "\(index > 0 ? "," : "")\"\(column)\":\"\(value)\"".utf8
                }
                line.append(0x7D)
            }
        }
        line.append(0x0A)
    }
}

/// One hit with all that a log may say of it.
private struct LoggedHit {
    private let hit: SyntheticHit
    private let time: Double
    private let target: Substring
    private var headers: [(name: String, value: String)] = []

    init(_ hit: SyntheticHit, _ time: Double) {
        self.hit = hit
        self.time = time
        let head = String(decoding: hit.request, as: UTF8.self).split(separator: "\r\n")
        target = head[0].split(separator: " ")[1]
        for line in head.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = line[..<colon].lowercased()
            guard name != "x-forwarded-for" else { continue }
            headers.append((name, String(line[colon...].dropFirst(2))))
        }
    }

    private func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// Path and query.
    private var parts: [Substring] { target.split(separator: "?", maxSplits: 1) }

    var combined: String {
        let day = LoggedHit.stamp(time, "%d/%b/%Y:%H:%M:%S +0000")
        return "\(hit.address.text) - - [\(day)] \"GET \(target) HTTP/1.1\" 200 43 "
            + "\"\(header("referer") ?? "-")\" \"\(hit.userAgent)\""
    }

    var json: String {
        let all = headers.map { "\"\($0.name)\":\"\($0.value)\"" }.joined(separator: ",")
        return "{\"time\":\(String(format: "%.3f", time)),\"client_ip\":\"\(hit.address.text)\","
            + "\"method\":\"GET\",\"url\":\"\(target)\",\"status\":200,\"headers\":{\(all)}}"
    }

    /// What the column of a CloudFront log holds: real-time logs have the query behind the path too.
    func column(_ name: String, isStandard: Bool) -> String {
        switch name {
        case "timestamp": String(format: "%.3f", time)
        case "date": LoggedHit.stamp(time, "%Y-%m-%d")
        case "time": LoggedHit.stamp(time, "%H:%M:%S")
        case "c-ip": hit.address.text
        case "cs-uri-stem": isStandard ? String(parts[0]) : String(target)
        case "cs-uri-query": String(parts.last ?? "")
        case "cs-user-agent", "cs(User-Agent)": LoggedHit.escaped(hit.userAgent)
        case "cs-referer", "cs(Referer)": header("referer") ?? "-"
        case "cs-cookie", "cs(Cookie)": header("cookie").map(LoggedHit.escaped) ?? "-"
        case "c-ip-version": hit.address.isIPv6 ? "IPv6" : "IPv4"
        case "cs-headers":
            LoggedHit.escaped(headers.map { "\($0.name):\($0.value)\n" }.joined())
        case "cs-header-names":
            LoggedHit.escaped(headers.map { $0.name + "\n" }.joined())
        case "cs-headers-count": String(headers.count)
        default: LoggedHit.constants[name] ?? "-"
        }
    }

    private static let constants = [
        "time-to-first-byte": "0.002", "sc-status": "200", "sc-bytes": "451",
        "cs-method": "GET", "cs-protocol": "https", "cs-host": "pixel.example",
        "cs(Host)": "d111111abcdef8.cloudfront.net", "cs-bytes": "612",
        "x-edge-location": "FRA60-P4",
        "x-edge-request-id": "SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==",
        "x-host-header": "d111111abcdef8.cloudfront.net", "time-taken": "0.002",
        "cs-protocol-version": "HTTP/2.0", "x-edge-response-result-type": "Hit",
        "ssl-protocol": "TLSv1.3", "ssl-cipher": "TLS_AES_128_GCM_SHA256",
        "x-edge-result-type": "Hit", "sc-content-type": "image/gif", "sc-content-len": "43",
        "c-port": "51234", "x-edge-detailed-result-type": "Hit", "c-country": "DE",
        "cs-accept-encoding": "gzip,%20deflate,%20br", "cs-accept": "image/avif,image/webp,*/*",
        "cache-behavior-path-pattern": "/pixel.gif",
    ]

    private static func escaped(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x25: bytes += "%25".utf8
            case 0x20: bytes += "%20".utf8
            case 0x0A: bytes += "%0A".utf8
            case 0x22: bytes += "%22".utf8
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `time` in UTC as `strftime(3)` writes it.
    private static func stamp(_ time: Double, _ format: String) -> String {
        var seconds = time_t(time)
        var parts = unsafe tm()
        var text = [CChar](repeating: 0, count: 64)
        // SAFETY: the text is as long as is said, and ends with a zero.
        unsafe gmtime_r(&seconds, &parts)
        let count = unsafe strftime(&text, text.count, format, &parts)
        return String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
