package import CordonModel
package import CordonTokens
import Foundation
import LinuxIO

/// What a reload came to.
package struct ReloadOutcome: Codable, Sendable {
    package let pid: Int32
    /// The project that the process runs.
    package let project: String
    package let regions: [String]
    /// Digest of the rules that hits are decided by from now on: the new ones, or with mistakes the old ones.
    package let ruleSet: String
    package let geoBuild: String
    /// Why nothing changed, one text a mistake; empty when the project was reloaded.
    package let mistakes: [String]
    /// A reload that waits for somebody to confirm it; while it does, all is as it was.
    package let held: HeldReload?
    /// What is asked beside the rules; nil when nothing is.
    package let shadow: ShadowStatus?
    /// How the keys of other issuers stand, by region.
    package let issuers: [String: [IssuerStanding]]

    private enum CodingKeys: String, CodingKey {
        case pid, project, regions, mistakes, held, shadow, issuers
        case ruleSet = "rule_set"
        case geoBuild = "geo_build"
    }
}

/// A reload that was not carried out because its geo table would move too many addresses.
package struct HeldReload: Codable, Equatable, Sendable {
    /// Build of the geo table that waits; it is what a confirmation names.
    package let geoBuild: String
    /// Percent of the addresses with a place whose hits would get another home, and whose another policy would decide.
    package let homePercent: Double
    package let protectionPercent: Double
    /// Above which percentage a reload is held.
    package let limitPercent: Double
    /// When it was held.
    package let since: String
    /// The largest changes that move a home or change a policy; at most ``changesMax``.
    package let changes: [GeoImpact.Change]

    static let changesMax = 10

    private enum CodingKeys: String, CodingKey {
        case since, changes
        case geoBuild = "geo_build"
        case homePercent = "home_percent"
        case protectionPercent = "protection_percent"
        case limitPercent = "limit_percent"
    }
}

/// The socket at which a running node takes orders from its own user: `reload`, `reload BUILD` to confirm
/// one that is held, and `status`; nothing else.
///
/// It lies in `var/run` of the project, which that user alone can enter, under a name of chance; who connects is looked
/// at too. A name that nobody listens at any more is removed by whoever finds it.
final class NodeControl: Sendable {
    private let listener: LocalListener
    private let ended = DispatchSemaphore(value: 0)

    private static let orderBytesMax = 256
    /// How long a client may take to say what it wants, in seconds.
    private static let orderSeconds = 5
    static let suffix = ".sock"

    enum Order: Equatable, Sendable {
        case status
        /// With the build of the geo table that may be taken although it moves many addresses.
        case reload(confirming: String?)

        var line: String {
            switch self {
            case .status: "status\n"
            case .reload(nil): "reload\n"
            case .reload(let build?): "reload \(build)\n"
            }
        }

        init?(line: [UInt8]) {
            let words = String(decoding: line, as: UTF8.self).dropLast().split(
                separator: " ", omittingEmptySubsequences: false)
            switch (words.first, words.count) {
            case ("status", 1): self = .status
            case ("reload", 1): self = .reload(confirming: nil)
            case ("reload", 2): self = .reload(confirming: String(words[1]))
            default: return nil
            }
        }
    }

    /// Starts taking orders.
    init(
        layout: ProjectLayout, carryOut: @escaping @Sendable (Order) -> ReloadOutcome
    ) throws {
        try Directory.create(layout.stateDirectory)
        try Directory.create(layout.runDirectory)
        let name = String(UInt64.random(in: .min ... .max), radix: 16) + Self.suffix
        let listener = try LocalListener(directory: layout.runDirectory, name: name)
        let ended = ended
        let thread = Thread {
            while let client = listener.accept() {
                // A client that goes away or says something else gets nothing; the next one is served.
                try? Self.serve(client, carryOut)
            }
            ended.signal()
        }
        thread.name = "control"
        self.listener = listener
        thread.start()
    }

    private static func serve(
        _ client: borrowing LocalConnection, _ carryOut: (Order) -> ReloadOutcome
    ) throws {
        let user = try client.peer.user
        guard user == geteuid() || user == 0 else { return }
        try client.setPatience(seconds: orderSeconds)
        let line = try client.read(through: 0x0A, bytesMax: orderBytesMax)
        guard let order = Order(line: line) else { return }
        try client.write(Array(JSONEncoder().encode(carryOut(order))))
    }

    func stop() {
        listener.shut()
        ended.wait()
    }
}

/// The running nodes of a project, as another process of the same user sees them.
package struct RunningNodes {
    /// How a node answered, or why it did not.
    package enum Answer: Sendable {
        case outcome(ReloadOutcome)
        /// Something that is no node of this project, or of another user.
        case refused(String)
    }

    private static let answerBytesMax = 1 << 20
    /// How long a reload may take, in seconds: a large project and its geo table.
    private static let answerSeconds = 120

    /// Asks each running node of the project to reload, one after the other; empty when none runs.
    /// - Parameter build: the geo table that may be taken although it moves many addresses.
    package static func reload(
        _ layout: ProjectLayout, confirming build: String? = nil
    ) throws -> [Answer] {
        try ask(layout, .reload(confirming: build))
    }

    /// What each running node decides by, and whether a reload waits there; empty when none runs.
    package static func status(_ layout: ProjectLayout) throws -> [Answer] {
        try ask(layout, .status)
    }

    private static func ask(_ layout: ProjectLayout, _ order: NodeControl.Order) throws -> [Answer]
    {
        guard try File.exists(layout.runDirectory) else { return [] }
        var answers: [Answer] = []
        for name in try Directory.list(layout.runDirectory).sorted()
        where name.hasSuffix(NodeControl.suffix) {
            do throws(NetworkError) {
                let node = try LocalConnection(directory: layout.runDirectory, name: name)
                answers.append(try ask(node, layout, name, order))
            } catch {
                guard error.code == ECONNREFUSED || error.code == ENOENT else {
                    answers.append(.refused("`var/run/\(name)`: \(error)"))
                    continue
                }
                // Its process ended without taking its name along.
                _ = try File.remove(layout.runDirectory + "/" + name)
            }
        }
        return answers
    }

    private static func ask(
        _ node: borrowing LocalConnection, _ layout: ProjectLayout, _ name: String,
        _ order: NodeControl.Order
    ) throws(NetworkError) -> Answer {
        let peer = try node.peer
        guard peer.user == geteuid() || geteuid() == 0 else {
            return .refused(
                "`var/run/\(name)`: process \(peer.process) belongs to another user and is left alone"
            )
        }
        try node.setPatience(seconds: answerSeconds)
        try node.write(Array(order.line.utf8))
        let bytes = try node.read(through: nil, bytesMax: answerBytesMax)
        guard let outcome = try? JSONDecoder().decode(ReloadOutcome.self, from: Data(bytes)),
            outcome.pid == peer.process || peer.process == 0, outcome.project == layout.root
        else {
            return .refused(
                "`var/run/\(name)`: process \(peer.process) does not answer as a node of this project"
            )
        }
        return .outcome(outcome)
    }
}
