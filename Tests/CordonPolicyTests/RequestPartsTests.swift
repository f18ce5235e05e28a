import Testing

@testable import CordonPolicy

@Suite struct `The site of a hit` {
    private func site(_ url: String, _ headers: [(name: String, value: String)] = []) throws
        -> String?
    {
        let request = try SyntheticRequest(url: url, headers: headers)
        return request.parts.site(in: request.bytes.span).map {
            String(decoding: request.bytes[$0], as: UTF8.self)
        }
    }

    @Test func `is the parameter, else the referrer's host, else the host`() throws {
        let referer = (name: "Referer", value: "https://user@News.example:8443/a?b")
        #expect(
            try site("https://p.example/hit?site=www.shop.example", [referer]) == "www.shop.example"
        )
        #expect(try site("https://p.example/hit", [referer]) == "News.example")
        #expect(try site("https://p.example:8401/hit") == "p.example")
        #expect(try site("/hit") == nil)
    }

    @Test(arguments: [
        "", "a..b", ".a", "a%2Eb", "a b".replacing(" ", with: "+"), "a/b", "-:x", "[::1]",
    ])
    func `a parameter that is no host name is passed over`(_ value: String) throws {
        #expect(try site("https://p.example/hit?site=\(value)") == "p.example")
    }

    @Test func `the first of several parameters counts`() throws {
        #expect(try site("https://p.example/hit?site=a.example&site=b.example") == "a.example")
    }

    @Test func `a final dot and a port are cut`() throws {
        #expect(try site("https://p.example/hit?site=a.example.:80") == "a.example")
    }

    @Test func `length is bounded`() throws {
        let name = String(repeating: "a", count: RequestParts.hostBytesMax)
        #expect(try site("https://p.example/hit?site=\(name)") == name)
        #expect(try site("https://p.example/hit?site=a\(name)") == "p.example")
    }

    @Test(arguments: ["relative/path", "https:/x", "://x", "https://", "", "mailto:a@b"])
    func `a referrer without a host is passed over`(_ referer: String) throws {
        #expect(try site("https://p.example/hit", [("Referer", referer)]) == "p.example")
    }
}

@Suite struct `Site patterns` {
    private let classes = SiteClasses(
        ["example.org", "*.example.org", "*.shop.example.org", "b.example"].map { SitePattern($0)! }
    )

    private func pattern(_ host: String) -> String {
        let bytes = Array(host.utf8)
        let index = classes.index(of: bytes.span, 0..<bytes.count)
        return index == 0 ? "*" : classes.patterns[index - 1].text
    }

    @Test func `the closest pattern has the host, in either case`() {
        #expect(pattern("example.org") == "example.org")
        #expect(pattern("EXAMPLE.org") == "example.org")
        #expect(pattern("www.example.org") == "*.example.org")
        #expect(pattern("shop.example.org") == "*.example.org")
        #expect(pattern("a.b.Shop.example.org") == "*.shop.example.org")
        #expect(pattern("b.example") == "b.example")
        #expect(pattern("a.b.example") == "*")
        #expect(pattern("notexample.org") == "*")
        #expect(pattern("org") == "*")
    }

    @Test func `a thousand patterns are told apart`() {
        let many = SiteClasses((0..<1000).map { SitePattern("*.s\($0).example")! })
        for index in stride(from: 0, to: 1000, by: 7) {
            let host = Array("www.s\(index).example".utf8)
            #expect(many.index(of: host.span, 0..<host.count) == index + 1)
        }
    }
}
