internal import CordonModel

/// One policy as numbers: the row that ``BoundRules`` reads at each hit.
struct PolicyProgram: Sendable, BitwiseCopyable {
    /// Index of the home region; -1 refuses.
    var region: Int = -1
    /// Bits of the rule set's signals that it listens to.
    var signals: UInt32 = 0
    /// Bits of the purposes that it knows.
    var purposes: UInt32 = 0
    var absentGrants = false
    /// Its run of ``BoundRules/meanings``.
    var meaningsStart = 0
    var meaningsEnd = 0
    /// Longest age of a TC string in days; 0 when any age is good.
    var maxAgeDays = 0
    /// What becomes of a hit without consent.
    var deniedOutcome = Decision.Outcome.drop
    /// All that it ever keeps; `needs` takes away from it.
    var most = Decision()
    var needs = Needs()

    /// For each field the bits of the purposes that must all be granted; 0 needs none.
    struct Needs: Sendable, BitwiseCopyable {
        var ip: UInt32 = 0
        var user: UInt32 = 0
        var visitor: UInt32 = 0
        var userAgent: UInt32 = 0
        var page: UInt32 = 0
        var referrer: UInt32 = 0
        var place: UInt32 = 0
        var language: UInt32 = 0
        var parameters: UInt32 = 0

        /// The different sets among them that are not empty.
        var distinct: Set<UInt32> {
            Set([
                ip, user, visitor, userAgent, page, referrer, place, language, parameters,
            ]).subtracting([0])
        }
    }

    /// What is kept under `consent`.
    func decision(_ consent: ConsentOutcome) -> Decision {
        var decision = most
        decision.consent = consent
        if region < 0 {
            decision.outcome = .refuse
            return decision
        }
        let isConsented =
            consent.state == .granted || consent.state == .absent && absentGrants
        decision.outcome = isConsented ? .keep : deniedOutcome
        switch decision.outcome {
        case .keep:
            let missing = isConsented ? ~consent.purposes : ~0
            if needs.ip & missing != 0 {
                decision.ipv4Bits = 0
                decision.ipv6Bits = 0
            }
            if needs.user & missing != 0 { decision.user = nil }
            if needs.visitor & missing != 0 { decision.visitor = nil }
            if needs.userAgent & missing != 0 { decision.keepsUserAgentFamily = false }
            if needs.page & missing != 0 {
                decision.page = .drop
                decision.pageParameters = .init()
            }
            if needs.referrer & missing != 0 { decision.keepsReferrerHost = false }
            if needs.place & missing != 0 { decision.place = .drop }
            if needs.language & missing != 0 { decision.keepsLanguage = false }
            if needs.parameters & missing != 0 { decision.parameters = .init() }
        case .count:
            if needs.place != 0 { decision.place = .drop }
            decision.becomeCount()
        case .drop, .refuse:
            decision.keepOnlyPlace()
            decision.place = .drop
        }
        return decision
    }
}
