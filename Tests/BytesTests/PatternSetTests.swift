import Bytes
import TestSupport
import Testing

@Suite struct `Pattern sets` {
    private struct Match: Hashable, Comparable {
        let offset: Int
        let pattern: Int
        static func < (left: Match, right: Match) -> Bool {
            (left.offset, left.pattern) < (right.offset, right.pattern)
        }
    }

    private func found(
        _ patterns: [[UInt8]], in bytes: [UInt8], startingIn starts: Range<Int>? = nil
    ) -> [Match] {
        var matches: [Match] = []
        PatternSet(patterns).forEachMatch(in: bytes.span, startingIn: starts) { offset, pattern in
            matches.append(Match(offset: offset, pattern: pattern))
        }
        return matches
    }

    private func naive(_ patterns: [[UInt8]], in bytes: [UInt8]) -> [Match] {
        var matches: [Match] = []
        for (index, pattern) in patterns.enumerated() where pattern.count <= bytes.count {
            for offset in 0...bytes.count - pattern.count
            where Array(bytes[offset..<offset + pattern.count]) == pattern {
                matches.append(Match(offset: offset, pattern: index))
            }
        }
        return matches.sorted()
    }

    @Test func `every occurrence is found, also overlapping and at both ends`() {
        let patterns = ["abab", "bab", "b", "zz"].map { Array($0.utf8) }
        let bytes = Array("ababab".utf8)
        #expect(found(patterns, in: bytes).sorted() == naive(patterns, in: bytes))
    }

    @Test func `no pattern, no input and patterns longer than the input find nothing`() {
        #expect(found([], in: [1, 2, 3]).isEmpty)
        #expect(found([[1]], in: []).isEmpty)
        #expect(found([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]], in: [1, 2, 3]).isEmpty)
    }

    @Test func `only matches that start in the asked range are told`() {
        let pattern = Array("needle".utf8)
        let bytes = Array("needle needle needle".utf8)
        #expect(found([pattern], in: bytes, startingIn: 1..<14) == [Match(offset: 7, pattern: 0)])
    }

    @Test func `random patterns in random bytes agree with a naive search`() {
        var generator = Generator()
        for _ in 0..<300 {
            // A small alphabet makes near misses and overlaps common.
            let letters = Array("ab\u{0}c".utf8)
            func text(_ count: Int) -> [UInt8] {
                (0..<count).map { _ in letters.randomElement(using: &generator) ?? 0 }
            }
            // Long ones are looked for at some positions only, as long as few share their bytes.
            let least = Int.random(in: 1...28, using: &generator)
            var patterns = (0..<Int.random(in: 1...40, using: &generator)).map { _ in
                text(Int.random(in: least...least + 11, using: &generator))
            }
            let bytes = text(Int.random(in: 0...200, using: &generator))
            // Those that are there lie at both ends and anywhere.
            for _ in 0..<3 where bytes.count >= least {
                let place = Int.random(in: 0...bytes.count - least, using: &generator)
                patterns.append(Array(bytes[place..<place + least]))
            }
            patterns.append(Array(bytes.suffix(least)) + (bytes.count < least ? text(least) : []))
            let expected = naive(patterns, in: bytes)
            #expect(
                found(patterns, in: bytes).sorted() == expected, "CORDON_SEED=\(generator.seed)")
            let start = Int.random(in: 0...bytes.count, using: &generator)
            let starts = start..<Int.random(in: start...bytes.count, using: &generator)
            #expect(
                found(patterns, in: bytes, startingIn: starts).sorted()
                    == expected.filter { starts.contains($0.offset) },
                "CORDON_SEED=\(generator.seed)")
        }
    }
}
