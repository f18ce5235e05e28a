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
    /// A family cut out of the user agent with a longer run of digits is taken for a serial number.
    package static let familyDigitsMax = 8

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
        guard range.count <= Self.familyBytesMax else { return false }
        var digits = 0
        for byte in bytes[range] {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                digits += 1
                if digits > Self.familyDigitsMax { return false }
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"):
                digits = 0
            case UInt8(ascii: " "), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "+"),
                UInt8(ascii: "/"), UInt8(ascii: "!"), UInt8(ascii: "&"), UInt8(ascii: "'"),
                UInt8(ascii: ":"):
                digits = 0
            default: return false
            }
        }
        text += bytes[range]
        return true
    }
}
