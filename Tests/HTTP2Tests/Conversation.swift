import Foundation
import TestSupport

@testable import HTTP2

/// A session with a client that is a script.
final class Conversation {
    let session: HTTP2Session
    private(set) var frames: [WrittenFrame] = []
    private(set) var requests: [String] = []
    var now: UInt64 = 1_000_000

    init(greets: Bool = true) {
        session = HTTP2Session(at: now)
        if greets { send(Frame.preface + Frame.settings()) }
    }

    /// Sends bytes, reads the requests that they complete, and gathers what the server writes.
    func send(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { session.receive($0, at: now) }
        gather()
    }

    func gather() {
        var buffer = [UInt8](repeating: 0, count: 200_000)
        while true {
            let count = buffer.withUnsafeMutableBytes { session.read(into: $0) }
            if count == 0 { break }
            requests.append(String(decoding: buffer[..<count], as: UTF8.self))
        }
        var output: [UInt8] = []
        session.takeOutput(into: &output)
        frames += WrittenFrame.all(output)
    }

    func answer(_ text: String, stream: Int32) {
        session.answer(Array(text.utf8).span, stream: stream, at: now)
        gather()
    }

    var goAway: HTTP2ErrorCode? { frames.compactMap(\.goAway).last.flatMap(HTTP2ErrorCode.init) }

    func resetCode(_ stream: UInt32) -> HTTP2ErrorCode? {
        frames.compactMap(\.reset).last { $0.0 == stream }.flatMap {
            HTTP2ErrorCode(rawValue: $0.1)
        }
    }

    /// Payload bytes of DATA on `stream`, and whether the last one ended it.
    func data(_ stream: UInt32) -> (bytes: [UInt8], ended: Bool) {
        let own = frames.filter { $0.kind == 0 && $0.stream == stream }
        return (own.flatMap(\.payload), own.last.map { $0.flags & 1 != 0 } ?? false)
    }
}
