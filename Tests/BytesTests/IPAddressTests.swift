import Bytes
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct `IP addresses` {
    @Test(arguments: [
        "0.0.0.0", "203.0.113.9", "255.255.255.255", "::", "::1", "2001:db8::8:800:200c:417a",
        "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1", "::ffff:0:1", "fe80::", "1:2:3:4:5:6:7:8",
    ])
    func `canonical text is parsed and written back`(_ text: String) throws {
        #expect(try #require(IPAddress(text)).text == text)
    }

    @Test(arguments: [
        ("::ffff:1.2.3.4", "::ffff:102:304"), ("0:0:0:0:0:0:0:1", "::1"), ("1::", "1::"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("2001:DB8::A", "2001:db8::a"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ])
    func `other spellings are normalised`(_ text: String, _ expected: String) throws {
        #expect(try #require(IPAddress(text)).text == expected)
    }

    @Test(arguments: [
        "", ".", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.",
        "1..2.3",
        "0x1.2.3.4", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::",
        "::1%eth0", "[::1]",
        "1:2:3:4:5:6:7:8::", "::1.2.3", "1.2.3.4::", "g::", "1:2:3:4:5:6:7:1.2.3.4", ":1::2", "1:",
    ])
    func `anything else is refused`(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func `random addresses agree with inet_ntop and inet_pton`() throws {
        var random = Generator()
        for _ in 0..<20_000 {
            var groups = (0..<8).map { _ in UInt16.random(in: .min ... .max, using: &random) }
            for index in groups.indices where random.chance(0.5) { groups[index] = 0 }
            groups[0] |= 0x2000
            let value = groups.reduce(UInt128(0)) { $0 << 16 | UInt128($1) }
            var network: [UInt8] = []
            network.append(bigEndian: value)
            var buffer = [CChar](repeating: 0, count: 64)
            _ = inet_ntop(AF_INET6, network, &buffer, 64)
            let text = String(
                decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            #expect(IPAddress(ipv6: value).text == text, "seed \(random.seed)")
            #expect(IPAddress(text) == IPAddress(ipv6: value), "seed \(random.seed)")
        }
    }

    @Test func `truncation keeps the first bits and a prefix contains what it covers`() throws {
        let address = try #require(IPAddress("203.0.113.77"))
        #expect(address.truncated(to: 24).text == "203.0.113.0")
        #expect(address.truncated(to: 0).text == "0.0.0.0")
        #expect(address.truncated(to: 99) == address)
        let six = try #require(IPAddress("2001:db8:1:2:3::4"))
        #expect(six.truncated(to: 48).text == "2001:db8:1::")
        #expect(IPPrefix(six, length: 48)?.text == "2001:db8:1::/48")
        #expect(try #require(IPPrefix("203.0.113.0/24")).contains(address))
        #expect(IPPrefix("203.0.113.1/24") == nil)
        #expect(IPPrefix("::ffff:127.0.0.0/104")?.unmapped.text == "127.0.0.0/8")
        #expect(IPPrefix("::ffff:0:0/96")?.unmapped.text == "0.0.0.0/0")
        #expect(IPPrefix("::ffff:0:0/95") == nil)
        #expect(IPPrefix("2001:db8::/104")?.unmapped.text == "2001:db8::/104")
        #expect(IPPrefix("10.0.0.0/8")?.unmapped.text == "10.0.0.0/8")
        #expect(IPPrefix("203.0.113.0/33") == nil)
        #expect(try #require(IPAddress("::ffff:203.0.113.77")).unmapped == address)
    }
}
