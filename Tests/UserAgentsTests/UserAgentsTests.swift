import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import UserAgents

/// The installed rules, loaded once; nil where set-up has not run.
// What is wrong with the rules is told by the suite that loads them on its own below.
private let installed: UserAgentRules? = try? UserAgentRules.loadInstalled()

/// A user agent as programs really send it, and its families by the rules of uap-core.
struct KnownUserAgent: CustomTestStringConvertible, Sendable {
    let text: String
    let browser: String
    let os: String
    let device: String
    var testDescription: String { "\(browser), \(os), \(device)" }

    init(_ text: String, _ browser: String, _ os: String, _ device: String) {
        self.text = text
        self.browser = browser
        self.os = os
        self.device = device
    }
}

@Suite(.enabled(if: installed != nil, "scripts/setup lays the rules"))
struct `User agents` {
    private let rules: UserAgentRules
    private let classifier: UserAgentClassifier

    init() throws {
        rules = try #require(installed)
        classifier = UserAgentClassifier(rules)
    }

    private func classify(_ bytes: [UInt8]) -> UserAgentFamily { classifier.classify(bytes.span) }

    @Test(arguments: KnownUserAgent.all)
    func `are told by the families that the shared rules give`(_ known: KnownUserAgent) {
        let family = classify(Array(known.text.utf8))
        #expect(family.browser == known.browser)
        #expect(family.os == known.os)
        #expect(family.device == known.device)
        #expect(family.isBot == (known.device == "Spider"))
    }

    @Test func `have no influence on the next one`() {
        for known in KnownUserAgent.all {
            let bytes = Array(known.text.utf8)
            #expect(classify(bytes) == UserAgentClassifier(rules).classify(bytes.span))
        }
    }

    @Test func `the prefilter changes no answer`() {
        var generator = Generator()
        var subjects = KnownUserAgent.all.map { Array($0.text.utf8) }
        // Pieces of real user agents put together anew come near to many rules.
        let pieces = KnownUserAgent.all.flatMap { $0.text.split(separator: " ").map(String.init) }
        for _ in 0..<60 {
            let count = Int.random(in: 1...12, using: &generator)
            let text = (0..<count).map { _ in pieces.randomElement(using: &generator) ?? "" }
            subjects.append(Array(text.joined(separator: " ").utf8))
        }
        for subject in subjects {
            #expect(
                classifier.evaluate(subject, filtered: true)
                    == classifier.evaluate(subject, filtered: false),
                "CORDON_SEED=\(generator.seed)")
        }
    }

    @Test func `most rules have a literal text to look for`() {
        let words = Array("mozilla".utf8)
        var candidates = [UInt64](repeating: 0, count: rules.prefilter.wordCount)
        rules.prefilter.candidates(for: words.span, into: &candidates)
        let count = candidates.reduce(0) { $0 + $1.nonzeroBitCount }
        #expect(count < rules.count / 10)
    }

    @Test func `missing, empty and unknown ones are Other`() {
        #expect(classify([]) == .other)
        #expect(classify(Array("-".utf8)) == .other)
        #expect(classify(Array("nothing that any rule has heard of".utf8)) == .other)
    }

    @Test func `hostile ones end soon and never pass through`() {
        let hostile = [
            String(repeating: "a", count: 100_000),
            String(repeating: "Mozilla/5.0 (", count: 500),
            "Mozilla/5.0 (Linux; Android 9; " + String(repeating: " ", count: 900) + ") Build/x",
            String(repeating: "; ", count: 400) + "Build",
            String(repeating: "((((((((((", count: 90),
            "Mozilla/5.0 " + String(repeating: "x/1.1.1.1.1.1 ", count: 60) + "bot",
            "$1$2$9\\1%00\u{0}\n\r\t",
        ]
        for text in hostile {
            let family = classify(Array(text.utf8))
            for name in [family.browser, family.os, family.device] {
                #expect(name.utf8.count <= 3 * UserAgentClassifier.familyBytesMax)
            }
        }
    }

    @Test func `random bytes never end a process`() {
        var generator = Generator()
        for _ in 0..<2_000 {
            _ = classify(generator.bytes(count: Int.random(in: 0...300, using: &generator)))
        }
    }

    @Test(arguments: [
        "Mozilla/5.0 (Linux; Android 9; jane.doe@example.com Build/PPR1) AppleWebKit/537.36 Chrome/99.0 Mobile",
        "Mozilla/5.0 (Linux; Android 9; 356938035643809 Build/PPR1) AppleWebKit/537.36 Chrome/99.0 Mobile",
        "Dalvik/2.1.0 (Linux; U; Android 10; 7f3a9c2e-44b1-4e0a-9d3c-abcdef123456 Build/QP1A)",
        "Dalvik/2.1.0 (Linux; U; Android 10; R58M123ABCD Build/QP1A)",
        "Dalvik/2.1.0 (Linux; U; Android 10; 00A1B2C3D4 Build/QP1A)",
        "Dalvik/2.1.0 (Linux; U; Android 10; first.last Build/QP1A)",
    ])
    func `what does not look like a family's name is not cut out of them`(_ text: String) {
        let family = classify(Array(text.utf8))
        #expect(family.device == "Other")
        #expect(family.os == "Android")
    }
}

@Suite struct `Names that many share` {
    @Test(arguments: [
        "Pixel 7 Pro", "SM-S918B", "M2101K6G", "2201117TG", "LG-L160L", "iPhone14,5",
        "Mobile Safari UI/WKWebView",
        "Edge 2", "XQ-DC54", "23127PN0CC",
    ])
    func `are kept`(_ name: String) {
        // A comma stands in no name that is cut out.
        #expect(UserAgentClassifier.looksShared(Array(name.utf8)[...]) == !name.contains(","))
    }

    @Test func `are never an identifier made by chance`() {
        var generator = Generator()
        func word(_ alphabet: String, _ count: Int) -> String {
            String((0..<count).map { _ in alphabet.randomElement(using: &generator)! })
        }
        for _ in 0..<2_000 {
            let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
            let serial = word(letters, 1) + word("0123456789", 1) + word(letters + "0123456789", 9)
            let uuid = [8, 4, 4, 4, 12].map { word("0123456789abcdef", $0) }.joined(separator: "-")
            let name = word("abcdefghijklmnopqrstuvwxyz", 5) + "." + word("xyz", 4)
            for text in [serial, uuid, name, word("0123456789", 9)] {
                #expect(!UserAgentClassifier.looksShared(Array(text.utf8)[...]), "\(text)")
            }
        }
    }
}

@Suite struct `User agent rules` {
    private func error(of text: String) -> UserAgentRulesError? {
        do {
            _ = try UserAgentRules(parsing: Array(text.utf8), path: "rules.tsv")
            return nil
        } catch { return error }
    }

    private let heading = "cordon-user-agent-rules\t1\ttest"

    @Test(
        .enabled(
            if: InstalledData.find(UserAgentRules.installedName) != nil,
            "scripts/setup lays the rules"))
    func `that set-up laid are all understood`() throws {
        let rules = try UserAgentRules.loadInstalled()
        #expect(rules.count > 1_000)
        #expect(rules.origin.hasPrefix("uap-core "))
    }

    @Test func `replacements take groups and the first rule speaks`() throws {
        let text = """
            \(heading)
            browser\t\tMy $2 of $1\t(Alpha)-(Beta)
            browser\t\t\t(Alpha)
            os\t\tFirst\tAlpha
            os\t\tSecond\tAlpha
            device\ti\tSpider\talphabot|ALPHA-beta
            """
        let rules = try UserAgentRules(parsing: Array(text.utf8), path: "rules.tsv")
        let classifier = UserAgentClassifier(rules)
        #expect(rules.origin == "test")
        #expect(rules.count == 5)
        let both = classifier.classify(Array("x Alpha-Beta".utf8).span)
        #expect(
            both
                == UserAgentFamily(
                    browser: "My Beta of Alpha", os: "First", device: "Spider", isBot: true))
        let one = classifier.classify(Array("Alpha".utf8).span)
        #expect(
            one == UserAgentFamily(browser: "Alpha", os: "First", device: "Other", isBot: false))
    }

    @Test func `that cannot be read say where and why`() {
        #expect(error(of: "")?.code == .unknownFormat)
        #expect(error(of: "something else\n")?.code == .unknownFormat)
        #expect(error(of: heading + "\n")?.code == .emptyList)
        let short = error(of: heading + "\nbrowser\t\tx\n")
        #expect(short?.code == .malformedLine)
        #expect(short?.line == 2)
        #expect(error(of: heading + "\ncolour\t\tx\ty\n")?.code == .malformedLine)
        let pattern = error(of: heading + "\nbrowser\t\t\t(ok)\nbrowser\t\t\t(open\n")
        #expect(pattern?.code == .malformedPattern)
        #expect(
            pattern.map { "\($0)" }
                == "`rules.tsv` line 3: the pattern is not a valid regular expression")
        #expect(throws: UserAgentRulesError.self) {
            try UserAgentRules.load(path: "/nowhere/rules.tsv")
        }
    }
}

@Suite struct `Required literals` {
    struct Case: CustomTestStringConvertible, Sendable {
        let pattern: String
        let expected: Set<String>?
        var testDescription: String { pattern }
    }

    static let cases = [
        Case(pattern: "Firefox", expected: ["firefox"]),
        Case(pattern: "(Firefox|Chrome)/\\d+", expected: ["firefox", "chrome"]),
        Case(pattern: "Fire(?:fox|bird|)", expected: ["fire", "firefox", "firebird"]),
        Case(pattern: "[Bb]ot/\\d", expected: ["bot/"]),
        Case(pattern: "a?b", expected: nil),
        Case(pattern: "(?:abcd)?", expected: nil),
        Case(pattern: "(?:abcd)*x", expected: nil),
        Case(pattern: "(?:abcd)+x", expected: ["abcd"]),
        Case(pattern: "(?:abcd){0,2}", expected: nil),
        Case(pattern: "(?:abcd){2}", expected: ["abcd"]),
        Case(pattern: "abc.{0,200}longer", expected: ["longer"]),
        Case(pattern: "x|Firefox", expected: nil),
        Case(pattern: "(?!Firefox)\\w+", expected: nil),
        Case(pattern: "(?i)FIREFOX", expected: ["firefox"]),
        Case(pattern: "Chrome\\.Beta", expected: ["chrome.beta"]),
        Case(pattern: "[a-z]{3}", expected: nil),
        Case(pattern: "(abc)\\1", expected: nil),
    ]

    @Test(arguments: cases) func `are those that every match must hold`(_ one: Case) {
        let found = RequiredLiterals.of(pattern: Array(one.pattern.utf8))
        #expect(found.map { Set($0.map { String(decoding: $0, as: UTF8.self) }) } == one.expected)
    }
}
