/// Finds what a misspelt word was meant to be.
package enum Spelling {
    /// `, did you mean …?` for the nearest of `candidates`, or nothing when none is near.
    /// `prefix` stands before the proposal, such as the dashes of an option.
    package static func suggestion(
        _ word: String, among candidates: some Sequence<String>, prefix: String = ""
    ) -> String {
        let bound = max(1, word.utf8.count / 3)
        // Longer words than any that configuration knows are no slips of the pen, and comparing costs their square.
        guard word.utf8.count <= 64 else { return "" }
        let near = candidates.map { ($0, distance(word.lowercased(), $0.lowercased())) }
            .filter { $0.1 <= bound }
            .min { ($0.1, $0.0) < ($1.1, $1.0) }
        return near.map { ", did you mean `\(prefix)\($0.0)`?" } ?? ""
    }

    /// Number of edits between two words: insertions, deletions, substitutions and swaps of neighbours (optimal string
    /// alignment).
    private static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        var before: [Int] = []
        var row = Array(0...right.count)
        for index in left.indices {
            var next = [index + 1]
            for column in right.indices {
                var best = min(
                    row[column + 1] + 1, next[column] + 1,
                    row[column] + (left[index] == right[column] ? 0 : 1))
                if index > 0, column > 0, left[index] == right[column - 1],
                    left[index - 1] == right[column]
                {
                    best = min(best, before[column - 1] + 1)
                }
                next.append(best)
            }
            (before, row) = (row, next)
        }
        return row[right.count]
    }
}
