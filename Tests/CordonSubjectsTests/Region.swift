import CordonJournal
import CordonKeys
import CordonModel
import Foundation
import TestSupport

@testable import CordonSubjects

/// A region with keys, a journal, and a lake whose rows are named in one column.
final class Region {
    static let today = Day(year: 2026, month: 11, day: 23)

    struct Killed: Error {}

    let folder: TemporaryDirectory
    let keys: RegionKeys
    let lake: FakeLake
    let journal: Journal
    private(set) var events: [SubjectEvent] = []
    var killAt: (RequestStep, SubjectService.StepMoment)?

    /// - Parameters:
    ///   - users: days whose months have a key for users.
    ///   - visitors: days that have a key for visitors.
    init(users: [Day], visitors: [Day] = []) throws {
        folder = try TemporaryDirectory()
        keys = try RegionKeys.create(directory: folder.file("keys"), region: "eu-central")
        for day in users { _ = try keys.pseudonymKey(.user, .month, day, creating: true) }
        for day in visitors { _ = try keys.pseudonymKey(.visitor, .day, day, creating: true) }
        lake = try FakeLake(directory: folder.file("lake"))
        try FileManager.default.createDirectory(
            atPath: folder.file("state"), withIntermediateDirectories: true)
        journal = try Journal(path: folder.file("state/journal.sqlite"))
    }

    func service() -> SubjectService {
        SubjectService(
            .init(
                region: "eu-central", storePath: folder.file("state/requests.sqlite"),
                journalPath: folder.file("state/journal.sqlite"),
                lockPath: folder.file("state/requests.lock"),
                ledger: folder.file("state/erased.ledger"),
                roots: [
                    folder.file("state"), folder.file("lake"), folder.file("keys"),
                    folder.file("none"),
                ]),
            keys: keys, lake: lake, clock: FixedClock(time: Self.today.start),
            audit: { self.events.append($0) },
            moment: { step, moment in
                if let kill = self.killAt, kill == (step, moment) { throw Killed() }
            })
    }
}
