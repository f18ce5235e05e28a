/// What reading one consent string costs: the first time, and when its extract is remembered.
package struct ConsentBenchmark: Sendable {
    package let what: String
    package let nanosecondsFirst: Double
    package let nanosecondsAgain: Double
    /// Sum over what was read, so that the work cannot be optimised away.
    package let checksum: Int

    /// A TC string with bit fields of 791 vendors, as consent tools write them; one with ranges; a GPP string with a
    /// national section.
    private static let strings: [(what: String, kind: ConsentReader.Kind, text: String)] = [
        (
            "TC string of 62 bytes, ranges", .tcf,
            "COoC-kUOoC-kUAHABAENAwCoAIAAAELAAAwIF5wAoAAgAGAvMACX_ABBAAQAFA"
        ),
        (
            "TC string of 330 bytes, bit fields", .tcf,
            "CPcqBNJPcqBNJNwAAAENAwCAAAAAAAAAAAAAAAAAAAAA.YAAAAAAAAAA.QGLtV_T9fb2vj-_Z99_tkeYwf95y3p-wzhheMs-8NyZeH_B4Wv2MyvBX4JiQKGRgksjLBAQdtHGlcTQgBwIlViTLMYk2MjzNKJrJEilsbO2dYGD9Pn8HT3ZCY70-vv__7v3ff_3g.IGLtV_T9fb2vj-_Z99_tkeYwf95y3p-wzhheMs-8NyZeH_B4Wv2MyvBX4JiQKGRgksjLBAQdtHGlcTQgBwIlViTLMYk2MjzNKJrJEilsbO2dYGD9Pn8HT3ZCY70-vv__7v3ff_3g"
        ),
        ("GPP string of 22 bytes, usnat", .gpp, "DBABLA~BVVVkkkkkpFY.YA"),
    ]

    /// Reads each string `count` times without a memory and `count` times with one.
    package static func run(count: Int) -> [ConsentBenchmark] {
        strings.map { what, kind, text in
            let bytes = Array(text.utf8)
            var checksum = 0
            func measure(_ reader: ConsentReader) -> Double {
                let begun = ContinuousClock.now
                for _ in 0..<count {
                    let extract = reader.extract(kind, bytes.span, 0..<bytes.count, form: .query)
                    checksum &+= Int(extract.tcf.consents) &+ Int(extract.optOuts)
                }
                return (ContinuousClock.now - begun) / .nanoseconds(1) / Double(count)
            }
            let first = measure(ConsentReader(vendors: [755, 12], key: nil))
            let again = measure(ConsentReader(vendors: [755, 12], key: (1, 2)))
            return ConsentBenchmark(
                what: what, nanosecondsFirst: first, nanosecondsAgain: again, checksum: checksum)
        }
    }
}
