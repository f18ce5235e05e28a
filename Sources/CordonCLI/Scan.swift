import Bytes
import CordonModel
import CordonSubjects
import Crypto
import LinuxIO

extension Command {
    static let scan = Command(
        ["scan"],
        summary: "search everything on disk for a raw value in all its encodings",
        usage: "[--path DIR] [--values FILE] [--without ENCODING]… [VALUE…]",
        options: [
            Option(
                name: "path", value: "DIR",
                help: "search this folder or file (default: the project's folder)"),
            Option(
                name: "values", value: "FILE",
                help:
                    "take values from a file, one a line; `-` is standard input, which no process list shows"
            ),
            Option(
                name: "without", value: "ENCODING",
                help:
                    "leave an encoding out, such as ipv4-bytes: four bytes turn up by chance once in 4 GiB",
                repeats: true),
        ],
        example: "printf '%s\\n' 203.0.113.77 customer-4711 | cordon scan --values -",
        arguments: 0...Int.max
    ) { arguments, console in
        var values = arguments.free.map { Array($0.utf8) }
        if let path = arguments.value("values") { values += try ScanRun.readValues(path) }
        return try ScanRun(arguments, values: values).run(console)
    }
}

/// One run of `cordon scan`: one JSON line for each place where a value lies, never the value.
private struct ScanRun {
    private let scan: DiskScan
    private let root: String
    private let digests: [String]

    private struct Line: Encodable {
        let valueDigest: String
        let path: String
        let offset: Int?
        let encoding: String

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(valueDigest, forKey: .valueDigest)
            try container.encode(path, forKey: .path)
            // A value in a path has no offset, and says so.
            try container.encode(offset, forKey: .offset)
            try container.encode(encoding, forKey: .encoding)
        }

        private enum Key: String, CodingKey {
            case valueDigest = "value_digest"
            case path, offset, encoding
        }
    }

    init(_ arguments: Arguments, values: [[UInt8]]) throws {
        do { scan = try DiskScan(values: values, without: Set(arguments.all("without"))) } catch {
            throw UsageError(text: error.description)
        }
        root = arguments.value("path") ?? CordonCLI.project(arguments).root
        digests = values.map { SHA256.digest($0).hex }
    }

    static func readValues(_ path: String) throws -> [[UInt8]] {
        try File.read(path == "-" ? "/dev/stdin" : path)
            .split(separator: 0x0A)
            .map { Array($0.last == 0x0D ? $0.dropLast() : $0) }
            .filter { !$0.isEmpty }
    }

    func run(_ console: Console) throws -> ExitCode {
        var failure: (any Error)?
        let report = try scan.run(root: root, decoding: [ParquetContent()]) { match in
            do {
                try console.print(
                    json: Line(
                        valueDigest: digests[match.value], path: match.path, offset: match.offset,
                        encoding: match.encoding))
            } catch { failure = error }
        }
        if let failure { throw failure }
        for path in report.unread { console.note("cordon scan: not searched: \(path)") }
        console.note(
            "cordon scan: \(digests.count) value(s), \(report.files) file(s), \(report.bytes) bytes, \(report.matches) place(s) found"
        )
        if report.matches > 0 { return .foundProblem }
        // "Not found" is an answer only where everything was read.
        return report.unread.isEmpty ? .done : .worldFailed
    }
}
