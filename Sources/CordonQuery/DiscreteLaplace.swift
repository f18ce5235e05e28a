/// Whole numbers with the two-sided geometric distribution: `z` with a probability that falls as exp(-|z| / scale).
///
/// Drawn exactly, with whole numbers alone, after Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy"
/// (algorithms 1 and 2): a sampler of floating-point numbers tells of the value by the digits it cannot produce (Mironov, "On
/// significance of the least significant bits for differential privacy").
struct DiscreteLaplace: Equatable, Sendable {
    /// The scale is this over ``denominator``.
    let numerator: UInt64
    let denominator: UInt64

    init(scale numerator: Int, over denominator: Int) {
        precondition(numerator > 0 && denominator > 0, "a scale is above 0")
        self.numerator = UInt64(numerator)
        self.denominator = UInt64(denominator)
    }

    func draw(_ generator: inout some RandomNumberGenerator) -> Int64 {
        while true {
            let rest = UInt64.random(in: 0..<numerator, using: &generator)
            guard Self.happens(rest, over: numerator, &generator) else { continue }
            var whole: UInt64 = 0
            while Self.happens(1, over: 1, &generator) { whole += 1 }
            let size = (rest + numerator * whole) / denominator
            let isNegative = Bool.random(using: &generator)
            // Zero would come twice.
            if isNegative && size == 0 { continue }
            return isNegative ? -Int64(size) : Int64(size)
        }
    }

    /// True with the probability exp(-part / whole), where part is no more than whole.
    private static func happens(
        _ part: UInt64, over whole: UInt64, _ generator: inout some RandomNumberGenerator
    ) -> Bool {
        var count: UInt64 = 1
        while UInt64.random(in: 0..<whole * count, using: &generator) < part { count += 1 }
        return count % 2 == 1
    }
}
