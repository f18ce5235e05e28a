import CordonModel
import Foundation
import GeoTables
import LinuxIO
import Merkle
import TestSupport

@testable import CordonPolicy
@testable import CordonProof

/// The shipped project, and a table with one range in either family for each place that laws tell apart.
final class ProofFixture: Sendable {
    static let shared = ProofFixture()

    let table: GeoTable
    /// The table's file.
    let tableBytes: [UInt8]
    /// The shipped files without cases, which a proof does not read.
    let texts: [String: String]
    private let directory: TemporaryDirectory

    static let today = Day("2026-11-23")!
    static let layout = ProjectLayout(root: "/project")

    /// Places: members of the groups, the countries of the policies, some subdivisions, and one that no policy names.
    static let places = [
        "DE", "FR", "NO", "IS", "RE", "GB", "GG", "CH", "JP", "BR", "IN", "CN", "HK", "US", "PR",
        "CA",
        "ZA", "KR", "US-CA", "US-TX", "CA-QC",
    ]

    private init() {
        var lines = ""
        for (index, place) in Self.places.enumerated() {
            let parts = place.split(separator: "-")
            let suffix = parts.count == 2 ? ",\(parts[1])" : ""
            lines += "1.0.\(index).0/24,\(parts[0])\(suffix)\n"
            lines += "2a00:\(index + 1)::/32,\(parts[0])\(suffix)\n"
        }
        do {
            directory = try TemporaryDirectory()
            table = try Self.table(lines, in: directory)
            tableBytes = try File.read(table.path)
            texts = try ShippedProject.texts(cases: false)
        } catch {
            preconditionFailure("the fixture cannot be made: \(error)")
        }
    }

    /// A table of comma-separated ranges.
    static func table(_ lines: String, in directory: TemporaryDirectory) throws -> GeoTable {
        let name = UUID().uuidString
        try File.write(directory.file(name + ".csv"), Array(lines.utf8), sync: false)
        var builder = GeoTableBuilder()
        try builder.add(.csv, path: directory.file(name + ".csv"))
        try builder.write(to: directory.file(name + ".cgt"))
        return try GeoTable(mapping: directory.file(name + ".cgt"))
    }

    /// The shipped project with some files replaced; nil takes one away.
    func load(
        _ changes: [String: String?] = [:]
    ) throws(ConfigurationErrors) -> ProjectConfiguration {
        var texts = texts
        for (path, text) in changes { texts[path] = text }
        return try ProjectConfiguration.load(
            ProjectFiles(texts), layout: Self.layout, now: Self.today)
    }

    func prove(_ project: ProjectConfiguration) -> Proof {
        Prover(project, rules: project.ruleSet.bound(to: table.places), table: table).prove()
    }

    /// The shipped project with `old` replaced in one file.
    func edited(_ path: String, _ old: String, _ new: String) throws -> ProjectConfiguration {
        let text = texts[path] ?? ""
        precondition(text.contains(old), "\(path) holds `\(old)`")
        return try load([path: text.replacingOccurrences(of: old, with: new)])
    }
}

extension Proof {
    /// The first statement that fails, and why.
    var failure: (name: String, example: Counterexample)? {
        results.lazy.compactMap { result in
            result.counterexample.map { (result.name, $0) }
        }.first
    }
}
