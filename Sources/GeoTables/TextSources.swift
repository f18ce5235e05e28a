import Bytes
import LinuxIO

/// Lines of a text source with their fields, read without copying.
///
/// SAFETY: holds a view of a mapped file; it is only used while `MappedFile` is borrowed by the caller.
@safe struct TextLines {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    /// Number of the line last read, counted from 1.
    private(set) var number = 0
    /// Longest line that is accepted, in bytes: real ones have under 100.
    static let lineBytesMax = 1000

    init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    /// The next line without its end, or nil at the end of the file.
    mutating func next() -> UnsafeRawBufferPointer? {
        guard unsafe position < bytes.count else { return nil }
        let start = position
        while unsafe position < bytes.count, unsafe bytes[position] != 0x0A { position += 1 }
        var end = position
        position += 1
        number += 1
        if end > start, unsafe bytes[end - 1] == 0x0D { end -= 1 }
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }
}

extension UnsafeRawBufferPointer {
    /// The fields of a line between commas, without surrounding spaces and one pair of double quotes.
    fileprivate func fields() -> [ArraySlice<UInt8>] {
        let line = unsafe Array(self)
        return line.split(separator: 0x2C, omittingEmptySubsequences: false).map { field in
            var field = field
            while field.first == 0x20 || field.first == 0x09 { field.removeFirst() }
            while field.last == 0x20 || field.last == 0x09 { field.removeLast() }
            if field.count >= 2, field.first == 0x22, field.last == 0x22 {
                field = field.dropFirst().dropLast()
            }
            return field
        }
    }
}

extension GeoTableBuilder {
    /// Reads a list as Tor ships it: `first,last,CC`, IPv4 as integers and IPv6 as text, `#` before comments.
    mutating func addTorList(
        _ file: borrowing MappedFile, path: String
    ) throws(GeoTableError) -> SourceDescription {
        var about = TorHeader()
        var lines = unsafe TextLines(file.unsafeBytes)
        while let line = unsafe lines.next() {
            guard unsafe !line.isEmpty else { continue }
            if unsafe line[0] == 0x23 {
                unsafe about.read(String(decoding: line, as: UTF8.self))
                continue
            }
            let range = try unsafe readTorLine(line, path: path, number: lines.number)
            append(
                range.first, range.last, isIPv6: range.isIPv6, place: range.place,
                line: lines.number)
        }
        return about.description
    }

    private mutating func readTorLine(
        _ line: UnsafeRawBufferPointer, path: String, number: Int
    ) throws(GeoTableError) -> (first: UInt128, last: UInt128, isIPv6: Bool, place: UInt32) {
        func wrong(_ text: String) -> GeoTableError {
            GeoTableError(.malformedSource, path: path, line: number, text: text)
        }
        guard line.count <= TextLines.lineBytesMax else {
            throw wrong("expected at most \(TextLines.lineBytesMax) bytes in a line")
        }
        var commas: (Int, Int)?
        if let one = unsafe line.firstIndex(of: 0x2C),
            let two = unsafe line[(one + 1)...].firstIndex(of: 0x2C),
            unsafe line[(two + 1)...].firstIndex(of: 0x2C) == nil
        {
            commas = (one, two)
        }
        guard let (one, two) = commas else { throw wrong("expected `first,last,country`") }
        let span = unsafe Span(_unsafeElements: line.bindMemory(to: UInt8.self))
        let first = Self.address(span.extracting(0..<one))
        let last = Self.address(span.extracting((one + 1)..<two))
        guard let first, let last else {
            throw wrong("expected two addresses, IPv4 as integers and IPv6 as text")
        }
        guard first.isIPv6 == last.isIPv6, first.value <= last.value else {
            throw wrong("expected a first address that is not after the last, of the same family")
        }
        let code = span.extracting((two + 1)..<span.count)
        if let country = CountryCode(code) {
            let place = index(of: PackedPlace(country: country))
            return (first.value, last.value, first.isIPv6, place)
        }
        // `??` is unknown; codes such as `A1` stand for anonymous networks, which are nowhere.
        guard code.count == 2,
            code[0] == 0x3F && code[1] == 0x3F || code[1] >= 0x30 && code[1] <= 0x39
        else { throw wrong("expected a country code of two capital letters, or `??`") }
        return (first.value, last.value, first.isIPv6, 0)
    }

    /// An address as text, or an IPv4 address as a decimal integer.
    private static func address(_ text: Span<UInt8>) -> IPAddress? {
        guard text.count >= 1, text.count <= 10 else { return IPAddress(parsing: text) }
        var value: UInt64 = 0
        for index in text.indices {
            guard text[index] >= 0x30, text[index] <= 0x39 else { return IPAddress(parsing: text) }
            value = value * 10 + UInt64(text[index] - 0x30)
        }
        return UInt32(exactly: value).map { IPAddress(ipv4: $0) }
    }

    /// Reads `first,last,country[,subdivision]` or `prefix,country[,subdivision]` lines.
    ///
    /// Addresses are text, or integers for IPv4. The first line may be a heading. Empty lines and those with `#` are
    /// skipped; `# date: YYYY-MM-DD` and `# note: …` describe the source. Country: two capital letters, or
    /// empty, `-` or `??` for unknown. Subdivision: `CA`, `US-CA` or empty.
    mutating func addCSV(
        _ file: borrowing MappedFile, path: String
    ) throws(GeoTableError) -> SourceDescription {
        var about = SourceDescription()
        var lines = unsafe TextLines(file.unsafeBytes)
        var isFirst = true
        while let line = unsafe lines.next() {
            let number = lines.number
            guard line.count <= TextLines.lineBytesMax else {
                throw GeoTableError(
                    .malformedSource, path: path, line: number,
                    text: "expected at most \(TextLines.lineBytesMax) bytes in a line")
            }
            let fields = unsafe line.fields()
            if fields.count == 1, fields[0].isEmpty { continue }
            if fields[0].first == 0x23 {
                try unsafe Self.readComment(
                    String(decoding: line, as: UTF8.self), into: &about, path: path, number: number)
                continue
            }
            defer { isFirst = false }
            if isFirst, Self.isHeading(fields[0]) { continue }
            try addCSVLine(fields, path: path, number: number)
        }
        return about
    }

    private static func isHeading(_ field: ArraySlice<UInt8>) -> Bool {
        !field.isEmpty
            && field.allSatisfy { (0x61...0x7A).contains($0 | 0x20) || $0 == 0x5F || $0 == 0x20 }
    }

    private static func readComment(
        _ comment: String, into about: inout SourceDescription, path: String, number: Int
    ) throws(GeoTableError) {
        let text = comment.drop { $0 == "#" || $0 == " " }
        if let value = value(of: "date:", in: text) {
            guard GeoDate.isDate(value) else {
                throw GeoTableError(
                    .malformedSource, path: path, line: number,
                    text: "expected a date as `YYYY-MM-DD`, found `\(value)`")
            }
            about.date = value
        } else if let value = value(of: "note:", in: text) {
            about.note = value
        }
    }

    private static func value(of key: String, in text: Substring) -> String? {
        guard text.hasPrefix(key) else { return nil }
        return String(text.dropFirst(key.count).drop { $0 == " " })
    }

    private mutating func addCSVLine(
        _ fields: [ArraySlice<UInt8>], path: String, number: Int
    ) throws(GeoTableError) {
        func wrong(_ text: String) -> GeoTableError {
            GeoTableError(.malformedSource, path: path, line: number, text: text)
        }
        func text(_ field: ArraySlice<UInt8>) -> String { String(decoding: field, as: UTF8.self) }
        let first: IPAddress
        let last: UInt128
        var rest = fields[...]
        if fields[0].contains(0x2F) {
            guard let prefix = IPPrefix(text(fields[0])) else {
                throw wrong("`\(text(fields[0]))` is no prefix, or has bits set beyond its length")
            }
            first = prefix.address
            last = prefix.span.last
            rest = rest.dropFirst()
        } else {
            let firstField = fields[0]
            let lastField = fields.count > 1 ? fields[1] : []
            guard let start = Self.address(firstField.span),
                let end = Self.address(lastField.span)
            else { throw wrong("expected `first,last,country` or `prefix,country`") }
            guard start.isIPv6 == end.isIPv6, start.value <= end.value else {
                throw wrong(
                    "expected a first address that is not after the last, of the same family")
            }
            first = start
            last = end.value
            rest = rest.dropFirst(2)
        }
        guard let countryField = rest.popFirst(), rest.count <= 1 else {
            throw wrong("expected a country, then at most a subdivision")
        }
        let isUnknown =
            countryField.isEmpty || countryField.elementsEqual("-".utf8)
            || countryField.elementsEqual("??".utf8)
        let country = CountryCode(countryField.span)
        guard isUnknown || country != nil else {
            throw wrong(
                "expected a country code of two capital letters, found `\(text(countryField))`")
        }
        var subdivision: SubdivisionCode?
        if var field = rest.first, !field.isEmpty {
            guard let country else { throw wrong("a subdivision needs a country") }
            if field.count > 3 {
                guard field.starts(with: Array((country.text + "-").utf8)) else {
                    throw wrong("subdivision `\(text(field))` is not one of \(country.text)")
                }
                field = field.dropFirst(3)
            }
            guard let code = SubdivisionCode(field.span) else {
                throw wrong(
                    "expected a subdivision such as `CA` or `US-CA`, found `\(text(field))`")
            }
            subdivision = code
        }
        let place = index(of: PackedPlace(country: country, subdivision: subdivision))
        append(first.value, last, isIPv6: first.isIPv6, place: place, line: number)
    }
}

/// What the comment block of a Tor list says.
private struct TorHeader {
    private var vendor: String?
    private var licence: String?
    private var date: String?

    mutating func read(_ line: String) {
        let text = line.drop { $0 == "#" || $0 == " " }
        if text.hasPrefix("Vendor:") { vendor = Self.value(text) }
        if text.hasPrefix("License:") { licence = Self.value(text) }
        if text.hasPrefix("Generated:") { date = GeoDate.fromMail(Self.value(text)) }
    }

    private static func value(_ text: Substring) -> String {
        String(text.drop { $0 != ":" }.dropFirst().drop { $0 == " " })
    }

    var description: SourceDescription {
        let parts = [vendor, licence].compactMap { $0 }
        return SourceDescription(date: date, note: parts.joined(separator: ", "))
    }
}

/// Days as `YYYY-MM-DD`.
enum GeoDate {
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    static func text(year: Int, month: Int, day: Int) -> String {
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = "\(number)"
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    }

    static func isDate(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.count) == [4, 2, 2],
            parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            let month = Int(parts[1]), let day = Int(parts[2])
        else { return false }
        return (1...12).contains(month) && (1...31).contains(day)
    }

    /// The day of a date such as `Thu, 25 Jun 2026 04:33:59 GMT` (RFC 5322).
    static func fromMail(_ text: String) -> String? {
        let words = text.split { $0 == " " || $0 == "," }
        guard words.count >= 4, let day = Int(words[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(words[2])), let year = Int(words[3]),
            (1000...9999).contains(year)
        else { return nil }
        return self.text(year: year, month: month + 1, day: day)
    }

    /// The UTC day of a number of seconds since 1970, for years up to 9999.
    static func fromEpoch(seconds: UInt64) -> String? {
        guard seconds < 253_402_300_800 else { return nil }
        let (year, month, day) = CivilDate.civil(Int64(seconds / 86_400))
        return text(year: Int(year), month: Int(month), day: Int(day))
    }
}
