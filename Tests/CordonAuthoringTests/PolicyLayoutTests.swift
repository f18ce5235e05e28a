import CordonModel
import Foundation
import TestSupport
import Testing

@testable import CordonAuthoring
@testable import CordonPolicy

let today = Day("2026-11-23")!

func load(_ texts: [String: String]) throws -> ProjectConfiguration {
    try ProjectConfiguration.load(
        ProjectFiles(texts), layout: ProjectLayout(root: "/project"), now: today)
}

@Suite struct `Policy layout` {
    @Test func `the shipped files are laid out`() throws {
        for (file, text) in try ShippedProject.texts(cases: true) where file.hasPrefix("Policies/")
        {
            let bytes = Array(text.utf8)
            let line = PolicyLayout.firstChange(
                bytes, try PolicyLayout.format(bytes, file: file))
            #expect(line == nil, "\(file):\(line ?? 0)")
        }
    }

    @Test func `what is laid out compiles to the same rules and cases`() throws {
        let texts = try ShippedProject.texts(cases: true)
        // As untidy as the format lets: other blanks, breaks, and a comment behind every line.
        let untidy = texts.mapValues { text in
            text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
                line.contains("#") || line.isEmpty
                    ? String(line) : line.replacingOccurrences(of: ", ", with: " ,   ") + "   # x"
            }.joined(separator: "\n\n\n")
        }
        var laidOut = untidy
        for (file, text) in untidy where file.hasPrefix("Policies/") {
            laidOut[file] = String(
                decoding: try PolicyLayout.format(Array(text.utf8), file: file), as: UTF8.self)
        }
        let (before, after) = (try load(untidy), try load(laidOut))
        #expect(before.ruleSet.digest == after.ruleSet.digest)
        #expect(before.atlas.groups.mapValues(\.codes) == after.atlas.groups.mapValues(\.codes))
        #expect(before.cases.map(\.expect) == after.cases.map(\.expect))
        #expect(before.cases.map(\.request) == after.cases.map(\.request))
        #expect(before.invariants.statements.map(\.name) == after.invariants.statements.map(\.name))
    }

    @Test func `a file that cannot be laid out is named with its line`() {
        #expect {
            try PolicyLayout.format(Array("policy: a\ntitle: [\n".utf8), file: "Policies/a.yaml")
        } throws: { error in
            "\(error)".hasPrefix("Policies/a.yaml:3:")
        }
    }
}
