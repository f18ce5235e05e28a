internal import Engine

/// Calls whose errors the engine's `TRY` lets through, or at which it breaks.
///
/// `TRY` catches what a value is to blame for. What the engine calls a mistake of the statement it finds, for these functions,
/// only when it comes to a row, and lets it out: that would tell that there is one. So what decides it must be a constant that is
/// known to be right, or a value of a type that is known.
extension GroupGuard {
    private static let partsOfDays: Set<String> = [
        "dayofweek", "dayofyear", "era", "isodow", "isoyear", "week", "weekday", "weekofyear",
        "yearweek", "timezone_hour", "timezone_minute",
    ]

    /// Functions that take the word for a part or span of a time first, and times after it.
    private static let unitFunctions: Set<String> = [
        "date_diff", "date_part", "date_sub", "date_trunc", "datediff", "datepart", "datesub",
        "datetrunc",
    ]

    /// The words that all of ``unitFunctions`` take for every time.
    private static let timeUnits: Set<String> = [
        "century", "day", "days", "decade", "dow", "doy", "epoch", "hour", "hours", "isodow",
        "isoyear", "julian", "microsecond", "microseconds", "millennium", "millisecond",
        "milliseconds", "minute", "minutes", "month", "months", "quarter", "second", "seconds",
        "week", "weeks", "year", "years", "yearweek",
    ]

    /// Spans that `time_bucket` may be as long as a number of.
    private static let spans: Set<String> = [
        "microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter",
        "year", "decade", "century",
    ]

    /// More of a span than this is no bucket that anybody asks for, and may lie beyond what the engine holds.
    static let spanCountMax = 10_000

    /// Time zones that the engine knows, in lowercase; none where it does not say.
    private static let zones: Set<String> = {
        // Without the list each zone is refused, which is the stricter answer.
        let rows = try? EngineConnection().query("SELECT lower(name) FROM pg_timezone_names()")
            .rows()
        return Set((rows ?? []).compactMap { $0.first.flatMap { $0 } })
    }()

    /// The call as it may stand in `TRY`; refuses what is not known to fail within it.
    ///
    /// - Parameter made: the call with its arguments guarded.
    func untriable(_ made: JSONTree, of node: JSONTree, _ rows: Relation.Rows) throws -> JSONTree {
        let name = node["function_name"].string?.lowercased() ?? ""
        let arguments = node["children"].array
        switch name {
        case "list_reduce", "reduce", "array_reduce", "equi_width_bins":
            throw Refused("`\(name)` over rows of `hits` is not allowed")
        case "like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape":
            guard arguments.count == 3, let pattern = Self.text(arguments[1]),
                let escape = Self.text(arguments[2]), Self.isPattern(pattern, escape)
            else {
                throw Refused(
                    "`ESCAPE` over rows of `hits` takes a constant of one character, and a constant pattern in which another one follows it"
                )
            }
        case "timezone":
            guard arguments.count == 2, Self.isZone(arguments[0]) else { throw Self.noZone }
        case "make_timestamptz":
            guard arguments.count < 7 || Self.isZone(arguments[6]) else { throw Self.noZone }
        case "time_bucket":
            guard arguments.count >= 2, Self.isSpan(arguments[0]),
                arguments.dropFirst(2).allSatisfy({
                    Self.isSpan($0) || Self.isZone($0) || Self.isOrdinaryTime($0)
                })
            else {
                throw Refused(
                    "`time_bucket` over rows of `hits` takes as its length a constant like INTERVAL '15 minutes', up to \(Self.spanCountMax) of one unit, and as its origin one such, a time zone or a time like TIMESTAMPTZ '2026-01-01 00:00:00+00'"
                )
            }
        case "array_length":
            guard arguments.count == 1 else {
                throw Refused("`\(name)` over rows of `hits` takes the list alone")
            }
        case "regexp_extract":
            guard arguments.dropFirst(2).allSatisfy({ $0["class"].string == "CONSTANT" }) else {
                throw Refused(
                    "`\(name)` over rows of `hits` takes a number for the group and a text for options"
                )
            }
        case _ where Self.unitFunctions.contains(name):
            guard let unit = arguments.first.flatMap(Self.text),
                Self.timeUnits.contains(unit.lowercased())
            else {
                throw Refused(
                    "`\(name)` over rows of `hits` takes a constant for the part, such as 'day' or 'hour'"
                )
            }
            return try asTimes(made, of: node, from: 1, rows)
        case _ where Self.partsOfDays.contains(name):
            return try asTimes(made, of: node, from: 0, rows)
        default: break
        }
        return made
    }

    private static let noZone = Refused(
        "a time zone over rows of `hits` must be a constant that the engine knows, such as 'Europe/Berlin'"
    )

    /// The call with each argument from an index on turned into a time, where it is not one already: of times of day, intervals
    /// and days far off some have no part.
    private func asTimes(
        _ made: JSONTree, of node: JSONTree, from first: Int, _ rows: Relation.Rows
    ) throws -> JSONTree {
        let name = node["function_name"].string?.lowercased() ?? ""
        let isOfZones = name.hasPrefix("timezone")
        var made = made
        made["children"] = .array(
            try zip(made["children"].array, node["children"].array).enumerated().map {
                index, pair in
                let (argument, original) = pair
                let type = type(original, rows)
                if index < first || type == "TIMESTAMP" || type == "TIMESTAMP WITH TIME ZONE" {
                    return argument
                }
                if !isOfZones && isOwnTime(original, rows) { return argument }
                return try tried(Self.tried(argument, as: "TIMESTAMP"))
            })
        return made
    }

    // MARK: Constants

    private static func text(_ node: JSONTree) -> String? {
        guard node["class"].string == "CONSTANT" else { return nil }
        return node["value"]["value"].string
    }

    /// Whether a pattern with the escape is one: the engine fails where it comes to an escape at the end.
    private static func isPattern(_ pattern: String, _ escape: String) -> Bool {
        guard let sign = escape.utf8.first else { return true }
        guard escape.utf8.count == 1, sign < 0x80, sign != UInt8(ascii: "%"),
            sign != UInt8(ascii: "_"), !Character(Unicode.Scalar(sign)).isLetter
        else { return false }
        return pattern.split(separator: escape + escape, omittingEmptySubsequences: false)
            .last?.utf8.last != sign
    }

    private static func isZone(_ node: JSONTree) -> Bool {
        text(node).map { zones.contains($0.lowercased()) } ?? false
    }

    /// `INTERVAL '15 minutes'`, `'15 minutes'` or `INTERVAL 15 MINUTES`.
    private static func isSpan(_ node: JSONTree) -> Bool {
        if node["class"].string == "CAST", node["cast_type"]["id"].string == "INTERVAL" {
            return isSpan(node["child"])
        }
        if node["class"].string == "FUNCTION" {
            let name = node["function_name"].string?.lowercased() ?? ""
            let arguments = node["children"].array
            return arguments.count == 1 && name.hasPrefix("to_")
                && isSpan(wholeNumber(arguments[0]), unit: String(name.dropFirst(3)))
        }
        guard let words = text(node)?.split(separator: " "), words.count == 2 else { return false }
        return isSpan(Int(words[0]), unit: words[1].lowercased())
    }

    private static func isSpan(_ count: Int?, unit: String) -> Bool {
        guard let count, (1...spanCountMax).contains(count) else { return false }
        return spans.contains(unit)
            || unit.hasSuffix("s") && spans.contains(String(unit.dropLast()))
            || unit == "centuries"
    }

    /// The number in what the parser makes of `INTERVAL 15 MINUTES`: casts and a call that cuts off places.
    private static func wholeNumber(_ node: JSONTree) -> Int? {
        switch node["class"].string {
        case "CAST": wholeNumber(node["child"])
        case "FUNCTION" where node["function_name"].string == "trunc":
            node["children"].array.first.flatMap(wholeNumber)
        case "CONSTANT": node["value"]["value"].integer
        default: nil
        }
    }

    /// A time with a year of four digits, as by `TIMESTAMPTZ '2026-01-01 00:00:00+00'`.
    private static func isOrdinaryTime(_ node: JSONTree) -> Bool {
        guard node["class"].string == "CAST",
            node["cast_type"]["id"].string.map(isTime) ?? false,
            let text = text(node["child"])
        else { return false }
        let head = text.utf8.prefix(10)
        let isDay =
            head.count == 10
            && head.enumerated().allSatisfy { index, unit in
                [4, 7].contains(index) ? unit == UInt8(ascii: "-") : (0x30...0x39).contains(unit)
            }
        return isDay
            && text.utf8.dropFirst(10).allSatisfy {
                (0x30...0x3A).contains($0) || " .+-TZ".utf8.contains($0)
            }
    }

    // MARK: COALESCE

    /// `coalesce(…)` whose values may fail to become the common type: the first that is not null of a list of them. Where
    /// an argument fails, the engine does not survive `TRY(coalesce(…))`.
    static func firstValue(_ coalesce: JSONTree) -> JSONTree {
        var made = call("list_any_value", [call("list_value", coalesce["children"].array)])
        made["alias"] = coalesce["alias"]
        return made
    }

    /// The expression with each `coalesce` in it made of a list.
    static func withoutCoalesce(_ value: JSONTree) -> JSONTree {
        switch value {
        case .object(let members):
            let made = JSONTree.object(
                members.map { .init(name: $0.name, value: withoutCoalesce($0.value)) })
            return made["type"].string == "OPERATOR_COALESCE" ? firstValue(made) : made
        case .array(let values): return .array(values.map(withoutCoalesce))
        default: return value
        }
    }
}
