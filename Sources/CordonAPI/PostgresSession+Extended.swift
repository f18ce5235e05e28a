internal import CordonQuery
internal import CordonTokens
internal import PostgresWire

// Statements that are prepared, given values, described and run in steps.
extension PostgresSession {
    mutating func parse(
        _ name: String, _ sql: String, _ types: [UInt32]
    ) throws(PostgresNotice) {
        guard name.isEmpty || statements[name] == nil else {
            throw PostgresNotice(
                .duplicateStatement, "prepared statement \"\(name)\" already exists")
        }
        let parts = try Self.statements(in: sql)
        guard parts.count <= 1 else {
            throw PostgresNotice(
                .syntaxError, "cannot insert multiple commands into a prepared statement")
        }
        try keep(name, parts.first, types)
        output.parseComplete()
    }

    mutating func bind(
        _ bind: FrontendMessage.Bind, _ token: IssuedToken
    ) throws(PostgresNotice) {
        guard var prepared = statements[bind.statement] else {
            throw Self.unknown(statement: bind.statement)
        }
        guard bind.values.count == prepared.parameterCount else {
            throw PostgresNotice(
                .protocolViolation,
                "\(bind.values.count) values are given, and the prepared statement has \(prepared.parameterCount) parameters"
            )
        }
        let isOpen = bind.values.indices.contains { index in
            FrontendMessage.Bind.format(bind.formats, at: index) == .binary
                && prepared.types[index] == 0 && bind.values[index] != nil
        }
        // A value in binary form is nothing without its type, which the statement then tells.
        if isOpen { try describe(&prepared, token) }
        statements[bind.statement] = prepared
        var parameters: [QueryParameter] = []
        for (index, value) in bind.values.enumerated() {
            parameters.append(
                try QueryParameter(
                    value, FrontendMessage.Bind.format(bind.formats, at: index),
                    PostgresType.numbered(prepared.types[index])))
        }
        if case .execute? = prepared.command {
            throw PostgresNotice(
                .featureNotSupported, "EXECUTE is for simple queries; bind the statement itself")
        }
        try keep(
            bind.portal,
            Portal(
                command: prepared.command, sql: prepared.sql, parameters: parameters,
                formats: bind.resultFormats))
        output.bindComplete()
    }

    private mutating func describe(
        _ prepared: inout Prepared, _ token: IssuedToken
    ) throws(PostgresNotice) {
        guard prepared.columns == nil else { return }
        guard case .read? = prepared.command else {
            prepared.columns = Self.columns(of: prepared.command)
            return
        }
        try backend.recheck(token)
        let kinds = prepared.types.map { number -> QueryParameter.Kind? in
            guard let kind = PostgresType.numbered(number)?.kind, kind != .unknown else {
                return nil
            }
            return kind
        }
        let found = try backend.describe(question(prepared.sql, [], token), kinds: kinds)
        prepared.columns = found.columns
        for (index, kind) in found.parameters.enumerated()
        where prepared.types.indices.contains(index) && prepared.types[index] == 0 {
            prepared.types[index] = PostgresType(kind).oid
        }
    }

    /// The columns of what is answered by the session.
    private static func columns(of command: PostgresCommand?) -> [QueryColumn] {
        switch command {
        case .show(let name)?:
            [QueryColumn(name: PostgresSettings.name(name) ?? name, type: "VARCHAR")]
        case .showAll?:
            ["name", "setting", "description"].map { QueryColumn(name: $0, type: "VARCHAR") }
        default: []
        }
    }

    mutating func describe(
        statement name: String, _ token: IssuedToken
    ) throws(PostgresNotice) {
        guard var prepared = statements[name] else { throw Self.unknown(statement: name) }
        try describe(&prepared, token)
        statements[name] = prepared
        output.parameterDescription(
            prepared.types.map { PostgresType.numbered($0) ?? .text })
        let columns = prepared.columns ?? []
        if columns.isEmpty {
            output.noData()
        } else {
            output.rowDescription(try Self.columns(columns, []))
        }
    }

    /// The columns of a portal are those of its rows, so it is run here; what it gives waits for Execute.
    mutating func describe(portal name: String, _ token: IssuedToken) throws(PostgresNotice) {
        guard var portal = portals[name] else { throw Self.unknown(cursor: name) }
        switch portal.command {
        case .read?, .show?, .showAll?, .fetch?:
            try fill(&portal, token)
            portals[name] = portal
        default: break
        }
        if let columns = portal.result?.columns, !columns.isEmpty {
            output.rowDescription(columns)
        } else {
            output.noData()
        }
    }

    mutating func execute(
        portal name: String, _ rowsMax: Int32, _ token: IssuedToken
    ) throws(PostgresNotice) {
        guard var portal = portals[name] else { throw Self.unknown(cursor: name) }
        try fill(&portal, token)
        if try emit(&portal, rowsMax: rowsMax) {
            // Whoever asks again gets no rows, as the end was reached.
            portal.result?.byteCount = 0
        } else {
            output.portalSuspended()
        }
        // What ran may have ended the transaction that the portal lived in.
        if portals[name] != nil { portals[name] = portal }
    }
}
