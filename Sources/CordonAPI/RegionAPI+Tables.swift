internal import CordonAudit
internal import CordonCatalog
internal import CordonLake
internal import CordonModel
internal import CordonQuery
internal import CordonTokens
internal import Crypto
internal import Foundation
internal import Iceberg
internal import LinuxIO
internal import Telemetry

// Tables: load, create, commit, drop, rename.
extension RegionAPI {
    /// Where the folders of clients' tables lie and what their files may be.
    var clientFiles: ClientFiles { ClientFiles(root: region.lakeDirectory) }

    func loadTable(_ namespace: String, _ name: String, _ call: Call) throws -> APIResponse {
        let mode = call.request.query["snapshots"] ?? "all"
        guard mode == "all" || mode == "refs" else {
            throw APIError.bad("`snapshots` is `all` or `refs`")
        }
        let namespace = try level(namespace)
        let location: String
        var metadata: TableMetadata
        if namespace == ClientNames.own {
            guard name == ClientNames.ownTable, let table = try hits.open() else {
                throw APIError.noTable()
            }
            if let refused = try refusal(of: table, call) { return refused }
            (location, metadata) = (table.metadataLocation, table.metadata)
        } else {
            let namespace = try writable(namespace, call, for: "table")
            guard let table = try catalog.clientTable(namespace, name) else {
                throw try missing(namespace)
            }
            (location, metadata) = (table.metadataLocation, try clientFiles.metadata(table))
        }
        let isWhole = mode == "all"
        let tag = Self.entityTag(location, mode)
        try tell(
            "catalog.loaded", call,
            [
                "table": .text("\(namespace).\(name)"), "table_uuid": .text(metadata.tableUUID),
                "snapshot": .text(metadata.currentSnapshotID.map { "\($0)" } ?? "none"),
            ])
        if Self.matches(call.request.fields["if-none-match"], tag) {
            return APIResponse(304, fields: [("ETag", tag)])
        }
        if !isWhole {
            let named = Set(metadata.refs.values.map(\.snapshotID))
            metadata.snapshots.removeAll { !named.contains($0.snapshotID) }
        }
        return APIResponse(
            200, body: Self.tableBody(location, metadata.encoded), fields: [("ETag", tag)])
    }

    /// The answer to whoever may not read the files themselves, told to the audit log; it names the way that is open.
    private func refusal(of table: OpenTable, _ call: Call) throws -> APIResponse? {
        let raw = RawTable(
            for: call.bearer.principal, in: region.name, jurisdiction: region.jurisdiction,
            under: policies(), files: table.files, openErasures: try openErasures(),
            today: Day(clock.now()))
        guard case .refused(let refusal) = raw else { return nil }
        try tell(
            "catalog.refused", call,
            [
                "table": "pixels.hits", "rule": .text(refusal.rule),
                "place_of_rule": .text(
                    refusal.file.map { "\($0):\(refusal.line ?? 0)" } ?? ""),
            ])
        return Self.refused(
            Refusal(
                rule: refusal.rule, file: refusal.file, line: refusal.line,
                text: refusal.text
                    + "; the files hold whole rows, so ask through `POST /v1/query` of this service"
            ))
    }

    /// A tag that changes with the metadata file, and with how much of it is shown.
    private static func entityTag(_ location: String, _ mode: String) -> String {
        "\"" + SHA256.digest(Array("\(mode) \(location)".utf8)).hex.prefix(32) + "\""
    }

    private static func matches(_ field: String?, _ tag: String) -> Bool {
        guard let field else { return false }
        return field.split(separator: ",").contains { item in
            let value = item.drop { $0 == " " }
            return value == "*" || value == tag
                || value.hasPrefix("W/") && value.dropFirst(2) == tag
        }
    }

    /// `LoadTableResult`; the metadata stand in it as they are encoded.
    private static func tableBody(_ location: String?, _ metadata: [UInt8]) -> [UInt8] {
        // An empty `config`: DuckDB takes any other for credentials and asks for their region.
        var body = Array(#"{"config":{},"metadata":"#.utf8)
        body += metadata
        body += Array(#","metadata-location":"#.utf8)
        body += location.map { json($0) } ?? Array("null".utf8)
        body.append(0x7D)
        return body
    }

    private func missing(_ namespace: String) throws -> APIError {
        try catalog.namespaceProperties(namespace) == nil ? .noNamespace() : .noTable()
    }

    // MARK: Create

    private struct NewTable: Decodable {
        let name: String
        let location: String?
        let schema: IcebergSchema
        let spec: TableUpdate.UnboundSpec?
        let order: TableSortOrder?
        let isStaged: Bool?
        let properties: [String: String]?

        private enum CodingKeys: String, CodingKey {
            case name, location, schema, properties
            case spec = "partition-spec"
            case order = "write-order"
            case isStaged = "stage-create"
        }
    }

    func createTable(_ namespace: String, _ call: Call) throws -> APIResponse {
        let namespace = try writable(namespace, call, for: "table")
        let asked = try RequestBody.read(NewTable.self, call.request.body)
        guard ClientNames.isTable(asked.name) else {
            throw APIError.hostile(
                "a table's name is one word of letters, digits, `.`, `_` and `-`", reason: "name")
        }
        // A relative location (Sail sends one) would mean the folder that the service runs in: the service's own stands instead.
        if let location = asked.location, location.hasPrefix("/") || location.contains(":") {
            throw APIError.hostile(
                "the service chooses where a table lies: leave `location` out", reason: "location")
        }
        guard try catalog.namespaceProperties(namespace) != nil else {
            throw APIError.noNamespace()
        }
        guard try catalog.clientTable(namespace, asked.name) == nil else {
            throw APIError(409, "AlreadyExistsException", "the table exists already")
        }
        var properties = asked.properties ?? [:]
        let version = properties.removeValue(forKey: "format-version") ?? "2"
        guard version == "2" else {
            throw APIError.bad("expected format version 2, found `\(version.prefix(16))`")
        }
        try requireProperties(properties)
        let uuid = UUID().uuidString.lowercased()
        let location = clientFiles.location(namespace, asked.name, uuid)
        var updates: [TableUpdate] = [
            .assignUUID(uuid), .upgradeFormatVersion(2), .setLocation(location),
            .addSchema(asked.schema), .setCurrentSchema(-1),
            .addSpec(asked.spec ?? TableUpdate.UnboundSpec(fields: [])), .setDefaultSpec(-1),
            .addSortOrder(asked.order ?? TableSortOrder(orderID: 0, fields: [])),
            .setDefaultSortOrder(-1),
        ]
        if !properties.isEmpty { updates.append(.setProperties(properties)) }
        let metadata = try applying(updates, to: nil, replacing: nil, [.create])
        let encoded = try bounded(metadata)
        var table = ClientTable(
            namespace: namespace, name: asked.name, uuid: uuid, location: location,
            metadataLocation: "")
        do {
            try sweep(try catalog.stage(table, at: clock.now()))
        } catch ClientTableError.tooManyStaged {
            throw APIError.unavailable("too many tables are prepared and not made; try again later")
        } catch ClientTableError.noNamespace {
            throw APIError.noNamespace()
        }
        // DuckDB writes into the folders without making them.
        try clientFiles.makeFolders(location)
        if asked.isStaged == true {
            try tell(
                "catalog.staged", call,
                ["table": .text(table.fullName), "table_uuid": .text(uuid)])
            return APIResponse(200, body: Self.tableBody(nil, encoded))
        }
        table.metadataLocation = try clientFiles.write(encoded, of: location, after: nil)
        let response = APIResponse(
            200, body: Self.tableBody(table.metadataLocation, encoded))
        try commit(
            [Prepared(table: table, expecting: nil, metadata: metadata, encoded: encoded)], call,
            response)
        return response
    }

    private func requireProperties(_ properties: [String: String]) throws(APIError) {
        try ClientNames.requireProperties(properties)
        // What would send a writer's files elsewhere.
        for name in [
            "write.data.path", "write.metadata.path", "write.object-storage.path",
            "write.folder-storage.path", "write.location-provider.impl",
        ] where properties[name] != nil {
            throw .hostile(
                "`\(name)` is not taken: a table's files lie in its own folder", reason: "location")
        }
    }

    private func applying(
        _ updates: [TableUpdate], to base: TableMetadata?, replacing location: String?,
        _ requirements: [TableRequirement]
    ) throws(APIError) -> TableMetadata {
        do throws(CommitFailure) {
            return try TableMetadata.applying(
                updates, to: base, replacing: location, requiring: requirements,
                at: clock.now().microseconds / 1000)
        } catch {
            switch error.code {
            case .requirement: throw .conflict(error.text)
            case .invalid, .unsupported: throw .bad(error.text)
            }
        }
    }

    private func bounded(_ metadata: TableMetadata) throws(APIError) -> [UInt8] {
        let encoded = metadata.encoded
        guard encoded.count <= APILimits.metadataBytesMax else {
            throw .hostile(
                "the table's metadata would be larger than \(APILimits.metadataBytesMax >> 20) MiB: expire snapshots",
                reason: "size")
        }
        return encoded
    }

    // MARK: Commit

    private struct CommitRequest: Decodable {
        let identifier: TableName?
        let requirements: [TableRequirement]
        let updates: [TableUpdate]
    }

    /// One table of a commit, ready but for the pointer.
    private struct Prepared {
        /// With the new metadata location.
        var table: ClientTable
        var expecting: String?
        var metadata: TableMetadata
        var encoded: [UInt8]
        /// The table was so already; nothing is to be done.
        var isDone = false
    }

    func commit(_ namespace: String, _ name: String, _ call: Call) throws -> APIResponse {
        let namespace = try writable(namespace, call, for: "commit")
        let asked = try RequestBody.read(CommitRequest.self, call.request.body)
        if let identifier = asked.identifier,
            identifier != TableName(namespace: [namespace], name: name)
        {
            throw APIError.bad("the body names another table than the address")
        }
        let prepared = try prepare(asked, namespace, name)
        let response = APIResponse(
            200, body: Self.tableBody(prepared.table.metadataLocation, prepared.encoded))
        if prepared.isDone {
            try tellDone(prepared, call)
        } else {
            try commit([prepared], call, response)
        }
        return response
    }

    private struct Transaction: Decodable {
        let changes: [CommitRequest]

        private enum CodingKeys: String, CodingKey {
            case changes = "table-changes"
        }
    }

    func commitTransaction(_ call: Call) throws -> APIResponse {
        let asked = try RequestBody.read(Transaction.self, call.request.body)
        guard (1...APILimits.transactionTablesMax).contains(asked.changes.count) else {
            throw APIError.bad(
                "a transaction changes 1 to \(APILimits.transactionTablesMax) tables")
        }
        var names: [TableName] = []
        for change in asked.changes {
            guard let identifier = change.identifier, identifier.namespace.count == 1,
                !names.contains(identifier)
            else { throw APIError.bad("each change names a table, each table once") }
            _ = try writable(identifier.namespace[0], call, for: "commit")
            names.append(identifier)
        }
        var prepared: [Prepared] = []
        do {
            for (name, change) in zip(names, asked.changes) {
                prepared.append(try prepare(change, name.namespace[0], name.name))
            }
        } catch {
            discard(prepared)
            throw error
        }
        let response = APIResponse(204)
        if prepared.allSatisfy(\.isDone) {
            for table in prepared { try tellDone(table, call) }
        } else if prepared.contains(where: \.isDone) {
            discard(prepared)
            throw APIError.conflict("one of the tables has the change already, another has not")
        } else {
            try commit(prepared, call, response)
        }
        return response
    }

    /// Checks a commit and writes the metadata file that it makes; the pointer stays.
    private func prepare(
        _ asked: CommitRequest, _ namespace: String, _ name: String
    ) throws -> Prepared {
        guard asked.updates.count <= APILimits.updatesMax,
            asked.requirements.count <= APILimits.updatesMax
        else { throw APIError.bad("a commit has at most \(APILimits.updatesMax) updates") }
        let known = try catalog.clientTable(namespace, name)
        var base: TableMetadata?
        let table: ClientTable
        if let known {
            let found = try clientFiles.metadata(known)
            // A client without an answer sends the same again (DuckDB does after 500 and 503).
            if found.shows(asked.updates) {
                return Prepared(
                    table: known, expecting: nil, metadata: found, encoded: found.encoded,
                    isDone: true)
            }
            base = found
            table = known
        } else {
            table = try staged(asked, namespace, name)
        }
        try requireAllowed(asked.updates, table)
        let next = try applying(
            asked.updates, to: base, replacing: known?.metadataLocation, asked.requirements)
        try requireFiles(asked.updates, table, base)
        let encoded = try bounded(next)
        var moved = table
        moved.metadataLocation = try clientFiles.write(
            encoded, of: table.location, after: known?.metadataLocation)
        return Prepared(
            table: moved, expecting: known?.metadataLocation, metadata: next, encoded: encoded)
    }

    /// The table that a commit with `assert-create` makes: as it was prepared, or not at all.
    private func staged(
        _ asked: CommitRequest, _ namespace: String, _ name: String
    ) throws -> ClientTable {
        guard asked.requirements.contains(.create) else { throw try missing(namespace) }
        let uuids = asked.updates.compactMap { update -> String? in
            if case .assignUUID(let uuid) = update { uuid.lowercased() } else { nil }
        }
        guard let uuid = uuids.first,
            let location = try catalog.stagedLocation(uuid, namespace, name)
        else {
            throw APIError.hostile(
                "the table was not prepared here: create it with `stage-create` first",
                reason: "not-staged")
        }
        return ClientTable(
            namespace: namespace, name: name, uuid: uuid, location: location, metadataLocation: "")
    }

    /// What the format would allow and this catalog does not.
    private func requireAllowed(_ updates: [TableUpdate], _ table: ClientTable) throws(APIError) {
        for update in updates {
            switch update {
            case .setLocation(let location):
                guard clientFiles.isSame(location, table.location) else {
                    throw .hostile("a table stays where it lies", reason: "location")
                }
            case .setProperties(let properties): try requireProperties(properties)
            case .setStatistics(let file), .setPartitionStatistics(let file):
                try clientFiles.requireFile(file.path, of: table.location, in: "metadata")
            default: break
            }
        }
    }

    private func requireFiles(
        _ updates: [TableUpdate], _ table: ClientTable, _ base: TableMetadata?
    ) throws {
        for update in updates {
            guard case .addSnapshot(let snapshot) = update else { continue }
            try clientFiles.require(snapshot, of: table.location, base: base)
        }
    }

    private func tellDone(_ prepared: Prepared, _ call: Call) throws {
        try tell(
            "catalog.repeated", call,
            [
                "table": .text(prepared.table.fullName),
                "table_uuid": .text(prepared.table.uuid),
            ])
    }

    /// Moves the pointers of all, in the transaction that the audit log hears of.
    private func commit(
        _ prepared: [Prepared], _ call: Call, _ response: APIResponse
    ) throws {
        let changes = prepared.map {
            Catalog.ClientChange(table: $0.table, expecting: $0.expecting)
        }
        let entries = prepared.map { one -> [String: AuditEntry.Value] in
            [
                "table": .text(one.table.fullName), "table_uuid": .text(one.table.uuid),
                "snapshot": .text(one.metadata.currentSnapshotID.map { "\($0)" } ?? "none"),
                "metadata_digest": .text(SHA256.digest(one.encoded).hex),
            ]
        }
        let kinds = prepared.map {
            $0.expecting == nil ? "catalog.created" : "catalog.committed"
        }
        let effect = ClientEffect(answer: call.answered(response)) { [self] in
            for (kind, fields) in zip(kinds, entries) { try tell(kind, call, fields) }
        }
        do {
            try catalog.commit(changes, at: clock.now(), effect)
        } catch let error as ClientTableError {
            discard(prepared)
            switch error {
            case .conflict, .notStaged, .noTable:
                throw APIError.conflict(
                    "the table was changed by another writer; nothing was committed")
            case .tableExists:
                throw APIError(409, "AlreadyExistsException", "the table exists already")
            case .noNamespace: throw APIError.noNamespace()
            case .tooMany:
                throw APIError(
                    422, "UnprocessableEntityException",
                    "there are \(Catalog.clientTablesMax) tables already")
            default: throw error
            }
        } catch let error as APIError {
            // The audit log would not hear of it, so the transaction was undone.
            discard(prepared)
            throw error
        } catch {
            // Whether the store has it is not known, so its files stay; a client that sends it again is recognised.
            logger.error("a commit failed", ["error": .text("\(error)")])
            throw APIError(
                500, "CommitStateUnknownException",
                "the service failed, and the commit may have been made: look before you try again")
        }
    }

    private func discard(_ prepared: [Prepared]) {
        for one in prepared where !one.isDone { clientFiles.discard(one.table.metadataLocation) }
    }

    // MARK: Drop, rename

    func dropTable(_ namespace: String, _ name: String, _ call: Call) throws -> APIResponse {
        let namespace = try writable(namespace, call, for: "change")
        guard let table = try catalog.clientTable(namespace, name) else {
            throw try missing(namespace)
        }
        let response = APIResponse(204)
        do {
            try catalog.dropTable(
                table, at: clock.now(),
                effect(
                    "catalog.dropped", call, response,
                    ["table": .text(table.fullName), "table_uuid": .text(table.uuid)]))
        } catch ClientTableError.noTable {
            throw APIError.noTable()
        }
        try sweep([])
        return response
    }

    private struct Rename: Decodable {
        let source: TableName
        let destination: TableName
    }

    func renameTable(_ call: Call) throws -> APIResponse {
        let asked = try RequestBody.read(Rename.self, call.request.body)
        guard asked.source.namespace.count == 1, asked.destination.namespace.count == 1,
            ClientNames.isTable(asked.destination.name)
        else {
            throw APIError.hostile(
                "a table's name is one word of letters, digits, `.`, `_` and `-`", reason: "name")
        }
        let source = try writable(asked.source.namespace[0], call, for: "change")
        let destination = try writable(asked.destination.namespace[0], call, for: "table")
        guard let table = try catalog.clientTable(source, asked.source.name) else {
            throw try missing(source)
        }
        let response = APIResponse(204)
        do {
            try catalog.renameTable(
                table, to: destination, asked.destination.name, at: clock.now(),
                effect(
                    "catalog.renamed", call, response,
                    [
                        "table": .text(table.fullName), "table_uuid": .text(table.uuid),
                        "to": .text("\(destination).\(asked.destination.name)"),
                    ]))
        } catch ClientTableError.tableExists {
            throw APIError(409, "AlreadyExistsException", "the table exists already")
        } catch ClientTableError.noNamespace {
            throw APIError.noNamespace()
        } catch ClientTableError.noTable {
            throw APIError.noTable()
        }
        return response
    }

    /// Deletes folders that belong to no table any more; one that cannot be deleted now is tried again with the next.
    package func sweep() throws { try sweep([]) }

    private func sweep(_ forgotten: [String]) throws {
        for location in Set(forgotten + (try catalog.doomedFolders())) {
            guard clientFiles.remove(location) else {
                logger.error("the folder of a dropped table cannot be deleted")
                continue
            }
            try catalog.forgetFolder(location)
        }
    }
}
