package import ArrowIPC
package import CordonModel
internal import CordonPolicy

/// A question of a principal.
package struct QueryRequest: Sendable {
    package var sql: String
    /// Values for its parameters, the first for `$1`.
    package var parameters: [QueryParameter]
    package var principal: Principal
    package var format: QueryFormat
    package var limits: QueryLimits
    /// Whether each row of an Arrow answer stands behind its region's name.
    var namesRegion = false
    /// What ends the query before its time, if anything may.
    package var cancellation: QueryCancellation?
    /// Whether only the columns of the answer are wanted: no file is opened then.
    var describes = false

    package init(
        sql: String, parameters: [QueryParameter] = [], principal: Principal,
        format: QueryFormat = .table, limits: QueryLimits = QueryLimits(),
        cancellation: QueryCancellation? = nil
    ) {
        self.sql = sql
        self.parameters = parameters
        self.cancellation = cancellation
        self.principal = principal
        self.format = format
        self.limits = limits
    }
}

/// A region as the query layer needs it; whoever knows the lake, the journal and the audit log supplies it.
package protocol QueryRegion {
    var name: String { get }
    /// ISO 3166 code of the country that the region stands in.
    var jurisdiction: String { get }
    /// A folder of the region for what queries spill to disk.
    var scratchDirectory: String { get }
    /// Columns that hold nothing which a query could open: shown as null to everybody.
    var sealedColumns: Set<String> { get }
    /// The data files of the present snapshot.
    func files() throws -> [QueryFile]
    /// Pseudonyms whose rows must not be seen although they may still stand in files.
    func suppressedPseudonyms() throws -> [SuppressedPseudonym]
    /// Who asks, as far as answers of one can be put together: the subject of a token, or a role on the command line.
    func asker(_ principal: Principal) -> String
    /// What answers over groups have told in the region.
    func ledger() throws -> QueryLedger
    /// Appends an entry to the region's audit log; returns when it is durable.
    func record(_ entry: QueryAuditEntry) throws
}

/// A data file of the lake.
package struct QueryFile: Equatable, Sendable {
    package var path: String
    /// Value of the partition field `retain_until`, when all rows of the file have one.
    package var retainUntil: Day?
    /// Columns that it has not, since it is older than they are.
    package var lacking: Set<String>
    /// Day of `ts` in UTC, when all rows of the file have one.
    package var day: Day?
    /// How many rows it has; nil when that is not known.
    package var rows: Int?
    /// Between which texts every `site` lies; nil when that is not known.
    package var sites: TextBounds?

    package init(
        path: String, retainUntil: Day?, lacking: Set<String> = [], day: Day? = nil,
        rows: Int? = nil, sites: TextBounds? = nil
    ) {
        self.path = path
        self.retainUntil = retainUntil
        self.lacking = lacking
        self.day = day
        self.rows = rows
        self.sites = sites
    }
}

package struct SuppressedPseudonym: Equatable, Sendable {
    /// The column that may hold it.
    package enum Column: String, CaseIterable, Sendable { case user, visitor }
    package var column: Column
    package var pseudonym: Pseudonym

    package init(column: Column, pseudonym: Pseudonym) {
        self.column = column
        self.pseudonym = pseudonym
    }
}

/// What the audit log learns of a query: never its text.
package struct QueryAuditEntry: Equatable, Sendable {
    package enum Outcome: String, Sendable { case answered, refused, failed }

    package var at: Timestamp
    package var region: String
    package var principal: Principal
    package var outcome: Outcome
    /// The rules that granted or refused, as `file:line`; a refusal by no file names its check.
    package var rules: [String]
    /// Rows of the answer; 0 when there is none.
    package var rowCount: Int
    /// Files that could be read.
    package var fileCount: Int
    package var format: QueryFormat
    /// Hexadecimal SHA-256 of the salt, the text as it was asked and the values of its parameters.
    package var statementDigest: String
    /// 16 random bytes in hexadecimal, so that equal questions do not show as equal.
    package var salt: String
}

/// An answered query.
package struct QueryAnswer: Sendable {
    package enum Body: Sendable {
        /// For the form `table`: texts by row, nil where null.
        case cells([[String?]])
        /// Bytes to print as they are: CSV, a JSON object a line, or messages of the PostgreSQL protocol.
        case text([UInt8])
        /// An Arrow stream.
        case arrow(ArrowStreamParts)
        /// A Parquet file that now belongs to the caller.
        case file(path: String)
    }
    package var columns: [String]
    /// The columns with their types, for the form `postgres` alone.
    package var typedColumns: [QueryColumn]
    package var rowCount: Int
    package var body: Body
    package var access: Access
    /// What held the child; see ``WorkerSummary``.
    package var confinement: String
    /// The answer is of the rows up to then, since too few people's rows have come later to tell of them; nil when it is of all.
    package var asOf: Timestamp?
    /// What the noise of the answer spent, in ten-thousandths; nil where there is none.
    package var epsilon: Int?
}

extension QueryAnswer {
    /// What is to be told beside an answer over groups, to people.
    package static func remarks(asOf: Timestamp?, epsilon: Int?) -> [String] {
        var remarks: [String] = []
        if let asOf {
            remarks.append(
                "the answer is as of \(asOf.text): too few people's hits have come since then")
        }
        if let epsilon {
            remarks.append(
                "counts and sums have noise, which spent an epsilon of \(AccessRule.Noise.text(epsilon)); `cordon query budget` shows what is left"
            )
        }
        return remarks
    }
}

/// Why a query was neither answered nor refused. Nothing in it quotes a row.
package struct QueryError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The query is at fault: a name that is not there, types that do not fit, a value that does not convert.
        case query
        /// It asks for more time, memory or rows than it may have.
        case limits
        /// Whoever asked has ended it.
        case cancelled
        /// The kernel cannot confine the child.
        case unconfined
        /// The audit log could not be written, so nothing is shown.
        case audit
        /// A file, the engine or the child failed.
        case world
    }
    /// What exactly, where callers tell it apart.
    package enum Cause: String, Sendable {
        /// A value that cannot be converted or is out of range.
        case value
        case time, memory, scratch
        /// Rows or bytes of the result.
        case size
    }
    package let code: Code
    package let text: String
    package var cause: Cause?
    package var description: String { text }
}
