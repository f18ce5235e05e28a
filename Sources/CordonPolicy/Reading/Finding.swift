/// The kinds of what is allowed and yet looks wrong: what `cordon check` warns of and `Policies/accepted.yaml` may accept.
///
/// A mistake stops everything and cannot be accepted; a finding stops nothing.
package enum Finding: String, CaseIterable, Sendable {
    // The atlas.
    case emptyGroup = "empty-group"
    case uncheckedGroup = "unchecked-group"
    case changedGroup = "changed-group"
    case repeatedMember = "repeated-member"
    case ungroupedTerritory = "ungrouped-territory"
    // Consent.
    case unheardSignal = "unheard-signal"
    case ungrantablePurpose = "ungrantable-purpose"
    case unsendableSignal = "unsendable-signal"
    // Rules that change nothing.
    case deadClaim = "dead-claim"
    case deadSite = "dead-site"
    case shadowedRule = "shadowed-rule"
    case unusedRegion = "unused-region"
    case ageOfUnkeptField = "age-of-unkept-field"
    // What is kept.
    case outlivesPurpose = "outlives-purpose"
    case identifierWithoutPurpose = "identifier-without-purpose"
    case identifierInParameter = "identifier-in-parameter"
    case widerThanLimit = "wider-than-limit"
    case longerThanLimit = "longer-than-limit"
    // Where it goes.
    case notAdequate = "not-adequate"
    // The list of what is accepted.
    case uselessAcceptance = "useless-acceptance"
    case endedAcceptance = "ended-acceptance"

    /// What it means, for the reference page; a clause without a final period.
    package var meaning: String {
        switch self {
        case .emptyGroup: "a group of the atlas has no member"
        case .uncheckedGroup:
            "a group was not held against its source for a year, or its day is still to come"
        case .changedGroup:
            "a group's members are not those of the day on which it was checked, or a dated change is not carried out"
        case .repeatedMember: "a member is in the group already"
        case .ungroupedTerritory:
            "a territory with a code of its own is in no group, though its country is"
        case .unheardSignal:
            "a signal that no purpose understands, or a meaning that no signal brings"
        case .ungrantablePurpose:
            "silence denies a purpose and none of the signals could ever grant it, so whatever needs it is never kept"
        case .unsendableSignal:
            "consent is asked of a parameter or cookie that a site cannot send, because it means something else"
        case .deadClaim:
            "no hit comes to the policy by this place: closer claims or other ones take them all"
        case .deadSite: "no hit comes to the policy by this site"
        case .shadowedRule:
            "an access or transfer rule allows nothing that another one of the policy does not"
        case .unusedRegion: "no policy keeps hits in the region"
        case .ageOfUnkeptField: "a field that is not kept has an age"
        case .outlivesPurpose: "a field is kept longer than a purpose that it needs lasts"
        case .identifierWithoutPurpose: "an address is kept without naming the purpose it serves"
        case .identifierInParameter: "a parameter that carries an identifier is kept as it comes"
        case .widerThanLimit: "more bits of an address are kept than `limits` of the invariants let"
        case .longerThanLimit: "hits are kept longer than `limits` of the invariants let"
        case .notAdequate:
            "a home, a transfer or an access lies where no group that is `adequate_for` the policy's places reaches"
        case .uselessAcceptance: "an entry of `accepted.yaml` accepts nothing"
        case .endedAcceptance:
            "an entry of `accepted.yaml` is past its `until` and accepts nothing any more"
        }
    }
}
