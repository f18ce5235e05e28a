import HTTP
import HTTP2

/// What a session of HTTP/2 made of its input.
private struct Conversation: Equatable {
    var requests: [[UInt8]] = []
    var failure: HTTP2ErrorCode?
    var fault: String?
    /// The client had said goodbye and all was done: who sends more is not heard.
    var wasOver = false

    init(_ input: [UInt8], cuts: [Int], answers: Bool) {
        let session = HTTP2Session(at: 0)
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var position = 0
        for end in cuts.sorted() + [input.count] {
            input[position..<end].withUnsafeBytes { session.receive($0, at: 0) }
            position = end
            while true {
                var request: [UInt8] = []
                repeat {
                    let count = buffer.withUnsafeMutableBytes { session.read(into: $0) }
                    request += buffer[..<count]
                } while !session.isRequestUsedUp
                if request.isEmpty { break }
                requests.append(request)
                if answers {
                    session.answer(Self.answer.span, stream: session.currentStream, at: 0)
                }
            }
            session.takeOutput(into: &output)
            if session.isOver, session.failure == nil { wasOver = true }
            if session.answerBytes < 0 { fault = "less than nothing waits" }
        }
        failure = session.failure
        if output.count > Self.outputBytesMax { fault = "\(output.count) bytes are written" }
    }

    private static let answer = Array("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".utf8)
    /// A few frames for each of the client's, the smallest of which has nine bytes.
    private static let outputBytesMax = 65_536
}

/// A request that comes out is one whole request of HTTP/1.1 or one that its parser refuses, and which ones come out
/// depends on how the frames are cut only as far as a reset finds them unread.
let http2Session: @Sendable ([UInt8]) -> String? = { input in
    let whole = Conversation(input, cuts: [], answers: false)
    var numbers = InputNumbers(input)
    let cuts = (0..<4).map { _ in numbers.next(upTo: input.count) }
    let cut = Conversation(input, cuts: cuts, answers: false)
    let answered = Conversation(input, cuts: cuts, answers: true)
    if let fault = whole.fault ?? cut.fault ?? answered.fault { return fault }
    for request in whole.requests + cut.requests + answered.requests {
        var machine = ConnectionMachine(at: 0)
        switch machine.step(request.span, at: 0) {
        case .request where machine.head.byteCount + machine.head.discarded == request.count:
            continue
        case .refuse: continue
        case let step: return "a request is not whole: \(step)"
        }
    }
    // Requests that came in one piece with a reset or a violation are left out with it; all others are read in either case.
    // How it ends may depend on whether a reset from here had left, and who has ended a connection is not heard.
    if whole.wasOver || cut.wasOver || whole.failure != cut.failure { return nil }
    var rest = cut.requests[...]
    for request in whole.requests {
        guard let index = rest.firstIndex(of: request) else {
            return "cuts at \(cuts) change what is read"
        }
        rest = rest[(index + 1)...]
    }
    return nil
}

extension RequestHead {
    /// Bytes of a body that is thrown away.
    fileprivate var discarded: Int { body.isPresent ? 0 : bodyByteCount }
}
