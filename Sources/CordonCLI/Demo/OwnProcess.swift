import Foundation

/// Runs `cordon` itself as another process, so that the demo shows what a person would see.
struct OwnProcess: Sendable {
    /// What a finished run left.
    struct Result: Sendable {
        let exitCode: Int32
        let output: String
        let errorOutput: String
    }

    private static var executable: URL {
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    }

    /// Runs to the end, with `input` as standard input.
    static func run(_ words: [String], input: Data? = nil) throws -> Result {
        let process = Process()
        process.executableURL = executable
        process.arguments = words
        let output = Pipe()
        let errorOutput = Pipe()
        process.standardOutput = output
        process.standardError = errorOutput
        let inputPipe = input.map { _ in Pipe() }
        process.standardInput = inputPipe ?? FileHandle.nullDevice
        try process.run()
        let collector = OutputCollector()
        let readers = DispatchGroup()
        DispatchQueue.global().async(group: readers) {
            collector.setError(errorOutput.fileHandleForReading.readDataToEndOfFile())
        }
        if let input, let inputPipe {
            DispatchQueue.global().async(group: readers) {
                // A child that stops reading early closes the pipe; its exit code tells why.
                try? inputPipe.fileHandleForWriting.write(contentsOf: input)
                try? inputPipe.fileHandleForWriting.close()
            }
        }
        let text = output.fileHandleForReading.readDataToEndOfFile()
        readers.wait()
        process.waitUntilExit()
        return Result(
            exitCode: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
            errorOutput: collector.errorText)
    }

    /// Starts and returns at once; standard output goes nowhere, standard error to this process's.
    static func start(_ words: [String]) throws -> Process {
        let process = Process()
        process.executableURL = executable
        process.arguments = words
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        return process
    }
}

/// What the reader of standard error hands to the thread that waits for it.
private final class OutputCollector: @unchecked Sendable {
    // Written once on the reading queue and read after the group's wait, which orders the two.
    private var error = Data()
    func setError(_ data: Data) { error = data }
    var errorText: String { String(decoding: error, as: UTF8.self) }
}
