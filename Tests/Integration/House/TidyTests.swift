import Foundation
import Testing

/// What no file of the project may hold.
@Suite struct Tidy {
    private static let folders = [
        "Sources", "Tests", "Benchmarks", "scripts", "Docs", "Policies", "Regions", ".ci",
    ]
    private static let pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "Package.swift"]

    /// Longest file without a reason below.
    private static let linesMax = 600
    /// Longer files, with what keeps them whole.
    private static let longFiles: [String: String] = [:]

    private let texts: [(path: String, text: String)]

    init() throws {
        let paths =
            Self.folders.flatMap { Repository.files($0) }
            + Self.pages.filter {
                FileManager.default.fileExists(
                    atPath: Repository.root.appendingPathComponent($0).path)
            }
        // Fixtures may be bytes that are no text.
        texts = paths.compactMap { path in (try? Repository.text(path)).map { (path, $0) } }
    }

    private typealias Page = (path: String, text: String)

    /// The lines of `pages` for which `found` is true, as `path:number`.
    private func lines(of pages: [Page], where found: (Substring) -> Bool) -> [String] {
        pages.flatMap { path, text in
            text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
                .filter { found($0.element) }.map { "\(path):\($0.offset + 1)" }
        }
    }

    /// What people wrote, without recorded outputs and made inputs.
    private var written: [Page] {
        texts.filter { !$0.path.contains("/Golden/") && !$0.path.contains("/Fixtures/") }
    }

    @Test func `no work is left as a note in the code`() {
        // Put together so that this file does not hold them.
        let notes = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"]
        let found = lines(of: texts.filter { !$0.path.hasPrefix("Docs") }) { line in
            notes.contains { line.contains($0) }
        }
        #expect(found == [])
    }

    @Test func `the product prints through the console only`() {
        let sources = texts.filter {
            $0.path.hasPrefix("Sources/") && $0.path.hasSuffix(".swift")
                // A file may have a function of that name of its own.
                && !$0.text.contains("func print(")
        }
        let found = lines(of: sources) { line in
            guard !line.contains("///"), !line.contains("// ") else { return false }
            return line.contains(#/(?:^|[^\w.`])(?:print|debugPrint|dump|NSLog)\(/#)
        }
        #expect(found == [])
    }

    @Test func `no path of one machine and no host of a package registry is named`() {
        let places = [
            "/wo" + "rk/", "/ro" + "ot/", "/tmp/wh" + "l", "py" + "pi.org", "python" + "hosted",
            "deb." + "debian.org",
        ]
        let found = lines(of: texts) { line in places.contains { line.contains($0) } }
        #expect(found == [])
    }

    @Test func `lines end clean`() {
        let found = lines(of: written) { line in
            line.last == " " || line.last == "\t" || line.last == "\r"
        }
        #expect(found == [])
        for (path, text) in written {
            #expect(text.isEmpty || text.hasSuffix("\n"), "\(path) ends without a line end")
        }
    }

    @Test func `a file is not longer than one reads at a sitting`() {
        for (path, text) in texts where path.hasSuffix(".swift") {
            let count = text.split(separator: "\n", omittingEmptySubsequences: false).count
            #expect(
                count <= Self.linesMax || Self.longFiles[path] != nil, "\(path) has \(count) lines")
        }
        for path in Self.longFiles.keys {
            #expect(texts.contains { $0.path == path }, "\(path) is gone and still excused")
        }
    }

    @Test func `every target says what it is for`() throws {
        let folders = Set(Repository.swiftFiles("Sources").map { $0.split(separator: "/")[1] })
            .subtracting(["cordon"])
        for folder in folders {
            let files = Repository.swiftFiles("Sources/\(folder)")
            // A paragraph, not a mere line, somewhere in the target.
            let described = try files.contains {
                try Repository.text($0).contains(#/(?m)^\/\/\/? .+\n\/\/\/? .+\n/#)
            }
            #expect(described, "Sources/\(folder) says nowhere what it is for")
        }
    }
}
