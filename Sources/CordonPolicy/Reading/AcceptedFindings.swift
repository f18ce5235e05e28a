internal import CordonModel

/// A finding that somebody looked at and let stand, with the reason.
package struct AcceptedFinding: Hashable, Sendable {
    package var problem: ConfigurationProblem
    package var reason: String
    /// Where the acceptance stands.
    package var position: FilePosition
}

/// Reads `Policies/accepted.yaml`: findings to let stand, each with its reason.
struct AcceptanceReader {
    let problems: ProblemList
    let today: Day

    struct Acceptance {
        var finding: Finding
        var file: String
        /// A name that the finding's text holds in backticks; nil for every finding of the kind in the file.
        var about: String?
        var reason: String
        var until: Day?
        var position: FilePosition

        func covers(_ problem: ConfigurationProblem) -> Bool {
            problem.finding == finding && problem.position.file == file
                && about.map { problem.text.contains("`\($0)`") } ?? true
        }
    }

    /// What cannot be accepted: the state of the list itself.
    private static let own: Set<Finding> = [.uselessAcceptance, .endedAcceptance]

    func read(_ item: Item) -> [Acceptance] {
        guard let root = Section(item, keys: ["accepted"]),
            let items = root.required("accepted")?.list()
        else { return [] }
        return items.compactMap(acceptance)
    }

    private func acceptance(_ item: Item) -> Acceptance? {
        guard let section = Section(item, keys: ["finding", "file", "about", "reason", "until"])
        else { return nil }
        let finding = section.required("finding")?.word(Finding.self)
        if let finding, Self.own.contains(finding) {
            section["finding"]?.error("`\(finding.rawValue)` cannot be accepted: mend the list")
        }
        let file = section.required("file")?.text()
        let about = section["about"].flatMap { $0.text() }
        let reason = section.required("reason")?.text()
        var until: Day?
        if let item = section["until"] {
            until = item.scalar.flatMap { Day($0) }
            if until == nil {
                item.error("expected a day such as `2026-11-23`, found \(item.found)")
            }
        }
        guard let finding, let file, let reason else { return nil }
        return Acceptance(
            finding: finding, file: file, about: about, reason: reason, until: until,
            position: item.position)
    }

    /// Takes what `acceptances` cover out of `warnings`; those that are past their day cover nothing.
    /// - Parameter isComplete: whether every finding there can be was looked for, so that an entry which covers none is useless.
    func apply(
        _ acceptances: [Acceptance], to warnings: [ConfigurationProblem], isComplete: Bool
    ) -> (left: [ConfigurationProblem], accepted: [AcceptedFinding]) {
        var left: [ConfigurationProblem] = []
        var accepted: [AcceptedFinding] = []
        var useful: Set<FilePosition> = []
        for warning in warnings {
            guard let entry = acceptances.first(where: { !hasEnded($0) && $0.covers(warning) })
            else {
                left.append(warning)
                continue
            }
            useful.insert(entry.position)
            accepted.append(
                AcceptedFinding(problem: warning, reason: entry.reason, position: entry.position))
        }
        for entry in acceptances {
            if hasEnded(entry) {
                left.append(
                    .init(
                        position: entry.position,
                        text:
                            "the acceptance has ended: look at the finding again, or take the entry out",
                        finding: .endedAcceptance))
            } else if isComplete, !useful.contains(entry.position) {
                left.append(
                    .init(
                        position: entry.position,
                        text: "there is no finding `\(entry.finding.rawValue)` in `\(entry.file)`"
                            + (entry.about.map { " about `\($0)`" } ?? "") + ": take the entry out",
                        finding: .uselessAcceptance))
            }
        }
        return (left.sorted(), accepted)
    }

    private func hasEnded(_ entry: Acceptance) -> Bool { entry.until.map { $0 < today } ?? false }
}
