import Bytes
package import CordonModel
import LinuxIO

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

    /// The bytes of a filter.
    ///
    /// - Parameter fileBytes: size of the data file that it belongs to.
    static func encoded(
        users: [Pseudonym], visitors: [Pseudonym], fileBytes: Int64
    ) -> [UInt8] {
        // Nobody has a block too: whatever a look ends with has a checksum.
        let blocks = [users, visitors].map {
            max(1, ($0.count + pseudonymsPerBlock - 1) / pseudonymsPerBlock)
        }
        var bytes = magic
        bytes.append(bigEndian: UInt64(fileBytes))
        for count in blocks { bytes.append(bigEndian: UInt32(count)) }
        let header = bytes
        for (pseudonyms, count) in zip([users, visitors], blocks) {
            let start = bytes.count
            bytes += [UInt8](repeating: 0, count: count * blockBytes)
            for pseudonym in pseudonyms {
                let block = start + block(of: pseudonym, among: count) * blockBytes
                for word in 0..<wordsPerBlock {
                    let (byte, bit) = Self.bit(of: pseudonym, in: word)
                    bytes[block + byte] |= bit
                }
            }
        }
        for number in 0..<blocks[0] + blocks[1] {
            let start = headerBytes + number * blockBytes
            let sum = start + wordsPerBlock * wordBytes
            bytes.replaceSubrange(
                sum..<sum + wordBytes, with: checksum(bytes[start..<sum], number, of: header))
        }
        return bytes
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
    private static func checksum(
        _ words: ArraySlice<UInt8>, _ number: Int, of header: [UInt8]
    ) -> [UInt8] {
        var place: [UInt8] = []
        place.append(bigEndian: UInt32(number))
        var sum: UInt64 = 0xCBF2_9CE4_8422_2325
        // Overflow is the working of the hash.
        for byte in header { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for byte in place { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for byte in words { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var bytes: [UInt8] = []
        bytes.append(bigEndian: UInt32(truncatingIfNeeded: sum))
        return bytes
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int64 {
        bytes.reduce(0) { $0 << 8 | Int64($1) }
    }

    /// Whether the filter at `path` may hold one of these people, of whichever data file it is; false when it is none.
    fileprivate static func mayHold(_ people: SubjectFilter, index path: String) -> Bool {
        guard let bytes = try? File.read(path), bytes.count >= headerBytes else { return false }
        let data = String(path.dropLast(suffix.utf8.count))
        return mayHold(people, data, fileBytes: number(bytes[16..<24]), in: File.parent(of: path))
            .mayHold
    }

    /// Whether the data file at `dataFile` may hold one of these people.
    static func mayHold(
        _ people: SubjectFilter, _ dataFile: String, fileBytes: Int64, in directory: String
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
            let blocks = [Int(number(header[24..<28])), Int(number(header[28..<32]))]
            let size = try file.metadata().size
            guard blocks.allSatisfy({ $0 > 0 }),
                size == headerBytes + (blocks[0] + blocks[1]) * blockBytes
            else { return perhaps }
            var first = 0
            for (count, pseudonyms) in zip(blocks, [people.users, people.visitors]) {
                defer { first += count }
                let wanted = Dictionary(grouping: pseudonyms) { block(of: $0, among: count) }
                // Runs of blocks to read: all in one, or each that is asked for.
                let runs =
                    pseudonyms.count > lookupsMax
                    ? [0..<count] : wanted.keys.map { $0..<$0 + 1 }
                for run in runs {
                    let bytes = try file.read(
                        at: headerBytes + (first + run.lowerBound) * blockBytes,
                        count: run.count * blockBytes)
                    read += Int64(bytes.count)
                    guard bytes.count == run.count * blockBytes else { return perhaps }
                    for number in run {
                        let start = (number - run.lowerBound) * blockBytes
                        let sum = start + wordsPerBlock * wordBytes
                        let words = bytes[start..<sum]
                        guard
                            bytes[sum..<sum + wordBytes].elementsEqual(
                                checksum(words, first + number, of: header))
                        else { return perhaps }
                        let mayHold = wanted[number, default: []].contains { pseudonym in
                            (0..<wordsPerBlock).allSatisfy { word in
                                let (byte, bit) = Self.bit(of: pseudonym, in: word)
                                return bytes[start + byte] & bit != 0
                            }
                        }
                        if mayHold { return perhaps }
                    }
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
    func writePersonIndex(_ path: String, fileBytes: Int64) throws {
        var found: [[Pseudonym]] = []
        for column in ["user", "visitor"] {
            var pseudonyms: [Pseudonym] = []
            var isWhole = true
            try engine().forEachValue(of: column, in: path) { digits in
                if let pseudonym = Pseudonym(digits: digits) {
                    pseudonyms.append(pseudonym)
                } else {
                    isWhole = false
                }
            }
            // A value that is no pseudonym could not be found by a filter of pseudonyms.
            guard isWhole else { return }
            found.append(pseudonyms)
        }
        try Directory.create(settings.personIndexDirectory)
        let index = PersonIndex.encoded(
            users: found[0], visitors: found[1], fileBytes: fileBytes)
        try File.write(
            PersonIndex.path(of: path, in: settings.personIndexDirectory), index, mode: 0o600,
            sync: false)
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
        // A folder that is not there has none.
        ((try? Directory.list(directory)) ?? []).contains {
            PersonIndex.mayHold(people, index: directory + "/" + $0)
        }
    }
}
