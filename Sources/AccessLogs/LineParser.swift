internal import Glibc

/// Takes lines apart in memory of its own: a line is copied there once, what stands in it as it was sent stays where it is,
/// and what the log has escaped is written behind it without its escapes.
@safe struct LineParser: ~Copyable {
    /// Bytes of earlier lines up to which another one is read behind them.
    static let keptBytesMax = 1 << 16
    /// A line, what its own escapes gave, and what the log's gave, once and twice.
    private static let bytesMax = keptBytesMax + 4 * AccessLogs.lineBytesMax

    /// The request of the line.
    var entry = LogEntry()
    var columns = Columns([]) {
        didSet { unsafe found.update(repeating: .absent, count: LogField.count) }
    }

    // SAFETY: allocated in `init`, freed in `deinit`. No line is longer than `lineBytesMax`, no escaping in it grows when it
    // is taken out, and no part of a line is copied more than four times, so what one line takes fits behind `keptBytesMax`;
    // the last bytes are for blocks that are read or written beyond the end of a text.
    let out: UnsafeMutablePointer<UInt8>
    var count = 0
    /// Where the line itself stands in ``out``.
    var lineStart = 0
    var lineEnd = 0
    /// Something in the line may be a control character, or become one without its escapes.
    var mayHaveControls = false
    /// Where each field stands in ``out``, as it was logged.
    let found: UnsafeMutablePointer<LogEntry.Text>
    /// Where each `X-Forwarded-For` stands in it.
    var foundForwardedFor = LogEntry.Texts()
    var keys = KeyMemory()
    var days = DayMemory()

    init() {
        let size = Self.bytesMax + 2 * Self.blockBytes
        unsafe out = .allocate(capacity: size)
        unsafe out.initialize(repeating: 0, count: size)
        unsafe found = .allocate(capacity: LogField.count)
        unsafe found.initialize(repeating: .absent, count: LogField.count)
    }

    deinit {
        // Lines hold raw values.
        unsafe explicit_bzero(out, Self.bytesMax)
        unsafe out.deallocate()
        unsafe found.deallocate()
    }

    /// Reads one line of `format`; nil when ``entry`` holds its request.
    mutating func read(
        _ line: Span<UInt8>, _ format: LogFormat, keeping: Bool
    ) -> LogRefusal? {
        if !keeping { count = 0 }
        lineStart = count
        unsafe line.withUnsafeBufferPointer { line in
            guard let base = line.baseAddress else { return }
            unsafe (out + lineStart).update(from: base, count: line.count)
        }
        count += line.count
        lineEnd = count
        entry = LogEntry()
        if foundForwardedFor.count > 0 { foundForwardedFor = LogEntry.Texts() }
        mayHaveControls = true
        switch format {
        case .combined: return readCombined()
        case .ndjson: return readJSON(isEscaped: false, isStandard: false)
        case .cloudFrontRealTime: return readTabbed()
        case .cloudFrontStandard:
            return unsafe out[lineStart] == 0x7B
                ? readJSON(isEscaped: true, isStandard: true) : readTabbed()
        }
    }

    /// A part of ``out`` as bytes.
    func bytes(_ text: LogEntry.Text) -> UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: out + Int(text.start), count: text.count)
    }
}

// Tab-separated columns.
extension LineParser {
    /// The fields of columns in their order.
    struct Columns {
        let fields: [UInt8]
        let hasCookie: Bool
        /// A field stands in several columns.
        let hasRepeats: Bool

        init(_ columns: [LogField]) {
            fields = columns.map { UInt8($0.rawValue) }
            hasCookie = columns.contains(.cookie)
            let needed = columns.filter { $0 != .ignored }
            hasRepeats = Set(needed).count < needed.count
        }
    }

    private mutating func readTabbed() -> LogRefusal? {
        guard !columns.fields.isEmpty else { return .syntax }
        if columns.hasRepeats {
            if let refusal = findRepeated() { return refusal }
        } else {
            var controls: UInt64 = 0
            if let refusal = findColumns(&controls) { return refusal }
            mayHaveControls = controls != 0
            if let chain = value(.forwardedFor) { foundForwardedFor.append(chain) }
        }
        entry.showsCookies = columns.hasCookie
        return takeFound(isEscaped: true)
    }

    /// Finds where each column stands. What is not needed is put down too, in a place that nobody looks at.
    ///
    /// - Parameter controls: not 0 afterwards when the line has control characters.
    private func findColumns(_ controls: inout UInt64) -> LogRefusal? {
        let fields = columns.fields.span
        let last = fields.count - 1
        var start = lineStart
        var column = 0
        var block = lineStart
        while block < lineEnd {
            // SAFETY: bytes beyond the line's end are the buffer's own, and their marks are taken out.
            let mask = Self.mask(lineEnd - block)
            var tabs = unsafe Self.marks(0x09, out + block) & mask
            controls |= unsafe Self.controls(out + block) & mask
            while tabs != 0 {
                guard column < last else { return .fieldCount }
                let stop = block + tabs.trailingZeroBitCount
                unsafe found[Int(fields[column])] = .init(start, stop)
                column += 1
                start = stop + 1
                tabs &= tabs &- 1
            }
            block += Self.blockBytes
        }
        guard column == last else { return .fieldCount }
        unsafe found[Int(fields[last])] = .init(start, lineEnd)
        return nil
    }

    /// The same where a header names a field twice: of several values the last counts, of a chain all.
    private mutating func findRepeated() -> LogRefusal? {
        unsafe found.update(repeating: .absent, count: LogField.count)
        var start = lineStart
        var column = 0
        while true {
            let stop = index(of: 0x09, start, lineEnd) ?? lineEnd
            guard column < columns.fields.count else { return .fieldCount }
            let field = Int(columns.fields[column])
            let text = LogEntry.Text(start, stop)
            if isValue(text) {
                unsafe found[field] = text
                if field == LogField.forwardedFor.rawValue { foundForwardedFor.append(text) }
            }
            column += 1
            if stop == lineEnd { break }
            start = stop + 1
        }
        return column == columns.fields.count ? nil : .fieldCount
    }

    /// Where the value of a field stands; nil when it is absent, empty, or the log's mark of an empty one.
    func value(_ field: LogField) -> LogEntry.Text? {
        let text = unsafe found[field.rawValue]
        return isValue(text) ? text : nil
    }

    func isValue(_ text: LogEntry.Text) -> Bool {
        unsafe text.count > 1 || text.count == 1 && out[Int(text.start)] != 0x2D
    }
}
