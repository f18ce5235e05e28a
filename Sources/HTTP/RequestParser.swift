internal import Bytes

/// Reads one complete request head (RFC 9112 sections 2 to 7, RFC 9110 section 5).
///
/// What is refused beyond the letter of the RFCs, because intermediaries disagree about it: any
/// transfer coding, more than one `Content-Length`, an empty `Host`, a fragment, raw bytes
/// above 0x7E in the target. The table `HostileRequest` in the tests holds each case with its section.
enum RequestParser {
    /// Parses the head whose empty line ends at or before `end` into `head`.
    ///
    /// - Returns: nil, or the status with which the request is refused; 400 where there is no empty line.
    static func parse(_ bytes: Span<UInt8>, end: Int, into head: inout RequestHead) -> HTTPStatus? {
        head = RequestHead()
        guard let lineEnd = lineEnd(bytes, from: 0, to: end) else { return .badRequest }
        if lineEnd > HTTPLimits.requestLineBytesMax { return .uriTooLong }
        var targetHost = ByteRange.absent
        if let refusal = parseRequestLine(bytes, end: lineEnd, &head, &targetHost) {
            return refusal
        }
        var fields = Fields()
        var position = lineEnd + 2
        var headerCount = 0
        while true {
            guard position + 1 < end else { return .badRequest }
            if bytes[position] == 0x0D, bytes[position + 1] == 0x0A { break }
            headerCount += 1
            if headerCount > HTTPLimits.headerCountMax { return .headerFieldsTooLarge }
            if let refusal = parseField(bytes, &position, end, &head, &fields) { return refusal }
        }
        head.byteCount = position + 2
        return conclude(bytes, fields, targetHost, &head)
    }

    /// What the fields said that concerns the message itself.
    private struct Fields {
        var hostCount = 0
        var lengthCount = 0
        var contentLength = 0
        var transferCodings = TransferCodings()
        var wantsClose = false
        var wantsKeepAlive = false
        var expects = false
    }

    /// What `Transfer-Encoding` said (section 6.1).
    private struct TransferCodings {
        var arePresent = false
        /// The last coding is `chunked`.
        private var endInChunked = false
        private var others = 0
        /// `chunked` stands before another coding, or twice.
        private var areMisplaced = false

        mutating func append(isChunked: Bool) {
            if endInChunked { areMisplaced = true }
            endInChunked = isChunked
            if !isChunked { others += 1 }
        }

        /// Where `chunked` does not end the list nobody knows where the body ends, which is 400 (section 6.3). Else the
        /// body's end is known: a coding that this server does not have is 501, and `chunked` alone 411.
        var refusal: HTTPStatus {
            if areMisplaced || !endInChunked { return .badRequest }
            return others > 0 ? .notImplemented : .lengthRequired
        }
    }

    private static func conclude(
        _ bytes: Span<UInt8>, _ fields: Fields, _ targetHost: ByteRange, _ head: inout RequestHead
    ) -> HTTPStatus? {
        if fields.hostCount > 1 || (fields.hostCount == 0 && !head.isVersion10) {
            return .badRequest
        }
        if head.host.isPresent, !isAuthority(bytes, head.host) { return .badRequest }
        if targetHost.isPresent { head.host = targetHost }
        if fields.transferCodings.arePresent {
            // A length beside a coding, or a coding in HTTP/1.0, is how requests are smuggled (section 6.1).
            if fields.lengthCount > 0 || head.isVersion10 { return .badRequest }
            return fields.transferCodings.refusal
        }
        if fields.lengthCount > 1 { return .badRequest }
        if fields.contentLength > HTTPLimits.bodyBytesMax { return .contentTooLarge }
        // HTTP/1.0 knows no expectations, so there they mean nothing (RFC 9110 section 10.1.1).
        if fields.expects, !head.isVersion10 { return .expectationFailed }
        head.bodyByteCount = fields.contentLength
        head.keepsAlive = !fields.wantsClose && (!head.isVersion10 || fields.wantsKeepAlive)
        return nil
    }

    /// The index of the CR of the CRLF that ends the line; nil when another control character but a tab stands before it,
    /// so a CR or LF alone too.
    private static func lineEnd(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> Int? {
        let index = bytes.firstControl(from: start, to: end)
        guard index + 1 < end, bytes[index] == 0x0D, bytes[index + 1] == 0x0A else { return nil }
        return index
    }
}

// MARK: - Request line

extension RequestParser {
    private static func parseRequestLine(
        _ bytes: Span<UInt8>, end: Int, _ head: inout RequestHead, _ targetHost: inout ByteRange
    ) -> HTTPStatus? {
        var methodEnd = 0
        if hasPrefix(bytes, 0, end, "GET ") { methodEnd = 3 }
        while methodEnd < end, isTokenByte(bytes[methodEnd]) { methodEnd += 1 }
        guard methodEnd > 0, methodEnd < end, methodEnd <= HTTPLimits.methodBytesMax,
            bytes[methodEnd] == 0x20
        else { return .badRequest }
        let targetStart = methodEnd + 1
        let targetEnd = bytes.firstOutsideTarget(from: targetStart, to: end)
        guard targetEnd > targetStart, targetEnd < end, bytes[targetEnd] == 0x20 else {
            return .badRequest
        }
        if let refusal = parseVersion(bytes, targetEnd + 1, end, &head) { return refusal }
        if equals(bytes, ByteRange(0, methodEnd), "GET") {
            head.method = .get
        } else if equals(bytes, ByteRange(0, methodEnd), "HEAD") {
            head.method = .head
        } else if equals(bytes, ByteRange(0, methodEnd), "POST") {
            head.method = .post
        } else if equals(bytes, ByteRange(0, methodEnd), "OPTIONS") {
            head.method = .options
        }
        return parseTarget(bytes, targetStart, targetEnd, &head, &targetHost)
    }

    /// `HTTP/1.0` and `HTTP/1.1` are understood; any other well-formed version is 505.
    private static func parseVersion(
        _ bytes: Span<UInt8>, _ start: Int, _ end: Int, _ head: inout RequestHead
    ) -> HTTPStatus? {
        guard end - start == 8, equals(bytes, ByteRange(start, start + 5), "HTTP/"),
            isDigit(bytes[start + 5]), bytes[start + 6] == 0x2E, isDigit(bytes[start + 7])
        else { return .badRequest }
        guard bytes[start + 5] == 0x31, bytes[start + 7] <= 0x31 else {
            return .versionNotSupported
        }
        head.isVersion10 = bytes[start + 7] == 0x30
        return nil
    }

    /// Origin form, absolute form, or `*` (section 3.2); a proxy's authority form is malformed here.
    private static func parseTarget(
        _ bytes: Span<UInt8>, _ start: Int, _ end: Int, _ head: inout RequestHead,
        _ targetHost: inout ByteRange
    ) -> HTTPStatus? {
        var pathStart = start
        if bytes[start] != 0x2F {
            if end - start == 1, bytes[start] == 0x2A, head.method == .options {
                head.path = ByteRange(start, end)
                return nil
            }
            guard let hostStart = schemeEnd(bytes, start, end) else { return .badRequest }
            pathStart = hostStart
            while pathStart < end, bytes[pathStart] != 0x2F, bytes[pathStart] != 0x3F {
                pathStart += 1
            }
            targetHost = ByteRange(hostStart, pathStart)
            guard isAuthority(bytes, targetHost) else { return .badRequest }
        }
        let pathEnd = bytes.firstIndex(of: 0x3F, from: pathStart, to: end)
        head.path = ByteRange(pathStart, pathEnd)
        if pathEnd < end { head.query = ByteRange(pathEnd + 1, end) }
        return nil
    }

    /// Where the authority begins behind `http://` or `https://` in any case (RFC 3986 section 3.1); nil for anything else.
    private static func schemeEnd(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
        var colon = start
        while colon < end, bytes[colon] != 0x3A { colon += 1 }
        let scheme = ByteRange(start, colon)
        guard matches(bytes, scheme, "http") || matches(bytes, scheme, "https"),
            hasPrefix(bytes, colon, end, "://")
        else { return nil }
        return colon + 3
    }

    /// A host with an optional port (RFC 3986 section 3.2.2), at least one byte, without user information: an address
    /// in brackets, or a name or IPv4 address.
    private static func isAuthority(_ bytes: Span<UInt8>, _ range: ByteRange) -> Bool {
        guard range.count > 0 else { return false }
        var index = range.lowerBound
        if bytes[index] == 0x5B {
            index += 1
            let start = index
            while index < range.upperBound, isAddressByte(bytes[index]) { index += 1 }
            guard index > start, index < range.upperBound, bytes[index] == 0x5D else {
                return false
            }
            index += 1
        } else {
            // Mostly there is nothing but letters, digits, `-`, `.` and `_`.
            while index < range.upperBound {
                let word = ByteWord.prefix(bytes, from: index, to: range.upperBound)
                let others = ~ByteWord.hostBytes(word) & ByteWord.highs
                index += others.trailingZeroBitCount >> 3
                if others != 0 { break }
            }
            while index < range.upperBound, isNameByte(bytes[index]) {
                if bytes[index] == 0x25 {
                    guard index + 2 < range.upperBound, isHexDigit(bytes[index + 1]),
                        isHexDigit(bytes[index + 2])
                    else { return false }
                }
                index += 1
            }
            guard index > range.lowerBound else { return false }
        }
        if index == range.upperBound { return true }
        guard bytes[index] == 0x3A else { return false }
        index += 1
        // A colon without a port is lawful (section 3.2.3).
        guard range.upperBound - index <= 5 else { return false }
        while index < range.upperBound, isDigit(bytes[index]) { index += 1 }
        return index == range.upperBound
    }

    /// What may stand between the brackets of an address.
    private static func isAddressByte(_ byte: UInt8) -> Bool {
        isHexDigit(byte) || byte == 0x3A || byte == 0x2E
    }

    /// What a registered name may hold: unreserved, sub-delimiters and `%`.
    @inline(__always)
    private static func isNameByte(_ byte: UInt8) -> Bool {
        // Bit i of each word stands for byte i and byte 64 + i: `!`, `$` to `.`, digits, `;`, `=`; letters, `_`, `~`.
        let low: UInt64 = 0x2BFF_7FF2_0000_0000
        let high: UInt64 = 0x47FF_FFFE_87FF_FFFE
        return byte < 128 && (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 != 0
    }
}

// MARK: - Header fields

extension RequestParser {
    /// Takes the field line at `position`, which moves behind its CRLF.
    private static func parseField(
        _ bytes: Span<UInt8>, _ position: inout Int, _ end: Int, _ head: inout RequestHead,
        _ fields: inout Fields
    ) -> HTTPStatus? {
        // A line that starts with white space is a folded one (section 5.2), and white space before the colon
        // fails the same test (section 5.1).
        let start = position
        guard let lineEnd = lineEnd(bytes, from: start, to: end) else { return .badRequest }
        let nameEnd = bytes.firstIndex(of: 0x3A, from: start, to: lineEnd)
        guard nameEnd > start, nameEnd < lineEnd else { return .badRequest }
        var valueStart = nameEnd + 1
        var valueEnd = lineEnd
        while valueStart < valueEnd, isBlank(bytes[valueStart]) { valueStart += 1 }
        while valueEnd > valueStart, isBlank(bytes[valueEnd - 1]) { valueEnd -= 1 }
        position = lineEnd + 2
        let value = ByteRange(valueStart, valueEnd)
        switch take(bytes, ByteRange(start, nameEnd), value, &head, &fields) {
        case .taken: return nil
        case .refused: return .badRequest
        case .unknown:
            // A name that is known needs no second look at its letters.
            for index in start..<nameEnd where !isTokenByte(bytes[index]) { return .badRequest }
            return nil
        }
    }

    private enum Taking { case taken, refused, unknown }

    private static func take(
        _ bytes: Span<UInt8>, _ name: ByteRange, _ value: ByteRange, _ head: inout RequestHead,
        _ fields: inout Fields
    ) -> Taking {
        switch name.count {
        case 3 where matches(bytes, name, "dnt"):
            keepFirst(value, &head.doNotTrack, repeated: &head.repeatsConsentHeader)
        case 4 where matches(bytes, name, "host"):
            fields.hostCount += 1
            head.host = value
        case 5 where matches(bytes, name, "x-moz"): takePurpose(bytes, value, &head)
        case 6 where matches(bytes, name, "cookie"):
            keepFirst(value, &head.cookie, repeated: &head.repeatsConsentHeader)
        case 6 where matches(bytes, name, "expect"): fields.expects = true
        case 7 where matches(bytes, name, "referer"): keepFirst(value, &head.referer)
        case 7 where matches(bytes, name, "purpose"): takePurpose(bytes, value, &head)
        case 7 where matches(bytes, name, "sec-gpc"):
            keepFirst(value, &head.globalPrivacyControl, repeated: &head.repeatsConsentHeader)
        case 9 where matches(bytes, name, "forwarded"): head.forwarded.append(value)
        case 9 where matches(bytes, name, "x-purpose"): takePurpose(bytes, value, &head)
        case 10 where matches(bytes, name, "user-agent"): keepFirst(value, &head.userAgent)
        case 10 where matches(bytes, name, "connection"): takeConnection(bytes, value, &fields)
        case 11 where matches(bytes, name, "sec-purpose"): takePurpose(bytes, value, &head)
        case 12 where matches(bytes, name, "content-type"):
            // Two of them cannot both be right, so the value is made one that names no type.
            head.contentType = head.contentType.isPresent ? ByteRange(0, 0) : value
        case 14 where matches(bytes, name, "content-length"):
            fields.lengthCount += 1
            guard let length = contentLength(bytes, value) else { return .refused }
            fields.contentLength = length
        case 15 where matches(bytes, name, "accept-language"):
            keepFirst(value, &head.acceptLanguage)
        case 15 where matches(bytes, name, "x-forwarded-for"): head.forwardedFor.append(value)
        case 16 where matches(bytes, name, "content-encoding"): head.hasContentCoding = true
        case 17 where matches(bytes, name, "transfer-encoding"):
            takeTransferCodings(bytes, value, &fields.transferCodings)
        case 25 where matches(bytes, name, "cloudfront-viewer-address"):
            // Two of them cannot both be the edge network's word, so the value is made one that no reader accepts.
            head.viewerAddress = head.viewerAddress.isPresent ? ByteRange(0, 0) : value
        default: return .unknown
        }
        return .taken
    }

    private static func keepFirst(_ value: ByteRange, _ kept: inout ByteRange) {
        if !kept.isPresent { kept = value }
    }

    private static func keepFirst(
        _ value: ByteRange, _ kept: inout ByteRange, repeated: inout Bool
    ) {
        if kept.isPresent { repeated = true } else { kept = value }
    }

    /// `prefetch` with parameters behind `;`, or `preview` as Safari says; a page that is drawn ahead says `prerender`.
    private static func takePurpose(
        _ bytes: Span<UInt8>, _ value: ByteRange, _ head: inout RequestHead
    ) {
        var start = value.lowerBound
        var found = RequestHead.Speculation.none
        while start < value.upperBound {
            var end = start
            while end < value.upperBound, bytes[end] != 0x3B { end += 1 }
            var first = start
            var last = end
            while first < last, isBlank(bytes[first]) { first += 1 }
            while last > first, isBlank(bytes[last - 1]) { last -= 1 }
            let word = ByteRange(first, last)
            if matches(bytes, word, "prerender") {
                found = .prerender
            } else if found == .none,
                matches(bytes, word, "prefetch") || matches(bytes, word, "preview")
            {
                found = .prefetch
            }
            start = end + 1
        }
        if found.rawValue > head.speculation.rawValue { head.speculation = found }
    }

    private static func takeConnection(
        _ bytes: Span<UInt8>, _ value: ByteRange, _ fields: inout Fields
    ) {
        var start = value.lowerBound
        while start < value.upperBound {
            let option = nextMember(bytes, &start, value.upperBound)
            if matches(bytes, option, "close") { fields.wantsClose = true }
            if matches(bytes, option, "keep-alive") { fields.wantsKeepAlive = true }
        }
    }

    /// Several fields make one list (RFC 9110 section 5.3). Parameters make a coding another one, for `chunked` has none.
    private static func takeTransferCodings(
        _ bytes: Span<UInt8>, _ value: ByteRange, _ codings: inout TransferCodings
    ) {
        codings.arePresent = true
        var start = value.lowerBound
        while start < value.upperBound {
            let coding = nextMember(bytes, &start, value.upperBound)
            // Lists may hold empty members (RFC 9110 section 5.6.1.2).
            if coding.count > 0 { codings.append(isChunked: matches(bytes, coding, "chunked")) }
        }
    }

    /// The member of a comma-separated list at `start`, without the blanks around it; `start` moves behind its comma.
    private static func nextMember(
        _ bytes: Span<UInt8>, _ start: inout Int, _ end: Int
    ) -> ByteRange {
        var comma = start
        while comma < end, bytes[comma] != 0x2C { comma += 1 }
        var first = start
        var last = comma
        while first < last, isBlank(bytes[first]) { first += 1 }
        while last > first, isBlank(bytes[last - 1]) { last -= 1 }
        start = comma + 1
        return ByteRange(first, last)
    }

    /// Digits alone (section 6.3 allows a list of equal values to be refused); numbers beyond any bound count as large.
    private static func contentLength(_ bytes: Span<UInt8>, _ value: ByteRange) -> Int? {
        guard value.count > 0 else { return nil }
        var length = 0
        for index in value.lowerBound..<value.upperBound {
            guard isDigit(bytes[index]) else { return nil }
            length = min(length * 10 + Int(bytes[index] - 0x30), HTTPLimits.bodyBytesMax + 1)
        }
        return length
    }
}

// MARK: - Bytes

extension RequestParser {
    /// `tchar` of RFC 9110 section 5.6.2.
    @inline(__always)
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        // Bit i of each word stands for byte i and byte 64 + i.
        let low: UInt64 = 0x03FF_6CFA_0000_0000
        let high: UInt64 = 0x57FF_FFFF_C7FF_FFFE
        if byte < 64 { return low >> UInt64(byte) & 1 != 0 }
        if byte < 128 { return high >> UInt64(byte - 64) & 1 != 0 }
        return false
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x66)
    }
    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    @inline(__always)
    private static func equals(_ bytes: Span<UInt8>, _ range: ByteRange, _ text: StaticString)
        -> Bool
    {
        range.count == text.utf8CodeUnitCount
            && hasPrefix(bytes, range.lowerBound, range.upperBound, text)
    }

    @inline(__always)
    private static func hasPrefix(
        _ bytes: Span<UInt8>, _ start: Int, _ end: Int, _ text: StaticString
    ) -> Bool {
        let count = text.utf8CodeUnitCount
        guard end - start >= count else { return false }
        // SAFETY: `index` is below the number of code units that the literal has.
        for index in 0..<count where unsafe text.utf8Start[index] != bytes[start + index] {
            return false
        }
        return true
    }

    /// Whether the bytes, none of which is a control character but a tab, are `text` in any case; `text` has lowercase letters,
    /// digits and `-` alone. Inlined, so that the text becomes a few numbers to compare with.
    @inline(__always)
    private static func matches(_ bytes: Span<UInt8>, _ range: ByteRange, _ text: StaticString)
        -> Bool
    {
        let count = text.utf8CodeUnitCount
        guard range.count == count, count > 0 else { return false }
        // INVARIANT: with bit 5 set a capital is its small letter, and no byte but that and itself becomes a letter, a
        // digit or `-`, control characters aside.
        // SAFETY: both sides have `count` bytes, and each load lies within them.
        return unsafe bytes.extracting(range.lowerBound..<range.upperBound)
            .withUnsafeBytes { found in
                guard let found = found.baseAddress else { return false }
                let text = unsafe UnsafeRawPointer(text.utf8Start)
                if count >= 8 {
                    var offset = 0
                    while offset < count {
                        // The last word begins where it ends with the text, whatever was compared before.
                        offset = min(offset, count &- 8)
                        let word =
                            unsafe found.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                            | 0x2020_2020_2020_2020
                        let wanted = unsafe text.loadUnaligned(
                            fromByteOffset: offset, as: UInt64.self)
                        if word != wanted { return false }
                        offset &+= 8
                    }
                    return true
                }
                for offset in 0..<count {
                    let byte = unsafe found.load(fromByteOffset: offset, as: UInt8.self) | 0x20
                    if unsafe byte != text.load(fromByteOffset: offset, as: UInt8.self) {
                        return false
                    }
                }
                return true
            }
    }
}
