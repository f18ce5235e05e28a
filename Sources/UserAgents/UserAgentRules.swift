internal import Foundation
internal import LinuxIO

/// The rules of uap-core, each checked at loading and compiled when it is first needed; shared by all threads.
package final class UserAgentRules: Sendable {
    /// Where the rules come from, such as `uap-core 73e7340c…`.
    package let origin: String
    /// All rules: those of browsers, then of operating systems, then of devices.
    let rules: [Rule]
    let browsers: Range<Int>
    let systems: Range<Int>
    let devices: Range<Int>
    let prefilter: RulePrefilter

    package var count: Int { rules.count }

    /// The environment variable that names the rules' file.
    package static let environmentVariable = "CORDON_USER_AGENT_RULES"
    /// The file's name below where set-up lays data.
    package static let installedName = "user-agents/rules.tsv"
    private static let headerFormat = "cordon-user-agent-rules\t1\t"

    /// One rule: what it looks for and what it says.
    struct Rule: Sendable {
        let expression: Expression
        /// The family with `$1` to `$9` for groups; empty when it is group 1 as it stands.
        let replacement: [UInt8]
    }

    /// Loads the file that ``environmentVariable`` names, else the one that set-up laid.
    package static func loadInstalled() throws(UserAgentRulesError) -> UserAgentRules {
        guard let path = InstalledData.find(installedName, environment: environmentVariable) else {
            throw UserAgentRulesError(code: .notInstalled, path: installedName, line: nil)
        }
        return try load(path: path)
    }

    /// Loads a rules file. Takes some 0.1 s.
    package static func load(path: String) throws(UserAgentRulesError) -> UserAgentRules {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw UserAgentRulesError(code: .unreadable, path: path, line: nil)
        }
        return try UserAgentRules(parsing: Array(data), path: path)
    }

    /// Compiles the text of a rules file: a heading, then one rule a line, `list TAB flags TAB replacement TAB pattern`.
    package init(parsing text: [UInt8], path: String) throws(UserAgentRulesError) {
        var lines = text.split(separator: 0x0A, omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        guard let heading = lines.first, heading.starts(with: Self.headerFormat.utf8) else {
            throw UserAgentRulesError(code: .unknownFormat, path: path, line: 1)
        }
        origin = String(decoding: heading.dropFirst(Self.headerFormat.utf8.count), as: UTF8.self)

        var lists: [[Rule]] = [[], [], []]
        var literals: [[[[UInt8]]?]] = [[], [], []]
        for (index, line) in lines.enumerated().dropFirst() {
            let fields = line.split(separator: 0x09, omittingEmptySubsequences: false)
            guard fields.count == 4, let list = Self.lists.firstIndex(of: Array(fields[0])),
                fields[1].isEmpty || fields[1].elementsEqual("i".utf8)
            else { throw UserAgentRulesError(code: .malformedLine, path: path, line: index + 1) }
            do {
                let expression = try Expression(Array(fields[3]), ignoringCase: !fields[1].isEmpty)
                lists[list].append(Rule(expression: expression, replacement: Array(fields[2])))
            } catch {
                throw UserAgentRulesError(code: .malformedPattern, path: path, line: index + 1)
            }
            literals[list].append(RequiredLiterals.of(pattern: Array(fields[3])))
        }
        guard lists.allSatisfy({ !$0.isEmpty }) else {
            throw UserAgentRulesError(code: .emptyList, path: path, line: nil)
        }
        rules = lists.flatMap(\.self)
        browsers = 0..<lists[0].count
        systems = browsers.upperBound..<browsers.upperBound + lists[1].count
        devices = systems.upperBound..<systems.upperBound + lists[2].count
        prefilter = RulePrefilter(literals.flatMap(\.self))
    }

    private static let lists = [Array("browser".utf8), Array("os".utf8), Array("device".utf8)]
}

/// Why the user agent rules could not be loaded.
package struct UserAgentRulesError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case notInstalled, unreadable, unknownFormat, malformedLine, malformedPattern, emptyList
    }
    package let code: Code
    package let path: String
    package let line: Int?

    package var description: String {
        let place = "`\(path)`" + (line.map { " line \($0)" } ?? "")
        return switch code {
        case .notInstalled:
            "no user agent rules found: run scripts/setup, or name a file in \(UserAgentRules.environmentVariable)"
        case .unreadable: "\(place): the user agent rules cannot be read"
        case .unknownFormat: "\(place): not a file of user agent rules of version 1"
        case .malformedLine:
            "\(place): expected list, flags, replacement and pattern with tabs between"
        case .malformedPattern: "\(place): the pattern is not a valid regular expression"
        case .emptyList: "\(place): expected rules for browser, os and device, one of them has none"
        }
    }
}
