package import Bytes
package import CordonModel
package import Crypto

/// A field of a record that holds a pseudonym.
package enum PseudonymField: UInt8, CaseIterable, Sendable {
    case user, visitor

    /// The word in key file names, and the tag that keeps the fields' pseudonyms apart.
    package var text: String { self == .user ? "user" : "visitor" }

    package init?(text: some StringProtocol) {
        guard let field = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = field
    }
}

/// The key that makes a field's pseudonyms during one epoch.
///
/// A pseudonym is the first 16 bytes of HMAC-SHA256 under the epoch's key over
/// `tag ‖ 0x00 ‖ (length:u32-BE ‖ piece)*` (`Docs/formats/keys.md`). Lengths stand before the pieces, so no
/// two different lists of pieces give the same bytes. This is the only place that computes one:
/// the edge makes pseudonyms with it, erasure finds them with it.
package struct PseudonymKey: Sendable {
    package let field: PseudonymField
    package let period: KeyPeriod
    /// First day of the epoch.
    package let start: Day
    /// How often the epoch's key had been rotated when this one was made.
    package let generation: Int
    private let key: HMACKey

    package init(
        field: PseudonymField, period: KeyPeriod, start: Day, generation: Int = 0, key: HMACKey
    ) {
        self.field = field
        self.period = period
        self.start = start
        self.generation = generation
        self.key = key
    }

    package var epoch: RegionKeys.Epoch {
        .init(field: field, period: period, start: start, generation: generation)
    }

    /// 32 hexadecimal digits that say which key it is and nothing about it: a key that turns up again after it was said
    /// to be destroyed is known by them.
    package var fingerprint: String {
        String(key.authenticate(Self.fingerprintTag).hex.prefix(32))
    }

    private static let fingerprintTag = Array("fingerprint\u{0}".utf8)

    /// The pseudonym of a user id, byte for byte as the site sent it. Allocates nothing.
    package func pseudonym(user id: Span<UInt8>) -> Pseudonym {
        precondition(field == .user, "a visitor key makes no user pseudonyms")
        var code = begin()
        Self.absorb(id, into: &code)
        return Pseudonym(value: code.finalize().leading128)
    }

    /// The pseudonym of who came from `address` with `userAgent` (empty when there was none) to `site`. An
    /// IPv4-mapped address counts as its IPv4 address. Allocates nothing.
    package func pseudonym(
        address: IPAddress, userAgent: Span<UInt8>, site: Span<UInt8>
    ) -> Pseudonym {
        precondition(field == .visitor, "a user key makes no visitor pseudonyms")
        let plain = address.unmapped
        let byteCount = plain.bitCount / 8
        let count = Self.visitorTag.count + 12 + byteCount + userAgent.count + site.count
        if count <= Self.wholeBytesMax {
            return pseudonym(plain, byteCount, userAgent, site, count)
        }
        var code = begin()
        code.update(bigEndian: UInt32(byteCount))
        code.update(bigEndian: plain.value, lastBytes: byteCount)
        Self.absorb(userAgent, into: &code)
        Self.absorb(site, into: &code)
        return Pseudonym(value: code.finalize().leading128)
    }

    /// Longest list of pieces that is put together before it is authenticated, in bytes.
    private static let wholeBytesMax = 256

    /// The same for a short list, put together first: each piece by itself would cost a call of its own.
    private func pseudonym(
        _ address: IPAddress, _ addressBytes: Int, _ userAgent: Span<UInt8>, _ site: Span<UInt8>,
        _ count: Int
    ) -> Pseudonym {
        var room = InlineArray<256, UInt8>(repeating: 0)
        // SAFETY: the pieces fill `count` bytes, which the room has.
        return unsafe withUnsafeMutableBytes(of: &room) { room in
            let start = unsafe room.baseAddress!.assumingMemoryBound(to: UInt8.self)
            var list = unsafe PieceList(end: start)
            unsafe list.append(Self.visitorTag.span)
            unsafe list.append(count: addressBytes)
            unsafe withUnsafeBytes(of: address.value.bigEndian) { bytes in
                let last = unsafe UnsafeRawBufferPointer(rebasing: bytes.suffix(addressBytes))
                unsafe list.append(last.assumingMemoryBound(to: UInt8.self).span)
            }
            unsafe list.append(count: userAgent.count)
            unsafe list.append(userAgent)
            unsafe list.append(count: site.count)
            unsafe list.append(site)
            let whole = unsafe Span(_unsafeStart: start, count: count)
            return Pseudonym(value: key.authenticate(whole).leading128)
        }
    }

    /// Where the next piece of a list is written.
    @unsafe
    private struct PieceList {
        var end: UnsafeMutablePointer<UInt8>

        mutating func append(count: Int) {
            unsafe UnsafeMutableRawPointer(end).storeBytes(
                of: UInt32(truncatingIfNeeded: count).bigEndian, as: UInt32.self)
            unsafe end += 4
        }

        mutating func append(_ piece: Span<UInt8>) {
            unsafe piece.withUnsafeBufferPointer { piece in
                guard let start = piece.baseAddress else { return }
                unsafe end.update(from: start, count: piece.count)
                unsafe end += piece.count
            }
        }
    }

    private func begin() -> HMAC {
        var code = key.begin()
        switch field {
        case .user: code.update(Self.userTag.span)
        case .visitor: code.update(Self.visitorTag.span)
        }
        return code
    }

    private static func absorb(_ piece: Span<UInt8>, into code: inout HMAC) {
        code.update(bigEndian: UInt32(piece.count))
        code.update(piece)
    }

    private static let userTag = Array("user\u{0}".utf8)
    private static let visitorTag = Array("visitor\u{0}".utf8)
}
