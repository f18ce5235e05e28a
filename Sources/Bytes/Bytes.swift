/// Plain values over raw bytes: hexadecimal, base64 and HTML text, integers in either byte order, IP
/// addresses and prefixes, and bounded reading of untrusted input.
///
/// This target has no I/O and no dependency, not even Foundation, so that the collector's hot path
/// may use all of it. It does not know the product. Start at ``IPAddress`` and ``ByteReader``.
public enum Bytes {}

extension Bytes {
    private static let lowercaseDigits: [UInt8] = Array("0123456789abcdef".utf8)

    /// Lowercase hexadecimal text of `bytes`, two digits a byte.
    package static func hex(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(bytes.underestimatedCount * 2)
        for byte in bytes {
            text.append(lowercaseDigits[Int(byte >> 4)])
            text.append(lowercaseDigits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes that hexadecimal `text` stands for, or nil when it is not an even run of digits.
    package static func bytes(hex text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for unit in text.utf8 {
            guard let digit = hexDigit(unit) else { return nil }
            if let upper = high {
                bytes.append(upper << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return high == nil ? bytes : nil
    }

    /// The value of one hexadecimal digit in either case.
    @inlinable
    public static func hexDigit(_ unit: UInt8) -> UInt8? {
        switch unit {
        case 0x30...0x39: unit &- 0x30
        case 0x61...0x66: unit &- 0x61 &+ 10
        case 0x41...0x46: unit &- 0x41 &+ 10
        default: nil
        }
    }

    /// Whether two byte strings are equal, in time that depends on their lengths alone.
    package static func constantTimeEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }
}
