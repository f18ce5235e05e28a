import Foundation
import FuzzTargets
import TestSupport
import Testing

/// The bounded run of what `scripts/fuzz` runs for as long as one likes.
@Suite struct `Fuzz targets` {
    private static let names = FuzzTarget.all.map(\.name)
    private static let inputsEach = 3000
    private static let bytesMax = 4096

    private static func corpus(_ name: String) throws -> [[UInt8]] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("FuzzTargets/Fixtures/\(name)")
        return try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil
        ).sorted { $0.path < $1.path }.map { [UInt8](try Data(contentsOf: $0)) }
    }

    @Test(arguments: names) func `find nothing wrong with their inputs and damaged copies`(
        _ name: String
    ) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let corpus = try Self.corpus(name)
        #expect(corpus.count >= 3, "a few inputs to begin with")
        for input in corpus { #expect(target.run(input) == nil, "\(input)") }
        var random = Generator()
        for _ in 0..<Self.inputsEach {
            let input = Self.damaged(corpus, using: &random)
            let fault = target.run(input)
            #expect(fault == nil, "seed \(random.seed): \(input)")
            if fault != nil { return }
        }
    }

    @Test func `a target that finds a fault says so`() {
        let target = FuzzTarget("picky") { $0.contains(7) ? "a seven" : nil }
        #expect(target.run([1, 7]) == "a seven")
        #expect(target.run([1]) == nil)
    }

    /// One of `corpus` with some bytes changed, inserted, left out, repeated, or taken from another one.
    private static func damaged(_ corpus: [[UInt8]], using random: inout Generator) -> [UInt8] {
        guard var bytes = corpus.randomElement(using: &random) else { return [] }
        for _ in 0..<Int.random(in: 1...5, using: &random) {
            let index = Int.random(in: 0...bytes.count, using: &random)
            let end = min(bytes.count, index + Int.random(in: 1...16, using: &random))
            switch Int.random(in: 0..<6, using: &random) {
            case 0 where index < bytes.count:
                bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &random)
            case 1 where index < bytes.count:
                bytes[index] = UInt8.random(in: .min ... .max, using: &random)
            case 2: bytes.insert(bytes.randomElement(using: &random) ?? 0, at: index)
            case 3: bytes.removeSubrange(index..<end)
            case 4: bytes.insert(contentsOf: bytes[index..<end], at: index)
            default:
                guard let other = corpus.randomElement(using: &random) else { continue }
                let cut = Int.random(in: 0...other.count, using: &random)
                bytes.replaceSubrange(index..., with: other[cut...])
            }
        }
        return Array(bytes.prefix(bytesMax))
    }
}
