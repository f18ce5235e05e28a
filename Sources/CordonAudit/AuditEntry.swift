package import CordonModel

/// One thing that was decided or done.
///
/// Stored as canonical JSON: keys sorted, no space, whole numbers, so the same entry is always the same
/// bytes. It must hold no raw personal value; a subject is named by its keyed digest.
package struct AuditEntry: Equatable, Sendable {
    package let at: Timestamp
    /// What it is, in lowercase words joined by hyphens, such as `query-refused`.
    package let kind: String
    package let region: String
    /// Who asked; nil for what the system does by itself.
    package let principal: Principal?
    package let fields: [String: Value]

    /// The value of a field.
    package enum Value: Equatable, Sendable {
        case text(String)
        case integer(Int)
        case list([String])
    }

    package init(
        at: Timestamp, kind: String, region: String, principal: Principal? = nil,
        fields: [String: Value] = [:]
    ) {
        self.at = at
        self.kind = kind
        self.region = region
        self.principal = principal
        self.fields = fields
    }
}

extension AuditEntry.Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByArrayLiteral, ExpressibleByStringInterpolation
{
    package init(stringLiteral value: String) { self = .text(value) }
    package init(integerLiteral value: Int) { self = .integer(value) }
    package init(arrayLiteral elements: String...) { self = .list(elements) }
}

extension AuditEntry {
    /// The entry's stored bytes.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes += Array(#"{"at":"#.utf8)
        CanonicalJSON.append(at.text, to: &bytes)
        bytes += Array(#","fields":{"#.utf8)
        let names = fields.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for (position, name) in names.enumerated() {
            if position > 0 { bytes.append(UInt8(ascii: ",")) }
            CanonicalJSON.append(name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            switch fields[name] {
            case .text(let text): CanonicalJSON.append(text, to: &bytes)
            case .integer(let number): bytes += Array(String(number).utf8)
            case .list(let texts): CanonicalJSON.append(texts, to: &bytes)
            case nil: preconditionFailure("the name is a key of the dictionary")
            }
        }
        bytes += Array(#"},"kind":"#.utf8)
        CanonicalJSON.append(kind, to: &bytes)
        if let principal {
            bytes += Array(#","principal":{"place":"#.utf8)
            CanonicalJSON.append(principal.place, to: &bytes)
            bytes += Array(#","purpose":"#.utf8)
            CanonicalJSON.append(principal.purpose, to: &bytes)
            bytes += Array(#","role":"#.utf8)
            CanonicalJSON.append(principal.role, to: &bytes)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes += Array(#","region":"#.utf8)
        CanonicalJSON.append(region, to: &bytes)
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    /// Reads what ``encoded`` gives; nil for anything else, also for other JSON of the same meaning.
    package init?(decoding bytes: [UInt8]) {
        guard case .object(let members) = CanonicalJSON.parse(bytes),
            case .text(let at) = members["at"], let time = Self.timestamp(at),
            case .text(let kind) = members["kind"], case .text(let region) = members["region"],
            case .object(let values) = members["fields"]
        else { return nil }
        var principal: Principal?
        if case .object(let parts) = members["principal"] {
            guard case .text(let role) = parts["role"], case .text(let place) = parts["place"],
                case .text(let purpose) = parts["purpose"]
            else { return nil }
            principal = Principal(role: role, purpose: purpose, place: place)
        }
        var fields: [String: Value] = [:]
        for (name, value) in values {
            switch value {
            case .text(let text): fields[name] = .text(text)
            case .integer(let number): fields[name] = .integer(number)
            case .list(let texts): fields[name] = .list(texts)
            case .object: return nil
            }
        }
        self.init(at: time, kind: kind, region: region, principal: principal, fields: fields)
        // Whatever the parser was lenient about does not survive this.
        guard encoded == bytes else { return nil }
    }

    /// Reads `YYYY-MM-DDTHH:MM:SS.ffffffZ`; leniencies are caught by encoding again.
    private static func timestamp(_ text: String) -> Timestamp? {
        let units = Array(text.utf8)
        guard units.count == 27, let day = Day(text.prefix(10)),
            let hour = number(units[11..<13]), let minute = number(units[14..<16]),
            let second = number(units[17..<19]), let fraction = number(units[20..<26])
        else { return nil }
        let seconds = (hour * 60 + minute) * 60 + second
        return Timestamp(
            microseconds: day.start.microseconds + Int64(seconds) * 1_000_000 + Int64(fraction))
    }

    private static func number(_ units: ArraySlice<UInt8>) -> Int? {
        units.allSatisfy { (0x30...0x39).contains($0) }
            ? units.reduce(0) { $0 * 10 + Int($1) - 0x30 } : nil
    }
}
