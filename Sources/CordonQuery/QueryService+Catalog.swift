package import CordonModel

// What a client of PostgreSQL asks of the catalog. It is no question to the lake, so neither access rules nor the audit log
// have a say in what it answers, only in what there is to tell.
extension QueryService {
    /// An answer out of a ``SessionCatalog``, rows as messages.
    package struct CatalogAnswer: Sendable {
        package var columns: [QueryColumn]
        package var rows: [UInt8]
        /// What the parameters of the statement are taken for, where it was described.
        package var parameters: [QueryParameter.Kind]
    }

    /// The columns of `pixels.hits` that show the principal anything: not those that every policy hides, nor those that are sealed.
    package func visibleColumns(
        of principal: Principal, in region: any QueryRegion
    ) -> [QueryColumn] {
        let request = QueryRequest(sql: "", principal: principal)
        guard case .granted(let access) = decision(request, region) else { return [] }
        let sealed = region.sealedColumns
        return HitsColumn.all.filter { column in
            !sealed.contains(column.name)
                && access.grants.contains { !$0.hidden.contains(column.name) }
        }.map { QueryColumn(name: $0.name, type: $0.type) }
    }

    /// Answers a statement that reads the catalog or no table at all; nil when it is none, or when the gate would not have it: then
    /// ``run(_:in:destination:)`` refuses it, and the audit log hears of it. Blocks.
    ///
    /// - Parameter kinds: given where the statement is described and not run, with nil for what the caller leaves open.
    package func lookUp(
        _ request: QueryRequest, in catalog: SessionCatalog, of region: any QueryRegion,
        describing kinds: [QueryParameter.Kind?]? = nil
    ) throws -> CatalogAnswer? {
        guard let text = CatalogStatement.text(request.sql) else { return nil }
        let statement: String
        var found: [QueryParameter.Kind] = []
        do {
            var tree = try gate.parsed(text)
            let parameters = try StatementParameters(of: tree)
            if let kinds {
                found = parameters.settled(kinds)
                tree = try StatementParameters.bound(tree, found.map(QueryParameter.open))
            } else {
                tree = try StatementParameters.bound(tree, parameters.settled(request.parameters))
            }
            tree = try CatalogStatement.rewritten(
                tree, user: catalog.user, database: catalog.database)
            try gate.checkCatalog(tree)
            statement = try gate.render(tree, isCatalog: true)
        } catch is QueryGate.Refused {
            return nil
        } catch let error as QueryParameter.Invalid {
            throw QueryError(error)
        }
        let scratch = try ScratchDirectory(in: region.scratchDirectory)
        defer { scratch.remove() }
        let plan = QueryPlan(
            catalog: catalog.setup, files: [], suppression: [], statement: statement,
            format: .postgres, describes: kinds != nil, scratchDirectory: scratch.path,
            limits: request.limits, allowsUnsandboxed: allowsUnsandboxed)
        do {
            let outcome = try child.run(plan, request.cancellation)
            return CatalogAnswer(
                columns: zip(outcome.columns, outcome.types).map(QueryColumn.init(name:type:)),
                rows: outcome.rows, parameters: found)
        } catch let failure as WorkerFailure {
            throw QueryError(failure, request.limits)
        } catch let broken as QueryChild.Broken {
            throw QueryError(broken, request.limits)
        }
    }
}
