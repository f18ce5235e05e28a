import Foundation
import TestSupport
import Testing

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
