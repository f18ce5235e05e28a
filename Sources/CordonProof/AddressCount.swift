/// A number of addresses, up to the whole IPv6 space, which has one more than a number of 128 bits holds.
package struct AddressCount: Hashable, Comparable, Sendable {
    private var carry: UInt8 = 0
    private var low: UInt128 = 0

    package init() {}

    /// One more than `lessOne`.
    package init(lessOne: UInt128) {
        low = lessOne
        add(1)
    }

    package static let zero = AddressCount()

    package static func += (left: inout AddressCount, right: AddressCount) {
        left.carry += right.carry
        left.add(right.low)
    }

    private mutating func add(_ more: UInt128) {
        let sum = low.addingReportingOverflow(more)
        low = sum.partialValue
        if sum.overflow { carry += 1 }
    }

    package static func < (left: AddressCount, right: AddressCount) -> Bool {
        (left.carry, left.low) < (right.carry, right.low)
    }

    /// Decimal digits.
    package var text: String {
        guard carry > 0 else { return "\(low)" }
        // Twice 2^127 in decimal digits, plus the rest; only sums of overlapping ranges would go on from here.
        precondition(carry == 1 && low == 0, "no more addresses than there are")
        return "340282366920938463463374607431768211456"
    }

    /// For people: digits in groups of three, or a power of ten from a trillion on.
    package var shortText: String {
        let digits = Array(text)
        if digits.count <= 13 {
            var grouped = ""
            for (index, digit) in digits.enumerated() {
                if index > 0, (digits.count - index) % 3 == 0 { grouped.append(",") }
                grouped.append(digit)
            }
            return grouped
        }
        return "\(digits[0]).\(digits[1])\(digits[2])e\(digits.count - 1)"
    }
}
