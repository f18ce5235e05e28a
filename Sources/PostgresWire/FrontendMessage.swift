/// A message of a client that has begun its session.
package enum FrontendMessage: Equatable, Sendable {
    case password(String)
    case query(String)
    case parse(statement: String, sql: String, types: [UInt32])
    case bind(Bind)
    case describe(Target)
    case execute(portal: String, rowsMax: Int32)
    case close(Target)
    case flush
    case sync
    case terminate
    case copyData
    case copyDone
    case copyFail
    case functionCall

    /// A prepared statement or a portal, by name; the empty name is the unnamed one.
    package enum Target: Equatable, Sendable {
        case statement(String)
        case portal(String)
    }

    /// How a value stands in a message.
    package enum Format: Int16, Equatable, Sendable {
        case text = 0
        case binary = 1
    }

    package struct Bind: Equatable, Sendable {
        package var portal: String
        package var statement: String
        /// One for each value, one for all, or none, which means text.
        package var formats: [Format]
        /// The values' bytes, nil for null.
        package var values: [[UInt8]?]
        /// As `formats`, for the columns of the result.
        package var resultFormats: [Format]

        package init(
            portal: String, statement: String, formats: [Format], values: [[UInt8]?],
            resultFormats: [Format]
        ) {
            self.portal = portal
            self.statement = statement
            self.formats = formats
            self.values = values
            self.resultFormats = resultFormats
        }

        /// The format of one of `count` things.
        package static func format(_ formats: [Format], at index: Int) -> Format {
            formats.isEmpty ? .text : formats.count == 1 ? formats[0] : formats[index]
        }
    }

    /// The message at the beginning of `input` and where it ends; nil when more bytes must come.
    ///
    /// - Parameter bytesMax: longest message, in bytes; a longer one is refused by its head alone.
    package static func read(
        _ input: ArraySlice<UInt8>, bytesMax: Int = PostgresLimits.messageBytesMax
    ) throws(PostgresProtocolError) -> (message: FrontendMessage, end: Int)? {
        guard let type = input.first else { return nil }
        // Whoever speaks another protocol is told so before a length is believed.
        guard "pQPBDECHSXdcfF".utf8.contains(type) else {
            throw PostgresProtocolError(code: .type, text: "there is no such message")
        }
        guard input.count >= 5 else { return nil }
        let start = input.startIndex
        let count = input[(start + 1)..<(start + 5)].reduce(0) { $0 << 8 | Int($1) }
        guard (4...bytesMax).contains(count) else {
            throw PostgresProtocolError(
                code: .length, text: "a message has at most \(bytesMax) bytes, found \(count)")
        }
        guard input.count > count else { return nil }
        let end = start + 1 + count
        var reader = FieldReader(input[(start + 5)..<end])
        let message = try body(type, &reader)
        try reader.end()
        return (message, end)
    }

    private static func body(
        _ type: UInt8, _ reader: inout FieldReader
    ) throws(PostgresProtocolError) -> FrontendMessage {
        let nameMax = PostgresLimits.nameBytesMax
        switch Character(Unicode.Scalar(type)) {
        case "p": return .password(try reader.text())
        case "Q": return .query(try reader.text())
        case "P":
            let name = try reader.text(max: nameMax)
            let sql = try reader.text()
            let count = try self.count(&reader, max: PostgresLimits.parametersMax)
            var types: [UInt32] = []
            for _ in 0..<count { types.append(try reader.uint32()) }
            return .parse(statement: name, sql: sql, types: types)
        case "B": return .bind(try bind(&reader))
        case "D": return .describe(try target(&reader))
        case "E":
            return .execute(portal: try reader.text(max: nameMax), rowsMax: try reader.int32())
        case "C": return .close(try target(&reader))
        case "H": return .flush
        case "S": return .sync
        case "X": return .terminate
        case "d":
            _ = reader.rest()
            return .copyData
        case "c": return .copyDone
        case "f":
            _ = try reader.text()
            return .copyFail
        default:
            _ = reader.rest()
            return .functionCall
        }
    }

    private static func bind(
        _ reader: inout FieldReader
    ) throws(PostgresProtocolError) -> Bind {
        let portal = try reader.text(max: PostgresLimits.nameBytesMax)
        let statement = try reader.text(max: PostgresLimits.nameBytesMax)
        let formats = try formats(&reader, max: PostgresLimits.parametersMax)
        let count = try count(&reader, max: PostgresLimits.parametersMax)
        guard formats.count <= 1 || formats.count == count else {
            throw PostgresProtocolError(
                code: .field, text: "\(formats.count) formats are given for \(count) values")
        }
        var values: [[UInt8]?] = []
        for _ in 0..<count {
            let length = try reader.int32()
            guard length >= -1 else {
                throw PostgresProtocolError(code: .length, text: "a value has a negative length")
            }
            values.append(length < 0 ? nil : try reader.bytes(Int(length)))
        }
        return Bind(
            portal: portal, statement: statement, formats: formats, values: values,
            resultFormats: try self.formats(&reader, max: PostgresLimits.columnsMax))
    }

    private static func formats(
        _ reader: inout FieldReader, max: Int
    ) throws(PostgresProtocolError) -> [Format] {
        var formats: [Format] = []
        for _ in 0..<(try count(&reader, max: max)) {
            guard let format = Format(rawValue: try reader.int16()) else {
                throw PostgresProtocolError(
                    code: .field, text: "a format is neither text (0) nor binary (1)")
            }
            formats.append(format)
        }
        return formats
    }

    private static func count(
        _ reader: inout FieldReader, max: Int
    ) throws(PostgresProtocolError) -> Int {
        let count = Int(UInt16(bitPattern: try reader.int16()))
        guard count <= max else {
            throw PostgresProtocolError(
                code: .length, text: "a message holds at most \(max) of a kind, found \(count)")
        }
        return count
    }

    private static func target(
        _ reader: inout FieldReader
    ) throws(PostgresProtocolError) -> Target {
        let kind = try reader.byte()
        let name = try reader.text(max: PostgresLimits.nameBytesMax)
        switch kind {
        case UInt8(ascii: "S"): return .statement(name)
        case UInt8(ascii: "P"): return .portal(name)
        default:
            throw PostgresProtocolError(
                code: .field, text: "what is named is neither a statement nor a portal")
        }
    }
}
