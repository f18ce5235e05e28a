internal import Engine
package import PostgresWire

/// What a client of PostgreSQL may know of a region: its own name, its settings, and the table with the columns that its token
/// shows.
///
/// Statements over these run as all others do, in a confined child, but over tables that are made for this one question and
/// hold nothing else: no file is opened, and the engine's own catalog, which tells of the machine, is out of reach.
package struct SessionCatalog: Sendable {
    /// The region's name.
    package var database: String
    package var user: String
    package var version: String
    package var settings: [(name: String, value: String)]
    /// Columns of `pixels.hits`; none when the bearer may not see it at all.
    package var columns: [PostgresColumn]

    package init(
        database: String, user: String, version: String, settings: [(name: String, value: String)],
        columns: [PostgresColumn]
    ) {
        self.database = database
        self.user = user
        self.version = version
        self.settings = settings
        self.columns = columns
    }

    /// Where the tables stand in the child.
    static let schema = "cordon_catalog"
    static let tableNames = Set(tables.map(\.name))
    static let functionNames = Set(
        functions.map(\.name) + ["version", "current_database", "pg_backend_pid"])

    /// Numbers of what there is, below those that a server would give to what its users make where PostgreSQL fixes them.
    private enum Number {
        static let catalogSchema = 11
        static let informationSchema = 13_000
        static let schema = 16_384
        static let table = 16_385
        static let database = 16_383
        static let owner = 10
        static let tablespace = 1663
        static let collation = 100
        static let accessMethod = 2
    }

    /// The statements that make the tables, the functions and what they hold.
    var setup: [String] {
        var statements = ["CREATE SCHEMA \(Self.schema)"]
        statements += Self.tables.map { "CREATE TABLE \(Self.table($0.name)) (\($0.columns))" }
        statements.append(
            "CREATE TABLE \(Self.schema).names (cordon_kind VARCHAR, cordon_oid BIGINT, cordon_name VARCHAR, cordon_full VARCHAR)"
        )
        statements += macros
        statements += rows
        return statements
    }

    private static func table(_ name: String) -> String {
        "\(schema).\(EngineText.identifier(name))"
    }

    private var macros: [String] {
        var functions = Self.functions
        functions.append(("version", [], Self.text(version)))
        functions.append(("current_database", [], Self.text(database)))
        functions.append(("pg_backend_pid", [], "0"))
        return Dictionary(grouping: functions, by: \.name).sorted { $0.key < $1.key }.map {
            name, variants in
            let bodies = variants.map {
                "(\($0.parameters.joined(separator: ", "))) AS (\($0.body))"
            }
            return "CREATE MACRO \(EngineText.identifier(name))\(bodies.joined(separator: ", "))"
        }
    }

    private static func text(_ value: String) -> String { EngineText.literal(value) }

    private static func insert(
        _ table: String, _ columns: String, _ rows: [[String]]
    ) -> [String] {
        guard !rows.isEmpty else { return [] }
        let values = rows.map { "(\($0.joined(separator: ", ")))" }.joined(separator: ", ")
        return ["INSERT INTO \(self.table(table)) (\(columns)) VALUES \(values)"]
    }

    private var rows: [String] {
        let text = Self.text
        let owner = String(Number.owner)
        let schemas = [
            ("pg_catalog", Number.catalogSchema), ("information_schema", Number.informationSchema),
            ("pixels", Number.schema),
        ]
        var statements = Self.insert(
            "pg_namespace", "oid, nspname, nspowner",
            schemas.map { ["\($0.1)", text($0.0), owner] })
        statements += Self.insert(
            "pg_roles",
            "oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolconnlimit, rolbypassrls",
            [
                [
                    owner, text(user), "false", "true", "false", "false", "true", "false", "-1",
                    "false",
                ]
            ])
        statements += Self.insert(
            "pg_user", "usename, usesysid, usecreatedb, usesuper, userepl, usebypassrls",
            [[text(user), owner, "false", "false", "false", "false"]])
        statements += Self.insert(
            "pg_database",
            "oid, datname, datdba, encoding, datlocprovider, datistemplate, datallowconn, datconnlimit, dattablespace, datcollate, datctype",
            [
                [
                    "\(Number.database)", text(database), owner, "6", "'c'", "false", "true", "-1",
                    "\(Number.tablespace)", "'C'", "'C'",
                ]
            ])
        statements += Self.insert(
            "pg_tablespace", "oid, spcname, spcowner",
            [["\(Number.tablespace)", "'pg_default'", owner]])
        statements += Self.insert(
            "pg_am", "oid, amname, amtype", [["\(Number.accessMethod)", "'heap'", "'t'"]])
        statements += Self.insert(
            "pg_settings", "name, setting", settings.map { [text($0.name), text($0.value)] })
        statements += Self.insert(
            "information_schema.schemata", "catalog_name, schema_name, schema_owner",
            schemas.map { [text(database), text($0.0), text(user)] })
        return statements + typeRows + tableRows + nameRows(schemas)
    }

    private var typeRows: [String] {
        let rows = PostgresType.all.map { type in
            let isList = type.element != nil
            return [
                "\(type.oid)", Self.text(type.name), "\(Number.catalogSchema)", "\(Number.owner)",
                "\(type.byteCount)", "\(type.byteCount > 0 && type.byteCount <= 8)",
                type == .unknown ? "'p'" : "'b'", Self.text(String(type.category)),
                "\([.bool, .text, .oid, .float8, .timestamptz, .interval].contains(type))", "true",
                "','", "0", "\(type.elementOID)", "\(type.arrayOID)",
                isList ? "'array_in'" : Self.text(type.name + "in"),
                isList ? "'array_out'" : Self.text(type.name + "out"), "'i'",
                type.byteCount > 0 ? "'p'" : "'x'", "false", "0", "-1", "0",
                type.category == "S" ? "\(Number.collation)" : "0",
            ]
        }
        return Self.insert(
            "pg_type",
            """
            oid, typname, typnamespace, typowner, typlen, typbyval, typtype, typcategory, typispreferred, typisdefined, typdelim,
            typrelid, typelem, typarray, typinput, typoutput, typalign, typstorage, typnotnull, typbasetype, typtypmod, typndims,
            typcollation
            """, rows)
    }

    private var tableRows: [String] {
        guard !columns.isEmpty else { return [] }
        let text = Self.text
        var statements = Self.insert(
            "pg_class",
            """
            oid, relname, relnamespace, reltype, reloftype, relowner, relam, relfilenode, reltablespace, relpages, reltuples,
            relallvisible, reltoastrelid, relhasindex, relisshared, relpersistence, relkind, relnatts, relchecks, relhasrules,
            relhastriggers, relhassubclass, relrowsecurity, relforcerowsecurity, relispopulated, relreplident, relispartition,
            relrewrite
            """,
            [
                [
                    "\(Number.table)", "'hits'", "\(Number.schema)", "0", "0", "\(Number.owner)",
                    "\(Number.accessMethod)", "0", "0", "0", "-1", "0", "0", "false", "false",
                    "'p'",
                    "'r'", "\(columns.count)", "0", "false", "false", "false", "false", "false",
                    "true", "'n'", "false", "0",
                ]
            ])
        statements += Self.insert(
            "pg_attribute",
            """
            attrelid, attname, atttypid, attstattarget, attlen, attnum, attndims, attcacheoff, atttypmod, attbyval, attalign,
            attstorage, attcompression, attnotnull, atthasdef, atthasmissing, attidentity, attgenerated, attisdropped, attislocal,
            attinhcount, attcollation
            """,
            columns.enumerated().map { index, column in
                [
                    "\(Number.table)", text(column.name), "\(column.type.oid)", "-1",
                    "\(column.type.byteCount)", "\(index + 1)",
                    column.type.element == nil ? "0" : "1", "-1", "\(column.modifier)", "false",
                    "'i'", "'x'", "''", "false", "false", "false", "''", "''", "false", "true", "0",
                    column.type.category == "S" ? "\(Number.collation)" : "0",
                ]
            })
        statements += Self.insert(
            "pg_tables",
            "schemaname, tablename, tableowner, hasindexes, hasrules, hastriggers, rowsecurity",
            [["'pixels'", "'hits'", text(user), "false", "false", "false", "false"]])
        statements += Self.insert(
            "information_schema.tables",
            "table_catalog, table_schema, table_name, table_type, is_insertable_into",
            [[text(database), "'pixels'", "'hits'", "'BASE TABLE'", "'NO'"]])
        statements += Self.insert(
            "information_schema.columns",
            """
            table_catalog, table_schema, table_name, column_name, ordinal_position, is_nullable, data_type, udt_catalog,
            udt_schema, udt_name, is_identity, is_generated, is_updatable
            """,
            columns.enumerated().map { index, column in
                [
                    text(database), "'pixels'", "'hits'", text(column.name), "\(index + 1)",
                    "'YES'",
                    column.type.element == nil ? text(column.type.sqlName) : "'ARRAY'",
                    text(database), "'pg_catalog'", text(column.type.name), "'NO'", "'NEVER'",
                    "'NO'",
                ]
            })
        return statements
    }

    /// What the functions look up.
    private func nameRows(_ schemas: [(String, Int)]) -> [String] {
        let text = Self.text
        var names = schemas.map { ["'namespace'", "\($0.1)", text($0.0), text($0.0)] }
        names += PostgresType.all.map {
            ["'type'", "\($0.oid)", text($0.name), text($0.sqlName)]
        }
        names.append(["'role'", "\(Number.owner)", text(user), text(user)])
        names += settings.map { ["'setting'", "0", text($0.name), text($0.value)] }
        // The catalog's own tables have numbers that clients compare descriptions with.
        for (name, oid) in [
            ("pg_type", 1247), ("pg_attribute", 1249), ("pg_proc", 1255), ("pg_class", 1259),
        ] {
            names.append(["'class'", "\(oid)", text(name), text("pg_catalog." + name)])
        }
        if !columns.isEmpty {
            names.append(["'class'", "\(Number.table)", "'hits'", "'pixels.hits'"])
        }
        return Self.insert("names", "cordon_kind, cordon_oid, cordon_name, cordon_full", names)
    }
}
