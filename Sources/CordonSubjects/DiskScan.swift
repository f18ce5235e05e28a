internal import Bytes
package import LinuxIO

/// Searches every file under a folder for raw values in all the forms they may have there.
///
/// It reads each file once in windows that overlap, so memory stays bounded whatever the sizes, and looks for all
/// forms of all values in that pass. It also looks at names of files and folders and at the targets of links, which
/// it does not follow. What a file holds compressed is seen where a ``DecodedContent`` can read that kind of file.
package struct DiskScan {
    private let forms: [Sought]
    /// The patterns of at least ``longBytesMin`` bytes, and those that are shorter, by index into `forms`.
    private let long: IndexedPatterns
    private let short: IndexedPatterns

    /// A search is the faster and the more exact the longer its shortest pattern is, so short ones go apart.
    private static let longBytesMin = 7
    private static let chunkBytes = 1 << 20
    /// Bytes behind a match that tell whether it is whole: `/128`.
    private static let lookaheadBytes = 4

    private struct Sought {
        let value: Int
        let form: ValueForms.Form
    }

    private struct IndexedPatterns {
        let set: PatternSet
        let indices: [Int]
        init(_ forms: [Sought], where isWanted: (Sought) -> Bool) {
            indices = forms.indices.filter { isWanted(forms[$0]) }
            set = PatternSet(indices.map { forms[$0].form.bytes })
        }
    }

    /// One place where a value lies. It names the value by its index, never by itself.
    package struct Match: Hashable, Sendable {
        package let value: Int
        package let path: String
        /// In bytes from the start of the file; the number of the row where the content was decoded; nil where the value stands in
        /// the path itself.
        package let offset: Int?
        package let encoding: String
    }

    /// What was looked at.
    package struct Report: Equatable, Sendable {
        package var files = 0
        package var bytes = 0
        /// Paths that could not be read or decoded, with the reason.
        package var unread: [String] = []
        package var matches = 0
    }

    /// - Parameters:
    ///   - values: at least ``ValueForms/valueBytesMin`` bytes each.
    ///   - excluded: encodings not to look for, by name.
    ///   - plainOnly: whether to look for the values as they are and in no other form.
    package init(
        values: [[UInt8]], without excluded: Set<String> = [], plainOnly: Bool = false
    ) throws(ScanError) {
        guard !values.isEmpty else { throw ScanError.noValue }
        var forms: [Sought] = []
        for (index, value) in values.enumerated() {
            guard value.count >= ValueForms.valueBytesMin else {
                throw ScanError.valueTooShort(number: index + 1)
            }
            if plainOnly {
                let plain = ValueForms.Form(bytes: value, encoding: "plain", boundary: .none)
                forms.append(Sought(value: index, form: plain))
                continue
            }
            for form in ValueForms(of: value).forms
            where !excluded.contains(form.encoding) {
                forms.append(Sought(value: index, form: form))
            }
        }
        self.forms = forms
        long = IndexedPatterns(forms) { $0.form.bytes.count >= Self.longBytesMin }
        short = IndexedPatterns(forms) { $0.form.bytes.count < Self.longBytesMin }
    }

    /// Scans the file or everything under the folder at `root`, and tells every match as it is found.
    package func run(
        root: String, decoding content: [any DecodedContent] = [], _ tell: (Match) -> Void
    ) throws(LinuxError) -> Report {
        var report = Report()
        guard let metadata = try File.metadata(root) else {
            throw LinuxError(operation: .inspect, path: root, errno: 2)
        }
        if metadata.isDirectory {
            scanFolder(root, content, &report, tell)
        } else {
            scanFile(root, content, &report, tell)
        }
        return report
    }

    private func scanFolder(
        _ folder: String, _ content: [any DecodedContent], _ report: inout Report,
        _ tell: (Match) -> Void
    ) {
        let entries: [Directory.Entry]
        do throws(LinuxError) { entries = try Directory.entries(folder) } catch {
            report.unread.append("\(error)")
            return
        }
        for entry in entries {
            let path = folder + "/" + entry.name
            scanName(Array(entry.name.utf8), of: path, &report, tell)
            switch entry.kind {
            case .directory: scanFolder(path, content, &report, tell)
            case .file: scanFile(path, content, &report, tell)
            case .link(let target): scanName(Array(target.utf8), of: path, &report, tell)
            case .other: break
            }
        }
    }

    private func scanName(
        _ name: [UInt8], of path: String, _ report: inout Report, _ tell: (Match) -> Void
    ) {
        for patterns in [long, short] {
            search(name, patterns, 0..<name.count) { _, sought in
                report.matches += 1
                tell(
                    Match(
                        value: sought.value, path: path, offset: nil, encoding: sought.form.encoding
                    ))
            }
        }
    }

    private func scanFile(
        _ path: String, _ content: [any DecodedContent], _ report: inout Report,
        _ tell: (Match) -> Void
    ) {
        do throws(LinuxError) { try scanBytes(path, &report, tell) } catch {
            // A file that another process removed meanwhile holds nothing any more.
            if !error.isMissing { report.unread.append("\(error)") }
            return
        }
        report.files += 1
        for kind in content where kind.recognises(path) {
            var matches = 0
            let failure = kind.read(path, where: holdsAny) { row, bytes in
                search(bytes, long, 0..<bytes.count) { _, sought in
                    matches += 1
                    tell(
                        Match(
                            value: sought.value, path: path, offset: row,
                            encoding: "\(sought.form.encoding) in \(kind.name)"))
                }
            }
            report.matches += matches
            if let failure { report.unread.append("\(path): \(failure)") }
        }
    }

    /// Whether bytes hold a value in any form that is sought in what is decoded.
    private func holdsAny(_ bytes: Span<UInt8>) -> Bool {
        var isFound = false
        long.set.forEachMatch(in: bytes) { _, _ in isFound = true }
        return isFound
    }

    /// Reads a file window by window.
    private func scanBytes(
        _ path: String, _ report: inout Report, _ tell: (Match) -> Void
    ) throws(LinuxError) {
        let file = try File(opening: path, [.read, .noFollow])
        let overlap = max(long.set.patternBytesMax, short.set.patternBytesMax) + Self.lookaheadBytes
        var window: [UInt8] = []
        var windowOffset = 0
        var start = 0
        var isCompressed = false
        while true {
            let chunk = try file.readNext(Self.chunkBytes)
            if windowOffset == 0, window.isEmpty { isCompressed = Self.isCompressed(chunk) }
            report.bytes += chunk.count
            window += chunk
            let isEnd = chunk.isEmpty
            // What starts in the last bytes is looked at again with the next chunk behind it.
            let end = isEnd ? window.count : max(start, window.count - overlap)
            for patterns in isCompressed ? [long] : [long, short] {
                search(window, patterns, start..<end) { offset, sought in
                    report.matches += 1
                    tell(
                        Match(
                            value: sought.value, path: path, offset: windowOffset + offset,
                            encoding: sought.form.encoding))
                }
            }
            if isEnd { return }
            // One byte before the next start stays: it tells whether a match begins there.
            let dropped = max(0, end - 1)
            window.removeFirst(dropped)
            windowOffset += dropped
            start = end - dropped
        }
    }

    private func search(
        _ bytes: [UInt8], _ patterns: IndexedPatterns, _ starts: Range<Int>,
        _ found: (Int, Sought) -> Void
    ) {
        patterns.set.forEachMatch(in: bytes.span, startingIn: starts) { offset, pattern in
            let sought = forms[patterns.indices[pattern]]
            if Self.isWhole(sought.form, in: bytes, at: offset) { found(offset, sought) }
        }
    }

    /// Whether the match is not part of a longer number or address.
    private static func isWhole(_ form: ValueForms.Form, in bytes: [UInt8], at offset: Int) -> Bool
    {
        if form.boundary == .none { return true }
        let isHexadecimal = form.boundary != .number
        func isDigit(_ index: Int) -> Bool {
            guard index < bytes.count, let digit = Bytes.hexDigit(bytes[index]) else {
                return false
            }
            return isHexadecimal || digit < 10
        }
        let end = offset + form.bytes.count
        if offset > 0, isDigit(offset - 1) { return false }
        guard end < bytes.count else { return true }
        if isDigit(end) { return false }
        if form.boundary == .leadingGroups { return true }
        // A colon may as well end a sentence: only with a group behind it the address goes on.
        if isHexadecimal, bytes[end] == UInt8(ascii: ":"), isDigit(end + 1) { return false }
        guard bytes[end] == UInt8(ascii: "/") else { return true }
        let digits = bytes[(end + 1)...].prefix(lookaheadBytes - 1).prefix {
            $0 >= 0x30 && $0 <= 0x39
        }
        let length = Int(String(decoding: digits, as: UTF8.self))
        let whole = isHexadecimal ? 128 : 32
        return length.map { $0 >= whole } ?? true
    }

    /// Whether a file starts like a compressed one; four bytes turn up in those by chance.
    private static func isCompressed(_ start: [UInt8]) -> Bool {
        let signatures: [[UInt8]] = [
            Array("PAR1".utf8), [0x1F, 0x8B], [0x28, 0xB5, 0x2F, 0xFD], Array("PK\u{3}\u{4}".utf8),
        ]
        return signatures.contains { start.starts(with: $0) }
    }
}

/// Reads a kind of file whose content does not lie plainly in its bytes.
package protocol DecodedContent {
    /// What the kind is called in a match, such as `parquet`.
    var name: String { get }
    func recognises(_ path: String) -> Bool
    /// Calls `consume` with the number of each row and its content as text. Returns why the file could not be read to
    /// its end, or nil.
    func read(_ path: String, _ consume: (_ row: Int, _ bytes: [UInt8]) -> Void) -> String?
    /// The same by who can tell sooner that there is nothing to be found.
    ///
    /// - Parameter mayHold: whether bytes hold a value, as far as it is not a part of a longer one.
    func read(
        _ path: String, where mayHold: (Span<UInt8>) -> Bool,
        _ consume: (_ row: Int, _ bytes: [UInt8]) -> Void
    ) -> String?
}

extension DecodedContent {
    package func read(
        _ path: String, where mayHold: (Span<UInt8>) -> Bool,
        _ consume: (_ row: Int, _ bytes: [UInt8]) -> Void
    ) -> String? { read(path, consume) }
}

/// Why a scan cannot be made.
package enum ScanError: Error, Equatable, Sendable, CustomStringConvertible {
    case noValue
    /// By its place in the list, from 1.
    case valueTooShort(number: Int)

    package var description: String {
        switch self {
        case .noValue: "no value to look for"
        case .valueTooShort(let number):
            "value number \(number) has fewer than \(ValueForms.valueBytesMin) bytes, which are in every file"
        }
    }
}
