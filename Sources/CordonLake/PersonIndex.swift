import Bytes
package import CordonModel
import LinuxIO
import Parquet

/// Who may be in one data file: a small filter beside the lake, so that finding a person reads some bytes a file instead of the file.
///
/// A filter may say "perhaps" for somebody who is not there, and never "no" for somebody who is: a file without one, or with one that
/// is damaged or not its own, is looked through. It is made when its data file is, dies with it, and nothing about a removal is believed
/// on its word: an erasure ends by reading everything. `Docs/formats/lake.md` draws it.
///
/// Pseudonyms are spread evenly by the way they are made, so they are their own hashes: the upper half of one chooses a block of 32 bytes,
/// the lower half a bit in each of its seven words. A block ends with a checksum, so that one block can be believed without the others.
struct PersonIndex {
    private static let magic = Array("CORDON WHO 1\n\u{0}\u{0}\u{0}".utf8)
    private static let headerBytes = 32
    private static let blockBytes = 32
    private static let wordsPerBlock = 7
    private static let wordBytes = 4
    /// Pseudonyms of one block. With twelve, about one in a thousand strangers is taken for somebody.
    private static let pseudonymsPerBlock = 12
    /// Up to so many pseudonyms are looked up one by one; for more the whole filter is read.
    private static let lookupsMax = 64

    static let suffix = ".who"
    /// Columns of people, by whose numbers they are taken up.
    static let columns = ["user", "visitor"]

    /// What a look into a filter said.
    struct Answer {
        /// Whether the data file must be read.
        let mayHold: Bool
        /// Bytes of the filter that were read to say so.
        let bytesRead: Int64
    }

    /// The filter's file for the data file at `path`.
    static func path(of dataFile: String, in directory: String) -> String {
        let name = dataFile.split(separator: "/").last.map(String.init) ?? ""
        return directory + "/" + name + suffix
    }

    /// The bytes of a filter in the making.
    struct Builder {
        private var bytes: [UInt8]
        private let blocks: [Int]

        /// - Parameter blocks: for users and for visitors.
        init(blocks: [Int], fileBytes: Int64) {
            self.blocks = blocks
            bytes = PersonIndex.header(blocks, fileBytes: fileBytes)
            bytes += [UInt8](repeating: 0, count: (blocks[0] + blocks[1]) * blockBytes)
        }

        /// Takes a user (0) or a visitor (1) up, as often as it comes.
        mutating func add(_ pseudonym: Pseudonym, column: Int) {
            let start = headerBytes + (column == 0 ? 0 : blocks[0] * blockBytes)
            PersonIndex.add(pseudonym, to: &bytes, from: start, blocks: blocks[column])
        }

        consuming func finished() -> [UInt8] {
            PersonIndex.addChecksums(to: &bytes, blocks: blocks[0] + blocks[1])
            return bytes
        }
    }

    /// A filter in the making, of texts as they are read.
    final class Reading {
        private var builder: Builder
        /// Whether all texts were pseudonyms: no filter could find another.
        private var isWhole = true

        init(blocks: [Int], fileBytes: Int64) {
            builder = Builder(blocks: blocks, fileBytes: fileBytes)
        }

        func add(_ text: Span<UInt8>, column: Int) {
            if let pseudonym = Pseudonym(text: text) {
                builder.add(pseudonym, column: column)
            } else {
                isWhole = false
            }
        }

        /// Its bytes; nil when there can be none.
        func finished() -> [UInt8]? { isWhole ? builder.finished() : nil }
    }

    /// The bytes of a filter.
    ///
    /// - Parameters:
    ///   - fileBytes: size of the data file that it belongs to.
    ///   - blocks: for users and for visitors; nil for as many as the people need.
    static func encoded(
        users: [Pseudonym], visitors: [Pseudonym], fileBytes: Int64, blocks: [Int]? = nil
    ) -> [UInt8] {
        // Nobody has a block too: whatever a look ends with has a checksum.
        let needed = [users, visitors].map {
            max(1, ($0.count + pseudonymsPerBlock - 1) / pseudonymsPerBlock)
        }
        var builder = Builder(blocks: blocks ?? needed, fileBytes: fileBytes)
        for user in users { builder.add(user, column: 0) }
        for visitor in visitors { builder.add(visitor, column: 1) }
        return builder.finished()
    }

    /// Blocks of one column that are made anew rather than all.
    private static let renewedMax = 64

    /// The bytes of a filter of a file that has the rows of another but for some; nil when the other's filter cannot be taken over.
    ///
    /// A pseudonym stands in one block alone. So blocks of those who went are made anew, and all others are what they would be.
    ///
    /// - Parameters:
    ///   - old: the other's filter.
    ///   - oldFileBytes: size of the other file.
    ///   - gone: users and visitors of the rows that went.
    ///   - present: gives the users (0) or visitors (1) of the new file in some ranges; nil when they cannot all be told.
    static func rest(
        of old: [UInt8], oldFileBytes: Int64, fileBytes: Int64, gone: [Set<Pseudonym>],
        present: (_ column: Int, _ ranges: [ClosedRange<Pseudonym>]) throws -> [Pseudonym]?
    ) rethrows -> [UInt8]? {
        guard let blocks = blocks(of: old, fileBytes: oldFileBytes) else { return nil }
        let total = blocks[0] + blocks[1]
        var checked = old
        addChecksums(to: &checked, blocks: total)
        guard checked == old else { return nil }
        var bytes = header(blocks, fileBytes: fileBytes) + old[headerBytes...]
        var start = headerBytes
        for (column, count) in blocks.enumerated() {
            let renewed = Set(gone[column].map { block(of: $0, among: count) })
            guard renewed.count <= renewedMax else { return nil }
            if !renewed.isEmpty {
                let ranges = renewed.sorted().map { range(ofBlock: $0, among: count) }
                guard let there = try present(column, ranges) else { return nil }
                for block in renewed {
                    let first = start + block * blockBytes
                    for place in first..<first + wordsPerBlock * wordBytes { bytes[place] = 0 }
                }
                for pseudonym in there where renewed.contains(block(of: pseudonym, among: count)) {
                    add(pseudonym, to: &bytes, from: start, blocks: count)
                }
            }
            start += count * blockBytes
        }
        addChecksums(to: &bytes, blocks: total)
        return bytes
    }

    /// How many blocks a filter has for users and for visitors; nil when it is none, or not that of a file of this size.
    static func blocks(of bytes: [UInt8], fileBytes: Int64) -> [Int]? {
        guard bytes.count >= headerBytes, bytes.starts(with: magic),
            number(bytes[16..<24]) == fileBytes
        else { return nil }
        let blocks = [Int(number(bytes[24..<28])), Int(number(bytes[28..<32]))]
        guard blocks.allSatisfy({ $0 > 0 }),
            bytes.count == headerBytes + (blocks[0] + blocks[1]) * blockBytes
        else { return nil }
        return blocks
    }

    private static func header(_ blocks: [Int], fileBytes: Int64) -> [UInt8] {
        var bytes = magic
        bytes.append(bigEndian: UInt64(fileBytes))
        for count in blocks { bytes.append(bigEndian: UInt32(count)) }
        return bytes
    }

    private static func add(
        _ pseudonym: Pseudonym, to bytes: inout [UInt8], from start: Int, blocks: Int
    ) {
        let block = start + block(of: pseudonym, among: blocks) * blockBytes
        for word in 0..<wordsPerBlock {
            let (byte, bit) = Self.bit(of: pseudonym, in: word)
            bytes[block + byte] |= bit
        }
    }

    private static func addChecksums(to bytes: inout [UInt8], blocks: Int) {
        let seed = checksumSeed(bytes[..<headerBytes])
        for number in 0..<blocks {
            let start = headerBytes + number * blockBytes
            let end = start + wordsPerBlock * wordBytes
            let sum = checksum(bytes[start..<end], number, seed)
            for byte in 0..<wordBytes {
                bytes[end + byte] = UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * byte))
            }
        }
    }

    /// Pseudonyms that may stand in a block: all that do, and at its ends perhaps some of its neighbours.
    private static func range(ofBlock block: Int, among blocks: Int) -> ClosedRange<Pseudonym> {
        // A block's first pseudonym has the least upper half that, times the blocks, reaches block << 64.
        let first = (UInt128(block) << 64) / UInt128(blocks)
        let last = min((UInt128(block + 1) << 64) / UInt128(blocks), UInt128(UInt64.max))
        return Pseudonym(
            value: first << 64)...Pseudonym(
                value: last << 64 | UInt128(UInt64.max))
    }

    private static func block(of pseudonym: Pseudonym, among blocks: Int) -> Int {
        let upper = UInt64(truncatingIfNeeded: pseudonym.value >> 64)
        return Int(upper.multipliedFullWidth(by: UInt64(blocks)).high)
    }

    /// The one bit of a word of the block, as the byte of the block and the bit in it.
    private static func bit(of pseudonym: Pseudonym, in word: Int) -> (byte: Int, bit: UInt8) {
        let lower = UInt64(truncatingIfNeeded: pseudonym.value)
        let bit = Int(lower >> UInt64(5 * word) & 31)
        return (word * wordBytes + bit / 8, 1 << UInt8(bit % 8))
    }

    /// The lower half of FNV-1a of 64 bits over the header, the block's number and its words: a block that a power cut left
    /// empty, or that belongs elsewhere, does not fit.
    ///
    /// - Parameter seed: ``checksumSeed(_:)`` of the header.
    private static func checksum(
        _ words: ArraySlice<UInt8>, _ number: Int, _ seed: UInt64
    ) -> UInt32 {
        var sum = seed
        for shift in stride(from: 24, through: 0, by: -8) {
            sum = fnv(sum, UInt8(truncatingIfNeeded: number >> shift))
        }
        for byte in words { sum = fnv(sum, byte) }
        return UInt32(truncatingIfNeeded: sum)
    }

    /// What the checksums of all blocks begin with.
    private static func checksumSeed(_ header: some Sequence<UInt8>) -> UInt64 {
        header.reduce(0xCBF2_9CE4_8422_2325, fnv)
    }

    /// Overflow is the working of the hash.
    private static func fnv(_ sum: UInt64, _ byte: UInt8) -> UInt64 {
        (sum ^ UInt64(byte)) &* 0x100_0000_01B3
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int64 {
        bytes.reduce(0) { $0 << 8 | Int64($1) }
    }

    /// Whether the filter at `path` may hold one of these people, of whichever data file it is; false when it is none.
    fileprivate static func mayHold(_ people: People, index path: String) -> Bool {
        guard let bytes = try? File.read(path), bytes.count >= headerBytes else { return false }
        let data = String(path.dropLast(suffix.utf8.count))
        return mayHold(people, data, fileBytes: number(bytes[16..<24]), in: File.parent(of: path))
            .mayHold
    }

    /// People in the order of their blocks, whose number does not fall from one to the next: sorted once for all files.
    struct People {
        fileprivate let columns: [[Pseudonym]]

        init(_ people: SubjectFilter) {
            columns = [people.users.sorted(), people.visitors.sorted()]
        }
    }

    /// ``mayHold(_:_:fileBytes:in:)`` of people who are asked for once.
    static func mayHold(
        _ people: SubjectFilter, _ dataFile: String, fileBytes: Int64, in directory: String
    ) -> Answer {
        mayHold(People(people), dataFile, fileBytes: fileBytes, in: directory)
    }

    /// Whether the data file at `dataFile` may hold one of these people.
    static func mayHold(
        _ people: People, _ dataFile: String, fileBytes: Int64, in directory: String
    ) -> Answer {
        var read: Int64 = 0
        var perhaps: Answer { Answer(mayHold: true, bytesRead: read) }
        do throws(LinuxError) {
            let file = try File(
                opening: path(of: dataFile, in: directory), [.read, .noFollow])
            let header = try file.read(at: 0, count: headerBytes)
            read += Int64(header.count)
            guard header.count == headerBytes, header.starts(with: magic),
                number(header[16..<24]) == fileBytes
            else { return perhaps }
            let seed = checksumSeed(header)
            let blocks = [Int(number(header[24..<28])), Int(number(header[28..<32]))]
            let size = try file.metadata().size
            guard blocks.allSatisfy({ $0 > 0 }),
                size == headerBytes + (blocks[0] + blocks[1]) * blockBytes
            else { return perhaps }
            var first = 0
            for (count, pseudonyms) in zip(blocks, people.columns) {
                defer { first += count }
                // Blocks to read: all in one, or each that is asked for.
                let isWhole = pseudonyms.count > lookupsMax
                var bytes: ArraySlice<UInt8> = []
                var run = 0..<0
                var last: Int?
                for pseudonym in pseudonyms {
                    let number = block(of: pseudonym, among: count)
                    if !run.contains(number) {
                        run = isWhole ? 0..<count : number..<number + 1
                        bytes = try file.read(
                            at: headerBytes + (first + run.lowerBound) * blockBytes,
                            count: run.count * blockBytes)[...]
                        read += Int64(bytes.count)
                        guard bytes.count == run.count * blockBytes else { return perhaps }
                    }
                    let start = (number - run.lowerBound) * blockBytes
                    if number != last {
                        let sum = start + wordsPerBlock * wordBytes
                        guard
                            UInt32(truncatingIfNeeded: Self.number(bytes[sum..<sum + wordBytes]))
                                == checksum(bytes[start..<sum], first + number, seed)
                        else { return perhaps }
                        last = number
                    }
                    let mayHold = (0..<wordsPerBlock).allSatisfy { word in
                        let (byte, bit) = Self.bit(of: pseudonym, in: word)
                        return bytes[start + byte] & bit != 0
                    }
                    if mayHold { return perhaps }
                }
            }
            return Answer(mayHold: false, bytesRead: read)
        } catch {
            // Without a filter, or when it cannot be read, the file itself is.
            return perhaps
        }
    }
}

extension LakeWriter {
    /// Makes the filter of a data file that was just written. The data file stands without one should this be cut.
    ///
    /// - Parameter rest: how the file was made from another, when it was.
    func writePersonIndex(
        _ path: String, fileBytes: Int64, restOf rest: WrittenRest? = nil
    ) throws {
        let index: [UInt8]
        if let made = try rest?.origin.flatMap({ try personIndex(path, fileBytes, restOf: $0) }) {
            index = made
        } else if let old = rest?.path, let blocks = try personBlocks(of: old) {
            guard let made = try personIndex(path, fileBytes, blocks: blocks) else { return }
            index = made
        } else {
            guard let users = try people("user", in: path),
                let visitors = try people("visitor", in: path)
            else { return }
            index = PersonIndex.encoded(users: users, visitors: visitors, fileBytes: fileBytes)
        }
        try writePersonIndex(index, of: path)
    }

    /// Puts the filter of a data file beside it.
    func writePersonIndex(_ index: [UInt8], of path: String) throws {
        let directory = settings.personIndexDirectory
        try Directory.create(directory)
        try File.write(
            PersonIndex.path(of: path, in: directory), index, mode: 0o600, sync: false)
    }

    /// The blocks of the filter of a data file; nil when it has none that can be believed.
    func personBlocks(of path: String) throws -> [Int]? {
        // Without a filter one is made anew.
        guard
            let bytes = try? File.read(
                PersonIndex.path(of: path, in: settings.personIndexDirectory)),
            let size = try File.metadata(path)?.size
        else { return nil }
        return PersonIndex.blocks(of: bytes, fileBytes: Int64(size))
    }

    /// The filter of a file that has no more people than one with so many blocks: in one pass, since nobody has to be counted first.
    private func personIndex(
        _ path: String, _ fileBytes: Int64, blocks: [Int]
    ) throws -> [UInt8]? {
        let reading = PersonIndex.Reading(blocks: blocks, fileBytes: fileBytes)
        let isRead = try forEachText(in: path) { reading.add($1, column: $0) }
        if isRead { return reading.finished() }
        var builder = PersonIndex.Builder(blocks: blocks, fileBytes: fileBytes)
        var isWhole = true
        try engine().forEachPair(in: path) { user, visitor in
            for (column, digits) in [user, visitor].enumerated() {
                guard let digits else { continue }
                if let pseudonym = Pseudonym(digits: digits) {
                    builder.add(pseudonym, column: column)
                } else {
                    isWhole = false
                }
            }
        }
        return isWhole ? builder.finished() : nil
    }

    /// Gives the users (0) and visitors (1) of a file, each once or more; false when its pages are not understood, and then some may have
    /// been given.
    private func forEachText(
        in path: String, _ body: (_ column: Int, _ text: Span<UInt8>) -> Void
    ) throws -> Bool {
        do {
            let texts = try ParquetTexts(of: path, tools())
            for group in texts.rowCounts.indices {
                for (index, column) in PersonIndex.columns.enumerated() {
                    try texts.forEachValue(of: column, in: group) { body(index, $0) }
                }
            }
            return true
        } catch is ParquetError {
            return false
        }
    }

    private func personIndex(
        _ path: String, _ fileBytes: Int64, restOf origin: RestOrigin
    ) throws -> [UInt8]? {
        let old = PersonIndex.path(of: origin.path, in: settings.personIndexDirectory)
        // Without it, or when it cannot be read, one is made of everybody in the file.
        guard let bytes = try? File.read(old),
            let oldFileBytes = try File.metadata(origin.path)?.size
        else { return nil }
        return try PersonIndex.rest(
            of: bytes, oldFileBytes: Int64(oldFileBytes), fileBytes: fileBytes,
            gone: [origin.users, origin.visitors]
        ) { column, ranges in
            try people(column == 0 ? "user" : "visitor", in: path, among: ranges)
        }
    }

    /// Everybody in a column of a file, once; nil when it has a value that is no pseudonym, which no filter of pseudonyms could find.
    private func people(
        _ column: String, in path: String, among ranges: [ClosedRange<Pseudonym>]? = nil
    ) throws -> [Pseudonym]? {
        var pseudonyms: [Pseudonym] = []
        var isWhole = true
        let conditions = ranges?.map {
            "\"\(column)\" BETWEEN '\($0.lowerBound.text)' AND '\($0.upperBound.text)'"
        }
        try engine().forEachValue(
            of: column, in: path, where: conditions?.joined(separator: " OR ") ?? "true"
        ) { digits in
            if let pseudonym = Pseudonym(digits: digits) {
                pseudonyms.append(pseudonym)
            } else {
                isWhole = false
            }
        }
        return isWhole ? pseudonyms : nil
    }

    /// Removes the filters of files that are about to go, for good.
    ///
    /// - Parameter paths: absolute; those that are no data files are passed over.
    func removePersonIndexes(of paths: [String]) throws {
        let directory = settings.personIndexDirectory
        var isChanged = false
        for path in paths where path.hasPrefix(files.dataDirectory + "/") {
            if try File.remove(PersonIndex.path(of: path, in: directory)) { isChanged = true }
        }
        if isChanged { try Directory.sync(directory) }
    }

    /// Removes filters whose data file is not in the table: what a restore or a power cut brought back.
    func removeForeignPersonIndexes() throws {
        let directory = settings.personIndexDirectory
        guard try File.exists(directory) else { return }
        let known = Set(
            try dataFiles().map { PersonIndex.path(of: $0.path, in: directory) })
        var isChanged = false
        for name in try Directory.list(directory) where !known.contains(directory + "/" + name) {
            try File.remove(directory + "/" + name)
            isChanged = true
        }
        if isChanged { try Directory.sync(directory) }
    }

    /// The data files that may hold one of these people, and how many bytes were read to tell.
    package func candidates(
        _ people: SubjectFilter
    ) throws -> (files: [DataFileRef], bytesRead: Int64) {
        var read: Int64 = 0
        let people = PersonIndex.People(people)
        let found = try dataFiles().filter { file in
            let answer = PersonIndex.mayHold(
                people, file.path, fileBytes: file.bytes, in: settings.personIndexDirectory)
            read += answer.bytesRead
            return answer.mayHold
        }
        return (found, read)
    }
}

extension PersonIndex: RestingWriter {
    static let rests = [Rest(.personIndex, ["user", "visitor"])]
}

/// All filters of a table on disk: for a look at what is left there.
package struct PersonIndexes {
    private let directory: String

    package init(_ settings: HitsTable.Settings) { directory = settings.personIndexDirectory }

    /// Whether any filter may hold one of these people.
    package func mayHold(_ people: SubjectFilter) -> Bool {
        let people = PersonIndex.People(people)
        // A folder that is not there has none.
        return ((try? Directory.list(directory)) ?? []).contains {
            PersonIndex.mayHold(people, index: directory + "/" + $0)
        }
    }
}
