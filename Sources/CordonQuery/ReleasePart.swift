internal import Bytes
internal import Engine

/// What some of the table's rows tell of people under one ``Release``: groups, their people and the numbers of their rows, so that
/// the parts of several runs of rows add up to what all of them tell.
///
/// Which groups are of enough people is only known of the sum, so a part holds small groups too. It holds no value of a row and no
/// pseudonym: keyed digests of the keys, and of the people of groups that are not known to be large.
struct ReleasePart: Equatable, Sendable {
    /// A group with at least this many people is of enough whatever its rows' policies ask for, and its people are not told apart any more.
    static let peopleKept = AnswerVector.bucketsMax / 2
    /// More buckets that are not empty, over all groups, are not told in parts; 50 bytes each.
    static let cellsMax = 1 << 20

    /// More rows than there are.
    private static let rowsMax: UInt64 = 1 << 48

    /// The people of a bucket.
    struct People: Equatable, Sendable {
        /// How many rows they have.
        var rows: UInt64
        /// The least and the largest of their numbers, which are below ``AnswerVector/modulus``.
        var least: UInt64
        var most: UInt64
        /// The sum of their rows' numbers of people, modulo ``AnswerVector/modulus``.
        var total: UInt64

        mutating func add(_ other: People) {
            guard other.rows > 0 else { return }
            guard rows > 0 else {
                self = other
                return
            }
            rows += other.rows
            least = min(least, other.least)
            most = max(most, other.most)
            total = AnswerVector.sum(total, other.total)
        }

        /// How many there are at least and at most.
        ///
        /// One is known by the least number that is the largest too. Two are known when so many rows of the one and the rest of the
        /// other give the sum; that of three comes out so by chance, with numbers of which nobody has the key, once in 2^61 divided by the rows.
        var bounds: ClosedRange<UInt64> {
            if rows == 0 { return 0...0 }
            if least == most { return 1...1 }
            let above = Self.minus(total, AnswerVector.product(rows, least))
            let ofMost = AnswerVector.product(above, AnswerVector.inverse(most - least))
            return (1..<rows).contains(ofMost) ? 2...2 : min(3, rows)...rows
        }

        private static func minus(_ a: UInt64, _ b: UInt64) -> UInt64 {
            AnswerVector.sum(a, (AnswerVector.modulus - b) % AnswerVector.modulus)
        }
    }

    /// All rows of a group, or those of one call in it, by buckets of people.
    struct Measure: Equatable, Sendable {
        /// How many people there must be; 0 where there are no rows.
        var needed: UInt64 = 0
        /// Those that hold a row, ascending.
        var buckets: [UInt16] = []
        /// By bucket, the sum of the rows' numbers modulo ``AnswerVector/modulus``.
        var sums: [UInt64] = []
        /// By bucket; nil where there are ``ReleasePart/peopleKept`` of them and more.
        var people: [People]? = []

        /// Whether it may be shown: there are enough people; nil where that is not known.
        var isShown: Bool? {
            guard needed > 0 else { return false }
            if peopleLeast >= needed { return true }
            guard let people else { return nil }
            return people.reduce(0) { $0 + $1.bounds.upperBound } < needed ? false : nil
        }

        /// How many people there are at least.
        var peopleLeast: UInt64 {
            guard let people, buckets.count < peopleKept else { return UInt64(buckets.count) }
            return people.reduce(0) { $0 + $1.bounds.lowerBound }
        }

        mutating func add(_ other: Measure) {
            needed = max(needed, other.needed)
            var sum = Measure(needed: needed)
            let isKept = people != nil && other.people != nil
            sum.buckets.reserveCapacity(max(buckets.count, other.buckets.count))
            sum.sums.reserveCapacity(max(buckets.count, other.buckets.count))
            var all: [People] = []
            var (left, right) = (0, 0)
            while left < buckets.count || right < other.buckets.count {
                let a = left < buckets.count ? buckets[left] : .max
                let b = right < other.buckets.count ? other.buckets[right] : .max
                var value: UInt64 = 0
                var bucketPeople = People(rows: 0, least: 0, most: 0, total: 0)
                if a <= b {
                    value = sums[left]
                    if isKept { bucketPeople = people![left] }
                    left += 1
                }
                if b <= a {
                    value = AnswerVector.sum(value, other.sums[right])
                    if isKept { bucketPeople.add(other.people![right]) }
                    right += 1
                }
                sum.buckets.append(min(a, b))
                sum.sums.append(value)
                if isKept { all.append(bucketPeople) }
            }
            sum.people = isKept ? all : nil
            sum.forgetPeople()
            self = sum
        }

        /// Needed (64 bits), how many buckets (16), whether people are told apart (8), and by bucket its number (16), the sum, and the people's rows,
        /// least, most and sum (64 each).
        func append(to bytes: inout [UInt8]) {
            bytes.append(littleEndian: needed)
            bytes.append(littleEndian: UInt16(buckets.count))
            bytes.append(people == nil ? 0 : 1)
            for index in buckets.indices {
                bytes.append(littleEndian: buckets[index])
                bytes.append(littleEndian: sums[index])
                guard let people = people?[index] else { continue }
                for value in [people.rows, people.least, people.most, people.total] {
                    bytes.append(littleEndian: value)
                }
            }
        }

        /// Whom nobody needs to tell apart any more is not told apart.
        mutating func forgetPeople() {
            if buckets.count >= peopleKept { people = nil }
        }
    }

    /// By the numbers of the keys: the group itself, then each call.
    var groups: [[UInt64]: [Measure]] = [:]

    mutating func add(_ other: ReleasePart) {
        groups.merge(other.groups) { own, others in
            zip(own, others).map { own, other in
                var sum = own
                sum.add(other)
                return sum
            }
        }
    }

    /// How many bytes it takes, about.
    var bytes: Int {
        groups.reduce(0) { all, group in
            group.value.reduce(all + 64 + 8 * group.key.count) { all, measure in
                all + 96 + measure.buckets.count * 10
                    + (measure.people?.count ?? 0) * MemoryLayout<People>.stride
            }
        }
    }

    /// What the sum of all parts tells, with groups and calls of too few people left out.
    enum Told {
        case groups([AnswerVector.Group])
        /// Of some group it is not known whether it is of enough people.
        case unknown
    }

    var told: Told {
        var told: [AnswerVector.Group] = []
        for (keys, measures) in groups {
            guard let isShown = measures[0].isShown else { return .unknown }
            guard isShown else { continue }
            var group = AnswerVector.Group(
                keys: keys, needed: Int(clamping: measures[0].needed), runs: [])
            for (index, measure) in measures.enumerated() {
                guard let isShown = index == 0 ? true : measure.isShown else { return .unknown }
                group.runs.append(
                    isShown ? .init(buckets: measure.buckets, sums: measure.sums) : .init())
            }
            told.append(group)
        }
        return .groups(told)
    }
}

/// Whether every group of a release, and every call in it, is known to be of enough people by some of its rows.
///
/// Further rows only add people. So what is remembered of files and what is read of others prove by themselves.
struct ProvenGroups: Codable, Sendable {
    /// The most that any row's policy asks for.
    var needed: UInt64
    /// By the numbers of the keys: for the group and each call whether there are so many.
    private(set) var groups: [[UInt64]: [Bool]] = [:]

    init(needed: UInt64) { self.needed = needed }

    mutating func note(_ keys: [UInt64], _ measures: [ReleasePart.Measure]) {
        let isEnough = measures.map { $0.needed > 0 && $0.peopleLeast >= needed }
        groups[keys] = groups[keys].map { zip($0, isEnough).map { $0 || $1 } } ?? isEnough
    }

    /// Whether there are groups, and all are proven; an answer over no rows is none.
    var areAll: Bool { !groups.isEmpty && isNoneOpen }

    /// Whether further rows may make it so that all are proven without any of these.
    var isNoneOpen: Bool { groups.values.allSatisfy { $0.allSatisfy(\.self) } }
}

extension ReleasePart {
    /// What a ``Release/partSQL(_:salt:)`` gives, as bytes for the child to hand over: for each group the unit (16 bits), the numbers of its keys, and
    /// its measures. Nil when it is more than is told in parts.
    ///
    /// - Parameter proven: notes of each group which of its measures are of enough people.
    static func encoded(
        _ result: ResultStream, _ proven: inout ProvenGroups
    ) throws -> [UInt8]? {
        var bytes: [UInt8] = []
        var groupCount = 0
        var cellCount = 0
        while let batch = try result.next() {
            groupCount += batch.rowCount
            guard groupCount <= Release.partGroupsMax else { return nil }
            let columns = batch.columns
            guard let buckets = columns.firstIndex(where: { $0.type != .uint(64) }) else {
                return nil
            }
            let elements = columns[buckets...].map(\.elementColumn)
            for row in 0..<batch.rowCount {
                bytes.append(littleEndian: UInt16(columns[0].uint64(at: row)))
                let keys = (1..<buckets).map { columns[$0].uint64(at: row) }
                for key in keys { bytes.append(littleEndian: key) }
                var measures: [Measure] = []
                let places = columns[buckets].elementRows(at: row).sorted {
                    elements[0].uint64(at: $0) < elements[0].uint64(at: $1)
                }
                // The lists of a row were gathered together, and begin each where it begins in its column.
                let shifts = columns[buckets...].map {
                    $0.elementRows(at: row).lowerBound
                        - columns[buckets].elementRows(at: row).lowerBound
                }
                for first in stride(from: 1, to: elements.count, by: 6) {
                    func value(_ member: Int, _ place: Int) -> UInt64 {
                        elements[first + member].uint64(at: place + shifts[first + member])
                    }
                    var measure = Measure()
                    for place in places where value(1, place) > 0 {
                        measure.needed = max(measure.needed, value(0, place))
                        measure.buckets.append(UInt16(elements[0].uint64(at: place)))
                        measure.sums.append(value(2, place))
                        measure.people?.append(
                            People(
                                rows: value(1, place), least: value(3, place),
                                most: value(4, place), total: value(5, place)))
                    }
                    measure.forgetPeople()
                    cellCount += measure.buckets.count
                    guard cellCount <= cellsMax else { return nil }
                    measure.append(to: &bytes)
                    measures.append(measure)
                }
                proven.note(keys, measures)
            }
        }
        return bytes
    }

    /// What ``encoded(_:)`` wrote of the release by unit; nil when the bytes are anything else.
    static func decoded(_ bytes: [UInt8], of release: Release) -> [Int: ReleasePart]? {
        var reader = ByteReader(bytes)
        var parts: [Int: ReleasePart] = [:]
        do throws(ByteReader.Malformed) {
            while !reader.isAtEnd {
                let unit = Int(try reader.littleEndian(UInt16.self))
                var keys: [UInt64] = []
                for _ in 0..<3 * release.keyCount {
                    keys.append(try reader.littleEndian(UInt64.self))
                }
                var measures: [Measure] = []
                for _ in 0...release.calls.count {
                    guard let measure = try measure(&reader) else { return nil }
                    measures.append(measure)
                }
                guard
                    parts[unit, default: .init()].groups.updateValue(measures, forKey: keys) == nil
                else { return nil }
            }
        } catch {
            return nil
        }
        return parts
    }

    private static func measure(
        _ reader: inout ByteReader
    ) throws(ByteReader.Malformed) -> Measure? {
        var measure = Measure(needed: try reader.littleEndian(UInt64.self))
        let count = Int(try reader.littleEndian(UInt16.self))
        guard count <= AnswerVector.bucketsMax else { return nil }
        let hasPeople = try reader.byte() == 1
        var people: [People] = []
        for _ in 0..<count {
            let bucket = try reader.littleEndian(UInt16.self)
            let sum = try reader.littleEndian(UInt64.self)
            guard bucket < AnswerVector.bucketsMax, sum < AnswerVector.modulus,
                measure.buckets.last.map({ $0 < bucket }) ?? true
            else { return nil }
            measure.buckets.append(bucket)
            measure.sums.append(sum)
            guard hasPeople else { continue }
            let found = People(
                rows: try reader.littleEndian(UInt64.self),
                least: try reader.littleEndian(UInt64.self),
                most: try reader.littleEndian(UInt64.self),
                total: try reader.littleEndian(UInt64.self))
            guard found.rows <= rowsMax, found.least <= found.most,
                max(found.most, found.total) < AnswerVector.modulus
            else { return nil }
            people.append(found)
        }
        measure.people = hasPeople ? people : nil
        return measure
    }
}
