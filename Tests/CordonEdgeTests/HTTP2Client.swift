import Foundation
import TestSupport

/// A client of HTTP/2 that writes and reads frames one by one, over the TLS of `openssl s_client`.
final class HTTP2Client {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var received: [UInt8] = []
    /// `F_SETPIPE_SZ` of `fcntl(2)`, which Glibc's module leaves out.
    private static let setPipeSize: CInt = 1031

    /// Connects and sends preface and SETTINGS.
    ///
    /// - Parameter window: bytes of an answer that are taken before more are asked for; nil for the protocol's own.
    init(port: UInt16, window: UInt32? = nil) throws {
        SentValues.note(EdgeFixture.german)
        // A write of a test is whole before the client may have ended.
        _ = fcntl(input.fileHandleForWriting.fileDescriptor, Self.setPipeSize, 1 << 20)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-quiet", "-alpn", "h2",
        ]
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        var settings: [(UInt16, UInt32)] = []
        if let window { settings.append((4, window)) }
        send(Frame.preface + Frame.settings(settings))
    }

    deinit {
        try? input.fileHandleForWriting.close()
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    func send(_ bytes: [UInt8]) { input.fileHandleForWriting.write(Data(bytes)) }

    /// The next frame; nil when the connection has ended.
    func next() -> WrittenFrame? {
        while true {
            if let frame = WrittenFrame.all(received).first {
                received.removeFirst(9 + frame.payload.count)
                return frame
            }
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { return nil }
            received += data
        }
    }

    /// Frames up to the one that `isLast`, or to the end.
    func frames(until isLast: (WrittenFrame) -> Bool = { _ in false }) -> [WrittenFrame] {
        var frames: [WrittenFrame] = []
        while let frame = next() {
            frames.append(frame)
            if isLast(frame) { break }
        }
        return frames
    }

    /// The head of a hit from `address`.
    static func hit(_ stream: Int, event: String, from address: String = EdgeFixture.german)
        -> [UInt8]
    {
        Frame.headers(
            [
                (":method", "GET"), (":scheme", "https"), (":path", "/hit?event=\(event)"),
                (":authority", "a.example"), ("x-forwarded-for", address),
            ], stream: UInt32(stream))
    }
}

extension [WrittenFrame] {
    /// Streams whose answers have begun.
    var answered: [UInt32] { filter { $0.kind == Frame.Kind.headers.rawValue }.map(\.stream) }
}
