internal import CordonQuery
internal import CordonTokens
internal import PostgresWire

/// What the sessions of one region ask of it.
protocol PostgresBackend: Sendable {
    var regionName: String { get }

    /// Whose token it is, once the audit log has heard of a refusal.
    func admit(
        user: String, database: String, password: String
    ) throws(PostgresNotice) -> IssuedToken

    /// Throws, fatally, when the token has ended meanwhile.
    func recheck(_ token: IssuedToken) throws(PostgresNotice)

    /// Throws when the token does not allow a purpose or place that its bearer names.
    func allow(
        _ token: IssuedToken, purpose: String?, place: String?
    ) throws(PostgresNotice)

    func run(_ question: PostgresQuestion) throws(PostgresNotice) -> PostgresAnswer

    func describe(
        _ question: PostgresQuestion, kinds: [QueryParameter.Kind?]
    ) throws(PostgresNotice) -> (columns: [QueryColumn], parameters: [QueryParameter.Kind])
}

/// A statement of a bearer with its values.
struct PostgresQuestion: Sendable {
    var sql: String
    var parameters: [QueryParameter] = []
    var token: IssuedToken
    /// Of several purposes or places of the token the one that is meant.
    var purpose: String?
    var place: String?
    var limits = QueryLimits()
    var cancellation: QueryCancellation?
    /// Settings of the session with their values.
    var settings: [(name: String, value: String)] = []
}

/// Rows as whole messages, every value as text.
struct PostgresAnswer: Sendable {
    var columns: [QueryColumn]
    var rows: [UInt8]
    var notices: [String] = []
}

/// One session of somebody who has connected: messages in, messages out, no socket.
///
/// Statements that ask for rows go to the backend, with their values bound as values; those about the session itself
/// (transactions, settings, prepared statements, cursors) are answered here, for they read nothing. An error in a sequence of
/// Parse, Bind, Describe and Execute passes over what follows until Sync.
struct PostgresSession {
    enum Next: Equatable {
        case goOn
        /// The connection ends, after what is written has gone.
        case end
    }

    /// Bounds of one session.
    enum Bounds {
        static let statements = 256
        static let portals = 64
        /// Bytes of rows that wait in portals.
        static let heldBytes = 64 << 20
        /// Statements in one text.
        static let batch = 32
        /// What is written before it is sent.
        static let flushBytes = 1 << 16
        static let sqlBytes = 65_536
    }

    private enum Stage {
        case new
        case asked(user: String, database: String)
        case ready(IssuedToken)
    }

    let backend: any PostgresBackend
    let key: PostgresKey
    let cancellation: QueryCancellation?
    /// Takes what was written so far; false when the client is gone.
    let send: ([UInt8]) -> Bool
    var output = BackendMessages()
    var settings = PostgresSettings()
    var status = TransactionStatus.idle
    var statements: [String: Prepared] = [:]
    var portals: [String: Portal] = [:]
    var savepoints: [String] = []
    private var stage = Stage.new
    private var passesOver = false
    private var isGone = false

    struct Prepared {
        var command: PostgresCommand?
        var sql: String
        /// As declared, and after a description as found; 0 where nobody knows.
        var types: [UInt32]
        var parameterCount: Int
        /// The columns, once it was described; nil before, empty where there are none.
        var columns: [QueryColumn]?
    }

    struct Portal {
        var command: PostgresCommand?
        var sql: String
        var parameters: [QueryParameter]
        var formats: [FrontendMessage.Format]
        var isHeld = false
        var result: RowSet?
    }

    /// Rows that have been read, and how far they have gone.
    struct RowSet {
        var columns: [PostgresColumn]
        var rows: DataRows
        var byteCount: Int
        var tag: String
    }

    init(
        _ backend: any PostgresBackend, key: PostgresKey, cancellation: QueryCancellation?,
        send: @escaping ([UInt8]) -> Bool
    ) {
        self.backend = backend
        self.key = key
        self.cancellation = cancellation
        self.send = send
    }

    // MARK: Beginning

    /// Takes what the client says of itself, and asks for its token.
    mutating func begin(_ startup: StartupMessage) -> Next {
        // A newer minor version is answered with the one that is spoken, and so is every extension.
        if startup.version > PostgresWire.version || !startup.extensions.isEmpty {
            output.negotiateProtocolVersion(PostgresWire.version, unknown: startup.extensions)
        }
        guard let user = startup["user"], !user.isEmpty else {
            return fatal(PostgresNotice(.invalidAuthorization, "no user name is given"))
        }
        guard startup["replication"].map({ ["false", "off", "no", "0"].contains($0) }) ?? true
        else {
            return fatal(PostgresNotice(.featureNotSupported, "there is no replication here"))
        }
        guard let options = StartupMessage.settings(inOptions: startup["options"] ?? "") else {
            return fatal(
                PostgresNotice(
                    .invalidParameterValue, "`options` holds `-c name=value` alone"))
        }
        let own = ["user", "database", "options", "replication"]
        let given = startup.parameters.filter {
            !own.contains($0.name) && !$0.name.hasPrefix("_pq_.")
        }
        for (name, value) in given + options {
            do throws(PostgresNotice) {
                // Who sets what changes nothing is told when they ask for it with SET, not before they are known.
                _ = try settings.set(name, value)
            } catch {
                return fatal(error)
            }
        }
        stage = .asked(user: user, database: startup["database"] ?? user)
        output.authenticationCleartextPassword()
        return .goOn
    }

    private mutating func fatal(_ notice: PostgresNotice) -> Next {
        var notice = notice
        notice.severity = .fatal
        output.error(notice)
        return .end
    }

    /// Ends the session with a reason.
    mutating func end(_ state: SQLState, _ message: String) {
        output.error(PostgresNotice(state, message, severity: .fatal))
    }

    private mutating func admit(_ user: String, _ database: String, _ password: String) -> Next {
        do throws(PostgresNotice) {
            let token = try backend.admit(user: user, database: database, password: password)
            // The name that the region knows, which for people of another issuer is not the one that they gave.
            settings.user = token.grant.subject
            try backend.allow(token, purpose: purpose, place: place)
            stage = .ready(token)
        } catch {
            return fatal(error)
        }
        output.authenticationOk()
        for name in PostgresSettings.reported {
            output.parameterStatus(name, settings[name] ?? "")
        }
        output.backendKeyData(process: key.process, secret: key.secret)
        output.readyForQuery(status)
        return .goOn
    }

    var purpose: String? {
        settings[PostgresSettings.purpose].flatMap { $0.isEmpty ? nil : $0 }
    }
    var place: String? {
        settings[PostgresSettings.place].flatMap { $0.isEmpty ? nil : $0 }
    }

    // MARK: Messages

    /// Whether the token of the client is known.
    var isReady: Bool { if case .ready = stage { true } else { false } }

    /// Takes one message.
    mutating func receive(_ message: FrontendMessage) -> Next {
        guard case .ready(let token) = stage else {
            guard case .asked(let user, let database) = stage,
                case .password(let password) = message
            else {
                return fatal(PostgresNotice(.protocolViolation, "expected a password"))
            }
            return admit(user, database, password)
        }
        if passesOver {
            switch message {
            case .sync, .terminate: break
            default: return .goOn
            }
        }
        do throws(PostgresNotice) {
            switch message {
            case .terminate: return .end
            case .query(let text): try simple(text, token)
            case .parse(let name, let sql, let types): try parse(name, sql, types)
            case .bind(let bind): try self.bind(bind, token)
            case .describe(.statement(let name)): try describe(statement: name, token)
            case .describe(.portal(let name)): try describe(portal: name, token)
            case .execute(let name, let rowsMax): try execute(portal: name, rowsMax, token)
            case .close(.statement(let name)):
                statements[name] = nil
                output.closeComplete()
            case .close(.portal(let name)):
                portals[name] = nil
                output.closeComplete()
            case .flush: flush()
            case .sync:
                passesOver = false
                finish()
            case .copyData, .copyDone, .copyFail: break
            case .functionCall:
                throw PostgresNotice(.featureNotSupported, "functions are not called directly")
            case .password:
                throw PostgresNotice(
                    .protocolViolation, "no password was asked for", severity: .fatal)
            }
        } catch {
            output.error(error)
            if error.severity == .fatal { return .end }
            if status == .open { status = .failed }
            switch message {
            case .query, .functionCall: finish()
            default: passesOver = true
            }
        }
        return isGone ? .end : .goOn
    }

    /// The end of a sequence of messages: what lived for its transaction goes.
    private mutating func finish() {
        if status == .idle { portals = portals.filter(\.value.isHeld) }
        output.readyForQuery(status)
        flush()
    }

    mutating func flush() {
        let bytes = output.take()
        if !bytes.isEmpty && !send(bytes) { isGone = true }
    }

    // MARK: Simple queries

    private mutating func simple(_ text: String, _ token: IssuedToken) throws(PostgresNotice) {
        portals[""] = nil
        let batch = try Self.statements(in: text)
        guard !batch.isEmpty else {
            output.emptyQueryResponse()
            finish()
            return
        }
        for statement in batch {
            guard var portal = try portal(for: try Self.command(statement), statement.text, token)
            else { continue }
            try fill(&portal, token)
            if let result = portal.result, !result.columns.isEmpty {
                output.rowDescription(result.columns)
            }
            _ = try emit(&portal, rowsMax: 0)
            if isGone { return }
        }
        finish()
    }

    static func statements(in text: String) throws(PostgresNotice) -> [SQLText] {
        guard text.utf8.count <= Bounds.sqlBytes else {
            throw PostgresNotice(
                .programLimit, "a statement has at most \(Bounds.sqlBytes) bytes")
        }
        let statements: [SQLText]
        do throws(SQLText.Unterminated) {
            statements = try SQLText.statements(in: text)
        } catch {
            throw PostgresNotice(.syntaxError, "a \(error.what) has no end")
        }
        guard statements.count <= Bounds.batch else {
            throw PostgresNotice(
                .programLimit, "a text holds at most \(Bounds.batch) statements")
        }
        return statements
    }

    static func command(_ statement: SQLText) throws(PostgresNotice) -> PostgresCommand {
        do throws(PostgresCommand.Malformed) {
            return try PostgresCommand(statement)
        } catch {
            throw PostgresNotice(.syntaxError, error.text)
        }
    }

    /// What a command of a simple query runs as.
    private mutating func portal(
        for command: PostgresCommand, _ sql: String, _ token: IssuedToken
    ) throws(PostgresNotice) -> Portal? {
        guard case .execute(let name, let arguments) = command else {
            return Portal(command: command, sql: sql, parameters: [], formats: [])
        }
        guard let prepared = statements[name] else { throw Self.unknown(statement: name) }
        guard arguments.count == prepared.parameterCount else {
            throw PostgresNotice(
                .syntaxError,
                "statement \"\(name)\" takes \(prepared.parameterCount) values, found \(arguments.count)"
            )
        }
        var parameters: [QueryParameter] = []
        for (index, argument) in arguments.enumerated() {
            let type =
                prepared.types.indices.contains(index)
                ? PostgresType.numbered(prepared.types[index]) : nil
            let implied: PostgresType? =
                argument.isText
                ? nil
                : argument.value?.contains(where: { ".eE".contains($0) }) == true
                    ? .numeric : .int8
            parameters.append(
                try QueryParameter(
                    argument.value.map { Array($0.utf8) }, .text, type ?? implied))
        }
        return Portal(
            command: prepared.command, sql: prepared.sql, parameters: parameters, formats: [])
    }

    static func unknown(statement name: String) -> PostgresNotice {
        PostgresNotice(
            .invalidStatementName, "prepared statement \"\(name)\" does not exist")
    }

    // MARK: Running

    func question(
        _ sql: String, _ parameters: [QueryParameter], _ token: IssuedToken
    ) -> PostgresQuestion {
        var limits = settings.limits
        let held = portals.values.reduce(0) { $0 + ($1.result?.byteCount ?? 0) }
        limits.resultBytes = max(0, min(limits.resultBytes, Bounds.heldBytes - held))
        return PostgresQuestion(
            sql: sql, parameters: parameters, token: token, purpose: purpose, place: place,
            limits: limits, cancellation: cancellation,
            settings: PostgresSettings.names.map { ($0, settings[$0] ?? "") })
    }

    /// Runs what a portal stands for, if it has not been.
    mutating func fill(_ portal: inout Portal, _ token: IssuedToken) throws(PostgresNotice) {
        guard portal.result == nil, let command = portal.command else { return }
        switch command {
        case .commit, .rollback, .rollbackTo: break
        default:
            guard status != .failed else {
                throw PostgresNotice(
                    .failedTransaction,
                    "current transaction is aborted, commands ignored until end of transaction block"
                )
            }
        }
        guard case .read = command else {
            try control(command, &portal, token)
            return
        }
        try backend.recheck(token)
        cancellation?.renew()
        let answer = try backend.run(question(portal.sql, portal.parameters, token))
        for text in answer.notices {
            output.notice(PostgresNotice(.warning, text, severity: .warning))
        }
        portal.result = RowSet(
            columns: try Self.columns(answer.columns, portal.formats),
            rows: DataRows(answer.rows, columnCount: answer.columns.count),
            byteCount: answer.rows.count, tag: "SELECT")
    }

    static func columns(
        _ columns: [QueryColumn], _ formats: [FrontendMessage.Format]
    ) throws(PostgresNotice) -> [PostgresColumn] {
        guard formats.count <= 1 || formats.count == columns.count else {
            throw PostgresNotice(
                .protocolViolation,
                "\(formats.count) formats are asked for, and the result has \(columns.count) columns"
            )
        }
        return columns.enumerated().map { index, column in
            PostgresColumn(
                column, format: FrontendMessage.Bind.format(formats, at: index))
        }
    }

    /// Writes rows of a portal, at most `rowsMax` of them when that is not 0; false when there are more.
    mutating func emit(_ portal: inout Portal, rowsMax: Int32) throws(PostgresNotice) -> Bool {
        guard var result = portal.result else {
            // What is empty but for spaces and comments.
            if portal.command == nil { output.emptyQueryResponse() }
            return true
        }
        var count = 0
        let isBinary = result.columns.contains { $0.format == .binary }
        do throws(DataRows.Malformed) {
            while rowsMax <= 0 || count < Int(rowsMax) {
                guard let row = try result.rows.next() else { break }
                if isBinary {
                    output.dataRow(try Self.values(of: row, result))
                } else {
                    output.append(whole: row)
                }
                count += 1
                if output.bytes.count >= Bounds.flushBytes {
                    flush()
                    if isGone { return true }
                }
            }
        } catch {
            throw PostgresNotice(.internalError, "the result cannot be read")
        }
        let isAtEnd = result.rows.isAtEnd
        portal.result = result
        if !isAtEnd { return false }
        let counts = ["SELECT", "FETCH", "MOVE"].contains(result.tag)
        output.commandComplete(counts ? "\(result.tag) \(count)" : result.tag)
        return true
    }

    private static func values(
        of row: ArraySlice<UInt8>, _ result: RowSet
    ) throws(DataRows.Malformed) -> [[UInt8]?] {
        var values: [[UInt8]?] = []
        for (value, column) in zip(result.rows.values(of: row), result.columns) {
            guard let value, column.format == .binary else {
                values.append(value.map { Array($0) })
                continue
            }
            do throws(PostgresBinary.Malformed) {
                values.append(
                    try PostgresBinary.bytes(
                        String(decoding: value, as: UTF8.self), column.type))
            } catch {
                throw DataRows.Malformed()
            }
        }
        return values
    }

    // MARK: Keeping

    mutating func keep(
        _ name: String, _ statement: SQLText?, _ types: [UInt32]
    ) throws(PostgresNotice) {
        guard statements.count < Bounds.statements || statements[name] != nil else {
            throw PostgresNotice(
                .programLimit, "a session has at most \(Bounds.statements) prepared statements")
        }
        var numbers = 0
        for case .parameter(let number) in statement?.tokens ?? [] {
            numbers = max(numbers, number)
        }
        guard numbers <= PostgresLimits.parametersMax else {
            throw PostgresNotice(
                .undefinedParameter,
                "parameters are numbered from $1 to $\(PostgresLimits.parametersMax)")
        }
        var command: PostgresCommand?
        if let statement { command = try Self.command(statement) }
        statements[name] = Prepared(
            command: command, sql: statement?.text ?? "",
            types: types + Array(repeating: 0, count: max(0, numbers - types.count)),
            parameterCount: max(numbers, types.count))
    }

    mutating func keep(_ name: String, _ portal: Portal) throws(PostgresNotice) {
        guard portals.count < Bounds.portals || portals[name] != nil else {
            throw PostgresNotice(
                .programLimit, "a session has at most \(Bounds.portals) portals")
        }
        portals[name] = portal
    }
}
