import Foundation
import TestSupport
import Testing

/// Commands that run the whole product at once, in small sizes, so that they cannot rot.
@Suite(.serialized) struct `Whole commands` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        cordon = CordonProgram(project: directory.file("project"))
    }

    @Test func `the demo shows every step and leaves a project that works`() throws {
        let demo = try cordon.run("demo", "--dir", cordon.project, "--hits", "12000")
        try #require(demo.exitCode == 0, "\(demo.output) \(demo.errorOutput)")
        for shown in ["refused (", "sound, ", "erased", "clean", "0 place(s) found"] {
            #expect(demo.output.contains(shown), "\(shown)")
        }
        // There is something to find, to hand out and to erase.
        let erased = demo.output.matches(of: #/ erased +([0-9]+) /#).compactMap { Int($0.1) }
        #expect(erased.count == 3 && erased.reduce(0, +) > 0)
        #expect(try cordon.run("check").exitCode == 0)
        let again = try cordon.run("demo", "--dir", directory.path)
        #expect(again.exitCode == 2)
        #expect(again.errorOutput.contains("was not made by a demo"))
    }

    @Test func `every benchmark runs`() throws {
        let bench = try cordon.run("bench", "--quick", "--json")
        try #require(bench.exitCode == 0, "\(bench.errorOutput)")
        struct Figure: Decodable {
            let part: String
            let value: Double
        }
        let figures = try bench.output.split(separator: "\n").map {
            try JSONDecoder().decode(Figure.self, from: Data($0.utf8))
        }
        #expect(
            Set(figures.map(\.part)) == [
                "geo", "consent", "decision", "hit", "proof", "journal", "audit", "edge", "import",
                "delivery", "freshness",
                "query", "erase",
            ])
        #expect(figures.allSatisfy { $0.value > 0 })
    }

    @Test func `a consent string is shown field by field, and a corrupt one ends with 1`() throws {
        let good = try cordon.run(
            "consent", "decode", "--json",
            "DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN")
        #expect(good.exitCode == 0, "\(good.errorOutput)")
        #expect(good.output.contains(#""error":null"#) && good.output.contains(#""valid":true"#))
        #expect(good.output.contains(#""OptOutSale":"N""#))
        let text = try cordon.run("consent", "decode", "1YYN")
        #expect(text.output.contains("us_privacy: valid") && text.output.contains("OptOutSale"))
        let cut = try cordon.run("consent", "decode", "--json", "CPXxRfAPXxRfAAfKABENB-CgA")
        #expect(cut.exitCode == 1)
        #expect(cut.output.contains(#""valid":false"#))
        let other = try cordon.run("consent", "decode", "hello")
        #expect(other.exitCode == 1)
        #expect(other.errorOutput.contains("begins like no consent string"))
        #expect(!other.errorOutput.contains("hello"))
    }

    @Test func `a consent string that restricts every vendor often has a short answer`() throws {
        var bits = ""
        func put(_ value: Int, _ width: Int) {
            let text = String(value, radix: 2)
            bits += String(repeating: "0", count: width - text.count) + text
        }
        // Version, dates, CMP, screen, language `EN`, list, policy, flags, purposes, country, and no vendors.
        for (value, width) in [
            (2, 6), (15_500_000_000, 36), (15_500_000_000, 36), (1, 12), (1, 12), (1, 6), (4, 6),
            (13, 6), (1, 12), (4, 6), (3, 2), (0, 12), (0, 24), (0, 24), (0, 1), (4, 6), (13, 6),
            (0, 17), (0, 17),
        ] { put(value, width) }
        put(850, 12)
        for number in 0..<850 {
            for (value, width) in [
                (number % 24 + 1, 6), (number / 24 % 3, 2), (1, 12), (1, 1), (1, 16), (65535, 16),
            ] { put(value, width) }
        }
        while bits.count % 6 != 0 { bits += "0" }
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let digits = Array(bits.utf8)
        let text = String(
            stride(from: 0, to: digits.count, by: 6).map { start in
                alphabet[digits[start..<start + 6].reduce(0) { $0 << 1 | Int($1 - 0x30) }]
            })
        for words in [[], ["--json"]] {
            let answer = try cordon.run(["consent", "decode"] + words + [text])
            #expect(answer.exitCode == 0, "\(answer.output.prefix(200))")
            #expect(answer.output.utf8.count < 200_000)
            let shown = words.isEmpty ? "purpose 1 not allowed: 1-65535" : #""vendors":[[1,65535]]"#
            #expect(answer.output.contains(shown), "\(answer.output.suffix(200))")
        }
    }

    @Test func `a word that is no command is answered with the nearest one`() throws {
        let result = try cordon.run("qery")
        #expect(result.exitCode == 2)
        #expect(result.errorOutput.contains("did you mean `query`?"))
    }
}
