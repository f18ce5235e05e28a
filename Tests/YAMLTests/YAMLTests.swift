import TestSupport
import Testing

@testable import YAML

@Suite struct `YAML documents` {
    @Test func `every node knows where it begins`() throws {
        let root = try #require(YAMLDocument("a: 1\nb:\n  - x\n  - {ü: ä, c: 'd e'}\n").root)
        guard case .mapping(let entries) = root.content else {
            Issue.record("no mapping")
            return
        }
        #expect(entries.map(\.key) == ["a", "b"])
        #expect(entries[1].keyPosition == YAMLPosition(line: 2, column: 1))
        guard case .sequence(let items) = entries[1].value.content,
            case .mapping(let inner) = items[1].content
        else {
            Issue.record("no sequence")
            return
        }
        #expect(items[0].position == YAMLPosition(line: 3, column: 5))
        #expect(inner[0].value.position == YAMLPosition(line: 4, column: 9))
        #expect(inner[1].keyPosition == YAMLPosition(line: 4, column: 12))
        #expect(inner[1].value.content == .scalar("d e", isPlain: false))
    }

    @Test func `only an unquoted empty or null value is null`() throws {
        let root = try #require(YAMLDocument("[~, null, '', \"null\", x]").root)
        guard case .sequence(let items) = root.content else { return }
        #expect(items.map(\.isNull) == [true, true, false, false, false])
    }

    struct Mistake: CustomTestStringConvertible, Sendable {
        let text: String
        let problems: [String]
        var testDescription: String { problems.first ?? text }
    }

    @Test(arguments: [
        Mistake(text: "", problems: ["1:1: the file is empty"]),
        Mistake(text: "# only words\n", problems: ["1:1: the file is empty"]),
        Mistake(
            text: "a: 1\nb: 2\na: 3\n", problems: ["3:1: key `a` stands twice, first in line 1"]),
        Mistake(
            text: "a: &x 1\nb: *x\nc: !!str 2\n",
            problems: [
                "1:4: anchors are not supported", "2:4: aliases are not supported",
                "3:4: tags are not supported",
            ]),
        Mistake(
            text: "a: 1\n---\nb: 2\n", problems: ["2:1: expected one document, found a second"]),
        Mistake(text: "[a]: 1\n", problems: ["1:1: a key must be plain text"]),
        Mistake(text: "a: [1, 2\n", problems: ["2:1: did not find expected ',' or ']'"]),
        Mistake(
            text: "a:\n\t- b\n", problems: ["2:1: found character that cannot start any token"]),
    ])
    func `a mistake is named with its position`(_ mistake: Mistake) {
        let document = YAMLDocument(mistake.text)
        #expect(document.root == nil)
        #expect(
            document.problems.map { "\($0.position.line):\($0.position.column): \($0.text)" }
                == mistake.problems)
    }

    @Test func `bytes that are no UTF-8 are refused`() {
        let document = YAMLDocument(parsing: Array("a: ".utf8) + [0xC0, 0xAF])
        #expect(document.problems.map(\.text) == ["the file is not UTF-8"])
    }

    @Test func `nesting is bounded`() {
        let deepest = String(repeating: "[", count: YAMLDocument.depthMax)
        #expect(
            YAMLDocument(deepest + String(repeating: "]", count: YAMLDocument.depthMax)).root != nil
        )
        #expect(
            YAMLDocument("[" + deepest).problems.map(\.text) == ["nested deeper than 32 levels"])
    }

    @Test func `size is bounded`() {
        let bytes = [UInt8](repeating: 0x61, count: YAMLDocument.bytesMax)
        #expect(YAMLDocument(parsing: bytes).root != nil)
        #expect(
            YAMLDocument(parsing: bytes + [0x61]).problems.map(\.text)
                == ["the file has 1048577 bytes, at most 1048576 are read"])
    }

    @Test func `no input crashes the parser`() {
        var generator = Generator()
        let pieces = [
            "a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "'", "\"", "|", "&x ", "*x",
            "!t ", "#", "\t",
        ]
        for _ in 0..<2000 {
            let text = (0..<Int.random(in: 0..<40, using: &generator))
                .map { _ in pieces.randomElement(using: &generator)! }.joined()
            let document = YAMLDocument(text)
            #expect(
                (document.root == nil) == !document.problems.isEmpty,
                "seed \(generator.seed): \(text)")
        }
    }
}

extension YAMLDocument {
    fileprivate init(_ text: String) { self.init(parsing: Array(text.utf8)) }
}
