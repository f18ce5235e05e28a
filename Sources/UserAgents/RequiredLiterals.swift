/// Finds, for a regular expression, literal texts of which at least one must occur wherever it matches.
///
/// The idea is that of RE2's prefilter: walk the expression, keep the finite set of texts that the part just read can
/// match as long as that set is small, and remember the most telling set passed. Everything is in
/// lower case, so the answer holds for a subject in lower case whatever the expression's case flags say. An
/// expression of a kind not understood here gives nil ("may match anywhere"), never a wrong set.
struct RequiredLiterals {
    /// Shorter texts occur too often to tell anything.
    static let literalBytesMin = 3
    private static let exactCountMax = 24
    private static let exactBytesMax = 24

    private let pattern: [UInt8]
    private var position = 0

    /// The set for `pattern`, or nil when there is none.
    static func of(pattern: [UInt8]) -> [[UInt8]]? {
        var walk = RequiredLiterals(pattern: pattern)
        guard let part = walk.alternation(), walk.position == pattern.count else { return nil }
        return better(part.required, usable(part.exact))
    }

    private init(pattern: [UInt8]) { self.pattern = pattern }

    /// What is known of a piece of the expression.
    private struct Part {
        /// All texts that it matches, when they are few; nil when they are many or unknown.
        var exact: Set<[UInt8]>?
        /// Texts of which one must occur; nil when nothing is known.
        var required: [[UInt8]]?

        static let empty = Part(exact: [[]], required: nil)
        static let anything = Part(exact: nil, required: nil)
        static func literal(_ unit: UInt8) -> Part {
            Part(exact: [[RequiredLiterals.lowercase(unit)]], required: nil)
        }
    }

    private var next: UInt8? { position < pattern.count ? pattern[position] : nil }

    private mutating func take(_ unit: UInt8) -> Bool {
        guard next == unit else { return false }
        position += 1
        return true
    }

    // MARK: Grammar

    /// Branches with `|` between; nil when the text is not understood.
    private mutating func alternation() -> Part? {
        guard var whole = sequence() else { return nil }
        while take(UInt8(ascii: "|")) {
            guard let branch = sequence() else { return nil }
            let left = Self.better(whole.required, Self.usable(whole.exact))
            let right = Self.better(branch.required, Self.usable(branch.exact))
            if let one = whole.exact, let other = branch.exact,
                one.union(other).count <= Self.exactCountMax
            {
                whole.exact = one.union(other)
            } else {
                whole.exact = nil
            }
            if let left, let right { whole.required = left + right } else { whole.required = nil }
        }
        return whole
    }

    /// Pieces one after another.
    private mutating func sequence() -> Part? {
        var running: Set<[UInt8]> = [[]]
        var isExact = true
        var required: [[UInt8]]?
        while let unit = next, unit != UInt8(ascii: "|"), unit != UInt8(ascii: ")") {
            guard let atom = atom(), let piece = repeated(atom) else { return nil }
            required = Self.better(required, piece.required)
            guard let exact = piece.exact else {
                required = Self.better(required, Self.usable(running))
                running = [[]]
                isExact = false
                continue
            }
            if let product = Self.product(running, exact) {
                running = product
            } else {
                required = Self.better(required, Self.usable(running))
                running = exact
                isExact = false
            }
        }
        required = Self.better(required, Self.usable(running))
        return Part(exact: isExact ? running : nil, required: required)
    }

    /// `part` under the quantifier that follows, if one does.
    private mutating func repeated(_ part: Part) -> Part? {
        guard let unit = next else { return part }
        var result = part
        switch unit {
        case UInt8(ascii: "?"):
            position += 1
            result = Part(exact: part.exact.map { $0.union([[]]) }, required: nil)
        case UInt8(ascii: "*"):
            position += 1
            result = .anything
        case UInt8(ascii: "+"):
            position += 1
            result = Part(exact: nil, required: Self.better(part.required, Self.usable(part.exact)))
        case UInt8(ascii: "{"):
            guard let least = bounds() else { return nil }
            result =
                least == 0
                ? .anything
                : Part(exact: nil, required: Self.better(part.required, Self.usable(part.exact)))
        default:
            return part
        }
        // A lazy or possessive mark changes which match is taken, not whether there is one.
        if next == UInt8(ascii: "?") || next == UInt8(ascii: "+") { position += 1 }
        return result
    }

    /// The lower bound of `{m}`, `{m,}` or `{m,n}`; nil when the brace is something else.
    private mutating func bounds() -> Int? {
        guard let end = pattern[position...].firstIndex(of: UInt8(ascii: "}")) else { return nil }
        let parts = pattern[(position + 1)..<end].split(
            separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count),
            let least = Int(String(decoding: parts[0], as: UTF8.self))
        else { return nil }
        position = end + 1
        return least
    }

    private mutating func atom() -> Part? {
        guard let unit = next else { return nil }
        position += 1
        switch unit {
        case UInt8(ascii: "("): return group()
        case UInt8(ascii: "["): return set()
        case UInt8(ascii: "\\"): return escape()
        case UInt8(ascii: "."): return .anything
        case UInt8(ascii: "^"), UInt8(ascii: "$"): return .empty
        case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"): return nil
        default: return .literal(unit)
        }
    }

    private mutating func group() -> Part? {
        var isZeroWidth = false
        if take(UInt8(ascii: "?")) {
            guard let kind = next else { return nil }
            position += 1
            switch kind {
            case UInt8(ascii: ":"): break
            case UInt8(ascii: "="), UInt8(ascii: "!"): isZeroWidth = true
            case UInt8(ascii: "<"):
                guard take(UInt8(ascii: "=")) || take(UInt8(ascii: "!")) else { return nil }
                isZeroWidth = true
            case UInt8(ascii: "i"):
                // Case never matters here: `(?i)` alone, or `(?i:…)`.
                if take(UInt8(ascii: ")")) { return .empty }
                guard take(UInt8(ascii: ":")) else { return nil }
            default: return nil
            }
        }
        guard let inner = alternation(), take(UInt8(ascii: ")")) else { return nil }
        return isZeroWidth ? .empty : inner
    }

    /// A set in brackets: the texts of its members when they are few and plain.
    private mutating func set() -> Part? {
        let isNegated = take(UInt8(ascii: "^"))
        var members: Set<[UInt8]> = []
        var isPlain = !isNegated
        var isFirst = true
        while let unit = next {
            position += 1
            if unit == UInt8(ascii: "]"), !isFirst {
                return isPlain && members.count <= 4
                    ? Part(exact: members, required: nil) : .anything
            }
            isFirst = false
            switch unit {
            case UInt8(ascii: "["):
                // A class such as `[:alpha:]` is not read further.
                if next == UInt8(ascii: ":") { return nil }
                members.insert([unit])
            case UInt8(ascii: "\\"):
                guard let escaped = escape() else { return nil }
                if let exact = escaped.exact, exact != [[]] {
                    members.formUnion(exact)
                } else {
                    isPlain = false
                }
            case UInt8(ascii: "-"):
                // A range, or a hyphen at an end; the range's members are not counted out.
                isPlain = false
            default:
                members.insert([Self.lowercase(unit)])
            }
        }
        return nil
    }

    private mutating func escape() -> Part? {
        guard let unit = next else { return nil }
        position += 1
        switch unit {
        case UInt8(ascii: "d"), UInt8(ascii: "D"), UInt8(ascii: "w"), UInt8(ascii: "W"),
            UInt8(ascii: "s"), UInt8(ascii: "S"):
            return .anything
        case UInt8(ascii: "b"), UInt8(ascii: "B"): return .empty
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            return nil
        default: return .literal(unit)
        }
    }

    // MARK: Sets of texts

    /// Every text of `left` followed by every text of `right`; nil when these are too many or too long.
    private static func product(_ left: Set<[UInt8]>, _ right: Set<[UInt8]>) -> Set<[UInt8]>? {
        guard left.count * right.count <= exactCountMax,
            (left.map(\.count).max() ?? 0) + (right.map(\.count).max() ?? 0) <= exactBytesMax
        else { return nil }
        var product: Set<[UInt8]> = []
        for first in left { for second in right { product.insert(first + second) } }
        return product
    }

    /// `texts` when each is long enough to tell something.
    private static func usable(_ texts: Set<[UInt8]>?) -> [[UInt8]]? {
        guard let texts, !texts.isEmpty, texts.allSatisfy({ $0.count >= literalBytesMin }) else {
            return nil
        }
        return Array(texts)
    }

    /// The more telling of two sets: one that stands in few user agents, then the one whose shortest text is
    /// longer, then the smaller one.
    private static func better(_ left: [[UInt8]]?, _ right: [[UInt8]]?) -> [[UInt8]]? {
        guard let left else { return right }
        guard let right else { return left }
        func rank(_ texts: [[UInt8]]) -> (Int, Int, Int) {
            let isCommon = texts.contains { isPart($0, of: commonPhrase) }
            return (isCommon ? 0 : 1, min(texts.map(\.count).min() ?? 0, 6), -texts.count)
        }
        return rank(left) >= rank(right) ? left : right
    }

    /// What stands in most browsers' user agents; a piece of it tells hardly anything. Rules for devices often end in
    /// such a piece, behind the name that matters.
    private static let commonPhrase = Array(
        ("mozilla/5.0 (linux; u; android 10; build/) applewebkit/537.36 (khtml, like gecko) version/4.0 "
            + "chrome/120.0 mobile safari/537.36 (windows nt 10.0; win64; x64) (macintosh; intel mac os x) miui/v ")
            .utf8)

    private static func isPart(_ text: [UInt8], of whole: [UInt8]) -> Bool {
        guard let first = text.first else { return true }
        return whole.indices.contains { start in
            whole[start] == first && whole[start...].starts(with: text)
        }
    }

    private static func lowercase(_ unit: UInt8) -> UInt8 {
        unit >= 0x41 && unit <= 0x5A ? unit | 0x20 : unit
    }
}
