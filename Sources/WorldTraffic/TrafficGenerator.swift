package import Bytes

/// One hit to send, with the raw values in it that must never be found on disk.
package struct SyntheticHit: Sendable {
    /// The whole HTTP request.
    package let request: [UInt8]
    package let address: IPAddress
    package let userID: String?
    package let userAgent: String
    /// The hit's number, sent as the parameter `value`.
    package let number: Int
}

/// Makes hits with mixed consent, pages, people and browsers from one seed.
package struct TrafficGenerator: Sendable {
    private let pool: AddressPool
    private var random: SplitMix
    private var number: Int
    /// How many different people send a user id.
    private let userCount: Int

    package init(pool: AddressPool, seed: UInt64, firstNumber: Int = 0, userCount: Int = 20_000) {
        self.pool = pool
        random = SplitMix(seed: seed)
        number = firstNumber
        self.userCount = userCount
    }

    /// The id of person `index`: an address of e-mail, as careless pages send them.
    package static func userID(_ index: Int) -> String { "person\(index)@mail.example" }

    package mutating func next() -> SyntheticHit {
        let address = pool.draw(using: &random)
        let userAgent = Self.userAgents[random.below(Self.userAgents.count)]
        let userID = random.percent(40) ? Self.userID(random.below(userCount)) : nil
        defer { number += 1 }
        return SyntheticHit(
            request: request(address: address, userAgent: userAgent, userID: userID),
            address: address, userID: userID, userAgent: userAgent, number: number)
    }

    private mutating func request(
        address: IPAddress, userAgent: String, userID: String?
    ) -> [UInt8] {
        let site = Self.sites[random.below(Self.sites.count)]
        let page = Self.pages[random.below(Self.pages.count)]
        var target = "/pixel.gif?site=\(site)&event=\(Self.events[random.below(Self.events.count)])"
        target += "&url=https%3A%2F%2F\(site)\(page)&value=\(number)"
        if random.percent(30) { target += "&ref=https%3A%2F%2Fsearch.example%2Ffind%3Fq%3Dprivate" }
        if let userID {
            target += "&userid=\(userID.split(separator: "@").joined(separator: "%40"))"
        }
        var headers = ""
        switch random.below(100) {
        case ..<50: target += "&consent=granted"
        case ..<60: target += "&consent=audience-measurement"
        case ..<72: target += "&consent=denied"
        case ..<76: headers += "Cookie: theme=dark; consent=granted\r\n"
        case ..<82: headers += "Sec-GPC: 1\r\n"
        case ..<86: headers += "DNT: 1\r\n"
        case ..<88: target += "&consent=%FF%00perhaps"
        case ..<92:
            target += "&consent=granted"
            headers += "Sec-GPC: 1\r\n"
        default: break
        }
        let language = Self.languages[random.below(Self.languages.count)]
        let head =
            "GET \(target) HTTP/1.1\r\nHost: pixel.example\r\nUser-Agent: \(userAgent)\r\n"
            + "Accept-Language: \(language)\r\nReferer: https://\(site)/\r\n"
            + "X-Forwarded-For: \(address.text)\r\n\(headers)\r\n"
        return Array(head.utf8)
    }

    private static let sites = [
        "shop.example", "news.example", "blog.example.org", "travel.example.net", "www.example.com",
    ]
    private static let events = ["view", "view", "view", "click", "purchase", "signup"]
    private static let pages = [
        "%2F", "%2Fpricing%3Futm_source%3Dletter%26utm_medium%3Demail%26token%3Dsecret",
        "%2Farticles%2F2026%2Fautumn", "%2Fcart%3Femail%3Dsomebody%2540mail.example",
        "%2Fabout%23team",
    ]
    private static let languages = [
        "de-DE,de;q=0.9", "en-US,en;q=0.8", "hi-IN,en;q=0.6", "ja", "pt-BR", "*",
    ]
    private static let userAgents = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
        "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (Linux; Android 13; SM-G991B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
        "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10",
        "curl/8.5.0",
    ]
}
