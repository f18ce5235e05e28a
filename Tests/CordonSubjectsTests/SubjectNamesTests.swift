import Bytes
import CordonJournal
import CordonKeys
import CordonModel
import Crypto
import Foundation
import SQLite
import TestSupport
import Testing

@testable import CordonSubjects

/// Names of people in the region, and a visitor of three days.
extension Region {
    fileprivate static let address = IPAddress(ipv4: 0xCB00_714D)
    fileprivate static let userAgent = "Mozilla/5.0 (X11; Linux x86_64), like Gecko"
    fileprivate static let site = "shop.example"

    fileprivate static func withVisitor() throws -> Region {
        SentValues.note(address.text)
        SentValues.note(userAgent)
        return try Region(users: [today], visitors: (0..<3).map { today + -$0 })
    }

    fileprivate func subject(_ name: SubjectName) throws -> Subject {
        try NamedSubjectTransform(keys).apply(name).get()
    }

    fileprivate func visitor(_ days: ClosedRange<Day>? = nil) throws -> Subject {
        return try subject(
            .visitor(
                address: Self.address, userAgent: Array(Self.userAgent.utf8),
                site: Array(Self.site.utf8), days: days))
    }

    fileprivate func list(_ numbers: Range<Int>) -> [[UInt8]] {
        numbers.map { Array("member-\($0)".utf8) }
    }

    fileprivate func user(_ id: [UInt8]) throws -> Pseudonym {
        try keys.pseudonymKey(.user, .month, Self.today, creating: false)!
            .pseudonym(user: id.span)
    }
}

@Suite struct `Names of a person` {
    private let region: Region
    init() throws { region = try Region.withVisitor() }

    @Test func `a visitor has a pseudonym for each day's key, the one that the edge makes`() throws
    {
        let subject = try region.visitor()
        #expect(subject.naming == .visitor)
        #expect(subject.suppressed.isEmpty)
        #expect(subject.filter.users.isEmpty)
        let expected = try (0..<3).map { day in
            try #require(
                try region.keys.pseudonymKey(
                    .visitor, .day, Region.today + -day, creating: false)
            ).pseudonym(
                address: Region.address, userAgent: Array(Region.userAgent.utf8).span,
                site: Array(Region.site.utf8).span)
        }
        #expect(subject.filter.visitors == Set(expected))
        #expect(subject.keysFrom == Region.today + -2)
    }

    @Test func `the days of a visitor choose the keys, and bound the rows`() throws {
        let yesterday = Region.today + -1
        let subject = try region.visitor(yesterday...yesterday)
        #expect(subject.pseudonyms.map(\.epoch?.start) == [yesterday])
        #expect(subject.filter.window == yesterday.start..<Region.today.start)
        var record = HitRecord()
        record.visitor = subject.pseudonyms.first?.pseudonym
        record.timestamp = yesterday.start
        #expect(subject.filter.matches(record))
        record.timestamp = Region.today.start
        #expect(!subject.filter.matches(record))
        let other = try region.visitor(Region.today...Region.today)
        #expect(other.digest != subject.digest)
        #expect(subject.erased.filter.window == nil)
    }

    @Test func `an erasure covers the whole period of a key, whatever days are asked for`() throws {
        _ = try region.keys.pseudonymKey(.visitor, .month, Region.today, creating: true)
        let subject = try region.visitor(Region.today...Region.today)
        #expect(
            subject.erasedDays == Day(
                year: 2026, month: 11, day: 1)...Day(year: 2026, month: 11, day: 30))
    }

    @Test func `a list is one subject in any order, and names each of its people to the edge`()
        throws
    {
        let ids = region.list(0..<5)
        let subject = try region.subject(.list(ids))
        #expect(subject == (try region.subject(.list(ids))))
        let turned = try region.subject(.list(ids.reversed() + [ids[0]]))
        #expect(turned.digest == subject.digest)
        #expect(turned.people == 5)
        #expect(subject.suppressed.count == 5)
        let one = try region.subject(.user(ids[2]))
        #expect(subject.suppressed.contains(one.digest))
        #expect(subject.filter.users.isSuperset(of: one.filter.users))
        #expect(try region.subject(.list([ids[2]])).digest != one.digest)
    }

    @Test func `a pseudonym is sought as a user and as a visitor`() throws {
        let pseudonym = Pseudonym(value: 4711)
        let subject = try region.subject(.pseudonym(pseudonym))
        #expect(subject.filter == SubjectFilter(users: [pseudonym], visitors: [pseudonym]))
        #expect(subject.keysFrom == nil)
    }

    @Test func `the people of a list are erased in one pass, and others stay`() throws {
        let erased = region.list(0..<40)
        let others = region.list(40..<60)
        for part in 0..<3 {
            let rows = try (erased + others).enumerated().map { index, id in
                FakeLake.Row(
                    user: try region.user(id).text, site: "s\(part)-\(index).example")
            }
            try region.lake.add(
                rows, day: Region.today, retainUntil: Region.today + 395)
        }
        let subject = try region.subject(.list(erased))
        let request = try region.service().erase(request: "r1", percentMax: 100) { subject }
        #expect(request.state == "erased")
        #expect(request.people == 40)
        #expect(request.counts.rows == 120)
        #expect(try region.lake.allRows().count == 60)
        #expect(region.events.map { $0.counts["people"] } == [40, 40])
        let list = try region.journal.suppression()
        #expect(list.users.isEmpty)
        #expect(list.subjects == Set(subject.suppressed.map(\.suppressed)))
        #expect(try region.service().verify(subject, request: "v").isClean)
    }

    @Test func `a visitor's erasure leaves nothing and suppresses nobody afterwards`() throws {
        let subject = try region.visitor()
        let texts = subject.filter.visitors.map(\.text) + [Pseudonym(value: 1).text]
        try region.lake.add(
            texts.enumerated().map { .init(user: $1, site: "s\($0).example") },
            day: Region.today, retainUntil: Region.today + 395)
        var record = HitRecord()
        record.timestamp = Region.today.start
        record.site = "journal.example"
        record.event = "view"
        record.policy = "gdpr"
        record.visitor = subject.filter.visitors.first
        record.retainUntil = Region.today + 395
        let batch = HitBatch(ruleSet: "r", geoBuild: "g", records: [record])
        _ = try region.journal.append(batch.encoded, hits: 1, expecting: 0)

        let request = try region.service().erase(request: "r1", percentMax: 100) { subject }
        #expect(request.counts.rows == 3)
        #expect(request.counts.journalHits == 1)
        #expect(try region.lake.allRows().count == 1)
        let list = try region.journal.suppression()
        #expect(list.isEmpty)
        #expect(try region.service().verify(subject, request: "v").isClean)
    }

    @Test func `pseudonyms of a request come back as they were given, of whatever field`() throws {
        let subject = try region.subject(.list(region.list(0..<7)))
        let pseudonym = try region.subject(.pseudonym(Pseudonym(value: 99)))
        let store = try RequestStore(
            path: folder("store.sqlite"), maskKey: region.keys.subjectDigestKey)
        for (id, subject) in [("a", subject), ("b", pseudonym), ("c", try region.visitor())] {
            let request = SubjectRequest(
                id: id, kind: .erase, subject: subject, at: Region.today.start)
            try store.insert(request, of: subject)
            try store.update(request, adding: subject.pseudonyms)
            #expect(Set(try store.pseudonyms(of: id)) == Set(subject.pseudonyms))
            #expect(try store.pseudonyms(of: id).count == subject.pseudonyms.count)
            #expect(Set(try store.suppressed(of: request)) == subject.suppressed)
            #expect(try store.request(id) == request)
        }
    }

    private func folder(_ name: String) -> String { region.folder.file("state/" + name) }

    @Test func `a store of the second version keeps the request that it was cut in`() throws {
        let path = folder("old.sqlite")
        let key = region.keys.subjectDigestKey
        let subject = try region.subject(.user(Array("customer-4711".utf8)))
        SentValues.note("customer-4711")
        let entry = try #require(subject.pseudonyms.first)
        let start = try #require(entry.epoch).start.number
        var code = key.begin()
        code.update(Array("pending-pseudonym\u{0}old\u{0}month\u{0}".utf8))
        code.update(bigEndian: UInt32(bitPattern: start))
        var masked: [UInt8] = []
        masked.append(bigEndian: entry.pseudonym.value ^ code.finalize().leading128)
        do {
            let old = try Connection(path: path)
            try old.execute(
                """
                CREATE TABLE requests (
                    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
                    subject BLOB, as_of INTEGER, step TEXT NOT NULL, covered INTEGER NOT NULL,
                    rows INTEGER NOT NULL, files INTEGER NOT NULL, journal_hits INTEGER NOT NULL,
                    dead_letters INTEGER NOT NULL, files_deleted INTEGER NOT NULL, attempts INTEGER NOT NULL,
                    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT;
                CREATE TABLE pending_pseudonyms (
                    request TEXT NOT NULL REFERENCES requests (id), period TEXT NOT NULL,
                    start INTEGER NOT NULL, masked BLOB NOT NULL,
                    PRIMARY KEY (request, period, start)) STRICT, WITHOUT ROWID;
                CREATE TABLE evidence_files (
                    request TEXT NOT NULL REFERENCES requests (id), side TEXT NOT NULL, name TEXT NOT NULL,
                    rows INTEGER NOT NULL, sha256 TEXT NOT NULL,
                    PRIMARY KEY (request, side, name)) STRICT, WITHOUT ROWID;
                CREATE TABLE evidence_numbers (
                    request TEXT NOT NULL REFERENCES requests (id), name TEXT NOT NULL, value INTEGER NOT NULL,
                    PRIMARY KEY (request, name)) STRICT, WITHOUT ROWID;
                INSERT INTO requests VALUES (1, 'old', 'erase', x'\(subject.digest.hex)', NULL, 'rewrite',
                    1, 2, 1, 0, 0, 0, 1, 5, 6);
                INSERT INTO requests VALUES (2, 'due', 'retention', NULL, 20000, 'done', 0, 0, 0, 0, 0, 0,
                    1, 5, 6);
                INSERT INTO pending_pseudonyms VALUES ('old', 'month', \(start), x'\(Bytes.hex(masked))');
                PRAGMA application_id = \(RequestStore.applicationID); PRAGMA user_version = 2
                """)
        }
        let store = try RequestStore(path: path, maskKey: key)
        let request = try #require(try store.request("old"))
        #expect(request.naming == .user && request.step == .rewrite && request.people == 1)
        #expect(try store.pseudonyms(of: "old") == [entry])
        #expect(try store.suppressed(of: request) == [subject.digest])
        #expect(try store.request("due")?.naming == nil)
        #expect(request.counts.keys == 0 && request.unreadableSince == nil)
        // What the sixth version keeps of keys of sealed columns.
        var changed = request
        changed.counts.keys = 3
        changed.unreadableSince = Timestamp(microseconds: 77)
        try store.update(changed)
        #expect(try store.request("old") == changed)
    }
}
