internal import Iceberg

/// Foundation has a type of the same name, so it is called so where both are seen.
typealias TableSortOrder = SortOrder

/// What a request asks for, by method and path.
enum Route: Equatable, Sendable {
    case health
    case metrics
    case config
    case query
    case listNamespaces, createNamespace
    case loadNamespace(String)
    case namespaceExists(String)
    case dropNamespace(String)
    case changeNamespace(String)
    case listTables(String)
    case createTable(String)
    case loadTable(String, String)
    case tableExists(String, String)
    case commit(String, String)
    case dropTable(String, String)
    case reportMetrics(String, String)
    case listViews(String)
    case renameTable
    case commitTransaction

    /// The endpoints that `/v1/config` names: these, and no other of the specification, are served.
    static let advertised = [
        "GET /v1/{prefix}/namespaces", "POST /v1/{prefix}/namespaces",
        "GET /v1/{prefix}/namespaces/{namespace}", "HEAD /v1/{prefix}/namespaces/{namespace}",
        "DELETE /v1/{prefix}/namespaces/{namespace}",
        "POST /v1/{prefix}/namespaces/{namespace}/properties",
        "GET /v1/{prefix}/namespaces/{namespace}/tables",
        "POST /v1/{prefix}/namespaces/{namespace}/tables",
        "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics",
        "GET /v1/{prefix}/namespaces/{namespace}/views", "POST /v1/{prefix}/tables/rename",
        "POST /v1/{prefix}/transactions/commit",
    ]

    /// - Returns: the route and the prefix, which is nil where there is none; throws 404 or 405.
    static func find(
        _ method: String, _ segments: [String]
    ) throws(APIError) -> (route: Route, prefix: String?) {
        if segments == ["healthz"] { return (try only(method, ["GET": .health]), nil) }
        if segments == ["metrics"] { return (try only(method, ["GET": .metrics]), nil) }
        guard segments.first == "v1", segments.count >= 2 else { throw unknown }
        if segments.count == 2 {
            switch segments[1] {
            case "config": return (try only(method, ["GET": .config]), nil)
            case "query": return (try only(method, ["POST": .query]), nil)
            default: throw unknown
            }
        }
        return (try find(method, below: Array(segments[2...])), segments[1])
    }

    private static func find(_ method: String, below rest: [String]) throws(APIError) -> Route {
        if rest == ["tables", "rename"] { return try only(method, ["POST": .renameTable]) }
        if rest == ["transactions", "commit"] {
            return try only(method, ["POST": .commitTransaction])
        }
        guard rest.first == "namespaces" else { throw unknown }
        if rest.count == 1 {
            return try only(method, ["GET": .listNamespaces, "POST": .createNamespace])
        }
        let namespace = rest[1]
        switch rest.count {
        case 2:
            return try only(
                method,
                [
                    "GET": .loadNamespace(namespace), "HEAD": .namespaceExists(namespace),
                    "DELETE": .dropNamespace(namespace),
                ])
        case 3 where rest[2] == "properties":
            return try only(method, ["POST": .changeNamespace(namespace)])
        case 3 where rest[2] == "tables":
            return try only(
                method, ["GET": .listTables(namespace), "POST": .createTable(namespace)])
        case 3 where rest[2] == "views": return try only(method, ["GET": .listViews(namespace)])
        case 4 where rest[2] == "tables":
            return try only(
                method,
                [
                    "GET": .loadTable(namespace, rest[3]), "HEAD": .tableExists(namespace, rest[3]),
                    "POST": .commit(namespace, rest[3]), "DELETE": .dropTable(namespace, rest[3]),
                ])
        case 5 where rest[2] == "tables" && rest[4] == "metrics":
            return try only(method, ["POST": .reportMetrics(namespace, rest[3])])
        default: throw unknown
        }
    }

    private static func only(
        _ method: String, _ routes: [String: Route]
    ) throws(APIError) -> Route {
        guard let route = routes[method] else {
            throw APIError(
                405, "UnsupportedOperationException",
                "this address takes \(routes.keys.sorted().joined(separator: ", "))")
        }
        return route
    }

    private static var unknown: APIError {
        APIError(404, "NoSuchEndpointException", "nothing is served at this address")
    }

    /// A word for logs and the audit log.
    var name: String {
        switch self {
        case .health: "health"
        case .metrics: "metrics"
        case .config: "config"
        case .query: "query"
        case .listNamespaces: "list-namespaces"
        case .createNamespace: "create-namespace"
        case .loadNamespace: "load-namespace"
        case .namespaceExists: "namespace-exists"
        case .dropNamespace: "drop-namespace"
        case .changeNamespace: "change-namespace"
        case .listTables: "list-tables"
        case .createTable: "create-table"
        case .loadTable: "load-table"
        case .tableExists: "table-exists"
        case .commit: "commit"
        case .dropTable: "drop-table"
        case .reportMetrics: "report-metrics"
        case .listViews: "list-views"
        case .renameTable: "rename-table"
        case .commitTransaction: "commit-transaction"
        }
    }

    /// Whether it changes something, so that a client may name it by a key.
    var isChange: Bool {
        switch self {
        case .createNamespace, .dropNamespace, .changeNamespace, .createTable, .commit, .dropTable,
            .renameTable, .commitTransaction:
            true
        default: false
        }
    }
}
