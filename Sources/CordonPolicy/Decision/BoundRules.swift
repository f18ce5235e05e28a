package import Consent
package import CordonModel

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
    /// What each policy's purposes stand for, one run a policy.
    private let meanings: [PurposeMeaning]
    /// Vendors that ``ConsentReader`` must watch for these rules.
    package let vendors: [UInt16]
    let sources: [SignalSource]
    /// Names of the parameters and cookies that ``sources`` read.
    let sourceNames: NameList
    private let sites: SiteClasses
    /// The policy of each place (rows) and site class (columns).
    private let table: [UInt16]

    /// Some signal is read from parameters or cookies.
    let hasNamedSignals: Bool
    let knownNames = NameList(KnownName.allCases.map(\.text))
    /// The names that requests are looked through for.
    let fieldNames: FieldNames
    /// For each of ``parameterNames`` its position in ``fieldNames``.
    let parameterPositions: [UInt32]

    /// How one signal is read.
    enum SignalSource: Sendable, BitwiseCopyable {
        case gpc, dnt, tcf, gpp, usp, gcm
        /// With an index into the names.
        case parameter(Int)
        case cookie(Int)
    }

    init(
        regions: NameList, policies: NameList, purposes: NameList, signals: NameList,
        parameterNames: NameList, programs: [PolicyProgram], meanings: [PurposeMeaning],
        vendors: [UInt16], sources: [SignalSource], sourceNames: NameList, sites: SiteClasses,
        placeCount: Int, table: [UInt16]
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
        self.meanings = meanings
        self.vendors = vendors
        self.sources = sources
        hasNamedSignals = sources.contains { source in
            switch source {
            case .tcf, .gpp, .usp, .gcm, .parameter, .cookie: true
            case .gpc, .dnt: false
            }
        }
        precondition(
            sourceNames.count <= 32, "each name is that of a signal, of which there are 32")
        self.sourceNames = sourceNames
        let names = FieldNames(
            sources: hasNamedSignals ? sourceNames : nil, parameters: parameterNames)
        fieldNames = names
        parameterPositions = (0..<parameterNames.count).map { index in
            guard let position = names.position(of: parameterNames.span(index)) else {
                preconditionFailure("every parameter's name is looked for")
            }
            return position
        }
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

    /// What the request's signals say under the policy at `policy`; the strictest of them counts. `reader` is the calling
    /// thread's, made for ``vendors``.
    package func consent(
        policy: Int, parts: RequestParts, bytes: Span<UInt8>, at now: Timestamp,
        reader: ConsentReader
    ) -> ConsentOutcome {
        consent(
            policy: policy, parts: parts, names: presentNames(parts, bytes), bytes: bytes, at: now,
            reader: reader)
    }

    /// The same for a request whose names ``presentNames(_:_:)`` has found.
    package func consent(
        policy: Int, parts: RequestParts, names: PresentNames, bytes: Span<UInt8>,
        at now: Timestamp, reader: ConsentReader
    ) -> ConsentOutcome {
        let program = programs[policy]
        var combined: SignalReading = parts.repeatsConsentHeader ? .invalid : .silent
        var spoke: UInt32 = 0
        var rest = program.signals
        while rest != 0 {
            let signal = rest.trailingZeroBitCount
            rest &= rest - 1
            let reading = reading(signal, policy, parts, bytes, now, reader, names)
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
        let granted: UInt32
        let denied: UInt32
        switch reading {
        case .silent: (granted, denied) = (0, 0)
        case .denied: return ConsentOutcome(state: .denied, purposes: 0, signals: spoke)
        case .invalid: return ConsentOutcome(state: .invalid, purposes: 0, signals: spoke)
        case .granted(let mask): (granted, denied) = (mask & program.purposes, ~mask)
        case .mixed(let some, let others): (granted, denied) = (some & program.purposes, others)
        }
        // What no signal speaks about is as `when_absent` says.
        let silent = program.purposes & ~granted & ~denied
        let purposes = granted | (program.absentGrants ? silent : 0)
        let state: ConsentState =
            if granted != 0 { .granted } else if purposes == 0, program.purposes & denied != 0 {
                // Consent to none of the policy's purposes is no consent to what the policy does.
                .denied
            } else { .absent }
        return ConsentOutcome(state: state, purposes: purposes, signals: spoke)
    }

    /// What one signal (an index into ``signals``) says in this request under the policy at `policy`. A parameter or cookie
    /// that stands more than once speaks each time.
    package func reading(
        signal: Int, policy: Int, parts: RequestParts, bytes: Span<UInt8>, at now: Timestamp,
        reader: ConsentReader
    ) -> SignalReading {
        reading(signal, policy, parts, bytes, now, reader, presentNames(parts, bytes))
    }

    private func reading(
        _ signal: Int, _ policy: Int, _ parts: RequestParts, _ bytes: Span<UInt8>,
        _ now: Timestamp, _ reader: ConsentReader, _ present: PresentNames
    ) -> SignalReading {
        switch sources[signal] {
        case .gpc: return parts.secGPC.range.map { PreferenceHeader.read(bytes, $0) } ?? .silent
        case .dnt: return parts.dnt.range.map { PreferenceHeader.read(bytes, $0) } ?? .silent
        case .parameter(let name):
            guard present.parameters >> UInt32(name) & 1 != 0 else { return .silent }
            return choices(name, parts.query, .query, bytes, present)
        case .cookie(let name):
            guard present.cookies >> UInt32(name) & 1 != 0 else { return .silent }
            return choices(name, parts.cookie, .cookie, bytes, present)
        case .tcf, .gpp, .usp, .gcm:
            guard KnownName.names(of: sources[signal]) & present.known != 0 else { return .silent }
            return strings(signal, rules(policy, now), parts, bytes, present, reader)
        }
    }

    private func rules(_ policy: Int, _ now: Timestamp) -> StringRules {
        let program = programs[policy]
        return StringRules(
            meanings: meanings[program.meaningsStart..<program.meaningsEnd],
            maxAgeDays: program.maxAgeDays, now: now.microseconds)
    }

    private func choices(
        _ name: Int, _ part: RequestParts.Part, _ form: FormFields.Form, _ bytes: Span<UInt8>,
        _ present: PresentNames
    ) -> SignalReading {
        var combined = SignalReading.silent
        eachValue(name, isKnown: false, part, form, bytes, present) { value in
            combined = combined.combined(
                with: ConsentChoice.read(bytes, value, form: form, purposes: purposes))
        }
        return combined
    }

    /// What may be kept of a hit under the policy at `policy` and this consent.
    package func decision(policy: Int, consent: ConsentOutcome) -> Decision {
        programs[policy].decision(consent)
    }

    // MARK: what a proof asks

    /// What requests amount to whose signals, taken together, say `reading` under the policy at `policy`.
    package func consent(policy: Int, reading: SignalReading) -> ConsentOutcome {
        outcome(programs[policy], reading, 0)
    }

    /// The purposes that the policy at `policy` knows, as bits.
    package func purposes(policy: Int) -> UInt32 { programs[policy].purposes }

    /// The sets of purposes that some field of the policy needs whole: of a granted set of purposes, nothing but
    /// which of these lie in it reaches ``decision(policy:consent:)``.
    package func needs(policy: Int) -> Set<UInt32> { programs[policy].needs.distinct }
}
