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
        writeName(context.policies, decision.policy, batch)
        writeNames(context.purposes, isKept ? decision.consent.purposes : 0, batch)
        writeNames(context.signals, isKept ? decision.consent.signals : 0, batch)
        writeParameters(fields, decision, context, bytes, batch)
        batch.endRecord()
        return Written(fate: fate, userAgent: lookup, lacksKey: lacksKey)
    }

    /// The parameters that a record is made from.
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

    /// The parameters that the record of a decided hit is made from.
    func fields(_ decided: Decided, _ rules: BoundRules, _ bytes: Span<UInt8>) -> QueryFields {
        var found = QueryFields(
            event: decided.fields.value(of: .event), url: decided.fields.value(of: .url),
            user: decided.fields.value(of: .user), referrer: decided.fields.value(of: .referrer),
            eventID: decided.fields.value(of: .eventID))
        guard decided.decision.isKept, decided.fields.hasParameters,
            let query = decided.parts.query.range
        else { return found }
        let names = decided.decision.parameters.range.prefix(EdgeLimits.parametersMax)
        if decided.fields.isOverfull {
            found.allowedCount = findParameters(names, rules, query, bytes)
            return found
        }
        for name in names {
            let value = rules.value(ofParameter: name, decided.fields)
            allowed[name - names.lowerBound] =
                value.map { ByteRange($0.lowerBound, $0.upperBound) } ?? .absent
            if value != nil { found.allowedCount += 1 }
        }
        return found
    }

    /// Looks for more parameters than ``RequestFields`` has room for, in one walk over the query, and counts those that there are.
    private func findParameters(
        _ names: Range<Int>, _ rules: BoundRules, _ query: Range<Int>, _ bytes: Span<UInt8>
    ) -> Int {
        var count = 0
        for index in 0..<names.count { allowed[index] = .absent }
        var fields = FormFields(query, form: .query)
        while let field = fields.next(in: bytes) {
            let name = EncodedName(field.name, form: .query, in: bytes)
            for allowedName in names {
                let index = allowedName - names.lowerBound
                guard !allowed[index].isPresent,
                    rules.parameterNames.equals(allowedName, name, in: bytes)
                else { continue }
                allowed[index] = ByteRange(field.value.lowerBound, field.value.upperBound)
                count += 1
            }
        }
        return count
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
