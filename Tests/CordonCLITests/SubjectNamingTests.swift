import Bytes
import CordonModel
import CordonSubjects
import Testing

@testable import CordonCLI

@Suite struct `Whom a command is about` {
    private func read(_ words: String...) throws -> SubjectName {
        try SubjectNaming.read(Arguments(parsing: words, for: .subjectFind))
    }

    @Test func `a user agent may have commas in it`() throws {
        let name = try read(
            "--visitor-of", "2001:db8::7,Agent/1 (KHTML, like Gecko),Shop.Example", "--days",
            "2026-11-01..2026-11-03")
        guard case .visitor(let address, let userAgent, let site, let days) = name else {
            Issue.record("not a visitor")
            return
        }
        #expect(address.text == "2001:db8::7")
        #expect(String(decoding: userAgent, as: UTF8.self) == "Agent/1 (KHTML, like Gecko)")
        #expect(String(decoding: site, as: UTF8.self) == "shop.example")
        #expect(
            days == Day(year: 2026, month: 11, day: 1)...Day(year: 2026, month: 11, day: 3))
    }

    @Test func `an empty user agent is one`() throws {
        guard
            case .visitor(_, let userAgent, _, nil) = try read(
                "--visitor-of", "192.0.2.1,,a.example")
        else {
            Issue.record("not a visitor")
            return
        }
        #expect(userAgent.isEmpty)
    }

    @Test(arguments: [
        [], ["--user", "a", "--pseudonym", "b"], ["--user", ""], ["--pseudonym", "12"],
        ["--visitor-of", "192.0.2.1"], ["--visitor-of", "192.0.2.1,ua"],
        ["--visitor-of", "nowhere,ua,site"], ["--visitor-of", "192.0.2.1,ua,"],
        ["--user", "a", "--days", "2026-11-01"],
        ["--visitor-of", "192.0.2.1,ua,site", "--days", "2026-11-03..2026-11-01"],
        ["--visitor-of", "192.0.2.1,ua,site", "--days", "yesterday"],
    ])
    func `what names nobody or two is a usage error that repeats no value`(_ words: [String]) throws
    {
        let error = #expect(throws: UsageError.self) {
            _ = try SubjectNaming.read(Arguments(parsing: words, for: .subjectFind))
        }
        for value in ["192.0.2.1", "nowhere"] { #expect(error?.text.contains(value) == false) }
    }

    @Test func `a file has an id a line, with or without carriage returns`() throws {
        let ids = try SubjectNaming.ids(Array("one\r\n\ntwo \nthree".utf8))
        #expect(ids.map { String(decoding: $0, as: UTF8.self) } == ["one", "two ", "three"])
        #expect(throws: UsageError.self) { try SubjectNaming.ids(Array("\n\n".utf8)) }
        let long = [UInt8](repeating: 0x61, count: SubjectNaming.idBytesMax + 1)
        #expect(throws: UsageError.self) { try SubjectNaming.ids(long) }
        #expect(try SubjectNaming.ids(Array(long.dropLast())).count == 1)
    }

    @Test func `a byte order mark before a file is no part of its first id`() throws {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let ids = try SubjectNaming.ids(mark + Array("one\r\ntwo\r\n".utf8))
        #expect(ids.map { String(decoding: $0, as: UTF8.self) } == ["one", "two"])
        #expect(throws: UsageError.self) { try SubjectNaming.ids(mark) }
        // Anywhere else it is what it is.
        #expect(try SubjectNaming.ids(Array("one".utf8) + mark) == [Array("one".utf8) + mark])
    }
}
