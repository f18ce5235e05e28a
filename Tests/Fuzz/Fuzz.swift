import FuzzTargets
import Glibc

/// The target that `CORDON_FUZZ_TARGET` names; `scripts/fuzz` sets it.
private let target: FuzzTarget = {
    let name = getenv("CORDON_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget.all.first(where: { $0.name == name }) else {
        fatalError("CORDON_FUZZ_TARGET names none of \(FuzzTarget.all.map(\.name))")
    }
    return target
}()

/// Called by libFuzzer for each input.
private func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    if let fault = target.run(input) { fatalError("\(target.name): \(fault)") }
    return 0
}

/// libFuzzer's own entry (FuzzerInterface.h); its arguments are those of the program.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ run: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// SwiftPM gives every program an entry of its own, so libFuzzer is started from here and not by its `main`.
@main
private enum Fuzz {
    static func main() {
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(runDriver(&count, &arguments, testOneInput))
    }
}
