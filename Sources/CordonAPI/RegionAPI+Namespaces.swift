internal import CordonAudit
internal import CordonCatalog
internal import CordonModel
internal import CordonTokens

// What there is: configuration, namespaces, names of tables.
extension RegionAPI {
    private struct Config: Encodable {
        let defaults: [String: String] = [:]
        let overrides: [String: String]
        let endpoints: [String]
        let idempotency = "PT30M"

        private enum CodingKeys: String, CodingKey {
            case defaults, overrides, endpoints
            case idempotency = "idempotency-key-lifetime"
        }
    }

    func config(_ call: Call) throws(APIError) -> APIResponse {
        let warehouse = call.request.query["warehouse"] ?? ""
        guard warehouse.isEmpty || warehouse == region.name else {
            throw APIError(
                404, "NoSuchWarehouseException",
                "the warehouse of this service is `\(region.name)`")
        }
        return APIResponse(
            200,
            body: Self.json(
                Config(overrides: ["prefix": region.name], endpoints: Route.advertised)))
    }

    /// The one level of a namespace's name.
    ///
    /// - Throws: 404 for names that no namespace here has: those of several levels, and those that are not allowed.
    func level(_ name: String) throws(APIError) -> String {
        guard ClientNames.isNamespace(name) else { throw .noNamespace() }
        return name
    }

    /// A client's namespace that the bearer may use; to all others it does not exist.
    func writable(_ name: String, _ call: Call, for what: String) throws(APIError) -> String {
        let name = try level(name)
        guard name != ClientNames.own else {
            throw .forbidden(
                "namespace `pixels` is written by Cordon alone; \(what) in a namespace of your own",
                reason: "own-namespace")
        }
        guard call.bearer.token.grant.writes.contains(name) else {
            throw .forbidden(
                "the token allows no \(what) in this namespace", reason: "namespace")
        }
        return name
    }

    /// Namespaces that the bearer can see, sorted.
    private func visible(_ call: Call) throws -> [String] {
        let granted = Set(call.bearer.token.grant.writes)
        return (try catalog.namespaces().filter(granted.contains) + [ClientNames.own]).sorted()
    }

    private struct NamespaceList: Encodable {
        let namespaces: [[String]]
        let next: String?

        private enum CodingKeys: String, CodingKey {
            case namespaces
            case next = "next-page-token"
        }
    }

    func listNamespaces(_ call: Call) throws -> APIResponse {
        // One level: below a namespace there is none, and below one that is not there nothing can be asked.
        if let parent = call.request.query["parent"], !parent.isEmpty {
            guard try visible(call).contains(level(parent)) else { throw APIError.noNamespace() }
            return APIResponse(200, body: Self.json(NamespaceList(namespaces: [], next: nil)))
        }
        let page = try Page(visible(call), call.request) { $0 }
        return APIResponse(
            200,
            body: Self.json(NamespaceList(namespaces: page.items.map { [$0] }, next: page.next))
        )
    }

    private struct Namespace: Codable {
        let namespace: [String]
        let properties: [String: String]?
    }

    func createNamespace(_ call: Call) throws -> APIResponse {
        let asked = try RequestBody.read(Namespace.self, call.request.body)
        let properties = asked.properties ?? [:]
        guard asked.namespace.count == 1, ClientNames.isNamespace(asked.namespace[0]) else {
            throw APIError.hostile(
                "a namespace is one word of lowercase letters, digits, `.`, `_` and `-`",
                reason: "name")
        }
        let name = try writable(asked.namespace[0], call, for: "table")
        try ClientNames.requireProperties(properties)
        let response = APIResponse(
            200, body: Self.json(Namespace(namespace: [name], properties: properties)))
        do {
            try catalog.createNamespace(
                name, properties: properties, at: clock.now(),
                effect(
                    "catalog.namespace-created", call, response, ["namespace": .text(name)]))
        } catch ClientTableError.namespaceExists {
            throw APIError(409, "AlreadyExistsException", "the namespace exists already")
        } catch ClientTableError.tooMany {
            throw APIError(
                422, "UnprocessableEntityException",
                "there are \(Catalog.namespacesMax) namespaces already")
        }
        return response
    }

    func loadNamespace(_ name: String, _ call: Call) throws -> APIResponse {
        let name = try level(name)
        guard try visible(call).contains(name) else { throw APIError.noNamespace() }
        let properties = try catalog.namespaceProperties(name) ?? [:]
        return APIResponse(
            200, body: Self.json(Namespace(namespace: [name], properties: properties)))
    }

    func dropNamespace(_ name: String, _ call: Call) throws -> APIResponse {
        let name = try writable(name, call, for: "change")
        let response = APIResponse(204)
        do {
            try catalog.dropNamespace(
                name, at: clock.now(),
                effect("catalog.namespace-dropped", call, response, ["namespace": .text(name)]))
        } catch ClientTableError.noNamespace {
            throw APIError.noNamespace()
        } catch ClientTableError.namespaceNotEmpty {
            throw APIError(
                409, "NamespaceNotEmptyException", "the namespace has tables: drop them first")
        }
        return response
    }

    private struct PropertyChange: Decodable {
        let removals: [String]?
        let updates: [String: String]?
    }

    private struct PropertyChanges: Encodable {
        let updated: [String]
        let removed: [String]
        /// PyIceberg needs it, whatever the specification says.
        let missing: [String]
    }

    func changeNamespace(_ name: String, _ call: Call) throws -> APIResponse {
        let name = try writable(name, call, for: "change")
        let asked = try RequestBody.read(PropertyChange.self, call.request.body)
        let updates = asked.updates ?? [:]
        let removals = Set(asked.removals ?? [])
        guard removals.isDisjoint(with: updates.keys) else {
            throw APIError(
                422, "UnprocessableEntityException", "a property cannot be set and removed at once")
        }
        guard let before = try catalog.namespaceProperties(name) else {
            throw APIError.noNamespace()
        }
        let removed = removals.intersection(before.keys)
        try ClientNames.requireProperties(
            before.filter { !removed.contains($0.key) }.merging(updates) { $1 })
        let response = APIResponse(
            200,
            body: Self.json(
                PropertyChanges(
                    updated: updates.keys.sorted(), removed: removed.sorted(),
                    missing: removals.subtracting(before.keys).sorted())))
        do {
            try catalog.changeNamespace(
                name, setting: updates, removing: removed.sorted(), at: clock.now(),
                effect("catalog.namespace-changed", call, response, ["namespace": .text(name)]))
        } catch ClientTableError.noNamespace {
            throw APIError.noNamespace()
        }
        return response
    }

    struct TableName: Codable, Equatable {
        let namespace: [String]
        let name: String
    }

    private struct TableList: Encodable {
        let identifiers: [TableName]
        let next: String?

        private enum CodingKeys: String, CodingKey {
            case identifiers
            case next = "next-page-token"
        }
    }

    func listTables(_ name: String, _ call: Call) throws -> APIResponse {
        let name = try level(name)
        guard try visible(call).contains(name) else { throw APIError.noNamespace() }
        let names: [String]
        if name == ClientNames.own {
            let exists = try catalog.tableHead("\(ClientNames.own).\(ClientNames.ownTable)") != nil
            names = exists ? [ClientNames.ownTable] : []
        } else {
            names = try catalog.clientTables(in: name).map(\.name)
        }
        let page = try Page(names, call.request) { $0 }
        let list = TableList(
            identifiers: page.items.map { TableName(namespace: [name], name: $0) }, next: page.next)
        return APIResponse(200, body: Self.json(list))
    }

    /// There are no views; some clients ask for them before they ask for tables.
    func listViews(_ name: String, _ call: Call) throws -> APIResponse {
        let name = try level(name)
        guard try visible(call).contains(name) else { throw APIError.noNamespace() }
        return APIResponse(200, body: Self.json(TableList(identifiers: [], next: nil)))
    }

    func tableExists(_ namespace: String, _ name: String, _ call: Call) throws -> APIResponse {
        let namespace = try level(namespace)
        guard try visible(call).contains(namespace) else { throw APIError.noNamespace() }
        let exists =
            namespace == ClientNames.own
            ? try name == ClientNames.ownTable
                && catalog.tableHead("\(namespace).\(name)") != nil
            : try catalog.clientTable(namespace, name) != nil
        guard exists else { throw APIError.noTable() }
        return APIResponse(204)
    }

    /// What a client says of a scan names columns and values that it looked for, so none of it is kept.
    func reportMetrics(_ namespace: String, _ name: String, _ call: Call) throws -> APIResponse {
        _ = try tableExists(namespace, name, call)
        try tell("catalog.scan-reported", call, ["table": .text("\(namespace).\(name)")])
        return APIResponse(204)
    }
}
