import TestSupport
import Testing

@testable import AccessLogs

/// What a reader found, as texts.
struct Found: Equatable {
    var microseconds: Int64 = 0
    var isGet = true
    var texts: [String: String] = [:]
    var forwardedFor: [String] = []
    var isChainIncomplete = false
    var showsCookies = false
    var showsPreferences = false

    init(_ reader: LogReader) {
        let entry = reader.entry
        microseconds = entry.microseconds
        isGet = entry.isGet
        showsCookies = entry.showsCookies
        showsPreferences = entry.showsPreferences
        for (name, range) in [
            ("address", entry.address), ("path", entry.path), ("query", entry.query),
            ("host", entry.host), ("referer", entry.referer), ("agent", entry.userAgent),
            ("language", entry.acceptLanguage), ("cookie", entry.cookie),
            ("gpc", entry.globalPrivacyControl), ("dnt", entry.doNotTrack),
        ] {
            guard let range = range.range else { continue }
            let text = reader.text
            texts[name] = String(decoding: range.map { text[$0] }, as: UTF8.self)
        }
        let chain = (0..<entry.forwardedFor.count).compactMap { entry.forwardedFor[$0].range }
        let text = reader.text
        for range in chain {
            forwardedFor.append(String(decoding: range.map { text[$0] }, as: UTF8.self))
        }
        isChainIncomplete = entry.forwardedFor.isIncomplete
    }
}

extension LogReader {
    func read(_ line: String) -> Outcome { read(Array(line.utf8).span) }

    /// What the line holds; fails the test when it is refused.
    func found(_ line: String) throws -> Found {
        try #require(read(line) == .entry, "\(read(line))")
        return Found(self)
    }
}

@Suite struct `Real-time logs` {
    /// A line of all 40 columns.
    static func line(_ values: [String: String] = [:]) -> String {
        let defaults = [
            "timestamp": "1573840000.123", "c-ip": "192.0.2.183", "cs-method": "GET",
            "cs-host": "d111111abcdef8.cloudfront.net",
            "cs-uri-stem": "/pixel.gif?event=view&url=https%3A%2F%2Fa.example%2Fp",
            "cs-uri-query": "event=view&url=https%3A%2F%2Fa.example%2Fp",
            "x-host-header": "d222222abcdef8.cloudfront.net", "sc-status": "200",
            "cs-user-agent": "Mozilla/5.0%20(X11;%20Linux%20x86_64;%20rv:132.0)%20Firefox/132.0",
            "cs-referer": "https://a.example/p", "cs-cookie": "-",
            "cs-headers": "Host:a.example%0ASec-GPC:1%0AAccept-Language:de-DE,de;q=0.9%0A",
        ]
        return LogField.realTimeNames.map { values[$0] ?? defaults[$0] ?? "-" }
            .joined(separator: "\t")
    }

    @Test func `there are 40 columns, and each is a field of its own`() {
        #expect(LogField.realTimeNames.count == 40)
        #expect(Set(LogField.realTimeNames).count == 40)
        #expect(LogField.standardNames.count == 33)
    }

    @Test func `a line of all columns is read`() throws {
        let found = try LogReader(.cloudFrontRealTime).found(Self.line())
        #expect(found.microseconds == 1_573_840_000_123_000)
        #expect(
            found.texts == [
                "address": "192.0.2.183", "path": "/pixel.gif",
                "query": "event=view&url=https%3A%2F%2Fa.example%2Fp",
                "host": "d111111abcdef8.cloudfront.net", "referer": "https://a.example/p",
                "agent": "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Firefox/132.0",
                "gpc": "1", "language": "de-DE,de;q=0.9",
            ])
        #expect(found.showsCookies && found.showsPreferences)
    }

    @Test func `any selection of columns in any order gives what it holds`() throws {
        var random = Generator()
        let needed = ["timestamp", "c-ip", "cs-method", "cs-uri-stem"]
        let whole = Dictionary(
            uniqueKeysWithValues: zip(
                LogField.realTimeNames, Self.line().split(separator: "\t").map(String.init)))
        for _ in 0..<200 {
            let more = LogField.realTimeNames.filter { !needed.contains($0) }
                .filter { _ in random.chance(0.4) }
            let columns = (needed + more).shuffled(using: &random)
            let reader = LogReader(.cloudFrontRealTime, columns: columns)
            let found = try reader.found(columns.map { whole[$0]! }.joined(separator: "\t"))
            #expect(found.microseconds == 1_573_840_000_123_000, "seed \(random.seed)")
            #expect(found.texts["query"] == "event=view&url=https%3A%2F%2Fa.example%2Fp")
            let agent = columns.contains("cs-user-agent")
            #expect((found.texts["agent"] != nil) == agent, "seed \(random.seed)")
            #expect(found.showsPreferences == columns.contains("cs-headers"))
        }
    }

    @Test(arguments: [
        ("1573840000", 1_573_840_000_000_000), ("1573840000.5", 1_573_840_000_500_000),
        ("1573840000123", 1_573_840_000_123_000), ("2019-11-15T17:46:40Z", 1_573_840_000_000_000),
        ("2019-11-15T17:46:40.123Z", 1_573_840_000_123_000),
        ("2019-11-15T18:46:40+01:00", 1_573_840_000_000_000),
    ]) func `times are seconds, milliseconds or ISO 8601`(_ text: String, _ wanted: Int64) throws {
        let found = try LogReader(.cloudFrontRealTime).found(Self.line(["timestamp": text]))
        #expect(found.microseconds == wanted)
    }

    @Test(arguments: [
        ("yesterday", LogRefusal.time), ("2019-11-15T17:46:40", .time), ("12.34.56", .time),
        ("2019-02-30T00:00:00Z", .time), ("-5", .time), ("99999999999999999999", .time),
        ("-", .missing), ("", .missing),
    ]) func `what is no time is refused`(_ text: String, _ wanted: LogRefusal) {
        #expect(
            LogReader(.cloudFrontRealTime).read(Self.line(["timestamp": text])) == .refused(wanted))
    }

    @Test func `too few and too many columns are refused`() {
        let reader = LogReader(.cloudFrontRealTime)
        #expect(reader.read(Self.line() + "\t-") == .refused(.fieldCount))
        #expect(reader.read("1573840000.123\t192.0.2.183") == .refused(.fieldCount))
        #expect(reader.read("hello") == .refused(.fieldCount))
        #expect(reader.read("") == .nothing)
    }

    @Test func `bytes that no request can have had are refused`() {
        let reader = LogReader(.cloudFrontRealTime)
        for values in [
            ["cs-uri-stem": "/pixel.gif", "cs-uri-query": "a=\u{1}"],
            ["cs-uri-stem": "/pixel gif"], ["cs-uri-query": "a=é"],
            ["cs-user-agent": "a%00b"], ["cs-cookie": "a=%0Db"],
        ] {
            #expect(reader.read(Self.line(values)) == .refused(.encoding), "\(values)")
        }
    }

    @Test func `a percent sign that the log escaped is one again, others stay`() throws {
        let reader = LogReader(.cloudFrontRealTime)
        for (logged, wanted) in [
            // Escaped by the log: nothing but %25 and bytes that it escapes itself.
            (
                "url=https%253A%252F%252Fa.example%252Fp&x=%7Ea",
                "url=https%3A%2F%2Fa.example%2Fp&x=%7Ea"
            ),
            // As the request had it.
            ("url=https%3A%2F%2Fa.example%2Fp%2540q", "url=https%3A%2F%2Fa.example%2Fp%2540q"),
            ("a=100%", "a=100%"), ("a=%zz%25", "a=%zz%25"), ("a=b", "a=b"),
        ] {
            let found = try reader.found(Self.line(["cs-uri-query": logged]))
            #expect(found.texts["query"] == wanted)
        }
    }

    @Test func `a user agent that was escaped twice is read like one escaped once`() throws {
        let reader = LogReader(.cloudFrontRealTime)
        for logged in ["Mozilla/5.0%20(X11;%20Linux)", "Mozilla/5.0%2520(X11;%2520Linux)"] {
            let found = try reader.found(Self.line(["cs-user-agent": logged]))
            #expect(found.texts["agent"] == "Mozilla/5.0 (X11; Linux)")
        }
    }

    @Test func `what was cut to 800 bytes shows neither cookies nor preferences`() throws {
        let reader = LogReader(.cloudFrontRealTime)
        let long = String(repeating: "x", count: 800)
        var found = try reader.found(Self.line(["cs-cookie": "a=\(long)", "cs-headers": "-"]))
        #expect(!found.showsCookies && !found.showsPreferences)
        found = try reader.found(Self.line(["cs-headers": "Sec-GPC:1%0AAccept:\(long)"]))
        #expect(!found.showsPreferences)
        #expect(found.texts["gpc"] == "1")
        found = try reader.found(Self.line(["cs-headers": "-", "cs-cookie": "consent=granted"]))
        #expect(found.showsCookies && !found.showsPreferences)
    }

    @Test func `a forwarding chain is all lines of the headers, and not whole when they are cut`()
        throws
    {
        let reader = LogReader(.cloudFrontRealTime)
        let chain = "X-Forwarded-For:1.1.1.1%0AX-Forwarded-For:2.2.2.2%0A"
        var found = try reader.found(Self.line(["cs-headers": chain]))
        #expect(found.forwardedFor == ["1.1.1.1", "2.2.2.2"] && !found.isChainIncomplete)
        let long = String(repeating: "x", count: 800)
        found = try reader.found(Self.line(["cs-headers": chain + "Accept:" + long]))
        #expect(found.forwardedFor == ["1.1.1.1", "2.2.2.2"] && found.isChainIncomplete)
        // A column of its own counts before.
        found = try reader.found(
            Self.line(["cs-headers": chain + "Accept:" + long, "x-forwarded-for": "3.3.3.3"]))
        #expect(found.forwardedFor == ["3.3.3.3"] && !found.isChainIncomplete)
        found = try reader.found(Self.line(["x-forwarded-for": "1.1.1.1," + long]))
        #expect(found.isChainIncomplete)
    }

    @Test func `a preference that stands twice is unclear`() throws {
        let reader = LogReader(.cloudFrontRealTime)
        _ = try reader.found(Self.line(["cs-headers": "DNT:1%0ADNT:0%0A"]))
        #expect(reader.entry.repeatsConsentHeader)
    }
}

@Suite struct `Standard logs` {
    private static let line =
        "2019-12-04\t21:02:31\tLAX1\t392\t192.0.2.100\tGET\td111111abcdef8.cloudfront.net"
        + "\t/pixel.gif\t200\t-\tMozilla/5.0%20(Windows%20NT%2010.0)\tevent=view\tconsent=granted"
        + "\tHit\tSOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==\tpixel.example.com"
        + "\thttps\t23\t0.001\t-\tTLSv1.2\tECDHE-RSA-AES128-GCM-SHA256\tHit\tHTTP/2.0\t-\t-\t11040"
        + "\t0.001\tHit\ttext/html\t78\t-\t-"

    private static let header = "#Fields: " + LogField.standardNames.joined(separator: " ")

    @Test func `the header names the columns`() throws {
        let reader = LogReader(.cloudFrontStandard)
        #expect(reader.read(Self.line) == .refused(.syntax))
        #expect(reader.read("#Version: 1.0") == .nothing)
        #expect(reader.read(Self.header) == .nothing)
        let found = try reader.found(Self.line)
        #expect(found.microseconds == 1_575_493_351_000_000)
        #expect(
            found.texts == [
                "address": "192.0.2.100", "path": "/pixel.gif", "query": "event=view",
                "host": "pixel.example.com", "agent": "Mozilla/5.0 (Windows NT 10.0)",
                "cookie": "consent=granted",
            ])
        #expect(found.showsCookies && !found.showsPreferences)
    }

    @Test func `version 2 selects columns, and counts milliseconds`() throws {
        let reader = LogReader(.cloudFrontStandard)
        _ = reader.read("#Fields: timestamp(ms) c-ip asn cs-method cs-uri-stem cs(User-Agent)")
        let found = try reader.found("1731620046814\t2001:db8::1\t16509\tGET\t/hit\tcurl/8.5.0")
        #expect(found.microseconds == 1_731_620_046_814_000)
        #expect(found.texts == ["address": "2001:db8::1", "path": "/hit", "agent": "curl/8.5.0"])
        #expect(!found.showsCookies)
    }

    @Test func `version 2 as JSON is read by the same names`() throws {
        let reader = LogReader(.cloudFrontStandard)
        let found = try reader.found(
            #"{"date":"2024-11-14","time":"21:34:06","c-ip":"192.0.2.7","cs-method":"GET","#
                + #""cs-uri-stem":"/1x1.png","cs-uri-query":"event=a&u=%2561","cs(Referer)":"-","#
                + #""cs(User-Agent)":"Mozilla/5.0%20(X11)","x-host-header":"p.example","#
                + #""cs(Host)":"d1.cloudfront.net","cs(Cookie)":"-","sc-status":"200"}"#)
        #expect(found.microseconds == 1_731_620_046_000_000)
        #expect(
            found.texts == [
                "address": "192.0.2.7", "path": "/1x1.png", "query": "event=a&u=%61",
                "agent": "Mozilla/5.0 (X11)", "host": "p.example",
            ])
        #expect(found.showsCookies)
    }
}

@Suite struct `The combined format` {
    @Test func `a line of Apache's documentation is read`() throws {
        let found = try LogReader(.combined).found(
            #"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif?a=b HTTP/1.0" "#
                + #"200 2326 "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)""#
        )
        #expect(found.microseconds == 971_211_336_000_000)
        #expect(
            found.texts == [
                "address": "127.0.0.1", "path": "/apache_pb.gif", "query": "a=b",
                "referer": "http://www.example.com/start.html",
                "agent": "Mozilla/4.08 [en] (Win98; I ;Nav)",
            ])
        #expect(!found.showsCookies && !found.showsPreferences)
    }

    @Test func `escapes of both servers are taken out, and more columns may follow`() throws {
        let found = try LogReader(.combined).found(
            #"2001:db8::1 - - [01/Jan/2026:00:00:00 +0000] "GET /hit HTTP/1.1" 204 0 "-" "#
                + #""a \"b\" \x22c\x22 \\" "10.0.0.1""#)
        #expect(found.texts["agent"] == #"a "b" "c" \"#)
        #expect(found.texts["referer"] == nil)
    }

    @Test(arguments: [
        ("", LogReader.Outcome.nothing), ("hello", .refused(.syntax)),
        (
            #"1.2.3.4 - - [01/Foo/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-""#,
            .refused(.time)
        ),
        (#"1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "\x16\x03" 400 0 "-" "-""#, .refused(.syntax)),
        (
            #"1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1"#,
            .refused(.fieldCount)
        ),
        (
            #"1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "open"#,
            .refused(.syntax)
        ),
        (
            #"1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET /\x01 HTTP/1.1" 200 1 "-" "-""#,
            .refused(.encoding)
        ),
        (
            #"1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "a\nb""#,
            .refused(.encoding)
        ),
    ]) func `other lines are refused by reason`(_ line: String, _ wanted: LogReader.Outcome) {
        #expect(LogReader(.combined).read(line) == wanted)
    }
}

@Suite struct `JSON lines` {
    @Test func `keys of the table and headers by name are read`() throws {
        let found = try LogReader(.ndjson).found(
            #" {"time":"2026-01-02T03:04:05.5Z","client_ip":"192.0.2.1","method":"GET","#
                + #""url":"/pixel.gif?a=e%2B","status":200,"nested":{"x":[1,{"y":"}"}]},"#
                + #""headers":{"User-Agent":"Mozilla \"5\"","Sec-GPC":1,"Cookie":["a=b"],"X":null}} "#
        )
        #expect(found.microseconds == 1_767_323_045_500_000)
        #expect(
            found.texts == [
                "address": "192.0.2.1", "path": "/pixel.gif", "query": "a=e%2B",
                "agent": #"Mozilla "5""#, "gpc": "1", "cookie": "a=b",
            ])
        #expect(found.showsCookies && found.showsPreferences)
    }

    @Test func `keys of their own show a preference only when all are there`() throws {
        let start = #"{"ts":1767323045,"ip":"::1","method":"GET","path":"/hit""#
        var found = try LogReader(.ndjson).found(start + "}")
        #expect(!found.showsCookies && !found.showsPreferences)
        found = try LogReader(.ndjson).found(start + #","cookie":null,"sec_gpc":null,"dnt":"1"}"#)
        #expect(found.showsCookies && found.showsPreferences)
        #expect(found.texts["dnt"] == "1")
    }

    @Test(arguments: [
        (#""x_forwarded_for":"1.1.1.1""#, ["1.1.1.1"], false),
        (
            #""x_forwarded_for":"1.1.1.1","http_x_forwarded_for":"2.2.2.2""#,
            ["1.1.1.1", "2.2.2.2"], false
        ),
        (#""x_forwarded_for":"1.1.1.1","x_forwarded_for":"-""#, ["1.1.1.1"], true),
        (#""x_forwarded_for":"1.1.1.1","x_forwarded_for":null"#, ["1.1.1.1"], true),
        (#""x_forwarded_for":"-""#, [String](), false),
        (
            #""headers":{"X-Forwarded-For":["1.1.1.1","2.2.2.2"],"x-forwarded-for":"3.3.3.3"}"#,
            ["1.1.1.1", "2.2.2.2", "3.3.3.3"], false
        ),
        (
            #""headers":{"X-Forwarded-For":"1.1.1.1"},"x_forwarded_for":"2.2.2.2""#, ["2.2.2.2"],
            false
        ),
    ]) func `a forwarding chain keeps its headers in their order`(
        _ members: String, _ chain: [String], _ isIncomplete: Bool
    ) throws {
        let found = try LogReader(.ndjson).found(
            #"{"ts":1767323045,"ip":"::1","method":"GET","path":"/hit",\#(members)}"#)
        #expect(found.forwardedFor == chain)
        #expect(found.isChainIncomplete == isIncomplete)
    }

    @Test func `a chain of more headers than are remembered says so`() throws {
        for count in [8, 9] {
            let list = (0..<count).map { "\"1.1.1.\($0)\"" }.joined(separator: ",")
            let found = try LogReader(.ndjson).found(
                #"{"ts":1767323045,"ip":"::1","method":"GET","path":"/hit","headers":{"X-Forwarded-For":[\#(list)]}}"#
            )
            #expect(found.forwardedFor.count == 8)
            #expect(found.isChainIncomplete == (count > 8))
        }
    }

    @Test func `escapes are those of RFC 8259`() throws {
        let found = try LogReader(.ndjson).found(
            "{\"ts\":1,\"ip\":\"::1\",\"method\":\"GET\",\"path\":\"\\/a\",\"user_agent\":"
                + "\"\\u00e9\\ud83d\\ude00\\u0041\"}")
        #expect(found.texts["path"] == "/a")
        #expect(found.texts["agent"] == "é😀A")
    }

    @Test(arguments: [
        "[]", "{", "{}x", #"{"a":1"#, #"{"a"}"#, #"{"a":}"#, #"{"path":"\x"}"#,
        #"{"path":"\ud800"}"#,
        #"{"a":1,}"#, "nope", #"{"a":"b"#,
        "{\"a\":" + String(repeating: "[", count: 100) + String(repeating: "]", count: 100) + "}",
    ]) func `what is no object is refused`(_ line: String) {
        #expect(LogReader(.ndjson).read(line) == .refused(.syntax))
    }

    @Test func `an object without what every hit needs is refused`() {
        let reader = LogReader(.ndjson)
        #expect(reader.read("{}") == .refused(.missing))
        #expect(reader.read(#"{"ts":1,"method":"GET","path":"/hit"}"#) == .refused(.missing))
        #expect(reader.read(#"{"ts":"x","ip":"::1","method":"GET","path":"/"}"#) == .refused(.time))
        #expect(
            reader.read("{\"ts\":1,\"ip\":\"::1\",\"method\":\"GET\",\"path\":\"/\\u0001\"}")
                == .refused(.encoding))
    }
}

@Suite struct `Any bytes` {
    @Test func `no line makes a reader fail`() {
        var random = Generator()
        let seeds = [
            `Real-time logs`.line(),
            #"1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET /a?b HTTP/1.1" 200 1 "-" "x\x41""#,
            #"{"ts":1,"ip":"::1","method":"GET","path":"/","headers":{"Cookie":["a","b"]},"x":[{}]}"#,
            "#Fields: date time c-ip cs-method cs-uri-stem",
            "2019-12-04\t21:02:31\t192.0.2.100\tGET\t/pixel.gif",
        ].map { Array($0.utf8) }
        let readers = LogFormat.allCases.map { LogReader($0) }
        for _ in 0..<4000 {
            var line = seeds.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 0...6, using: &random) where !line.isEmpty {
                let index = line.indices.randomElement(using: &random)!
                switch Int.random(in: 0...2, using: &random) {
                case 0: line[index] = UInt8.random(in: .min ... .max, using: &random)
                case 1: line.remove(at: index)
                default: line.insert(contentsOf: line[index...].prefix(9), at: index)
                }
            }
            for reader in readers where reader.read(line.span) == .entry {
                let text = reader.text
                for range in [reader.entry.path, reader.entry.query, reader.entry.userAgent] {
                    #expect((range.range?.upperBound ?? 0) <= text.count, "seed \(random.seed)")
                }
            }
        }
    }
}

@Suite struct `Bytes in blocks` {
    /// A text with escapes, blanks and quotes anywhere.
    private static func text(_ random: inout Generator, upTo count: Int) -> [UInt8] {
        let units = Array(#"abcXYZ019 %%"\+;=é"#.utf8)
        return (0..<Int.random(in: 0...count, using: &random)).map { _ in
            units.randomElement(using: &random)!
        }
    }

    /// As CloudFront writes it: what may not stand in a log, and some of the rest.
    private static func escaped(_ text: [UInt8], _ random: inout Generator) -> String {
        text.reduce(into: "") { result, byte in
            let isPlain = byte > 0x20 && byte < 0x7F && byte != 0x25 && byte != 0x22
            if isPlain, Int.random(in: 0..<8, using: &random) > 0 {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: Bool.random(using: &random))
                result += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
    }

    @Test func `a value is what was escaped, however long it is and wherever its escapes stand`()
        throws
    {
        var random = Generator()
        let reader = LogReader(.cloudFrontRealTime)
        for _ in 0..<300 {
            let cookie = Self.text(&random, upTo: 240)
            let language = Self.text(&random, upTo: 150)
            let filler = Self.text(&random, upTo: 100)
            let headers = [
                ("X-Filler", filler), ("accept-language", language), ("X-Filler", filler),
                ("SEC-gpc", Array("1".utf8)), ("DNT", Array("0".utf8)),
            ].map { "\($0):\(Self.escaped($1, &random))" }
            let line = `Real-time logs`.line([
                "cs-cookie": Self.escaped(cookie, &random),
                "cs-headers": headers.joined(
                    separator: Bool.random(using: &random) ? "%0A" : "%0a"),
            ])
            let found = try reader.found(line)
            let trimmed = String(decoding: language, as: UTF8.self)
                .trimmingPrefix(while: { $0 == " " })
            #expect(
                found.texts["language"]
                    == String(trimmed.reversed().drop { $0 == " " }.reversed()),
                "seed \(random.seed)")
            // An empty column, and one of the log's own mark, are absent.
            if !cookie.isEmpty {
                #expect(
                    found.texts["cookie"] == String(decoding: cookie, as: UTF8.self),
                    "seed \(random.seed)")
            }
            #expect(found.texts["gpc"] == "1" && found.texts["dnt"] == "0", "seed \(random.seed)")
        }
    }

    @Test func `a string is what was quoted, however long it is and wherever its escapes stand`()
        throws
    {
        var random = Generator()
        let json = LogReader(.ndjson)
        let combined = LogReader(.combined)
        for _ in 0..<300 {
            let text = String(decoding: Self.text(&random, upTo: 240), as: UTF8.self)
            let quoted = text.reduce(into: "") { result, character in
                switch character {
                case "\"", "\\": result += "\\\(character)"
                case "é" where Bool.random(using: &random): result += #"\u00e9"#
                case "a" where Bool.random(using: &random): result += #"\u0061"#
                default: result.append(character)
                }
            }
            let object = try json.found(
                #"{"x":"\#(quoted)","ts":1,"ip":"::1","method":"GET","path":"/hit","#
                    + #""y":[{"\#(quoted)":"\#(quoted)"}],"user_agent":"z\#(quoted)"}"#)
            #expect(object.texts["agent"] == "z" + text, "seed \(random.seed)")
            let plain = quoted.replacing(#"\u00e9"#, with: "é").replacing(#"\u0061"#, with: "a")
            let line = try combined.found(
                #"1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET /a HTTP/1.1" 200 1 "#
                    + #""z\#(plain)" "z\#(plain)" more"#)
            #expect(line.texts["agent"] == "z" + text, "seed \(random.seed)")
            #expect(line.texts["referer"] == "z" + text, "seed \(random.seed)")
        }
    }

    @Test func `lines that are kept stay what they are while others are read`() throws {
        let reader = LogReader(.cloudFrontRealTime)
        var kept: [(entry: LogEntry, agent: String)] = []
        for number in 0..<20 {
            let agent = "agent \(number)" + String(repeating: "x", count: number * 10)
            let line = `Real-time logs`.line([
                "cs-user-agent": agent.replacing(" ", with: "%20")
            ])
            #expect(reader.hasRoom)
            #expect(reader.read(Array(line.utf8).span, keeping: true) == .entry)
            kept.append((reader.entry, agent))
        }
        let text = reader.text
        for (entry, agent) in kept {
            let range = try #require(entry.userAgent.range)
            #expect(String(decoding: range.map { text[$0] }, as: UTF8.self) == agent)
        }
        reader.forget()
        #expect(reader.text.count == 0)
    }

    @Test func `there is no room behind many long lines`() {
        let reader = LogReader(.combined)
        let line = [UInt8](repeating: 0x78, count: AccessLogs.lineBytesMax)
        #expect(reader.read(line.span, keeping: true) == .refused(.syntax))
        #expect(reader.hasRoom)
        #expect(reader.read(Array("x".utf8).span, keeping: true) == .refused(.syntax))
        #expect(!reader.hasRoom)
    }

    @Test func `of a field that a header names twice the last value counts`() throws {
        let reader = LogReader(.cloudFrontStandard)
        _ = reader.read("#Fields: date time c-ip cs-method cs-uri-stem c-ip cs-uri-stem")
        let found = try reader.found("2019-12-04\t21:02:31\t1.1.1.1\tGET\t/a\t2.2.2.2\t-")
        #expect(found.texts["address"] == "2.2.2.2" && found.texts["path"] == "/a")
        // What the last header has named is forgotten with it.
        _ = reader.read("#Fields: date time cs-method cs-uri-stem")
        #expect(reader.read("2019-12-04\t21:02:31\tGET\t/a") == .refused(.missing))
    }

    @Test func `a column counts before the same header, which may still refuse the line`() throws {
        let reader = LogReader(.cloudFrontRealTime)
        let same = try reader.found(
            `Real-time logs`.line([
                "cs-cookie": "a=b;%20c=d", "cs-headers": "Cookie:a=b;%20c=d%0ACookie:x%0A",
            ]))
        #expect(same.texts["cookie"] == "a=b; c=d")
        #expect(reader.entry.repeatsConsentHeader)
        let other = `Real-time logs`.line([
            "cs-cookie": "a=b", "cs-headers": "Cookie:a=%01%0A",
        ])
        #expect(reader.read(other) == .refused(.encoding))
    }
}
