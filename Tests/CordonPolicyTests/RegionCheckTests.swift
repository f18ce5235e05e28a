import CordonModel
import Foundation
import TestSupport
import Testing

@testable import CordonPolicy

/// Lines that a second region has more than the sample's, and every message that they must bring about it.
struct RegionCase: CustomTestStringConvertible, Sendable {
    let lines: String
    let expected: [String]

    init(_ lines: String, _ expected: String...) {
        self.lines = lines
        self.expected = expected
    }

    var testDescription: String { lines }
}

@Suite struct `Regions beside one another` {
    private static let south = SampleProject.region.replacing(
        "region: north", with: "region: south"
    )
    .replacing("8401", with: "8402")

    private static func mistakes(_ text: String, north: String = "") -> [String] {
        SampleProject.mistakes([
            "Regions/north.yaml": SampleProject.region + north, "Regions/south.yaml": text,
        ])
    }

    @Test func `are right as the sample has them`() {
        #expect(Self.mistakes(Self.south) == [])
    }

    private static let shared =
        "region `south` keeps files where `north` does: a region shares nothing"

    @Test(arguments: [
        RegionCase("lake: { location: \"file:var//north/lake\" }", shared),
        RegionCase("lake: { location: \"file:var/north\" }", shared),
        RegionCase("keys: { directory: var/north }", shared),
        RegionCase(
            "lake: { location: \"file:var/north/lake/south\" }",
            "region `south` keeps its lake inside of the state folder of `north`: a region shares nothing"
        ),
        RegionCase(
            "catalog: { store: \"sqlite:var//north/journal.sqlite\" }",
            "region `south` keeps its catalog inside of the state folder of `north`: a region shares nothing"
        ),
        RegionCase(
            "catalog: { store: \"sqlite:var//south/journal.sqlite\" }",
            "region `south` keeps its catalog in the place of its journal"),
        RegionCase(
            "lake: { location: \"file:var/south/keys\" }",
            "region `south` keeps its lake in the place of its keys"),
        RegionCase(
            "keys: { directory: var/south }",
            "region `south` keeps its catalog inside of its keys",
            "region `south` keeps its keys around its journal",
            "region `south` keeps its lake inside of its keys"),
        RegionCase(
            "lake: { location: \"file:Policies/lake\" }",
            "region `south` keeps its lake inside of `Policies`, which is the project's own"),
    ])
    func `share no place, however it is written`(_ region: RegionCase) {
        #expect(
            Self.mistakes(Self.south + region.lines + "\n")
                == region.expected.map { "Regions/south.yaml:1:1: " + $0 })
    }

    @Test func `are not named as a folder of the project is`() {
        #expect(
            SampleProject.mistakes([
                "Regions/geo.yaml": Self.south.replacing("region: south", with: "region: geo")
            ]) == [
                "Regions/geo.yaml:1:1: region `geo` keeps its state folder in the place of `var/geo`, which is the project's own"
            ])
    }

    @Test func `share no folder under the name of a link`() throws {
        let directory = try TemporaryDirectory()
        let link = directory.file("var/other")
        try FileManager.default.createDirectory(
            atPath: directory.file("var/north/lake"), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: link, withDestinationPath: directory.file("var/north"))
        let files = SampleProject.files([
            "Regions/south.yaml": Self.south + "lake: { location: \"file:var/other/lake\" }\n"
        ])
        let error = #expect(throws: ConfigurationErrors.self) {
            try ProjectConfiguration.load(
                files, layout: ProjectLayout(root: directory.path), now: SampleProject.today)
        }
        #expect(
            error?.problems.map(\.description) == ["Regions/south.yaml:1:1: " + Self.shared])
    }

    @Test(arguments: [
        RegionCase(
            "service: { listen: \"127.0.0.1:9471\" }",
            "region `south` listens on 127.0.0.1:9471, as region `north` does"),
        RegionCase(
            "service: { listen: \"127.0.0.1:8401\" }",
            "region `south` listens on 127.0.0.1:8401, as region `north` does"),
        RegionCase(
            "service: { listen: \"127.0.0.1:8402\" }",
            "region `south` listens on 127.0.0.1:8402 for its collector and on 127.0.0.1:8402 for its service: each needs a port of its own"
        ),
        RegionCase("service: { listen: \"127.0.0.1:0\" }"),
        RegionCase("service: { listen: \"[::1]:9471\" }"),
    ])
    func `have a port for each listener`(_ region: RegionCase) {
        #expect(
            Self.mistakes(
                Self.south + region.lines + "\n", north: "service: { listen: \"127.0.0.1:9471\" }\n"
            ) == region.expected.map { "Regions/south.yaml:1:1: " + $0 })
    }

    @Test func `do not listen on a port that another has for all addresses`() {
        func mistakes(_ listen: String) -> [String] {
            Self.mistakes(Self.south.replacing("127.0.0.1:8402", with: listen))
        }
        #expect(
            mistakes("0.0.0.0:8401") == [
                "Regions/south.yaml:1:1: region `south` listens on 0.0.0.0:8401, and region `north` on 127.0.0.1:8401: one takes in the other"
            ])
        #expect(mistakes("[::]:8401") == [])
    }
}

@Suite struct `Files that nobody would read` {
    @Test func `are mistakes, as folders are`() throws {
        let directory = try TemporaryDirectory()
        var texts = SampleProject.texts
        for path in [
            "Policies/eu/gdpr.yaml", "Policies/gdpr.YAML", "Policies/cases/old/law.yaml",
            "Policies/.git/gdpr.yaml", "Regions/old/south.yaml", "Regions/README.md",
        ] {
            texts[path] = "-"
        }
        for (path, text) in texts {
            let url = URL(fileURLWithPath: directory.file(path))
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
        let error = #expect(throws: ConfigurationErrors.self) {
            try ProjectConfiguration.load(
                ProjectLayout(root: directory.path), now: SampleProject.today)
        }
        #expect(
            error?.problems.map(\.description) == [
                "Policies/cases/old:1:1: the folder is not read: the files stand in `Policies/cases/` itself",
                "Policies/eu:1:1: the folder is not read: the files stand in `Policies/` itself",
                "Policies/gdpr.YAML:1:1: the file is not read: its name must end in `.yaml`",
                "Regions/old:1:1: the folder is not read: the files stand in `Regions/` itself",
            ])
    }
}
