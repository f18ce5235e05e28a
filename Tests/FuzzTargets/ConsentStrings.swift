import Consent

/// The reader of the hot path and the plain decoder come to one verdict, with and without a memory of what was read.
func consentString(
    _ kind: ConsentReader.Kind, _ format: DecodedConsent.Format
) -> @Sendable ([UInt8]) -> String? {
    { input in
        let reader = ConsentReader(vendors: [1, 12, 755], key: (1, 2))
        let fresh = reader.extract(kind, input.span, 0..<input.count, form: .query)
        let again = reader.extract(kind, input.span, 0..<input.count, form: .query)
        if again != fresh { return "remembered as something else" }
        // Within other bytes it is read alike, and nothing outside of it.
        let padded = [0x41] + input + [0x42, 0x25]
        let within = reader.extract(kind, padded.span, 1..<1 + input.count, form: .query)
        if within != fresh { return "its surroundings are read" }
        // What the decoder takes is a text, without the escapes of a query.
        var decoder = FormDecoder(0..<input.count, form: .query)
        var text: [UInt8] = []
        while let byte = decoder.next(in: input.span) { text.append(byte) }
        guard !decoder.isMalformed, text.allSatisfy({ $0 < 0x80 }), !input.contains(0x2B),
            input.count <= ConsentLimits.textBytesMax
        else { return nil }
        let decoded = ConsentDecoder.decode(String(decoding: text, as: UTF8.self), as: format)
        if decoded.isValid == (fresh.standing == .invalid) {
            return "one reader takes it (\(decoded.fault?.text ?? "valid")), the other does not"
        }
        return nil
    }
}
