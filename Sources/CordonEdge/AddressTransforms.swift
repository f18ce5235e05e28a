internal import Bytes
internal import CordonKeys
internal import CordonModel
internal import Crypto
internal import GeoTables

/// The place of an address.
struct Locate: SensitiveTransform {
    let table: GeoTable
    func apply(_ value: IPAddress) -> Int { table.placeIndex(of: value) }
}

/// Asks for the memory that a lookup of the address will read.
struct FetchPlace: SensitiveTransform {
    let table: GeoTable
    let step: LookupStep
    func apply(_ value: IPAddress) { table.fetch(step, for: value) }
}

/// The family of an address.
struct IsIPv6: SensitiveTransform {
    func apply(_ value: IPAddress) -> Bool { value.isIPv6 }
}

/// The address with all but its leading bits cleared; nil when none are kept.
///
/// An IPv4 address inside an IPv6 one is cut as IPv4 and kept as such: the leading 48 bits of a 6to4 address hold it whole.
struct Truncate: SensitiveTransform {
    let ipv4Bits: Int
    let ipv6Bits: Int
    func apply(_ value: IPAddress) -> IPPrefix? {
        let inner = value.isIPv6 ? EmbeddedIPv4.inner(of: value.value) : nil
        let address = inner.map { IPAddress(ipv4: $0) } ?? value
        let bits = address.isIPv6 ? ipv6Bits : ipv4Bits
        return bits == 0 ? nil : IPPrefix(address, length: bits)
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

/// Which visitors a policy with a rate below 1 keeps: a keyed digest of address and user agent against the rate.
///
/// The key is the region's own and lasts, so a visitor stays in or out over days, loops and restarts, and nobody without the key can
/// tell which addresses are in. The digest leaves this process in no form.
struct VisitorSample: Sendable {
    let key: HMACKey

    /// - Parameter root: a lasting key of the region; the sample's own is made from it.
    init(root: HMACKey) { key = HMACKey(root.authenticate(Array("cordon sample 1".utf8)).bytes) }

    /// Draws for an address, evenly over all 64-bit numbers.
    func draw(userAgent: UnsafeBufferPointer<UInt8>) -> Draw {
        unsafe Draw(key: key, userAgent: userAgent)
    }

    /// Whether a draw is among `perMillion` of a million.
    static func keeps(_ draw: UInt64, perMillion: UInt32) -> Bool {
        draw.multipliedFullWidth(by: 1_000_000).high < UInt64(perMillion)
    }

    @unsafe
    struct Draw: SensitiveTransform {
        let key: HMACKey
        let userAgent: UnsafeBufferPointer<UInt8>

        func apply(_ value: IPAddress) -> UInt64 {
            var code = unsafe key.begin()
            code.update(value.isIPv6 ? 6 : 4)
            for shift in 0..<4 {
                code.update(
                    bigEndian: UInt32(truncatingIfNeeded: value.value >> UInt128(96 - 32 * shift)))
            }
            unsafe code.update(userAgent.span)
            return UInt64(truncatingIfNeeded: code.finalize().leading128 >> 64)
        }
    }
}
