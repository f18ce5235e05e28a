internal import Bytes
internal import Consent
internal import CordonJournal
internal import CordonKeys
internal import CordonModel
internal import CordonPolicy
internal import Crypto
internal import HTTP

// Writing the record.
extension HitTransform {
    /// What writing a record showed.
    struct Written {
        var fate: HitFate
        var userAgent: UserAgentCache.Lookup
        /// A pseudonym was left out because its key is not there.
        var lacksKey: Bool
    }

    /// Writes the record of a hit that is for the journal, from the fields that ``fields(_:_:_:)`` found.
    func write(
        _ decided: Decided, _ fields: QueryFields, _ head: RequestHead, _ bytes: Span<UInt8>,
        _ client: consuming ClientAddress, _ context: EdgeContext, suppression: Suppression?,
        at now: Timestamp, into batch: BatchBuffer
    ) -> Written {
        var decision = decided.decision
        let rules = context.rules
        let keyring = context.keyrings[decided.slot]
        let day = Day(now)
        let daysAhead = day - context.keyDay
        takeSite(decided.site, bytes)
        takeIdentifier(fields.user, bytes)

        var lacksKey = false
        var user: Pseudonym?
        var visitor: Pseudonym?
        if decision.isKept {
            if let period = decision.user, !identifier.isEmpty {
                let identifier = identifier
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
        var fate = decision.isKept ? HitFate.kept : .counted
        if let suppression, !suppression.isEmpty,
            isSuppressed(suppression, keyring, user: user, visitor: visitor)
        {
            fate = .suppressed
            user = nil
            visitor = nil
            decision.becomeCount()
        }
        let (family, lookup) = unsafe family(head, bytes)

        batch.beginRecord()
        var flags: UInt8 = unsafe family.pointee.isBot ? HitBatch.Flag.bot : 0
        if visitor != nil { flags |= HitBatch.Flag.visitor }
        if user != nil { flags |= HitBatch.Flag.user }
        let hasPseudonym = visitor != nil || user != nil
        if hasPseudonym { flags |= HitBatch.Flag.keyEpoch }
        batch.append(flags)
        batch.append(decision.consent.state.rawValue)
        let isKept = decision.isKept
        batch.append(bigEndian: isKept ? random.next(at: now) : 0)
        batch.append(littleEndian: (isKept ? now : CountedHit.time(now)).microseconds)
        batch.append(littleEndian: day.number &+ decision.retainDays)
        batch.append(littleEndian: hasPseudonym ? day.number : 0)
        batch.append(littleEndian: decision.sampleRate.bitPattern)
        batch.append(bigEndian: visitor?.value ?? 0)
        batch.append(bigEndian: user?.value ?? 0)
        let site = site
        batch.appendText(site.span)
        writeEvent(fields.event, head.speculation, isKept: isKept, bytes, batch)
        writePage(fields.url, head, decision, rules, bytes, batch)
        writeReferrer(fields.referrer, decision, bytes, batch)
        writePrefix(client, decision, batch)
        writePlace(decided.place, decision, context, batch)
        unsafe writeFamily(family.pointee, decision, batch)
        writeLanguage(head.acceptLanguage, decision, bytes, batch)
        writeName(rules.policies, decision.policy, batch)
        writeNames(rules.purposes, isKept ? decision.consent.purposes : 0, batch)
        writeNames(rules.signals, isKept ? decision.consent.signals : 0, batch)
        writeParameters(fields, decision, rules, bytes, batch)
        batch.endRecord()
        return Written(fate: fate, userAgent: lookup, lacksKey: lacksKey)
    }

    /// The parameters that a record is made from, found in one walk over the query.
    struct QueryFields {
        var event: Range<Int>?
        var url: Range<Int>?
        var user: Range<Int>?
        var referrer: Range<Int>?
        /// The client's own id of the event.
        var eventID: Range<Int>?
        /// How many of the allowed parameters there are; their values stand in ``HitTransform/allowed``.
        var allowedCount = 0
    }

    /// Finds the parameters that the record of a decided hit is made from.
    func fields(_ decided: Decided, _ rules: BoundRules, _ bytes: Span<UInt8>) -> QueryFields {
        var found = QueryFields()
        guard let query = decided.parts.query.range else { return found }
        let decision = decided.decision
        let allowed = decision.isKept ? decision.parameters.range : 0..<0
        var fields = FormFields(query, form: .query)
        let names = allowed.prefix(EdgeLimits.parametersMax)
        for index in 0..<names.count { self.allowed[index] = .absent }
        while let field = fields.next(in: bytes) {
            let name = EncodedName(field.name, form: .query, in: bytes)
            // Numbers as `HitParameter` counts: its initializer would be a call for each parameter.
            switch known.index(of: name, in: bytes) {
            case 0: found.event = found.event ?? field.value
            case 1: found.url = found.url ?? field.value
            case 2: found.user = found.user ?? field.value
            case 3: found.referrer = found.referrer ?? field.value
            case 4: found.eventID = found.eventID ?? field.value
            default: break
            }
            for allowedName in names {
                let index = allowedName - allowed.lowerBound
                guard !self.allowed[index].isPresent,
                    rules.parameterNames.equals(allowedName, name, in: bytes)
                else { continue }
                self.allowed[index] = ByteRange(field.value.lowerBound, field.value.upperBound)
                found.allowedCount += 1
            }
        }
        return found
    }

    /// Digests of the site and the client's own id of the event; nil when there is no id of 1 to
    /// ``EdgeLimits/eventIDBytesMax`` bytes.
    func eventDigests(
        _ fields: QueryFields, _ decided: Decided, _ keys: RecentEvents.Keys, _ bytes: Span<UInt8>
    ) -> RecentEvents.Digests? {
        guard let range = fields.eventID else { return nil }
        text.removeAll(keepingCapacity: true)
        var decoder = FormDecoder(range, form: .query)
        while let byte = decoder.next(in: bytes) {
            guard text.count < EdgeLimits.eventIDBytesMax else { return nil }
            text.append(byte)
        }
        guard !text.isEmpty else { return nil }
        takeSite(decided.site, bytes)
        return RecentEvents.Digests(
            current: eventDigest(keys.current), previous: eventDigest(keys.previous))
    }

    private func eventDigest(_ key: HMACKey) -> UInt128 {
        let site = self.site
        let text = self.text
        var code = key.begin()
        code.update(site.span)
        // No site has a NUL.
        code.update(0)
        code.update(text.span)
        return code.finalize().leading128
    }

    private func takeSite(_ range: Range<Int>?, _ bytes: Span<UInt8>) {
        site.clear()
        guard let range else {
            for byte in invalidSite { site.append(byte) }
            return
        }
        site.append(lowercasing: range, of: bytes)
    }

    private func takeIdentifier(_ range: Range<Int>?, _ bytes: Span<UInt8>) {
        identifier.clear()
        if let range { identifier.append(decoding: range, of: bytes) }
    }

    private func visitorPseudonym(
        _ key: PseudonymKey, _ client: borrowing ClientAddress, _ head: RequestHead,
        _ bytes: Span<UInt8>
    ) -> Pseudonym {
        let range =
            head.userAgent.isPresent ? head.userAgent.lowerBound..<head.userAgent.upperBound : 0..<0
        let site = site
        // SAFETY: both buffers outlive the transform, which is used inside of their closures alone.
        return unsafe bytes.extracting(range).withUnsafeBufferPointer { userAgent in
            unsafe site.span.withUnsafeBufferPointer { site in
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
        let identifier = identifier
        let digest = SubjectDigest(user: identifier.span, key: keyring.subjectDigestKey)
        return suppression.subjects.contains(digest.suppressed)
    }

    /// The families of the request's user agent, valid until they are asked for anew.
    @unsafe
    func family(
        _ head: RequestHead, _ bytes: Span<UInt8>
    ) -> (UnsafePointer<UserAgentCache.Family>, UserAgentCache.Lookup) {
        guard head.userAgent.isPresent else { return unsafe (userAgents.other, .known) }
        return unsafe userAgents.family(
            of: bytes.extracting(head.userAgent.lowerBound..<head.userAgent.upperBound))
    }
}
