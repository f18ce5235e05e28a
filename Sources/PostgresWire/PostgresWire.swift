/// The PostgreSQL frontend/backend protocol 3.0 as bytes: messages of a client in, messages of a server out.
///
/// It knows how messages are framed, which fields they have, which number each type bears, how values stand in text and in
/// binary form, and the little of SQL that a server must see by itself: where a statement ends and with which word it
/// begins. It opens no socket, keeps no session and knows nothing of who may ask what. Bytes of strangers go through
/// ``StartupPacket`` and ``FrontendMessage``, which are bounded by ``PostgresLimits`` and refuse what they cannot read.
/// The facts are those of the chapter "Frontend/Backend Protocol" of the PostgreSQL manual.
package enum PostgresWire {
    /// The version that is spoken: major number in the upper half.
    package static let version: UInt32 = 3 << 16
}

/// Bounds on what a client may send.
package enum PostgresLimits {
    /// A packet before anybody has said who they are, in bytes: names and options, and a token of a few kibibytes at most.
    package static let startupBytesMax = 10_000
    /// A message of somebody known, in bytes: a statement of 64 KiB and the values for it.
    package static let messageBytesMax = 1 << 20
    /// Values of one Bind.
    package static let parametersMax = 1000
    /// Format codes of result columns in one Bind.
    package static let columnsMax = 1664
    /// A name of a statement or portal, in bytes.
    package static let nameBytesMax = 256
}

/// Why bytes are no message of the protocol.
package struct PostgresProtocolError: Error, Equatable, Sendable {
    package enum Code: String, Sendable {
        /// A length that is too small, too large or does not fit the fields.
        case length
        /// A field that the message cannot have.
        case field
        /// A message type that does not exist, or that a client does not send.
        case type
        /// A text that is not UTF-8.
        case encoding
    }
    package let code: Code
    package let text: String
}

/// Reads the fields of one message, which are all big-endian, and refuses what goes beyond its end.
struct FieldReader {
    private let bytes: ArraySlice<UInt8>
    private(set) var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    var isAtEnd: Bool { position == bytes.endIndex }

    private mutating func take(_ count: Int) throws(PostgresProtocolError) -> ArraySlice<UInt8> {
        guard count >= 0, bytes.endIndex - position >= count else {
            throw PostgresProtocolError(code: .length, text: "a message ends within a field")
        }
        defer { position += count }
        return bytes[position..<(position + count)]
    }

    mutating func byte() throws(PostgresProtocolError) -> UInt8 { try take(1).first! }

    mutating func int16() throws(PostgresProtocolError) -> Int16 {
        Int16(truncatingIfNeeded: try take(2).reduce(0) { $0 << 8 | Int($1) })
    }

    mutating func int32() throws(PostgresProtocolError) -> Int32 {
        Int32(truncatingIfNeeded: try take(4).reduce(0) { $0 << 8 | Int($1) })
    }

    mutating func uint32() throws(PostgresProtocolError) -> UInt32 {
        UInt32(bitPattern: try int32())
    }

    mutating func bytes(_ count: Int) throws(PostgresProtocolError) -> [UInt8] {
        Array(try take(count))
    }

    mutating func rest() -> [UInt8] {
        defer { position = bytes.endIndex }
        return Array(bytes[position...])
    }

    /// A text up to its zero byte.
    mutating func text(max: Int = .max) throws(PostgresProtocolError) -> String {
        guard let end = bytes[position...].firstIndex(of: 0) else {
            throw PostgresProtocolError(code: .length, text: "a text has no end")
        }
        guard end - position <= max else {
            throw PostgresProtocolError(
                code: .length, text: "a name is longer than \(max) bytes")
        }
        guard let text = String(validating: bytes[position..<end], as: UTF8.self) else {
            throw PostgresProtocolError(code: .encoding, text: "a text is not UTF-8")
        }
        position = end + 1
        return text
    }

    mutating func end() throws(PostgresProtocolError) {
        guard isAtEnd else {
            throw PostgresProtocolError(code: .length, text: "a message is longer than its fields")
        }
    }
}
