/// The service of one region: its Iceberg REST catalog and its queries over HTTP, and the same queries in the PostgreSQL
/// protocol, for bearers of the region's tokens.
///
/// ``RegionAPI`` turns a request into an answer and knows no socket; ``ServiceListener`` moves bytes and knows no route;
/// ``PostgresSession`` is what a client of PostgreSQL talks to. What a
/// commit makes of a table's metadata is decided by `Iceberg` alone. Three rules hold everywhere: nobody is served without a
/// token; `pixels` is written by Cordon alone, and read as files only by those whom every policy of the region shows whole rows;
/// what cannot be written to the audit log does not happen. Start at ``RegionAPI/answer(_:)``.
package enum CordonAPI {}

/// Bounds on what a client may send and how long it may take.
package enum APILimits {
    /// A request's body, in bytes: the metadata of a table with some thousand snapshots. Larger is 413.
    package static let bodyBytesMax = 8 << 20
    /// The head with its empty line, in bytes. Larger is 431.
    package static let headBytesMax = 16_384
    /// Objects and lists within one another in a body: deeper than any schema that is taken.
    package static let nestingMax = 64
    /// Connections at a time, each with a thread. One more is answered 503 and closed.
    package static let connectionsMax = 64
    /// Queries at a time; more wait.
    package static let queriesMax = 2
    /// How long a head, a body and an answer may take to pass, in milliseconds.
    package static let headMillisecondsMax: UInt64 = 10_000
    package static let bodyMillisecondsMax: UInt64 = 60_000
    package static let answerMillisecondsMax: UInt64 = 120_000
    /// Silence between two requests of a connection, in milliseconds.
    package static let idleMillisecondsMax: UInt64 = 30_000
    /// Silence of a client of PostgreSQL between two messages, in milliseconds: people think, and pools of connections wait.
    package static let sessionIdleMillisecondsMax: UInt64 = 1_800_000
    /// How long a refused client is read on, unheard, so that it can read why, in milliseconds.
    package static let lingerMillisecondsMax: UInt64 = 2000
    /// How long stopping waits for requests under way, in milliseconds: a query's own bound and some more.
    package static let stopMillisecondsMax = 75_000
    /// Names of one page of a list, when a page is asked for.
    package static let pageMax = 1000
    /// A table's metadata as they are kept, in bytes.
    package static let metadataBytesMax = 8 << 20
    /// Properties of a table or namespace, and bytes of a name and of a value.
    package static let propertiesMax = 200
    package static let propertyNameBytesMax = 256
    package static let propertyValueBytesMax = 4096
    /// Updates or requirements of one commit, and tables of one transaction.
    package static let updatesMax = 10_000
    package static let transactionTablesMax = 100
    /// A larger body is read of those alone who have shown a good token.
    package static let strangerBodyBytesMax = 1 << 16
    /// Refusals of people without a token that are told one by one, in a minute; more are counted.
    package static let strangersPerMinute = 60
}

/// The bounds of one listener's connections, units as in ``APILimits``; tests take smaller ones.
package struct ServiceLimits: Sendable {
    package var connections = APILimits.connectionsMax
    package var headBytes = APILimits.headBytesMax
    package var bodyBytes = APILimits.bodyBytesMax
    package var strangerBodyBytes = APILimits.strangerBodyBytesMax
    package var headMilliseconds = APILimits.headMillisecondsMax
    package var bodyMilliseconds = APILimits.bodyMillisecondsMax
    package var answerMilliseconds = APILimits.answerMillisecondsMax
    package var idleMilliseconds = APILimits.idleMillisecondsMax
    package var lingerMilliseconds = APILimits.lingerMillisecondsMax
    package var stopMilliseconds = APILimits.stopMillisecondsMax

    package init() {}
}

/// Why a request is not answered as asked, in the error model of the Iceberg REST catalog.
package struct APIError: Error, Equatable, Sendable {
    package let status: Int
    /// Such as `NoSuchTableException`: clients choose by it.
    package let type: String
    package let message: String
    /// A code for the audit log, for refusals that belong there.
    package var reason: String?

    package init(_ status: Int, _ type: String, _ message: String, reason: String? = nil) {
        self.status = status
        self.type = type
        self.message = message
        self.reason = reason
    }

    static func bad(_ message: String) -> APIError {
        APIError(400, "BadRequestException", message)
    }
    /// What only someone who means harm, or a broken client, asks for; the audit log hears of it.
    static func hostile(_ message: String, reason: String) -> APIError {
        APIError(400, "BadRequestException", message, reason: reason)
    }
    static func forbidden(_ message: String, reason: String) -> APIError {
        APIError(403, "ForbiddenException", message, reason: reason)
    }
    static func noNamespace() -> APIError {
        APIError(404, "NoSuchNamespaceException", "there is no such namespace")
    }
    static func noTable() -> APIError {
        APIError(404, "NoSuchTableException", "there is no such table")
    }
    static func conflict(_ message: String) -> APIError {
        APIError(409, "CommitFailedException", message)
    }
    static func unavailable(_ message: String) -> APIError {
        APIError(503, "ServiceUnavailableException", message)
    }
}
