/// One or more statements of SQL, cut into words.
///
/// It knows what may hold a semicolon that ends nothing: texts in quotes, names in quotes, texts between dollars, comments.
/// It understands no statement: who reads what it cuts must check it as if it came whole.
package struct SQLText: Equatable, Sendable {
    package enum Token: Equatable, Sendable {
        /// A name or keyword without quotes, in lowercase.
        case word(String)
        /// A name in quotes, as it is meant.
        case name(String)
        /// A text in quotes, as it is meant.
        case text(String)
        case number(String)
        /// `$1` and so on.
        case parameter(Int)
        case symbol(Character)
    }

    package struct Piece: Equatable, Sendable {
        package let token: Token
        /// Where it stands, in bytes of the whole text.
        package let range: Range<Int>
    }

    /// The statement's text without what separates it from others.
    package let text: String
    package let pieces: [Piece]
    /// Where `text` begins in what was cut, in bytes.
    private let start: Int

    package struct Unterminated: Error, Equatable, Sendable {
        /// What has no end, in words.
        package let what: String
    }

    package var tokens: [Token] { pieces.map(\.token) }

    /// Cuts a text at its semicolons; what has no words in it is left out.
    package static func statements(in text: String) throws(Unterminated) -> [SQLText] {
        var scanner = Scanner(Array(text.utf8))
        var statements: [SQLText] = []
        var pieces: [Piece] = []
        func finish() {
            guard let first = pieces.first, let last = pieces.last else { return }
            let range = first.range.lowerBound..<last.range.upperBound
            statements.append(
                SQLText(
                    text: String(decoding: scanner.bytes[range], as: UTF8.self), pieces: pieces,
                    start: range.lowerBound))
            pieces = []
        }
        while let piece = try scanner.next() {
            if piece.token == .symbol(";") { finish() } else { pieces.append(piece) }
        }
        finish()
        return statements
    }

    /// The text from a piece on.
    package func text(from index: Int) -> String {
        guard pieces.indices.contains(index) else { return "" }
        return String(
            decoding: Array(text.utf8)[(pieces[index].range.lowerBound - start)...], as: UTF8.self)
    }

    /// The text with pieces replaced, which are named by their place.
    package func replacing(_ replacements: [Range<Int>: String]) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var position = 0
        for (range, replacement) in replacements.sorted(by: {
            $0.key.lowerBound < $1.key.lowerBound
        }) {
            let from = pieces[range.lowerBound].range.lowerBound - start
            let to = pieces[range.upperBound - 1].range.upperBound - start
            guard from >= position else { continue }
            result += bytes[position..<from]
            result += Array(replacement.utf8)
            position = to
        }
        result += bytes[position...]
        return String(decoding: result, as: UTF8.self)
    }
}

extension SQLText {
    fileprivate struct Scanner {
        let bytes: [UInt8]
        private var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        private func unit(_ offset: Int = 0) -> UInt8? {
            position + offset < bytes.count ? bytes[position + offset] : nil
        }

        private static func isWordStart(_ unit: UInt8) -> Bool {
            (0x61...0x7A).contains(unit) || (0x41...0x5A).contains(unit) || unit == 0x5F
                || unit >= 0x80
        }

        private static func isDigit(_ unit: UInt8) -> Bool { (0x30...0x39).contains(unit) }

        mutating func next() throws(Unterminated) -> Piece? {
            try skipSpace()
            guard let first = unit() else { return nil }
            let start = position
            let token = try token(first)
            return Piece(token: token, range: start..<position)
        }

        private mutating func token(_ first: UInt8) throws(Unterminated) -> Token {
            switch first {
            case UInt8(ascii: "'"): return .text(try quoted(first, escapes: false, "text"))
            case UInt8(ascii: "\""): return .name(try quoted(first, escapes: false, "name"))
            case UInt8(ascii: "$"): return try dollar()
            case _ where Self.isDigit(first):
                let start = position
                while let unit = unit(),
                    Self.isDigit(unit) || Self.isWordStart(unit) || unit == UInt8(ascii: ".")
                { position += 1 }
                return .number(text(start..<position))
            case _ where Self.isWordStart(first):
                if unit(1) == UInt8(ascii: "'"),
                    first == UInt8(ascii: "e") || first == UInt8(ascii: "E")
                {
                    position += 1
                    return .text(try quoted(UInt8(ascii: "'"), escapes: true, "text"))
                }
                let start = position
                while let unit = unit(),
                    Self.isWordStart(unit) || Self.isDigit(unit) || unit == UInt8(ascii: "$")
                { position += 1 }
                return .word(text(start..<position).lowercased())
            default:
                position += 1
                return .symbol(Character(Unicode.Scalar(first)))
            }
        }

        private func text(_ range: Range<Int>) -> String {
            String(decoding: bytes[range], as: UTF8.self)
        }

        private mutating func skipSpace() throws(Unterminated) {
            while let first = unit() {
                if [0x20, 0x09, 0x0A, 0x0B, 0x0C, 0x0D].contains(first) {
                    position += 1
                } else if first == UInt8(ascii: "-"), unit(1) == first {
                    while let unit = unit(), unit != 0x0A, unit != 0x0D { position += 1 }
                } else if first == UInt8(ascii: "/"), unit(1) == UInt8(ascii: "*") {
                    try skipComment()
                } else {
                    return
                }
            }
        }

        /// Comments may stand in comments.
        private mutating func skipComment() throws(Unterminated) {
            var depth = 0
            repeat {
                guard let first = unit() else { throw Unterminated(what: "comment") }
                if first == UInt8(ascii: "/"), unit(1) == UInt8(ascii: "*") {
                    depth += 1
                    position += 2
                } else if first == UInt8(ascii: "*"), unit(1) == UInt8(ascii: "/") {
                    depth -= 1
                    position += 2
                } else {
                    position += 1
                }
            } while depth > 0
        }

        /// What stands between quotes, in which a doubled quote is one.
        private mutating func quoted(
            _ quote: UInt8, escapes: Bool, _ what: String
        ) throws(Unterminated) -> String {
            position += 1
            var units: [UInt8] = []
            while let first = unit() {
                position += 1
                if first == quote {
                    guard unit() == quote else { return String(decoding: units, as: UTF8.self) }
                    position += 1
                } else if escapes, first == UInt8(ascii: "\\"), let next = unit() {
                    position += 1
                    units.append(Self.escaped[next] ?? next)
                    continue
                }
                units.append(first)
            }
            throw Unterminated(what: what + " in quotes")
        }

        private static let escaped: [UInt8: UInt8] = [
            UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
            UInt8(ascii: "b"): 0x08, UInt8(ascii: "f"): 0x0C,
        ]

        /// `$1`, or a text between two equal tags such as `$$` or `$body$`.
        private mutating func dollar() throws(Unterminated) -> Token {
            let start = position
            position += 1
            if let first = unit(), Self.isDigit(first) {
                while let unit = unit(), Self.isDigit(unit) { position += 1 }
                return .parameter(Int(text((start + 1)..<position)) ?? .max)
            }
            while let unit = unit(), Self.isWordStart(unit) || Self.isDigit(unit) { position += 1 }
            guard unit() == UInt8(ascii: "$") else {
                position = start + 1
                return .symbol("$")
            }
            position += 1
            let tag = Array(bytes[start..<position])
            let body = position
            while position + tag.count <= bytes.count {
                if bytes[position] == tag[0],
                    bytes[position..<(position + tag.count)].elementsEqual(tag)
                {
                    defer { position += tag.count }
                    return .text(text(body..<position))
                }
                position += 1
            }
            throw Unterminated(what: "text between dollars")
        }
    }
}
