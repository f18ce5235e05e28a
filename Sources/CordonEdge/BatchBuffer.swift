internal import Bytes
internal import Consent
internal import CordonJournal
internal import CordonModel
internal import Synchronization

/// Memory of one batch in the form of `HitBatch`, filled by one loop, then read by the region's committer.
///
/// Ownership alternates: the loop has it while ``phase`` is `.filling` or `.answered`, the committer while it is
/// `.submitted`. The phase is stored with release and loaded with acquire order, which hands the memory over.
@safe final class BatchBuffer: @unchecked Sendable {
    enum Phase: UInt8 { case filling, submitted, answered }

    // SAFETY: allocated in `init`, freed in `deinit`; every write is preceded by a check of the room (`hasRoom`) for the
    // largest record, and text lengths are bounded where they are written.
    let bytes: UnsafeMutablePointer<UInt8>
    private let scratch: UnsafeMutablePointer<UInt8>
    private(set) var count = 0
    private(set) var hits = 0
    private var recordStart = 0
    /// Generation of the suppression list that its hits were filtered by.
    var generation: Int64 = 0
    /// Kept, counted and suppressed hits of each policy.
    private var tallies: [UInt32] = []
    /// The policies that have hits here, so that a batch costs nothing for the others.
    private var policies: [Int] = []
    /// What its hits were decided by.
    private(set) var context: EdgeContext?
    /// Number by which the answers that wait for it know it.
    private(set) var ticket: UInt32 = 0
    /// Slots of the ids that its hits have claimed.
    private(set) var claims: [UInt32] = []
    /// Connections that wait for it.
    private(set) var waiters: [UInt64] = []
    /// Why it is not in the journal; nil when it is. Valid once answered.
    var failure: JournalError?
    var openedAt: UInt64 = 0
    /// What texts that are copied by words may reach beyond the last byte.
    private static let slackBytes = 16
    private let phaseValue = Atomic<UInt8>(Phase.filling.rawValue)

    enum Tally: Int, CaseIterable {
        case kept, counted, suppressed

        static let count = allCases.count

        /// What the hit became once the batch is in the journal.
        var fate: HitFate {
            switch self {
            case .kept: .kept
            case .counted: .counted
            case .suppressed: .suppressed
            }
        }
    }

    init() {
        unsafe bytes = .allocate(capacity: EdgeLimits.batchBytesMax + Self.slackBytes)
        unsafe scratch = .allocate(capacity: 2 * HitBatch.textBytesMax)
        waiters.reserveCapacity(4096)
        policies.reserveCapacity(64)
        claims.reserveCapacity(1024)
    }

    deinit {
        unsafe bytes.deallocate()
        unsafe scratch.deallocate()
    }

    var phase: Phase {
        get { Phase(rawValue: phaseValue.load(ordering: .acquiring)) ?? .filling }
        set { phaseValue.store(newValue.rawValue, ordering: .releasing) }
    }

    /// Starts anew with the header that the hits of `context` share.
    func open(_ context: EdgeContext, ticket: UInt32, generation: Int64, at now: UInt64) {
        count = 0
        hits = 0
        failure = nil
        openedAt = now
        self.generation = generation
        waiters.removeAll(keepingCapacity: true)
        claims.removeAll(keepingCapacity: true)
        self.context = context
        self.ticket = ticket
        let tallyCount = context.policyNames.count * Tally.count
        if tallies.count == tallyCount {
            for policy in policies {
                for tally in Tally.allCases {
                    tallies[policy * Tally.count + tally.rawValue] = 0
                }
            }
        } else {
            tallies = Array(repeating: 0, count: tallyCount)
        }
        policies.removeAll(keepingCapacity: true)
        let header = context.batchHeader
        appendFields(header.span)
    }

    /// Nothing is in it until it is opened.
    func clear() {
        count = 0
        hits = 0
        context = nil
    }

    var isEmpty: Bool { hits == 0 }
    var hasRoom: Bool { count + EdgeLimits.recordBytesMax <= EdgeLimits.batchBytesMax }

    func tally(_ tally: Tally, policy: Int) -> UInt32 {
        tallies[policy * Tally.count + tally.rawValue]
    }

    func add(_ tally: Tally, policy: Int) {
        let base = policy * Tally.count
        if tallies[base] | tallies[base + 1] | tallies[base + 2] == 0 { policies.append(policy) }
        tallies[base + tally.rawValue] += 1
    }

    /// Calls `body` with each policy that has hits here, and how many of one fate.
    func forEachTally(_ body: (_ policy: Int, _ fate: HitFate, _ hits: UInt32) -> Void) {
        for policy in policies {
            for tally in Tally.allCases {
                let hits = tallies[policy * Tally.count + tally.rawValue]
                if hits > 0 { body(policy, tally.fate, hits) }
            }
        }
    }

    /// Its hits by policy and fate, as the journal's ledger takes them.
    var ledgerCounts: [LedgerCount] {
        guard let names = context?.policyNames else { return [] }
        var counts: [LedgerCount] = []
        forEachTally { policy, fate, hits in
            counts.append(
                LedgerCount(policy: names[policy], fate: fate.text, hits: Int64(hits)))
        }
        return counts
    }

    /// A hit of `policy` turned out to be of a suppressed subject; a counted one stays counted.
    func moveToSuppressed(policy name: String) {
        guard let policy = context?.policyNames.firstIndex(of: name) else { return }
        let base = policy * Tally.count
        guard tallies[base + Tally.kept.rawValue] > 0 else { return }
        tallies[base + Tally.kept.rawValue] -= 1
        tallies[base + Tally.suppressed.rawValue] += 1
    }

    func addClaim(_ slot: UInt32) { claims.append(slot) }

    func addWaiter(_ token: UInt64) {
        // Pipelined requests of one connection follow each other.
        if waiters.isEmpty || waiters[waiters.count - 1] != token { waiters.append(token) }
    }

    /// Puts `records` in the place of what there is; never longer than before.
    func replace(_ content: [UInt8]) {
        precondition(content.count <= EdgeLimits.batchBytesMax, "suppression only shortens")
        unsafe content.withUnsafeBufferPointer { source in
            if let start = source.baseAddress {
                unsafe bytes.update(from: start, count: source.count)
            }
        }
        count = content.count
    }
}

// Writing a record.
extension BatchBuffer {
    func beginRecord() {
        precondition(hasRoom, "the loop looks for room before it writes")
        recordStart = count
        append(littleEndian: UInt32(0))
    }

    func endRecord() {
        let size = UInt32(truncatingIfNeeded: count - recordStart - 4)
        unsafe UnsafeMutableRawPointer(bytes + recordStart)
            .storeBytes(of: size.littleEndian, as: UInt32.self)
        hits += 1
    }

    @inline(__always)
    func append(_ byte: UInt8) {
        unsafe bytes[count] = byte
        count &+= 1
    }

    func append<Integer: FixedWidthInteger>(littleEndian value: Integer) {
        unsafe UnsafeMutableRawPointer(bytes + count)
            .storeBytes(of: value.littleEndian, as: Integer.self)
        count += MemoryLayout<Integer>.size
    }

    func append(bigEndian value: UInt128) {
        unsafe UnsafeMutableRawPointer(bytes + count)
            .storeBytes(of: value.bigEndian, as: UInt128.self)
        count += 16
    }

    func appendNull() { append(littleEndian: HitBatch.nullCount) }

    /// Starts a text whose bytes follow; its count is filled in by ``endText(_:)``.
    func beginText() -> Int {
        append(littleEndian: UInt16(0))
        return count
    }

    func endText(_ start: Int) {
        let length = UInt16(truncatingIfNeeded: count - start)
        unsafe UnsafeMutableRawPointer(bytes + (start - 2))
            .storeBytes(of: length.littleEndian, as: UInt16.self)
    }

    /// Appends a text that is known to be well formed.
    func appendText(_ text: Span<UInt8>) {
        let length = min(text.count, HitBatch.textBytesMax)
        append(littleEndian: UInt16(truncatingIfNeeded: length))
        copy(text, 0..<length)
    }

    /// Appends bytes that have the form of a batch already.
    func appendFields(_ fields: Span<UInt8>) { copy(fields, 0..<fields.count) }

    /// Appends the text of a block of addresses.
    func appendText(_ prefix: IPPrefix) {
        let start = beginText()
        // SAFETY: a record's room has that of the longest text many times.
        count += unsafe prefix.writeText(to: bytes + count)
        endText(start)
    }

    func appendText(_ text: StaticString) {
        let start = beginText()
        unsafe (bytes + count).update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        count += text.utf8CodeUnitCount
        endText(start)
    }

    private func copy(_ source: Span<UInt8>, _ range: Range<Int>) {
        unsafe source.extracting(range).withUnsafeBufferPointer { source in
            guard let from = source.baseAddress else { return }
            unsafe ByteCopy.copy(source.count, from: from, to: bytes + count)
            count += source.count
        }
    }

    /// Appends bytes of a request as a text: escapes taken out if asked, cut to the bound, made valid UTF-8 without
    /// control characters.
    func appendText(_ source: Span<UInt8>, _ range: Range<Int>, decoding: Bool) {
        let start = beginText()
        appendBytes(source, range, decoding: decoding, textStart: start)
        finishText(start)
    }

    /// Appends a host name in lowercase.
    func appendHost(_ source: Span<UInt8>, _ range: Range<Int>) {
        let start = beginText()
        unsafe ByteWord.lowercase(source.extracting(range), into: bytes + count)
        count += range.count
        endText(start)
    }

    /// Appends bytes to a text that began at `textStart`, as far as its bound allows.
    func appendBytes(
        _ source: Span<UInt8>, _ range: Range<Int>, decoding: Bool, textStart: Int
    ) {
        // Three bytes more than the bound show whether the last character was cut.
        let limit = textStart + HitBatch.textBytesMax + 3
        if decoding {
            var decoder = FormDecoder(range, form: .query)
            // SAFETY: beyond what it writes the decoder reaches by eight bytes, for which there is the slack at the least.
            count += unsafe decoder.decode(source, into: bytes + count, limit: limit - count)
        } else if count < limit {
            copy(source, range.lowerBound..<min(range.upperBound, range.lowerBound + limit - count))
        }
    }

    /// Ends a text of foreign bytes: repaired and cut at a character.
    func finishText(_ start: Int) {
        let end = count
        // SAFETY: the text is what was written last.
        let text = unsafe Span(_unsafeStart: bytes + start, count: end - start)
        let isPlain =
            text.count <= HitBatch.textBytesMax
            && text.firstUnprintable(from: 0, to: text.count) == text.count
        if !isPlain { repairText(start) }
        endText(start)
    }

    private func repairText(_ start: Int) {
        let length = count - start
        unsafe scratch.update(from: bytes + start, count: length)
        count = start
        var index = 0
        while index < length {
            let size = unsafe UTF8Sequence.length(scratch, index, length)
            let written = size == 0 ? 3 : size
            guard count - start + written <= HitBatch.textBytesMax else { return }
            if size == 0 {
                // U+FFFD
                append(0xEF)
                append(0xBF)
                append(0xBD)
                index += 1
            } else {
                for offset in 0..<size { append(unsafe scratch[index + offset]) }
                index += size
            }
        }
    }
}

/// Well-formed UTF-8 byte sequences (Unicode 15, table 3-7).
private enum UTF8Sequence {
    /// Bytes of the well-formed sequence at `index`; 0 when there is none, or a control character.
    static func length(_ bytes: UnsafePointer<UInt8>, _ index: Int, _ count: Int) -> Int {
        let first = unsafe bytes[index]
        if first < 0x80 { return first >= 0x20 && first != 0x7F ? 1 : 0 }
        let size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
        guard first >= 0xC2, first <= 0xF4, index + size <= count else { return 0 }
        let second = unsafe bytes[index + 1]
        let lowest: UInt8 = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80
        let highest: UInt8 = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF
        guard second >= lowest, second <= highest else { return 0 }
        // U+0080 to U+009F are control characters too.
        if first == 0xC2, second < 0xA0 { return 0 }
        for offset in 2..<max(2, size) where unsafe bytes[index + offset] & 0xC0 != 0x80 {
            return 0
        }
        return size
    }
}
