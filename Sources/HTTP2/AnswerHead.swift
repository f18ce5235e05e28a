/// The head of an answer that was written as HTTP/1.1, as fields of HTTP/2.
struct AnswerHead {
    typealias Field = (name: Range<Int>, value: Range<Int>)

    /// `:status` first; ranges of the lines that the initializer filled.
    private(set) var fields: [Field] = []
    /// Where the body begins in the answer.
    private(set) var bodyStart = 0

    private static let status = Array(":status".utf8)

    /// Reads what this process wrote itself; names are made lowercase, and fields that concern an HTTP/1.1 connection are
    /// left out (RFC 9113 section 8.2.2).
    init(_ bytes: Span<UInt8>, lines: inout [UInt8]) {
        lines.removeAll(keepingCapacity: true)
        lines.append(contentsOf: Self.status)
        let digits = "HTTP/1.1 ".utf8.count
        for offset in 0..<3 { lines.append(bytes[digits + offset]) }
        fields.append((0..<Self.status.count, Self.status.count..<lines.count))
        var start = Self.lineEnd(bytes, from: 0) + 2
        while true {
            let end = Self.lineEnd(bytes, from: start)
            if end == start { break }
            append(bytes, start, end, &lines)
            start = end + 2
        }
        bodyStart = start + 2
    }

    private mutating func append(
        _ bytes: Span<UInt8>, _ start: Int, _ end: Int, _ lines: inout [UInt8]
    ) {
        let nameStart = lines.count
        var index = start
        while bytes[index] != 0x3A {
            let byte = bytes[index]
            lines.append(byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte)
            index += 1
        }
        let name = nameStart..<lines.count
        let text = lines[name]
        if text.elementsEqual("connection".utf8) || text.elementsEqual("keep-alive".utf8)
            || text.elementsEqual("transfer-encoding".utf8)
        {
            lines.removeSubrange(name)
            return
        }
        index += 1
        while index < end, bytes[index] == 0x20 { index += 1 }
        let valueStart = lines.count
        while index < end {
            lines.append(bytes[index])
            index += 1
        }
        fields.append((name, valueStart..<lines.count))
    }

    private static func lineEnd(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while bytes[index] != 0x0D { index += 1 }
        return index
    }
}
