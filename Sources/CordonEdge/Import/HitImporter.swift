package import AccessLogs
package import Bytes
package import CordonJournal
internal import CordonKeys
package import CordonModel
internal import CordonPolicy
internal import Crypto
internal import HTTP

/// Takes the lines of access logs down the road of live hits: the same decision, the same transforms, the same journals.
///
/// Lines are decided on in order. After every so many a window ends: each region's journal gets, in one transaction, its hits
/// of the window and the number of the last line. So a line that was decided on is in its region's journal if, and only
/// if, that journal's mark has reached it, and a run that was killed anywhere is gone on with line by line. One thread.
///
/// Lines are read a few at a time, so that the geo table's memory is on its way for all of them before the first is decided on.
/// A raw value of a line stands in the readers' buffers until later lines overwrite it.
package final class HitImporter {
    package struct Settings: Sendable {
        /// Paths that are a pixel's.
        package var paths: [[UInt8]]
        /// Whether a log that does not show cookies, `Sec-GPC` or `DNT` is taken to say that none was sent. When it is
        /// not, consent is unknown, which counts as refused.
        package var takesUnloggedAsAbsent = false
        /// Who may speak for a client in `X-Forwarded-For`; with none, the address that the log names is the client's.
        package var trustedProxies: [IPPrefix] = []
        /// Lines of a window.
        package var windowLines = HitImporter.windowLinesDefault

        package init(paths: [String] = HitImporter.pixelPaths) {
            self.paths = paths.map { Array($0.utf8) }
        }
    }

    /// The paths of the live collector.
    package static let pixelPaths = ["/pixel.gif", "/1x1.png", "/hit"]
    package static let windowLinesDefault = 50_000
    /// Bytes of a window's batches, after which it ends early: what is held in memory, and what one transaction writes.
    static let windowBytesMax = 16 << 20
    /// How far the clock of who wrote the log may be ahead of this one.
    package static let futureMicrosecondsMax: Int64 = 300_000_000
    /// After so many lines the cache of user agents may classify new ones again; a log is not an attack, and each line
    /// classifies at most one.
    private static let refillLines = EdgeLimits.classificationsPerSecondMax

    /// One moment of a run, for tests that end it there.
    package enum Moment: Equatable, Sendable {
        case beforeCommit(slot: Int)
        case afterCommit(slot: Int)
    }

    let context: EdgeContext
    let settings: Settings
    private let now: Timestamp
    private let journals: [Journal]
    private let transform: HitTransform
    /// Lines that were read and wait to be decided on.
    private let waiting = WaitingLines()
    private let resolver: ClientAddressResolver
    private let moment: (Moment) throws -> Void
    /// Contexts with the keys of past days.
    private var dated: [Int32: EdgeContext] = [:]
    private var lastDay: Day?
    private var lastContext: EdgeContext

    private var lanes: [ImportLane] = []
    /// Lines up to here that have no home were counted when a journal that is ahead took its own.
    private var homelessAfter = 0
    private var report = ImportReport()
    private var windowBytes = 0
    /// The last line of which it is known what becomes of it, and of all before it.
    private var decidedLines = 0

    /// - Parameters:
    ///   - journals: of the context's regions, in its order.
    ///   - now: what counts as the present for all lines.
    ///   - moment: told of each step; what it throws ends the run there.
    package init(
        context: EdgeContext, journals: [Journal], settings: Settings, now: Timestamp,
        moment: @escaping (Moment) throws -> Void = { _ in }
    ) throws(JournalError) {
        precondition(journals.count == context.localRegions.count, "each region has its journal")
        self.context = context
        self.journals = journals
        self.settings = settings
        self.now = now
        self.moment = moment
        lastContext = context
        transform = HitTransform(userAgents: UserAgentCache(context.userAgents))
        resolver = ClientAddressResolver(
            RegionConfiguration.Collector(
                listen: .init(address: IPAddress(ipv4: 0), port: 0),
                trustedProxies: settings.trustedProxies,
                clientAddress: settings.trustedProxies.isEmpty ? .peer : .xForwardedFor,
                durability: .durable))
        for journal in journals { try journal.prepareImports() }
    }

    /// Brings the lines of one file into the journals.
    ///
    /// - Parameters:
    ///   - marks: how far the file has come into each journal; they are written as the run goes on.
    /// - Returns: what became of the lines of this run. Every mark that was `begun` is then `whole`; journals with other
    ///   marks take nothing.
    package func run(
        _ lines: LineReader, _ reader: LogReader, marks: [ImportMark]
    ) throws -> ImportReport {
        precondition(marks.count == journals.count, "each journal has its mark")
        report = ImportReport()
        windowBytes = 0
        lanes = []
        let first = marks.filter { $0.state == .begun }.map(\.lines).min() ?? 0
        // Lines that some journals have and others have not were decided on by what those that are ahead remember.
        let ahead = marks.filter { $0.state != .begun || $0.lines > first }
        if ahead.contains(where: { $0.decidedBy != decidedBy(reader) }) {
            throw ImportError.decidedOtherwise(
                from: first + 1, to: ahead.map(\.lines).max() ?? first)
        }
        homelessAfter =
            marks.contains { $0.state != .begun } ? .max : marks.map(\.lines).max() ?? 0
        lanes = try zip(marks, journals).map { mark, journal in
            var mark = mark
            if mark.state == .begun { mark.decidedBy = decidedBy(reader) }
            return ImportLane(
                mark: mark, suppression: try journal.suppression(),
                policyCount: context.policyNames.count)
        }
        report.linesBefore = first
        decidedLines = first
        do {
            try take(lines, reader, after: first)
        } catch {
            // The lines before the failure are good. When this cannot be written either, the first error is the one to
            // tell of.
            try? endWindow(at: decidedLines, state: .begun)
            throw error
        }
        try endWindow(at: lines.number, state: .whole)
        return report
    }

    /// What became of the lines so far: what a run that threw has brought in.
    package var partialReport: ImportReport { report }

    /// The marks as they were last committed.
    package var marks: [ImportMark] { lanes.map(\.mark) }

    private func take(_ lines: LineReader, _ reader: LogReader, after first: Int) throws {
        try pass(over: first, lines, reader)
        var windowEnd = first + settings.windowLines
        var refill = Self.refillLines
        var isAtEnd = false
        while !isAtEnd {
            let before = lines.number
            var fault: (any Error)?
            do { isAtEnd = try gather(lines, reader, to: windowEnd) } catch { fault = error }
            waiting.bringPlacesNear(context)
            while let line = waiting.next() { decide(line, reader.text) }
            if let fault { throw fault }
            refill -= lines.number - before
            if refill <= 0 {
                transform.userAgents.refill()
                refill = Self.refillLines
            }
            if lines.number >= windowEnd || windowBytes >= Self.windowBytesMax {
                try endWindow(at: lines.number, state: .begun)
                windowEnd = lines.number + settings.windowLines
            }
        }
    }

    /// Goes on to the line `first` without deciding on anything; a header names the columns of what follows.
    private func pass(over first: Int, _ lines: LineReader, _ reader: LogReader) throws {
        while lines.number < first {
            switch try lines.next() {
            case .end: return
            case .tooLong: break
            case .line:
                if !lines.line.isEmpty, lines.line[0] == 0x23 { _ = reader.read(lines.line) }
            }
        }
    }

    /// Reads lines until as many wait as may, or `end` is reached. What a line without a request is, is counted at once.
    ///
    /// - Returns: whether the source is at its end.
    private func gather(_ lines: LineReader, _ reader: LogReader, to end: Int) throws -> Bool {
        reader.forget()
        while lines.number < end, waiting.hasRoom, reader.hasRoom {
            switch try lines.next() {
            case .end: return true
            case .tooLong: refuse(.line(.tooLong), lines.number)
            case .line:
                switch reader.read(lines.line, keeping: true) {
                case .nothing: countBlank(lines.number)
                case .refused(let refusal): refuse(.line(refusal), lines.number)
                case .entry: try admit(reader.entry, reader.text, lines.number)
                }
            }
            report.lines += 1
            decidedLines = lines.number
        }
        return false
    }

    // MARK: One line

    /// Lets a line wait for its decision, if it is a pixel's and whole.
    private func admit(_ entry: LogEntry, _ text: Span<UInt8>, _ number: Int) throws {
        guard entry.isGet, let path = entry.path.range, isPixel(text, path) else {
            report.notHits += 1
            if number > homelessAfter { lanes[0].notHits += 1 }
            return
        }
        guard entry.byteCount <= HTTPLimits.headBytesMax else {
            return refuse(.line(.tooLong), number)
        }
        var head = RequestHead(entry)
        guard let client = client(entry, head, text) else {
            return refuse(.line(.address), number)
        }
        guard entry.microseconds <= now.microseconds + Self.futureMicrosecondsMax else {
            return refuse(.future, number)
        }
        // The same as two headers of which one would have to be believed: nobody knows what was sent.
        let isConsentUnknown =
            !(entry.showsCookies && entry.showsPreferences || settings.takesUnloggedAsAbsent)
        if isConsentUnknown { head.repeatsConsentHeader = true }
        let time = Timestamp(microseconds: entry.microseconds)
        waiting.append(
            WaitingLine(
                number: number, time: time, isConsentUnknown: isConsentUnknown,
                context: try context(of: Day(time)), head: head, client: client))
    }

    /// Decides on a line and writes its record.
    private func decide(_ line: consuming WaitingLine, _ text: Span<UInt8>) {
        let number = line.number
        let time = line.time
        let context = line.context
        let decided = transform.decide(line.head, text, line.client, context, at: time)
        let policy = decided.decision.policy
        let slot = max(decided.slot, 0)
        guard decided.slot < 0 ? number > homelessAfter : lanes[slot].takes(number) else { return }
        if line.isConsentUnknown { report.consentUnknown += 1 }
        if let fate = decided.fate {
            lanes[slot].fates[policy * HitFate.allCases.count + fate.rawValue] += 1
            return
        }
        guard Day(time).number &+ decided.decision.retainDays > Day(now).number else {
            return refuse(.expired, number, slot: slot)
        }
        let batch = lanes[slot].batch(self.context, windowBytes: &windowBytes)
        let before = batch.count
        let fields = transform.fields(decided, context.rules, text)
        let head = line.head
        let written = transform.write(
            decided, fields, head, text, line.takeClient(), context,
            suppression: lanes[slot].filter, at: time, into: batch)
        windowBytes += batch.count - before
        switch written.fate {
        case .counted: batch.add(.counted, policy: policy)
        case .suppressed: batch.add(.suppressed, policy: policy)
        default: batch.add(.kept, policy: policy)
        }
        if written.lacksKey { report.keysMissing += 1 }
    }

    private func isPixel(_ text: Span<UInt8>, _ path: Range<Int>) -> Bool {
        for index in settings.paths.indices where settings.paths[index].count == path.count {
            var offset = 0
            while offset < path.count,
                settings.paths[index][offset] == text[path.lowerBound + offset]
            {
                offset += 1
            }
            if offset == path.count { return true }
        }
        return false
    }

    /// Whose hit it is, found as the collector does; nil when the log's address cannot be read.
    private func client(
        _ entry: LogEntry, _ head: RequestHead, _ text: Span<UInt8>
    ) -> ClientAddress? {
        guard let range = entry.address.range,
            let address = IPAddress(parsing: text.extracting(range))
        else { return nil }
        return resolver.resolve(
            peer: Sensitive(address.unmapped), announced: AnnouncedClient(), head: head, bytes: text
        )
    }

    /// The context with the keys of `day`. Keys of the present are those that the collector makes; keys of past days are
    /// opened where they still are, and never made.
    private func context(of day: Day) throws -> EdgeContext {
        if day == lastDay { return lastContext }
        lastDay = day
        if let known = dated[day.number] {
            lastContext = known
        } else {
            lastContext = day == context.keyDay ? context : try context.dated(day)
            // Days outside every retention come in no number that matters, yet a forged log could name thousands.
            if dated.count >= Self.daysMax { dated.removeAll() }
            dated[day.number] = lastContext
        }
        return lastContext
    }

    private static let daysMax = 4096

    // MARK: Counting

    /// Lines without a home are counted by the first region.
    private func refuse(_ refusal: ImportRefusal, _ number: Int, slot: Int? = nil) {
        report.refused[refusal.index] += 1
        guard slot != nil || number > homelessAfter else { return }
        lanes[slot ?? 0].refused[refusal.index] += 1
    }

    private func countBlank(_ number: Int) {
        report.blank += 1
        if number > homelessAfter { lanes[0].blank += 1 }
    }

    // MARK: Committing

    private func endWindow(at number: Int, state: ImportMark.State) throws {
        for slot in lanes.indices where lanes[slot].isOpen {
            // A journal that was ahead of the others keeps its mark.
            var mark = lanes[slot].mark
            mark.lines = max(mark.lines, number)
            mark.state = state
            try moment(.beforeCommit(slot: slot))
            try commit(slot, mark)
            try moment(.afterCommit(slot: slot))
        }
        windowBytes = 0
    }

    private func commit(_ slot: Int, _ mark: ImportMark) throws {
        var attempts = 0
        while true {
            let suppression = lanes[slot].suppression
            for batch in lanes[slot].batches where batch.generation != suppression.generation {
                SuppressionFilter.apply(suppression, to: batch)
            }
            var pending = unsafe [PendingBatch]()
            for batch in lanes[slot].batches where !batch.isEmpty {
                // SAFETY: the batch lives in the lane, and nothing writes to it until the append has returned.
                unsafe pending.append(
                    PendingBatch(
                        bytes: UnsafeRawBufferPointer(start: batch.bytes, count: batch.count),
                        hits: batch.hits, tally: LedgerTally.text(batch.ledgerCounts)))
            }
            let (rules, counts) = lanes[slot].counts(context)
            let unkept = rules.flatMap { rule in
                HitFate.allCases.filter { !$0.isStored && rule[$0] > 0 }.map {
                    LedgerCount(policy: rule.policy, fate: $0.text, hits: Int64(rule[$0]))
                }
            }
            do throws(JournalError) {
                try unsafe journals[slot].append(
                    pending, mark: mark, counts: counts, unkept: unkept,
                    expecting: suppression.generation)
                for rule in rules { report.add(rule) }
                lanes[slot].mark = mark
                lanes[slot].clear()
                return
            } catch {
                attempts += 1
                guard error.code == .suppressionChanged, attempts < 10 else { throw error }
                lanes[slot].suppression = try journals[slot].suppression()
            }
        }
    }

    /// A digest of everything that can give a line another home: rules, places, columns and options. Which regions are
    /// taken does not: a line of another one is away, and is that one's all the same when it is taken later.
    private func decidedBy(_ reader: LogReader) -> [UInt8] {
        var hash = SHA256()
        hash.update(context.batchHeader)
        hash.update(Array(reader.format.rawValue.utf8))
        if reader.format == .cloudFrontRealTime {
            hash.update(reader.columns.map { UInt8($0.rawValue) })
        }
        for path in settings.paths {
            hash.update(path)
            hash.update(0)
        }
        for proxy in settings.trustedProxies { hash.update(Array(proxy.text.utf8)) }
        hash.update(settings.takesUnloggedAsAbsent ? 1 : 0)
        return hash.finalize().bytes
    }
}

extension RequestHead {
    /// The request of a log's line.
    fileprivate init(_ entry: LogEntry) {
        self.init()
        method = entry.isGet ? .get : .other
        path = ByteRange(entry.path)
        query = ByteRange(entry.query)
        host = ByteRange(entry.host)
        referer = ByteRange(entry.referer)
        userAgent = ByteRange(entry.userAgent)
        acceptLanguage = ByteRange(entry.acceptLanguage)
        cookie = ByteRange(entry.cookie)
        globalPrivacyControl = ByteRange(entry.globalPrivacyControl)
        doNotTrack = ByteRange(entry.doNotTrack)
        for index in 0..<entry.forwardedFor.count {
            forwardedFor.append(ByteRange(entry.forwardedFor[index]))
        }
        if entry.forwardedFor.isIncomplete { forwardedFor.leaveIncomplete() }
        repeatsConsentHeader = entry.repeatsConsentHeader
    }
}

extension ByteRange {
    fileprivate init(_ text: LogEntry.Text) {
        self = text.range.map { ByteRange($0.lowerBound, $0.upperBound) } ?? .absent
    }
}
