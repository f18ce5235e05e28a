internal import PostgresWire

/// What a statement asks for: rows, which the gate decides on, or something of the session, which is answered here.
enum PostgresCommand: Equatable {
    case read(SQLText)
    case begin, commit, rollback
    case savepoint(String)
    case release(String)
    case rollbackTo(String)
    case set(name: String, value: String?)
    case resetAll
    case show(String)
    case showAll
    case prepare(name: String, types: [String], SQLText)
    case execute(name: String, arguments: [Argument])
    /// Nil is all of them.
    case deallocate(String?)
    case declare(name: String, isBinary: Bool, isHeld: Bool, SQLText)
    case fetch(name: String, count: Int32, moves: Bool)
    case closeCursor(String?)
    case discard(String)
    /// Something that asks for nothing that there is here, with its tag.
    case nothing(String)

    /// A value of EXECUTE: a text or a number as it stands, nil for NULL.
    struct Argument: Equatable {
        let value: String?
        let isText: Bool
    }

    /// The statement is none that the session knows, though it begins like one.
    struct Malformed: Error, Equatable {
        let text: String
    }

    init(_ statement: SQLText) throws(Malformed) {
        var words = Words(statement)
        guard let first = words.word() else {
            self = .read(statement)
            return
        }
        switch first {
        case "begin": self = .begin
        case "start": self = .begin
        case "commit", "end": self = .commit
        case "rollback", "abort": self = try Self.readRollback(&words)
        case "savepoint": self = .savepoint(try words.name())
        case "release":
            words.skip("savepoint")
            self = .release(try words.name())
        case "set": self = try Self.readSet(&words)
        case "reset":
            if words.skip("all") {
                self = .resetAll
            } else {
                self = .set(name: try words.setting(), value: nil)
            }
        case "show":
            if words.skip("all") { self = .showAll } else { self = .show(try words.setting()) }
        case "prepare": self = try Self.readPrepare(&words, statement)
        case "execute": self = try Self.readExecute(&words)
        case "deallocate":
            words.skip("prepare")
            self = .deallocate(words.skip("all") ? nil : try words.name())
        case "declare": self = try Self.readDeclare(&words, statement)
        case "fetch", "move": self = try Self.readFetch(&words, moves: first == "move")
        case "close": self = .closeCursor(words.skip("all") ? nil : try words.name())
        case "discard": self = .discard(words.word()?.uppercased() ?? "ALL")
        case "unlisten": self = .nothing("UNLISTEN")
        default: self = .read(statement)
        }
    }

    private static func readRollback(_ words: inout Words) throws(Malformed) -> PostgresCommand {
        if !words.skip("work") { words.skip("transaction") }
        guard words.skip("to") else { return .rollback }
        words.skip("savepoint")
        return .rollbackTo(try words.name())
    }

    private static func readSet(_ words: inout Words) throws(Malformed) -> PostgresCommand {
        if !words.skip("session") { words.skip("local") }
        if words.skip("transaction") || words.skip("characteristics") {
            return .nothing("SET")
        }
        if words.skip("time") {
            words.skip("zone")
            return .set(name: "timezone", value: words.rest())
        }
        if words.skip("names") { return .set(name: "client_encoding", value: words.rest()) }
        let name = try words.setting()
        guard words.skip("to") || words.skip(symbol: "=") else {
            throw Malformed(text: "expected `TO` or `=` after `SET \(name)`")
        }
        let value = words.rest()
        return .set(name: name, value: value.lowercased() == "default" ? nil : value)
    }

    private static func readPrepare(
        _ words: inout Words, _ statement: SQLText
    ) throws(Malformed) -> PostgresCommand {
        let name = try words.name()
        var types: [String] = []
        if words.skip(symbol: "(") {
            var type: [String] = []
            while true {
                guard let token = words.next() else {
                    throw Malformed(text: "the types of `PREPARE` have no end")
                }
                switch token {
                case .symbol(","):
                    types.append(type.joined(separator: " "))
                    type = []
                    continue
                case .symbol(")"): break
                case .word(let word), .name(let word), .number(let word):
                    type.append(word)
                    continue
                default: continue
                }
                types.append(type.joined(separator: " "))
                break
            }
        }
        guard words.skip("as"), let inner = words.statement() else {
            throw Malformed(text: "expected `AS` and a statement after `PREPARE \(name)`")
        }
        return .prepare(name: name, types: types, inner)
    }

    private static func readExecute(_ words: inout Words) throws(Malformed) -> PostgresCommand {
        let name = try words.name()
        var arguments: [Argument] = []
        guard words.skip(symbol: "(") else { return .execute(name: name, arguments: []) }
        if words.skip(symbol: ")") { return .execute(name: name, arguments: []) }
        while true {
            var sign = ""
            if words.skip(symbol: "-") { sign = "-" } else { words.skip(symbol: "+") }
            switch words.next() {
            case .text(let text)? where sign.isEmpty:
                arguments.append(Argument(value: text, isText: true))
            case .number(let digits)?:
                arguments.append(Argument(value: sign + digits, isText: false))
            case .word("null")? where sign.isEmpty:
                arguments.append(Argument(value: nil, isText: true))
            case .word(let word)? where sign.isEmpty && ["true", "false"].contains(word):
                arguments.append(Argument(value: word, isText: true))
            default:
                throw Malformed(
                    text: "`EXECUTE` takes texts in quotes, numbers, TRUE, FALSE and NULL")
            }
            if words.skip(symbol: ")") { return .execute(name: name, arguments: arguments) }
            guard words.skip(symbol: ",") else {
                throw Malformed(
                    text: "the values of `EXECUTE` stand with commas between, in parentheses")
            }
        }
    }

    private static func readDeclare(
        _ words: inout Words, _ statement: SQLText
    ) throws(Malformed) -> PostgresCommand {
        let name = try words.name()
        var isBinary = false
        var isHeld = false
        var isWith = true
        while let word = words.word() {
            switch word {
            case "binary": isBinary = true
            case "scroll" where isWith:
                throw Malformed(text: "cursors go forward alone: `NO SCROLL`")
            case "insensitive", "asensitive", "cursor", "scroll": break
            case "no", "without": isWith = false
            case "with": isWith = true
            case "hold": isHeld = isWith
            case "for":
                guard let inner = words.statement() else {
                    throw Malformed(text: "expected a statement after `FOR`")
                }
                return .declare(name: name, isBinary: isBinary, isHeld: isHeld, inner)
            default: throw Malformed(text: "unknown word `\(word)` in `DECLARE`")
            }
        }
        throw Malformed(text: "expected `CURSOR FOR` and a statement after `DECLARE \(name)`")
    }

    private static func readFetch(
        _ words: inout Words, moves: Bool
    ) throws(Malformed) -> PostgresCommand {
        var count: Int32 = 1
        words.skip("next")
        words.skip("forward")
        if words.skip("all") {
            count = 0
        } else if case .number(let digits)? = words.peek(), let number = Int32(digits), number > 0 {
            words.next()
            count = number
        } else if case .word(let word)? = words.peek(),
            ["prior", "first", "last", "absolute", "relative", "backward"].contains(word)
        {
            throw Malformed(text: "cursors go forward alone")
        }
        if !words.skip("from") { words.skip("in") }
        return .fetch(name: try words.name(), count: count, moves: moves)
    }
}

extension PostgresCommand {
    /// Reads a statement word by word.
    private struct Words {
        private let text: SQLText
        private var index = 0

        init(_ statement: SQLText) { text = statement }

        func peek() -> SQLText.Token? {
            index < text.pieces.count ? text.pieces[index].token : nil
        }

        @discardableResult
        mutating func next() -> SQLText.Token? {
            defer { index += 1 }
            return peek()
        }

        mutating func word() -> String? {
            guard case .word(let word)? = peek() else { return nil }
            index += 1
            return word
        }

        @discardableResult
        mutating func skip(_ word: String) -> Bool {
            guard peek() == .word(word) else { return false }
            index += 1
            return true
        }

        @discardableResult
        mutating func skip(symbol: Character) -> Bool {
            guard peek() == .symbol(symbol) else { return false }
            index += 1
            return true
        }

        mutating func name() throws(Malformed) -> String {
            switch next() {
            case .word(let word)?: return word
            case .name(let name)?: return name
            default: throw Malformed(text: "expected a name")
            }
        }

        /// A setting's name, which may have a point in it.
        mutating func setting() throws(Malformed) -> String {
            var name = try name()
            while skip(symbol: ".") { name += "." + (try self.name()) }
            if name == "time", skip("zone") { return "timezone" }
            if name == "transaction", skip("isolation") {
                skip("level")
                return "transaction_isolation"
            }
            return name.lowercased()
        }

        /// What is left as the value of a setting.
        mutating func rest() -> String {
            var parts: [String] = []
            while let token = next() {
                switch token {
                case .word(let text), .name(let text), .text(let text), .number(let text):
                    parts.append(text)
                case .symbol(","): parts[max(parts.count - 1, 0)...] = [(parts.last ?? "") + ","]
                case .symbol(let symbol): parts.append(String(symbol))
                case .parameter: break
                }
            }
            return parts.joined(separator: " ")
        }

        /// What is left as a statement of its own.
        mutating func statement() -> SQLText? {
            // It was cut out of a text that had no loose ends, so neither has it.
            let rest = try? SQLText.statements(in: text.text(from: index))
            index = text.pieces.count
            return rest?.first
        }
    }
}
