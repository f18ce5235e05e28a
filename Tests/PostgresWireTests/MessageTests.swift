import PostgresWire
import TestSupport
import Testing

/// Bytes as a client sends them.
enum Sent {
    static func int32(_ value: Int) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }
    static func int16(_ value: Int) -> [UInt8] {
        [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
    }
    static func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    /// A packet without a type.
    static func packet(_ body: [UInt8]) -> [UInt8] { int32(body.count + 4) + body }

    static func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
        [type.asciiValue ?? 0] + packet(body)
    }

    static func startup(_ version: Int, _ parameters: [String]) -> [UInt8] {
        packet(int32(version) + parameters.flatMap(text) + [0])
    }

    static func bind(
        formats: [Int], values: [[UInt8]?], resultFormats: [Int], portal: String = "",
        statement: String = "s"
    ) -> [UInt8] {
        var body = text(portal) + text(statement)
        body += int16(formats.count) + formats.flatMap(int16)
        body += int16(values.count)
        for value in values {
            body += int32(value?.count ?? -1) + (value ?? [])
        }
        return message("B", body + int16(resultFormats.count) + resultFormats.flatMap(int16))
    }
}

@Suite struct `Packets before a session` {
    @Test func `say who the client is, in which version, with what settings`() throws {
        let bytes = Sent.startup(
            196_608, ["user", "tester", "database", "eu-central", "options", "-c a=b"])
        let (packet, end) = try #require(try StartupPacket.read(bytes + [1, 2]))
        #expect(end == bytes.count)
        guard case .startup(let startup) = packet else {
            Issue.record("\(packet)")
            return
        }
        #expect(startup.version == 196_608)
        #expect(startup["user"] == "tester")
        #expect(startup["database"] == "eu-central")
        #expect(startup["nothing"] == nil)
    }

    @Test func `name the extensions that a newer client would like`() throws {
        let bytes = Sent.startup(196_610, ["user", "a", "_pq_.shiny", "1"])
        guard case .startup(let startup)? = try StartupPacket.read(bytes)?.packet else {
            Issue.record("no startup")
            return
        }
        #expect(startup.version == 3 << 16 | 2)
        #expect(startup.extensions == ["_pq_.shiny"])
    }

    @Test func `ask for encryption, or end another session's query`() throws {
        #expect(
            try StartupPacket.read(Sent.packet(Sent.int32(80_877_103)))?.packet
                == .encryptionRequest)
        #expect(
            try StartupPacket.read(Sent.packet(Sent.int32(80_877_104)))?.packet
                == .gssEncryptionRequest)
        let cancel = Sent.packet(Sent.int32(80_877_102) + Sent.int32(7) + [1, 2, 3, 4])
        #expect(
            try StartupPacket.read(cancel)?.packet == .cancel(process: 7, secret: [1, 2, 3, 4]))
    }

    @Test func `are waited for until they are whole`() throws {
        let bytes = Sent.startup(196_608, ["user", "tester"])
        for count in 0..<bytes.count {
            #expect(try StartupPacket.read(Array(bytes[..<count])) == nil, "\(count)")
        }
    }

    @Test func `are refused by their length before they are read`() {
        for length in [0, 4, 7, PostgresLimits.startupBytesMax + 1, 1 << 30] {
            #expect(throws: PostgresProtocolError.self, "\(length)") {
                try StartupPacket.read(Sent.int32(length))
            }
        }
        #expect(throws: Never.self) {
            try StartupPacket.read(Sent.int32(PostgresLimits.startupBytesMax))
        }
    }

    @Test func `of another protocol are told apart, and broken ones refused`() throws {
        #expect(
            try StartupPacket.read(Sent.packet(Sent.int32(2 << 16)))?.packet
                == .otherVersion(2 << 16))
        for broken in [
            Sent.packet(Sent.int32(196_608) + Array("user".utf8)),
            Sent.packet(Sent.int32(196_608) + Sent.text("user") + Sent.text("x")),
            Sent.packet(Sent.int32(196_608) + [0, 0]),
            Sent.packet(Sent.int32(80_877_103) + [0]),
            Sent.packet(Sent.int32(80_877_102) + Sent.int32(7) + [1]),
        ] {
            #expect(throws: PostgresProtocolError.self) { try StartupPacket.read(broken) }
        }
    }

    @Test func `have options as a command line has them`() {
        func read(_ text: String) -> [String]? {
            StartupMessage.settings(inOptions: text)?.map { "\($0.name)=\($0.value)" }
        }
        #expect(read("") == [])
        #expect(
            read(#"-c cordon.purpose=ads -ccordon.place=DE --application-name=a\ b=c"#)
                == ["cordon.purpose=ads", "cordon.place=DE", "application_name=a b=c"])
        #expect(read("-c") == nil)
        #expect(read("-c =x") == nil)
        #expect(read("-d 5") == nil)
    }
}

@Suite struct `Messages of a client` {
    private func read(_ bytes: [UInt8]) throws -> FrontendMessage? {
        try FrontendMessage.read(bytes[...])?.message
    }

    @Test func `have their fields`() throws {
        #expect(try read(Sent.message("Q", Sent.text("SELECT 1"))) == .query("SELECT 1"))
        #expect(try read(Sent.message("p", Sent.text("secret"))) == .password("secret"))
        #expect(
            try read(
                Sent.message(
                    "P", Sent.text("s") + Sent.text("SELECT $1") + Sent.int16(1) + Sent.int32(23)))
                == .parse(statement: "s", sql: "SELECT $1", types: [23]))
        #expect(
            try read(Sent.bind(formats: [1], values: [[0, 0, 0, 5], nil], resultFormats: [0, 1]))
                == .bind(
                    .init(
                        portal: "", statement: "s", formats: [.binary],
                        values: [[0, 0, 0, 5], nil],
                        resultFormats: [.text, .binary])))
        #expect(
            try read(Sent.message("D", Array("S".utf8) + Sent.text("s")))
                == .describe(.statement("s")))
        #expect(
            try read(Sent.message("C", Array("P".utf8) + Sent.text("p"))) == .close(.portal("p")))
        #expect(
            try read(Sent.message("E", Sent.text("p") + Sent.int32(10)))
                == .execute(portal: "p", rowsMax: 10))
        for (type, message) in [
            ("S", FrontendMessage.sync), ("H", .flush), ("X", .terminate), ("c", .copyDone),
        ] {
            #expect(try read(Sent.message(Character(type), [])) == message)
        }
        #expect(try read(Sent.message("d", [1, 2])) == .copyData)
        #expect(try read(Sent.message("f", Sent.text("no"))) == .copyFail)
        #expect(try read(Sent.message("F", [1, 2, 3])) == .functionCall)
    }

    @Test func `come one after the other`() throws {
        let first = Sent.message("Q", Sent.text("a"))
        let bytes = first + Sent.message("S", [])
        let (message, end) = try #require(try FrontendMessage.read(bytes[...]))
        #expect(message == .query("a") && end == first.count)
        #expect(try FrontendMessage.read(bytes[end...])?.message == .sync)
        for count in 0..<first.count {
            #expect(try FrontendMessage.read(first[..<count]) == nil, "\(count)")
        }
    }

    @Test func `are refused by their head when they are too long`() {
        #expect(throws: PostgresProtocolError.self) {
            try FrontendMessage.read(([UInt8(ascii: "Q")] + Sent.int32(11))[...], bytesMax: 10)
        }
        #expect(throws: Never.self) {
            try FrontendMessage.read(([UInt8(ascii: "Q")] + Sent.int32(10))[...], bytesMax: 10)
        }
        #expect(throws: PostgresProtocolError.self) {
            try FrontendMessage.read(([UInt8(ascii: "Q")] + Sent.int32(3))[...])
        }
    }

    @Test func `that do not exist are refused by their first byte`() {
        for bytes in ["GET / HTTP/1.1", "\u{16}\u{3}", "Z"] {
            #expect(throws: PostgresProtocolError.self) {
                try FrontendMessage.read(Array(bytes.utf8)[...])
            }
        }
    }

    @Test func `with fields that do not fit are refused`() {
        let broken: [[UInt8]] = [
            Sent.message("Q", Array("no end".utf8)),
            Sent.message("Q", Sent.text("a") + [1]),
            Sent.message("Q", [0xFF, 0xFE, 0]),
            Sent.message("D", Array("X".utf8) + Sent.text("s")),
            Sent.message("E", Sent.text("p")),
            Sent.message("P", Sent.text("s") + Sent.text("q") + Sent.int16(2) + Sent.int32(1)),
            Sent.message("P", Sent.text(String(repeating: "n", count: 257)) + [0, 0, 0]),
            Sent.bind(formats: [2], values: [nil], resultFormats: []),
            Sent.bind(formats: [0, 0], values: [nil], resultFormats: []),
            Sent.bind(
                formats: [], values: Array(repeating: nil, count: 1001), resultFormats: []),
            Sent.message("B", Sent.text("") + Sent.text("") + [0, 0, 0, 1] + Sent.int32(-2)),
            Sent.message("B", Sent.text("") + Sent.text("") + [0, 0, 0, 1] + Sent.int32(900)),
        ]
        for bytes in broken {
            #expect(throws: PostgresProtocolError.self, "\(bytes.prefix(40))") {
                try FrontendMessage.read(bytes[...])
            }
        }
    }
}

@Suite struct `Messages of a server` {
    @Test func `stand with their length and their fields`() {
        var output = BackendMessages()
        output.authenticationCleartextPassword()
        output.parameterStatus("a", "b")
        output.readyForQuery(.failed)
        #expect(
            output.take()
                == Sent.message("R", Sent.int32(3))
                + Sent.message("S", Sent.text("a") + Sent.text("b"))
                + Sent.message("Z", Array("E".utf8)))
        #expect(output.bytes.isEmpty)
        output.backendKeyData(process: 5, secret: [1, 2, 3, 4])
        #expect(output.take() == Sent.message("K", Sent.int32(5) + [1, 2, 3, 4]))
        output.negotiateProtocolVersion(196_608, unknown: ["_pq_.x"])
        #expect(
            output.take()
                == Sent.message("v", Sent.int32(196_608) + Sent.int32(1) + Sent.text("_pq_.x")))
    }

    @Test func `describe columns by number, size, modifier and form`() {
        var output = BackendMessages()
        output.rowDescription([
            PostgresColumn(name: "n", type: .numeric, modifier: 1_179_655, format: .binary)
        ])
        let body =
            Sent.int16(1) + Sent.text("n") + Sent.int32(0) + Sent.int16(0) + Sent.int32(1700)
            + Sent.int16(-1) + Sent.int32(1_179_655) + Sent.int16(1)
        #expect(output.take() == Sent.message("T", body))
    }

    @Test func `give errors field by field, without the zeros that would end them early`() {
        var output = BackendMessages()
        output.error(PostgresNotice(.syntaxError, "a\u{0}b", detail: "d", position: 3))
        let fields = ["SERROR", "VERROR", "C42601", "Mab", "Dd", "P3"].flatMap(Sent.text)
        #expect(output.take() == Sent.message("E", fields + [0]))
    }

    @Test func `that hold rows are looked at before they are passed on`() throws {
        var output = BackendMessages()
        output.dataRow([Array("ab".utf8), nil])
        output.dataRow([[], Array("c".utf8)])
        let bytes = output.take()
        var rows = DataRows(bytes, columnCount: 2)
        let first = try #require(try rows.next())
        #expect(rows.values(of: first).map { $0.map { Array($0) } } == [Array("ab".utf8), nil])
        let second = try #require(try rows.next())
        #expect(rows.values(of: second).map { $0.map { Array($0) } } == [[], Array("c".utf8)])
        #expect(try rows.next() == nil && rows.isAtEnd)
        // Another number of columns, another message, a length that lies, an end too early.
        var other = DataRows(bytes, columnCount: 3)
        #expect(throws: DataRows.Malformed.self) { try other.next() }
        for index in [0, 4, 6, 10] {
            var damaged = bytes
            damaged[index] ^= 1
            var rows = DataRows(damaged, columnCount: 2)
            #expect(throws: DataRows.Malformed.self, "\(index)") {
                while try rows.next() != nil {}
            }
        }
        var short = DataRows(Array(bytes.dropLast()), columnCount: 2)
        #expect(throws: DataRows.Malformed.self) { while try short.next() != nil {} }
    }

    @Test func `have each code of an error once`() {
        let codes = SQLState.allCases.map(\.rawValue)
        #expect(Set(codes).count == codes.count && codes.allSatisfy { $0.utf8.count == 5 })
    }
}
