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
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    if let fault = target.run(input) { fatalError("\(target.name): \(fault)") }
    return 0
}
