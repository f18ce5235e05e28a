internal import Bytes
package import CordonModel
package import CordonPolicy
internal import Crypto
internal import Foundation
internal import LinuxIO

/// The rule sets that were ever in force, with the files they were compiled from: `var/rules/<digest>.json`.
///
/// A collector keeps its rule set before it decides by it, so every digest that stands in a record can be read again.
/// What is read is compiled anew and must have the digest it is named by.
package struct KeptRules: Sendable {
    private let layout: ProjectLayout
    private var directory: String { layout.stateDirectory + "/rules" }

    package init(_ layout: ProjectLayout) { self.layout = layout }

    /// Why a kept rule set cannot be read.
    package struct Failure: Error, CustomStringConvertible, Sendable {
        package let description: String
    }

    private struct Content: Codable {
        var format: String
        var ruleSet: String
        /// Texts by path below the project's folder.
        var files: [String: String]

        enum CodingKeys: String, CodingKey {
            case format, files
            case ruleSet = "rule_set"
        }
    }

    private static let format = "cordon rules 1"
    private static let suffix = ".json"
    /// Longest file that is read, in bytes: the files of a thousand policies.
    private static let bytesMax = 64 << 20
    /// Least number of a digest's digits that name a rule set.
    package static let prefixLengthMin = 8

    private func path(_ digest: String) -> String { directory + "/" + digest + Self.suffix }

    /// Keeps the rule set of `project`, synced; one that is kept already and can be read stays as it is.
    ///
    /// One that cannot be read would go unnoticed until an auditor asks, while new records go on pointing at it. It is put aside
    /// under another name, since the audit log holds its hash, and the rule set is kept anew.
    ///
    /// - Returns: SHA-256 of the kept file, hexadecimal.
    @discardableResult
    package func keep(_ project: ProjectConfiguration) throws -> String {
        try Directory.create(layout.stateDirectory)
        try Directory.create(directory)
        let path = path(project.ruleSet.digest)
        var files: [String: String] = [:]
        for (file, bytes) in project.files.contents where !file.hasPrefix("Policies/cases/") {
            files[file] = String(decoding: bytes, as: UTF8.self)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let content = Content(
            format: Self.format, ruleSet: project.ruleSet.digest, files: files)
        let bytes = Array(try encoder.encode(content)) + [0x0A]
        if try !File.create(path, bytes, mode: 0o644) {
            let found = try File.read(path)
            if found != bytes, !isReadable(project.ruleSet.digest) {
                let mark = Bytes.hex(SHA256.hash(found)).prefix(8)
                try File.rename(path, to: "\(path).unreadable-\(mark)")
                _ = try File.create(path, bytes, mode: 0o644)
            }
        }
        return Bytes.hex(SHA256.hash(try File.read(path)))
    }

    private func isReadable(_ digest: String) -> Bool {
        // Whatever is wrong with it, it is kept anew. The day bears on warnings alone, which nobody sees here.
        (try? load(digest, now: Day(number: 0))) != nil
    }

    /// Digests of all kept rule sets, sorted.
    package func digests() throws -> [String] {
        guard try File.exists(directory) else { return [] }
        return try Directory.list(directory)
            .filter { $0.hasSuffix(Self.suffix) && !$0.hasPrefix(".") }
            .map { String($0.dropLast(Self.suffix.count)) }.sorted()
    }

    /// Whether `name` could be a digest, or enough of its beginning.
    package static func isDigest(_ name: String) -> Bool {
        (prefixLengthMin...64).contains(name.utf8.count)
            && name.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
            }
    }

    /// The digest that `name`, a digest or at least ``prefixLengthMin`` digits of its beginning, stands for; nil when none does.
    package func digest(named name: String) throws -> String? {
        guard Self.isDigest(name) else { return nil }
        let found = try digests().filter { $0.hasPrefix(name) }
        guard found.count < 2 else {
            throw Failure(
                description: "`\(name)` begins the digests of \(found.count) kept rule sets")
        }
        return found.first
    }

    /// The project as it was when the rule set `digest` came into force; its cases are not kept.
    package func load(_ digest: String, now: Day) throws -> ProjectConfiguration {
        let path = path(digest)
        guard let bytes = try File.readIfPresent(path) else {
            throw Failure(description: "no rule set \(digest) is kept in `\(directory)`")
        }
        guard bytes.count <= Self.bytesMax,
            let content = try? JSONDecoder().decode(Content.self, from: Data(bytes)),
            content.format == Self.format
        else { throw Failure(description: "`\(path)` is no kept rule set of this version") }
        let project: ProjectConfiguration
        do throws(ConfigurationErrors) {
            project = try ProjectConfiguration.load(
                ProjectFiles(content.files), layout: layout, now: now)
        } catch {
            throw Failure(
                description: "`\(path)` does not compile with this version\n" + error.description)
        }
        guard project.ruleSet.digest == digest else {
            throw Failure(
                description:
                    "`\(path)` was changed, or kept by another version: it compiles to the rule set \(project.ruleSet.digest)"
            )
        }
        return project
    }
}
