internal import Bytes
internal import Crypto

/// Whom a shown value tells of, as a vector of numbers: people are dealt to buckets, and each bucket holds the sum of the
/// numbers of their rows.
///
/// Adding and subtracting answers adds and subtracts their vectors. So the buckets in which a combination of vectors is not
/// zero are a lower bound for the people whom the same combination of answers tells of, and it is zero only where nobody is
/// told of. A vector holds no value of a row, and its sums are of salted hashes.
struct AnswerVector: Equatable, Sendable {
    /// Numbers of rows are taken modulo this prime, 2^61 - 1, so that combinations can be solved for exactly.
    static let modulus: UInt64 = (1 << 61) - 1
    /// A difference of more people than half of these is not told from one of fewer.
    static let bucketsMax = 1 << bucketBits
    static let bucketBits = 9
    /// What is left of the buckets where an answer has very many groups.
    static let bucketsMin = 64

    /// What is told of the rows: 0 how many there are; else something of their values, which is set against the same alone.
    var kind: UInt32
    /// How many people there must be in a difference.
    var needed: Int
    /// How many buckets people are dealt to.
    var bucketCount: Int
    /// Which SELECT of its statement it is of.
    var release: Int
    /// Which call in that SELECT it is of; 0 for all rows of a group.
    var call: Int
    /// Whether no row of it stands in another group of that SELECT.
    var isPart: Bool
    /// Whether it is looked at together with several others; else with each other one.
    var isPooled: Bool
    /// The buckets whose sum is not zero, in order.
    private(set) var buckets: [UInt16] = []
    private(set) var sums: [UInt64] = []

    /// - Parameter sums: by bucket.
    init(
        _ sums: [UInt64], needed: Int, kind: UInt32 = 0, release: Int = 0,
        call: Int = 0, isPart: Bool = true, isPooled: Bool = true
    ) {
        self.kind = kind
        self.needed = needed
        bucketCount = sums.count
        self.release = release
        self.call = call
        self.isPart = isPart
        self.isPooled = isPooled
        for (bucket, sum) in sums.enumerated() where sum != 0 {
            buckets.append(UInt16(bucket))
            self.sums.append(sum)
        }
    }

    var isEmpty: Bool { buckets.isEmpty }

    /// The sums by bucket, with people dealt to `count` buckets.
    func dense(_ count: Int) -> [UInt64] {
        var all = [UInt64](repeating: 0, count: count)
        for (bucket, sum) in zip(buckets, sums) {
            let place = Int(bucket) % count
            all[place] = Self.sum(all[place], sum)
        }
        return all
    }

    /// The vector with people dealt to `count` buckets.
    func folded(_ count: Int) -> AnswerVector {
        guard count < bucketCount else { return self }
        return AnswerVector(
            dense(count), needed: needed, kind: kind, release: release,
            call: call, isPart: isPart, isPooled: isPooled)
    }

    /// What is left when `other`, dealt to as many buckets, is taken away; nil once more than `most` buckets are not zero.
    func minus(_ other: AnswerVector, most: Int) -> [UInt16: UInt64]? {
        var found: [UInt16: UInt64] = [:]
        var left = 0
        var right = 0
        while left < buckets.count || right < other.buckets.count {
            let a = left < buckets.count ? buckets[left] : .max
            let b = right < other.buckets.count ? other.buckets[right] : .max
            if a < b {
                found[a] = sums[left]
                left += 1
            } else if b < a {
                found[b] = Self.modulus - other.sums[right]
                right += 1
            } else {
                if sums[left] != other.sums[right] {
                    found[a] = Self.sum(sums[left], Self.modulus - other.sums[right])
                }
                left += 1
                right += 1
            }
            if found.count > most { return nil }
        }
        return found
    }

    // MARK: The field of numbers modulo the prime

    static func sum(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let sum = a + b
        return sum >= modulus ? sum - modulus : sum
    }

    static func product(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (high, low) = a.multipliedFullWidth(by: b)
        // 2^61 is 1 here, so what lies above 61 bits is added to what lies below.
        let sum = (low & modulus) + (low >> 61 | high << 3)
        return sum >= modulus ? sum - modulus : sum
    }

    /// `a + b * c`.
    static func sum(_ a: UInt64, product b: UInt64, _ c: UInt64) -> UInt64 {
        let (high, low) = b.multipliedFullWidth(by: c)
        // Three numbers below 2^61, so nothing is lost.
        let sum = a &+ (low & modulus) &+ (low >> 61 | high << 3)
        let rest = (sum & modulus) &+ sum >> 61
        return rest >= modulus ? rest &- modulus : rest
    }

    /// The number that gives 1 with `a`, which is not 0, by Fermat's theorem.
    static func inverse(_ a: UInt64) -> UInt64 {
        var result: UInt64 = 1
        var base = a
        var exponent = modulus - 2
        while exponent > 0 {
            if exponent & 1 == 1 { result = product(result, base) }
            base = product(base, base)
            exponent >>= 1
        }
        return result
    }
}

extension AnswerVector {
    /// All vectors as bytes: the layout is in `Docs/formats/query.md`.
    static func encoded(_ vectors: [AnswerVector]) -> [UInt8] {
        var bytes: [UInt8] = [1]
        bytes.append(littleEndian: UInt32(vectors.count))
        for vector in vectors {
            bytes.append((vector.isPart ? 1 : 0) | (vector.isPooled ? 2 : 0))
            bytes.append(littleEndian: vector.kind)
            bytes.append(littleEndian: UInt16(vector.release))
            bytes.append(littleEndian: UInt16(vector.call))
            bytes.append(littleEndian: UInt32(vector.needed))
            bytes.append(littleEndian: UInt16(vector.bucketCount))
            bytes.append(littleEndian: UInt16(vector.buckets.count))
            for (bucket, sum) in zip(vector.buckets, vector.sums) {
                bytes.append(littleEndian: bucket)
                bytes.append(littleEndian: sum)
            }
        }
        return bytes
    }

    /// What ``encoded(_:)`` wrote; nil when the bytes are anything else.
    static func decoded(_ bytes: [UInt8]) -> [AnswerVector]? {
        var reader = ByteReader(bytes)
        do throws(ByteReader.Malformed) {
            guard try reader.byte() == 1 else { return nil }
            let count = Int(try reader.littleEndian(UInt32.self))
            var vectors: [AnswerVector] = []
            while vectors.count < count {
                guard let vector = try read(&reader) else { return nil }
                vectors.append(vector)
            }
            return reader.isAtEnd ? vectors : nil
        } catch {
            return nil
        }
    }

    private static func read(
        _ reader: inout ByteReader
    ) throws(ByteReader.Malformed) -> AnswerVector? {
        let flags = try reader.byte()
        let kind = try reader.littleEndian(UInt32.self)
        let release = Int(try reader.littleEndian(UInt16.self))
        let call = Int(try reader.littleEndian(UInt16.self))
        let needed = Int(try reader.littleEndian(UInt32.self))
        let bucketCount = Int(try reader.littleEndian(UInt16.self))
        guard [bucketsMin, bucketsMax].contains(bucketCount) else { return nil }
        var vector = AnswerVector(
            [], needed: needed, kind: kind, release: release, call: call,
            isPart: flags & 1 == 1, isPooled: flags & 2 == 2)
        vector.bucketCount = bucketCount
        for _ in 0..<(try reader.littleEndian(UInt16.self)) {
            let bucket = try reader.littleEndian(UInt16.self)
            let sum = try reader.littleEndian(UInt64.self)
            guard bucket < bucketCount, sum > 0, sum <= modulus else { return nil }
            vector.buckets.append(bucket)
            vector.sums.append(sum)
        }
        return vector
    }
}

extension AnswerVector {
    /// More vectors of one answer are refused.
    static let countMax = 8192
    /// Groups up to this number are looked at together with those of other answers.
    static let pooledGroupsMax = 16
    /// More ways to put the keys of a SELECT together are not tried all.
    private static let combinationsMax = 48

    /// What is told of one group: by bucket the sums of all its rows, then those of each call.
    struct Group {
        /// Three numbers for each key: its own, its day's and its month's.
        var keys: [UInt64]
        var needed: Int
        var runs: [Run]

        struct Run {
            var buckets: [UInt16] = []
            var sums: [UInt64] = []
        }
    }

    /// What the child's answer to a ``Release/sql(_:salt:isQuick:)`` tells; nil when it has more groups than can be told apart.
    ///
    /// - Parameter rows: of numbers.
    static func read(
        _ rows: [[UInt64]], of release: Release, number: Int, salt: UInt64
    ) -> [AnswerVector]? {
        guard rows.count <= Release.rowsMax else { return nil }
        let firstKey = 4 + release.calls.count
        func groups(_ rows: some Sequence<[UInt64]>) -> [Group] {
            var groups: [[UInt64]: Group] = [:]
            for row in rows {
                let keys = Array(row[firstKey...])
                var group =
                    groups[keys]
                    ?? Group(
                        keys: keys, needed: 0,
                        runs: Array(repeating: .init(), count: 1 + release.calls.count))
                group.needed = max(group.needed, Int(row[2]))
                for index in group.runs.indices {
                    group.runs[index].buckets.append(UInt16(row[1]))
                    group.runs[index].sums.append(row[3 + index])
                }
                groups[keys] = group
            }
            return Array(groups.values)
        }
        return vectors(
            all: groups(rows.lazy.filter { $0[0] == 0 }),
            groups: groups(rows.lazy.filter { $0[0] == 1 }), of: release, number: number, salt: salt
        )
    }

    /// What groups of enough people tell; nil when there are more than can be told apart.
    static func read(
        _ groups: [Group], of release: Release, number: Int, salt: UInt64
    ) -> [AnswerVector]? {
        guard groups.count <= Release.groupsMax else { return nil }
        return vectors(
            all: groups, groups: release.keyCount == 0 ? [] : groups, of: release, number: number,
            salt: salt)
    }

    /// There is a vector for all groups together, for each group, and for groups put together: by each choice of keys, times also by
    /// day and by month.
    private static func vectors(
        all: [Group], groups: [Group], of release: Release, number: Int, salt: UInt64
    ) -> [AnswerVector]? {
        let calls = release.calls.count
        let kinds = [0] + release.calls.map { kind($0, salt) }
        var vectors: [AnswerVector] = []
        /// The vectors of groups by the numbers that are chosen of their keys.
        func gather(_ groups: [Group], _ count: Int, isPooled: Bool, by choice: [Int]) {
            var gathered: [[UInt64]: (needed: Int, sums: [[UInt64]])] = [:]
            for group in groups {
                var sum =
                    gathered.removeValue(forKey: choice.map { group.keys[$0] })
                    ?? (0, Array(repeating: Array(repeating: 0, count: count), count: 1 + calls))
                sum.needed = max(sum.needed, group.needed)
                for (index, run) in group.runs.enumerated() {
                    for (bucket, value) in zip(run.buckets, run.sums) {
                        let place = Int(bucket) % count
                        sum.sums[index][place] = self.sum(sum.sums[index][place], value)
                    }
                }
                gathered[choice.map { group.keys[$0] }] = sum
            }
            let isFew = isPooled || gathered.count <= pooledGroupsMax
            for group in gathered.values {
                for (index, sums) in group.sums.enumerated() {
                    let vector = AnswerVector(
                        sums, needed: group.needed, kind: kinds[index], release: number,
                        call: index, isPart: release.isPartition, isPooled: isFew)
                    if !vector.isEmpty { vectors.append(vector) }
                }
            }
        }
        gather(all, bucketsMax, isPooled: true, by: [])
        let count = groups.count <= Release.finelyTold ? bucketsMax : bucketsMin
        for choice in choices(release.keyCount, groups) where !choice.isEmpty {
            gather(groups, count, isPooled: false, by: choice)
            guard vectors.count <= countMax else { return nil }
        }
        return vectors
    }

    /// A number for what a call tells; the text is not kept.
    private static func kind(_ label: String?, _ salt: UInt64) -> UInt32 {
        guard let label else { return 0 }
        let digest = SHA256.digest(Array("\(salt) \(label)".utf8)).bytes
        return max(digest[..<4].reduce(0) { $0 << 8 | UInt32($1) }, 1)
    }

    /// Which columns of keys are put together: each key is left out, taken, or taken by day or month where it is a time.
    private static func choices(
        _ keyCount: Int, _ groups: [Group]
    ) -> [[Int]] {
        let options = (0..<keyCount).map { key in
            let isTime = groups.contains { $0.keys[3 * key + 1] != 0 }
            return isTime ? [3 * key, 3 * key + 1, 3 * key + 2] : [3 * key]
        }
        let all = options.reduce(1) { min($0 * ($1.count + 1), combinationsMax + 1) }
        guard all <= combinationsMax else {
            return options.flatMap { $0.map { [$0] } } + [options.map { $0[0] }]
        }
        return options.reduce([[]]) { found, options in
            found + found.flatMap { choice in options.map { choice + [$0] } }
        }
    }
}
