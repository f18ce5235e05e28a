/// Messages of a server, written one after the other.
package struct BackendMessages: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    /// Hands out what was written and begins anew.
    package mutating func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    private mutating func message(_ type: Character, _ body: (inout BackendMessages) -> Void) {
        bytes.append(type.asciiValue ?? 0)
        let start = bytes.count
        put(Int32(0))
        body(&self)
        let count = UInt32(bytes.count - start)
        for (index, shift) in [UInt32(24), 16, 8, 0].enumerated() {
            bytes[start + index] = UInt8(truncatingIfNeeded: count >> shift)
        }
    }

    private mutating func put(_ value: some FixedWidthInteger) {
        for shift in stride(from: value.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    /// A text and its zero byte; a zero within it would end it early, so it is left out.
    private mutating func put(_ text: String) {
        bytes.append(contentsOf: text.utf8.lazy.filter { $0 != 0 })
        bytes.append(0)
    }

    // MARK: Beginning

    package mutating func authenticationCleartextPassword() { message("R") { $0.put(Int32(3)) } }

    package mutating func authenticationOk() { message("R") { $0.put(Int32(0)) } }

    package mutating func parameterStatus(_ name: String, _ value: String) {
        message("S") {
            $0.put(name)
            $0.put(value)
        }
    }

    package mutating func backendKeyData(process: UInt32, secret: [UInt8]) {
        message("K") {
            $0.put(process)
            $0.bytes += secret
        }
    }

    /// The newest minor version that is spoken here, and the extensions that are not.
    package mutating func negotiateProtocolVersion(_ version: UInt32, unknown: [String]) {
        message("v") {
            $0.put(version)
            $0.put(Int32(unknown.count))
            for name in unknown { $0.put(name) }
        }
    }

    // MARK: Results

    package mutating func readyForQuery(_ status: TransactionStatus) {
        message("Z") { $0.bytes.append(status.rawValue) }
    }

    package mutating func rowDescription(_ columns: [PostgresColumn]) {
        message("T") {
            $0.put(Int16(columns.count))
            for column in columns {
                $0.put(column.name)
                // Neither a table nor a column of one: what is shown is the result of a query.
                $0.put(Int32(0))
                $0.put(Int16(0))
                $0.put(column.type.oid)
                $0.put(column.type.byteCount)
                $0.put(column.modifier)
                $0.put(column.format.rawValue)
            }
        }
    }

    /// A row of values, nil for null.
    package mutating func dataRow(_ values: [[UInt8]?]) {
        message("D") {
            $0.put(Int16(truncatingIfNeeded: values.count))
            for value in values {
                guard let value else {
                    $0.put(Int32(-1))
                    continue
                }
                $0.put(Int32(value.count))
                $0.bytes += value
            }
        }
    }

    /// Messages that are whole already.
    package mutating func append(whole messages: ArraySlice<UInt8>) { bytes += messages }

    package mutating func commandComplete(_ tag: String) { message("C") { $0.put(tag) } }
    package mutating func emptyQueryResponse() { message("I") { _ in } }
    package mutating func portalSuspended() { message("s") { _ in } }
    package mutating func noData() { message("n") { _ in } }
    package mutating func parseComplete() { message("1") { _ in } }
    package mutating func bindComplete() { message("2") { _ in } }
    package mutating func closeComplete() { message("3") { _ in } }

    package mutating func parameterDescription(_ types: [PostgresType]) {
        message("t") {
            $0.put(Int16(types.count))
            for type in types { $0.put(type.oid) }
        }
    }

    // MARK: Notices

    package mutating func error(_ notice: PostgresNotice) { put("E", notice) }
    package mutating func notice(_ notice: PostgresNotice) { put("N", notice) }

    private mutating func put(_ type: Character, _ notice: PostgresNotice) {
        message(type) {
            let fields: [(Character, String?)] = [
                ("S", notice.severity.rawValue), ("V", notice.severity.rawValue),
                ("C", notice.state.rawValue), ("M", notice.message), ("D", notice.detail),
                ("H", notice.hint), ("P", notice.position.map(String.init)),
            ]
            for case (let name, let text?) in fields {
                $0.bytes.append(name.asciiValue ?? 0)
                $0.put(text)
            }
            $0.bytes.append(0)
        }
    }
}

/// What ReadyForQuery says of the transaction.
package enum TransactionStatus: UInt8, Equatable, Sendable {
    case idle = 0x49
    case open = 0x54
    case failed = 0x45
}

/// A column of a result.
package struct PostgresColumn: Equatable, Sendable {
    package var name: String
    package var type: PostgresType
    /// The type's modifier, such as precision and scale of a `numeric`; -1 for none.
    package var modifier: Int32
    package var format: FrontendMessage.Format

    package init(
        name: String, type: PostgresType, modifier: Int32 = -1,
        format: FrontendMessage.Format = .text
    ) {
        self.name = name
        self.type = type
        self.modifier = modifier
        self.format = format
    }
}

/// The fields of an error or notice.
package struct PostgresNotice: Error, Equatable, Sendable {
    package enum Severity: String, Sendable {
        case error = "ERROR"
        /// The connection ends with it.
        case fatal = "FATAL"
        case warning = "WARNING"
    }
    package var severity: Severity
    package var state: SQLState
    package var message: String
    package var detail: String?
    package var hint: String?
    /// Where in the statement, in characters from 1.
    package var position: Int?

    package init(
        _ state: SQLState, _ message: String, severity: Severity = .error, detail: String? = nil,
        hint: String? = nil, position: Int? = nil
    ) {
        self.severity = severity
        self.state = state
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
    }
}

/// Codes of errors that clients choose by (appendix "PostgreSQL Error Codes" of the manual).
package enum SQLState: String, CaseIterable, Sendable {
    case successfulCompletion = "00000"
    case warning = "01000"
    case protocolViolation = "08P01"
    case featureNotSupported = "0A000"
    case invalidTransactionTermination = "2D000"
    case noActiveTransaction = "25P01"
    case activeTransaction = "25001"
    case failedTransaction = "25P02"
    case idleSessionTimeout = "57P05"
    case invalidStatementName = "26000"
    case invalidAuthorization = "28000"
    case invalidPassword = "28P01"
    case invalidCursorName = "34000"
    case invalidDatabase = "3D000"
    case invalidSavepoint = "3B001"
    case cannotConvert = "22000"
    case invalidText = "22P02"
    case invalidBinary = "22P03"
    case invalidParameterValue = "22023"
    case insufficientPrivilege = "42501"
    case syntaxError = "42601"
    case invalidStatement = "42000"
    case undefinedColumn = "42703"
    case undefinedFunction = "42883"
    case undefinedObject = "42704"
    case undefinedParameter = "42P02"
    case duplicateCursor = "42P03"
    case duplicateStatement = "42P05"
    case diskFull = "53100"
    case outOfMemory = "53200"
    case tooManyConnections = "53300"
    case programLimit = "54000"
    case queryCanceled = "57014"
    case adminShutdown = "57P01"
    case cannotConnectNow = "57P03"
    case systemError = "58000"
    case internalError = "XX000"
}
