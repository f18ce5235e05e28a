import TestSupport
import Testing

@testable import YAML

@Suite struct `YAML layout` {
    private func laidOut(_ text: String, aligned: Set<String> = []) throws -> String {
        String(
            decoding: try YAMLLayout.format(Array(text.utf8), aligned: aligned), as: UTF8.self)
    }

    @Test func `blanks, breaks and indentation are put right`() throws {
        let text =
            "\n\na:   1\n\n\n\nb:\n      c: {x: 1,y:  [ 2,3 ]}\n      d:\n      - q\n      -   r"
        #expect(
            try laidOut(text) == "a: 1\n\nb:\n  c: { x: 1, y: [2, 3] }\n  d:\n    - q\n    - r\n")
    }

    @Test func `comments stay with what they speak of`() throws {
        let text = """
            # head

            a: 1     # behind
            #before b
            b:   # behind a key
                # first
                - x   # one
                # last of b
            # before c
            c: { d: 1, # within
                 e: 2 } # closing
            # tail
            """
        #expect(
            try laidOut(text) == """
                # head

                a: 1  # behind
                #before b
                b:  # behind a key
                  # first
                  - x  # one
                  # last of b
                # before c
                c:
                  d: 1  # within
                  e: 2
                  # closing
                # tail

                """)
    }

    @Test func `a flow collection that is too long becomes a block, its comment before it`() throws
    {
        let long = String(repeating: "x", count: 60)
        let text = "- {a: \(long), b: [\(long)], c: \(long)} # why\n- []\n"
        #expect(
            try laidOut(text) == "# why\n- a: \(long)\n  b: [\(long)]\n  c: \(long)\n- []\n")
    }

    @Test func `a table has its values in one column`() throws {
        #expect(
            try laidOut("t:\n  a: 1\n  long: {b: 2}\nu:\n  a: 1\n", aligned: ["t"])
                == "t:\n  a:    1\n  long: { b: 2 }\nu:\n  a: 1\n")
    }

    @Test func `scalars keep their quotes, and one line holds each`() throws {
        let text = """
            a: "NO"
            b: 'it''s'
            c: two
              words
            d: "two
              more"
            e: |  # note
              x
              y
            f: { k: , l: }
            g:
            h: ~
            """
        #expect(
            try laidOut(text) == """
                a: "NO"
                b: 'it''s'
                c: two words
                d: "two more"
                # note
                e: "x\\ny\\n"
                f: { k: , l: }
                g:
                h: ~

                """)
    }

    @Test func `marks and other breaks are left behind, directives and mistakes are refused`()
        throws
    {
        #expect(try laidOut("\u{FEFF}---\r\na: 1\r\n...\r\n") == "a: 1\n")
        #expect(throws: YAMLLayout.Failure.self) { try laidOut("%YAML 1.1\n---\na: 1\n") }
        #expect {
            try laidOut("a: 1\nb: &x 2\n")
        } throws: { error in
            (error as? YAMLLayout.Failure)?.problems.map(\.position.line) == [2]
        }
    }

    /// Documents of all shapes: every layout reads as its source does, keeps the comments, and is its own layout.
    @Test func `a layout says the same and is its own layout`() throws {
        var generator = Generator()
        let seed = generator.seed
        for round in 0..<600 {
            var writer = RandomDocument(generator)
            let text = writer.text()
            generator = writer.generator
            let bytes = Array(text.utf8)
            guard let root = YAMLDocument(parsing: bytes).root else { continue }
            let once: [UInt8]
            do throws(YAMLLayout.Failure) {
                once = try YAMLLayout.format(bytes, aligned: ["k1"])
            } catch {
                Issue.record("seed \(seed) round \(round): \(error.problems)\n\(text)")
                return
            }
            let shown = String(decoding: once, as: UTF8.self)
            let again = YAMLDocument(parsing: once).root
            #expect(
                again.map(Self.words) == Self.words(root),
                "seed \(seed) round \(round)\n\(text)\n→\n\(shown)")
            #expect(
                Self.comments(once) == Self.comments(bytes), "seed \(seed)\n\(text)\n→\n\(shown)")
            let twice = try YAMLLayout.format(once, aligned: ["k1"])
            #expect(
                twice == once,
                "seed \(seed) round \(round)\n\(text)\n→\n\(shown)\n→\n\(String(decoding: twice, as: UTF8.self))"
            )
            if twice != once { return }
        }
    }

    private static func comments(_ bytes: [UInt8]) -> [String] {
        SourceTree(parsing: SourceText(bytes)).comments.map(\.text).sorted()
    }

    private static func words(_ node: YAMLNode) -> String {
        switch node.content {
        case .scalar(let text, let isPlain): isPlain ? "<\(text)>" : "'\(text)'"
        case .sequence(let items): "[" + items.map(words).joined(separator: ",") + "]"
        case .mapping(let entries):
            "{" + entries.map { "\($0.key)=\(words($0.value))" }.joined(separator: ",") + "}"
        }
    }
}

/// Writes YAML as untidily as people do.
private struct RandomDocument {
    var generator: Generator
    private var keys = 0
    private var comments = 0

    init(_ generator: Generator) { self.generator = generator }

    mutating func text() -> String {
        var lines: [String] = []
        noise(0, &lines)
        block(Int.random(in: 0...3, using: &generator), 0, &lines)
        noise(0, &lines)
        return lines.joined(separator: "\n") + (generator.chance(0.8) ? "\n" : "")
    }

    private mutating func noise(_ indent: Int, _ lines: inout [String]) {
        while generator.chance(0.2) {
            let blanks = String(
                repeating: " ", count: max(0, indent + Int.random(in: -2...2, using: &generator)))
            lines.append(generator.chance(0.5) ? "" : blanks + comment())
        }
    }

    private mutating func comment() -> String {
        comments += 1
        return (generator.chance(0.3) ? "#" : "# ") + "note: [\(comments)] \"q\""
    }

    private mutating func tail() -> String {
        generator.chance(0.15) ? "   " + comment() : generator.chance(0.1) ? "  " : ""
    }

    private mutating func block(_ depth: Int, _ indent: Int, _ lines: inout [String]) {
        let isMapping = generator.chance(0.6)
        let blanks = String(repeating: " ", count: indent)
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            noise(indent, &lines)
            let lead: String
            if isMapping {
                keys += 1
                lead = blanks + (generator.chance(0.1) ? "\"k\(keys)\":" : "k\(keys):")
            } else {
                lead = blanks + "-"
            }
            let gap = String(repeating: " ", count: Int.random(in: 1...3, using: &generator))
            if depth > 0, generator.chance(0.5) {
                if !isMapping, generator.chance(0.6) {
                    var inner: [String] = []
                    block(depth - 1, indent + 1 + gap.count, &inner)
                    // What stands before the first entry moves out of the way of the dash.
                    let first = inner.firstIndex {
                        !$0.allSatisfy { $0 == " " } && !$0.drop { $0 == " " }.hasPrefix("#")
                    }!
                    lines += inner[..<first]
                    lines.append(lead + gap + inner[first].drop { $0 == " " })
                    lines += inner[(first + 1)...]
                } else {
                    lines.append(lead + tail())
                    block(depth - 1, indent + Int.random(in: 1...4, using: &generator), &lines)
                }
            } else {
                lines.append(lead + gap + value(depth, indent + 1) + tail())
            }
        }
        noise(indent, &lines)
    }

    private mutating func value(_ depth: Int, _ indent: Int) -> String {
        switch Int.random(in: 0...9, using: &generator) {
        case 0: return ""
        case 1: return "\"a b # c\""
        case 2: return "'it''s'"
        case 3: return "1.5"
        case 4: return "a#b c"
        case 5: return "one\n\(String(repeating: " ", count: indent + 1))two words"
        case 6, 7: return flow(depth + 1, indent)
        case 8: return String(repeating: "long ", count: 40) + "end"
        default: return "null"
        }
    }

    private mutating func flow(_ depth: Int, _ indent: Int) -> String {
        let isMapping = generator.chance(0.5)
        var text = isMapping ? "{" : "["
        let count = Int.random(in: 0...4, using: &generator)
        for index in 0..<count {
            text += space(indent)
            if isMapping {
                keys += 1
                text += "k\(keys): "
            }
            switch Int.random(in: 0...4, using: &generator) {
            case 0 where depth > 0: text += flow(depth - 1, indent)
            case 1: text += "\"x, y\""
            case 2: text += String(repeating: "w", count: Int.random(in: 1...80, using: &generator))
            case 3 where isMapping: text += " "
            default: text += "v"
            }
            text += space(indent)
            if index + 1 < count || generator.chance(0.1) { text += "," }
        }
        return text + space(indent) + (isMapping ? "}" : "]")
    }

    private mutating func space(_ indent: Int) -> String {
        let blanks = String(
            repeating: " ", count: indent + Int.random(in: 1...3, using: &generator))
        if generator.chance(0.06) { return " " + comment() + "\n" + blanks }
        if generator.chance(0.1) { return "\n" + blanks }
        return generator.chance(0.5) ? " " : ""
    }
}
