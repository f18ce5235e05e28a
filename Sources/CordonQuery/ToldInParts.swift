internal import CordonModel
internal import CordonPolicy

/// What the answer to one question tells, as a sum over files: what is remembered of some, and which are to be read.
///
/// Where an answer depends on more than single rows nothing is remembered, and all files are one unit. Else the files of a day stand together, so
/// that a delivery is added to its day and a compaction takes away what its day told. What a file tells depends on today, on the time as of which
/// is answered and on a question's range of times only where its day does not settle that; so much of them stands in the unit's name.
struct ToldInParts {
    private let releases: [Release]
    private let salt: UInt64
    /// Nil where nothing is remembered.
    private let memory: (AnswerMemory, question: [UInt8])?
    /// The files to be told of, by unit.
    private let files: [String: Set<String>]
    /// What is remembered, by unit.
    private let known: [String: AnswerMemory.Unit]
    /// Units that have files to be read, by their numbers in the child.
    private let unread: [String]
    /// Numbers of units by file that must be read.
    let units: [String: Int]
    /// What is remembered, summed up.
    private let base: ReleasePart
    /// Which groups of what is remembered are of enough people.
    let proven: ProvenGroups
    /// The newest time that is remembered, in microseconds.
    private let newest: Int64?

    /// - Parameters:
    ///   - memory: with a digest of all but the files and what ``Asked`` says; nil where nothing is remembered.
    init(
        _ releases: [Release], about readable: [QueryFile], asked: Asked, salt: UInt64,
        memory: (AnswerMemory, question: [UInt8])?
    ) {
        precondition(memory == nil || releases.count == 1, "one SELECT is remembered at a time")
        self.releases = releases
        self.salt = salt
        self.memory = memory
        let names = readable.map { memory == nil ? "" : asked.unit(of: $0) }
        var files: [String: Set<String>] = [:]
        for (file, name) in zip(readable, names) { files[name, default: []].insert(file.path) }
        self.files = files
        let known = memory.map { $0.units(of: $1, about: files) } ?? [:]
        self.known = known
        var numbers: [String: Int] = [:]
        var units: [String: Int] = [:]
        for (file, name) in zip(readable, names)
        where known[name].map({ !$0.files.contains(file.path) }) ?? true {
            let number = numbers[name] ?? numbers.count
            numbers[name] = number
            units[file.path] = number
        }
        self.units = units
        var base = ReleasePart()
        for unit in known.values { base.add(unit.part) }
        self.base = base
        newest = known.values.compactMap(\.newest).max()
        var proven = ProvenGroups(
            needed: UInt64(asked.access.grants.map(\.minGroup).max() ?? 1))
        for (keys, measures) in base.groups { proven.note(keys, measures) }
        self.proven = proven
        unread = numbers.sorted { $0.value < $1.value }.map(\.key)
    }

    /// More units are not read apart from each other.
    static let unitsMax = Int(UInt16.max)

    /// What decides, beside the question, what a file tells.
    struct Asked {
        let access: Access
        let today: Day
        let horizon: Timestamp?
        let pruning: FilePruning

        func unit(of file: QueryFile) -> String {
            guard let day = file.day else {
                return "\(today.text) \(horizon?.microseconds ?? 0) \(pruning.rest(of: file))"
            }
            var name = day.text
            if file.retainUntil == nil { name += " on " + today.text }
            // Ages of fields end with a day.
            for grant in access.grants {
                for (_, days) in grant.fieldDays.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                    name += day >= today + (1 - days) ? "+" : "-"
                }
            }
            if let horizon, day >= Day(horizon) { name += " \(horizon.microseconds)" }
            return name + " " + pruning.rest(of: file)
        }
    }

    /// The time of the newest row.
    ///
    /// - Parameter read: that of the files that were read.
    func newest(_ read: Int64?) -> Int64? { [newest, read].compactMap { $0 }.max() }

    /// What the answer tells.
    ///
    /// - Parameters:
    ///   - bytes: what the child says of the release with the index; nil where there is nothing to be read.
    ///   - newestRead: the newest time in the files that were read.
    func told(_ index: Int, _ bytes: [UInt8]?, newestRead: Int64?) throws -> Result {
        var read: [Int: ReleasePart] = [:]
        if !units.isEmpty {
            guard let bytes, let parts = ReleasePart.decoded(bytes, of: releases[index]) else {
                throw QueryChild.Broken.died
            }
            read = parts
        }
        guard read.keys.allSatisfy(unread.indices.contains) else { throw QueryChild.Broken.died }
        var made: [String: AnswerMemory.Unit] = [:]
        for (number, name) in unread.enumerated() {
            var part = known[name]?.part ?? ReleasePart()
            part.add(read[number] ?? ReleasePart())
            made[name] = AnswerMemory.Unit(
                files: files[name] ?? [], part: part,
                newest: [known[name]?.newest, newestRead].compactMap { $0 }.max())
        }
        if let memory { memory.0.note(made, of: memory.question) }
        var sum = base
        for part in read.values { sum.add(part) }
        switch sum.told {
        case .unknown: return .unknown
        case .groups(let groups):
            let vectors = AnswerVector.read(
                groups, of: releases[index], number: index, salt: salt)
            return vectors.map { .vectors($0) } ?? .tooMany
        }
    }

    enum Result {
        case vectors([AnswerVector])
        /// There are too many groups.
        case tooMany
        /// Of some group it is not known whether it is of enough people.
        case unknown
    }
}
