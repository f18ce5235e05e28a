import Foundation

/// A program of the system, run to its end.
package enum Tool {
    package struct Result: Sendable {
        package let exitCode: Int32
        /// Standard output and standard error together.
        package let output: String
    }

    /// Runs `name` as found on PATH; `input` is its whole standard input.
    package static func run(_ name: String, _ arguments: [String], input: String = "") throws
        -> Result
    {
        // Not Cordon's own output: the requests that a person's client would send stand there.
        let scratch = try TemporaryDirectory(holdsRawValues: true)
        try input.write(toFile: scratch.file("input"), atomically: false, encoding: .utf8)
        try "".write(toFile: scratch.file("output"), atomically: false, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [name] + arguments
        process.standardInput = FileHandle(forReadingAtPath: scratch.file("input"))
        let output = FileHandle(forWritingAtPath: scratch.file("output"))
        process.standardOutput = output
        process.standardError = output
        try process.run()
        process.waitUntilExit()
        let data = FileManager.default.contents(atPath: scratch.file("output")) ?? Data()
        return Result(
            exitCode: process.terminationStatus, output: String(decoding: data, as: UTF8.self))
    }
}

/// Certificates and keys in a folder of a test's own, made with the `openssl` program.
package struct TestCertificates {
    package struct Failure: Error { package let output: String }

    private let folder: TemporaryDirectory

    package init() throws { folder = try TemporaryDirectory() }

    /// Path of the file `name`.
    package func path(_ name: String) -> String { folder.file(name) }

    /// Makes `<name>.crt` and `<name>.key` for `localhost`, signed by itself or by the pair `issuer`.
    ///
    /// - Parameter extensions: more of X.509, such as `keyUsage=critical,keyCertSign`.
    package func make(
        _ name: String, issuer: String? = nil, days: Int = 90,
        key: [String] = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], extensions: [String] = []
    ) throws {
        var arguments = ["req", "-x509", "-newkey"] + key
        arguments += [
            "-noenc", "-keyout", path(name + ".key"), "-out", path(name + ".crt"), "-days",
            "\(days)", "-subj", "/CN=\(name)", "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ]
        arguments += extensions.flatMap { ["-addext", $0] }
        if let issuer {
            arguments += ["-CA", path(issuer + ".crt"), "-CAkey", path(issuer + ".key")]
            arguments += ["-addext", "basicConstraints=critical,CA:FALSE"]
        }
        try openssl(arguments)
    }

    package func openssl(_ arguments: [String]) throws {
        let result = try Tool.run("openssl", arguments)
        guard result.exitCode == 0 else { throw Failure(output: result.output) }
    }
}
