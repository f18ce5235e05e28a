import Bytes
import CordonModel
import TestSupport
import Testing

@Suite struct `Hit batches` {
    @Test func `random batches decode to what was encoded`() throws {
        var random = Generator()
        for _ in 0..<300 {
            let batch = Self.batch(using: &random)
            #expect(try HitBatch(decoding: batch.encoded) == batch, "seed \(random.seed)")
        }
    }

    @Test func `cut or changed bytes are an error or another batch, never a crash`() throws {
        var random = Generator()
        let bytes = Self.batch(using: &random).encoded
        for _ in 0..<5000 {
            var damaged = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
            if let index = damaged.indices.randomElement(using: &random) {
                damaged[index] ^= 1 << 5
            }
            _ = try? HitBatch(decoding: damaged)
        }
        #expect(throws: ByteReader.Malformed.self) {
            try HitBatch(decoding: Array(bytes.dropLast()))
        }
        #expect(throws: ByteReader.Malformed.self) { try HitBatch(decoding: []) }
    }

    static func batch(using random: inout Generator) -> HitBatch {
        let words = ["", "a", "example.org", "größe", "/p?utm_source=x", "日本"]
        func word(_ random: inout Generator) -> String { words.randomElement(using: &random)! }
        func maybe(_ random: inout Generator) -> String? {
            random.chance(0.5) ? word(&random) : nil
        }
        let records = (0..<Int.random(in: 0...5, using: &random)).map { _ in
            var record = HitRecord()
            record.hitID = UInt128.random(in: .min ... .max, using: &random)
            record.timestamp = Timestamp(
                microseconds: .random(in: 0...4_000_000_000_000_000, using: &random))
            record.site = word(&random)
            record.event = word(&random)
            record.pageHost = maybe(&random)
            record.pagePath = maybe(&random)
            record.referrerHost = maybe(&random)
            record.visitor =
                random.chance(0.5)
                ? Pseudonym(value: .random(in: .min ... .max, using: &random)) : nil
            record.user =
                random.chance(0.5)
                ? Pseudonym(value: .random(in: .min ... .max, using: &random)) : nil
            record.keyEpoch =
                random.chance(0.5) ? Day(number: .random(in: 0...40_000, using: &random)) : nil
            record.ipPrefix = maybe(&random)
            record.country = maybe(&random)
            record.language = maybe(&random)
            record.consent = ConsentState.allCases.randomElement(using: &random)!
            record.purposes = random.chance(0.5) ? [word(&random), word(&random)] : []
            record.isBot = random.chance(0.5)
            record.policy = word(&random)
            record.sampleRate = Float.random(in: 0...1, using: &random)
            record.retainUntil = Day(number: .random(in: -5...40_000, using: &random))
            record.parameters =
                random.chance(0.5) ? [.init(key: word(&random), value: word(&random))] : []
            return record
        }
        return HitBatch(ruleSet: word(&random), geoBuild: word(&random), records: records)
    }
}

@Suite struct `Days and instants` {
    @Test func `every day of four centuries survives its text`() throws {
        for number in Int32(-10_000)...Int32(140_000) {
            let day = Day(number: number)
            #expect(Day(day.text) == day)
        }
        #expect(Day("1970-01-01")?.number == 0)
        #expect(Day("2024-02-29")?.number == 19_782)
    }

    @Test(arguments: [
        "2023-02-29", "2023-13-01", "2023-1-1", "2023-01-00", "", "2023-01-01x", "+023-01-01",
    ])
    func `what is no day is refused`(_ text: String) {
        #expect(Day(text) == nil)
    }

    @Test func `an instant is written as RFC 3339`() {
        #expect(
            Timestamp(microseconds: 1_700_000_000_000_001).text == "2023-11-14T22:13:20.000001Z")
        #expect(Timestamp(microseconds: -1).text == "1969-12-31T23:59:59.999999Z")
        #expect(Day(Timestamp(microseconds: -1)).number == -1)
    }
}
