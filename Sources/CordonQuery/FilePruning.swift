internal import CordonModel

/// Which of the table's files a statement can need, told by its conditions and by what is known of each file.
///
/// Every place where the statement reads `hits` counts by itself: the conditions that each of its rows must fulfil are the
/// parts of the `WHERE` right above it that are joined by `AND`. A file in which no row can fulfil all of them is left out, and
/// one that any place can need stays. Only what is surely understood counts, so that an answer is the same with and without:
/// literals, and today or now with whole days more or less, beside `ts`, `retain_until` and `site`, which nobody is shown
/// otherwise than they stand. Nothing of the statement is computed here.
struct FilePruning {
    /// The conditions at each place, all of which must hold.
    private var places: [[Condition]] = []
    private let clock: DayConstant.Clock
    /// Conditions that all rows of most files fulfil or none, where the statement is one SELECT over `hits`.
    private var bounds: [Bound] = []
    /// The statement without ``bounds``, and without places in its text.
    private(set) var unbounded: JSONTree

    /// - Parameters:
    ///   - tree: a checked statement, without guards.
    ///   - today: today in UTC; the statement may run a little later.
    ///   - frozen: the same with constants for what asks for the time.
    init(_ tree: JSONTree, today: Day, frozen: JSONTree? = nil) {
        let names = DayConstant.bareClocks.filter { !Self.hasOwn($0, in: tree) }
        clock = DayConstant.Clock(today: today, bareNames: names)
        unbounded = tree
        gather(tree)
        takeBounds(of: tree, frozen ?? tree)
        unbounded = unbounded.without(["query_location"])
    }

    /// Whether a row of the file can be one that the statement reads.
    func needs(_ file: QueryFile) -> Bool {
        places.contains { $0.allSatisfy { $0.canHold(in: file) } }
    }

    /// A condition on the time of a row.
    private struct Bound {
        /// As it runs, without places.
        var text: String
        /// Days of which all rows fulfil it.
        var days: ClosedRange<Int>
    }

    /// Those of the statement's bounds of time that the file's day does not settle, as text; with ``unbounded`` they say which of its rows are read.
    ///
    /// - Parameter file: that is ``needs(_:)``.
    func rest(of file: QueryFile) -> String {
        bounds.filter { bound in
            file.day.map { !bound.days.contains(Int($0.number)) } ?? true
        }.map(\.text).joined(separator: " ")
    }

    private mutating func takeBounds(of tree: JSONTree, _ frozen: JSONTree) {
        var statements = tree["statements"].array
        guard statements.count == 1, statements[0]["node"]["type"].string == "SELECT_NODE",
            Self.isHits(statements[0]["node"]["from_table"])
        else { return }
        var node = statements[0]["node"]
        let reader = reader(of: node)
        func parts(_ node: JSONTree) -> [JSONTree] {
            let isAnd = node["type"].string == "CONJUNCTION_AND"
            return isAnd ? node["children"].array : [node]
        }
        let conditions = parts(node["where_clause"])
        let running = parts(frozen["statements"].array[0]["node"]["where_clause"])
        guard conditions.count == running.count, !node["where_clause"].isNull else { return }
        var rest: [JSONTree] = []
        for (condition, running) in zip(conditions, running) {
            // The constants that run say more of a time than a clock does.
            if let days = reader.daysBetween(running) ?? reader.daysBetween(condition) {
                bounds.append(
                    Bound(text: running.without(["query_location"]).text, days: days))
            } else {
                rest.append(condition)
            }
        }
        guard !bounds.isEmpty else { return }
        node["where_clause"] = rest.isEmpty ? .null : .array(rest)
        statements[0]["node"] = node
        unbounded["statements"] = .array(statements)
    }

    private enum Condition {
        case day(ClosedRange<Int>)
        case retainUntil(ClosedRange<Int>)
        /// One of these, as UTF-8.
        case sites([[UInt8]])

        func canHold(in file: QueryFile) -> Bool {
            switch self {
            case .day(let days): file.day.map { days.contains(Int($0.number)) } ?? true
            case .retainUntil(let days):
                file.retainUntil.map { days.contains(Int($0.number)) } ?? true
            case .sites(let names):
                file.sites.map { bounds in names.contains { bounds.contains($0) } } ?? true
            }
        }
    }

    // MARK: Places

    private mutating func gather(_ value: JSONTree) {
        if value["type"].string == "SELECT_NODE", Self.isHits(value["from_table"]) {
            places.append(conditions(of: value))
            for member in value.members where member.name != "from_table" { gather(member.value) }
            return
        }
        if Self.isHits(value) { places.append([]) }
        for member in value.members { gather(member.value) }
        for element in value.array { gather(element) }
    }

    /// The gate lets nothing else have this name.
    private static func isHits(_ source: JSONTree) -> Bool {
        source["type"].string == "BASE_TABLE" && source["table_name"].string?.lowercased() == "hits"
    }

    /// Whether the statement calls anything of its own by a name, other than to read it.
    static func hasOwn(_ name: String, in value: JSONTree) -> Bool {
        if value["class"].string == "COLUMN_REF" {
            return value["alias"].string?.lowercased() == name
        }
        return value.string?.lowercased() == name
            || value.members.contains { hasOwn(name, in: $0.value) }
            || value.array.contains { hasOwn(name, in: $0) }
    }

    private func conditions(of select: JSONTree) -> [Condition] {
        guard select["from_table"]["column_name_alias"].array.isEmpty else { return [] }
        return reader(of: select).conditions(in: select["where_clause"])
    }

    private func reader(of select: JSONTree) -> ConditionReader {
        let alias = select["from_table"]["alias"].string ?? ""
        return ConditionReader(
            qualifier: Self.qualifier(alias.isEmpty ? "hits" : alias.lowercased()),
            // What the statement itself calls so is left alone, whichever of the two the engine takes.
            taken: Set(select["select_list"].array.compactMap { $0["alias"].string?.lowercased() }),
            clock: clock)
    }

    /// The name of the table in front of its columns; nil where one of them is called so, too.
    private static func qualifier(_ name: String) -> String? {
        HitsColumn.all.contains { $0.name == name } ? nil : name
    }

    /// Reads the conditions of one `WHERE`.
    private struct ConditionReader {
        let qualifier: String?
        let taken: Set<String>
        let clock: DayConstant.Clock

        func conditions(in node: JSONTree) -> [Condition] {
            switch (node["class"].string, node["type"].string) {
            case ("CONJUNCTION", "CONJUNCTION_AND"):
                return node["children"].array.flatMap(conditions)
            case ("COMPARISON", let type?):
                guard let sides = FilePruning.sides[type] else { return [] }
                return comparison(node["left"], sides, node["right"])
                    ?? comparison(node["right"], sides.turned, node["left"]) ?? []
            case ("BETWEEN", "COMPARE_BETWEEN"):
                return (comparison(node["input"], .least, node["lower"]) ?? [])
                    + (comparison(node["input"], .most, node["upper"]) ?? [])
            case ("OPERATOR", "COMPARE_IN"):
                return oneOf(node["children"].array).map { [$0] } ?? []
            default: return []
            }
        }

        /// The days of which surely all rows fulfil a condition on `ts` alone; nil where it is another one.
        func daysBetween(_ node: JSONTree) -> ClosedRange<Int>? {
            switch (node["class"].string, node["type"].string) {
            case ("COMPARISON", let type?):
                guard let sides = FilePruning.sides[type] else { return nil }
                return column(node["left"]) == "ts"
                    ? days(sides, node["right"])
                    : column(node["right"]) == "ts" ? days(sides.turned, node["left"]) : nil
            case ("BETWEEN", "COMPARE_BETWEEN"):
                guard column(node["input"]) == "ts", let first = days(.least, node["lower"]),
                    let last = days(.most, node["upper"])
                else { return nil }
                // No day: one before all.
                return first.lowerBound <= last.upperBound
                    ? first.lowerBound...last.upperBound : FilePruning.noDays
            default: return nil
            }
        }

        private func days(_ sides: Sides, _ value: JSONTree) -> ClosedRange<Int>? {
            guard let day = DayConstant(value, clock), day.isCertain else { return nil }
            let (first, last) = (day.days.lowerBound, day.days.upperBound)
            switch sides {
            case .equal: return nil
            case .least:
                return (day.isMidnight && first == last ? first : last + 1)...FilePruning.lastDay
            case .above: return last + 1...FilePruning.lastDay
            case .most, .below: return FilePruning.noDays.lowerBound...first - 1
            }
        }

        /// The column's name, where the node is one of this table.
        private func column(_ node: JSONTree) -> String? {
            guard node["class"].string == "COLUMN_REF" else { return nil }
            let names = node["column_names"].array.compactMap { $0.string?.lowercased() }
            guard let name = names.last, !taken.contains(name) else { return nil }
            return names.count == 1 || names.count == 2 && names[0] == qualifier ? name : nil
        }

        private func oneOf(_ children: [JSONTree]) -> Condition? {
            guard let first = children.first, column(first) == "site" else { return nil }
            let names = children.dropFirst().map { $0.plainText }
            guard !names.contains(nil) else { return nil }
            return .sites(names.map { Array(($0 ?? "").utf8) })
        }

        /// The condition that `node` stands so to `value`; nil where it is not understood.
        private func comparison(
            _ node: JSONTree, _ sides: Sides, _ value: JSONTree
        ) -> [Condition]? {
            if column(node) == "site" {
                guard sides == .equal, let name = value.plainText else { return nil }
                return [.sites([Array(name.utf8)])]
            }
            guard let (name, later) = time(node), let day = DayConstant(value, clock) else {
                return nil
            }
            let last = day.days.upperBound + later - (sides == .below && day.isMidnight ? 1 : 0)
            let range =
                switch sides {
                case .equal: day.days.lowerBound...last
                case .least, .above: day.days.lowerBound...Int(Int32.max)
                case .most, .below: Int(Int32.min)...last
                }
            return [name == "ts" ? .day(range) : .retainUntil(range)]
        }

        /// The column of a time or of the start of its span, and how many days the span's last one is later.
        private func time(_ node: JSONTree) -> (column: String, later: Int)? {
            if let name = column(node) {
                return ["ts", "retain_until"].contains(name) ? (name, 0) : nil
            }
            if node["class"].string == "CAST" {
                guard DayConstant.isTime(node["cast_type"]) else { return nil }
                return time(node["child"])
            }
            let children = node["children"].array
            guard node["class"].string == "FUNCTION", children.count == 2,
                ["date_trunc", "datetrunc"].contains(node["function_name"].string?.lowercased()),
                let later = FilePruning.spans[children[0].plainText?.lowercased() ?? ""],
                let (name, more) = time(children[1])
            else { return nil }
            return (name, more + later)
        }
    }

    private static let lastDay = Int(Int32.max)
    private static let noDays = Int(Int32.min)...Int(Int32.min)

    /// How the left side of a comparison stands to its right one.
    private enum Sides {
        case equal, least, above, most, below

        /// The same with the sides turned round.
        var turned: Sides {
            switch self {
            case .equal: .equal
            case .least: .most
            case .above: .below
            case .most: .least
            case .below: .above
            }
        }
    }

    private static let sides: [String: Sides] = [
        "COMPARE_EQUAL": .equal, "COMPARE_GREATERTHAN": .above,
        "COMPARE_GREATERTHANOREQUALTO": .least, "COMPARE_LESSTHAN": .below,
        "COMPARE_LESSTHANOREQUALTO": .most,
    ]

    /// Days between the first and the last day of a span.
    private static let spans = [
        "second": 0, "minute": 0, "hour": 0, "day": 0, "week": 6, "month": 30, "quarter": 91,
        "year": 365,
    ]
}

/// A day that a statement names by a literal, or as so many days from today.
private struct DayConstant {
    /// One of these is surely the value's own day, in UTC.
    var days: ClosedRange<Int>
    /// Whether the value is surely the first moment of its day.
    var isMidnight = false
    /// Whether it is surely a value: the engine reads every literal of the form.
    var isCertain = true

    private init(
        _ days: ClosedRange<Int>, isMidnight: Bool = false, isCertain: Bool = true
    ) {
        self.days = days
        self.isMidnight = isMidnight
        self.isCertain = isCertain
    }

    /// Nil where `node` is not understood.
    init?(_ node: JSONTree, _ clock: Clock) {
        switch node["class"].string {
        case "CONSTANT":
            guard let text = node.plainText else { return nil }
            self.init(text)
        case "CAST":
            // A type without a time of day takes it away, and no more.
            guard Self.isTime(node["cast_type"]) else { return nil }
            self.init(node["child"], clock)
            // A text with a time of day may be none of a date.
            if node["cast_type"]["id"].string == "DATE",
                node["child"].plainText?.utf8.count ?? 10 > 10
            {
                isCertain = false
            }
        case "COLUMN_REF":
            guard node["column_names"].array.count == 1,
                let name = node["column_names"].array[0].string?.lowercased(),
                clock.bareNames.contains(name)
            else { return nil }
            self = clock.now
        case "FUNCTION":
            let children = node["children"].array
            let name = node["function_name"].string?.lowercased() ?? ""
            if children.isEmpty {
                guard Self.clocks.contains(name) else { return nil }
                self = clock.now
                return
            }
            guard children.count == 2, ["+", "-"].contains(name),
                children[0]["class"].string != "CONSTANT",
                let constant = DayConstant(children[0], clock),
                let length = Self.length(of: children[1])
            else { return nil }
            let start = constant.days
            self.init(
                name == "+"
                    ? start.lowerBound + length.lowerBound...start.upperBound + length.upperBound
                    : start.lowerBound - length.upperBound...start.upperBound - length.lowerBound,
                isCertain: constant.isCertain)
        default: return nil
        }
    }

    /// `2026-11-23`, alone or with a time of day and an offset.
    private init?(_ text: String) {
        let units = Array(text.utf8)
        guard (10...40).contains(units.count),
            let day = Day(String(decoding: units[..<10], as: UTF8.self))
        else { return nil }
        let number = Int(day.number)
        guard units.count > 10 else {
            self.init(number...number, isMidnight: true)
            return
        }
        // Names of zones, eras and the like are not understood.
        let rest = String(decoding: units[10...], as: UTF8.self)
        let form =
            #/[ T](?<time>([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?)(?<zone>Z|[+-](0\d|1[0-5])(:?[0-5]\d)?)?/#
        guard let match = try? form.wholeMatch(in: rest) else { return nil }
        let zone = match.zone ?? "Z"
        let isPlain =
            (8...15).contains(match.time.utf8.count)
            && (zone == "Z" || zone.utf8.count == 3 || zone.contains(":"))
        guard zone == "Z" || zone.allSatisfy({ "+-:0".contains($0) }) else {
            // An offset moves a time by less than a day.
            self.init(number - 1...number + 1, isCertain: isPlain)
            return
        }
        self.init(
            number...number, isMidnight: match.time.allSatisfy { ":.0".contains($0) },
            isCertain: isPlain)
    }

    static func isTime(_ type: JSONTree) -> Bool {
        ["DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"].contains(type["id"].string)
    }

    private static let clocks: Set = [
        "now", "today", "current_date", "get_current_timestamp", "transaction_timestamp",
    ]

    /// What the engine reads as a call where there is no column of the name.
    static let bareClocks: Set = ["current_date", "current_timestamp"]

    /// The day of `now()` and the like.
    struct Clock {
        var today: Day
        /// Those of ``bareClocks`` that are surely calls.
        var bareNames: Set<String>

        /// The statement runs later than this is read, by less than a day.
        var now: DayConstant { DayConstant(Int(today.number)...Int(today.number) + 1) }
    }

    /// A number of days, or an interval of whole units, as the engine's parser writes it.
    private static func length(of node: JSONTree) -> ClosedRange<Int>? {
        if let number = node.smallInteger { return number...number }
        let children = node["children"].array
        guard node["class"].string == "FUNCTION", children.count == 1,
            let unit = units[node["function_name"].string?.lowercased() ?? ""],
            let number = wholeNumber(children[0])
        else { return nil }
        return number * unit.lowerBound...number * unit.upperBound
    }

    /// `CAST(trunc(CAST(7 AS DOUBLE)) AS INTEGER)`, which `INTERVAL 7 DAY` is to the parser, or the number itself.
    private static func wholeNumber(_ node: JSONTree) -> Int? {
        switch node["class"].string {
        case "CONSTANT": return node.smallInteger
        case "CAST":
            let isNumber = ["DOUBLE", "INTEGER", "BIGINT"].contains(node["cast_type"]["id"].string)
            return isNumber ? wholeNumber(node["child"]) : nil
        case "FUNCTION":
            let children = node["children"].array
            guard node["function_name"].string == "trunc", children.count == 1 else { return nil }
            return wholeNumber(children[0])
        default: return nil
        }
    }

    /// Least and most days of a unit; what is shorter than a day may or may not lead to another one.
    private static let units: [String: ClosedRange<Int>] = [
        "to_seconds": 0...1, "to_minutes": 0...1, "to_hours": 0...1, "to_days": 1...1,
        "to_weeks": 7...7, "to_months": 28...31, "to_years": 365...366,
    ]
}

extension JSONTree {
    /// The text of a literal.
    fileprivate var plainText: String? {
        guard self["class"].string == "CONSTANT", self["value"]["type"]["id"].string == "VARCHAR",
            self["value"]["is_null"] == .bool(false)
        else { return nil }
        return self["value"]["value"].string
    }

    /// A whole number from 0 to 10,000.
    fileprivate var smallInteger: Int? {
        guard self["class"].string == "CONSTANT",
            ["INTEGER", "BIGINT"].contains(self["value"]["type"]["id"].string),
            let number = self["value"]["value"].integer, (0...10_000).contains(number)
        else { return nil }
        return number
    }
}
