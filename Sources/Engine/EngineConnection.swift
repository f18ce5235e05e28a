internal import CADBC

/// One database of the engine, in memory or in a file, with its settings.
@safe package final class EngineDatabase {
    let library: DuckDBLibrary
    let handle: UnsafeMutablePointer<AdbcDatabase>

    /// Opens a database (`AdbcDatabaseNew`, `AdbcDatabaseInit`).
    ///
    /// - Parameters:
    ///   - path: a file, or `:memory:`.
    ///   - settings: the engine's settings by name, applied before the database opens.
    package init(path: String = ":memory:", settings: [(name: String, value: String)] = [])
        throws(EngineError)
    {
        library = try DuckDBLibrary.load()
        unsafe handle = .allocate(capacity: 1)
        unsafe handle.initialize(to: AdbcDatabase())
        // From here on every stored property has its value, so a throw runs `deinit`.
        let driver = unsafe library.driver
        let handle = unsafe handle
        try unsafe check("open a database") { unsafe driver.pointee.DatabaseNew(handle, $0) }
        for (name, value) in [("path", path)] + settings.map({ ($0.name, $0.value) }) {
            try unsafe check("set the setting `\(name)`") {
                unsafe driver.pointee.DatabaseSetOption(handle, name, value, $0)
            }
        }
        try unsafe check("open a database") { unsafe driver.pointee.DatabaseInit(handle, $0) }
    }

    deinit {
        if unsafe handle.pointee.private_data != nil {
            _ = unsafe library.driver.pointee.DatabaseRelease(handle, nil)
        }
        unsafe handle.deallocate()
    }
}

/// One connection to a database: runs statements, reads results, takes bulk input.
///
/// It belongs to one thread at a time and blocks it while a statement runs; ``cancellation`` may be used from any.
package final class EngineConnection {
    let database: EngineDatabase
    private let shared: SharedConnection
    var handle: UnsafeMutablePointer<AdbcConnection> { unsafe shared.handle }

    /// Connects to a database (`AdbcConnectionNew`, `AdbcConnectionInit`).
    package init(to database: EngineDatabase) throws(EngineError) {
        self.database = database
        shared = try SharedConnection(to: database)
    }

    /// Connects to a new database of its own.
    package convenience init(
        path: String = ":memory:", settings: [(name: String, value: String)] = []
    ) throws(EngineError) {
        try self.init(to: EngineDatabase(path: path, settings: settings))
    }

    /// What another thread uses to stop the running statement.
    package var cancellation: EngineCancellation { EngineCancellation(connection: shared) }

    /// Runs one or more statements and throws their rows away.
    package func execute(_ sql: String) throws(EngineError) {
        let statement = try EngineStatement(on: self)
        try statement.setQuery(sql)
        let result = try statement.run()
        while try result.next() != nil {}
    }

    /// Runs one or more statements and returns the rows of the last.
    package func query(_ sql: String) throws(EngineError) -> ResultStream {
        let statement = try EngineStatement(on: self)
        try statement.setQuery(sql)
        return try statement.run()
    }

    /// The only value of the only row, as text in the engine's form; nil when it is null or there is no row.
    package func text(_ sql: String) throws(EngineError) -> String? {
        let result = try query("SELECT CAST((\(sql)) AS VARCHAR)")
        guard let batch = try result.next(), batch.rowCount > 0 else { return nil }
        return batch.columns[0].string(at: 0)
    }

    /// Puts the rows of `table` into the engine's table `name`, and returns how many there were
    /// (`AdbcStatementBindStream`). The rows are consumed: `table` is empty afterwards.
    package func ingest(
        _ table: IngestTable, into name: String, mode: IngestMode = .append
    ) throws(EngineError) {
        let statement = try EngineStatement(on: self)
        try statement.setOption("adbc.ingest.target_table", name)
        try statement.setOption("adbc.ingest.mode", mode.rawValue)
        try statement.bind(table)
        _ = try statement.run()
    }

    /// What ``ingest(_:into:mode:)`` does about the table.
    package enum IngestMode: String, Sendable {
        /// The table must exist; columns are matched by position.
        case append = "adbc.ingest.mode.append"
        /// The table must not exist.
        case create = "adbc.ingest.mode.create"
    }
}

/// Stops what runs on a connection, from any thread.
package struct EngineCancellation: Sendable {
    fileprivate let connection: SharedConnection

    /// Asks the running statement to end with ``EngineError/Code/interrupted`` (`AdbcConnectionCancel`); without one,
    /// nothing happens.
    package func cancel() { unsafe connection.cancel() }
}

/// The connection's handle, kept alive by the connection and its cancellations alike.
///
/// `@unchecked Sendable`: other threads call `AdbcConnectionCancel` alone, which ADBC 1.1.0 allows at any time.
@safe private final class SharedConnection: @unchecked Sendable {
    let database: EngineDatabase
    let handle: UnsafeMutablePointer<AdbcConnection>

    init(to database: EngineDatabase) throws(EngineError) {
        self.database = database
        unsafe handle = .allocate(capacity: 1)
        unsafe handle.initialize(to: AdbcConnection())
        let driver = unsafe database.library.driver
        let handle = unsafe handle
        try unsafe check("connect") { unsafe driver.pointee.ConnectionNew(handle, $0) }
        try unsafe check("connect") {
            unsafe driver.pointee.ConnectionInit(handle, database.handle, $0)
        }
    }

    deinit {
        if unsafe handle.pointee.private_data != nil {
            _ = unsafe database.library.driver.pointee.ConnectionRelease(handle, nil)
        }
        unsafe handle.deallocate()
    }

    @unsafe func cancel() {
        _ = unsafe database.library.driver.pointee.ConnectionCancel(handle, nil)
    }
}

/// One statement; it lives as long as its result is read.
@safe final class EngineStatement {
    let connection: EngineConnection
    private let handle: UnsafeMutablePointer<AdbcStatement>
    private var driver: UnsafeMutablePointer<AdbcDriver> {
        unsafe connection.database.library.driver
    }

    init(on connection: EngineConnection) throws(EngineError) {
        self.connection = connection
        unsafe handle = .allocate(capacity: 1)
        unsafe handle.initialize(to: AdbcStatement())
        let driver = unsafe driver
        let handle = unsafe handle
        try unsafe check("make a statement") {
            unsafe driver.pointee.StatementNew(connection.handle, handle, $0)
        }
    }

    deinit {
        if unsafe handle.pointee.private_data != nil {
            _ = unsafe driver.pointee.StatementRelease(handle, nil)
        }
        unsafe handle.deallocate()
    }

    func setQuery(_ sql: String) throws(EngineError) {
        let driver = unsafe driver
        let handle = unsafe handle
        try unsafe check("read a statement") {
            unsafe driver.pointee.StatementSetSqlQuery(handle, sql, $0)
        }
    }

    func setOption(_ name: String, _ value: String) throws(EngineError) {
        let driver = unsafe driver
        let handle = unsafe handle
        try unsafe check("set the option `\(name)`") {
            unsafe driver.pointee.StatementSetOption(handle, name, value, $0)
        }
    }

    func bind(_ table: IngestTable) throws(EngineError) {
        let driver = unsafe driver
        let handle = unsafe handle
        var stream = unsafe table.exportStream()
        try unsafe check("bind rows") {
            unsafe driver.pointee.StatementBindStream(handle, &stream, $0)
        }
    }

    func run() throws(EngineError) -> ResultStream {
        let driver = unsafe driver
        let handle = unsafe handle
        let stream = ArrowStream()
        try unsafe check("run a statement") {
            unsafe driver.pointee.StatementExecuteQuery(handle, stream.pointer, nil, $0)
        }
        return try ResultStream(stream, of: self)
    }
}

/// Calls an ADBC function and turns a status other than OK into an error; the text is copied before it is released.
func check(
    _ operation: String, _ call: (UnsafeMutablePointer<AdbcError>) -> AdbcStatusCode
) throws(EngineError) {
    var error = unsafe AdbcError()
    unsafe error.vendor_code = CADBC_ERROR_VENDOR_CODE_PRIVATE_DATA
    let status = unsafe withUnsafeMutablePointer(to: &error) { unsafe call($0) }
    guard status != 0 else { return }
    let text = unsafe error.message.map { unsafe String(cString: $0) } ?? ""
    unsafe error.release?(&error)
    throw EngineError(operation: operation, engineText: text)
}
