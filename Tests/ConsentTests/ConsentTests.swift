import TestSupport
import Testing

@testable import Consent

private let purposes = NameList(["advertising", "audience-measurement"])

private func choice(_ text: String, _ form: FormFields.Form = .query) -> SignalReading {
    let bytes = Array(text.utf8)
    return ConsentChoice.read(bytes.span, 0..<bytes.count, form: form, purposes: purposes)
}

@Suite struct `Consent choices` {
    @Test(arguments: ["granted", "yes", "1", "true", "GRANTED", "%67ranted", "+yes+"])
    func `a word of consent grants every purpose`(_ text: String) {
        #expect(choice(text) == .granted(.max))
    }

    @Test(arguments: ["denied", "no", "0", "false", "Denied", "%20no"])
    func `a word of refusal grants none`(_ text: String) { #expect(choice(text) == .denied) }

    @Test func `a list grants the purposes it names`() {
        #expect(choice("advertising") == .granted(0b01))
        #expect(choice("audience-measurement,advertising") == .granted(0b11))
        #expect(choice("advertising%2C+Audience-Measurement") == .granted(0b11))
        #expect(choice("advertising,advertising") == .granted(0b01))
    }

    @Test(arguments: [
        "", "+", "maybe", "advertising,", ",", "advertising,sales", "yes,no", "granted,advertising",
        "yes%", "yes%zz", "2", "\u{0}", "y\u{E9}s",
    ])
    func `what is not understood is invalid`(_ text: String) { #expect(choice(text) == .invalid) }

    @Test func `a plus is a blank in a query and itself in a cookie`() {
        #expect(choice("yes+", .query) == .granted(.max))
        #expect(choice("yes+", .cookie) == .invalid)
    }

    @Test func `length is bounded`() {
        let words = Array(repeating: "advertising", count: 21).joined(separator: ",")
        #expect(words.utf8.count == 251)
        #expect(choice(words + "+++++") == .granted(1))
        #expect(choice(words + "++++++") == .invalid)
    }

    @Test func `no bytes crash it or grant without a word of consent`() {
        var generator = Generator()
        let pieces = ["advertising", ",", "%", "%2C", "yes", "no", "+", "\u{0}", "é", "1"]
        for _ in 0..<5000 {
            let text = (0..<Int.random(in: 0..<8, using: &generator))
                .map { _ in pieces.randomElement(using: &generator)! }.joined()
            if case .granted = choice(text) {
                #expect(
                    text.contains("advertising") || text.contains("yes") || text.contains("1"),
                    "seed \(generator.seed): \(text)")
            }
        }
    }
}

@Suite struct `Preference headers` {
    private func read(_ text: String) -> SignalReading {
        let bytes = Array(text.utf8)
        return PreferenceHeader.read(bytes.span, 0..<bytes.count)
    }

    @Test func `one refuses, zero says nothing, all else is invalid`() {
        #expect(read("1") == .denied)
        #expect(read("0") == .silent)
        for text in ["", "2", "true", "11", " 1", "1, 0"] { #expect(read(text) == .invalid) }
    }
}

@Suite struct `Several signals` {
    private func reading(using generator: inout Generator) -> SignalReading {
        let (one, two) = (
            UInt32.random(in: 0..<16, using: &generator),
            UInt32.random(in: 0..<16, using: &generator)
        )
        return switch Int.random(in: 0..<6, using: &generator) {
        case 0: .silent
        case 1: .denied
        case 2: .invalid
        case 3: .granted(one)
        default: .says(granted: one, denied: two)
        }
    }

    /// Of four purposes those that are granted, and those that are refused.
    private func masks(_ reading: SignalReading) -> (granted: UInt32, refused: UInt32) {
        switch reading {
        case .silent: (0, 0)
        case .denied, .invalid: (0, 15)
        case .granted(let mask): (mask, 15 & ~mask)
        case .mixed(let granted, let denied): (granted, denied)
        }
    }

    @Test func `combining is a meet: in any order, and a refusal always stays`() {
        var generator = Generator()
        for _ in 0..<2000 {
            let (one, two, three) = (
                reading(using: &generator), reading(using: &generator), reading(using: &generator)
            )
            let note: Comment = "seed \(generator.seed): \(one) \(two) \(three)"
            let both = one.combined(with: two)
            #expect(both == two.combined(with: one), note)
            #expect(one.combined(with: one) == one, note)
            #expect(
                both.combined(with: three) == one.combined(with: two.combined(with: three)), note)
            let (granted, refused) = masks(both)
            #expect(granted & refused == 0, note)
            // What one of them refuses stays refused, and nothing is granted that neither grants.
            #expect((masks(one).refused | masks(two).refused) & ~refused == 0, note)
            #expect(granted & ~(masks(one).granted | masks(two).granted) == 0, note)
        }
    }

    @Test func `the strictest stands, in whatever order they come`() {
        let readings: [SignalReading] = [
            .silent, .granted(3), .granted(1), .granted(0), .denied, .invalid,
        ]
        for left in readings {
            for right in readings {
                let both = left.combined(with: right)
                #expect(both == right.combined(with: left))
                if left == .silent { #expect(both == right) }
                if left == .denied { #expect(both == .denied) }
                if left == .invalid, right != .denied { #expect(both == .invalid) }
            }
        }
        #expect(SignalReading.granted(3).combined(with: .granted(1)) == .granted(1))
        #expect(SignalReading.granted(2).combined(with: .granted(1)) == .granted(0))
    }
}

@Suite struct `Form fields` {
    private func fields(_ text: String, _ form: FormFields.Form) -> [String] {
        let bytes = Array(text.utf8)
        var walk = FormFields(0..<bytes.count, form: form)
        var found: [String] = []
        while let field = walk.next(in: bytes.span) {
            let name = String(decoding: bytes[field.name], as: UTF8.self)
            found.append(name + "|" + String(decoding: bytes[field.value], as: UTF8.self))
        }
        return found
    }

    @Test func `queries are cut at ampersands`() {
        #expect(fields("a=1&b=&c&&=d&e=f=g", .query) == ["a|1", "b|", "c|", "|d", "e|f=g"])
        #expect(fields("", .query) == [])
        #expect(fields("&&", .query) == [])
    }

    @Test func `cookies are cut at semicolons and lose blanks around them`() {
        #expect(fields("a=1; b = 2 ;c=;  ; d", .cookie) == ["a|1", "b | 2", "c|", "d|"])
        #expect(fields(" =", .cookie) == ["|"])
    }

    @Test func `names are found through their escapes`() {
        let names = NameList(["consent", "a b", "gdpr_consent", "gdpr_consents", ""])
        let cases: [(String, Int?)] = [
            ("consent", 0), ("%63onsent", 0), ("a+b", 1), ("a%20b", 1), ("gdpr_consent", 2),
            ("gdpr_consen%74", 2), ("gdpr_consents", 3), ("gdpr%5Fconsents", 3), ("", 4),
            ("consen", nil), ("consents", nil), ("Consent", nil), ("%6", nil), ("consent%", nil),
            ("gdpr_con", nil), ("gdpr_consenu", nil), ("a b", 1), ("a++b", nil),
        ]
        for (text, index) in cases {
            // What stands around a name is none of it.
            for (before, after) in [("", ""), ("x&", "=granted&consent=1")] {
                let bytes = Array((before + text + after).utf8)
                let start = before.utf8.count
                let name = EncodedName(
                    start..<start + text.utf8.count, form: .query, in: bytes.span)
                #expect(names.index(of: name, in: bytes.span) == index, "`\(text)`")
            }
        }
    }

    @Test func `a cookie's name has no escapes`() {
        let names = NameList(["consent", "a+b"])
        for (text, index) in [("consent", 0), ("a+b", 1), ("%63onsent", nil), ("a b", nil)] {
            let bytes = Array(text.utf8)
            let name = EncodedName(0..<bytes.count, form: .cookie, in: bytes.span)
            #expect(names.index(of: name, in: bytes.span) == index, "`\(text)`")
        }
    }

    @Test func `values are decoded at once as byte by byte, up to the limit`() {
        var generator = Generator()
        let alphabet = Array("ab%%++0F2g%41%zz".utf8)
        for _ in 0..<3000 {
            let count = Int.random(in: 0...40, using: &generator)
            let bytes = (0..<count).map { _ in alphabet.randomElement(using: &generator)! }
            let start = Int.random(in: 0...count, using: &generator)
            let end = Int.random(in: start...count, using: &generator)
            let limit = Int.random(in: 0...20, using: &generator)
            for form in [FormFields.Form.query, .cookie] {
                var slow = FormDecoder(start..<end, form: form)
                var expected: [UInt8] = []
                while expected.count < limit, let byte = slow.next(in: bytes.span) {
                    expected.append(byte)
                }
                var fast = FormDecoder(start..<end, form: form)
                var room = [UInt8](repeating: 0, count: limit + 8)
                let written = room.withUnsafeMutableBufferPointer {
                    fast.decode(bytes.span, into: $0.baseAddress!, limit: limit)
                }
                #expect(
                    Array(room[..<written]) == expected,
                    "\(bytes) \(start)..<\(end), seed \(generator.seed)")
                #expect(fast.isMalformed == slow.isMalformed)
            }
        }
    }
}
