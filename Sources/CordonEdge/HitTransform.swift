internal import Bytes
internal import Consent
internal import CordonJournal
internal import CordonKeys
internal import CordonModel
internal import CordonPolicy
internal import Crypto
internal import GeoTables
internal import HTTP

/// What became of one hit.
package enum HitFate: Int, CaseIterable, Sendable {
    case kept, counted, suppressed
    /// Nothing is kept, because of consent.
    case dropped
    /// Nothing is kept, because policy admits no hit of this place.
    case refused
    /// Its home region is not on this node.
    case away
    case sampledOut
    /// The journal or a queue could not take it; answered 503.
    case failed

    /// The value of the metric's label.
    package var text: String {
        switch self {
        case .kept: "kept"
        case .counted: "counted"
        case .suppressed: "suppressed"
        case .dropped: "dropped"
        case .refused: "refused"
        case .away: "away"
        case .sampledOut: "sampled-out"
        case .failed: "failed"
        }
    }
}

/// Turns a request into a decision, and under it into the bytes of a record: the only place where raw values are read.
///
/// One for each loop, since it holds scratch memory. Its result depends on the request, the context, the time and the
/// random part of the hit's id alone.
@safe final class HitTransform {
    let userAgents: UserAgentCache
    private var random: IdentifierSource
    private var site: [UInt8] = []
    private var identifier: [UInt8] = []
    private var url: [UInt8] = []
    private var text: [UInt8] = []
    private let known = NameList(["event", "url", "userid", "ref"])
    private let invalidSite = Array("invalid".utf8)

    init(userAgents: UserAgentCache) {
        self.userAgents = userAgents
        random = IdentifierSource(seed: SecureRandom.uint64())
        site.reserveCapacity(RequestParts.hostBytesMax)
        identifier.reserveCapacity(HTTPLimits.headBytesMax)
        url.reserveCapacity(HTTPLimits.headBytesMax)
        text.reserveCapacity(64)
    }

    /// What the rules say of one request, and what is needed to carry it out.
    struct Decided {
        var decision: Decision
        var parts: RequestParts
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
        _ context: EdgeContext
    ) -> Decided {
        let parts = RequestParts(head)
        let place =
            client.provenance.isKnown
            ? client.address.inspect(with: Locate(table: context.geoTable)) : 0
        let site = parts.site(in: bytes)
        let rules = context.rules
        let policy = rules.policyIndex(
            place: place, siteClass: rules.siteClass(of: bytes, site))
        let consent = rules.consent(policy: policy, parts: parts, bytes: bytes)
        var decision = rules.decision(policy: policy, consent: consent)
        if !client.provenance.isKnown {
            decision.ipv4Bits = 0
            decision.ipv6Bits = 0
            decision.visitor = nil
        }
        let slot = decision.region < 0 ? -1 : context.slots[decision.region]
        var fate: HitFate?
        switch decision.outcome {
        case .refuse: fate = .refused
        case .drop: fate = .dropped
        case .keep, .count:
            if slot < 0 {
                fate = .away
            } else if decision.samplingPerMillion < 1_000_000,
                !isSampled(decision.samplingPerMillion, head, bytes, client)
            {
                fate = .sampledOut
            }
        }
        return Decided(
            decision: decision, parts: parts, place: place, site: site, slot: slot, fate: fate)
    }

    /// Whether the hit is among the sampled: the same for each hit of one address and user agent.
    private func isSampled(
        _ perMillion: UInt32, _ head: RequestHead, _ bytes: Span<UInt8>,
        _ client: borrowing ClientAddress
    ) -> Bool {
        var hash = client.address.inspect(with: SampleHash())
        if head.userAgent.isPresent {
            for index in head.userAgent.lowerBound..<head.userAgent.upperBound {
                hash = SampleHash.mix(hash, bytes[index])
            }
        }
        return (hash ^ hash >> 32) % 1_000_000 < UInt64(perMillion)
    }
}

// Writing the record.
extension HitTransform {
    /// What writing a record showed.
    struct Written {
        var fate: HitFate
        var userAgent: UserAgentCache.Lookup
        /// A pseudonym was left out because its key is not there.
        var lacksKey: Bool
    }

    /// Writes the record of a hit that is for the journal.
    func write(
        _ decided: Decided, _ head: RequestHead, _ bytes: Span<UInt8>,
        _ client: consuming ClientAddress, _ context: EdgeContext, suppression: Suppression,
        at now: Timestamp, into batch: BatchBuffer
    ) -> Written {
        var decision = decided.decision
        let rules = context.rules
        let fields = queryFields(decided.parts, decision, rules, bytes)
        let keyring = context.keyrings[decided.slot]
        let day = Day(now)
        let daysAhead = day - context.keyDay
        takeSite(decided.site, bytes)
        takeIdentifier(fields.user, bytes)

        var lacksKey = false
        var user: Pseudonym?
        var visitor: Pseudonym?
        if decision.outcome == .keep {
            if let period = decision.user, !identifier.isEmpty {
                let identifier = self.identifier
                user = keyring.key(.user, period, daysAhead: daysAhead)?
                    .pseudonym(user: identifier.span)
                if user == nil { lacksKey = true }
            }
            if let period = decision.visitor {
                if let key = keyring.key(.visitor, period, daysAhead: daysAhead) {
                    visitor = visitorPseudonym(key, client, head, bytes)
                } else {
                    lacksKey = true
                }
            }
        }
        var fate = decision.outcome == .keep ? HitFate.kept : .counted
        if !suppression.isEmpty,
            isSuppressed(suppression, keyring, user: user, visitor: visitor)
        {
            fate = .suppressed
            user = nil
            visitor = nil
            decision.becomeCount()
        }
        let (family, lookup) = family(head, bytes)

        batch.beginRecord()
        var flags: UInt8 = family.isBot ? HitBatch.Flag.bot : 0
        if visitor != nil { flags |= HitBatch.Flag.visitor }
        if user != nil { flags |= HitBatch.Flag.user }
        let hasPseudonym = visitor != nil || user != nil
        if hasPseudonym { flags |= HitBatch.Flag.keyEpoch }
        batch.append(flags)
        batch.append(decision.consent.state.rawValue)
        batch.append(bigEndian: random.next(at: now))
        batch.append(littleEndian: now.microseconds)
        batch.append(littleEndian: day.number &+ decision.retainDays)
        batch.append(littleEndian: hasPseudonym ? day.number : 0)
        batch.append(littleEndian: decision.sampleRate.bitPattern)
        batch.append(bigEndian: visitor?.value ?? 0)
        batch.append(bigEndian: user?.value ?? 0)
        let site = self.site
        batch.appendText(site.span)
        writeEvent(fields.event, bytes, batch)
        writePage(fields.url, head, decision, rules, bytes, batch)
        writeReferrer(fields.referrer, decision, bytes, batch)
        writePrefix(client, decision, batch)
        writePlace(decided.place, decision, context, batch)
        writeFamily(family, decision, batch)
        writeLanguage(head.acceptLanguage, decision, bytes, batch)
        let policies = rules.policies
        batch.appendText(policies.span(decision.policy))
        let isKept = decision.outcome == .keep
        writeNames(rules.purposes, isKept ? decision.consent.purposes : 0, batch)
        writeNames(rules.signals, isKept ? decision.consent.signals : 0, batch)
        writeParameters(fields, decision, rules, bytes, batch)
        batch.endRecord()
        return Written(fate: fate, userAgent: lookup, lacksKey: lacksKey)
    }

    /// The parameters that a record is made from, found in one walk over the query.
    private struct QueryFields {
        var event: Range<Int>?
        var url: Range<Int>?
        var user: Range<Int>?
        var referrer: Range<Int>?
        /// Values of the allowed parameters, in the order of the decision's names.
        var allowed = InlineArray<64, ByteRange>(repeating: .absent)
        var allowedCount = 0
    }

    private func queryFields(
        _ parts: RequestParts, _ decision: Decision, _ rules: BoundRules, _ bytes: Span<UInt8>
    ) -> QueryFields {
        var found = QueryFields()
        guard let query = parts.query.range else { return found }
        let allowed = decision.outcome == .keep ? decision.parameters.range : 0..<0
        var fields = FormFields(query, form: .query)
        while let field = fields.next(in: bytes) {
            switch known.index(ofEncoded: field.name, in: bytes, form: .query) {
            case 0: found.event = found.event ?? field.value
            case 1: found.url = found.url ?? field.value
            case 2: found.user = found.user ?? field.value
            case 3: found.referrer = found.referrer ?? field.value
            default: break
            }
            for name in allowed.prefix(EdgeLimits.parametersMax) {
                let index = name - allowed.lowerBound
                guard !found.allowed[index].isPresent,
                    rules.parameterNames.equals(name, encoded: field.name, in: bytes, form: .query)
                else { continue }
                found.allowed[index] = ByteRange(field.value.lowerBound, field.value.upperBound)
                found.allowedCount += 1
            }
        }
        return found
    }

    private func takeSite(_ range: Range<Int>?, _ bytes: Span<UInt8>) {
        site.removeAll(keepingCapacity: true)
        guard let range else {
            site.append(contentsOf: invalidSite)
            return
        }
        for index in range {
            let byte = bytes[index]
            site.append(byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte)
        }
    }

    private func takeIdentifier(_ range: Range<Int>?, _ bytes: Span<UInt8>) {
        identifier.removeAll(keepingCapacity: true)
        guard let range else { return }
        var decoder = FormDecoder(range, form: .query)
        while let byte = decoder.next(in: bytes) { identifier.append(byte) }
    }

    private func visitorPseudonym(
        _ key: PseudonymKey, _ client: borrowing ClientAddress, _ head: RequestHead,
        _ bytes: Span<UInt8>
    ) -> Pseudonym {
        let range =
            head.userAgent.isPresent ? head.userAgent.lowerBound..<head.userAgent.upperBound : 0..<0
        // SAFETY: both buffers outlive the transform, which is used inside of their closures alone.
        return unsafe bytes.extracting(range).withUnsafeBufferPointer { userAgent in
            unsafe site.withUnsafeBufferPointer { site in
                let transform = unsafe VisitorPseudonym(key: key, userAgent: userAgent, site: site)
                return unsafe client.address.inspect(with: transform)
            }
        }
    }

    private func isSuppressed(
        _ suppression: Suppression, _ keyring: EdgeContext.Keyring, user: Pseudonym?,
        visitor: Pseudonym?
    ) -> Bool {
        if suppression.contains(user: user, visitor: visitor) { return true }
        guard !suppression.subjects.isEmpty, !identifier.isEmpty else { return false }
        let identifier = self.identifier
        let digest = SubjectDigest(user: identifier.span, key: keyring.subjectDigestKey)
        return suppression.subjects.contains(digest.suppressed)
    }

    private func family(
        _ head: RequestHead, _ bytes: Span<UInt8>
    ) -> (UserAgentCache.Family, UserAgentCache.Lookup) {
        guard head.userAgent.isPresent else { return (userAgents.other, .known) }
        return userAgents.family(
            of: bytes.extracting(head.userAgent.lowerBound..<head.userAgent.upperBound))
    }
}

// The texts of a record, in its order.
extension HitTransform {
    /// `view` when there is none; `invalid` when it is empty, too long or has other characters than a name.
    private func writeEvent(_ range: Range<Int>?, _ bytes: Span<UInt8>, _ batch: BatchBuffer) {
        guard let range else { return batch.appendText("view") }
        text.removeAll(keepingCapacity: true)
        var decoder = FormDecoder(range, form: .query)
        while let byte = decoder.next(in: bytes) {
            guard text.count < EdgeLimits.eventBytesMax, Self.isNameByte(byte) else {
                return batch.appendText("invalid")
            }
            text.append(byte)
        }
        if text.isEmpty { return batch.appendText("invalid") }
        let text = self.text
        batch.appendText(text.span)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5F: true
        default: false
        }
    }

    private func writePage(
        _ parameter: Range<Int>?, _ head: RequestHead, _ decision: Decision, _ rules: BoundRules,
        _ bytes: Span<UInt8>, _ batch: BatchBuffer
    ) {
        guard decision.page != .drop else {
            batch.appendNull()
            return batch.appendNull()
        }
        if let parameter {
            decodeURL(parameter, bytes)
            let url = self.url
            return writePage(url.span, 0..<url.count, decision, rules, batch)
        }
        let referer = head.referer
        writePage(
            bytes, referer.isPresent ? referer.lowerBound..<referer.upperBound : 0..<0, decision,
            rules, batch)
    }

    private func decodeURL(_ range: Range<Int>, _ bytes: Span<UInt8>) {
        url.removeAll(keepingCapacity: true)
        var decoder = FormDecoder(range, form: .query)
        while let byte = decoder.next(in: bytes) { url.append(byte) }
    }

    private func writePage(
        _ source: Span<UInt8>, _ range: Range<Int>, _ decision: Decision, _ rules: BoundRules,
        _ batch: BatchBuffer
    ) {
        guard let host = RequestParts.urlHost(in: source, range) else {
            batch.appendNull()
            return batch.appendNull()
        }
        batch.appendHost(source, host)
        guard decision.page == .path else { return batch.appendNull() }
        var pathStart = host.upperBound
        while pathStart < range.upperBound, !Self.endsAuthority(source[pathStart]) {
            pathStart += 1
        }
        var pathEnd = pathStart
        while pathEnd < range.upperBound, source[pathEnd] != 0x3F, source[pathEnd] != 0x23 {
            pathEnd += 1
        }
        let start = batch.beginText()
        if pathStart == pathEnd { batch.append(0x2F) }
        writePath(source, pathStart..<pathEnd, start, batch)
        if pathEnd < range.upperBound, source[pathEnd] == 0x3F {
            var queryEnd = pathEnd + 1
            while queryEnd < range.upperBound, source[queryEnd] != 0x23 { queryEnd += 1 }
            writePageQuery(source, pathEnd + 1..<queryEnd, decision, rules, start, batch)
        }
        batch.finishText(start)
    }

    private static func endsAuthority(_ byte: UInt8) -> Bool {
        byte == 0x2F || byte == 0x3F || byte == 0x23
    }

    /// Writes a path with its escapes as they are. A segment that looks like an e-mail address or holds a long run of
    /// digits becomes `*`, and what follows a `;` is left out: identifiers stand there.
    private func writePath(
        _ source: Span<UInt8>, _ range: Range<Int>, _ textStart: Int, _ batch: BatchBuffer
    ) {
        var position = range.lowerBound
        while position < range.upperBound {
            if source[position] == 0x2F {
                batch.appendBytes(
                    source, position..<position + 1, decoding: false, textStart: textStart)
                position += 1
                continue
            }
            var end = position
            while end < range.upperBound, source[end] != 0x2F { end += 1 }
            var kept = position
            while kept < end, source[kept] != 0x3B { kept += 1 }
            if Self.looksPersonal(source, position..<kept) {
                batch.append(0x2A)
            } else {
                batch.appendBytes(source, position..<kept, decoding: false, textStart: textStart)
            }
            position = end
            if batch.count - textStart > HitBatch.textBytesMax { return }
        }
    }

    private static func looksPersonal(_ source: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var digits = 0
        for index in range {
            let byte = source[index]
            if byte == 0x40 { return true }
            if byte == 0x25, index + 2 < range.upperBound, source[index + 1] == 0x34,
                source[index + 2] == 0x30
            {
                return true
            }
            digits = byte >= 0x30 && byte <= 0x39 ? digits + 1 : 0
            if digits > EdgeLimits.pathDigitsMax { return true }
        }
        // `%40` at the very end.
        return range.count >= 3 && source[range.upperBound - 3] == 0x25
            && source[range.upperBound - 2] == 0x34 && source[range.upperBound - 1] == 0x30
    }

    /// Writes the page's allowed parameters, as they stand, in the order of their names.
    private func writePageQuery(
        _ source: Span<UInt8>, _ range: Range<Int>, _ decision: Decision, _ rules: BoundRules,
        _ textStart: Int, _ batch: BatchBuffer
    ) {
        var isFirst = true
        for name in decision.pageParameters.range {
            var fields = FormFields(range, form: .query)
            while let field = fields.next(in: source) {
                guard
                    rules.parameterNames.equals(name, encoded: field.name, in: source, form: .query)
                else { continue }
                guard batch.count - textStart <= HitBatch.textBytesMax else { return }
                batch.append(isFirst ? 0x3F : 0x26)
                isFirst = false
                batch.appendBytes(source, field.name, decoding: false, textStart: textStart)
                guard batch.count - textStart <= HitBatch.textBytesMax else { return }
                batch.append(0x3D)
                batch.appendBytes(source, field.value, decoding: false, textStart: textStart)
                break
            }
        }
    }

    private func writeReferrer(
        _ parameter: Range<Int>?, _ decision: Decision, _ bytes: Span<UInt8>, _ batch: BatchBuffer
    ) {
        guard decision.keepsReferrerHost, let parameter else { return batch.appendNull() }
        decodeURL(parameter, bytes)
        let url = self.url
        guard let host = RequestParts.urlHost(in: url.span, 0..<url.count) else {
            return batch.appendNull()
        }
        batch.appendHost(url.span, host)
    }

    private func writePrefix(
        _ client: borrowing ClientAddress, _ decision: Decision, _ batch: BatchBuffer
    ) {
        let kept = client.address.inspect(
            with: Truncate(ipv4Bits: Int(decision.ipv4Bits), ipv6Bits: Int(decision.ipv6Bits)))
        guard let kept, client.provenance.isKnown else { return batch.appendNull() }
        text.removeAll(keepingCapacity: true)
        kept.address.appendText(to: &text)
        text.append(0x2F)
        if kept.length >= 100 { text.append(0x30 + UInt8(kept.length / 100)) }
        if kept.length >= 10 { text.append(0x30 + UInt8(kept.length / 10 % 10)) }
        text.append(0x30 + UInt8(kept.length % 10))
        let text = self.text
        batch.appendText(text.span)
    }

    private func writePlace(
        _ place: Int, _ decision: Decision, _ context: EdgeContext, _ batch: BatchBuffer
    ) {
        appendName(context.countries, place, unless: decision.place == .drop, batch)
        appendName(context.subdivisions, place, unless: decision.place != .subdivision, batch)
    }

    private func appendName(
        _ names: NameList, _ index: Int, unless isDropped: Bool, _ batch: BatchBuffer
    ) {
        let name = names.span(index)
        if isDropped || name.isEmpty { batch.appendNull() } else { batch.appendText(name) }
    }

    private func writeFamily(
        _ family: UserAgentCache.Family, _ decision: Decision, _ batch: BatchBuffer
    ) {
        guard decision.keepsUserAgentFamily else {
            for _ in 0..<3 { batch.appendNull() }
            return
        }
        var position = 0
        for count in [family.browserCount, family.osCount, family.deviceCount] {
            let start = batch.beginText()
            for offset in 0..<Int(count) { batch.append(family.text[position + offset]) }
            batch.endText(start)
            position += Int(count)
        }
    }

    /// The primary subtag of the first language (RFC 5646: 2 to 8 letters), in lowercase.
    private func writeLanguage(
        _ range: ByteRange, _ decision: Decision, _ bytes: Span<UInt8>, _ batch: BatchBuffer
    ) {
        guard decision.keepsLanguage, range.isPresent else { return batch.appendNull() }
        var end = range.lowerBound
        while end < range.upperBound, bytes[end] | 0x20 >= 0x61, bytes[end] | 0x20 <= 0x7A {
            end += 1
        }
        let isEnded =
            end == range.upperBound || bytes[end] == 0x2D || bytes[end] == 0x2C
            || bytes[end] == 0x3B
            || bytes[end] == 0x20
        guard isEnded, (2...8).contains(end - range.lowerBound) else { return batch.appendNull() }
        batch.appendHost(bytes, range.lowerBound..<end)
    }

    private func writeNames(_ names: NameList, _ mask: UInt32, _ batch: BatchBuffer) {
        batch.append(UInt8(mask.nonzeroBitCount))
        var rest = mask
        while rest != 0 {
            batch.appendText(names.span(rest.trailingZeroBitCount))
            rest &= rest - 1
        }
    }

    private func writeParameters(
        _ fields: QueryFields, _ decision: Decision, _ rules: BoundRules, _ bytes: Span<UInt8>,
        _ batch: BatchBuffer
    ) {
        guard decision.outcome == .keep else { return batch.append(0) }
        batch.append(UInt8(fields.allowedCount))
        guard fields.allowedCount > 0 else { return }
        let names = decision.parameters.range
        let texts = rules.parameterNames
        for name in names.prefix(EdgeLimits.parametersMax) {
            let value = fields.allowed[name - names.lowerBound]
            guard value.isPresent else { continue }
            batch.appendText(texts.span(name))
            batch.appendText(bytes, value.lowerBound..<value.upperBound, decoding: true)
        }
    }
}

extension Decision {
    /// Keeps time, site, event and, if the place was kept, the country.
    fileprivate mutating func becomeCount() {
        outcome = .count
        ipv4Bits = 0
        ipv6Bits = 0
        user = nil
        visitor = nil
        keepsUserAgentFamily = false
        keepsReferrerHost = false
        keepsLanguage = false
        page = .drop
        pageParameters = .init()
        parameters = .init()
        if place == .subdivision { place = .country }
    }
}

extension RequestParts {
    /// The parts of a request that the parser read.
    init(_ head: RequestHead) {
        self.init()
        path = Part(head.path)
        query = Part(head.query)
        host = Part(head.host)
        referer = Part(head.referer)
        userAgent = Part(head.userAgent)
        acceptLanguage = Part(head.acceptLanguage)
        cookie = Part(head.cookie)
        secGPC = Part(head.globalPrivacyControl)
        dnt = Part(head.doNotTrack)
        repeatsConsentHeader = head.repeatsConsentHeader
    }
}

extension RequestParts.Part {
    fileprivate init(_ range: ByteRange) {
        self = range.isPresent ? Self(range.lowerBound..<range.upperBound) : .absent
    }
}

// MARK: - What looks at a raw address

/// The place of an address.
private struct Locate: SensitiveTransform {
    let table: GeoTable
    func apply(_ value: IPAddress) -> Int { table.placeIndex(of: value) }
}

/// The address with all but its leading bits cleared; nil when none are kept.
private struct Truncate: SensitiveTransform {
    let ipv4Bits: Int
    let ipv6Bits: Int
    func apply(_ value: IPAddress) -> IPPrefix? {
        let bits = value.isIPv6 ? ipv6Bits : ipv4Bits
        return bits == 0 ? nil : IPPrefix(value, length: bits)
    }
}

/// The keyed digest of address, user agent and site.
@unsafe
private struct VisitorPseudonym: SensitiveTransform {
    let key: PseudonymKey
    let userAgent: UnsafeBufferPointer<UInt8>
    let site: UnsafeBufferPointer<UInt8>
    func apply(_ value: IPAddress) -> Pseudonym {
        unsafe key.pseudonym(address: value, userAgent: userAgent.span, site: site.span)
    }
}

/// The start of the hash by which a hit is sampled (FNV-1a); it leaves this process in no form.
private struct SampleHash: SensitiveTransform {
    func apply(_ value: IPAddress) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for shift in 0..<16 {
            hash = Self.mix(hash, UInt8(truncatingIfNeeded: value.value >> UInt128(8 * shift)))
        }
        return hash
    }

    static func mix(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
        // Wrapping is the algorithm.
        (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    }
}

/// Makes UUIDs of version 7 (RFC 9562 section 5.7): time to the microsecond, and 62 random bits.
struct IdentifierSource {
    private var state: UInt64
    private var stream: UInt64

    init(seed: UInt64) {
        state = seed
        stream = SecureRandom.uint64() | 1
    }

    mutating func next(at now: Timestamp) -> UInt128 {
        let milliseconds = UInt64(clamping: now.microseconds / 1000) & 0xFFFF_FFFF_FFFF
        // Method 3 of section 6.2: the fraction of the millisecond in the 12 bits after the version.
        let fraction = UInt64(clamping: now.microseconds % 1000) * 4096 / 1000
        let high = milliseconds << 16 | 0x7000 | fraction
        let low = 0x8000_0000_0000_0000 | (word() & 0x3FFF_FFFF_FFFF_FFFF)
        return UInt128(high) << 64 | UInt128(low)
    }

    /// SplitMix64 with a random stream: wrapping is the algorithm.
    private mutating func word() -> UInt64 {
        state &+= stream
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
