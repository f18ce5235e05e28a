import FuzzTargets
import Glibc

/// The target that `CORDON_FUZZ_TARGET` names; `scripts/fuzz` sets it.
private let target: FuzzTarget = {
    let names = FuzzTarget.all.map(\.name).joined(separator: ", ")
    guard let value = unsafe getenv("CORDON_FUZZ_TARGET"),
        let target = FuzzTarget.all.first(where: { unsafe $0.name == String(cString: value) })
    else {
        unsafe fputs("fuzz: CORDON_FUZZ_TARGET names none of \(names)\n", stderr)
        exit(2)
    }
    return target
}()

/// Called by libFuzzer for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    if let fault = target.run(input) { fatalError("\(target.name): \(fault)") }
    return 0
}
