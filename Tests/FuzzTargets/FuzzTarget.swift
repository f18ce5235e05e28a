import AccessLogs
import Consent

/// What reads bytes of strangers, each as one function that a fuzzer can call.
///
/// A target must never crash, and says in words what else was wrong. To add one, write the function and name it
/// in ``FuzzTarget/all``; put a few small inputs into `Fixtures/<name>/`. `scripts/fuzz NAME` runs libFuzzer on it,
/// and the suite `Fuzz targets` runs each on its inputs and on thousands of damaged copies.
package struct FuzzTarget: Sendable {
    package let name: String
    /// Returns what was wrong, or nil.
    package let run: @Sendable ([UInt8]) -> String?

    package init(_ name: String, _ run: @escaping @Sendable ([UInt8]) -> String?) {
        self.name = name
        self.run = run
    }

    package static let all: [FuzzTarget] = [
        FuzzTarget("http", connection),
        FuzzTarget("addresses", clientAddress),
        FuzzTarget("proxy", proxyHeader),
        FuzzTarget("http2", http2Session),
        FuzzTarget("form", formFields),
        FuzzTarget("posted", postedBody),
        FuzzTarget("choice", consentChoice),
        FuzzTarget("tcf", consentString(.tcf, .tcf)),
        FuzzTarget("gpp", consentString(.gpp, .gpp)),
        FuzzTarget("us-privacy", consentString(.usPrivacy, .usPrivacy)),
        FuzzTarget("gcs", consentString(.gcs, .gcs)),
        FuzzTarget("gcd", consentString(.gcd, .gcd)),
        FuzzTarget("log-realtime", logLines(.cloudFrontRealTime)),
        FuzzTarget("log-standard", logLines(.cloudFrontStandard)),
        FuzzTarget("log-combined", logLines(.combined)),
        FuzzTarget("log-json", logLines(.ndjson)),
        FuzzTarget("packed", packedBytes),
        FuzzTarget("postgres", postgresMessages),
        FuzzTarget("parquet", parquetPages),
    ]
}

/// Numbers that depend on the input alone, so that a finding repeats.
struct InputNumbers {
    private var state: UInt64

    init(_ bytes: [UInt8]) {
        state = 0xCBF2_9CE4_8422_2325
        take(bytes[...])
    }

    /// Lets more bytes count.
    mutating func take(_ bytes: ArraySlice<UInt8>) {
        // FNV-1a; wrapping is the algorithm.
        state = bytes.reduce(state) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }

    /// A number from 0 to `bound`.
    mutating func next(upTo bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % (bound + 1)
    }
}
