/// The first packet of a connection, which alone has no type byte.
package enum StartupPacket: Equatable, Sendable {
    case startup(StartupMessage)
    case encryptionRequest
    case gssEncryptionRequest
    case cancel(process: UInt32, secret: [UInt8])
    /// A major version that is not spoken here.
    case otherVersion(UInt32)

    private enum Special {
        static let cancel: UInt32 = 1234 << 16 | 5678
        static let encryption: UInt32 = 1234 << 16 | 5679
        static let gssEncryption: UInt32 = 1234 << 16 | 5680
    }
    /// The secret of protocol 3.0 has four bytes, that of 3.2 up to 256.
    private static let secretBytes = 4...256

    /// The packet at the beginning of `input` and where it ends; nil when more bytes must come.
    package static func read(
        _ input: [UInt8]
    ) throws(PostgresProtocolError) -> (packet: StartupPacket, end: Int)? {
        guard input.count >= 4 else { return nil }
        let count = input[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard (8...PostgresLimits.startupBytesMax).contains(count) else {
            throw PostgresProtocolError(
                code: .length,
                text:
                    "expected a first packet of 8 to \(PostgresLimits.startupBytesMax) bytes, found \(count)"
            )
        }
        guard input.count >= count else { return nil }
        var reader = FieldReader(input[4..<count])
        let number = try reader.uint32()
        switch number {
        case Special.encryption:
            try reader.end()
            return (.encryptionRequest, count)
        case Special.gssEncryption:
            try reader.end()
            return (.gssEncryptionRequest, count)
        case Special.cancel:
            let process = try reader.uint32()
            let secret = reader.rest()
            guard secretBytes.contains(secret.count) else {
                throw PostgresProtocolError(code: .length, text: "a cancel request has no secret")
            }
            return (.cancel(process: process, secret: secret), count)
        case _ where number >> 16 == PostgresWire.version >> 16:
            return (.startup(try StartupMessage(&reader, version: number)), count)
        default: return (.otherVersion(number), count)
        }
    }
}

/// What a client says of itself before it is asked for a password.
package struct StartupMessage: Equatable, Sendable {
    /// As the client asked, major number in the upper half.
    package var version: UInt32
    /// Values by name, in the order in which they came; of a name that stands twice the last counts.
    package var parameters: [(name: String, value: String)]

    package init(version: UInt32, parameters: [(name: String, value: String)]) {
        self.version = version
        self.parameters = parameters
    }

    init(_ reader: inout FieldReader, version: UInt32) throws(PostgresProtocolError) {
        self.version = version
        parameters = []
        while true {
            let name = try reader.text()
            if name.isEmpty { break }
            parameters.append((name, try reader.text()))
        }
        try reader.end()
    }

    package subscript(name: String) -> String? { parameters.last { $0.name == name }?.value }

    /// Names of protocol extensions that the client would like.
    package var extensions: [String] {
        parameters.map(\.name).filter { $0.hasPrefix("_pq_.") }
    }

    package static func == (left: StartupMessage, right: StartupMessage) -> Bool {
        left.version == right.version
            && left.parameters.elementsEqual(right.parameters) { $0 == $1 }
    }

    /// The settings that `options` holds as a command line would: `-c name=value` and `--name=value`, a backslash before
    /// what stands for itself. Nil when there is something else in it.
    package static func settings(inOptions text: String) -> [(name: String, value: String)]? {
        var words: [String] = []
        var word: String?
        var isEscaped = false
        for character in text {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character.isWhitespace {
                if let whole = word { words.append(whole) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if let whole = word { words.append(whole) }
        var settings: [(String, String)] = []
        var rest = words[...]
        while let word = rest.popFirst() {
            var assignment: Substring
            if word == "-c" {
                guard let next = rest.popFirst() else { return nil }
                assignment = next[...]
            } else if word.hasPrefix("--") {
                assignment = word.dropFirst(2)
            } else if word.hasPrefix("-c") {
                assignment = word.dropFirst(2)
            } else {
                return nil
            }
            guard let equals = assignment.firstIndex(of: "="), equals > assignment.startIndex else {
                return nil
            }
            settings.append(
                (
                    String(assignment[..<equals]).replacing("-", with: "_"),
                    String(assignment[assignment.index(after: equals)...])
                ))
        }
        return settings
    }
}
