import CordonJournal
import CordonKeys
import CordonModel
import Foundation
import Synchronization
import TestSupport

@testable import CordonSubjects

/// A lake of text files, one row a line, with the promises of the real one: a change is one step, and what
/// left the table stays on disk until it is expired.
final class FakeLake: SubjectLake {
    struct Row: Equatable {
        var user: String
        var site: String
        var text: String { "{\"hit_id\":\"\(site)\",\"user\":\"\(user)\",\"site\":\"\(site)\"}" }
    }

    struct State {
        var present: [LakeFile] = []
        var older: [LakeFile] = []
        var number = 0
        var delivered: Int64 = 0
        var gate = RemovalGate()
    }

    let directory: String
    let state = Mutex(State())

    init(directory: String) throws {
        self.directory = directory
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
    }

    let columns = ["hit_id", "user", "site"]
    func files() -> [LakeFile] { state.withLock { $0.present } }
    /// The number of changes stands for the snapshot.
    func snapshotID() -> Int64? { state.withLock { Int64($0.number) } }
    func name(of path: String) -> String { String(path.dropFirst(directory.count + 1)) }
    func deliveredThrough() -> Int64 { state.withLock { $0.delivered } }

    func add(_ rows: [Row], day: Day, retainUntil: Day) throws {
        let path = state.withLock {
            $0.number += 1
            return "\(directory)/\($0.number).rows"
        }
        let text = rows.map(\.text).joined(separator: "\n")
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let file = LakeFile(
            path: path, rows: Int64(rows.count), bytes: Int64(text.utf8.count), day: day,
            retainUntil: retainUntil)
        state.withLock { $0.present.append(file) }
    }

    func lines(_ file: LakeFile) throws -> [String] {
        try String(contentsOfFile: file.path, encoding: .utf8).split(separator: "\n").map(
            String.init)
    }

    /// Every row in the table, sorted.
    func allRows() throws -> [String] { try files().flatMap(lines).sorted() }

    private func isOf(_ people: SubjectFilter, _ line: String) -> Bool {
        people.pseudonyms.contains { line.contains($0.text) }
    }

    func matches(_ people: SubjectFilter) throws -> [LakeMatch] {
        try files().compactMap { file in
            let count = try lines(file).count { isOf(people, $0) }
            return count == 0 ? nil : LakeMatch(file: file, rows: Int64(count))
        }
    }

    func sealedRows(of people: SubjectFilter) -> Int64 { 0 }

    func rows(of people: SubjectFilter, _ body: (String) throws -> Void) throws {
        for line in try allRows() where isOf(people, line) { try body(line) }
    }

    func remove(
        _ people: SubjectFilter, foreseen: ([LakeMatch]) throws -> Void,
        written: ([(path: String, rows: Int64)]) throws -> Void
    ) throws -> LakeRemoval {
        let matches = try matches(people)
        try foreseen(matches)
        let olderCount = files().count - matches.count
        for match in matches {
            let kept = try lines(match.file).filter { !isOf(people, $0) }
            state.withLock { state in
                state.present.removeAll { $0 == match.file }
                state.older.append(match.file)
            }
            let rows = kept.map { line in
                let values = try! JSONDecoder().decode([String: String].self, from: Data(line.utf8))
                return Row(user: values["user"]!, site: values["site"]!)
            }
            if !rows.isEmpty {
                try add(rows, day: match.file.day, retainUntil: match.file.retainUntil)
            }
        }
        try written(files().dropFirst(olderCount).map { ($0.path, $0.rows) })
        return LakeRemoval(
            rows: matches.reduce(0) { $0 + $1.rows }, filesReplaced: matches.count, deadLetters: 0)
    }

    func deliver() {}

    /// Rows of these people lose them; purposes are none of its columns.
    func matches(
        _ people: SubjectFilter, _ correction: ConsentCorrection
    ) throws -> [LakeMatch] { try matches(people) }

    func correct(
        _ people: SubjectFilter, _ correction: ConsentCorrection,
        foreseen: ([LakeMatch]) throws -> Void
    ) throws -> LakeRemoval {
        try remove(people, foreseen: foreseen, written: { _ in })
    }

    /// Holds about people and days; the lines have no other column.
    private func isHeld(_ line: String, _ day: Day, by hold: RemovalGate.Hold) -> Bool {
        (hold.people.map { isOf($0, line) } ?? true) && (hold.days.map { $0.contains(day) } ?? true)
    }

    func holds(on people: SubjectFilter) throws -> [String] {
        try state.withLock { $0.gate }.holds.filter { hold in
            try files().contains { file in
                try lines(file).contains { isOf(people, $0) && isHeld($0, file.day, by: hold) }
            }
        }.map(\.id)
    }

    func held(in files: [LakeFile]) throws -> [String: Int64] {
        let gate = state.withLock { $0.gate }
        var held: [String: Int64] = [:]
        for file in files {
            let count = try lines(file).count { line in
                gate.holds.contains { isHeld(line, file.day, by: $0) }
            }
            if count > 0 { held[file.path] = Int64(count) }
        }
        return held
    }

    /// Every value of 32 digits is both: the lines have one column.
    func forEachPseudonym(_ field: PseudonymField, _ body: (Pseudonym) -> Void) throws -> Int {
        let present = files()
        for file in present {
            for line in try lines(file) {
                for part in line.split(separator: "\"") {
                    if let pseudonym = Pseudonym(part) { body(pseudonym) }
                }
            }
        }
        return present.count
    }

    func drop(dueOn day: Day, foreseen: ([LakeFile]) throws -> Void) throws {
        let held = try held(in: files())
        let due = files().filter { $0.isDue(on: day) && held[$0.path] == nil }
        try foreseen(due)
        state.withLock { state in
            state.present.removeAll { due.contains($0) }
            state.older += due
        }
    }

    func expire() throws -> Int {
        let gone = state.withLock { state in
            defer { state.older = [] }
            return state.older
        }
        for file in gone { try FileManager.default.removeItem(atPath: file.path) }
        return gone.count
    }

    func decoded(holding pseudonyms: Set<Pseudonym>) -> any DecodedContent { Plain() }
    func quietly<Result>(_ body: () throws -> Result) rethrows -> Result { try body() }

    private struct Plain: DecodedContent {
        let name = "rows"
        func recognises(_ path: String) -> Bool { false }
        func read(_ path: String, _ consume: (Int, [UInt8]) -> Void) -> String? { nil }
    }
}
