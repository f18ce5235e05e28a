import Bytes
import CordonSubjects
import Foundation
import TestSupport
import Testing

@Suite struct `A scan of the disk` {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory(holdsRawValues: true) }

    private func write(_ name: String, _ bytes: [UInt8]) throws {
        let url = URL(fileURLWithPath: folder.file(name))
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
    }

    private func write(_ name: String, _ text: String) throws { try write(name, Array(text.utf8)) }

    private func scan(
        _ values: [String], without: Set<String> = [], decoding: [any DecodedContent] = []
    ) throws -> [DiskScan.Match] {
        var matches: [DiskScan.Match] = []
        _ = try DiskScan(values: values.map { Array($0.utf8) }, without: without)
            .run(root: folder.path, decoding: decoding) { matches.append($0) }
        return matches
    }

    struct Hiding: CustomTestStringConvertible, Sendable {
        let value: String
        let encoding: String
        let bytes: [UInt8]
        var testDescription: String { encoding }

        init(_ value: String, _ encoding: String, _ bytes: [UInt8]) {
            self.value = value
            self.encoding = encoding
            self.bytes = bytes
        }
        init(_ value: String, _ encoding: String, _ text: String) {
            self.init(value, encoding, Array(text.utf8))
        }
    }

    static let hidings = [
        Hiding("Jane.Doe@example.com", "plain", "user=Jane.Doe@example.com;"),
        Hiding("Jane.Doe@example.com", "lowercase", "jane.doe@example.com"),
        Hiding("Jane.Doe@example.com", "uppercase", "JANE.DOE@EXAMPLE.COM"),
        Hiding("Jane.Doe@example.com", "percent", "u=Jane.Doe%40example.com"),
        Hiding("a b/c\u{e9}x", "form", "q=a+b%2Fc%C3%A9x"),
        Hiding("Jane.Doe@example.com", "reversed", "moc.elpmaxe@eoD.enaJ"),
        Hiding("Jane.Doe@example.com", "hex", "4a616e652e446f65406578616d706c652e636f6d"),
        Hiding("jane", "percent-all", "%6A%61%6E%65"),
        Hiding("say \"hi\"", "json", #"{"v":"say \"hi\""}"#),
        Hiding("caf\u{e9}/7", "json", #""caf\u00e9\/7""#),
        Hiding("jane", "utf-16le", [0x6A, 0, 0x61, 0, 0x6E, 0, 0x65, 0]),
        Hiding("jane", "utf-16be", [0, 0x6A, 0, 0x61, 0, 0x6E, 0, 0x65]),
        Hiding("203.0.113.77", "plain", "203.0.113.77, 198.51.100.1"),
        Hiding("203.0.113.77", "address-mapped", "::ffff:cb00:714d"),
        Hiding("203.0.113.77", "address-nat64", "64:ff9b::cb00:714d"),
        Hiding("203.0.113.77", "address-6to4", "2002:cb00:714d::/48"),
        Hiding("203.0.113.77", "address-6to4", "2002:CB00:714D:1::5"),
        Hiding("203.0.113.77", "address-padded", "203.000.113.077"),
        Hiding("203.0.113.77", "address-decimal", "n=3405803853"),
        Hiding("203.0.113.77", "address-reverse-lookup", "77.113.0.203.in-addr.arpa"),
        Hiding("203.0.113.77", "ipv4-bytes", [1, 203, 0, 113, 77, 9]),
        Hiding("203.0.113.77", "ipv4-bytes-reversed", [1, 77, 113, 0, 203, 9]),
        Hiding("203.0.113.77", "hex of ipv4-bytes", "cb00714d"),
        Hiding("2001:db8::a1", "address-expanded", "2001:0db8:0000:0000:0000:0000:0000:00a1"),
        Hiding("2001:0DB8::A1", "address-canonical", "ip:2001:db8::a1: gone"),
        Hiding("2001:db8::a1", "uppercase", "2001:DB8::A1"),
        Hiding(
            "[2001:db8::a1]", "ipv6-bytes",
            [7, 0x20, 1, 0x0d, 0xb8] + Array(repeating: 0, count: 11) + [0xa1, 1]),
        Hiding("2001:db8::a1", "percent", "2001%3adb8%3a%3aa1"),
        Hiding("2001:db8::a1", "percent", "2001%3Adb8%3A%3Aa1"),
    ]

    @Test(arguments: hidings) func `finds a value however it is written`(_ hiding: Hiding) throws {
        try write("a/b/file.bin", Array("before ".utf8) + hiding.bytes + Array(" after".utf8))
        let matches = try scan([hiding.value])
        #expect(matches.map(\.encoding).contains(hiding.encoding))
        #expect(matches.allSatisfy { $0.path == folder.file("a/b/file.bin") && $0.value == 0 })
    }

    @Test func `finds base64 at each of its alignments and in both alphabets`() throws {
        let value = Array("subject-\u{fb}\u{ff}\u{fe}-42?>".utf8)
        for before in 0..<3 {
            for alphabet in [Base64.Alphabet.standard, .url] {
                let around = Array("xyz".utf8.prefix(before)) + value + Array("tail".utf8)
                try write("encoded.txt", Base64.encode(around, alphabet: alphabet))
                #expect(try scan([String(decoding: value, as: UTF8.self)]).count == 1)
            }
        }
    }

    @Test(arguments: [
        "1203.0.113.77", "203.0.113.770", "203.0.113.77/24", "34058038531", "203.0.113.7",
        "177.311.0.302", "2002:cb00:714::/48", "12002:cb00:714d::",
    ])
    func `an address is not found in a longer number or in a block`(_ text: String) throws {
        try write("file.txt", text)
        #expect(try scan(["203.0.113.77"], without: ["address-reverse-lookup"]).isEmpty)
    }

    @Test func `a whole address written as a block of one is found`() throws {
        try write("file.txt", "203.0.113.77/32 2001:db8::a1/128")
        #expect(try scan(["203.0.113.77"]).map(\.offset) == [0])
        #expect(try scan(["2001:db8::a1"]).map(\.offset) == [16])
    }

    @Test func `tells the offset, also where two windows of the file meet`() throws {
        let needle = Array("needle-in-the-file".utf8)
        for offset in [(1 << 20) - 30, (1 << 20) - 9, 1 << 20, (2 << 20) - 1] {
            var bytes = [UInt8](repeating: 0x2E, count: offset) + needle
            bytes += [UInt8](repeating: 0x2E, count: 100)
            try write("large.bin", bytes)
            #expect(try scan(["needle-in-the-file"]).map(\.offset) == [offset])
        }
    }

    @Test func `tells each of many values by its number`() throws {
        let values = (0..<2_000).map { "visitor-number-\($0)-of-many" }
        try write("some.txt", values[1_234] + "\n" + values[7])
        #expect(try scan(values).map(\.value) == [1_234, 7])
    }

    @Test func `looks at names of files and at the targets of links`() throws {
        try write("person-4711.txt", "nothing")
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("link"), withDestinationPath: "/nowhere/person-4711")
        let matches = try scan(["person-4711"])
        #expect(matches.map(\.offset) == [nil, nil])
        #expect(Set(matches.map(\.path)) == [folder.file("person-4711.txt"), folder.file("link")])
    }

    @Test func `leaves out the encodings that it is told to`() throws {
        try write("file.bin", [1, 203, 0, 113, 77, 9])
        #expect(try scan(["203.0.113.77"], without: ValueForms.shortRawEncodings).isEmpty)
    }

    @Test func `takes four raw bytes for chance where a file is compressed`() throws {
        try write("file.parquet", Array("PAR1".utf8) + [203, 0, 113, 77, 9])
        #expect(try scan(["203.0.113.77"]).isEmpty)
    }

    @Test func `reads kinds of files that it is given a reader for`() throws {
        struct Reversed: DecodedContent {
            let name = "reversed"
            func recognises(_ path: String) -> Bool { path.hasSuffix(".rev") }
            func read(_ path: String, _ consume: (Int, [UInt8]) -> Void) -> String? {
                consume(0, Array("nothing".utf8))
                consume(1, Array("some-secret-value".utf8))
                return nil
            }
        }
        try write("file.rev", "-")
        let matches = try scan(["some-secret-value"], decoding: [Reversed()])
        #expect(matches.map(\.encoding) == ["plain in reversed"])
        #expect(matches.map(\.offset) == [1])
    }

    @Test func `a file that cannot be read is told`() throws {
        struct Failing: DecodedContent {
            let name = "failing"
            func recognises(_ path: String) -> Bool { true }
            func read(_ path: String, _ consume: (Int, [UInt8]) -> Void) -> String? { "broken" }
        }
        try write("file", "-")
        let report = try DiskScan(values: [Array("some value".utf8)])
            .run(root: folder.path, decoding: [Failing()]) { _ in }
        #expect(report.unread == [folder.file("file") + ": broken"])
        #expect(report.files == 1)
    }

    @Test func `refuses values that every file has`() {
        #expect(throws: ScanError.valueTooShort(number: 2)) {
            _ = try DiskScan(values: [Array("long enough".utf8), Array("abc".utf8)])
        }
        #expect(throws: ScanError.noValue) { _ = try DiskScan(values: []) }
    }
}
