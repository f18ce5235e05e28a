import Consent

/// Fields stand in order, do not overlap, and decode to no more bytes than they have.
let formFields: @Sendable ([UInt8]) -> String? = { input in
    for form in [FormFields.Form.query, .cookie] {
        var fields = FormFields(0..<input.count, form: form)
        var end = 0
        while let field = fields.next(in: input.span) {
            guard field.name.lowerBound >= end, field.value.lowerBound >= field.name.upperBound,
                field.value.upperBound <= input.count
            else { return "fields overlap or leave the input" }
            end = field.value.upperBound
            var decoder = FormDecoder(field.value, form: form)
            var count = 0
            while decoder.next(in: input.span) != nil { count += 1 }
            if count > field.value.count { return "decoding made bytes" }
            if !input.contains(0x25), decoder.isMalformed { return "a fault without an escape" }
        }
    }
    return nil
}

/// Nothing grants without a word that grants.
let consentChoice: @Sendable ([UInt8]) -> String? = { input in
    let purposes = NameList(["advertising", "audience-measurement"])
    for form in [FormFields.Form.query, .cookie] {
        let reading = ConsentChoice.read(
            input.span, 0..<input.count, form: form, purposes: purposes)
        guard case .granted(let bits) = reading else { continue }
        if bits == 0 { return "a grant of nothing" }
        if input.isEmpty { return "silence grants" }
        if bits != .max, bits & ~0b11 != 0 { return "a purpose is granted that nobody has" }
    }
    return nil
}
