internal import Crypto
internal import Foundation

/// All that the child is told: the relation, the statement, and what it may use. Written to its standard input as JSON.
struct QueryPlan: Codable, Sendable {
    /// The query behind the relation `hits`; see ``HitsView``. Nil where the statement reads a catalog instead.
    var view: String?
    /// The same with numbers for the people of some rows alone, under which quick guards are tried first; see
    /// ``HitsView/sampled``. Nil where that spares nothing.
    var sampledView: String?
    /// What makes the tables of a catalog; see ``SessionCatalog``.
    var catalog: [String] = []
    /// Files that may be read.
    var files: [String]
    /// Tables of suppressed pseudonyms that the view names.
    var suppression: [SuppressionTable]
    /// The principal's statement as the gate let it through.
    var statement: String
    /// The same with quick guards, to be tried before; see ``GroupGuard/isQuick``.
    var quickStatement: String?
    /// What is told of people by the answer, asked before it.
    var releases: [ReleaseQuestion] = []
    /// The query behind `hits` for what is told in parts: rows of files of which that is not known; see ``HitsView/units``.
    var partView: String?
    /// Queries behind `hits` of which the first that has rows has the newest one; none where nobody asks for its time.
    var newestViews: [String] = []
    /// What runs where all groups are proven by what is told in parts; nil where nothing is gained.
    var proven: Proven?

    /// A statement without guards, and a view without what these read.
    struct Proven: Codable, Sendable {
        var statement: String
        var view: String
        /// Those that are known.
        var groups: ProvenGroups
    }
    /// Columns of the answer that get noise.
    var noisy: [NoisyColumn] = []
    var format: QueryFormat
    /// Stands before each row of an Arrow answer, in a column `region`.
    var leadingRegion: String?
    /// Whether the columns are told and the statement is not run.
    var describes = false
    /// The only folder that may be written.
    var scratchDirectory: String
    var limits: QueryLimits
    /// Whether to go on where the kernel has no Landlock or seccomp.
    var allowsUnsandboxed: Bool

    /// What of it decides, with the rows of the files, what is answered and what that tells.
    ///
    /// Files are never written again under their names.
    func digest(salt: UInt64) throws -> [UInt8] {
        try Question(
            salt: salt, view: view, files: files, suppression: suppression, statement: statement,
            releases: releases
        ).digest
    }

    /// What of it decides, with the rows of a file and what ``ToldInParts`` sets apart, what the file tells.
    ///
    /// - Parameters:
    ///   - view: without files.
    ///   - statement: the principal's, without its bounds of time.
    func partDigest(salt: UInt64, view: String, _ statement: String) throws -> [UInt8] {
        try Question(
            salt: salt, view: view, files: [], suppression: suppression, statement: statement,
            releases: []
        ).digest
    }

    private struct Question: Encodable {
        let salt: UInt64
        let view: String?
        let files: [String]
        let suppression: [SuppressionTable]
        let statement: String
        let releases: [ReleaseQuestion]

        var digest: [UInt8] {
            get throws {
                let encoder = JSONEncoder()
                encoder.outputFormatting = .sortedKeys
                return SHA256.digest(Array(try encoder.encode(self))).bytes
            }
        }
    }

    struct ReleaseQuestion: Codable, Sendable {
        /// In parts, a ``Release/partSQL(_:salt:)``; nil where rows of the table are not told of one by one.
        var part: String?
        /// A ``Release/sql(_:salt:isQuick:)`` with bounds for people, to be tried before the exact one.
        var quick: String
        var exact: String
    }

    struct SuppressionTable: Codable, Sendable {
        var name: String
        var pseudonyms: [String]
    }

    /// Name of the file in the scratch directory that holds a Parquet result.
    static let parquetName = "result.parquet"
}

/// How rows are handed over.
package enum QueryFormat: String, CaseIterable, Sendable, Codable {
    case table, csv, json, parquet, arrow
    /// Rows as messages of the PostgreSQL protocol with every value as text, and the types of the columns.
    case postgres

    /// Those that a person may ask for.
    package static let named: [QueryFormat] = [.table, .csv, .json, .parquet, .arrow]
}

/// What the child says to its parent: frames of a kind, a length (32 bits, least significant byte first) and a payload.
enum WorkerFrame: Equatable {
    /// All that can be done without a plan is done.
    case ready
    /// Names of the columns, before any row.
    case columns([String])
    /// The first message of an Arrow stream, before any row.
    case schema([UInt8])
    /// Their types, for the form `postgres`.
    case types([String])
    /// A run of rows in the asked form; for `table`, JSON arrays of texts and nulls, one a line; for `arrow` and `postgres`, messages.
    case rows([UInt8])
    /// Rows of the release with the index, as lines of CSV.
    case release(Int, [UInt8])
    /// What it tells in parts.
    case parts(Int, [UInt8])
    case done(WorkerSummary)
    case failed(WorkerFailure)

    /// Longer frames are a broken child.
    static let payloadBytesMax = 8 << 20

    enum Kind: UInt8 {
        case ready = 0x57
        case columns = 0x42
        case schema = 0x53
        case types = 0x54
        case rows = 0x52
        case release = 0x4C
        case parts = 0x50
        case done = 0x44
        case failed = 0x45
    }
}

/// How a query ended well in the child.
struct WorkerSummary: Codable, Equatable {
    var rowCount: Int
    /// What held the child: `landlock 6, seccomp`, or what is missing.
    var confinement: String
    /// The time of the newest row that it could read, in microseconds; nil where there is none, or nobody asked.
    var newest: Int64?
    /// Whether the quick guards have proven that every group is of enough people.
    var isProven = false
}

/// How a query ended badly in the child. Codes alone, so that no value of a row leaves with an error; `text` is set only for
/// errors found before any row was read, which quote nothing but the query.
struct WorkerFailure: Codable, Equatable, Error {
    enum Code: String, Codable {
        /// The kernel cannot confine the child.
        case unconfined
        /// The engine or its settings failed before the query.
        case setup
        /// The query names what is not there, or its types do not fit.
        case invalid
        /// What a part of the query tells cannot be found out by itself.
        case untold
        /// A value could not be converted or is out of range.
        case conversion
        case memory
        case tooManyRows
        case tooManyBytes
        /// What the engine writes beside its memory is more than it may, or the disk is full.
        case scratch
        /// A file could not be read.
        case file
        case engine
    }
    var code: Code
    var text: String?
}
