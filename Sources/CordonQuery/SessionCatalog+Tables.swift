// The tables and functions that clients of PostgreSQL ask of its catalog, as far as there is anything to tell: what a region
// has not (indexes, constraints, functions, roles) is an empty table with the columns that clients name.
extension SessionCatalog {
    /// Columns of the tables, in the engine's words. The names are those of the chapter "System Catalogs" of the PostgreSQL manual.
    static let tables: [(name: String, columns: String)] = [
        (
            "pg_namespace", "oid BIGINT, nspname VARCHAR, nspowner BIGINT, nspacl VARCHAR[]"
        ),
        (
            "pg_class",
            """
            oid BIGINT, relname VARCHAR, relnamespace BIGINT, reltype BIGINT, reloftype BIGINT, relowner BIGINT, relam BIGINT,
            relfilenode BIGINT, reltablespace BIGINT, relpages INTEGER, reltuples FLOAT, relallvisible INTEGER, reltoastrelid BIGINT,
            relhasindex BOOLEAN, relisshared BOOLEAN, relpersistence VARCHAR, relkind VARCHAR, relnatts SMALLINT, relchecks SMALLINT,
            relhasrules BOOLEAN, relhastriggers BOOLEAN, relhassubclass BOOLEAN, relrowsecurity BOOLEAN, relforcerowsecurity BOOLEAN,
            relispopulated BOOLEAN, relreplident VARCHAR, relispartition BOOLEAN, relrewrite BIGINT, relacl VARCHAR[],
            reloptions VARCHAR[], relpartbound VARCHAR
            """
        ),
        (
            "pg_attribute",
            """
            attrelid BIGINT, attname VARCHAR, atttypid BIGINT, attstattarget INTEGER, attlen SMALLINT, attnum SMALLINT,
            attndims INTEGER, attcacheoff INTEGER, atttypmod INTEGER, attbyval BOOLEAN, attalign VARCHAR, attstorage VARCHAR,
            attcompression VARCHAR, attnotnull BOOLEAN, atthasdef BOOLEAN, atthasmissing BOOLEAN, attidentity VARCHAR,
            attgenerated VARCHAR, attisdropped BOOLEAN, attislocal BOOLEAN, attinhcount INTEGER, attcollation BIGINT,
            attacl VARCHAR[], attoptions VARCHAR[], attfdwoptions VARCHAR[]
            """
        ),
        (
            "pg_type",
            """
            oid BIGINT, typname VARCHAR, typnamespace BIGINT, typowner BIGINT, typlen SMALLINT, typbyval BOOLEAN, typtype VARCHAR,
            typcategory VARCHAR, typispreferred BOOLEAN, typisdefined BOOLEAN, typdelim VARCHAR, typrelid BIGINT, typelem BIGINT,
            typarray BIGINT, typinput VARCHAR, typoutput VARCHAR, typalign VARCHAR, typstorage VARCHAR, typnotnull BOOLEAN,
            typbasetype BIGINT, typtypmod INTEGER, typndims INTEGER, typcollation BIGINT, typdefault VARCHAR, typacl VARCHAR[]
            """
        ),
        (
            "pg_database",
            """
            oid BIGINT, datname VARCHAR, datdba BIGINT, encoding INTEGER, datlocprovider VARCHAR, datistemplate BOOLEAN,
            datallowconn BOOLEAN, datconnlimit INTEGER, dattablespace BIGINT, datcollate VARCHAR, datctype VARCHAR,
            daticulocale VARCHAR, datcollversion VARCHAR, datacl VARCHAR[]
            """
        ),
        (
            "pg_roles",
            """
            oid BIGINT, rolname VARCHAR, rolsuper BOOLEAN, rolinherit BOOLEAN, rolcreaterole BOOLEAN, rolcreatedb BOOLEAN,
            rolcanlogin BOOLEAN, rolreplication BOOLEAN, rolconnlimit INTEGER, rolvaliduntil TIMESTAMPTZ, rolbypassrls BOOLEAN,
            rolconfig VARCHAR[]
            """
        ),
        (
            "pg_user",
            "usename VARCHAR, usesysid BIGINT, usecreatedb BOOLEAN, usesuper BOOLEAN, userepl BOOLEAN, usebypassrls BOOLEAN"
        ),
        (
            "pg_settings",
            "name VARCHAR, setting VARCHAR, unit VARCHAR, category VARCHAR, short_desc VARCHAR"
        ),
        (
            "pg_tables",
            "schemaname VARCHAR, tablename VARCHAR, tableowner VARCHAR, tablespace VARCHAR, hasindexes BOOLEAN, hasrules BOOLEAN, hastriggers BOOLEAN, rowsecurity BOOLEAN"
        ),
        ("pg_am", "oid BIGINT, amname VARCHAR, amhandler VARCHAR, amtype VARCHAR"),
        (
            "pg_tablespace",
            "oid BIGINT, spcname VARCHAR, spcowner BIGINT, spcacl VARCHAR[], spcoptions VARCHAR[]"
        ),
        (
            "pg_description",
            "objoid BIGINT, classoid BIGINT, objsubid INTEGER, description VARCHAR"
        ),
        (
            "pg_shdescription", "objoid BIGINT, classoid BIGINT, description VARCHAR"
        ),
        (
            "pg_index",
            """
            indexrelid BIGINT, indrelid BIGINT, indnatts SMALLINT, indnkeyatts SMALLINT, indisunique BOOLEAN, indnullsnotdistinct BOOLEAN,
            indisprimary BOOLEAN, indisexclusion BOOLEAN, indimmediate BOOLEAN, indisclustered BOOLEAN, indisvalid BOOLEAN,
            indcheckxmin BOOLEAN, indisready BOOLEAN, indislive BOOLEAN, indisreplident BOOLEAN, indkey SMALLINT[],
            indcollation BIGINT[], indclass BIGINT[], indoption SMALLINT[], indexprs VARCHAR, indpred VARCHAR
            """
        ),
        (
            "pg_constraint",
            """
            oid BIGINT, conname VARCHAR, connamespace BIGINT, contype VARCHAR, condeferrable BOOLEAN, condeferred BOOLEAN,
            convalidated BOOLEAN, conrelid BIGINT, contypid BIGINT, conindid BIGINT, conparentid BIGINT, confrelid BIGINT,
            confupdtype VARCHAR, confdeltype VARCHAR, confmatchtype VARCHAR, conislocal BOOLEAN, coninhcount INTEGER,
            connoinherit BOOLEAN, conkey SMALLINT[], confkey SMALLINT[], conbin VARCHAR
            """
        ),
        ("pg_attrdef", "oid BIGINT, adrelid BIGINT, adnum SMALLINT, adbin VARCHAR"),
        (
            "pg_collation",
            "oid BIGINT, collname VARCHAR, collnamespace BIGINT, collowner BIGINT, collprovider VARCHAR, collcollate VARCHAR, collctype VARCHAR"
        ),
        (
            "pg_proc",
            """
            oid BIGINT, proname VARCHAR, pronamespace BIGINT, proowner BIGINT, prolang BIGINT, prokind VARCHAR, proretset BOOLEAN,
            pronargs SMALLINT, prorettype BIGINT, proargtypes BIGINT[], proallargtypes BIGINT[], proargmodes VARCHAR[],
            proargnames VARCHAR[], prosrc VARCHAR, proacl VARCHAR[], provolatile VARCHAR, prosecdef BOOLEAN
            """
        ),
        (
            "pg_inherits",
            "inhrelid BIGINT, inhparent BIGINT, inhseqno INTEGER, inhdetachpending BOOLEAN"
        ),
        (
            "pg_policy",
            """
            oid BIGINT, polname VARCHAR, polrelid BIGINT, polcmd VARCHAR, polpermissive BOOLEAN, polroles BIGINT[], polqual VARCHAR,
            polwithcheck VARCHAR
            """
        ),
        (
            "pg_statistic_ext",
            "oid BIGINT, stxrelid BIGINT, stxname VARCHAR, stxnamespace BIGINT, stxowner BIGINT, stxstattarget INTEGER, stxkeys SMALLINT[], stxkind VARCHAR[]"
        ),
        (
            "pg_publication",
            "oid BIGINT, pubname VARCHAR, pubowner BIGINT, puballtables BOOLEAN, pubinsert BOOLEAN, pubupdate BOOLEAN, pubdelete BOOLEAN"
        ),
        (
            "pg_publication_rel",
            "oid BIGINT, prpubid BIGINT, prrelid BIGINT, prqual VARCHAR, prattrs SMALLINT[]"
        ),
        ("pg_publication_namespace", "oid BIGINT, pnpubid BIGINT, pnnspid BIGINT"),
        (
            "pg_trigger",
            "oid BIGINT, tgrelid BIGINT, tgparentid BIGINT, tgname VARCHAR, tgfoid BIGINT, tgtype SMALLINT, tgenabled VARCHAR, tgisinternal BOOLEAN, tgconstraint BIGINT"
        ),
        (
            "pg_rewrite",
            "oid BIGINT, rulename VARCHAR, ev_class BIGINT, ev_type VARCHAR, ev_enabled VARCHAR, is_instead BOOLEAN"
        ),
        ("pg_enum", "oid BIGINT, enumtypid BIGINT, enumsortorder FLOAT, enumlabel VARCHAR"),
        (
            "pg_range",
            "rngtypid BIGINT, rngsubtype BIGINT, rngmultitypid BIGINT, rngcollation BIGINT, rngsubopc BIGINT"
        ),
        (
            "pg_extension",
            "oid BIGINT, extname VARCHAR, extowner BIGINT, extnamespace BIGINT, extrelocatable BOOLEAN, extversion VARCHAR"
        ),
        (
            "pg_depend",
            "classid BIGINT, objid BIGINT, objsubid INTEGER, refclassid BIGINT, refobjid BIGINT, refobjsubid INTEGER, deptype VARCHAR"
        ),
        (
            "pg_cursors",
            "name VARCHAR, statement VARCHAR, is_holdable BOOLEAN, is_binary BOOLEAN, is_scrollable BOOLEAN"
        ),
        ("pg_auth_members", "roleid BIGINT, member BIGINT, grantor BIGINT, admin_option BOOLEAN"),
        (
            "pg_views",
            "schemaname VARCHAR, viewname VARCHAR, viewowner VARCHAR, definition VARCHAR"
        ),
        (
            "pg_matviews",
            "schemaname VARCHAR, matviewname VARCHAR, matviewowner VARCHAR, definition VARCHAR"
        ),
        (
            "pg_indexes",
            "schemaname VARCHAR, tablename VARCHAR, indexname VARCHAR, tablespace VARCHAR, indexdef VARCHAR"
        ),
        ("pg_sequence", "seqrelid BIGINT, seqtypid BIGINT, seqstart BIGINT, seqincrement BIGINT"),
        ("pg_foreign_table", "ftrelid BIGINT, ftserver BIGINT, ftoptions VARCHAR[]"),
        (
            "pg_foreign_server",
            "oid BIGINT, srvname VARCHAR, srvowner BIGINT, srvfdw BIGINT, srvtype VARCHAR, srvversion VARCHAR, srvoptions VARCHAR[]"
        ),
        (
            "pg_partitioned_table",
            "partrelid BIGINT, partstrat VARCHAR, partnatts SMALLINT, partdefid BIGINT, partattrs SMALLINT[]"
        ),
        (
            "pg_language",
            "oid BIGINT, lanname VARCHAR, lanowner BIGINT, lanispl BOOLEAN, lanpltrusted BOOLEAN"
        ),
        (
            "information_schema.schemata",
            "catalog_name VARCHAR, schema_name VARCHAR, schema_owner VARCHAR"
        ),
        (
            "information_schema.tables",
            "table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, table_type VARCHAR, is_insertable_into VARCHAR"
        ),
        (
            "information_schema.columns",
            """
            table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, column_name VARCHAR, ordinal_position INTEGER,
            column_default VARCHAR, is_nullable VARCHAR, data_type VARCHAR, character_maximum_length INTEGER,
            numeric_precision INTEGER, numeric_scale INTEGER, datetime_precision INTEGER, udt_catalog VARCHAR, udt_schema VARCHAR,
            udt_name VARCHAR, is_identity VARCHAR, is_generated VARCHAR, is_updatable VARCHAR
            """
        ),
        (
            "information_schema.views",
            "table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, view_definition VARCHAR"
        ),
        (
            "information_schema.table_constraints",
            "constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, constraint_type VARCHAR"
        ),
        (
            "information_schema.key_column_usage",
            "constraint_catalog VARCHAR, constraint_schema VARCHAR, constraint_name VARCHAR, table_catalog VARCHAR, table_schema VARCHAR, table_name VARCHAR, column_name VARCHAR, ordinal_position INTEGER"
        ),
        (
            "information_schema.routines",
            "specific_name VARCHAR, routine_catalog VARCHAR, routine_schema VARCHAR, routine_name VARCHAR, routine_type VARCHAR, data_type VARCHAR"
        ),
    ]

    /// Looks up a name. What is looked up in bears names that no statement may have, for a macro's argument would be taken for a
    /// column of the same name within.
    private static func name(
        _ kind: String, _ condition: String, _ column: String = "cordon_name"
    ) -> String {
        "(SELECT min(\(column)) FROM cordon_catalog.names WHERE cordon_kind = '\(kind)' AND (\(condition)))"
    }

    /// Functions of the catalog, as macros of the engine: name, parameters, and what it is. Several of one name differ in their
    /// number of parameters.
    static let functions: [(name: String, parameters: [String], body: String)] = [
        ("pg_get_userbyid", ["a"], name("role", "cordon_oid = a")),
        ("pg_table_is_visible", ["a"], "\(name("class", "cordon_oid = a")) IS NOT NULL"),
        ("pg_type_is_visible", ["a"], "\(name("type", "cordon_oid = a")) IS NOT NULL"),
        ("pg_function_is_visible", ["a"], "false"),
        ("pg_relation_is_publishable", ["a"], "false"),
        ("pg_encoding_to_char", ["a"], "CASE a WHEN 6 THEN 'UTF8' END"),
        (
            "format_type", ["a", "b"],
            """
            \(name("type", "cordon_oid = a", "cordon_full")) || CASE WHEN a = 1700 AND b > 4
                THEN '(' || (((b - 4) >> 16) & 65535)::VARCHAR || ',' || ((b - 4) & 65535)::VARCHAR || ')' ELSE '' END
            """
        ),
        (
            "to_regtype", ["a"],
            name("type", "a IN (cordon_name, cordon_full)", "cordon_oid")
        ),
        (
            "to_regclass", ["a"],
            name("class", "replace(a, '\"', '') IN (cordon_name, cordon_full)", "cordon_oid")
        ),
        ("cordon_regclass_name", ["a"], name("class", "cordon_oid = a")),
        (
            "cordon_regnamespace_name", ["a"],
            name("namespace", "cordon_oid = a")
        ),
        ("pg_get_expr", ["a", "b"], "a"),
        ("pg_get_expr", ["a", "b", "c"], "a"),
        ("obj_description", ["a"], "NULL::VARCHAR"),
        ("obj_description", ["a", "b"], "NULL::VARCHAR"),
        ("shobj_description", ["a", "b"], "NULL::VARCHAR"),
        ("col_description", ["a", "b"], "NULL::VARCHAR"),
        ("pg_get_indexdef", ["a"], "NULL::VARCHAR"),
        ("pg_get_indexdef", ["a", "b", "c"], "NULL::VARCHAR"),
        ("pg_get_constraintdef", ["a"], "NULL::VARCHAR"),
        ("pg_get_constraintdef", ["a", "b"], "NULL::VARCHAR"),
        ("pg_get_viewdef", ["a"], "NULL::VARCHAR"),
        ("pg_get_viewdef", ["a", "b"], "NULL::VARCHAR"),
        ("pg_get_ruledef", ["a"], "NULL::VARCHAR"),
        ("pg_get_triggerdef", ["a", "b"], "NULL::VARCHAR"),
        ("pg_get_partkeydef", ["a"], "NULL::VARCHAR"),
        ("pg_get_function_result", ["a"], "NULL::VARCHAR"),
        ("pg_get_function_arguments", ["a"], "NULL::VARCHAR"),
        ("pg_get_function_identity_arguments", ["a"], "NULL::VARCHAR"),
        ("pg_get_statisticsobjdef_columns", ["a"], "NULL::VARCHAR"),
        ("pg_get_serial_sequence", ["a", "b"], "NULL::VARCHAR"),
        ("pg_tablespace_location", ["a"], "''"),
        ("pg_size_pretty", ["a"], "a::VARCHAR || ' bytes'"),
        ("pg_table_size", ["a"], "NULL::BIGINT"),
        ("pg_relation_size", ["a"], "NULL::BIGINT"),
        ("pg_total_relation_size", ["a"], "NULL::BIGINT"),
        ("pg_database_size", ["a"], "NULL::BIGINT"),
        ("has_database_privilege", ["a", "b"], "b ILIKE 'connect'"),
        ("has_schema_privilege", ["a", "b"], "b ILIKE 'usage'"),
        ("has_schema_privilege", ["a", "b", "c"], "c ILIKE 'usage'"),
        ("has_table_privilege", ["a", "b"], "b ILIKE 'select'"),
        ("has_table_privilege", ["a", "b", "c"], "c ILIKE 'select'"),
        ("has_column_privilege", ["a", "b", "c"], "c ILIKE 'select'"),
        ("has_any_column_privilege", ["a", "b"], "b ILIKE 'select'"),
        ("has_function_privilege", ["a", "b"], "false"),
        ("array_upper", ["a", "b"], "nullif(len(a), 0)"),
        ("array_lower", ["a", "b"], "CASE WHEN len(a) > 0 THEN 1 END"),
        ("_pg_expandarray", ["a"], "{'x': NULL::SMALLINT, 'n': NULL::INTEGER}"),
        ("quote_ident", ["a"], "'\"' || replace(a, '\"', '\"\"') || '\"'"),
        ("pg_is_in_recovery", [], "false"),
        ("pg_my_temp_schema", [], "0"),
        ("pg_is_other_temp_schema", ["a"], "false"),
        ("txid_current", [], "0"),
        (
            "current_setting", ["a"],
            name("setting", "lower(cordon_name) = lower(a)", "cordon_full")
        ),
        (
            "current_setting", ["a", "b"],
            name("setting", "lower(cordon_name) = lower(a)", "cordon_full")
        ),
        ("current_schema", [], "'pixels'"),
        (
            "current_schemas", ["a"],
            "CASE WHEN a THEN ['pg_catalog', 'pixels'] ELSE ['pixels'] END"
        ),
        ("pg_typeof", ["a"], "typeof(a)"),
    ]
}
