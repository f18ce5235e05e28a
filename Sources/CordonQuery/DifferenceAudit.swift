internal import Crypto

/// Whether answers put together single out fewer people than each of them must stand for.
///
/// After Chin and Özsoyoğlu, "Auditing and inference control in statistical databases": what somebody can compute of the answers
/// is every combination of them, so a new one is held against those combinations, and not against the text of questions. Each
/// vector is set against each other one. Those of whole answers, and of groups where there are few, are also looked at together:
/// a combination that leaves few people is zero in nearly all buckets, and random elimination finds those.
struct DifferenceAudit {
    /// The answers given before, the newest first; those that were compared before behind the others.
    let earlier: [(at: Int64, vectors: [AnswerVector])]

    /// More vectors are not looked at together; the newest are.
    static let pooledMax = 64
    /// A combination that is there is missed with a probability of at most one in a thousand, unless this many eliminations are too few.
    private static let eliminationsMax = 256
    private static let missedLogarithm = 6.9
    /// More pairs are not compared, and the answer is refused.
    static let pairsMax = 40_000_000

    enum Verdict: Equatable {
        case safe
        /// Too few people differ from an answer given at this time (nil: within the answer itself).
        case singlesOut(since: Int64?)
        /// There are too many groups in this answer and earlier ones to compare them all.
        case tooMany
    }

    /// Whether the new answer's vectors may be shown beside the earlier ones.
    ///
    /// - Parameter compared: beside how many of ``earlier``, from the end on, it was found safe; all are looked at together again.
    func verdict(on new: [AnswerVector], compared: Int = 0) -> Verdict {
        let pairs = earlier.reduce(new.count) { $0 + $1.vectors.count } * new.count
        guard pairs <= Self.pairsMax else { return .tooMany }
        let unseen = earlier.dropLast(compared)
        for (index, vector) in new.enumerated() {
            for other in new[..<index] where !isOfOneSelect(vector, other) {
                if singlesOut(vector, other, new) { return .singlesOut(since: nil) }
            }
            for answer in unseen {
                for other in answer.vectors where singlesOut(vector, other, new) {
                    return .singlesOut(since: answer.at)
                }
            }
        }
        return together(new)
    }

    /// Groups of one SELECT that share no row, and those that they are put together to, stand for enough people each.
    private func isOfOneSelect(_ one: AnswerVector, _ other: AnswerVector) -> Bool {
        one.isPart && other.isPart && one.release == other.release && one.call == other.call
    }

    /// The people that a difference must have, as far as buckets can tell.
    private static func needed(_ people: Int) -> Int { min(people, AnswerVector.bucketsMax / 2) }

    private func singlesOut(
        _ one: AnswerVector, _ other: AnswerVector, _ new: [AnswerVector]
    ) -> Bool {
        guard one.kind == other.kind else { return false }
        let count = min(one.bucketCount, other.bucketCount)
        let needed = min(
            Self.needed(max(one.needed, other.needed)), count / 2)
        if one.bucketCount == other.bucketCount,
            abs(one.buckets.count - other.buckets.count) >= needed
        {
            return false
        }
        guard
            let rest = one.folded(count).minus(other.folded(count), most: needed - 1),
            !rest.isEmpty
        else { return false }
        return !isShown(rest, count, new)
    }

    /// Whether a rest is what a shown value stands for by itself: a group of enough people who share buckets.
    private func isShown(_ rest: [UInt16: UInt64], _ count: Int, _ new: [AnswerVector]) -> Bool {
        let shown = [new] + earlier.map(\.vectors)
        return shown.contains { vectors in
            vectors.contains { vector in
                let vector = vector.folded(count)
                guard vector.buckets.count == rest.count, let first = vector.buckets.first,
                    let start = rest[first]
                else { return false }
                // One is the other times a number.
                let factor = AnswerVector.product(start, AnswerVector.inverse(vector.sums[0]))
                return zip(vector.buckets, vector.sums).allSatisfy { bucket, sum in
                    rest[bucket] == AnswerVector.product(factor, sum)
                }
            }
        }
    }

    // MARK: Several answers together

    private func together(_ new: [AnswerVector]) -> Verdict {
        var pool: [[UInt64]] = []
        /// Which SELECT and call each is of, where groups share no row.
        var origins: [[Int]?] = []
        var needed = 0
        var since: Int64?
        func put(_ vectors: [AnswerVector], _ answer: Int) -> Bool {
            var isAny = false
            for vector in vectors where vector.isPooled && vector.kind == 0 {
                guard pool.count < Self.pooledMax, vector.bucketCount == AnswerVector.bucketsMax
                else { continue }
                let dense = vector.dense(AnswerVector.bucketsMax)
                guard !pool.contains(dense) else { continue }
                pool.append(dense)
                origins.append(vector.isPart ? [answer, vector.release, vector.call] : nil)
                isAny = true
            }
            return isAny
        }
        _ = put(new, -1)
        for vector in new { needed = max(needed, Self.needed(vector.needed)) }
        for (index, answer) in earlier.enumerated() where put(answer.vectors, index) {
            since = since ?? answer.at
        }
        guard pool.count > 1, needed > 1 else { return .safe }
        let used = (0..<AnswerVector.bucketsMax).filter { bucket in
            pool.contains { $0[bucket] != 0 }
        }
        let columns = used.map { bucket in pool.map { $0[bucket] } }
        var eliminations = 1
        var done = 0
        while done < eliminations {
            done += 1
            let rows = Self.eliminated(
                columns, pool.count, order: Self.shuffled(columns.count))
            for row in rows {
                var rest: [UInt16: UInt64] = [:]
                for (place, bucket) in used.enumerated() where row[place] != 0 {
                    rest[UInt16(bucket)] = row[place]
                    if rest.count >= needed { break }
                }
                if !rest.isEmpty && rest.count < needed
                    && Self.isAnswerable(row[used.count...])
                    && !Self.isOfOneSelect(row[used.count...], origins)
                    && !isShown(rest, AnswerVector.bucketsMax, new)
                {
                    return .singlesOut(since: since)
                }
            }
            // Found, if there is one, when none of its buckets is among the first that are eliminated by.
            let clear = max(1 - Double(needed - 1) / Double(max(columns.count, 1)), 0)
            var chance = 1.0
            for _ in 1..<max(rows.count, 1) { chance *= clear }
            eliminations =
                chance * Double(Self.eliminationsMax) > Self.missedLogarithm
                ? Int((Self.missedLogarithm / chance).rounded(.up)) : Self.eliminationsMax
        }
        return .safe
    }

    /// Groups of one SELECT that share no row, put together in whatever way, are groups of enough people each.
    private static func isOfOneSelect(
        _ factors: ArraySlice<UInt64>, _ origins: [[Int]?]
    ) -> Bool {
        let taken = zip(factors, origins).filter { $0.0 != 0 }.map(\.1)
        return taken.allSatisfy { $0 != nil && $0 == taken[0] }
    }

    private static func shuffled(_ count: Int) -> [Int] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).shuffled(using: &generator)
    }

    /// Whether a combination takes each answer a small number of times, as one that comes of rows does. Others are accidents of the
    /// numbers of rows: where several answers are of the same few people, some multiples of them agree in a bucket.
    private static func isAnswerable(_ factors: ArraySlice<UInt64>) -> Bool {
        guard let first = factors.first(where: { $0 != 0 }) else { return false }
        let unit = AnswerVector.inverse(first)
        return (1...factorMax).contains { scale in
            factors.allSatisfy { factor in
                let number = AnswerVector.product(
                    AnswerVector.product(factor, unit), UInt64(scale))
                return number <= UInt64(factorMax)
                    || AnswerVector.modulus - number <= UInt64(factorMax)
            }
        }
    }

    /// How often a combination may take an answer.
    private static let factorMax = 8

    /// The vectors' span by rows each of which alone is not zero at its pivot, with pivots as early in `order` as can be. Behind the
    /// buckets of a row stands how often it takes each vector.
    private static func eliminated(
        _ columns: [[UInt64]], _ vectorCount: Int, order: [Int]
    ) -> [[UInt64]] {
        let width = columns.count + vectorCount
        // Flat, since this is what comparing many answers takes.
        var all: [UInt64] = []
        all.reserveCapacity(width * vectorCount)
        for index in 0..<vectorCount {
            for column in columns { all.append(column[index]) }
            for other in 0..<vectorCount { all.append(other == index ? 1 : 0) }
        }
        var rows = all.mutableSpan
        var rank = 0
        var base: [(place: Int, value: UInt64)] = []
        for column in order where rank < vectorCount {
            guard
                let pivot = (rank..<vectorCount).first(where: { rows[$0 * width + column] != 0 })
            else { continue }
            let factor = AnswerVector.inverse(rows[pivot * width + column])
            base.removeAll(keepingCapacity: true)
            for place in 0..<width {
                let value = AnswerVector.product(rows[pivot * width + place], factor)
                rows[pivot * width + place] = rows[rank * width + place]
                rows[rank * width + place] = value
                if value != 0 { base.append((place, value)) }
            }
            for index in 0..<vectorCount where index != rank {
                let start = index * width
                guard rows[start + column] != 0 else { continue }
                let minus = AnswerVector.modulus - rows[start + column]
                for (place, value) in base {
                    rows[start + place] = AnswerVector.sum(
                        rows[start + place], product: minus, value)
                }
            }
            rank += 1
        }
        return (0..<rank).map { row in (0..<width).map { rows[row * width + $0] } }
    }
}
