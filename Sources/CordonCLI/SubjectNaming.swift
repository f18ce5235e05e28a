import Bytes
import CordonModel
import CordonSubjects
import LinuxIO

extension Command.Option {
    static let user = Command.Option(
        name: "user", value: "ID",
        help:
            "the user id as the site sends it; `-` reads it from standard input, which no process list shows"
    )
    static let visitor = Command.Option(
        name: "visitor-of", value: "ADDR,UA,SITE",
        help:
            "who came from this address with this user agent to this site; `-` reads the line from standard input"
    )
    static let days = Command.Option(
        name: "days", value: "FIRST[..LAST]",
        help: "the days of a visitor, YYYY-MM-DD in UTC (default: all whose keys exist)")
    static let pseudonym = Command.Option(
        name: "pseudonym", value: "P",
        help: "a user or visitor pseudonym, 32 hexadecimal digits; `-` reads it")
    static let people = Command.Option(
        name: "file", value: "IDS",
        help: "a file of user ids, one a line, answered in one pass; `-` is standard input")

    /// The options that name whom a command is about.
    static let naming: [Command.Option] = [.user, .visitor, .days, .pseudonym, .people]
}

/// Reads from a command line whom it is about. No error repeats a value.
enum SubjectNaming {
    static let usage =
        "--user ID | --visitor-of ADDR,UA,SITE [--days FIRST[..LAST]] | --pseudonym P | --file IDS"

    /// Most people of one request.
    static let peopleMax = 100_000
    /// Longest user id, in bytes; the collector takes none that is longer.
    static let idBytesMax = 4096

    /// Whether any option names somebody.
    static func isGiven(_ arguments: Arguments) -> Bool {
        Command.Option.naming.contains { arguments.has($0.name) }
    }

    /// - Parameters:
    ///   - options: those of the command that name somebody.
    ///   - daysBoundAll: whether `--days` bounds what the command does, and not a visitor alone.
    static func read(
        _ arguments: Arguments,
        by options: [Command.Option] = [.user, .visitor, .pseudonym, .people],
        daysBoundAll: Bool = false
    ) throws -> SubjectName {
        let given = options.filter { arguments.has($0.name) }
        guard let option = given.first, given.count == 1 else {
            throw UsageError(
                text: "say whom this is about by one of "
                    + options.map { "`--\($0.name)`" }.joined(separator: ", "))
        }
        guard daysBoundAll || option.name == Command.Option.visitor.name || !arguments.has("days")
        else {
            throw UsageError(text: "`--days` belongs to `--visitor-of`")
        }
        let value = try arguments.required(option.name)
        switch option.name {
        case Command.Option.user.name: return .user(try line(value, of: option))
        case Command.Option.visitor.name: return try visitor(try line(value, of: option), arguments)
        case Command.Option.pseudonym.name:
            let text = String(decoding: try line(value, of: option), as: UTF8.self)
            guard let pseudonym = Pseudonym(text) else {
                throw UsageError(text: "a pseudonym has 32 hexadecimal digits")
            }
            return .pseudonym(pseudonym)
        default: return .list(try ids(File.read(value == "-" ? "/dev/stdin" : value)))
        }
    }

    /// The value itself, or the first line of standard input.
    private static func line(_ value: String, of option: Command.Option) throws -> [UInt8] {
        var bytes = Array(value.utf8)
        if bytes == Array("-".utf8) {
            bytes = Array(unmarked(try File.read("/dev/stdin")).prefix { $0 != 0x0A })
            if bytes.last == 0x0D { bytes.removeLast() }
        }
        guard !bytes.isEmpty else { throw UsageError(text: "`--\(option.name)` is empty") }
        return bytes
    }

    /// The content without the byte order mark that spreadsheets write before it: it would be a part of the first id, so that its
    /// person would not be found, and the answer would say nothing of it.
    private static func unmarked(_ content: [UInt8]) -> ArraySlice<UInt8> {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        return content.starts(with: mark) ? content.dropFirst(mark.count) : content[...]
    }

    /// The ids of a file; empty lines are passed over.
    static func ids(_ content: [UInt8]) throws -> [[UInt8]] {
        var ids: [[UInt8]] = []
        let lines = unmarked(content).split(separator: 0x0A, omittingEmptySubsequences: false)
        for (number, line) in lines.enumerated() {
            let id = line.last == 0x0D ? line.dropLast() : line
            if id.isEmpty { continue }
            guard id.count <= idBytesMax else {
                throw UsageError(
                    text:
                        "line \(number + 1) of the file has \(id.count) bytes, at most \(idBytesMax)"
                )
            }
            ids.append(Array(id))
            guard ids.count <= peopleMax else {
                throw UsageError(text: "the file has more than \(peopleMax) ids: split it")
            }
        }
        guard !ids.isEmpty else { throw UsageError(text: "the file has no ids") }
        return ids
    }

    /// A user agent may have commas in it, the address and the site have none.
    private static func visitor(_ bytes: [UInt8], _ arguments: Arguments) throws -> SubjectName {
        let comma = UInt8(ascii: ",")
        guard let first = bytes.firstIndex(of: comma), let last = bytes.lastIndex(of: comma),
            first < last
        else {
            throw UsageError(text: "`--visitor-of` takes ADDR,UA,SITE with two commas at least")
        }
        guard let address = IPAddress(parsing: Array(bytes[..<first]).span) else {
            throw UsageError(text: "`--visitor-of` begins with an IPv4 or IPv6 address")
        }
        let site = bytes[(last + 1)...].map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
        guard !site.isEmpty else { throw UsageError(text: "`--visitor-of` ends with the site") }
        return .visitor(
            address: address, userAgent: Array(bytes[(first + 1)..<last]), site: site,
            days: try days(arguments))
    }

    /// The days of `--days`; nil when it is not given.
    static func days(_ arguments: Arguments) throws -> ClosedRange<Day>? {
        guard let text = arguments.value("days") else { return nil }
        let ends = text.split(separator: "..", omittingEmptySubsequences: false)
        guard ends.count <= 2, let first = Day(ends[0]), let last = Day(ends[ends.count - 1]),
            first <= last
        else {
            throw UsageError(
                text: "option `--days` takes YYYY-MM-DD or FIRST..LAST, found `\(text)`")
        }
        return first...last
    }
}
