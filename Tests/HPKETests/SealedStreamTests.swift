import Crypto
import TestSupport
import Testing

@testable import HPKE

@Suite struct `A sealed stream` {
    private let key: X25519PrivateKey
    private let purpose = "a test"

    init() throws { key = try X25519PrivateKey([UInt8](repeating: 7, count: 32)) }

    private func seal(_ bytes: [UInt8], pieces: Int = 1000) throws -> [UInt8] {
        var sealed: [UInt8] = []
        let writer = try SealedWriter(to: key.publicKey, purpose: purpose) { sealed += $0 }
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            try writer.write(Array(bytes[start..<min(bytes.count, start + pieces)]))
        }
        try writer.finish()
        return sealed
    }

    private func open(
        _ sealed: [UInt8], key: X25519PrivateKey? = nil, purpose: String? = nil
    ) throws -> [UInt8] {
        var opened: [UInt8] = []
        var rest = sealed[...]
        try SealedReader.open(
            { count in
                // Short reads, as files and pipes give them.
                let piece = Array(rest.prefix(min(count, 777)))
                rest = rest.dropFirst(piece.count)
                return piece
            }, with: key ?? self.key, purpose: purpose ?? self.purpose,
            sink: { opened += $0 })
        return opened
    }

    @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 200_000])
    func `opens to what was written, whatever its length`(_ count: Int) throws {
        var generator = Generator()
        let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let sealed = try seal(bytes, pieces: 30_011)
        #expect(try open(sealed) == bytes, "seed \(generator.seed)")
        #expect(sealed.count == 48 + count + max(1, (count + 65_535) / 65_536) * 20)
    }

    @Test func `nothing but the whole stream opens, with its own key, for its purpose`() throws {
        let sealed = try seal([UInt8](repeating: 3, count: 150_000))
        let other = try X25519PrivateKey([UInt8](repeating: 9, count: 32))
        #expect(throws: SealedStreamError.notOpened(chunk: 1)) { try open(sealed, key: other) }
        #expect(throws: SealedStreamError.notOpened(chunk: 1)) { try open(sealed, purpose: "b") }
        #expect(throws: SealedStreamError.notSealed) { try open(Array(sealed.dropFirst())) }
        #expect(throws: SealedStreamError.cut(chunk: 3)) { try open(Array(sealed.dropLast())) }
        #expect(throws: SealedStreamError.notOpened(chunk: 4)) { try open(sealed + [0]) }
        // Without its last chunk, and with a chunk before it called the last one.
        let chunk = 65_536 + 20
        let cut = Array(sealed[..<(48 + 2 * chunk)])
        #expect(throws: SealedStreamError.cut(chunk: 3)) { try open(cut) }
        var ended = cut
        ended[48 + chunk] |= 0x80
        #expect(throws: SealedStreamError.notOpened(chunk: 2)) { try open(ended) }
        // Two chunks changed places.
        let swapped =
            Array(sealed[..<48]) + sealed[(48 + chunk)..<(48 + 2 * chunk)]
            + sealed[48..<(48 + chunk)] + sealed[(48 + 2 * chunk)...]
        #expect(throws: SealedStreamError.notOpened(chunk: 1)) { try open(Array(swapped)) }
    }

    @Test func `a changed bit anywhere is seen`() throws {
        var generator = Generator()
        let sealed = try seal([UInt8](repeating: 5, count: 70_000))
        for _ in 0..<40 {
            var changed = sealed
            let index = Int.random(in: 0..<sealed.count, using: &generator)
            changed[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            #expect(throws: SealedStreamError.self, "seed \(generator.seed), byte \(index)") {
                try open(changed)
            }
        }
    }
}
