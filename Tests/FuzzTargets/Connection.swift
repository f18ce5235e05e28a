import HTTP

/// What a connection did, as text that two runs can be compared by.
private func events(_ input: [UInt8], cuts: [Int]) -> [String] {
    var machine = ConnectionMachine(at: 0)
    var events: [String] = []
    var buffer: [UInt8] = []
    var position = 0
    for end in cuts.sorted() + [input.count] {
        buffer += input[position..<end]
        position = end
        feeding: while true {
            switch machine.step(buffer.span, at: 0) {
            case .needMore: break feeding
            case .discard(let count): buffer.removeFirst(count)
            case .request:
                let head = machine.head
                let parts = [head.path, head.query, head.host, head.cookie, head.userAgent]
                let texts = parts.map { range in
                    range.isPresent
                        ? String(
                            decoding: buffer[range.lowerBound..<range.upperBound], as: UTF8.self)
                        : "-"
                }
                events.append(
                    "request \(head.method) \(texts) \(head.forwardedFor.count) \(head.keepsAlive)")
                buffer.removeFirst(head.byteCount)
            case .refuse(let status): events.append("refuse \(status.rawValue)")
            case .closed:
                if events.last != "closed" { events.append("closed") }
                break feeding
            }
        }
    }
    return events
}

/// What a connection does depends on the bytes alone, and nothing comes after a refusal.
let connection: @Sendable ([UInt8]) -> String? = { input in
    let whole = events(input, cuts: [])
    var numbers = InputNumbers(input)
    let cuts = (0..<4).map { _ in numbers.next(upTo: input.count) }
    guard events(input, cuts: cuts) == whole else { return "cuts at \(cuts) change what is read" }
    if input.count <= 256, events(input, cuts: Array(0..<input.count)) != whole {
        return "byte by byte something else is read"
    }
    guard let refusal = whole.firstIndex(where: { $0.hasPrefix("refuse") }) else { return nil }
    let hidden = Array("GET /hit HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    return whole[refusal...].elementsEqual([whole[refusal], "closed"])
        && events(input + hidden, cuts: []) == whole
        ? nil : "something follows a refusal"
}
