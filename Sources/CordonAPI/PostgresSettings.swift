internal import CordonQuery
internal import PostgresWire

/// The settings of one session: what drivers ask for and set, and the few that change anything here.
struct PostgresSettings {
    /// What is told at the beginning, and again whenever it changes.
    static let reported = [
        "server_version", "server_encoding", "client_encoding", "application_name", "is_superuser",
        "session_authorization", "DateStyle", "IntervalStyle", "TimeZone", "integer_datetimes",
        "standard_conforming_strings", "default_transaction_read_only", "in_hot_standby",
    ]
    /// The version whose catalogs and answers drivers can expect; they choose their questions by it.
    static let serverVersion = "15.0"
    /// What `version()` says.
    static let version = "PostgreSQL \(serverVersion) (Cordon)"
    private static let valueBytesMax = 1024

    static let purpose = "cordon.purpose"
    static let place = "cordon.place"

    private static let defaults: [(name: String, value: String)] = [
        ("application_name", ""), ("bytea_output", "hex"), ("client_encoding", "UTF8"),
        ("client_min_messages", "notice"), (place, ""), (purpose, ""), ("DateStyle", "ISO, MDY"),
        ("default_transaction_isolation", "read committed"),
        ("default_transaction_read_only", "on"), ("escape_string_warning", "on"),
        ("extra_float_digits", "1"), ("idle_in_transaction_session_timeout", "0"),
        ("in_hot_standby", "off"), ("integer_datetimes", "on"), ("IntervalStyle", "postgres"),
        ("is_superuser", "off"), ("lock_timeout", "0"), ("max_identifier_length", "63"),
        ("max_index_keys", "32"), ("row_security", "on"), ("search_path", "pixels"),
        ("server_encoding", "UTF8"), ("server_version", serverVersion),
        ("server_version_num", "150000"), ("session_authorization", ""),
        ("standard_conforming_strings", "on"), ("statement_timeout", "0"), ("TimeZone", "UTC"),
        ("transaction_isolation", "read committed"), ("transaction_read_only", "on"),
    ]
    private static let fixed: Set<String> = [
        "in_hot_standby", "integer_datetimes", "is_superuser", "max_identifier_length",
        "max_index_keys", "server_encoding", "server_version", "server_version_num",
        "session_authorization",
    ]
    private static let byLowercase = Dictionary(
        uniqueKeysWithValues: defaults.map { ($0.name.lowercased(), $0) })

    private var values: [String: String] = [:]
    /// Whose session it is.
    var user = ""

    /// A setting's name as it is written; nil for one that there is not.
    static func name(_ text: String) -> String? { byLowercase[text.lowercased()]?.name }

    static var names: [String] { defaults.map(\.name) }

    subscript(name: String) -> String? {
        guard let known = Self.byLowercase[name.lowercased()] else { return nil }
        if known.name == "session_authorization" { return user }
        return values[known.name] ?? known.value
    }

    /// What SET came to, where it is more than nothing.
    enum Change: Equatable {
        /// It holds, and clients are told of it.
        case reported(name: String, value: String)
        case silent
        /// It is taken and changes nothing.
        case without(String)
    }

    /// Gives a setting a value, or its first one back.
    mutating func set(_ text: String, _ value: String?) throws(PostgresNotice) -> Change {
        guard let known = Self.byLowercase[text.lowercased()] else {
            // Extensions have settings of their own, with a point in their name; drivers set some whatever the server is.
            throw PostgresNotice(
                .undefinedObject, "unrecognized configuration parameter \"\(text)\"")
        }
        guard !Self.fixed.contains(known.name) else {
            throw PostgresNotice(
                .invalidParameterValue, "parameter \"\(known.name)\" cannot be changed")
        }
        guard let value else {
            values[known.name] = nil
            return Self.reported.contains(known.name)
                ? .reported(name: known.name, value: known.value) : .silent
        }
        guard value.utf8.count <= Self.valueBytesMax else {
            throw PostgresNotice(
                .invalidParameterValue,
                "the value of \"\(known.name)\" is longer than \(Self.valueBytesMax) bytes")
        }
        switch known.name {
        case "client_encoding":
            let encodings = ["utf8", "unicode", "sql_ascii"]
            guard encodings.contains(value.lowercased().replacing("-", with: "")) else {
                throw PostgresNotice(
                    .invalidParameterValue, "texts are in UTF8, not in \"\(value)\"")
            }
            return .reported(name: known.name, value: known.value)
        case "TimeZone":
            let isUTC = ["utc", "gmt", "etc/utc", "z", "default", "local"].contains(
                value.lowercased())
            return isUTC
                ? .silent : .without("times are read and shown in UTC, not in \"\(value)\"")
        case "DateStyle":
            guard value.lowercased().hasPrefix("iso") else {
                return .without("dates are shown as ISO 8601 has them")
            }
            return .silent
        case "IntervalStyle", "bytea_output", "standard_conforming_strings", "search_path":
            return value.lowercased() == known.value.lowercased()
                ? .silent : .without("\"\(known.name)\" stays \"\(known.value)\"")
        case "default_transaction_read_only", "transaction_read_only":
            return ["on", "true", "yes", "1"].contains(value.lowercased())
                ? .silent : .without("nothing can be written here")
        case "statement_timeout":
            guard Self.milliseconds(value) != nil else {
                throw PostgresNotice(
                    .invalidParameterValue, "invalid value for parameter \"statement_timeout\"")
            }
            values[known.name] = value
            return .silent
        default:
            values[known.name] = value
            return Self.reported.contains(known.name)
                ? .reported(name: known.name, value: value) : .silent
        }
    }

    mutating func resetAll() {
        values = values.filter { [Self.purpose, Self.place].contains($0.key) }
    }

    /// A span of time with or without a unit, which without is milliseconds.
    private static func milliseconds(_ text: String) -> Int? {
        let text = text.filter { $0 != " " }
        let digits = text.prefix { $0.isNumber }
        guard let number = Int(digits) else { return nil }
        let factors = ["": 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000]
        return factors[String(text.dropFirst(digits.count))].flatMap {
            let (product, overflow) = number.multipliedReportingOverflow(by: $0)
            return overflow ? nil : product
        }
    }

    /// The bounds of a query: those of every query, or a shorter time.
    var limits: QueryLimits {
        var limits = QueryLimits()
        let timeout = self["statement_timeout"].flatMap(Self.milliseconds) ?? 0
        if timeout > 0 { limits.seconds = min(limits.seconds, (timeout + 999) / 1000) }
        return limits
    }
}
