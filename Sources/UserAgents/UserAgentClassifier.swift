/// Classifies user agents for one thread; make one for each.
///
/// One takes some ten microseconds. It remembers nothing of what it has seen: who asks often keeps the answers.
package final class UserAgentClassifier {
    private let rules: UserAgentRules
    private let workspace = ExpressionWorkspace()
    /// The user agent in lower case, for the prefilter.
    private var folded: [UInt8] = []
    /// One bit a rule: what the prefilter lets through.
    private var candidates: [UInt64]

    /// What stands behind this length is not looked at; the longest that browsers send have some 600 bytes.
    package static let userAgentBytesMax = 1024
    /// A family cut out of the user agent is kept up to this length only.
    package static let familyBytesMax = 40
    /// A family cut out of the user agent with more digits, wherever they stand in it, is taken for a serial number.
    package static let familyDigitsMax = 8
    /// A word of letters and digits of this length, in a family cut out of the user agent, is taken for a serial number;
    /// names of models are shorter.
    package static let familyMixedWordMax = 10
    /// A run of hexadecimal digits of this length, decimal ones among them, is taken for part of an identifier.
    package static let familyHexadecimalMax = 7

    package init(_ rules: UserAgentRules) {
        self.rules = rules
        candidates = Array(repeating: 0, count: rules.prefilter.wordCount)
        folded.reserveCapacity(Self.userAgentBytesMax)
    }

    /// The families of a user agent header's bytes.
    package func classify(_ userAgent: Span<UInt8>) -> UserAgentFamily {
        let count = min(userAgent.count, Self.userAgentBytesMax)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for index in 0..<count { bytes.append(userAgent[index]) }
        return evaluate(bytes, filtered: true)
    }

    /// Runs the rules; with `filtered` false all of them, which gives the same and takes a hundred times as long.
    func evaluate(_ bytes: [UInt8], filtered: Bool) -> UserAgentFamily {
        if filtered {
            folded.removeAll(keepingCapacity: true)
            for byte in bytes { folded.append(byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte) }
            rules.prefilter.candidates(for: folded.span, into: &candidates)
        } else {
            for index in candidates.indices { candidates[index] = .max }
        }
        let device = firstMatch(bytes, in: rules.devices)
        return UserAgentFamily(
            browser: firstMatch(bytes, in: rules.browsers),
            os: firstMatch(bytes, in: rules.systems),
            device: device, isBot: device == "Spider")
    }

    /// What the first matching rule of one list says, or `Other`.
    private func firstMatch(_ bytes: [UInt8], in list: Range<Int>) -> String {
        var rule = list.lowerBound
        while rule < list.upperBound {
            let rest = candidates[rule >> 6] >> UInt64(rule & 63)
            if rest == 0 {
                rule = (rule | 63) + 1
                continue
            }
            rule += rest.trailingZeroBitCount
            guard rule < list.upperBound else { break }
            let isMatch = unsafe bytes.withUnsafeBufferPointer { buffer in
                // SAFETY: PCRE2 reads the buffer during the call only.
                unsafe rules.rules[rule].expression.matches(buffer, workspace)
            }
            if isMatch { return family(bytes, replacement: rules.rules[rule].replacement) }
            rule += 1
        }
        return "Other"
    }

    /// The replacement with the groups of the last match put in, trimmed.
    private func family(_ bytes: [UInt8], replacement: [UInt8]) -> String {
        var text: [UInt8] = []
        if replacement.isEmpty {
            guard append(group: 1, of: bytes, to: &text) else { return "Other" }
        }
        var index = 0
        while index < replacement.count {
            let unit = replacement[index]
            if unit == UInt8(ascii: "$"), index + 1 < replacement.count,
                (UInt8(ascii: "1")...UInt8(ascii: "9")).contains(replacement[index + 1])
            {
                guard append(group: Int(replacement[index + 1] - 0x30), of: bytes, to: &text) else {
                    return "Other"
                }
                index += 2
            } else {
                text.append(unit)
                index += 1
            }
        }
        while text.last == 0x20 { text.removeLast() }
        let trimmed = text.drop { $0 == 0x20 }
        return trimmed.isEmpty ? "Other" : String(decoding: trimmed, as: UTF8.self)
    }

    /// Appends what a group took; false when it does not look like a name that many share.
    private func append(group number: Int, of bytes: [UInt8], to text: inout [UInt8]) -> Bool {
        guard let range = workspace.group(number) else { return true }
        guard Self.looksShared(bytes[range]) else { return false }
        text += bytes[range]
        return true
    }

    /// Whether `name` can be that of a browser, a system or a model, rather than one device's or one person's.
    ///
    /// Some rules take whatever stands at a place. So a long text, many digits, a long word of letters and digits (as serial
    /// numbers are), a run of hexadecimal digits (as in a UUID), a point between letters (as in `first.last`), and every sign
    /// that is no part of such names is refused.
    static func looksShared(_ name: ArraySlice<UInt8>) -> Bool {
        guard name.count <= familyBytesMax else { return false }
        var digits = 0
        var word = Run()
        var hexadecimal = Run()
        var previous: UInt8 = 0x20
        for (byte, next) in zip(name, name.dropFirst() + [0x20]) {
            let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            if isDigit || isLetter(byte) {
                if isDigit { digits += 1 }
                word.take(isDigit: isDigit)
                if byte | 0x20 <= UInt8(ascii: "f") {
                    hexadecimal.take(isDigit: isDigit)
                } else {
                    hexadecimal = Run()
                }
            } else {
                switch byte {
                case UInt8(ascii: "."): if isLetter(previous), isLetter(next) { return false }
                case UInt8(ascii: " "), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "+"),
                    UInt8(ascii: "/"), UInt8(ascii: "!"), UInt8(ascii: "&"), UInt8(ascii: "'"),
                    UInt8(ascii: ":"):
                    break
                default: return false
                }
                word = Run()
                hexadecimal = Run()
            }
            if digits > familyDigitsMax || word.isMixed && word.count > familyMixedWordMax
                || hexadecimal.hasDigit && hexadecimal.count > familyHexadecimalMax
            {
                return false
            }
            previous = byte
        }
        return true
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    /// Characters that follow one another.
    private struct Run {
        var count = 0
        var hasDigit = false
        var hasLetter = false
        var isMixed: Bool { hasDigit && hasLetter }

        mutating func take(isDigit: Bool) {
            count += 1
            if isDigit { hasDigit = true } else { hasLetter = true }
        }
    }
}
