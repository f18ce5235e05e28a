import CordonModel
import Foundation
import TestSupport
import Testing

@testable import CordonEdge

/// The script and the image in a real Chromium. Skipped, and shown as such, where none is installed (`scripts/setup --tests` does).
@Suite(
    .serialized,
    .enabled(if: Browser.path != nil, "no chromium: run scripts/setup --tests"))
struct `A page in a browser` {
    /// Keeps what the script sends as parameters, so that the tests see it.
    private static let policy = """
        policy: world
        title: For the tests
        source: none
        applies_to: { places: [world], sites: ["*"] }
        route: { region: eu-central, away: refuse }
        consent:
          signals: ["param:consent"]
          when_absent: granted
          purposes:
            audience-measurement:
          denied: count
        fields:
          page:     path
          referrer: host
          user_agent: family
          params:   { allow: [gdpr, gdpr_consent, gpp, gpp_sid, value] }
        retention: { hits: 30d }
        access:
          - { role: privacy-officer, purposes: [data-subject-request], from: [EEA], see: rows }

        """

    /// One frame: what stands before the script, and its attributes.
    private struct Frame {
        var name: String
        var before = ""
        var attributes = ""
    }

    private static func managers(
        status: String = "tcloaded", later: String = "", string: String = "CPfake"
    ) -> String {
        """
        window.__tcfapi = (command, version, callback) => {
          if (command != "addEventListener") return callback(null, false);
          setTimeout(() => callback({ gdprApplies: true, tcString: "\(string)", eventStatus: "\(status)" }, true), 20);
          \(later)
        };
        window.__gpp = (command, callback) => {
          const ready = { gppString: "DBABMA~CPfake", applicableSections: [2, 6], signalStatus: "ready" };
          if (command == "ping") callback({ gppString: "", signalStatus: "not ready" }, true);
          if (command == "addEventListener")
            setTimeout(() => callback({ eventName: "signalStatus", data: "ready", pingData: ready }, true), 30);
        };
        """
    }

    private static let frames = [
        Frame(name: "plain"),
        Frame(name: "managers", before: managers()),
        // Another TCF call, as managers of TCF 2.0 had it, and no GPP.
        Frame(
            name: "getter",
            before: """
                window.__tcfapi = (command, version, callback) => {
                  if (command == "getTCData")
                    callback({ gdprApplies: false, eventStatus: "tcloaded" }, true);
                };
                """),
        // The visitor is asked, and answers.
        Frame(
            name: "asked",
            before: managers(
                status: "cmpuishown",
                later: """
                    setTimeout(() => callback(
                      { gdprApplies: true, tcString: "CPchosen", eventStatus: "useractioncomplete" }, true), 60);
                    """), attributes: "data-wait=20000"),
        Frame(
            name: "silent", before: "window.__tcfapi = window.__gpp = () => {};",
            attributes: "data-wait=50"),
        // Nothing is waited for: the visitor's answer comes too late.
        Frame(
            name: "hasty",
            before: managers(
                status: "cmpuishown",
                later: """
                    setTimeout(() => callback(
                      { gdprApplies: true, tcString: "CPlate", eventStatus: "useractioncomplete" }, true), 300);
                    """), attributes: "data-wait=0"),
        Frame(
            name: "gpc",
            before: """
                Object.defineProperty(navigator, "globalPrivacyControl", { value: true });
                """, attributes: "data-consent=granted"),
        Frame(name: "fetch", before: "navigator.sendBeacon = () => false;"),
        Frame(
            name: "image",
            before: """
                navigator.sendBeacon = undefined;
                window.fetch = () => Promise.reject(new TypeError("blocked"));
                """),
        // Never shown.
        Frame(
            name: "never",
            before: "Object.defineProperty(document, \"prerendering\", { value: true });"),
        // Shown after a while.
        Frame(
            name: "shown",
            before: """
                let prerendering = true;
                Object.defineProperty(document, "prerendering", { get: () => prerendering });
                setTimeout(() => {
                  prerendering = false;
                  document.dispatchEvent(new Event("prerenderingchange"));
                }, 100);
                """),
        // The page's own events, one of them from before the script was there.
        Frame(
            name: "none",
            before: """
                window.cordon = window.cordon || function () { (cordon.q = cordon.q || []).push(arguments) };
                cordon("early", { value: 1 });
                addEventListener("load", () => cordon("late", { value: "2 €", currency: null }));
                """),
    ]

    @Test func `sends by the ways it has what it knows, once, when the page is shown`()
        async throws
    {
        let fixture = try EdgeFixture(loops: 2, policies: ["world.yaml": Self.policy])
        let origin = "http://127.0.0.1:\(fixture.port())"
        let script = "\(origin)/cordon.js"
        for frame in Self.frames {
            try page(
                fixture, frame.name,
                """
                <script>\(frame.before)</script>
                <script async src="\(script)" data-site="shop.example" data-event="\(frame.name)"
                  \(frame.attributes)></script>
                <noscript><img src="\(origin)/pixel.gif?event=noscript"></noscript>
                """)
        }
        let names = Self.frames.map { "<iframe src=\"\($0.name).html\"></iframe>" }.joined()
        let main = try page(fixture, "main", names)
        let browser = try Browser(page: main, directory: fixture.directory)
        defer { browser.end() }
        // Each frame's first event but `never`'s and `none`'s, and the two of `none`.
        let expected = UInt64(Self.frames.count)
        while fixture.collector.counters().received < expected {
            try #require(browser.isRunning, "\(browser.log)")
            try await Task.sleep(for: .milliseconds(20))
        }
        browser.end()
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(
            records.map(\.event).sorted()
                == (Self.frames.map(\.name).filter { $0 != "never" && $0 != "none" }
                + ["early", "late"]).sorted())
        func parameters(_ event: String) -> [String: String] {
            let found = records.first { $0.event == event }?.parameters ?? []
            return Dictionary(uniqueKeysWithValues: found.map { ($0.key, $0.value) })
        }
        #expect(records.allSatisfy { $0.site == "shop.example" })
        #expect(parameters("plain") == [:])
        #expect(
            parameters("managers") == [
                "gdpr": "1", "gdpr_consent": "CPfake", "gpp": "DBABMA~CPfake", "gpp_sid": "2,6",
            ])
        #expect(parameters("getter") == ["gdpr": "0"])
        #expect(parameters("asked")["gdpr_consent"] == "CPchosen")
        #expect(parameters("silent") == ["gdpr_consent": "?", "gpp": "?"])
        #expect(parameters("hasty")["gdpr_consent"] == "?")
        #expect(parameters("early") == ["value": "1"])
        #expect(parameters("late") == ["value": "2 €"])
        let consents = records.map { ($0.event, $0.consent) }
        #expect(consents.allSatisfy { $0.1 == ($0.0 == "gpc" ? .denied : .absent) })
        let counters = fixture.collector.counters()
        #expect(counters.total(.duplicate) == 0)
    }

    @Test func `works by the image alone when scripts are off`() async throws {
        let fixture = try EdgeFixture(loops: 1, policies: ["world.yaml": Self.policy])
        let origin = "http://127.0.0.1:\(fixture.port())"
        let page = try page(
            fixture, "plain",
            """
            <script async src="\(origin)/cordon.js" data-site="shop.example"></script>
            <noscript><img src="\(origin)/pixel.gif?site=shop.example&amp;event=noscript" alt=""></noscript>
            """)
        let browser = try Browser(
            page: page, directory: fixture.directory, ["--blink-settings=scriptEnabled=false"])
        defer { browser.end() }
        while fixture.collector.counters().received < 1 {
            try #require(browser.isRunning, "\(browser.log)")
            try await Task.sleep(for: .milliseconds(20))
        }
        browser.end()
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.map(\.event) == ["noscript"])
        #expect(records.first?.site == "shop.example")
    }

    @discardableResult
    private func page(_ fixture: EdgeFixture, _ name: String, _ body: String) throws -> String {
        let path = fixture.directory.file("\(name).html")
        try "<!doctype html><meta charset=\"utf-8\"><title>\(name)</title>\n\(body)\n".write(
            toFile: path, atomically: false, encoding: .utf8)
        return path
    }
}

/// A headless Chromium that shows one page.
private final class Browser {
    static let path = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    private let process = Process()
    private let logPath: String

    init(page: String, directory: TemporaryDirectory, _ arguments: [String] = []) throws {
        logPath = directory.file("browser.log")
        try Data().write(to: URL(fileURLWithPath: logPath))
        process.executableURL = URL(fileURLWithPath: Self.path ?? "")
        // Port 0 keeps it open until it is ended.
        process.arguments =
            [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0",
                "--user-data-dir=\(directory.file("browser"))",
            ] + arguments + [URL(fileURLWithPath: page).absoluteString]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: logPath))
        try process.run()
    }

    var isRunning: Bool { process.isRunning }

    var log: String {
        String(decoding: FileManager.default.contents(atPath: logPath) ?? Data(), as: UTF8.self)
    }

    func end() {
        guard process.isRunning else { return }
        process.terminate()
        process.waitUntilExit()
    }
}
