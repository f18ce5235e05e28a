internal import Crypto
package import HTTP

/// The body of a `POST` as the fields of a form, so that whatever reads a query reads it too.
///
/// A loop keeps one. It holds the request's head, then `body & query`: the ranges of the head stay true, and of two fields of
/// one name the body's comes first, which is the one that counts. Consent looks at all of them.
@safe package final class PostedForm {
    /// The head and the form behind it; empty between requests.
    package private(set) var bytes: [UInt8] = []

    package enum Refusal: Sendable {
        /// The body has a type or a coding that is not read.
        case unsupported
        /// The body is no flat JSON object.
        case malformed
    }

    /// How a body is written.
    private enum Kind {
        case form, json
        /// Either, as the first byte says: browsers send every string as `text/plain`.
        case text
    }

    package init() { bytes.reserveCapacity(Self.bytesMax) }

    /// A head, a query of its size, and a body of which each byte is escaped.
    private static let bytesMax =
        HTTPLimits.headBytesMax + HTTPLimits.requestLineBytesMax + 3 * HTTPLimits.postBytesMax + 1

    /// Takes the body of `head`, whose bytes are `request`, and points the query of `head` to the form. A request
    /// without a body keeps its query.
    package func take(_ head: inout RequestHead, _ request: Span<UInt8>) -> Refusal? {
        let body = head.body
        let headEnd = body.isPresent ? body.lowerBound : head.byteCount
        append(request, 0..<headEnd)
        guard body.isPresent else { return nil }
        guard let kind = Self.kind(head, request), !head.hasContentCoding else {
            return .unsupported
        }
        let range = body.lowerBound..<body.upperBound
        if kind == .json || kind == .text && FlatJSON.begins(request, range) {
            guard FlatJSON.append(request, range, to: &bytes) else { return .malformed }
        } else {
            append(request, range)
        }
        if head.query.count > 0 {
            bytes.append(0x26)
            append(request, head.query.lowerBound..<head.query.upperBound)
        }
        head.query = ByteRange(headEnd, bytes.count)
        return nil
    }

    /// Forgets the request; its bytes are overwritten.
    package func wipe() {
        Secret.wipe(&bytes)
        bytes.removeAll(keepingCapacity: true)
    }

    private func append(_ source: Span<UInt8>, _ range: Range<Int>) {
        // SAFETY: the buffer is read inside of the closure alone.
        unsafe source.extracting(range).withUnsafeBufferPointer {
            unsafe bytes.append(contentsOf: $0)
        }
    }
}

// The media type (RFC 9110 section 8.3.1).
extension PostedForm {
    /// Nil for a type that is not read, for none, and for another charset than UTF-8.
    private static func kind(_ head: RequestHead, _ bytes: Span<UInt8>) -> Kind? {
        guard head.contentType.isPresent else { return nil }
        let range = head.contentType.lowerBound..<head.contentType.upperBound
        var end = range.lowerBound
        while end < range.upperBound, bytes[end] != 0x3B { end += 1 }
        let type = trimmed(bytes, range.lowerBound..<end)
        let kind: Kind
        if matches(bytes, type, "text/plain") {
            kind = .text
        } else if matches(bytes, type, "application/json") {
            kind = .json
        } else if matches(bytes, type, "application/x-www-form-urlencoded") {
            kind = .form
        } else {
            return nil
        }
        return hasForeignCharset(bytes, end..<range.upperBound) ? nil : kind
    }

    /// Whether one of the parameters `;name=value` is a charset other than UTF-8, in which no choice could be read.
    private static func hasForeignCharset(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var start = range.lowerBound
        while start < range.upperBound {
            var end = start + 1
            while end < range.upperBound, bytes[end] != 0x3B { end += 1 }
            let parameter = trimmed(bytes, start + 1..<end)
            start = end
            guard parameter.count > 8,
                matches(bytes, parameter.lowerBound..<parameter.lowerBound + 8, "charset=")
            else { continue }
            var value = parameter.lowerBound + 8..<parameter.upperBound
            if value.count >= 2, bytes[value.lowerBound] == 0x22,
                bytes[value.upperBound - 1] == 0x22
            {
                value = value.lowerBound + 1..<value.upperBound - 1
            }
            if !matches(bytes, value, "utf-8") { return true }
        }
        return false
    }

    private static func trimmed(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start += 1 }
        while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
        return start..<end
    }

    /// Whether the bytes are `text`, which is lowercase, in any case.
    private static func matches(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ text: StaticString
    ) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count {
            var byte = bytes[range.lowerBound + offset]
            if byte >= 0x41, byte <= 0x5A { byte |= 0x20 }
            // SAFETY: `offset` is below the number of code units that the literal has.
            if unsafe text.utf8Start[offset] != byte { return false }
        }
        return true
    }
}
