import Foundation
import TestSupport
import Testing

/// What the compiler refuses to do with a raw personal value: the first promise, held by the type system.
@Suite struct `A sensitive value` {
    /// Holds a module of the type alone, so that what imports it sees no more of it than any target of the program.
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
        let text = try Self.compile([
            "-emit-module", "-parse-as-library", "-module-name", "Raw", "-o",
            folder.file("Raw.swiftmodule"), "-module-cache-path", folder.file("modules"),
            Repository.root.appendingPathComponent("Sources/CordonModel/Sensitive.swift").path,
        ])
        try #require(text == "")
    }

    /// What the compiler says to its standard error.
    private static func compile(_ arguments: [String]) throws -> String {
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        compiler.arguments =
            [
                "swiftc", "-wmo", "-swift-version", "6", "-package-name", "cordon",
                "-enable-upcoming-feature", "ExistentialAny", "-diagnostic-style", "llvm",
            ] + arguments
        let output = Pipe()
        compiler.standardError = output
        compiler.standardOutput = FileHandle.nullDevice
        try compiler.run()
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        compiler.waitUntilExit()
        try #require((compiler.terminationStatus == 0) == !text.contains("error: "), "\(text)")
        return text
    }

    /// Compiles `code` beside the type's module and returns the errors as `line: text`.
    private func errors(compiling code: String) throws -> [(line: Int, text: String)] {
        let file = folder.file("Use.swift")
        try "import Raw; \(code)".write(toFile: file, atomically: true, encoding: .utf8)
        let text = try Self.compile([
            "-emit-sil", "-o", "/dev/null", "-module-cache-path", folder.file("modules"),
            "-I", folder.path, file,
        ])
        return text.matches(of: #/Use\.swift:(\d+):\d+: error: (.*)/#).map {
            (line: Int($0.1) ?? 0, text: String($0.2))
        }
    }

    struct Misuse: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let code: String
        /// Part of what the compiler must say.
        let refusal: String

        init(_ name: String, _ code: String, _ refusal: String) {
            testDescription = name
            self.code = code
            self.refusal = refusal
        }
    }

    static let misuses = [
        Misuse("printed", "func f(_ s: consuming Sensitive<Int>) { print(s) }", "'Copyable'"),
        Misuse("dumped", "func f(_ s: consuming Sensitive<Int>) { dump(s) }", "'Copyable'"),
        Misuse(
            "interpolated", #"func f(_ s: consuming Sensitive<Int>) -> String { "\(s)" }"#,
            "'appendInterpolation'"),
        Misuse(
            "described",
            "func f(_ s: consuming Sensitive<Int>) -> String { String(describing: s) }",
            "no exact matches"),
        Misuse(
            "reflected",
            "func f(_ s: consuming Sensitive<Int>) -> String { String(reflecting: s) }",
            "'Copyable'"),
        Misuse(
            "encoded",
            "func e(_ x: some Encodable) {}; func f(_ s: consuming Sensitive<Int>) { e(s) }",
            "'Encodable'"),
        Misuse(
            "put in an array", "func f(_ s: consuming Sensitive<Int>) -> [Sensitive<Int>] { [s] }",
            "'Copyable'"),
        Misuse(
            "made an existential", "func f(_ s: consuming Sensitive<Int>) -> Any { s }",
            "'Copyable'"),
        Misuse(
            "kept by a class's copyable part", "struct Part { let s: Sensitive<Int> }",
            "non-Copyable"),
        Misuse(
            "compared", "func f(_ s: consuming Sensitive<Int>) -> Bool { s == s }",
            "cannot be applied"),
        Misuse(
            "read directly", "func f(_ s: borrowing Sensitive<Int>) -> Int { s.value }",
            "inaccessible"),
        Misuse(
            "sent to another thread",
            "func g<T: Sendable & ~Copyable>(_ t: borrowing T) {}; func f(_ s: borrowing Sensitive<Int>) { g(s) }",
            "stays on the thread that parsed it"),
        Misuse(
            "taken along by a task",
            "func f(_ s: consuming Sensitive<Int>) { Task { let t = s; _ = consume t } }",
            "cannot be consumed when captured"),
        Misuse(
            "kept by a closure",
            "func f(_ s: consuming Sensitive<Int>) -> () -> Void { { let t = s; _ = consume t } }",
            "cannot be consumed when captured"),
        Misuse(
            "used twice",
            "func f(_ s: consuming Sensitive<Int>, _ k: Keep) -> Int { s.open(with: k) + s.open(with: k) }; \(keep)",
            "consumed more than once"),
        Misuse(
            "opened by who was only lent it",
            "func f(_ s: borrowing Sensitive<Int>, _ k: Keep) -> Int { s.open(with: k) }; \(keep)",
            "borrowed and cannot be consumed"),
    ]

    private static let keep =
        "struct Keep: SensitiveTransform { func apply(_ value: Int) -> Int { value / 256 } }"

    @Test(arguments: misuses) func `cannot be`(_ misuse: Misuse) throws {
        let errors = try errors(compiling: misuse.code)
        #expect(errors.contains { $0.text.contains(misuse.refusal) }, "\(errors)")
    }

    @Test func `can be handed to a transform`() throws {
        let errors = try errors(
            compiling: """
                \(Self.keep)
                func use() -> Int {
                    let s = Sensitive(7)
                    return s.open(with: Keep())
                }
                """)
        #expect(errors.isEmpty)
    }
}
