import Consent
import CordonModel
package import CordonPolicy

/// What is decided under one policy for one consent.
struct ConsentCase {
    let consent: ConsentOutcome
    let decision: Decision
    /// The columns that the decision lets be filled.
    let columns: Set<String>

    init(consent: ConsentOutcome, decision: Decision) {
        self.consent = consent
        self.decision = decision
        columns = decision.keptColumns
    }
}

/// Every consent that decisions under a policy can tell apart.
///
/// All sets of granted purposes would be exponentially many. A field is kept under a granted set S when the purposes that
/// it needs lie in S, and a statement may ask whether one purpose lies in S. So all that matters of S is which of
/// finitely many sets, the atoms, lie in it. Let S′ be the union of the atoms in S: an atom lies in S′ exactly when it lies in
/// S, because S′ holds every atom that S holds and is a part of S. Therefore S and S′ are decided alike, and the unions
/// of atoms are enough. The atoms are taken from the compiled table and from the sources, so a compiler that forgot a need
/// hides nothing.
struct ConsentCases {
    let rules: BoundRules
    let policies: [CompiledPolicy]
    /// Purposes that some statement asks for by name.
    let askedPurposes: Set<String>

    func cases(policy index: Int) -> [ConsentCase] {
        var outcomes = [SignalReading.silent, .denied, .invalid].map {
            rules.consent(policy: index, reading: $0)
        }
        let known = rules.purposes(policy: index)
        let silenceGrants = policies[index].consent.absentGrants
        for purposes in grantedSets(policy: index) {
            outcomes.append(rules.consent(policy: index, reading: .granted(purposes)))
            // Where silence grants, signals that refuse some purposes leave the others granted.
            guard silenceGrants, purposes != known else { continue }
            outcomes.append(
                rules.consent(
                    policy: index, reading: .mixed(granted: 0, denied: known & ~purposes)))
        }
        return outcomes.map {
            ConsentCase(consent: $0, decision: rules.decision(policy: index, consent: $0))
        }
    }

    /// One granted set of purposes for each union of atoms that a grant can reach, ascending.
    private func grantedSets(policy index: Int) -> [UInt32] {
        let known = rules.purposes(policy: index)
        let fields = policies[index].fields
        let needs = FieldName.allCases.compactMap { fields.needs($0) }.map(mask)
        let asked = askedPurposes.map { mask([$0]) }
        // An atom beyond what the policy knows lies in no grant.
        let atoms = rules.needs(policy: index).union(needs).union(asked)
            .filter { $0 != 0 && $0 & ~known == 0 }
        var unions: Set<UInt32> = [0]
        for atom in atoms { unions.formUnion(unions.map { $0 | atom }) }
        unions.remove(0)
        // A grant that holds no atom grants something all the same: any single purpose that is no atom.
        let plain = (0..<UInt32.bitWidth).map { UInt32(1) << UInt32($0) }
            .first { $0 & known != 0 && !atoms.contains($0) }
        return (unions.union(plain.map { [$0] } ?? [])).sorted()
    }

    private func mask(_ names: [String]) -> UInt32 {
        names.reduce(0) { $0 | ($1.bit(in: rules.purposes) ?? 0) }
    }
}

extension String {
    /// Its bit among `names`.
    fileprivate func bit(in names: NameList) -> UInt32? {
        (0..<names.count).first { names.text($0) == self }.map { 1 << UInt32($0) }
    }
}

extension NameList {
    /// The names whose bits are set.
    func names(_ mask: UInt32) -> [String] {
        (0..<count).filter { mask & 1 << UInt32($0) != 0 }.map { text($0) }
    }
}

extension CompiledPolicy.FieldRules {
    /// The purposes that a field needs; nil when it is never kept.
    package func needs(_ field: FieldName) -> [String]? {
        switch field {
        case .ip: ip?.needs
        case .user: user?.needs
        case .visitor: visitor?.needs
        case .userAgent: userAgent?.needs
        case .page: page?.needs
        case .referrer: referrer?.needs
        case .place: place?.needs
        case .language: language?.needs
        case .parameters: parameters?.needs
        }
    }

    /// Where a field's rule stands.
    package func position(_ field: FieldName) -> FilePosition {
        switch field {
        case .ip: ip?.position ?? position
        case .user: user?.position ?? position
        case .visitor: visitor?.position ?? position
        case .userAgent: userAgent?.position ?? position
        case .page: page?.position ?? position
        case .referrer: referrer?.position ?? position
        case .place: place?.position ?? position
        case .language: language?.position ?? position
        case .parameters: parameters?.position ?? position
        }
    }
}
