import Bytes
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
    private static let longFiles = [
        "Sources/CordonEdge/EdgeLoop.swift":
            "accepting, reading, committing, answering and draining share one loop's state",
        "Sources/CordonEdge/HitTransform.swift":
            "one pass from a request to a record, in the order of the record's fields",
    ]

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

    /// Where one of `texts` stands in `pages`, as `path:line`, when `isMeant` the line up to there.
    private func places(
        of texts: [String], in pages: [Page], where isMeant: (Substring) -> Bool = { _ in true }
    ) -> [String] {
        let patterns = PatternSet(texts.map { Array($0.utf8) })
        return pages.flatMap { path, text in
            let bytes = Array(text.utf8)
            var found: [String] = []
            patterns.forEachMatch(in: bytes.span) { offset, _ in
                let before = bytes[..<offset]
                let start = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
                let line = String(decoding: bytes[start..<offset], as: UTF8.self)
                if isMeant(line[...]) {
                    found.append("\(path):\(before.count { $0 == 0x0A } + 1)")
                }
            }
            return found
        }
    }

    /// What people wrote, without recorded outputs and made inputs.
    private var written: [Page] {
        texts.filter { !$0.path.contains("/Golden/") && !$0.path.contains("/Fixtures/") }
    }

    @Test func `no work is left as a note in the code`() {
        // Put together so that this file does not hold them.
        let notes = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"]
        let found = places(of: notes, in: texts.filter { !$0.path.hasPrefix("Docs") })
        #expect(found == [])
    }

    @Test func `the product prints through the console only`() {
        let sources = texts.filter {
            $0.path.hasPrefix("Sources/") && $0.path.hasSuffix(".swift")
                // A file may have a function of that name of its own.
                && !$0.text.contains("func print(")
        }
        let calls = ["print(", "debugPrint(", "dump(", "NSLog("]
        let found = places(of: calls, in: sources) { line in
            guard let last = line.last else { return true }
            return !line.contains("//") && !last.isLetter && !last.isNumber && !"._`".contains(last)
        }
        #expect(found == [])
    }

    @Test func `no path of one machine and no host of a package registry is named`() {
        let names = [
            "/wo" + "rk/", "/ro" + "ot/", "/tmp/wh" + "l", "py" + "pi.org", "python" + "hosted",
            "deb." + "debian.org",
        ]
        let found = places(of: names, in: texts)
        #expect(found == [])
    }

    @Test func `lines end clean`() {
        let found = places(of: [" \n", "\t\n", "\r\n"], in: written)
        #expect(found == [])
        for (path, text) in written {
            #expect(text.isEmpty || text.hasSuffix("\n"), "\(path) ends without a line end")
        }
    }

    @Test func `a file is not longer than one reads at a sitting`() {
        for (path, text) in texts where path.hasSuffix(".swift") {
            let count = text.utf8.count { $0 == 0x0A }
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
