/// A type as PostgreSQL numbers it.
package struct PostgresType: Hashable, Sendable {
    package let oid: UInt32
    /// As the catalog names it.
    package let name: String
    /// Bytes of a value, or -1 when they vary.
    package let byteCount: Int16
    /// Letter of the kind of type in `pg_type.typcategory`.
    package let category: Character
    /// The type of lists of it; 0 when there is none here.
    package let arrayOID: UInt32
    /// For a list, the type of its members; 0 otherwise.
    package let elementOID: UInt32
    /// As standard SQL calls it.
    package let sqlName: String

    private init(
        _ oid: UInt32, _ name: String, _ byteCount: Int16, _ category: Character,
        array: UInt32 = 0, element: UInt32 = 0, sql: String? = nil
    ) {
        self.oid = oid
        self.name = name
        self.byteCount = byteCount
        self.category = category
        arrayOID = array
        elementOID = element
        sqlName = sql ?? name
    }

    package static let bool = PostgresType(16, "bool", 1, "B", array: 1000, sql: "boolean")
    package static let bytea = PostgresType(17, "bytea", -1, "U", array: 1001)
    package static let char = PostgresType(18, "char", 1, "Z", array: 1002, sql: "\"char\"")
    package static let name = PostgresType(19, "name", 64, "S", array: 1003)
    package static let int8 = PostgresType(20, "int8", 8, "N", array: 1016, sql: "bigint")
    package static let int2 = PostgresType(21, "int2", 2, "N", array: 1005, sql: "smallint")
    package static let int4 = PostgresType(23, "int4", 4, "N", array: 1007, sql: "integer")
    package static let text = PostgresType(25, "text", -1, "S", array: 1009)
    package static let oid = PostgresType(26, "oid", 4, "N", array: 1028)
    package static let json = PostgresType(114, "json", -1, "U", array: 199)
    package static let float4 = PostgresType(700, "float4", 4, "N", array: 1021, sql: "real")
    package static let float8 = PostgresType(
        701, "float8", 8, "N", array: 1022, sql: "double precision")
    package static let unknown = PostgresType(705, "unknown", -2, "X")
    package static let bpchar = PostgresType(1042, "bpchar", -1, "S", array: 1014, sql: "character")
    package static let varchar = PostgresType(
        1043, "varchar", -1, "S", array: 1015, sql: "character varying")
    package static let date = PostgresType(1082, "date", 4, "D", array: 1182)
    package static let time = PostgresType(
        1083, "time", 8, "D", array: 1183, sql: "time without time zone")
    package static let timestamp = PostgresType(
        1114, "timestamp", 8, "D", array: 1115, sql: "timestamp without time zone")
    package static let timestamptz = PostgresType(
        1184, "timestamptz", 8, "D", array: 1185, sql: "timestamp with time zone")
    package static let interval = PostgresType(1186, "interval", 16, "T", array: 1187)
    package static let numeric = PostgresType(1700, "numeric", -1, "N", array: 1231)
    package static let uuid = PostgresType(2950, "uuid", 16, "U", array: 2951)
    package static let jsonb = PostgresType(3802, "jsonb", -1, "U", array: 3807)

    private static let plain = [
        bool, bytea, char, name, int8, int2, int4, text, oid, json, float4, float8, unknown, bpchar,
        varchar, date, time, timestamp, timestamptz, interval, numeric, uuid, jsonb,
    ]

    /// Every type that is known here, in the order of their numbers.
    package static let all: [PostgresType] = {
        let lists = plain.filter { $0.arrayOID != 0 }.map {
            PostgresType(
                $0.arrayOID, "_" + $0.name, -1, "A", element: $0.oid, sql: $0.sqlName + "[]")
        }
        return (plain + lists).sorted { $0.oid < $1.oid }
    }()

    private static let byOID = Dictionary(uniqueKeysWithValues: all.map { ($0.oid, $0) })

    package static func numbered(_ oid: UInt32) -> PostgresType? { byOID[oid] }

    /// The type of lists of it; nil when there is none.
    package var list: PostgresType? { Self.byOID[arrayOID] }

    /// The type of a list's members; nil for what is no list.
    package var element: PostgresType? { Self.byOID[elementOID] }
}
