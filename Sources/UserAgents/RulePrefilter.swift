internal import Bytes

/// Tells, in one pass over a user agent, which rules can match it at all.
///
/// Of some 1,270 rules 20 to 70 remain for an ordinary user agent.
struct RulePrefilter: Sendable {
    private let literals: PatternSet
    /// The rules that ask for a literal: those of literal `i` stand at `firstRule[i]..<firstRule[i + 1]`.
    private let rulesByLiteral: [Int]
    private let firstRule: [Int]
    /// A bit for each rule without a literal: it can always match.
    private let always: [UInt64]

    /// Takes the required literals of each rule in order, nil for a rule that has none.
    init(_ literalsByRule: [[[UInt8]]?]) {
        var always = [UInt64](repeating: 0, count: (literalsByRule.count + 63) / 64)
        var rules: [[UInt8]: [Int]] = [:]
        for (rule, literals) in literalsByRule.enumerated() {
            guard let literals else {
                always[rule >> 6] |= 1 << UInt64(rule & 63)
                continue
            }
            for literal in literals { rules[literal, default: []].append(rule) }
        }
        self.always = always
        let ordered = Array(rules)
        literals = PatternSet(ordered.map(\.key))
        var flat: [Int] = []
        var first = [0]
        for (_, rules) in ordered {
            flat += rules
            first.append(flat.count)
        }
        rulesByLiteral = flat
        firstRule = first
    }

    /// Number of words that ``candidates(for:into:)`` fills.
    var wordCount: Int { always.count }

    /// Sets one bit in `words` for each rule that can match `subject`, which is in lower case.
    func candidates(for subject: Span<UInt8>, into words: inout [UInt64]) {
        for index in always.indices { words[index] = always[index] }
        literals.forEachMatch(in: subject) { _, literal in
            for index in firstRule[literal]..<firstRule[literal + 1] {
                let rule = rulesByLiteral[index]
                words[rule >> 6] |= 1 << UInt64(rule & 63)
            }
        }
    }
}
