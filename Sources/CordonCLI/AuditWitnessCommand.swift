import CordonModel
import CordonPolicy
import CordonServer

extension Command {
    static let auditWitness = Command(
        ["audit", "witness"],
        summary: "have every region cosign the checkpoints of the other regions' audit logs",
        usage: "", example: "cordon audit witness --project my-project"
    ) { arguments, console in
        let regions = try CordonCLI.configuration(arguments).regions
        guard regions.count > 1 else {
            throw CommandFailure(
                text: "the project has one region, and no region witnesses itself: "
                    + "hand its checkpoint to somebody else (cordon audit checkpoint)")
        }
        let standings = try ProjectWitnesses(regions, creating: true).round(
            at: SystemWallClock().now())
        if arguments.wantsJSON {
            for standing in standings { try console.print(json: standing) }
        } else {
            console.table(
                ["log of", "witness", "entries", "seen at"],
                standings.map { [$0.region, $0.witness, "\($0.size ?? 0)", $0.at ?? "never"] })
            for standing in standings {
                guard let problem = standing.problem else { continue }
                console.print("\(standing.witness) does not cosign \(standing.region): \(problem)")
            }
        }
        return standings.contains { $0.problem != nil } ? .foundProblem : .done
    }
}
