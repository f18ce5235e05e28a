internal import Bytes
internal import Consent
internal import CordonModel
internal import CordonPolicy
internal import HTTP

// The texts of a record, in its order.
extension HitTransform {
    /// `view` when there is none; `invalid` when it is empty, too long or has other characters than a name. What a browser
    /// asked ahead of the person begins with `prefetch:` or `prerender:`, so that it is never taken for what it announces.
    /// Of a hit that is only counted, an event that might number somebody is `other`.
    func writeEvent(
        _ range: Range<Int>?, _ speculation: RequestHead.Speculation, isKept: Bool,
        _ bytes: Span<UInt8>, _ batch: BatchBuffer
    ) {
        if case .none = speculation {
            guard let range else { return batch.appendText("view") }
            // Mostly it stands there as it is kept.
            if Self.isName(range, bytes) {
                let event = bytes.extracting(range)
                return isKept || CountedHit.keeps(event: event)
                    ? batch.appendText(event) : batch.appendText(CountedHit.otherEvent)
            }
        }
        text.removeAll(keepingCapacity: true)
        switch speculation {
        case .none: break
        case .prefetch: append("prefetch:")
        case .prerender: append("prerender:")
        }
        if let range {
            let start = text.count
            if !takeEvent(range, bytes) {
                text.removeLast(text.count - start)
                append("invalid")
            } else if !isKept, !isCountable(eventFrom: start) {
                text.removeLast(text.count - start)
                append(CountedHit.otherEvent)
            }
        } else {
            append("view")
        }
        let text = self.text
        batch.appendText(text.span)
    }

    /// Whether what stands in `text` from `start` on may be the event of a hit that is only counted.
    private func isCountable(eventFrom start: Int) -> Bool {
        // The optimiser takes no span of a class's property; the copy ends here, before the property changes again.
        let text = text
        return CountedHit.keeps(event: text.span.extracting(droppingFirst: start))
    }

    private func takeEvent(_ range: Range<Int>, _ bytes: Span<UInt8>) -> Bool {
        var room = EdgeLimits.eventBytesMax
        var decoder = FormDecoder(range, form: .query)
        while let byte = decoder.next(in: bytes) {
            guard room > 0, Self.isNameByte(byte) else { return false }
            text.append(byte)
            room -= 1
        }
        return room < EdgeLimits.eventBytesMax
    }

    /// Whether the bytes are those of an event without escapes.
    private static func isName(_ range: Range<Int>, _ bytes: Span<UInt8>) -> Bool {
        guard !range.isEmpty, range.count <= EdgeLimits.eventBytesMax else { return false }
        var start = range.lowerBound
        while start < range.upperBound {
            let word = ByteWord.prefix(bytes, from: start, to: range.upperBound)
            let others = ~(ByteWord.hostBytes(word) | ByteWord.equal(word, 0x3A)) & ByteWord.highs
            start += others.trailingZeroBitCount >> 3
            // Behind the range there are zeros, which are none either.
            if others != 0 { return start == range.upperBound }
        }
        return true
    }

    private func append(_ word: StaticString) {
        // SAFETY: `offset` is below the number of code units that the literal has.
        for offset in 0..<word.utf8CodeUnitCount { text.append(unsafe word.utf8Start[offset]) }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        // Bit i of each word stands for byte i and byte 64 + i: `-`, `.`, digits, `:`; letters, `_`.
        let low: UInt64 = 0x07FF_6000_0000_0000
        let high: UInt64 = 0x07FF_FFFE_87FF_FFFE
        return byte < 128 && (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 != 0
    }

    func writePage(
        _ parameter: Range<Int>?, _ head: RequestHead, _ decision: Decision, _ rules: BoundRules,
        _ bytes: Span<UInt8>, _ batch: BatchBuffer
    ) {
        if case .drop = decision.page {
            batch.appendNull()
            return batch.appendNull()
        }
        if let parameter {
            decodeURL(parameter, bytes)
            let url = url
            return writePage(url.span, 0..<url.count, decision, rules, batch)
        }
        let referer = head.referer
        writePage(
            bytes, referer.isPresent ? referer.lowerBound..<referer.upperBound : 0..<0, decision,
            rules, batch)
    }

    private func decodeURL(_ range: Range<Int>, _ bytes: Span<UInt8>) {
        url.clear()
        url.append(decoding: range, of: bytes)
    }

    func writePage(
        _ source: Span<UInt8>, _ range: Range<Int>, _ decision: Decision, _ rules: BoundRules,
        _ batch: BatchBuffer
    ) {
        guard let host = RequestParts.urlHost(in: source, range) else {
            batch.appendNull()
            return batch.appendNull()
        }
        batch.appendHost(source, host)
        guard case .path = decision.page else { return batch.appendNull() }
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
                    rules.parameterNames.equals(
                        name, EncodedName(field.name, form: .query, in: source), in: source)
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

    func writeReferrer(
        _ parameter: Range<Int>?, _ decision: Decision, _ bytes: Span<UInt8>, _ batch: BatchBuffer
    ) {
        guard decision.keepsReferrerHost, let parameter else { return batch.appendNull() }
        decodeURL(parameter, bytes)
        let url = url
        guard let host = RequestParts.urlHost(in: url.span, 0..<url.count) else {
            return batch.appendNull()
        }
        batch.appendHost(url.span, host)
    }

    func writePrefix(
        _ client: borrowing ClientAddress, _ decision: Decision, _ batch: BatchBuffer
    ) {
        let kept = client.address.inspect(
            with: Truncate(ipv4Bits: Int(decision.ipv4Bits), ipv6Bits: Int(decision.ipv6Bits)))
        guard let kept, client.provenance.isKnown else { return batch.appendNull() }
        batch.appendText(kept)
    }

    func writePlace(
        _ place: Int, _ decision: Decision, _ context: EdgeContext, _ batch: BatchBuffer
    ) {
        let (country, subdivision) =
            switch decision.place {
            case .drop: (false, false)
            case .country: (true, false)
            case .subdivision: (true, true)
            }
        if country {
            writeName(context.countries, place, batch)
        } else {
            batch.appendNull()
        }
        if subdivision {
            writeName(context.subdivisions, place, batch)
        } else {
            batch.appendNull()
        }
    }

    func writeFamily(
        _ family: borrowing UserAgentCache.Family, _ decision: Decision, _ batch: BatchBuffer
    ) {
        guard decision.keepsUserAgentFamily else {
            for _ in 0..<3 { batch.appendNull() }
            return
        }
        batch.appendFields(family.fields.span.extracting(0..<Int(family.byteCount)))
    }

    /// The primary subtag of the first language (RFC 5646: 2 to 8 letters), in lowercase.
    func writeLanguage(
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

    /// A parameter of its own, so that no list is taken hold of for one of its names.
    func writeName(_ names: RecordNames, _ index: Int, _ batch: BatchBuffer) {
        batch.appendFields(names.field(index))
    }

    func writeNames(_ names: RecordNames, _ mask: UInt32, _ batch: BatchBuffer) {
        batch.append(UInt8(mask.nonzeroBitCount))
        var rest = mask
        while rest != 0 {
            batch.appendFields(names.field(rest.trailingZeroBitCount))
            rest &= rest - 1
        }
    }

    func writeParameters(
        _ fields: QueryFields, _ decision: Decision, _ context: EdgeContext, _ bytes: Span<UInt8>,
        _ batch: BatchBuffer
    ) {
        guard decision.isKept else { return batch.append(0) }
        batch.append(UInt8(fields.allowedCount))
        guard fields.allowedCount > 0 else { return }
        let names = decision.parameters.range
        for name in names.prefix(EdgeLimits.parametersMax) {
            let value = allowed[name - names.lowerBound]
            guard value.isPresent else { continue }
            writeName(context.parameterNames, name, batch)
            batch.appendText(bytes, value.lowerBound..<value.upperBound, decoding: true)
        }
    }
}
