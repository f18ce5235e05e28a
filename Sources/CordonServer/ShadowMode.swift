import CordonEdge
import CordonModel
import CordonPolicy
import LinuxIO
import Synchronization
import Telemetry

/// What a running node asks beside its rules.
package struct ShadowStatus: Codable, Equatable, Sendable {
    /// Whose `Policies/` the candidate is read from.
    package let folder: String
    /// Digest of the candidate that hits are compared under; nil when none could be read yet.
    package let candidate: String?
    /// Why the folder was not taken when it was last read; an earlier candidate stays then.
    package let mistakes: [String]
}

/// The candidate of one node over its reloads, and the records of what it decided otherwise.
///
/// Nothing here can stop a start or a reload: a candidate that cannot be read is named and left out, and so is one whose records
/// cannot be written.
final class ShadowMode: Sendable {
    private let folder: ProjectLayout
    private let layout: ProjectLayout
    private let loops: Int
    private let regions: [String]
    private let records: ShadowRecords
    private let logger: Logger
    private let clock: any WallClock
    /// Held while records are written too: of two writers the one with the older counts could come last.
    private let state = Mutex(State())

    private struct State {
        var candidate: RuleSet?
        var mistakes: [String] = []
        /// The last one is in force; loops may still count into the one before while they take up the next context.
        var runs: [Run] = []
    }

    private struct Run {
        let name: String
        let from: String
        let rules: ShadowRules
    }

    init(
        folder: String, layout: ProjectLayout, loops: Int, regions: [String], logger: Logger,
        clock: any WallClock
    ) {
        self.folder = ProjectLayout(root: folder)
        self.layout = layout
        self.loops = loops
        self.regions = regions.sorted()
        records = ShadowRecords(layout)
        self.logger = logger
        self.clock = clock
    }

    var status: ShadowStatus {
        state.withLock {
            ShadowStatus(
                folder: folder.root, candidate: $0.runs.last?.rules.ruleSet.digest,
                mistakes: $0.mistakes)
        }
    }

    /// `context` with the candidate as its folder says it now, or with the one before when that has mistakes; as it is
    /// when there is none.
    func attached(to context: EdgeContext) -> EdgeContext {
        var read: RuleSet?
        var mistakes: [String] = []
        do throws(ConfigurationErrors) {
            read = try ProjectConfiguration.load(
                policiesOf: folder, for: layout, now: Day(clock.now())
            ).ruleSet
        } catch {
            mistakes = error.problems.map(\.description)
            logger.warning(
                "the candidate was not taken; the rules in force are not concerned",
                ["error": .text(mistakes.joined(separator: "\n"))])
        }
        let candidate = state.withLock { state in
            state.candidate = read ?? state.candidate
            state.mistakes = mistakes
            return state.candidate
        }
        guard let candidate else { return context }
        return context.shadowed(by: candidate, loops: loops)
    }

    /// The candidate that `context` has is the one in force from now on.
    func begin(_ context: EdgeContext) {
        guard let rules = context.shadow else { return }
        save()
        state.withLock { state in
            let name = String(UInt64.random(in: .min ... .max), radix: 16)
            state.runs.append(Run(name: name, from: clock.now().text, rules: rules))
            state.runs = Array(state.runs.suffix(2))
        }
        logger.info(
            "a candidate is asked beside the rules",
            [
                "shadow.candidate": .text(rules.ruleSet.digest),
                "policy.rule_set": .text(context.ruleSet.digest),
            ])
    }

    /// Writes what was counted so far.
    func save() {
        var problems: [String] = []
        state.withLock { state in
            for run in state.runs {
                let counts = run.rules.counts()
                guard counts.compared > 0 else { continue }
                do {
                    try records.write(
                        ShadowRecords.Record(
                            regions: regions, from: run.from, to: clock.now().text, counts: counts),
                        name: run.name)
                } catch {
                    problems.append("\(error)")
                }
            }
        }
        for problem in problems {
            logger.error("counts of a candidate were not written", ["error": .text(problem)])
        }
    }
}
