import CordonKeys
import CordonModel
import Crypto
import Testing

@testable import CordonSubjects

@Suite struct `Days for an answer` {
    private func due(_ law: String, _ day: Day) throws -> String {
        try #require(AnswerTerm.named(law)).due(from: day).text
    }

    @Test func `a month ends on the day of the same number, or the last of a shorter one`() throws {
        #expect(try due("gdpr", Day(year: 2026, month: 11, day: 29)) == "2026-12-29")
        #expect(try due("gdpr", Day(year: 2026, month: 12, day: 31)) == "2027-01-31")
        #expect(try due("gdpr", Day(year: 2027, month: 1, day: 31)) == "2027-02-28")
        #expect(try due("gdpr", Day(year: 2028, month: 1, day: 30)) == "2028-02-29")
    }

    @Test func `days are counted`() throws {
        #expect(try due("us-states", Day(year: 2026, month: 11, day: 1)) == "2026-12-16")
        #expect(try due("lgpd", Day(year: 2026, month: 12, day: 20)) == "2027-01-04")
    }

    @Test func `the strictest of a region's laws sets the day`() {
        let day = Day(year: 2026, month: 11, day: 1)
        #expect(AnswerTerm.answer(under: ["us-states", "pipeda"], receivedOn: day).law == "pipeda")
        #expect(AnswerTerm.answer(under: ["gdpr", "lgpd", "own"], receivedOn: day).law == "lgpd")
        #expect(AnswerTerm.answer(under: [], receivedOn: day).law == "default")
    }

    @Test func `status reminds in the last week, and says how late it is`() throws {
        let day = Day(year: 2026, month: 11, day: 1)
        let subject = Subject(
            digest: SubjectDigest(
                digest: try #require(Digest([UInt8](repeating: 1, count: 32)))), naming: .user,
            pseudonyms: [])
        var request = SubjectRequest(id: "r", kind: .erase, subject: subject, at: day.start)
        #expect(request.reminder(on: day + 99) == nil)
        request.due = day + 30
        #expect(request.reminder(on: day + 22) == nil)
        #expect(request.reminder(on: day + 23) == "is to be answered by 2026-12-01, in 7 day(s)")
        #expect(
            request.reminder(on: day + 33)
                == "is 3 day(s) late: it was to be answered by 2026-12-01")
        request.step = .done
        #expect(request.reminder(on: day + 33) == nil)
    }
}
