import CordonModel
import CordonQuery
import CordonTokens
import PostgresWire
import Synchronization
import TestSupport
import Testing

@testable import CordonAPI

/// A region that answers what it is told to, and remembers what it was asked.
final class PostgresStub: PostgresBackend {
    private let asked = Mutex<[PostgresQuestion]>([])
    private let revoked = Mutex(false)

    static let token = IssuedToken(
        id: "t1",
        grant: TokenGrant(
            subject: "tester", role: "analyst", purposes: ["ads", "measuring"], places: ["DE"]),
        issuedAt: Timestamp(microseconds: 0), expiresAt: Timestamp(microseconds: 1))

    var questions: [PostgresQuestion] { asked.withLock { $0 } }
    func revoke() { revoked.withLock { $0 = true } }

    let regionName = "r1"

    func admit(user: String, database: String, password: String) throws(PostgresNotice)
        -> IssuedToken
    {
        guard user == "tester", database == "r1", password == "good" else {
            throw PostgresNotice(.invalidPassword, "who are you", severity: .fatal)
        }
        return Self.token
    }

    func recheck(_ token: IssuedToken) throws(PostgresNotice) {
        if revoked.withLock({ $0 }) {
            throw PostgresNotice(.invalidPassword, "the token was revoked", severity: .fatal)
        }
    }

    func allow(_ token: IssuedToken, purpose: String?, place: String?) throws(PostgresNotice) {
        guard purpose.map(token.grant.purposes.contains) ?? true else {
            throw PostgresNotice(.insufficientPrivilege, "the token does not allow this purpose")
        }
    }

    /// `refuse` is refused; else there are as many rows as the first number in the statement says, each with its own number.
    func run(_ question: PostgresQuestion) throws(PostgresNotice) -> PostgresAnswer {
        asked.withLock { $0.append(question) }
        guard !question.sql.contains("refuse") else {
            throw PostgresNotice(.insufficientPrivilege, "refused (access): no")
        }
        let digits = question.sql.drop { !$0.isNumber }.prefix { $0.isNumber }
        var output = BackendMessages()
        for index in 0..<(Int(digits) ?? 0) { output.dataRow([Array("\(index)".utf8)]) }
        return PostgresAnswer(
            columns: [QueryColumn(name: "n", type: "INTEGER")], rows: output.take())
    }

    func describe(
        _ question: PostgresQuestion, kinds: [QueryParameter.Kind?]
    ) throws(PostgresNotice) -> (columns: [QueryColumn], parameters: [QueryParameter.Kind]) {
        asked.withLock { $0.append(question) }
        return (
            [QueryColumn(name: "n", type: "INTEGER")], kinds.map { $0 ?? .bigint }
        )
    }
}

/// Speaks to a session, and shows its answers as letters: the types of messages, a code after `E` and a tag after `C`.
final class PostgresTalk {
    let stub = PostgresStub()
    private var session: PostgresSession
    private var sent: [UInt8] = []
    private(set) var isOver = false

    final class Sink {
        var bytes: [UInt8] = []
    }
    private let sink = Sink()

    init(
        _ parameters: [(String, String)] = [], password: String? = "good", version: UInt32 = 3 << 16
    ) {
        let sink = sink
        session = PostgresSession(
            stub, key: PostgresKey(process: 7, secret: [1, 2, 3, 4]), cancellation: nil
        ) {
            sink.bytes += $0
            return true
        }
        let all = [("user", "tester"), ("database", "r1")] + parameters
        isOver =
            session.begin(
                StartupMessage(version: version, parameters: all.map { (name: $0.0, value: $0.1) }))
            == .end
        if let password, !isOver { say(.password(password)) }
    }

    func say(_ messages: FrontendMessage...) {
        for message in messages where session.receive(message) == .end { isOver = true }
    }

    /// What came since the last time.
    func heard() -> String { letters().joined(separator: " ") }

    private func letters() -> [String] {
        session.flush()
        var rest = sink.bytes[...]
        sink.bytes = []
        var letters: [String] = []
        while let type = rest.first {
            let count = rest.dropFirst().prefix(4).reduce(0) { $0 << 8 | Int($1) }
            let body = Array(rest.dropFirst(5).prefix(count - 4))
            rest = rest.dropFirst(count + 1)
            var letter = String(UnicodeScalar(type))
            switch letter {
            case "E", "N":
                let fields = body.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
                letter += ":" + (fields.first { $0.hasPrefix("C") }?.dropFirst() ?? "")
            case "C": letter += ":" + String(decoding: body.dropLast(), as: UTF8.self)
            case "Z": letter += String(decoding: body, as: UTF8.self)
            case "D": letter += ":" + String(decoding: body.dropFirst(6), as: UTF8.self)
            default: break
            }
            letters.append(letter)
        }
        return letters
    }

    func ask(_ sql: String) -> String {
        say(.query(sql))
        return heard()
    }
}

@Suite struct `A session of a client of PostgreSQL` {
    private func ready(_ parameters: [(String, String)] = []) -> PostgresTalk {
        let talk = PostgresTalk(parameters)
        _ = talk.heard()
        return talk
    }

    // MARK: Beginning

    @Test func `begins with a password, the settings and a key`() {
        let talk = PostgresTalk()
        let settings = Array(repeating: "S", count: PostgresSettings.reported.count)
        #expect(talk.heard() == (["R", "R"] + settings + ["K", "ZI"]).joined(separator: " "))
        #expect(!talk.isOver)
    }

    @Test func `ends at a wrong password, and at anything that is none`() {
        let wrong = PostgresTalk(password: "bad")
        #expect(wrong.heard() == "R E:28P01" && wrong.isOver)
        let other = PostgresTalk(password: nil)
        other.say(.query("SELECT 1"))
        #expect(other.heard() == "R E:08P01" && other.isOver && other.stub.questions.isEmpty)
    }

    @Test func `answers a newer version with its own, and refuses what it is not`() {
        let newer = PostgresTalk([("_pq_.x", "1")], password: nil, version: 3 << 16 | 2)
        #expect(newer.heard() == "v R")
        for parameters in [("replication", "database"), ("options", "-d 5"), ("wal_level", "x")] {
            let talk = PostgresTalk([parameters], password: nil)
            #expect(talk.isOver, "\(parameters)")
        }
    }

    @Test func `takes purpose and place from its options, as far as the token allows them`() throws
    {
        let talk = ready([("options", "-c cordon.purpose=ads -c cordon.place=DE")])
        #expect(talk.ask("SELECT 1") == "T D:0 C:SELECT 1 ZI")
        let question = try #require(talk.stub.questions.first)
        #expect(question.purpose == "ads" && question.place == "DE")
        let other = PostgresTalk([("options", "-c cordon.purpose=curiosity")])
        #expect(other.isOver)
        #expect(talk.ask("SET cordon.purpose = 'curiosity'") == "E:42501 ZI")
        #expect(talk.ask("SET cordon.purpose TO measuring; SELECT 1").hasSuffix("C:SELECT 1 ZI"))
        #expect(talk.stub.questions.last?.purpose == "measuring")
    }

    // MARK: Simple queries

    @Test func `answers statements one after the other until one fails`() {
        let talk = ready()
        #expect(talk.ask("") == "I ZI")
        #expect(talk.ask(" ; -- nothing\n;") == "I ZI")
        #expect(
            talk.ask("SELECT 2; SET application_name = 'x'; SHOW application_name")
                == "T D:0 D:1 C:SELECT 2 S C:SET T D:x C:SHOW ZI")
        #expect(talk.ask("SELECT 1; SELECT refuse; SELECT 1") == "T D:0 C:SELECT 1 E:42501 ZI")
        #expect(talk.ask("SELECT 'a") == "E:42601 ZI")
        #expect(talk.ask(String(repeating: "SELECT 1;", count: 33)) == "E:54000 ZI")
        #expect(talk.ask("SELECT '" + String(repeating: "x", count: 65_536) + "'") == "E:54000 ZI")
    }

    @Test func `keeps the state of a transaction`() {
        let talk = ready()
        #expect(talk.ask("BEGIN") == "C:BEGIN ZT")
        #expect(talk.ask("begin transaction read only") == "N:25001 C:BEGIN ZT")
        #expect(talk.ask("SELECT refuse") == "E:42501 ZE")
        #expect(talk.ask("SELECT 1") == "E:25P02 ZE")
        #expect(talk.ask("COMMIT") == "C:ROLLBACK ZI")
        #expect(talk.ask("ROLLBACK") == "N:25P01 C:ROLLBACK ZI")
        #expect(talk.ask("SAVEPOINT a") == "E:25P01 ZI")
        #expect(
            talk.ask("START TRANSACTION; SAVEPOINT a; SAVEPOINT b")
                == "C:BEGIN C:SAVEPOINT C:SAVEPOINT ZT")
        #expect(talk.ask("SELECT refuse") == "E:42501 ZE")
        #expect(talk.ask("ROLLBACK TO SAVEPOINT a") == "C:ROLLBACK ZT")
        #expect(talk.ask("RELEASE b") == "E:3B001 ZE")
        #expect(talk.ask("END") == "C:ROLLBACK ZI")
    }

    @Test func `holds settings, and says so where one changes nothing`() {
        let talk = ready()
        #expect(talk.ask("SET SESSION statement_timeout TO '5s'") == "C:SET ZI")
        #expect(talk.ask("SELECT 1").hasPrefix("T"))
        #expect(talk.stub.questions.last?.limits.seconds == 5)
        #expect(talk.ask("SET statement_timeout = soon") == "E:22023 ZI")
        #expect(talk.ask("SET TIME ZONE 'Europe/Berlin'") == "N:01000 C:SET ZI")
        #expect(talk.ask("SET NAMES 'latin1'") == "E:22023 ZI")
        #expect(talk.ask("SET client_encoding TO 'utf-8'") == "S C:SET ZI")
        #expect(talk.ask("SET server_version = '9'") == "E:22023 ZI")
        #expect(talk.ask("SHOW nothing") == "E:42704 ZI")
        #expect(talk.ask("SHOW TRANSACTION ISOLATION LEVEL") == "T D:read committed C:SHOW ZI")
        #expect(
            talk.ask("DISCARD ALL; RESET ALL; UNLISTEN *") == "C:DISCARD ALL C:RESET C:UNLISTEN ZI")
        #expect(talk.ask("SELECT 1").hasPrefix("T"))
        #expect(talk.stub.questions.last?.limits.seconds == QueryLimits().seconds)
    }

    @Test func `runs statements that were prepared in words, with their values as values`() throws {
        let talk = ready()
        #expect(
            talk.ask("PREPARE q (int4, text) AS SELECT 1 WHERE a = $1 AND b = $2") == "C:PREPARE ZI"
        )
        #expect(talk.ask("EXECUTE q(-5, 'it''s')") == "T D:0 C:SELECT 1 ZI")
        let question = try #require(talk.stub.questions.last)
        #expect(question.sql == "SELECT 1 WHERE a = $1 AND b = $2")
        #expect(question.parameters == [.value("-5", .integer), .value("it's", .text)])
        #expect(talk.ask("EXECUTE q(1)") == "E:42601 ZI")
        #expect(talk.ask("EXECUTE q((SELECT 1), 'a')") == "E:42601 ZI")
        #expect(talk.ask("EXECUTE other(1)") == "E:26000 ZI")
        #expect(talk.ask("PREPARE q AS SELECT 1") == "E:42P05 ZI")
        #expect(talk.ask("DEALLOCATE q") == "C:DEALLOCATE ZI")
        #expect(talk.ask("DEALLOCATE q") == "E:26000 ZI")
    }

    @Test func `gives the rows of a cursor in steps`() {
        let talk = ready()
        #expect(talk.ask("DECLARE c CURSOR FOR SELECT 5") == "E:25P01 ZI")
        #expect(
            talk.ask("BEGIN; DECLARE \"c\" CURSOR WITHOUT HOLD FOR SELECT 5")
                == "C:BEGIN C:DECLARE CURSOR ZT")
        #expect(talk.ask("FETCH FORWARD 2 FROM c") == "T D:0 D:1 C:FETCH 2 ZT")
        #expect(talk.ask("MOVE 1 IN c") == "C:MOVE 1 ZT")
        #expect(talk.ask("FETCH ALL FROM c") == "T D:3 D:4 C:FETCH 2 ZT")
        #expect(talk.ask("FETCH c") == "T C:FETCH 0 ZT")
        #expect(talk.stub.questions.count == 1)
        #expect(talk.ask("FETCH BACKWARD 1 FROM c") == "E:42601 ZE")
        #expect(talk.ask("ROLLBACK") == "C:ROLLBACK ZI")
        #expect(talk.ask("FETCH c") == "E:34000 ZI")
    }

    // MARK: In steps

    private func bind(
        _ statement: String = "", values: [[UInt8]?] = [], formats: [FrontendMessage.Format] = [],
        resultFormats: [FrontendMessage.Format] = []
    ) -> FrontendMessage {
        .bind(
            .init(
                portal: "", statement: statement, formats: formats, values: values,
                resultFormats: resultFormats))
    }

    @Test func `parses, binds, describes and executes, with the answer at Sync`() throws {
        let talk = ready()
        talk.say(
            .parse(statement: "", sql: "SELECT 2 WHERE a = $1 AND b = $2", types: [20]),
            bind(values: [[0, 0, 0, 0, 0, 0, 0, 9], Array("x".utf8)], formats: [.binary, .text]),
            .describe(.portal("")), .execute(portal: "", rowsMax: 0), .sync)
        #expect(talk.heard() == "1 2 T D:0 D:1 C:SELECT 2 ZI")
        #expect(talk.stub.questions.count == 1)
        #expect(
            talk.stub.questions[0].parameters == [.value("9", .bigint), .value("x", .unknown)])
    }

    @Test func `tells the types of parameters, and reads binary values by them`() {
        let talk = ready()
        talk.say(
            .parse(statement: "s", sql: "SELECT 1 WHERE a = $1", types: []),
            .describe(.statement("s")), .sync)
        #expect(talk.heard() == "1 t T ZI")
        talk.say(
            bind("s", values: [[0, 0, 0, 0, 0, 0, 0, 5]], formats: [.binary]),
            .execute(portal: "", rowsMax: 0), .sync)
        #expect(talk.heard() == "2 D:0 C:SELECT 1 ZI")
        #expect(talk.stub.questions.last?.parameters == [.value("5", .bigint)])
        talk.say(
            .parse(statement: "", sql: "SET x.y = 1", types: []), .describe(.statement("")), .sync)
        #expect(talk.heard() == "1 t n ZI")
    }

    @Test func `gives rows in binary form where that is asked`() {
        let talk = ready()
        talk.say(
            .parse(statement: "", sql: "SELECT 2", types: []),
            bind(resultFormats: [.binary]), .execute(portal: "", rowsMax: 0), .sync)
        #expect(talk.heard() == "1 2 D:\0\0\0\0 D:\0\0\0\u{1} C:SELECT 2 ZI")
    }

    @Test func `stops after so many rows, and goes on`() {
        let talk = ready()
        talk.say(
            .query("BEGIN"), .parse(statement: "", sql: "SELECT 5", types: []), bind(),
            .execute(portal: "", rowsMax: 2), .sync)
        #expect(talk.heard() == "C:BEGIN ZT 1 2 D:0 D:1 s ZT")
        talk.say(.execute(portal: "", rowsMax: 2), .execute(portal: "", rowsMax: 2), .sync)
        #expect(talk.heard() == "D:2 D:3 s D:4 C:SELECT 1 ZT")
        talk.say(.close(.portal("")), .execute(portal: "", rowsMax: 2), .sync)
        #expect(talk.heard() == "3 E:34000 ZE")
        #expect(talk.stub.questions.count == 1)
    }

    @Test func `passes over all that follows an error, until Sync`() {
        let talk = ready()
        talk.say(
            bind("nothing"), .execute(portal: "", rowsMax: 0),
            .parse(statement: "s", sql: "SELECT 1", types: []), .sync)
        #expect(talk.heard() == "E:26000 ZI")
        talk.say(.describe(.statement("s")), .sync)
        #expect(talk.heard() == "E:26000 ZI")
        talk.say(.parse(statement: "", sql: "SELECT 1; SELECT 2", types: []), .sync)
        #expect(talk.heard() == "E:42601 ZI")
        talk.say(.parse(statement: "", sql: "SELECT $1", types: []), bind(), .sync)
        #expect(talk.heard() == "1 E:08P01 ZI")
        talk.say(
            .parse(statement: "", sql: "SELECT $1", types: [23]),
            bind(values: [[1]], formats: [.binary]), .sync)
        #expect(talk.heard() == "1 E:22P03 ZI")
    }

    @Test func `answers what there is not, and goes on`() {
        let talk = ready()
        talk.say(.copyData, .copyDone, .copyFail, .flush)
        #expect(talk.heard() == "")
        talk.say(.functionCall)
        #expect(talk.heard() == "E:0A000 ZI")
        talk.say(
            .parse(statement: "", sql: "", types: []), bind(), .describe(.portal("")),
            .execute(portal: "", rowsMax: 0), .sync)
        #expect(talk.heard() == "1 2 n I ZI")
        talk.say(.terminate)
        #expect(talk.isOver)
    }

    @Test func `ends when its token does`() {
        let talk = ready()
        #expect(talk.ask("SELECT 1").hasSuffix("ZI"))
        talk.stub.revoke()
        #expect(talk.ask("SELECT 1") == "E:28P01" && talk.isOver)
        #expect(talk.stub.questions.count == 1)
    }

    @Test func `keeps no more statements and portals than its bounds`() {
        let talk = ready()
        for index in 0..<PostgresSession.Bounds.statements {
            talk.say(.parse(statement: "s\(index)", sql: "SELECT 1", types: []))
        }
        talk.say(.sync)
        #expect(!talk.heard().contains("E"))
        talk.say(.parse(statement: "more", sql: "SELECT 1", types: []), .sync)
        #expect(talk.heard() == "E:54000 ZI")
    }
}

@Suite struct `Keys of sessions` {
    @Test func `end the query of their own session, and no other`() throws {
        let sessions = PostgresSessions()
        let cancellation = try QueryCancellation()
        let key = sessions.enter(cancellation)
        #expect(key.process > 0 && key.process < 1 << 31 && key.secret.count == 4)
        sessions.cancel(
            PostgresKey(process: key.process, secret: [key.secret[0] ^ 1] + key.secret[1...]))
        sessions.cancel(PostgresKey(process: key.process ^ 1, secret: key.secret))
        #expect(!cancellation.isCancelled)
        sessions.cancel(key)
        #expect(cancellation.isCancelled)
        cancellation.renew()
        sessions.leave(key)
        sessions.cancel(key)
        #expect(!cancellation.isCancelled)
    }
}
