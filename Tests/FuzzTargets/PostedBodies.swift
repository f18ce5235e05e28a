import CordonEdge
import HTTP

/// The first line is the media type, the rest a body: what becomes of it is a form, and nothing in a value makes a field.
let postedBody: @Sendable ([UInt8]) -> String? = { input in
    let typeEnd = input.firstIndex(of: 0x0A) ?? input.count
    let body = Array(input[min(typeEnd + 1, input.count)...].prefix(HTTPLimits.postBytesMax))
    let head =
        Array("POST /hit?q=1 HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n".utf8)
        + Array("Content-Type: ".utf8) + input[..<typeEnd] + Array("\r\n\r\n".utf8)
    let request = head + body
    var machine = ConnectionMachine(at: 0)
    guard machine.step(request.span, at: 0) == .request else { return nil }
    let before = machine.head
    var taken = before
    let posted = PostedForm()
    let refusal = posted.take(&taken, request.span)
    let form = posted.bytes
    posted.wipe()
    if !posted.bytes.isEmpty { return "the body is not forgotten" }
    guard refusal == nil else { return nil }
    if taken.host != before.host || taken.path != before.path { return "the head has moved" }
    if form.prefix(head.count) != head[...] { return "the head has changed" }
    if form.count > head.count + 3 * body.count + 4 { return "the form is larger than its bound" }
    guard body.count > 0 else { return nil }
    guard taken.query.lowerBound == head.count, taken.query.upperBound == form.count else {
        return "the query is not the form"
    }
    let isPlain = form.dropFirst(head.count).elementsEqual(body + Array("&q=1".utf8))
    return isPlain ? nil : faultOfWritten(form.dropFirst(head.count).dropLast(4), body)
}

/// A form that was written from JSON has escapes for all that could be taken for its own signs.
private func faultOfWritten(_ form: ArraySlice<UInt8>, _ body: [UInt8]) -> String? {
    var index = form.startIndex
    var fields = 0
    while index < form.endIndex {
        switch form[index] {
        case 0x25:
            guard index + 2 < form.endIndex, isHex(form[index + 1]), isHex(form[index + 2]) else {
                return "an escape is broken"
            }
            index += 2
        case 0x3D: fields += 1
        case 0x26, 0x30...0x3A, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: break
        default: return "a byte stands without an escape"
        }
        index += 1
    }
    let separators = form.filter { $0 == 0x26 }.count
    if separators != max(fields - 1, 0) { return "fields and their signs do not match" }
    // A member has a colon at least.
    return fields <= body.filter { $0 == 0x3A }.count ? nil : "more fields than members"
}

private func isHex(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte)
}
