import AccessLogs
import Compression

/// Bytes that come in pieces.
private final class Pieces: ByteSource {
    private let bytes: [UInt8]
    private var ends: [Int]
    private var position = 0

    init(_ bytes: [UInt8], cuts: [Int]) {
        self.bytes = bytes
        ends = (cuts.sorted() + [bytes.count]).filter { $0 > 0 }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while let end = ends.first, end <= position { ends.removeFirst() }
        guard let end = ends.first else { return 0 }
        let count = min(end - position, buffer.count)
        buffer.copyBytes(from: bytes[position..<position + count])
        position += count
        return count
    }
}

/// What a reader found in each line, as text, and what was wrong with that.
private func outcomes(
    _ format: LogFormat, _ input: [UInt8], cuts: [Int]
) -> (lines: [String], fault: String?) {
    let lines = LineReader(Pieces(input, cuts: cuts))
    let reader = LogReader(format)
    var texts: [String] = []
    while true {
        guard let next = try? lines.next() else { return (texts, "bytes in memory failed") }
        switch next {
        case .end: return (texts, nil)
        case .tooLong: texts.append("too long")
        case .line:
            let line = lines.line
            if (0..<line.count).contains(where: { line[$0] == 0x0A }) {
                return (texts, "a line holds its end")
            }
            let outcome = reader.read(line)
            texts.append("\(outcome)")
            guard outcome == .entry else { continue }
            if let fault = fault(reader) { return (texts, fault) }
            texts.append("\(reader.entry)")
        }
    }
}

private func fault(_ reader: LogReader) -> String? {
    let entry = reader.entry
    guard entry.address.range != nil, entry.path.range != nil else {
        return "an entry without its address or path"
    }
    // The address is not looked into here: whoever reads it as one refuses what is none.
    let ranges =
        [
            entry.path, entry.query, entry.host, entry.referer, entry.userAgent,
            entry.acceptLanguage, entry.cookie, entry.globalPrivacyControl, entry.doNotTrack,
        ].compactMap(\.range)
        + (0..<entry.forwardedFor.count).compactMap { entry.forwardedFor[$0].range }
    let text = reader.text
    for range in ranges {
        if range.upperBound > text.count { return "a range leaves the text" }
        for index in range where text[index] == 0x0A || text[index] == 0x0D || text[index] == 0 {
            return "a value that no request can have"
        }
    }
    return nil
}

/// Each line is read alike however the bytes come, and an entry holds what a hit needs and a request can have.
func logLines(_ format: LogFormat) -> @Sendable ([UInt8]) -> String? {
    { input in
        let whole = outcomes(format, input, cuts: [])
        if let fault = whole.fault { return fault }
        var numbers = InputNumbers(input)
        let cuts = (0..<4).map { _ in numbers.next(upTo: input.count) }
        let cut = outcomes(format, input, cuts: cuts)
        return cut.lines == whole.lines && cut.fault == nil
            ? nil : "cuts at \(cuts) change what is read"
    }
}

/// Packed bytes are unpacked alike however they come, as far as they are good.
let packedBytes: @Sendable ([UInt8]) -> String? = { input in
    var numbers = InputNumbers(input)
    let cuts = (0..<4).map { _ in numbers.next(upTo: input.count) }
    return unpacked(input, cuts: []) == unpacked(input, cuts: cuts)
        ? nil : "cuts at \(cuts) change what is unpacked"
}

/// The first bytes and how it ended. The largest that a fuzzer's input unpacks to is a thousand times its size.
private func unpacked(_ input: [UInt8], cuts: [Int]) -> [String] {
    var buffer = [UInt8](repeating: 0, count: 4096)
    var sum = InputNumbers([])
    var total = 0
    do {
        let source = try UnpackedSource(Pieces(input, cuts: cuts))
        while total < 8 << 20 {
            let count = try buffer.withUnsafeMutableBytes { try source.read(into: $0) }
            if count == 0 { break }
            total += count
            sum.take(buffer[..<count])
        }
        return ["\(total)", "\(sum.next(upTo: 1 << 30))"]
    } catch {
        // What stands before a fault may come in other pieces.
        return ["\(error)"]
    }
}
