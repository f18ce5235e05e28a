import Foundation

/// A seeded generator (SplitMix64) for property tests: print ``seed`` on failure, replay with `CORDON_SEED`.
package struct Generator: RandomNumberGenerator {
    package let seed: UInt64
    private var state: UInt64

    /// Takes the seed from `CORDON_SEED`, else from the system.
    package init() {
        let given = ProcessInfo.processInfo.environment["CORDON_SEED"].flatMap { UInt64($0) }
        self.init(seed: given ?? UInt64.random(in: .min ... .max))
    }

    package init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    package mutating func bytes(count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &self) }
    }

    package mutating func chance(_ share: Double) -> Bool {
        Double.random(in: 0..<1, using: &self) < share
    }
}
