internal import Bytes

/// A choice that a site's own consent dialogue hands on in a parameter or a cookie.
///
/// ```
/// choice := "granted" | "yes" | "1" | "true"      every purpose
///         | "denied" | "no" | "0" | "false"       no purpose
///         | purpose ("," purpose)*                these purposes and no other
/// ```
/// Letters may be in either case and blanks may surround a word; escapes are taken out first. An empty value, an unknown
/// word, a broken escape and a value beyond ``bytesMax`` are faults.
package enum ConsentChoice {
    /// Longest choice in bytes after its escapes are taken out: some thirty purposes, and small enough for the stack.
    package static let bytesMax = 256

    /// Reads the choice in `range` of `bytes`; the bit of a purpose is its position in `purposes`, which
    /// holds at most 32 names in lowercase.
    package static func read(
        _ bytes: Span<UInt8>, _ range: Range<Int>, form: FormFields.Form,
        purposes: borrowing NameList
    ) -> SignalReading {
        if let reading = word(bytes, range) { return reading }
        var text = InlineArray<256, UInt8>(repeating: 0)
        var count = 0
        var decoder = FormDecoder(range, form: form)
        while let byte = decoder.next(in: bytes) {
            guard count < bytesMax else { return .invalid }
            text[count] = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
            count += 1
        }
        guard !decoder.isMalformed else { return .invalid }
        return read(decoded: text.span.extracting(0..<count), purposes: purposes)
    }

    /// What a word for all purposes says that stands without blanks and escapes; nil for anything else.
    private static func word(_ bytes: Span<UInt8>, _ range: Range<Int>) -> SignalReading? {
        guard range.count <= 8 else { return nil }
        let word = ByteWord.lowercased(
            ByteWord.prefix(bytes, from: range.lowerBound, to: range.upperBound))
        if grants.holds(word, byteCount: range.count) { return .granted(.max) }
        return denials.holds(word, byteCount: range.count) ? .denied : nil
    }

    private static func read(decoded text: Span<UInt8>, purposes: borrowing NameList)
        -> SignalReading
    {
        let whole = trimmed(text, 0..<text.count)
        if isOne(of: grants, text, whole) { return .granted(.max) }
        if isOne(of: denials, text, whole) { return .denied }
        var granted: UInt32 = 0
        var start = 0
        while start <= text.count {
            var end = start
            while end < text.count, text[end] != 0x2C { end += 1 }
            guard let purpose = purposes.index(of: text, trimmed(text, start..<end)) else {
                return .invalid
            }
            granted |= 1 << UInt32(purpose)
            start = end + 1
        }
        return .granted(granted)
    }

    private static let grants = NameList(["granted", "yes", "1", "true"])
    private static let denials = NameList(["denied", "no", "0", "false"])

    private static func isOne(
        of words: borrowing NameList, _ text: Span<UInt8>, _ range: Range<Int>
    ) -> Bool {
        words.index(of: text, range) != nil
    }

    private static func trimmed(_ text: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, text[start] == 0x20 { start += 1 }
        while end > start, text[end - 1] == 0x20 { end -= 1 }
        return start..<end
    }
}
