internal import CordonModel
internal import Crypto
internal import Synchronization

/// What the files of a region's table told of people for questions that were asked, so that a question asked again after a
/// delivery reads the new files alone.
///
/// It is in the memory of the process that answers and nowhere else: ``ReleasePart``s by question and by runs of files, each under a digest of all that
/// decides what it is. A part goes when one of its files does, the one that was used longest ago when there are too many, and all with the
/// process. Any number of threads may use it.
package final class AnswerMemory: Sendable {
    /// What all parts may take, about.
    package static let bytesMax = 128 << 20

    private let bytesMax: Int
    private let state = Mutex(State())

    package init(bytesMax: Int = AnswerMemory.bytesMax) { self.bytesMax = bytesMax }

    /// Files that were told of together for a question, and what they told.
    struct Unit: Sendable {
        var files: Set<String>
        var part: ReleasePart
        /// The time of the newest row that was there when they were read, in microseconds, also of files that were read with them.
        var newest: Int64?
        fileprivate var lastUse = 0

        init(files: Set<String>, part: ReleasePart, newest: Int64? = nil) {
            self.files = files
            self.part = part
            self.newest = newest
        }
    }

    /// Units of one question in which one file stands, as where a question is asked again as of an earlier time; of more the oldest is
    /// forgotten.
    private static let unitsPerFileMax = 2

    private struct Kept {
        var units: [String: Unit] = [:]
        var bytes = 0
        var lastUse = 0

        mutating func measure() {
            bytes = units.reduce(0) { $0 + $1.value.part.bytes + 128 * $1.value.files.count }
        }
    }

    private struct State {
        var questions: [[UInt8]: Kept] = [:]
        /// The files of the table when it was last asked.
        var listed: Set<String> = []
        var uses = 0
    }

    /// Takes away what files told that are not there any more.
    package func keep(onlyOf files: some Sequence<String>) {
        let present = Set(files)
        state.withLock { state in
            guard state.listed != present else { return }
            state.listed = present
            for (question, kept) in state.questions {
                var left = kept
                left.units = kept.units.filter { $0.value.files.isSubset(of: present) }
                guard left.units.count < kept.units.count else { continue }
                left.measure()
                state.questions[question] = left.units.isEmpty ? nil : left
            }
        }
    }

    /// What is known of the files that a question is about, by unit; units in which another file stands are not given.
    func units(of question: [UInt8], about files: [String: Set<String>]) -> [String: Unit] {
        state.withLock { state in
            state.uses += 1
            guard var kept = state.questions[question] else { return [:] }
            let found = kept.units.filter { $0.value.files.isSubset(of: files[$0.key] ?? []) }
            kept.lastUse = state.uses
            for name in found.keys { kept.units[name]?.lastUse = state.uses }
            state.questions[question] = kept
            return found
        }
    }

    /// Notes what files of units told; the least used is forgotten when it is too much.
    func note(_ units: [String: Unit], of question: [UInt8]) {
        state.withLock { state in
            state.uses += 1
            var kept = state.questions[question] ?? Kept()
            // What is gone meanwhile is not noted.
            for (name, unit) in units where unit.files.isSubset(of: state.listed) {
                var unit = unit
                unit.lastUse = state.uses
                kept.units[name] = unit
                let same = kept.units.filter { !$0.value.files.isDisjoint(with: unit.files) }
                    .sorted { $0.value.lastUse > $1.value.lastUse }
                for old in same.dropFirst(Self.unitsPerFileMax) { kept.units[old.key] = nil }
            }
            guard !kept.units.isEmpty else { return }
            kept.lastUse = state.uses
            kept.measure()
            state.questions[question] = kept
            var bytes = state.questions.reduce(0) { $0 + $1.value.bytes }
            while bytes > bytesMax,
                let oldest = state.questions.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                bytes -= oldest.value.bytes
                state.questions[oldest.key] = nil
            }
        }
    }

    /// About how many bytes the parts take, and of how many files they are.
    package var size: (bytes: Int, files: Int) {
        state.withLock { state in
            (
                state.questions.reduce(0) { $0 + $1.value.bytes },
                Set(state.questions.values.flatMap { $0.units.values.flatMap(\.files) }).count
            )
        }
    }
}
