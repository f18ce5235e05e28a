import PostgresWire
import TestSupport
import Testing

@Suite struct `The text of statements` {
    private func texts(_ text: String) throws -> [String] {
        try SQLText.statements(in: text).map(\.text)
    }

    @Test func `is cut at semicolons that end something, and at no other`() throws {
        #expect(try texts("SELECT 1; SELECT 2 ;;") == ["SELECT 1", "SELECT 2"])
        #expect(try texts("  -- nothing; at all\n /* ; /* ; */ ; */ ") == [])
        #expect(try texts("SELECT ';' || \"a;b\" || $$;$$ || $x$;$$;$x$; b").count == 2)
        #expect(try texts(#"SELECT E'\';' ; c"#).count == 2)
        #expect(try texts(#"SELECT '\' ; c"#).count == 2)
        #expect(try texts("SELECT 'it''s; one'") == ["SELECT 'it''s; one'"])
    }

    @Test func `falls into words, names, texts, numbers, parameters and signs`() throws {
        let statement = try #require(
            try SQLText.statements(in: #"Select "A""b", 'c''d' = $2, 1.5e3 < tä_$1 -- end"#).first)
        #expect(
            statement.tokens == [
                .word("select"), .name("A\"b"), .symbol(","), .text("c'd"), .symbol("="),
                .parameter(2), .symbol(","), .number("1.5e3"), .symbol("<"), .word("tä_$1"),
            ])
        #expect(statement.text(from: 5).hasPrefix("$2, 1.5e3"))
        #expect(
            statement.replacing([0..<1: "VALUES", 3..<6: "x"])
                == #"VALUES "A""b", x, 1.5e3 < tä_$1"#)
    }

    @Test func `that has loose ends is refused, saying which`() {
        for (text, what) in [
            ("SELECT 'a", "text in quotes"), ("SELECT \"a", "name in quotes"),
            ("/* /* */", "comment"), ("SELECT $$ a $", "text between dollars"),
            (#"SELECT E'\'"#, "text in quotes"),
        ] {
            #expect(throws: SQLText.Unterminated.self, "\(what)") {
                try SQLText.statements(in: text)
            }
            do { _ = try SQLText.statements(in: text) } catch { #expect(error.what == what) }
        }
    }

    @Test func `loses nothing, whatever it is made of`() throws {
        var random = Generator()
        let parts = [
            "SELECT", " ", "'a;'", "\"b;\"", ";", "$1", "--x\n", "/*;*/", "$$;$$", "é", "1.2",
        ]
        for _ in 0..<500 {
            let text = (0..<20).map { _ in parts.randomElement(using: &random)! }.joined()
            guard let statements = try? SQLText.statements(in: text) else { continue }
            for statement in statements {
                // What was cut once is cut the same again.
                let again = try SQLText.statements(in: statement.text)
                #expect(
                    again.map(\.tokens) == [statement.tokens], "seed \(random.seed): \(text)")
            }
        }
    }
}
