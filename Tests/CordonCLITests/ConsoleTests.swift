import Foundation
import TestSupport
import Testing

@testable import CordonCLI

@Suite struct `What a command prints` {
    /// Runs `cordon policy reference`, whose result is long, into `output`.
    private func run(into output: FileHandle) throws -> (status: Int32, problems: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: builtProgram)
        process.arguments = ["policy", "reference"]
        process.standardOutput = output
        let problems = Pipe()
        process.standardError = problems
        try process.run()
        let text = problems.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationReason == .exit)
        return (process.terminationStatus, String(decoding: text, as: UTF8.self))
    }

    @Test func `foretells nothing of work that has not begun`() {
        #expect(Progress.text(0, of: 3, "hits", after: 0.5) == "0 of 3 hits, 0 %, 0/s, 0 s left")
        #expect(Progress.text(0, of: 0, "hits", after: 0) == "0 of 0 hits, 0 %, 0/s, 0 s left")
        #expect(Progress.text(1, of: 3, "hits", after: 2) == "1 of 3 hits, 33 %, 0/s, 4 s left")
    }

    @Test func `may be cut by a reader that wants no more`() throws {
        let pipe = Pipe()
        try pipe.fileHandleForReading.close()
        let result = try run(into: pipe.fileHandleForWriting)
        #expect(result.status == 0 && result.problems == "")
    }

    @Test func `is missed where the disk is full`() throws {
        let full = try #require(FileHandle(forWritingAtPath: "/dev/full"))
        let result = try run(into: full)
        #expect(result.status == 4)
        #expect(
            result.problems == "cordon: cannot write `standard output`: no space left on device\n")
    }
}
