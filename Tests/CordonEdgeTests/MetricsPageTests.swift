import CordonJournal
import Foundation
import HTTP
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `The page of metrics` {
    private static func operating() throws -> String {
        try String(
            contentsOfFile: ShippedProject.root + "/Docs/operations/edge.md", encoding: .utf8)
    }

    private static func names(_ text: String, after mark: String) -> Set<String> {
        Set(
            text.components(separatedBy: mark).dropFirst().map { part in
                String(part.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
            })
    }

    @Test func `has each metric that the page on operating explains, and no other`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let page = fixture.collector.metricsPage()
        fixture.collector.drain()
        let printed = Self.names(page, after: "# TYPE ")
        #expect(
            printed
                == Self.names(try Self.operating(), after: "\n| `").filter {
                    $0.hasPrefix("cordon_")
                })
        // Nor is any other named in the text.
        let named = Self.names(try Self.operating(), after: "`cordon_").map { "cordon_" + $0 }
        #expect(printed.isSuperset(of: named), "\(Set(named).subtracting(printed))")
    }

    @Test func `has its labels explained`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        _ = client.get("/hit", ["X-Forwarded-For: \(EdgeFixture.german)"])
        _ = client.get("/nothing")
        let page = fixture.collector.metricsPage()
        fixture.collector.drain()
        let text = try Self.operating()
        for line in page.split(separator: "\n") where line.contains("{") && !line.hasPrefix("#") {
            let labels = line.prefix { $0 != "}" }.drop { $0 != "{" }.dropFirst()
                .split(separator: ",").map { $0.prefix { $0 != "=" } }.joined(separator: ",")
            let name = line.prefix { $0 != "{" }
            #expect(text.contains("| `\(name){\(labels)}` |"), "\(name){\(labels)}")
        }
        for code in JournalError.Code.allCases { #expect(text.contains("`\(code.rawValue)`")) }
        for fate in HitFate.allCases { #expect(text.contains("\n| \(fate.text) | ")) }
        for provenance in AddressProvenance.allCases {
            #expect(text.contains("`\(provenance.text)`"))
        }
        for outcome in HandshakeOutcome.allCases { #expect(text.contains("`\(outcome.text)`")) }
    }

    @Test func `and each refusal of the collector have their lines`() throws {
        let text = try Self.operating()
        for status in HTTPStatus.allCases where status.rawValue >= 400 {
            let isExplained = text.split(separator: "\n").contains { line in
                line.hasPrefix("|")
                    && line.dropFirst().prefix { $0 != "|" }.contains("\(status.rawValue)")
            }
            #expect(isExplained, "\(status.rawValue)")
        }
    }

    @Test(.enabled(if: Self.hasPromtool, "no promtool: install Debian's `prometheus`"))
    func `is one that Prometheus reads without complaint`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        for target in ["/hit", "/nothing", "/pixel.gif"] { _ = client.get(target) }
        let page = String(decoding: client.get("/metrics")?.body ?? [], as: UTF8.self)
        fixture.collector.drain()
        let checked = try Tool.run("promtool", ["check", "metrics"], input: page)
        #expect(checked.exitCode == 0 && checked.output.isEmpty, "\(checked.output)")
    }

    private static let hasPromtool = FileManager.default.isExecutableFile(
        atPath: "/usr/bin/promtool")

    @Test func `tells what waits in the journals and for how long`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("journal.sqlite")
        let journal = try Journal(path: path)
        let gauge = JournalGauge(region: "r", path: path)
        gauge.measure()
        #expect(gauge.reading?.depth.batches == 0)
        #expect(gauge.reading?.age(at: 7_000_000) == 0)
        _ = try journal.append([1, 2, 3], hits: 2, expecting: 0)
        _ = try journal.append([4, 5], hits: 1, expecting: 0)
        // It is not time yet; another gauge has not looked before.
        gauge.measure()
        #expect(gauge.reading?.depth.batches == 0)
        let fresh = JournalGauge(region: "r", path: path)
        fresh.measure()
        let reading = try #require(fresh.reading)
        #expect(reading.depth.batches == 2)
        #expect(reading.depth.hits == 3)
        #expect(reading.depth.bytes == 5)
        let minute = try #require(reading.oldestMinute)
        #expect(reading.age(at: (minute * 60 + 130) * 1_000_000) == 130)
        // A clock that went back makes no negative age.
        #expect(reading.age(at: 0) == 0)
        try "no journal at all, and longer than a page of nothing".write(
            toFile: directory.file("broken"), atomically: false, encoding: .utf8)
        let broken = JournalGauge(region: "r", path: directory.file("broken"))
        broken.measure()
        #expect(broken.reading == nil)
    }
}
