internal import Bytes
internal import Consent
internal import CordonModel
internal import CordonPolicy
internal import Crypto
internal import GeoTables
internal import HTTP

/// Turns a request into a decision, and under it into the bytes of a record: the only place where raw values are read.
///
/// One for each loop, since it holds scratch memory. Its result depends on the request, the context, the time and the
/// random part of the hit's id alone.
@safe final class HitTransform {
    let userAgents: UserAgentCache
    var random: IdentifierSource
    let site = ByteScratch(capacity: RequestParts.hostBytesMax)
    let identifier = ByteScratch(capacity: HTTPLimits.headBytesMax)
    let url = ByteScratch(capacity: HTTPLimits.headBytesMax)
    var text: [UInt8] = []
    /// Values of the allowed parameters of the request that ``fields(_:_:_:)`` was asked for last, in the order of the decision's
    /// names.
    var allowed = InlineArray<64, ByteRange>(repeating: .absent)
    /// Reads consent strings, and remembers them while the rules stay.
    private var consentReader: ConsentReader
    /// The rules that it was last asked for.
    private var readRules: BoundRules?
    /// The same for a candidate's rules, where those ask for other vendors.
    private var shadowReader: ConsentReader?
    private let consentKey: (UInt64, UInt64)
    let invalidSite = Array("invalid".utf8)

    init(userAgents: UserAgentCache) {
        self.userAgents = userAgents
        random = IdentifierSource(seed: SecureRandom.uint64())
        consentKey = (SecureRandom.uint64(), SecureRandom.uint64())
        consentReader = ConsentReader(vendors: [], key: consentKey)
        text.reserveCapacity(128)
    }

    /// What the rules say of one request, and what is needed to carry it out.
    struct Decided {
        var decision: Decision
        var parts: RequestParts
        var fields: RequestFields
        var place: Int
        /// Where the site's name stands; nil when there is none.
        var site: Range<Int>?
        /// The region's place in the collector; -1 when it is not here.
        var slot: Int
        /// Known before anything is written; nil when the hit is for the journal.
        var fate: HitFate?
    }

    /// Asks the rules; reads the place from the whole address.
    func decide(
        _ head: RequestHead, _ bytes: Span<UInt8>, _ client: borrowing ClientAddress,
        _ context: EdgeContext, at timestamp: Timestamp
    ) -> Decided {
        // The table's memory comes nearer while the request's own bytes are read.
        let table = context.geoTable
        client.address.inspect(with: FetchPlace(table: table, step: .index))
        let parts = RequestParts(head)
        let fields = context.rules.fields(parts, bytes)
        client.address.inspect(with: FetchPlace(table: table, step: .deeperIndex))
        let site = parts.site(in: bytes, parameter: fields.site.range)
        client.address.inspect(with: FetchPlace(table: table, step: .ranges))
        if readRules !== context.rules {
            readRules = context.rules
            if consentReader.vendors != context.rules.vendors {
                consentReader = ConsentReader(vendors: context.rules.vendors, key: consentKey)
            }
        }
        let siteClass = context.rules.siteClass(of: bytes, site)
        let place =
            client.provenance.isKnown ? client.address.inspect(with: Locate(table: table)) : 0
        let decision = decision(
            context.rules, place: place, siteClass: siteClass, parts, fields.names, bytes, client,
            at: timestamp, reader: consentReader)
        let slot = decision.region < 0 ? -1 : context.slots[decision.region]
        var fate: HitFate?
        switch decision.outcome {
        case .refuse: fate = .refused
        case .drop: fate = .dropped
        case .keep, .count:
            if slot < 0 {
                fate = .away
            } else if decision.samplingPerMillion < 1_000_000,
                !isSampled(
                    decision.samplingPerMillion, context.keyrings[slot].sample, head, bytes, client)
            {
                fate = .sampledOut
            }
        }
        return Decided(
            decision: decision, parts: parts, fields: fields, place: place, site: site, slot: slot,
            fate: fate)
    }

    /// What `rules` say of a hit.
    private func decision(
        _ rules: BoundRules, place: Int, siteClass: Int, _ parts: RequestParts,
        _ names: PresentNames, _ bytes: Span<UInt8>, _ client: borrowing ClientAddress,
        at timestamp: Timestamp, reader: ConsentReader
    ) -> Decision {
        let policy = rules.policyIndex(place: place, siteClass: siteClass)
        let consent = rules.consent(
            policy: policy, parts: parts, names: names, bytes: bytes, at: timestamp,
            reader: reader)
        var decision = rules.decision(policy: policy, consent: consent)
        if !client.provenance.isKnown {
            decision.ipv4Bits = 0
            decision.ipv6Bits = 0
            decision.visitor = nil
        }
        return decision
    }

    /// Asks the candidate's rules about a hit that was decided on, and counts in what they say otherwise; nothing else comes
    /// of it.
    func compare(
        _ decided: Decided, _ shadow: ShadowRules, tally: Int, _ bytes: Span<UInt8>,
        _ client: borrowing ClientAddress, at timestamp: Timestamp
    ) {
        let reader: ConsentReader
        if shadow.rules.vendors == consentReader.vendors {
            // What a string says depends on nothing but the vendors that are asked for.
            reader = consentReader
        } else {
            if shadowReader?.vendors != shadow.rules.vendors {
                shadowReader = ConsentReader(vendors: shadow.rules.vendors, key: consentKey)
            }
            reader = shadowReader ?? consentReader
        }
        let candidate = decision(
            shadow.rules, place: decided.place,
            siteClass: shadow.rules.siteClass(of: bytes, decided.site), decided.parts,
            shadow.rules.presentNames(decided.parts, bytes), bytes, client, at: timestamp,
            reader: reader)
        let isIPv6 = client.provenance.isKnown && client.address.inspect(with: IsIPv6())
        shadow.tallies[tally].add(
            policy: decided.decision.policy, candidate: candidate.policy,
            shadow.comparison.differences(decided.decision, candidate, isIPv6: isIPv6))
    }

    /// Whether the hit is among the sampled: the same for each hit of one address and user agent. When the address is not
    /// known each hit is drawn alone; else all of one user agent would share a draw.
    private func isSampled(
        _ perMillion: UInt32, _ sample: VisitorSample, _ head: RequestHead, _ bytes: Span<UInt8>,
        _ client: borrowing ClientAddress
    ) -> Bool {
        guard client.provenance.isKnown else {
            return VisitorSample.keeps(random.word(), perMillion: perMillion)
        }
        let range =
            head.userAgent.isPresent ? head.userAgent.lowerBound..<head.userAgent.upperBound : 0..<0
        // SAFETY: the buffer outlives the transform, which is used inside of its closure alone.
        let draw = unsafe bytes.extracting(range).withUnsafeBufferPointer {
            unsafe client.address.inspect(with: sample.draw(userAgent: $0))
        }
        return VisitorSample.keeps(draw, perMillion: perMillion)
    }
}
