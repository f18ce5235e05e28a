/// An IPv4 or IPv6 address as a number.
///
/// A client's address is personal data: outside of transforms hold it as `Sensitive<IPAddress>`. It
/// has deliberately no `description`; ``text`` is for addresses that an operator typed.
@frozen
public struct IPAddress: Hashable, Sendable, BitwiseCopyable {
    /// The address in host order; an IPv4 address stands in the low 32 bits.
    public let value: UInt128
    public let isIPv6: Bool

    @inlinable
    public init(ipv4 value: UInt32) {
        self.value = UInt128(value)
        isIPv6 = false
    }

    @inlinable
    public init(ipv6 value: UInt128) {
        self.value = value
        isIPv6 = true
    }

    /// Number of bits of the address family: 32 or 128.
    @inlinable
    public var bitCount: Int { isIPv6 ? 128 : 32 }

    /// The IPv4 address inside an IPv4-mapped address (`::ffff:0:0/96`, RFC 4291 section 2.5.5.2);
    /// any other address unchanged.
    @inlinable
    public var unmapped: IPAddress {
        isIPv6 && value >> 32 == 0xFFFF
            ? IPAddress(ipv4: UInt32(truncatingIfNeeded: value)) : self
    }

    /// The address with all but the first `bits` bits cleared; `bits` is held between 0 and `bitCount`.
    @inlinable
    public func truncated(to bits: Int) -> IPAddress {
        let kept = min(max(bits, 0), bitCount)
        let cleared = UInt128(bitCount - kept)
        let value = kept == 0 ? 0 : (self.value >> cleared) << cleared
        return isIPv6 ? IPAddress(ipv6: value) : IPAddress(ipv4: UInt32(truncatingIfNeeded: value))
    }
}

extension IPAddress {
    /// Parses dotted decimal (RFC 6943 section 3.1.1, strict form: four numbers without leading zeros) or
    /// RFC 4291 section 2.2 text, without brackets, port, zone or surrounding space.
    package init?(parsing text: Span<UInt8>) {
        if text.firstIndex(of: 0x3A, from: 0, to: text.count) < text.count {
            guard let value = Self.parseIPv6(text) else { return nil }
            self.init(ipv6: value)
        } else {
            guard let value = Self.parseIPv4(text, from: 0, to: text.count) else { return nil }
            self.init(ipv4: value)
        }
    }

    /// Parses what ``init(parsing:)`` parses.
    package init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        self.init(parsing: bytes.span)
    }

    private static func parseIPv4(_ text: Span<UInt8>, from start: Int, to end: Int) -> UInt32? {
        guard end - start >= 7, end - start <= 15 else { return nil }
        var value: UInt32 = 0
        var part: UInt32 = 0
        var digits = 0
        var dots = 0
        // Wrapping is avoided by the bounds on `digits` and `dots`.
        for index in start..<end {
            let digit = UInt32(text[index]) &- 0x30
            if digit <= 9 {
                if digits == 0 {
                    part = digit
                } else {
                    // A leading zero.
                    if part == 0 || digits == 3 { return nil }
                    part = part &* 10 &+ digit
                }
                digits &+= 1
            } else {
                guard text[index] == 0x2E, digits > 0, dots < 3, part <= 255 else { return nil }
                value = value << 8 | part
                digits = 0
                dots &+= 1
            }
        }
        guard dots == 3, digits > 0, part <= 255 else { return nil }
        return value << 8 | part
    }

    private static func parseIPv6(_ text: Span<UInt8>) -> UInt128? {
        guard text.count >= 2, text.count <= 45 else { return nil }
        // Groups one after the other; `gap` says before which the zeros are left out.
        var groups = InlineArray<8, UInt16>(repeating: 0)
        var count = 0
        var gap = -1
        var index = 0
        if text[0] == 0x3A {
            guard text[1] == 0x3A else { return nil }
            gap = 0
            index = 2
        }
        while index < text.count {
            let start = index
            var group: UInt32 = 0
            while index < text.count {
                var digit = UInt32(text[index]) &- 0x30
                if digit > 9 {
                    digit = (UInt32(text[index]) | 0x20) &- 0x61
                    guard digit < 6 else { break }
                    digit &+= 10
                }
                guard index &- start < 4 else { return nil }
                group = group << 4 | digit
                index &+= 1
            }
            if index < text.count, text[index] == 0x2E {
                guard count <= 6, let last = parseIPv4(text, from: start, to: text.count) else {
                    return nil
                }
                groups[count] = UInt16(truncatingIfNeeded: last >> 16)
                groups[count + 1] = UInt16(truncatingIfNeeded: last)
                count += 2
                break
            }
            guard index > start, count < 8 else { return nil }
            groups[count] = UInt16(truncatingIfNeeded: group)
            count &+= 1
            if index == text.count { break }
            guard text[index] == 0x3A else { return nil }
            index &+= 1
            guard index < text.count else { return nil }
            if text[index] == 0x3A {
                guard gap < 0 else { return nil }
                gap = count
                index &+= 1
            }
        }
        return value(groups, count, gap)
    }

    /// The address of `count` groups, with zeros in the place of those that are left out before the group at `gap`; nil when they
    /// are too few or too many.
    private static func value(
        _ groups: InlineArray<8, UInt16>, _ count: Int, _ gap: Int
    ) -> UInt128? {
        guard gap < 0 ? count == 8 : count <= 7 else { return nil }
        let left = gap < 0 ? 8 : gap
        var high: UInt64 = 0
        var low: UInt64 = 0
        for index in 0..<8 {
            // Behind the gap the groups stand at the end.
            let group =
                index < left
                ? groups[index]
                : index >= 8 &- (count &- left) ? groups[index &- (8 &- count)] : 0
            if index < 4 {
                high = high << 16 | UInt64(group)
            } else {
                low = low << 16 | UInt64(group)
            }
        }
        return UInt128(high) << 64 | UInt128(low)
    }
}

extension IPAddress {
    /// The address as text: dotted decimal, or the RFC 5952 form.
    package var text: String {
        var bytes: [UInt8] = []
        appendText(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends ``text`` to `bytes`; allocates nothing while `bytes` has 45 bytes of room.
    package func appendText(to bytes: inout [UInt8]) {
        // SAFETY: the longest text has 39 bytes.
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 48) { room in
            let count = unsafe writeText(to: room.baseAddress!)
            unsafe bytes.append(contentsOf: room.prefix(count))
        }
    }

    /// Writes ``text`` and says how many bytes it has, at most 39.
    @unsafe
    package func writeText(to room: UnsafeMutablePointer<UInt8>) -> Int {
        // SAFETY: no address has more text than the caller has room for: four numbers of three digits, or eight groups of four.
        var end = unsafe room
        guard isIPv6 else {
            let value = UInt32(truncatingIfNeeded: self.value)
            var shift: UInt32 = 24
            while true {
                unsafe Self.writeDecimal(value >> shift & 255, to: &end)
                if shift == 0 { break }
                shift -= 8
                unsafe end[0] = 0x2E
                unsafe end += 1
            }
            return unsafe end - room
        }
        let gap = longestZeroRun()
        var group = 0
        while group < 8 {
            if let gap, gap.start == group {
                unsafe end[0] = 0x3A
                unsafe end[1] = 0x3A
                unsafe end += 2
                group += gap.count
                continue
            }
            if group > 0, gap.map({ $0.start + $0.count != group }) ?? true {
                unsafe end[0] = 0x3A
                unsafe end += 1
            }
            unsafe Self.writeHexadecimal(self.group(group), to: &end)
            group += 1
        }
        return unsafe end - room
    }

    private func group(_ index: Int) -> Int { Int(value >> UInt128(112 - 16 * index) & 0xFFFF) }

    /// The first longest run of two or more zero groups (RFC 5952 section 4.2).
    private func longestZeroRun() -> (start: Int, count: Int)? {
        var best: (start: Int, count: Int)?
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, group(end) == 0 { end += 1 }
            if end - start >= 2, end - start > best?.count ?? 0 { best = (start, end - start) }
            start = max(end, start + 1)
        }
        return best
    }

    /// Writes a number below 1000.
    @unsafe
    fileprivate static func writeDecimal(
        _ number: UInt32, to end: inout UnsafeMutablePointer<UInt8>
    ) {
        var number = number
        if number >= 100 {
            unsafe end[0] = 0x30 + UInt8(truncatingIfNeeded: number / 100)
            unsafe end += 1
            number %= 100
            unsafe end[0] = 0x30 + UInt8(truncatingIfNeeded: number / 10)
            unsafe end += 1
        } else if number >= 10 {
            unsafe end[0] = 0x30 + UInt8(truncatingIfNeeded: number / 10)
            unsafe end += 1
        }
        unsafe end[0] = 0x30 + UInt8(truncatingIfNeeded: number % 10)
        unsafe end += 1
    }

    @unsafe
    private static func writeHexadecimal(
        _ number: Int, to end: inout UnsafeMutablePointer<UInt8>
    ) {
        var shift = number >= 0x1000 ? 12 : number >= 0x100 ? 8 : number >= 0x10 ? 4 : 0
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: number >> shift & 15)
            unsafe end[0] = digit < 10 ? 0x30 + digit : 0x61 + digit - 10
            unsafe end += 1
            shift -= 4
        }
    }
}

/// A block of addresses that share their first bits.
@frozen
public struct IPPrefix: Hashable, Sendable {
    /// The first address; its bits beyond `length` are zero.
    public let address: IPAddress
    /// Number of fixed bits, 0 to 32 or 128.
    public let length: Int

    /// The block of `length` bits that contains `address`; nil when `length` is out of bounds.
    package init?(_ address: IPAddress, length: Int) {
        guard length >= 0, length <= address.bitCount else { return nil }
        self.address = address.truncated(to: length)
        self.length = length
    }

    /// Parses `address/length`, or a lone address as a block of one; nil when bits beyond the length are set.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = IPAddress(parts[0]) else { return nil }
        let length = parts.count == 2 ? Int(parts[1]) ?? -1 : address.bitCount
        guard let prefix = IPPrefix(address, length: length), prefix.address == address else {
            return nil
        }
        self = prefix
    }

    /// A block within the IPv4-mapped addresses (`::ffff:0:0/96`) as one of IPv4, which is what their addresses are compared
    /// as; every other block as it is.
    package var unmapped: IPPrefix {
        guard length >= 96, !address.unmapped.isIPv6 else { return self }
        return IPPrefix(address.unmapped, length: address.isIPv6 ? length - 96 : length) ?? self
    }

    @inlinable
    public func contains(_ other: IPAddress) -> Bool {
        other.isIPv6 == address.isIPv6 && other.truncated(to: length) == address
    }

    /// Writes ``text`` and says how many bytes it has, at most 43.
    @unsafe
    package func writeText(to room: UnsafeMutablePointer<UInt8>) -> Int {
        // SAFETY: the caller has room for the longest text.
        var end = unsafe room + address.writeText(to: room)
        unsafe end[0] = 0x2F
        unsafe end += 1
        unsafe IPAddress.writeDecimal(UInt32(truncatingIfNeeded: length), to: &end)
        return unsafe end - room
    }

    /// `address/length` text.
    package var text: String { "\(address.text)/\(length)" }
}
