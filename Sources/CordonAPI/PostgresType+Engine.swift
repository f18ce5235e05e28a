internal import Bytes
internal import CordonQuery
internal import PostgresWire

extension PostgresType {
    /// What a value of the type is for the engine.
    var kind: QueryParameter.Kind {
        switch self {
        case .bool: .boolean
        case .int2: .smallint
        case .int4: .integer
        case .int8, .oid: .bigint
        case .float4: .float
        case .float8: .double
        case .numeric: .decimal
        case .date: .date
        case .time: .time
        case .timestamp: .timestamp
        case .timestamptz: .timestamptz
        case .interval: .interval
        case .uuid: .uuid
        case .bytea: .blob
        case .unknown: .unknown
        default: .text
        }
    }

    /// The type that a client is told of a parameter.
    init(_ kind: QueryParameter.Kind) {
        self =
            switch kind {
            case .text, .unknown: .text
            case .boolean: .bool
            case .smallint: .int2
            case .integer: .int4
            case .bigint: .int8
            case .float: .float4
            case .double: .float8
            case .decimal: .numeric
            case .date: .date
            case .time: .time
            case .timestamp: .timestamp
            case .timestamptz: .timestamptz
            case .interval: .interval
            case .uuid: .uuid
            case .blob: .bytea
            }
    }
}

extension QueryParameter {
    /// A value as a client gave it.
    ///
    /// - Parameter type: as it was declared or described; nil when neither.
    init(
        _ bytes: [UInt8]?, _ format: FrontendMessage.Format, _ type: PostgresType?
    ) throws(PostgresNotice) {
        let element = type?.element ?? type ?? .unknown
        guard let bytes else {
            self = .null(element.kind == .unknown ? .text : element.kind)
            return
        }
        let text: String
        switch format {
        case .text:
            guard let read = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
                throw PostgresNotice(.invalidText, "a value is not UTF-8")
            }
            text = read
        case .binary:
            guard let type, PostgresBinary.isKnown(type) else {
                throw PostgresNotice(
                    .featureNotSupported,
                    "values in binary form are read of known types alone; declare the type")
            }
            do throws(PostgresBinary.Malformed) {
                text = try PostgresBinary.text(bytes, type)
            } catch {
                throw PostgresNotice(
                    .invalidBinary, "a value is no `\(type.name)` in binary form")
            }
        }
        guard type?.element != nil else {
            self = .value(try Self.engineText(text, element), element.kind)
            return
        }
        guard let members = PostgresText.members(ofList: text) else {
            throw PostgresNotice(.invalidText, "a value is no list of one dimension in braces")
        }
        var values: [String?] = []
        for member in members {
            guard let member else {
                values.append(nil)
                continue
            }
            values.append(try Self.engineText(member, element))
        }
        self = .list(values, element.kind)
    }

    /// The text as the engine reads it.
    private static func engineText(
        _ text: String, _ type: PostgresType
    ) throws(PostgresNotice) -> String {
        guard type == .bytea else {
            return type.kind == .text || type.kind == .unknown
                ? text : text.filter { !$0.isNewline }.trimmed
        }
        guard text.hasPrefix("\\x"), let bytes = Bytes.bytes(hex: text.dropFirst(2)) else {
            throw PostgresNotice(.invalidText, "a value is no `bytea` in hexadecimal form")
        }
        return bytes.map { "\\x" + Bytes.hex([$0]).uppercased() }.joined()
    }
}

extension String {
    /// Without spaces at its ends.
    fileprivate var trimmed: String {
        var part = self[...]
        while part.first == " " { part.removeFirst() }
        while part.last == " " { part.removeLast() }
        return String(part)
    }
}
