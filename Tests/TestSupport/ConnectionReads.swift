package import HTTP

/// What a connection machine makes of its input, one step after the other.
package enum ConnectionRead: Sendable {
    /// A request, and the bytes that its ranges lie in.
    case request(RequestHead, [UInt8])
    case refusal(HTTPStatus)
    case closed

    /// Feeds `input`, cut into pieces at `cuts`, to a machine as a socket's owner would.
    package static func all(_ input: [UInt8], cuts: [Int] = []) -> [ConnectionRead] {
        var machine = ConnectionMachine(at: 0)
        var reads: [ConnectionRead] = []
        var isClosed = false
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
                    reads.append(.request(machine.head, buffer))
                    buffer.removeFirst(machine.head.byteCount)
                case .refuse(let status): reads.append(.refusal(status))
                case .closed:
                    if !isClosed { reads.append(.closed) }
                    isClosed = true
                    break feeding
                }
            }
        }
        return reads
    }
}

extension ByteRange {
    /// Its bytes as text; nil when it is absent.
    package func text(in bytes: [UInt8]) -> String? {
        isPresent ? String(decoding: bytes[lowerBound..<upperBound], as: UTF8.self) : nil
    }
}
