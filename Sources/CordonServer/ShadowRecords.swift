package import CordonEdge
package import CordonModel
import Foundation
import LinuxIO

/// What candidates were found to decide otherwise, as files in `var/shadow`: one for each time that a process asked a candidate.
///
/// A file is replaced as a whole while its process runs, so its numbers only grow; nothing in it is about a person.
package struct ShadowRecords: Sendable {
    /// The counts of one file, or of several added up.
    package struct Record: Codable, Equatable, Sendable {
        /// Names of the regions that listened, sorted.
        package var regions: [String]
        /// When the candidate was first asked, and when the counts were last written.
        package var from: String
        package var to: String
        package var counts: ShadowCounts
    }

    /// A file that is none of these.
    package struct Failure: Error, CustomStringConvertible, Sendable {
        package let description: String
    }

    private struct Content: Codable {
        var format: String
        var record: Record
    }

    private static let format = "cordon shadow 1"
    private static let suffix = ".json"
    private let layout: ProjectLayout
    private var directory: String { layout.stateDirectory + "/shadow" }

    package init(_ layout: ProjectLayout) { self.layout = layout }

    /// Replaces the file of that name.
    func write(_ record: Record, name: String) throws {
        try Directory.create(layout.stateDirectory)
        try Directory.create(directory)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let bytes = Array(try encoder.encode(Content(format: Self.format, record: record)))
        // Unsynced: what a crash of the machine costs are counts of no duty.
        try File.write("\(directory)/\(name)\(Self.suffix)", bytes + [0x0A], sync: false)
    }

    /// All there are, added up for each pair of rule set and candidate; the one that was written last comes first.
    package func read() throws -> [Record] {
        guard try File.exists(directory) else { return [] }
        var found: [[String]: Record] = [:]
        for name in try Directory.list(directory).sorted()
        where name.hasSuffix(Self.suffix) && !name.hasPrefix(".") {
            // An empty one was being written when its machine lost power.
            guard let bytes = try File.readIfPresent(directory + "/" + name), !bytes.isEmpty else {
                continue
            }
            guard let content = try? JSONDecoder().decode(Content.self, from: Data(bytes)),
                content.format == Self.format
            else {
                throw Failure(
                    description:
                        "`var/shadow/\(name)` is no record of this version: move it out of the folder"
                )
            }
            let record = content.record
            let key = [record.counts.ruleSet, record.counts.candidate]
            guard var sum = found[key] else {
                found[key] = record
                continue
            }
            sum.regions = Set(sum.regions + record.regions).sorted()
            sum.from = min(sum.from, record.from)
            if record.to > sum.to { sum.counts.geoBuild = record.counts.geoBuild }
            sum.to = max(sum.to, record.to)
            sum.counts.add(record.counts)
            found[key] = sum
        }
        return found.values.sorted {
            ($0.to, $0.counts.ruleSet, $0.counts.candidate)
                > ($1.to, $1.counts.ruleSet, $1.counts.candidate)
        }
    }
}
