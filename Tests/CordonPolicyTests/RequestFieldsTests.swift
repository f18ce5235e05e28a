import Consent
import CordonModel
import GeoTables
import TestSupport
import Testing

@testable import CordonPolicy

@Suite struct `The fields of a request` {
    private let rules: BoundRules

    init() throws {
        // More names than a record has room for, of every length around a word's.
        let names = (1...12).map { String(repeating: "n", count: $0) }
        let quoted = names.map { "\"\($0)\"" }.joined(separator: ", ")
        let policy = SampleProject.policy
            .replacing("allow: [value, currency]", with: "allow: [value, currency, \(quoted)]")
            .replacing("signals: [gpc", with: "signals: [tcf, \"param:longer_than_a_word\", gpc")
            .replacing("{ measuring: ,", with: "{ measuring: { tcf: [1] },")
        rules = try SampleProject.load(["Policies/law.yaml": policy]).ruleSet
            .bound(to: [.unknown, .init(country: "DE")])
    }

    /// The first value of a name whose escapes are taken out byte by byte.
    private func value(_ name: String, _ query: Range<Int>, _ bytes: [UInt8]) -> Range<Int>? {
        var walk = FormFields(query, form: .query)
        while let field = walk.next(in: bytes.span) {
            var decoder = FormDecoder(field.name, form: .query)
            var decoded: [UInt8] = []
            while let byte = decoder.next(in: bytes.span) { decoded.append(byte) }
            if decoded == Array(name.utf8) { return field.value }
        }
        return nil
    }

    @Test func `are those that a walk for each name finds`() {
        var generator = Generator()
        let names =
            (0..<rules.parameterNames.count).map { rules.parameterNames.text($0) }
            + HitParameter.allCases.map(\.text) + KnownName.allCases.map(\.text)
            + ["site", "consent", "longer_than_a_word", "longer_than_a_ward", "even", "sit", ""]
        var overfull = 0
        for _ in 0..<1000 {
            let fields = (0..<Int.random(in: 0...30, using: &generator)).map { index in
                let name = names.randomElement(using: &generator)!
                let escaped = name.utf8.map { unit in
                    generator.chance(0.05) || unit >= 128
                        ? "%" + String(unit, radix: 16) : String(UnicodeScalar(unit))
                }.joined()
                return escaped + (generator.chance(0.9) ? "=\(index)" : "")
            }
            let bytes = Array("?\(fields.joined(separator: "&")) ".utf8)
            let query = 1..<bytes.count - 1
            var parts = RequestParts()
            parts.query = .init(query)
            let found = rules.fields(parts, bytes.span)
            func check(_ value: Range<Int>?, _ name: String) {
                #expect(
                    value == self.value(name, query, bytes),
                    "\(name) of \(fields), seed \(generator.seed)")
            }
            for parameter in HitParameter.allCases {
                check(found.value(of: parameter), parameter.text)
            }
            check(found.site.range, "site")
            for name in KnownName.allCases {
                let isThere = value(name.text, query, bytes) != nil
                #expect((found.names.known & name.bit != 0) == isThere, "seed \(generator.seed)")
            }
            if found.isOverfull {
                overfull += 1
            } else {
                for index in 0..<rules.parameterNames.count {
                    check(rules.value(ofParameter: index, found), rules.parameterNames.text(index))
                }
            }
        }
        #expect(overfull > 0 && overfull < 1000)
    }

    @Test func `of cookies are read for signals alone, as they are spelt`() throws {
        let bytes = Array("event=a; consent=granted; euconsent-v2=b; %63onsent=denied".utf8)
        var parts = RequestParts()
        parts.cookie = .init(0..<bytes.count)
        let found = rules.fields(parts, bytes.span)
        #expect(found.value(of: .event) == nil)
        #expect(found.names.known == KnownName.tcfCookie.bit)
        #expect(found.names.cookies.nonzeroBitCount == 2)
        #expect(found.names.parameters == 0)
        #expect(found.names.fieldCount == 3)
    }
}
