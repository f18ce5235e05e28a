package import Consent
internal import CordonModel

/// A rule set laid out for one geo table: what the edge asks at each hit.
///
/// Immutable and flat; every call is free of allocation and locks, and total: each place and each site has exactly one
/// policy. Made by ``RuleSet/bound(to:)``.
package final class BoundRules: Sendable {
    /// The regions' names; ``Decision/region`` is an index into it.
    package let regions: NameList
    /// The policies' names; ``Decision/policy`` is an index into it.
    package let policies: NameList
    /// The purposes of all policies; a bit of ``ConsentOutcome/purposes`` is an index into it.
    package let purposes: NameList
    /// The signals of all policies as written; a bit of ``ConsentOutcome/signals`` is an index into it.
    package let signals: NameList
    /// The query parameters that some policy keeps.
    package let parameterNames: NameList
    /// Number of places it is bound to.
    package let placeCount: Int
    package var siteClassCount: Int { sites.count }

    private let programs: [PolicyProgram]
    private let sources: [SignalSource]
    /// Names of the parameters and cookies that ``sources`` read.
    private let sourceNames: NameList
    private let sites: SiteClasses
    /// The policy of each place (rows) and site class (columns).
    private let table: [UInt16]

    /// How one signal is read.
    enum SignalSource: Sendable, BitwiseCopyable {
        case gpc, dnt
        /// With an index into the names.
        case parameter(Int)
        case cookie(Int)
    }

    init(
        regions: NameList, policies: NameList, purposes: NameList, signals: NameList,
        parameterNames: NameList, programs: [PolicyProgram], sources: [SignalSource],
        sourceNames: NameList, sites: SiteClasses, placeCount: Int, table: [UInt16]
    ) {
        precondition(
            table.count == placeCount * sites.count, "every place and site class has a policy")
        precondition(table.allSatisfy { $0 < programs.count }, "every policy has a program")
        self.regions = regions
        self.policies = policies
        self.purposes = purposes
        self.signals = signals
        self.parameterNames = parameterNames
        self.programs = programs
        self.sources = sources
        self.sourceNames = sourceNames
        self.sites = sites
        self.placeCount = placeCount
        self.table = table
    }

    /// The class of the site whose host name stands in `range` (see ``RequestParts/site(in:)``), in either case; a hit
    /// without a site has class 0.
    package func siteClass(of bytes: Span<UInt8>, _ range: Range<Int>?) -> Int {
        range.map { sites.index(of: bytes, $0) } ?? 0
    }

    /// The one policy for a place (an index into the places it is bound to) and a site class.
    package func policyIndex(place: Int, siteClass: Int) -> Int {
        Int(table[place * sites.count + siteClass])
    }

    /// What the request's signals say under the policy at `policy`; the strictest of them counts.
    package func consent(
        policy: Int, parts: RequestParts, bytes: Span<UInt8>
    ) -> ConsentOutcome {
        let program = programs[policy]
        var combined: SignalReading = parts.repeatsConsentHeader ? .invalid : .silent
        var spoke: UInt32 = 0
        var rest = program.signals
        while rest != 0 {
            let signal = rest.trailingZeroBitCount
            rest &= rest - 1
            let reading = reading(signal: signal, parts: parts, bytes: bytes)
            // Patterns here and below, because `==` of another module's enum calls through its witness table.
            if case .silent = reading { continue }
            spoke |= 1 << UInt32(signal)
            combined = combined.combined(with: reading)
        }
        return outcome(program, combined, spoke)
    }

    private func outcome(
        _ program: PolicyProgram, _ reading: SignalReading, _ spoke: UInt32
    ) -> ConsentOutcome {
        switch reading {
        case .silent:
            return ConsentOutcome(
                state: .absent, purposes: program.absentGrants ? program.purposes : 0,
                signals: spoke)
        case .denied: return ConsentOutcome(state: .denied, purposes: 0, signals: spoke)
        case .invalid: return ConsentOutcome(state: .invalid, purposes: 0, signals: spoke)
        case .granted(let mask):
            let granted = mask & program.purposes
            // Consent to none of the policy's purposes is no consent to what the policy does.
            return ConsentOutcome(
                state: granted == 0 ? .denied : .granted, purposes: granted, signals: spoke)
        }
    }

    /// What one signal (an index into ``signals``) says in this request. A parameter or cookie that stands more
    /// than once speaks each time.
    package func reading(
        signal: Int, parts: RequestParts, bytes: Span<UInt8>
    ) -> SignalReading {
        switch sources[signal] {
        case .gpc: parts.secGPC.range.map { PreferenceHeader.read(bytes, $0) } ?? .silent
        case .dnt: parts.dnt.range.map { PreferenceHeader.read(bytes, $0) } ?? .silent
        case .parameter(let name): choices(name, parts.query, .query, bytes)
        case .cookie(let name): choices(name, parts.cookie, .cookie, bytes)
        }
    }

    private func choices(
        _ name: Int, _ part: RequestParts.Part, _ form: FormFields.Form, _ bytes: Span<UInt8>
    ) -> SignalReading {
        guard let range = part.range else { return .silent }
        var combined = SignalReading.silent
        var fields = FormFields(range, form: form)
        while let field = fields.next(in: bytes) {
            let isNamed =
                switch form {
                case .query: sourceNames.equals(name, encoded: field.name, in: bytes, form: form)
                case .cookie: sourceNames.equals(name, bytes, field.name)
                }
            guard isNamed else { continue }
            combined = combined.combined(
                with: ConsentChoice.read(bytes, field.value, form: form, purposes: purposes))
        }
        return combined
    }

    /// What may be kept of a hit under the policy at `policy` and this consent.
    package func decision(policy: Int, consent: ConsentOutcome) -> Decision {
        programs[policy].decision(consent)
    }
}
