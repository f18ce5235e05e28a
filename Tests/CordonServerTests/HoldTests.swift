import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonQuery
import CordonServer
import CordonSubjects
import Testing

@Suite struct `Holds over a region's real lake` {
    private let region: SubjectRegion
    /// The day on which the hits of the shorter retention are due.
    private let due = SubjectRegion.day + 30

    init() throws {
        region = try SubjectRegion()
        try region.append(batches: 6)
        try region.deliver()
        try region.append(batches: 2)
    }

    private func hold(
        _ subject: Subject? = nil, column: String? = nil, days: ClosedRange<Day>? = nil
    ) throws -> SubjectRequest {
        try region.subjects.service().hold(
            subject, column: column, days: days, reason: "case 12", id: "h1")
    }

    private func rows() throws -> Int64 { try region.lake.table.snapshot().records }

    private func applyRetention() throws -> SubjectRequest? {
        try region.subjects.service().applyRetention(asOf: due, beforeDue: true)
    }

    @Test func `a held person is not erased, status says why, and the release lets it go on`()
        throws
    {
        _ = try hold(region.subject())
        let before = try rows()
        let failure = #expect(throws: SubjectError.self) { try region.erase("r1") }
        #expect(failure == .held(region: "r1", holds: ["h1"]))
        #expect(try rows() == before)
        #expect(try region.lake.journal().suppression().isEmpty)
        let waiting = try #require(
            try region.subjects.service().requests(max: 9).first { $0.id == "r1" })
        #expect(waiting.state == "held by h1")

        // The sweep tries again and finds it still held; the audit log hears of it once.
        #expect(try region.subjects.sweep().unfinished.count == 1)
        #expect(try region.auditKinds().count { $0 == "erasure-held" } == 1)

        let released = try region.subjects.service().release("h1", kind: .hold)
        #expect(released.state == "released")
        #expect(try region.subjects.sweep().unfinished.isEmpty)
        let done = try region.subjects.service().requests(max: 9).first { $0.id == "r1" }
        #expect(done?.state == "erased")
        try region.expectGone()
        let kinds = try region.auditKinds()
        #expect(kinds.contains("hold-added") && kinds.contains("hold-released"))
    }

    @Test func `a hold that comes while an erasure is cut stops it at its next step`() throws {
        #expect(throws: SubjectRegion.Killed.self) {
            try region.erase("r1", killing: .suppress)
        }
        _ = try hold(region.subject())
        let outcome = try region.subjects.service().resume()
        #expect(outcome.map(\.request.id) == ["r1"])
        #expect(
            outcome.first?.failure as? SubjectError == .held(region: "r1", holds: ["h1"]))
        _ = try region.subjects.service().release("h1", kind: .hold)
        #expect(try region.subjects.service().resume().allSatisfy { $0.failure == nil })
        try region.expectGone()
    }

    @Test func `another person is erased beside a hold`() throws {
        let stranger = try NamedSubjectTransform(region.keys).apply(.user(Array("other-7".utf8)))
            .get()
        _ = try hold(stranger)
        #expect(try region.erase().state == "erased")
        #expect(try region.subjects.service().find(stranger, request: "f").rows == 6)
    }

    @Test
    func
        `retention leaves a held person's rows alone, takes those of others, and does not begin again`()
        throws
    {
        _ = try hold(region.subject())
        let total = try rows()
        let files = try region.lake.table.snapshot().files
        let dueRows = files.filter { $0.retainUntil <= due }.reduce(0) { $0 + $1.records }
        let held = try region.lake.table.write { writer in
            try writer.held(in: files.filter { $0.retainUntil <= due }.map(\.path)).values.reduce(
                0, +)
        }
        #expect(held > 0 && held < dueRows)
        let plan = try region.subjects.service().retentionPlan(asOf: due)
        #expect(plan.rows == dueRows - held)
        #expect(plan.heldRows == held)

        #expect(try applyRetention()?.counts.rows == dueRows - held)
        #expect(try rows() == total - dueRows + held)
        #expect(try region.subjects.service().find(region.subject(), request: "f").rows == 6)
        #expect(try region.subjects.service().retentionPlan(asOf: due).isEmpty)
        #expect(try applyRetention() == nil)

        _ = try region.subjects.service().release("h1", kind: .hold)
        #expect(try applyRetention()?.counts.rows == held)
        #expect(try rows() == total - dueRows)
    }

    @Test func `a hold of days holds the hits of those days, in the lake and in the journal`()
        throws
    {
        _ = try hold(days: SubjectRegion.day + -2...SubjectRegion.day)
        #expect(try region.subjects.service().retentionPlan(asOf: due).isEmpty)
        let before = try rows()
        #expect(try applyRetention() == nil)
        #expect(throws: SubjectError.self) { try region.erase() }
        #expect(try rows() == before)
        try region.deliver()
        #expect(try rows() == before + 102)
    }

    @Test func `a hold of other days, or of a column that nobody has a value in, holds nothing`()
        throws
    {
        let past = SubjectRegion.day + -400
        _ = try hold(column: "page_host")
        _ = try region.subjects.service().hold(
            nil, column: nil, days: past...past, reason: "", id: "h2")
        #expect(try applyRetention() != nil)
    }

    @Test func `a hold of a column holds the rows that have a value there`() throws {
        _ = try hold(column: "user")
        #expect(try applyRetention() == nil)
        #expect(throws: SubjectError.self) { try region.erase() }
        let gate = try region.subjects.service().gate()
        #expect(gate.holds(column: "user", on: SubjectRegion.day).map(\.id) == ["h1"])
        #expect(gate.holds(column: "visitor", on: SubjectRegion.day).isEmpty)
        #expect(throws: SubjectError.self) { try hold(column: "no_such") }
    }

    @Test func `the lake itself refuses to remove what is held`() throws {
        _ = try hold()
        let filter = try region.subject().filter
        let error = #expect(throws: LakeError.self) {
            try region.lake.table.write { try $0.rewrite(removing: filter) }
        }
        #expect(error?.code == .held)
        let report = try region.lake.table.write { writer in
            try writer.drop(try writer.dataFiles().map(\.path))
        }
        #expect(report.rowsRemoved == 0)
    }

    @Test func `a field that is past its age stays in held rows, and goes from the others`() throws
    {
        let ages = FieldAges(
            rules: [.init(policy: "gdpr", field: "visitor", columns: ["visitor"], days: 1)],
            policies: ["gdpr"])
        let table = region.lake.table
        func visitors() throws -> Int64 {
            try table.write { writer in
                let all = Set((1...40).map { Pseudonym(value: $0) })
                return try writer.count(SubjectFilter(visitors: all)).values.reduce(0, +)
            }
        }
        _ = try hold(region.subject())
        #expect(try visitors() == 306)
        let aged = try table.age(ages, on: due) { files, _ in Set(files) }
        #expect(aged.values == ["visitor": 300])
        #expect(try visitors() == 6)
        #expect(try table.dueValues(ages, on: due).isEmpty)
        _ = try region.subjects.service().release("h1", kind: .hold)
        let rest = try table.age(ages, on: due) { files, _ in Set(files) }
        #expect(rest.values == ["visitor": 6])
        #expect(try visitors() == 0)
    }

    @Test func `held rows do not leave for another region`() throws {
        let transfer = RowTransfer(
            ruleSet: "r", geoBuild: "g", mayLeave: { _, _ in true }, fate: { _ in .dropped })
        _ = try hold(region.subject())
        let left = try region.lake.table.write { try $0.handOver(transfer) }
        #expect(left == 300)
        #expect(try rows() == 6)
        _ = try region.subjects.service().hold(
            nil, column: nil, days: nil, reason: "", id: "h2")
        #expect(try region.lake.table.write { try $0.handOver(transfer) } == 0)
    }

    @Test func `what is restricted is neither shown nor removed until that is lifted`() throws {
        let subject = try region.subject()
        let queries = try RegionQueries(region.region, clock: SubjectRegion.Clock())
        #expect(try queries.suppressedPseudonyms().isEmpty)
        _ = try region.subjects.service().restrict(subject, reason: "disputed", id: "q1")
        #expect(
            Set(try queries.suppressedPseudonyms().map(\.pseudonym)) == subject.filter.users)
        #expect(
            try region.lake.journal().suppression().subjects == [subject.digest.suppressed])
        #expect(throws: SubjectError.self) { try region.erase("r1") }
        // What waited in the journal is delivered, and kept.
        try region.deliver()
        #expect(try region.subjects.service().find(subject, request: "f").rows == 8)

        _ = try region.subjects.service().release("q1", kind: .restriction)
        #expect(try queries.suppressedPseudonyms().isEmpty)
        #expect(try region.subjects.sweep().unfinished.isEmpty)
        try region.expectGone()
    }

    @Test func `who objects is kept out from then on, and what is there stays`() throws {
        let subject = try region.subject()
        let answer = AnswerTerm.answer(under: ["gdpr"], receivedOn: SubjectRegion.day)
        let request = try region.subjects.service().object(subject, request: "o1", answer: answer)
        #expect(request.state == "done")
        #expect(
            try region.lake.journal().suppression().subjects == [subject.digest.suppressed])
        try region.deliver()
        #expect(try region.subjects.service().find(subject, request: "f").rows == 8)
        #expect(try region.auditKinds().contains("subject-objection"))
        let pseudonym = try #require(subject.filter.users.first)
        let nameless = try NamedSubjectTransform(region.keys).apply(.pseudonym(pseudonym)).get()
        #expect(throws: SubjectError.namesNoUser) {
            try region.subjects.service().object(nameless, request: "o2", answer: nil)
        }
    }

    @Test func `nothing is released twice, or as what it is not`() throws {
        _ = try hold()
        #expect(throws: SubjectError.notInForce(id: "h1")) {
            try region.subjects.service().release("h1", kind: .restriction)
        }
        _ = try region.subjects.service().release("h1", kind: .hold)
        #expect(throws: SubjectError.notInForce(id: "h1")) {
            try region.subjects.service().release("h1", kind: .hold)
        }
        #expect(try region.subjects.service().standing().isEmpty)
    }
}
