internal import AccessLogs
internal import CordonJournal

/// What a window of lines gave for one region, until its journal has it.
struct ImportLane {
    /// How far the journal has come.
    var mark: ImportMark
    var suppression: Suppression { didSet { filter = suppression.isEmpty ? nil : suppression } }
    /// ``suppression``, unless nobody is on it.
    private(set) var filter: Suppression?
    private(set) var batches: [BatchBuffer] = []
    private var spares: [BatchBuffer] = []
    /// Fates of hits that have no record, by policy and fate.
    var fates: [UInt64]
    var refused = [Int](repeating: 0, count: ImportRefusal.all.count)
    var notHits = 0
    var blank = 0

    init(mark: ImportMark, suppression: Suppression, policyCount: Int) {
        self.mark = mark
        self.suppression = suppression
        filter = suppression.isEmpty ? nil : suppression
        fates = Array(repeating: 0, count: policyCount * HitFate.allCases.count)
    }

    /// Whether lines of the file are still to come into this journal.
    var isOpen: Bool { mark.state == .begun }

    /// Whether the journal takes a line that is its own.
    func takes(_ number: Int) -> Bool { isOpen && number > mark.lines }

    /// A batch with room for one more record.
    mutating func batch(_ context: EdgeContext, windowBytes: inout Int) -> BatchBuffer {
        if let last = batches.last, last.hasRoom { return last }
        let batch = spares.popLast() ?? BatchBuffer()
        batch.open(context, ticket: 0, generation: suppression.generation, at: 0)
        batches.append(batch)
        windowBytes += batch.count
        return batch
    }

    /// The window is in the journal.
    mutating func clear() {
        for batch in batches { batch.clear() }
        spares += batches
        batches.removeAll(keepingCapacity: true)
        for index in fates.indices { fates[index] = 0 }
        for index in refused.indices { refused[index] = 0 }
        notHits = 0
        blank = 0
    }

    /// The window's hits by policy, and all of its lines by policy and outcome.
    func counts(_ context: EdgeContext) -> (rules: [RuleCounts], counts: [ImportCount]) {
        var rules: [RuleCounts] = []
        var counts: [ImportCount] = []
        let size = HitFate.allCases.count
        for policy in context.policyNames.indices {
            var rule = RuleCounts(
                region: context.policyRegions[policy], policy: context.policyNames[policy],
                fates: Array(fates[policy * size..<(policy + 1) * size]))
            for batch in batches {
                for tally in BatchBuffer.Tally.allCases {
                    rule.fates[tally.fate.rawValue] += UInt64(batch.tally(tally, policy: policy))
                }
            }
            guard rule.received > 0 else { continue }
            rules.append(rule)
            for fate in HitFate.allCases where rule[fate] > 0 {
                counts.append(
                    ImportCount(policy: rule.policy, outcome: fate.text, lines: Int(rule[fate])))
            }
        }
        for (refusal, lines) in zip(ImportRefusal.all, refused) where lines > 0 {
            counts.append(ImportCount(policy: "", outcome: refusal.text, lines: lines))
        }
        if notHits > 0 {
            counts.append(ImportCount(policy: "", outcome: "not a hit", lines: notHits))
        }
        if blank > 0 { counts.append(ImportCount(policy: "", outcome: "no request", lines: blank)) }
        return (rules, counts)
    }
}
