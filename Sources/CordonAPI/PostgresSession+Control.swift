internal import CordonQuery
internal import CordonTokens
internal import PostgresWire

// What is asked of the session itself: transactions, settings, statements by name, cursors. Nothing of it reads a lake.
extension PostgresSession {
    mutating func control(
        _ command: PostgresCommand, _ portal: inout Portal, _ token: IssuedToken
    ) throws(PostgresNotice) {
        var tag = ""
        switch command {
        case .read, .execute: preconditionFailure("run otherwise")
        case .begin:
            if status == .open {
                warn(.activeTransaction, "there is already a transaction in progress")
            }
            status = .open
            tag = "BEGIN"
        case .commit, .rollback:
            if status == .idle { warn(.noActiveTransaction, "there is no transaction in progress") }
            tag = command == .commit && status != .failed ? "COMMIT" : "ROLLBACK"
            status = .idle
            savepoints = []
        case .savepoint(let name):
            try requireTransaction("SAVEPOINT")
            guard savepoints.count < Bounds.statements else {
                throw PostgresNotice(.programLimit, "there are too many savepoints")
            }
            savepoints.append(name)
            tag = "SAVEPOINT"
        case .release(let name):
            try requireTransaction("RELEASE SAVEPOINT")
            savepoints.removeSubrange(try savepoint(name)...)
            tag = "RELEASE"
        case .rollbackTo(let name):
            try requireTransaction("ROLLBACK TO SAVEPOINT")
            savepoints.removeSubrange((try savepoint(name) + 1)...)
            status = .open
            tag = "ROLLBACK"
        case .set(let name, let value):
            try set(name, value, token)
            tag = value == nil ? "RESET" : "SET"
        case .resetAll:
            settings.resetAll()
            tag = "RESET"
        case .show(let name):
            guard let value = settings[name] else {
                throw PostgresNotice(
                    .undefinedObject, "unrecognized configuration parameter \"\(name)\"")
            }
            answer(&portal, [PostgresSettings.name(name) ?? name], [[value]], "SHOW")
            return
        case .showAll:
            let rows = PostgresSettings.names.map { [$0, settings[$0] ?? "", ""] }
            answer(&portal, ["name", "setting", "description"], rows, "SHOW")
            return
        case .prepare(let name, let types, let inner):
            guard statements[name] == nil else {
                throw PostgresNotice(
                    .duplicateStatement, "prepared statement \"\(name)\" already exists")
            }
            let numbers = types.map { type in
                PostgresType.all.first { $0.name == type || $0.sqlName == type }?.oid ?? 0
            }
            try keep(name, inner, numbers)
            tag = "PREPARE"
        case .deallocate(let name?):
            guard statements.removeValue(forKey: name) != nil else {
                throw Self.unknown(statement: name)
            }
            tag = "DEALLOCATE"
        case .deallocate(nil):
            statements = [:]
            tag = "DEALLOCATE ALL"
        case .declare(let name, let isBinary, let isHeld, let inner):
            let cursor = Portal(
                command: try Self.command(inner), sql: inner.text, parameters: portal.parameters,
                formats: isBinary ? [.binary] : [], isHeld: isHeld)
            try declare(name, cursor)
            tag = "DECLARE CURSOR"
        case .fetch(let name, let count, let moves):
            try fetch(name, count, moves, &portal, token)
            return
        case .closeCursor(let name?):
            guard portals.removeValue(forKey: name) != nil else {
                throw Self.unknown(cursor: name)
            }
            tag = "CLOSE CURSOR"
        case .closeCursor(nil):
            portals = [:]
            tag = "CLOSE CURSOR ALL"
        case .discard(let what):
            if what == "ALL" {
                statements = [:]
                portals = [:]
                settings.resetAll()
            }
            tag = "DISCARD \(what)"
        case .nothing(let what): tag = what
        }
        answer(&portal, [], [], tag)
    }

    private mutating func warn(_ state: SQLState, _ text: String) {
        output.notice(PostgresNotice(state, text, severity: .warning))
    }

    private func requireTransaction(_ what: String) throws(PostgresNotice) {
        guard status != .idle else {
            throw PostgresNotice(
                .noActiveTransaction, "\(what) can only be used in transaction blocks")
        }
    }

    private func savepoint(_ name: String) throws(PostgresNotice) -> Int {
        guard let index = savepoints.lastIndex(of: name) else {
            throw PostgresNotice(.invalidSavepoint, "savepoint \"\(name)\" does not exist")
        }
        return index
    }

    private mutating func set(
        _ name: String, _ value: String?, _ token: IssuedToken
    ) throws(PostgresNotice) {
        let former = settings
        switch try settings.set(name, value) {
        case .reported(let name, let value): output.parameterStatus(name, value)
        case .silent: break
        case .without(let text): warn(.warning, text)
        }
        do throws(PostgresNotice) {
            try backend.allow(token, purpose: purpose, place: place)
        } catch {
            settings = former
            throw error
        }
    }

    /// Rows of texts that stand in no lake.
    private func answer(
        _ portal: inout Portal, _ columns: [String], _ rows: [[String]], _ tag: String
    ) {
        var messages = BackendMessages()
        for row in rows { messages.dataRow(row.map { Array($0.utf8) }) }
        portal.result = RowSet(
            columns: columns.map { PostgresColumn(name: $0, type: .text) },
            rows: DataRows(messages.bytes, columnCount: columns.count), byteCount: 0, tag: tag)
    }

    // MARK: Cursors

    static func unknown(cursor name: String) -> PostgresNotice {
        PostgresNotice(.invalidCursorName, "cursor \"\(name)\" does not exist")
    }

    private mutating func declare(
        _ name: String, _ cursor: Portal
    ) throws(PostgresNotice) {
        guard status == .open || cursor.isHeld else {
            throw PostgresNotice(
                .noActiveTransaction, "DECLARE CURSOR can only be used in transaction blocks")
        }
        guard case .read? = cursor.command else {
            throw PostgresNotice(.syntaxError, "a cursor is for a SELECT")
        }
        guard portals[name] == nil else {
            throw PostgresNotice(.duplicateCursor, "cursor \"\(name)\" already exists")
        }
        try keep(name, cursor)
    }

    private mutating func fetch(
        _ name: String, _ count: Int32, _ moves: Bool, _ portal: inout Portal, _ token: IssuedToken
    ) throws(PostgresNotice) {
        guard var cursor = portals[name] else { throw Self.unknown(cursor: name) }
        try fill(&cursor, token)
        guard var result = cursor.result else { throw Self.unknown(cursor: name) }
        guard portal.formats.count <= 1 || portal.formats.count == result.columns.count else {
            throw PostgresNotice(.protocolViolation, "the formats do not fit the columns")
        }
        var rows: [UInt8] = []
        var taken: Int32 = 0
        do throws(DataRows.Malformed) {
            while count == 0 || taken < count {
                guard let row = try result.rows.next() else { break }
                if !moves { rows += row }
                taken += 1
            }
        } catch {
            throw PostgresNotice(.internalError, "the result cannot be read")
        }
        cursor.result = result
        portals[name] = cursor
        let formats = portal.formats
        if !formats.isEmpty {
            for index in result.columns.indices {
                result.columns[index].format = FrontendMessage.Bind.format(formats, at: index)
            }
        }
        portal.result = RowSet(
            columns: moves ? [] : result.columns,
            rows: DataRows(rows, columnCount: result.columns.count), byteCount: 0,
            tag: moves ? "MOVE \(taken)" : "FETCH")
    }
}
