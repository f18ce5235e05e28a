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
        for index in start..<end {
            let unit = text[index]
            if unit == 0x2E {
                guard digits > 0, dots < 3 else { return nil }
                value = value << 8 | part
                part = 0
                digits = 0
                dots += 1
            } else {
                guard unit >= 0x30, unit <= 0x39, digits < 3 else { return nil }
                if digits > 0 && part == 0 { return nil }
                part = part * 10 + UInt32(unit - 0x30)
                guard part <= 255 else { return nil }
                digits += 1
            }
        }
        guard dots == 3, digits > 0 else { return nil }
        return value << 8 | part
    }

    private static func parseIPv6(_ text: Span<UInt8>) -> UInt128? {
        guard text.count >= 2, text.count <= 45 else { return nil }
        var head: UInt128 = 0
        var tail: UInt128 = 0
        var headGroups = 0
        var tailGroups = 0
        var sawGap = false
        var index = 0
        if text[0] == 0x3A {
            guard text[1] == 0x3A else { return nil }
            sawGap = true
            index = 2
        }
        while index < text.count {
            let start = index
            var group: UInt32 = 0
            while index < text.count, let digit = Bytes.hexDigit(text[index]) {
                guard index - start < 4 else { return nil }
                group = group << 4 | UInt32(digit)
                index += 1
            }
            if index < text.count, text[index] == 0x2E {
                guard let last = parseIPv4(text, from: start, to: text.count) else { return nil }
                if sawGap {
                    tail = tail << 32 | UInt128(last)
                    tailGroups += 2
                } else {
                    head = head << 32 | UInt128(last)
                    headGroups += 2
                }
                index = text.count
                break
            }
            guard index > start else { return nil }
            if sawGap {
                tail = tail << 16 | UInt128(group)
                tailGroups += 1
            } else {
                head = head << 16 | UInt128(group)
                headGroups += 1
            }
            guard headGroups + tailGroups <= 8 else { return nil }
            if index == text.count { break }
            guard text[index] == 0x3A else { return nil }
            index += 1
            guard index < text.count else { return nil }
            if text[index] == 0x3A {
                guard !sawGap else { return nil }
                sawGap = true
                index += 1
            }
        }
        let groups = headGroups + tailGroups
        if !sawGap { return groups == 8 ? head : nil }
        guard groups <= 7 else { return nil }
        return headGroups == 0 ? tail : head << UInt128(16 * (8 - headGroups)) | tail
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
        guard isIPv6 else {
            var shift: UInt128 = 32
            while shift > 0 {
                shift -= 8
                Self.appendDecimal(Int(value >> shift & 255), to: &bytes)
                if shift > 0 { bytes.append(0x2E) }
            }
            return
        }
        let gap = longestZeroRun()
        var group = 0
        while group < 8 {
            if let gap, gap.start == group {
                bytes.append(0x3A)
                bytes.append(0x3A)
                group += gap.count
                continue
            }
            if group > 0, gap.map({ $0.start + $0.count != group }) ?? true { bytes.append(0x3A) }
            Self.appendHexadecimal(self.group(group), to: &bytes)
            group += 1
        }
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

    private static func appendDecimal(_ number: Int, to bytes: inout [UInt8]) {
        if number >= 100 { bytes.append(0x30 + UInt8(number / 100)) }
        if number >= 10 { bytes.append(0x30 + UInt8(number / 10 % 10)) }
        bytes.append(0x30 + UInt8(number % 10))
    }

    private static func appendHexadecimal(_ number: Int, to bytes: inout [UInt8]) {
        var started = false
        var shift = 16
        while shift > 0 {
            shift -= 4
            let digit = UInt8(number >> shift & 15)
            if digit != 0 || started || shift == 0 {
                bytes.append(digit < 10 ? 0x30 + digit : 0x61 + digit - 10)
                started = true
            }
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

    /// `address/length` text.
    package var text: String { "\(address.text)/\(length)" }
}
