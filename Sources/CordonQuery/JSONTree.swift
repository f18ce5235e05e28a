internal import Engine

/// A JSON value that writes back exactly what it read: numbers keep their digits and members their order, which a parse
/// tree needs to survive the way through Swift.
indirect enum JSONTree: Equatable, Sendable {
    case null
    case bool(Bool)
    /// The digits as they stood.
    case number(String)
    case string(String)
    case array([JSONTree])
    case object([Member])

    struct Member: Equatable, Sendable {
        let name: String
        var value: JSONTree
    }

    /// What the engine wrote was no JSON, or nested beyond ``depthMax``.
    struct Malformed: Error {}

    /// Deeper input is refused: reading and walking recurse, and no ordinary query comes near.
    static let depthMax = 400

    init(parsing text: String) throws(Malformed) {
        var reader = Reader(bytes: Array(text.utf8))
        self = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.position == reader.bytes.count else { throw Malformed() }
    }

    /// The tree without members of these names, however deep they stand.
    func without(_ names: Set<String>) -> JSONTree {
        switch self {
        case .object(let members):
            .object(
                members.filter { !names.contains($0.name) }.map {
                    .init(name: $0.name, value: $0.value.without(names))
                })
        case .array(let values): .array(values.map { $0.without(names) })
        default: self
        }
    }

    var text: String {
        var out = ""
        write(to: &out)
        return out
    }

    private func write(to out: inout String) {
        switch self {
        case .null: out += "null"
        case .bool(let value): out += value ? "true" : "false"
        case .number(let digits): out += digits
        case .string(let text): out += ColumnValue.quoted(text)
        case .array(let values):
            out += "["
            for (index, value) in values.enumerated() {
                if index > 0 { out += "," }
                value.write(to: &out)
            }
            out += "]"
        case .object(let members):
            out += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { out += "," }
                out += ColumnValue.quoted(member.name) + ":"
                member.value.write(to: &out)
            }
            out += "}"
        }
    }
}

extension JSONTree {
    /// A member of an object; reading an absent one gives null, writing nothing but objects traps.
    subscript(name: String) -> JSONTree {
        get {
            guard case .object(let members) = self else { return .null }
            return members.first { $0.name == name }?.value ?? .null
        }
        set {
            guard case .object(var members) = self else { preconditionFailure("not an object") }
            if let index = members.firstIndex(where: { $0.name == name }) {
                members[index].value = newValue
            } else {
                members.append(Member(name: name, value: newValue))
            }
            self = .object(members)
        }
    }

    var isNull: Bool { self == .null }
    var string: String? { if case .string(let text) = self { text } else { nil } }
    var array: [JSONTree] { if case .array(let values) = self { values } else { [] } }
    var members: [Member] { if case .object(let members) = self { members } else { [] } }
    var integer: Int? { if case .number(let digits) = self { Int(digits) } else { nil } }

    static func make(_ members: [(String, JSONTree)]) -> JSONTree {
        .object(members.map { Member(name: $0.0, value: $0.1) })
    }
}

extension JSONTree {
    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        mutating func skipSpace() {
            while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) {
                position += 1
            }
        }

        mutating func peek() throws(Malformed) -> UInt8 {
            skipSpace()
            guard position < bytes.count else { throw Malformed() }
            return bytes[position]
        }

        mutating func expect(_ text: String) throws(Malformed) {
            let units = Array(text.utf8)
            guard bytes.count - position >= units.count,
                bytes[position..<position + units.count].elementsEqual(units)
            else { throw Malformed() }
            position += units.count
        }

        mutating func value(depth: Int) throws(Malformed) -> JSONTree {
            guard depth < JSONTree.depthMax else { throw Malformed() }
            switch try peek() {
            case UInt8(ascii: "{"): return try object(depth: depth)
            case UInt8(ascii: "["): return try list(depth: depth)
            case UInt8(ascii: "\""): return .string(try string())
            case UInt8(ascii: "t"):
                try expect("true")
                return .bool(true)
            case UInt8(ascii: "f"):
                try expect("false")
                return .bool(false)
            case UInt8(ascii: "n"):
                try expect("null")
                return .null
            default: return try number()
            }
        }

        private mutating func object(depth: Int) throws(Malformed) -> JSONTree {
            position += 1
            var members: [Member] = []
            if try peek() == UInt8(ascii: "}") {
                position += 1
                return .object([])
            }
            while true {
                guard try peek() == UInt8(ascii: "\"") else { throw Malformed() }
                let name = try string()
                guard try peek() == UInt8(ascii: ":") else { throw Malformed() }
                position += 1
                members.append(Member(name: name, value: try value(depth: depth + 1)))
                switch try peek() {
                case UInt8(ascii: ","): position += 1
                case UInt8(ascii: "}"):
                    position += 1
                    return .object(members)
                default: throw Malformed()
                }
            }
        }

        private mutating func list(depth: Int) throws(Malformed) -> JSONTree {
            position += 1
            var values: [JSONTree] = []
            if try peek() == UInt8(ascii: "]") {
                position += 1
                return .array([])
            }
            while true {
                values.append(try value(depth: depth + 1))
                switch try peek() {
                case UInt8(ascii: ","): position += 1
                case UInt8(ascii: "]"):
                    position += 1
                    return .array(values)
                default: throw Malformed()
                }
            }
        }

        private mutating func number() throws(Malformed) -> JSONTree {
            let start = position
            let allowed = Array("+-.0123456789eE".utf8)
            while position < bytes.count, allowed.contains(bytes[position]) { position += 1 }
            let text = String(decoding: bytes[start..<position], as: UTF8.self)
            guard !text.isEmpty, Double(text) != nil else { throw Malformed() }
            return .number(text)
        }

        private mutating func string() throws(Malformed) -> String {
            position += 1
            var units: [UInt8] = []
            while true {
                guard position < bytes.count else { throw Malformed() }
                let unit = bytes[position]
                position += 1
                switch unit {
                case UInt8(ascii: "\""): return String(decoding: units, as: UTF8.self)
                case UInt8(ascii: "\\"): try escape(into: &units)
                default: units.append(unit)
                }
            }
        }

        private mutating func escape(into units: inout [UInt8]) throws(Malformed) {
            guard position < bytes.count else { throw Malformed() }
            let unit = bytes[position]
            position += 1
            switch unit {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): units.append(unit)
            case UInt8(ascii: "b"): units.append(0x08)
            case UInt8(ascii: "f"): units.append(0x0C)
            case UInt8(ascii: "n"): units.append(0x0A)
            case UInt8(ascii: "r"): units.append(0x0D)
            case UInt8(ascii: "t"): units.append(0x09)
            case UInt8(ascii: "u"):
                var code = try fourDigits()
                if (0xD800..<0xDC00).contains(code) {
                    try expect("\\u")
                    let low = try fourDigits()
                    guard (0xDC00..<0xE000).contains(low) else { throw Malformed() }
                    code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
                }
                guard let scalar = Unicode.Scalar(code) else { throw Malformed() }
                units += Array(String(Character(scalar)).utf8)
            default: throw Malformed()
            }
        }

        private mutating func fourDigits() throws(Malformed) -> UInt32 {
            guard position + 4 <= bytes.count,
                let code = UInt32(
                    String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
            else { throw Malformed() }
            position += 4
            return code
        }
    }
}
