package import Crypto

/// Why a sealed stream cannot be opened.
package enum SealedStreamError: Error, Equatable, Sendable, CustomStringConvertible {
    case notSealed
    /// The key is another's, or the bytes are others, at this chunk; chunks are counted from 1.
    case notOpened(chunk: Int)
    case cut(chunk: Int)

    package var description: String {
        switch self {
        case .notSealed: "this is not a sealed stream"
        case .notOpened(let chunk):
            "chunk \(chunk) does not open: it was sealed to another key, or is damaged"
        case .cut(let chunk): "the stream ends before chunk \(chunk) is whole: it was cut"
        }
    }
}

/// The layout of a stream that is sealed chunk by chunk to the holder of one key, so that its size does not matter.
///
/// `"CORDON SEALED 1\n"`, the encapsulated key, then chunks: four bytes with the length of the ciphertext, the highest bit set in the
/// last chunk, and the ciphertext with its tag. The four bytes are authenticated and each chunk has the next nonce, so none can be
/// left out, put elsewhere, or taken off the end.
enum SealedStream {
    static let magic = Array("CORDON SEALED 1\n".utf8)
    static let lastBit: UInt32 = 1 << 31
    static let headerBytes = 4

    static func header(_ count: Int, isLast: Bool) -> [UInt8] {
        let word = UInt32(count) | (isLast ? lastBit : 0)
        return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> $0) }
    }
}

/// Seals a stream while it is written. Used by one thread at a time.
package final class SealedWriter {
    /// Bytes sealed at a time.
    package static let chunkBytes = 1 << 16

    private var sender: HPKESender
    private let sink: ([UInt8]) throws -> Void
    private var waiting: [UInt8] = []

    /// - Parameters:
    ///   - purpose: what the stream is; whoever opens it says the same.
    ///   - sink: takes the sealed bytes in order.
    package init(
        to recipient: X25519PublicKey, purpose: String, sink: @escaping ([UInt8]) throws -> Void
    ) throws {
        sender = try HPKESender(to: recipient, info: Array(purpose.utf8))
        self.sink = sink
        try sink(SealedStream.magic + sender.encapsulatedKey)
    }

    package func write(_ bytes: [UInt8]) throws {
        waiting += bytes
        var start = 0
        // What might be the last chunk waits for the end.
        while waiting.count - start > Self.chunkBytes {
            try seal(Array(waiting[start..<start + Self.chunkBytes]), isLast: false)
            start += Self.chunkBytes
        }
        if start > 0 { waiting.removeFirst(start) }
    }

    /// Seals what is left and the end itself.
    package func finish() throws {
        try seal(waiting, isLast: true)
        waiting = []
    }

    private func seal(_ plaintext: [UInt8], isLast: Bool) throws {
        let header = SealedStream.header(plaintext.count + HPKE.tagBytes, isLast: isLast)
        try sink(header + sender.seal(plaintext, authenticating: header))
    }
}

/// Opens a sealed stream.
package enum SealedReader {
    /// Opens all of it; what `sink` was given is whole when this returns, and to be thrown away when it throws.
    ///
    /// - Parameters:
    ///   - source: gives up to so many of the next bytes, none at the end.
    ///   - sink: takes the bytes that were sealed.
    package static func open(
        _ source: (Int) throws -> [UInt8], with key: X25519PrivateKey, purpose: String,
        sink: ([UInt8]) throws -> Void
    ) throws {
        func next(_ count: Int) throws -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count {
                let more = try source(count - bytes.count)
                if more.isEmpty { break }
                bytes += more
            }
            return bytes
        }
        let start = try next(SealedStream.magic.count + HPKE.encapsulatedBytes)
        guard start.starts(with: SealedStream.magic),
            start.count == SealedStream.magic.count + HPKE.encapsulatedBytes,
            var recipient = HPKERecipient(
                key, encapsulatedKey: Array(start[SealedStream.magic.count...]),
                info: Array(purpose.utf8))
        else { throw SealedStreamError.notSealed }
        var chunk = 1
        while true {
            let header = try next(SealedStream.headerBytes)
            guard header.count == SealedStream.headerBytes else {
                throw SealedStreamError.cut(chunk: chunk)
            }
            let word = header.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let count = Int(word & ~SealedStream.lastBit)
            guard count >= HPKE.tagBytes, count <= SealedWriter.chunkBytes + HPKE.tagBytes else {
                throw SealedStreamError.notOpened(chunk: chunk)
            }
            let sealed = try next(count)
            guard sealed.count == count else { throw SealedStreamError.cut(chunk: chunk) }
            guard let plaintext = recipient.open(sealed, authenticating: header) else {
                throw SealedStreamError.notOpened(chunk: chunk)
            }
            try sink(plaintext)
            if word & SealedStream.lastBit != 0 {
                guard try next(1).isEmpty else {
                    throw SealedStreamError.notOpened(chunk: chunk + 1)
                }
                return
            }
            chunk += 1
        }
    }
}
