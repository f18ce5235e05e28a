package import CordonModel
package import CordonPolicy
import CordonProof

extension ConsentCorrection {
    /// Takes consent to some purposes back from hits that these policies admitted.
    package init(withdrawing purposes: Set<String>, under policies: [CompiledPolicy]) {
        self.init(withdrawing: purposes, rules: policies.map(Rule.init))
    }
}

extension ConsentCorrection.Rule {
    fileprivate init(_ policy: CompiledPolicy) {
        var needs: [String: [String]] = [:]
        for field in FieldName.allCases {
            guard let purposes = policy.fields.needs(field), !purposes.isEmpty else { continue }
            for column in field.columns { needs[column] = purposes.sorted() }
        }
        let remainder: ConsentCorrection.Remainder =
            switch policy.consent.denied {
            case .keep: .keep
            case .count: .count
            case .drop: .drop
            }
        self.init(policy: policy.name, remainder: remainder, needs: needs)
    }
}
