internal import Bytes
internal import CordonKeys
internal import CordonModel
internal import GeoTables

/// The place of an address.
struct Locate: SensitiveTransform {
    let table: GeoTable
    func apply(_ value: IPAddress) -> Int { table.placeIndex(of: value) }
}

/// The address with all but its leading bits cleared; nil when none are kept.
struct Truncate: SensitiveTransform {
    let ipv4Bits: Int
    let ipv6Bits: Int
    func apply(_ value: IPAddress) -> IPPrefix? {
        let bits = value.isIPv6 ? ipv6Bits : ipv4Bits
        return bits == 0 ? nil : IPPrefix(value, length: bits)
    }
}

/// The keyed digest of address, user agent and site.
@unsafe
struct VisitorPseudonym: SensitiveTransform {
    let key: PseudonymKey
    let userAgent: UnsafeBufferPointer<UInt8>
    let site: UnsafeBufferPointer<UInt8>
    func apply(_ value: IPAddress) -> Pseudonym {
        unsafe key.pseudonym(address: value, userAgent: userAgent.span, site: site.span)
    }
}

/// The start of the hash by which a hit is sampled (FNV-1a); it leaves this process in no form.
struct SampleHash: SensitiveTransform {
    func apply(_ value: IPAddress) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for shift in 0..<16 {
            hash = Self.mix(hash, UInt8(truncatingIfNeeded: value.value >> UInt128(8 * shift)))
        }
        return hash
    }

    static func mix(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
        // Wrapping is the algorithm.
        (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
    }
}
