import Bytes
import TestSupport
import Testing

@Suite struct `Text forms of bytes` {
    /// Vectors of RFC 4648 section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func `base64 follows RFC 4648`(_ plain: String, _ text: String) {
        #expect(Base64.encode(Array(plain.utf8)) == text)
        #expect(Base64.decode(text) == Array(plain.utf8))
    }

    @Test(arguments: ["Zg", "Zg=", "Zh==", "Z===", "Zm9v\n", "Zm9-", "===="])
    func `base64 that no encoder writes is refused`(_ text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test func `random bytes survive every text form`() {
        var random = Generator()
        for count in 0..<200 {
            let bytes = random.bytes(count: count)
            #expect(Base64.decode(Base64.encode(bytes)) == bytes, "seed \(random.seed)")
            #expect(
                Base64.decode(Base64.encode(bytes, alphabet: .url), alphabet: .url) == bytes,
                "seed \(random.seed)")
            #expect(Bytes.bytes(hex: Bytes.hex(bytes)) == bytes, "seed \(random.seed)")
        }
        #expect(Bytes.bytes(hex: "0g") == nil)
        #expect(Bytes.bytes(hex: "012") == nil)
    }

    @Test func `HTML text begins no mark-up, whatever is joined to its characters`() {
        #expect(
            Bytes.htmlText("<a b=\"c\" d='e'>&") == "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;")
        // A combining mark makes one character with what stands before it.
        #expect(Bytes.htmlText("<\u{338}é") == "&lt;\u{338}é")
    }
}
