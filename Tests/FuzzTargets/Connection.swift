import HTTP
import TestSupport

/// What a connection did, as text that two runs can be compared by.
private func events(_ input: [UInt8], cuts: [Int]) -> [String] {
    ConnectionRead.all(input, cuts: cuts).map { read in
        switch read {
        case .request(let head, let bytes):
            let texts = [head.path, head.query, head.host, head.cookie, head.userAgent, head.body]
                .map { $0.text(in: bytes) ?? "-" }
            return "request \(head.method) \(texts) \(head.forwardedFor.count) \(head.keepsAlive)"
        case .refusal(let status): return "refuse \(status.rawValue)"
        case .closed: return "closed"
        }
    }
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
