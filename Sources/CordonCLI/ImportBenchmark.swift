import AccessLogs
import Bytes
import CordonEdge
import CordonModel
import CordonPolicy
import CordonServer
import Foundation
import GeoTables
import WorldTraffic

/// What the import of a real-time log costs: from a file with all 40 columns to synced journals.
struct ImportBenchmark {
    let lines: Int
    let bytes: Int
    let seconds: Double
    /// Time that the process computed, on whatever core.
    let computedSeconds: Double

    /// Imports a log of `lines` hits of the world's traffic into the project at `layout`.
    static func run(lines: Int, layout: ProjectLayout, folder: String) throws -> ImportBenchmark {
        let path = folder + "/real-time.log"
        let bytes = try write(lines, path, layout)
        let configuration = try ProjectConfiguration.load(layout, now: CordonCLI.today)
        let options = LogImport.Options(format: .cloudFrontRealTime)
        let work = try LogImport(
            layout: layout, ruleSet: configuration.ruleSet, regions: configuration.regions,
            options: options, progress: ImportProgress())
        let computed = Self.computedSeconds
        let clock = ContinuousClock()
        let begun = clock.now
        let result = try work.run(path)
        let seconds = (clock.now - begun) / .seconds(1)
        guard result.failure == nil, result.report.refusedLines == 0,
            result.report.lines == lines
        else { throw CommandFailure(text: "the log was not imported whole") }
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

    /// Writes the log and returns its size.
    private static func write(_ lines: Int, _ path: String, _ layout: ProjectLayout) throws -> Int {
        let table = try GeoTable(mapping: layout.geoTablePath)
        var traffic = TrafficGenerator(pool: AddressPool(table.rangesWithPlace), seed: 1)
        try Data().write(to: URL(fileURLWithPath: path))
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        let start = Date().timeIntervalSince1970 - 60
        var chunk: [UInt8] = []
        var size = 0
        for number in 0..<lines {
            let time = start + Double(number) * 50 / Double(lines)
            chunk += Self.line(traffic.next(), time).utf8
            if chunk.count > 1 << 20 || number == lines - 1 {
                size += chunk.count
                try file.write(contentsOf: chunk)
                chunk.removeAll(keepingCapacity: true)
            }
        }
        try file.close()
        return size
    }

    /// One hit as the edge network would have logged it.
    private static func line(_ hit: SyntheticHit, _ time: Double) -> String {
        let head = String(decoding: hit.request, as: UTF8.self).components(separatedBy: "\r\n")
        let target = head[0].split(separator: " ")[1]
        let query = target.split(separator: "?", maxSplits: 1).last ?? ""
        var headers: [String: String] = [:]
        for line in head.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0] != "X-Forwarded-For" else { continue }
            headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
        }
        let all = headers.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)\n" }.joined()
        let values = [
            "timestamp": String(format: "%.3f", time), "c-ip": hit.address.text,
            "time-to-first-byte": "0.002", "sc-status": "200", "sc-bytes": "451",
            "cs-method": "GET", "cs-protocol": "https", "cs-host": "pixel.example",
            "cs-uri-stem": String(target), "cs-bytes": "612", "x-edge-location": "FRA60-P4",
            "x-edge-request-id": "SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==",
            "x-host-header": "d111111abcdef8.cloudfront.net", "time-taken": "0.002",
            "cs-protocol-version": "HTTP/2.0", "c-ip-version": hit.address.isIPv6 ? "IPv6" : "IPv4",
            "cs-user-agent": escaped(hit.userAgent), "cs-referer": headers["referer"] ?? "-",
            "cs-cookie": headers["cookie"].map(escaped) ?? "-", "cs-uri-query": String(query),
            "x-edge-response-result-type": "Hit", "ssl-protocol": "TLSv1.3",
            "ssl-cipher": "TLS_AES_128_GCM_SHA256", "x-edge-result-type": "Hit",
            "sc-content-type": "image/gif", "sc-content-len": "43", "c-port": "51234",
            "x-edge-detailed-result-type": "Hit", "c-country": "DE",
            "cs-accept-encoding": "gzip,%20deflate,%20br", "cs-accept": "image/avif,image/webp,*/*",
            "cache-behavior-path-pattern": "/pixel.gif", "cs-headers": escaped(all),
            "cs-header-names": escaped(headers.keys.sorted().joined(separator: "\n")),
            "cs-headers-count": String(headers.count),
        ]
        return LogField.realTimeNames.map { values[$0] ?? "-" }.joined(separator: "\t") + "\n"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("%", with: "%25").replacing(" ", with: "%20").replacing("\n", with: "%0A")
            .replacing("\"", with: "%22")
    }
}
