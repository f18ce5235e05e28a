import CordonJournal
import CordonModel

/// What became of hits that were on their way into the table.
struct Intake: Equatable, Sendable {
    /// Hits that became rows, by policy.
    private(set) var rowsByPolicy: [String: Int] = [:]
    /// Hits of people whose erasure was asked for, by policy.
    private(set) var leftOutByPolicy: [String: Int] = [:]

    var rows: Int { rowsByPolicy.values.reduce(0, +) }
    var leftOut: Int { leftOutByPolicy.values.reduce(0, +) }

    /// Under the names that the audit log has for them.
    var countsByPolicy: [String: Int] {
        var counts: [String: Int] = [:]
        for (policy, hits) in rowsByPolicy { counts[LakeEvent.rowsPrefix + policy] = hits }
        for (policy, hits) in leftOutByPolicy { counts[LakeEvent.leftOutPrefix + policy] = hits }
        return counts
    }

    /// Makes the hits of a batch rows, without those that are left out.
    mutating func take(
        _ batch: HitBatch, leavingOut isLeftOut: (HitRecord) -> Bool, into rows: inout HitRows
    ) {
        for record in batch.records {
            if isLeftOut(record) {
                leftOutByPolicy[record.policy, default: 0] += 1
            } else {
                rowsByPolicy[record.policy, default: 0] += 1
                rows.append(record, ruleSet: batch.ruleSet, geoBuild: batch.geoBuild)
            }
        }
    }

    static func + (left: Intake, right: Intake) -> Intake {
        var sum = left
        sum.rowsByPolicy.merge(right.rowsByPolicy, uniquingKeysWith: +)
        sum.leftOutByPolicy.merge(right.leftOutByPolicy, uniquingKeysWith: +)
        return sum
    }
}

extension LakeWriter {
    /// Tells which hits become no rows: those of people who are suppressed, and those of people who were erased, whom a
    /// journal or a catalog from a backup would bring back. Asked for once a commit, under the lock.
    func leftOut(_ suppression: Suppression) throws -> (HitRecord) -> Bool {
        let isErased = try table.erased()
        return { suppression.contains(user: $0.user, visitor: $0.visitor) || isErased($0) }
    }
}
