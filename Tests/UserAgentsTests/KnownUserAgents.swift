extension KnownUserAgent {
    /// User agents of browsers, applications, libraries and robots, old and new.
    static let all: [KnownUserAgent] = [
        KnownUserAgent(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
                + "Gecko) Chrome/126.0.0.0 Safari/537.36",
            "Chrome", "Windows", "Other"),
        KnownUserAgent(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 "
                + "Firefox/127.0",
            "Firefox", "Windows", "Other"),
        KnownUserAgent(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
                + "Gecko) Chrome/125.0.0.0 Safari/537.36 Edg/125.0.2535.92",
            "Edge", "Windows", "Other"),
        KnownUserAgent(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, "
                + "like Gecko) Version/17.5 Safari/605.1.15",
            "Safari", "Mac OS X", "Mac"),
        KnownUserAgent(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 "
                + "Firefox/127.0",
            "Firefox", "Mac OS X", "Mac"),
        KnownUserAgent(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                + "Chrome/126.0.0.0 Safari/537.36",
            "Chrome", "Linux", "Other"),
        KnownUserAgent(
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
            "Firefox", "Ubuntu", "Other"),
        KnownUserAgent(
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like "
                + "Gecko) Chrome/126.0.0.0 Safari/537.36",
            "Chrome", "Chrome OS", "Other"),
        KnownUserAgent(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 "
                + "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "Mobile Safari", "iOS", "iPhone"),
        KnownUserAgent(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
                + "(KHTML, like Gecko) CriOS/126.0.6478.35 Mobile/15E148 Safari/604.1",
            "Chrome Mobile iOS", "iOS", "iPhone"),
        KnownUserAgent(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 14_5 like Mac OS X) AppleWebKit/605.1.15 "
                + "(KHTML, like Gecko) FxiOS/127.0 Mobile/15E148 Safari/605.1.15",
            "Firefox iOS", "iOS", "iPhone"),
        KnownUserAgent(
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
                + "like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
            "Mobile Safari", "iOS", "iPad"),
        KnownUserAgent(
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
                + "Chrome/126.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile", "Android", "K"),
        KnownUserAgent(
            "Mozilla/5.0 (Linux; Android 13; SM-S918B) AppleWebKit/537.36 (KHTML, like "
                + "Gecko) Chrome/112.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile", "Android", "Samsung SM-S918B"),
        KnownUserAgent(
            "Mozilla/5.0 (Linux; Android 13; Pixel 7 Pro) AppleWebKit/537.36 (KHTML, like "
                + "Gecko) Chrome/112.0.0.0 Mobile Safari/537.36",
            "Chrome Mobile", "Android", "Pixel 7 Pro"),
        KnownUserAgent(
            "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
            "Firefox Mobile", "Android", "Generic Smartphone"),
        KnownUserAgent(
            "Mozilla/5.0 (Linux; Android 12; SAMSUNG SM-A515F) AppleWebKit/537.36 (KHTML, "
                + "like Gecko) SamsungBrowser/19.0 Chrome/102.0.5005.125 Mobile Safari/537.36",
            "Samsung Internet", "Android", "Samsung SM-A515F"),
        KnownUserAgent(
            "Mozilla/5.0 (Linux; U; Android 4.0.3; ko-kr; LG-L160L Build/IML74K) "
                + "AppleWebkit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30",
            "Android", "Android", "LG-L160L"),
        KnownUserAgent(
            "Mozilla/5.0 (Linux; Android 11; M2101K6G) AppleWebKit/537.36 (KHTML, like "
                + "Gecko) Chrome/96.0.4664.104 Mobile Safari/537.36",
            "Chrome Mobile", "Android", "M2101K6G"),
        KnownUserAgent(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
                + "Gecko) Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0",
            "Opera", "Windows", "Other"),
        KnownUserAgent(
            "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
            "IE", "Windows", "Other"),
        KnownUserAgent(
            "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)",
            "IE", "Windows", "Other"),
        KnownUserAgent(
            "Mozilla/5.0 (Windows NT 6.1; Win64; x64; rv:47.0) Gecko/20100101 Firefox/47.0",
            "Firefox", "Windows", "Other"),
        KnownUserAgent(
            "Opera/9.80 (Windows NT 6.1; U; en) Presto/2.12.388 Version/12.18",
            "Opera", "Windows", "Other"),
        KnownUserAgent(
            "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) "
                + "Silk/108.4.6 like Chrome/108.0.5359.220 Safari/537.36",
            "Amazon Silk", "Android", "Kindle"),
        KnownUserAgent(
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0) AppleWebKit/538.1 (KHTML, like Gecko) "
                + "Version/5.0 NativeTVAds Safari/538.1",
            "Safari", "Tizen", "Samsung SMART-TV"),
        KnownUserAgent(
            "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) "
                + "Chrome/79.0.3945.79 Safari/537.36 WebAppManager",
            "Chrome", "Web0S", "LG Web0S SmartTV"),
        KnownUserAgent(
            "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, "
                + "like Gecko) Version/13.0 Safari/605.1.15",
            "Safari", "Other", "PlayStation 5"),
        KnownUserAgent(
            "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/609.4 (KHTML, "
                + "like Gecko) NF/6.0.2.21.3 NintendoBrowser/5.1.0.22474",
            "Other", "Other", "Nintendo Switch"),
        KnownUserAgent(
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot", "Other", "Spider"),
        KnownUserAgent(
            "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 "
                + "(KHTML, like Gecko) Chrome/126.0.6478.61 Mobile Safari/537.36 (compatible; "
                + "Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot", "Android", "Spider"),
        KnownUserAgent(
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "bingbot", "Other", "Spider"),
        KnownUserAgent(
            "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
            "YandexBot", "Other", "Spider"),
        KnownUserAgent(
            "Mozilla/5.0 (compatible; Baiduspider/2.0; "
                + "+http://www.baidu.com/search/spider.html)",
            "Baiduspider", "Other", "Spider"),
        KnownUserAgent(
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "FacebookBot", "Other", "Spider"),
        KnownUserAgent(
            "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
            "AhrefsBot", "Other", "Spider"),
        KnownUserAgent(
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; "
                + "+https://openai.com/gptbot)",
            "GPTBot", "Other", "Spider"),
        KnownUserAgent(
            "Twitterbot/1.0",
            "Twitterbot", "Other", "Spider"),
        KnownUserAgent(
            "curl/8.5.0",
            "curl", "Other", "Other"),
        KnownUserAgent(
            "Wget/1.21.4",
            "Wget", "Other", "Other"),
        KnownUserAgent(
            "python-requests/2.31.0",
            "Python Requests", "Other", "Other"),
        KnownUserAgent(
            "Go-http-client/1.1",
            "Go-http-client", "Other", "Other"),
        KnownUserAgent(
            "okhttp/4.12.0",
            "okhttp", "Other", "Other"),
        KnownUserAgent(
            "Apache-HttpClient/4.5.14 (Java/17.0.9)",
            "Apache-HttpClient", "Other", "Other"),
        KnownUserAgent(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
                + "(KHTML, like Gecko) Mobile/15E148 "
                + "[FBAN/FBIOS;FBAV/465.0.0.41.104;FBBV/602060281;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/17.5;FBSS/3;FBID/phone;FBLC/de_DE;FBOP/5]",
            "Facebook", "iOS", "iPhone"),
        KnownUserAgent(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                + "HeadlessChrome/126.0.0.0 Safari/537.36",
            "HeadlessChrome", "Linux", "Other"),
    ]
}
