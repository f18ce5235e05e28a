/// The parameters in which Google's tags hand on the state of consent mode: `gcs` and `gcd`.
///
/// Google publishes no grammar of either; this follows what the field has observed and agrees on:
///
/// ```
/// gcs := "G1" state state               ad_storage, analytics_storage; state := "0" | "1" | "-"
/// gcd := "1" digit (letter digit){4,8}  ad_storage, analytics_storage, ad_user_data, ad_personalization, then undocumented
/// ```
///
/// A letter of `gcd` says how the state came about; only the state counts here: `l` unset; `m` `p` `q` `u` denied at
/// last; `n` `r` `t` `v` granted at last.
enum ConsentMode {
    /// Longest `gcd`: two digits and eight pairs.
    private static let bytesMax = 18

    static func gcs(_ bytes: Span<UInt8>, _ range: Range<Int>, form: FormFields.Form)
        throws(ConsentFault)
        -> ConsentExtract
    {
        let text = try Text(bytes, range, form)
        guard text.count == 4, text[0] == 0x47 else { throw ConsentFault(.badValue, "gcs") }
        guard text[1] == 0x31 else { throw ConsentFault(.unknownVersion, "gcs") }
        var extract = ConsentExtract()
        extract.standing = .understood
        try extract.set(ModeSignals.adStorage, state(text[2]))
        try extract.set(ModeSignals.analyticsStorage, state(text[3]))
        return extract
    }

    private static func state(_ byte: UInt8) throws(ConsentFault) -> Bool? {
        switch byte {
        case 0x30: false
        case 0x31: true
        case 0x2D: nil
        default: throw ConsentFault(.badValue, "gcs")
        }
    }

    static func gcd(_ bytes: Span<UInt8>, _ range: Range<Int>, form: FormFields.Form)
        throws(ConsentFault)
        -> ConsentExtract
    {
        let text = try Text(bytes, range, form)
        guard text.count >= 10, text.count % 2 == 0 else { throw ConsentFault(.badValue, "gcd") }
        guard text[0] == 0x31 else { throw ConsentFault(.unknownVersion, "gcd") }
        var extract = ConsentExtract()
        extract.standing = .understood
        guard isDigit(text[1]) else { throw ConsentFault(.badValue, "gcd") }
        for place in 0..<(text.count - 2) / 2 {
            let granted = try letter(text[2 + 2 * place])
            guard isDigit(text[3 + 2 * place]) else { throw ConsentFault(.badValue, "gcd") }
            if place < 4 { try extract.set(1 << UInt8(place), granted) }
        }
        return extract
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private static func letter(_ byte: UInt8) throws(ConsentFault) -> Bool? {
        switch byte {
        case 0x6C: nil  // l
        case 0x6D, 0x70, 0x71, 0x75: false  // m p q u
        case 0x6E, 0x72, 0x74, 0x76: true  // n r t v
        default: throw ConsentFault(.badValue, "gcd")
        }
    }

    /// The value without its escapes, on the stack.
    private struct Text {
        private var bytes = InlineArray<18, UInt8>(repeating: 0)
        private(set) var count = 0

        init(_ source: Span<UInt8>, _ range: Range<Int>, _ form: FormFields.Form)
            throws(ConsentFault)
        {
            var decoder = FormDecoder(range, form: form)
            while let byte = decoder.next(in: source) {
                guard count < ConsentMode.bytesMax else { throw ConsentFault(.badValue) }
                bytes[count] = byte
                count += 1
            }
            guard !decoder.isMalformed else { throw ConsentFault(.badEscape) }
        }

        subscript(index: Int) -> UInt8 { bytes[index] }
    }
}

extension ConsentExtract {
    fileprivate mutating func set(_ signal: UInt8, _ state: Bool?) throws(ConsentFault) {
        guard let state else { return }
        if state { modeGranted |= signal } else { modeDenied |= signal }
    }
}

/// The parameter `gpp_sid`: the ids of the sections that are in force, parted by commas or underscores.
package enum SectionList {
    package enum Reading: Equatable, Sendable, BitwiseCopyable {
        case absent
        /// Bit `id` of each section; none for `-1` and `0`, which say that no section is in force.
        case sections(UInt32)
        case invalid
    }

    package static func read(
        _ bytes: Span<UInt8>, _ range: Range<Int>, form: FormFields.Form
    ) -> Reading {
        var decoder = FormDecoder(range, form: form)
        var sections: UInt32 = 0
        var number = 0
        var digits = 0
        var isNegative = false
        var hasAny = false
        while true {
            let next = decoder.next(in: bytes)
            guard let byte = next, byte != 0x2C, byte != 0x5F else {
                // The end of a number: a separator, or the end of all.
                let isEnd = next == nil
                if isEnd, !hasAny, digits == 0, !isNegative { return .absent }
                guard digits > 0, !isNegative || number == 1, !decoder.isMalformed else {
                    return .invalid
                }
                if !isNegative, number > 0 { sections |= 1 << UInt32(number) }
                if isEnd { return .sections(sections) }
                (number, digits, isNegative, hasAny) = (0, 0, false, true)
                continue
            }
            switch byte {
            case 0x2D:
                guard digits == 0, !isNegative else { return .invalid }
                isNegative = true
            case 0x30...0x39:
                number = number * 10 + Int(byte - 0x30)
                digits += 1
                guard number < 32, digits <= 2 else { return .invalid }
            default: return .invalid
            }
        }
    }
}
