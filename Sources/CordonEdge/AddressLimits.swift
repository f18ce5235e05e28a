internal import Bytes
internal import CordonModel
internal import Crypto
internal import Glibc
internal import Synchronization

/// How many connections each peer address has open and how many requests it sends: one fixed table of a listener that all
/// loops share, without locks.
///
/// An address stands in it only as a keyed digest under a random key of this process that changes every hour, and only while
/// it has a connection open or has just sent requests. Networks hand out IPv6 addresses by the 2^64, so those count by
/// their first 64 bits. The slot is looked up once a connection; a request touches that slot alone, so loops meet in a
/// word only where one address uses both.
///
/// Where the table has no room for an address, its connection goes uncounted: the bounds of the whole still hold.
@safe final class AddressLimits: @unchecked Sendable {
    // SAFETY: allocated in `init`, freed in `deinit`; in between threads touch the words by atomic operations alone.
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let connectionsMax: UInt64
    /// Nanoseconds that one request costs.
    private let requestCost: UInt64
    private let state: Mutex<(key: HMACKey, periodEnd: UInt64)>
    /// Grows with each change of the key, after it.
    private let keyVersion = Atomic<UInt64>(1)

    /// Addresses that are known at the same time, in sets of `setSlots`: two words each, 1 MiB in all, of which only
    /// what is used takes memory.
    static let slotCount = 1 << 16
    static let setSlots = 8
    /// How long a key is used.
    static let periodMilliseconds: UInt64 = 60 * 60 * 1000
    /// What an address may send at once before the rate holds: as much as in this time.
    private static let burstNanoseconds: UInt64 = 1_000_000_000

    /// The first word of a slot: 48 bits of the digest and the number of open connections. An unused one is 0. The second
    /// is the time, in monotonic nanoseconds, until which the requests so far have used up the rate.
    private enum Word {
        static let countMask: UInt64 = 0xFFFF
        static func tag(_ digest: UInt128) -> UInt64 {
            UInt64(truncatingIfNeeded: digest) & ~countMask | 1 << 16
        }
    }

    /// What a connection is counted in; it must be given back.
    struct Slot: Equatable, BitwiseCopyable {
        fileprivate let index: UInt32
    }

    enum Admission: Equatable {
        case counted(Slot)
        /// There is no room to count it.
        case uncounted
        /// The address has as many connections as it may.
        case refused
    }

    /// - Parameter now: monotonic milliseconds.
    init(
        _ limits: RegionConfiguration.AddressLimits, at now: UInt64,
        key: HMACKey = HMACKey(SecureRandom.bytes(32))
    ) {
        // Not `allocate` and `initialize`, which would touch all of the memory.
        // SAFETY: an atomic word of the value 0 is eight bytes of 0.
        guard let memory = unsafe calloc(Self.slotCount * 2, MemoryLayout<Atomic<UInt64>>.stride)
        else { preconditionFailure("no memory for the table of addresses") }
        unsafe words = memory.bindMemory(to: Atomic<UInt64>.self, capacity: Self.slotCount * 2)
        connectionsMax = UInt64(limits.connectionsPerAddress)
        requestCost = 1_000_000_000 / UInt64(limits.requestsPerSecondPerAddress)
        state = Mutex((key, now + Self.periodMilliseconds))
    }

    deinit { unsafe free(words) }

    /// The key with its version, when that is another than `version`.
    func key(ifNewerThan version: UInt64) -> (key: HMACKey, version: UInt64)? {
        let newest = keyVersion.load(ordering: .acquiring)
        guard newest != version else { return nil }
        return (state.withLock { $0.key }, newest)
    }

    /// Takes a new random key when the hour is over. The loops then move their connections to it. Called about once a second.
    func renew(at now: UInt64) {
        let isRenewed = state.withLock { state in
            guard now >= state.periodEnd else { return false }
            state = (HMACKey(SecureRandom.bytes(32)), now + Self.periodMilliseconds)
            return true
        }
        if isRenewed { keyVersion.wrappingAdd(1, ordering: .releasing) }
    }

    /// Counts a new connection of an address.
    ///
    /// - Parameter isMove: it was counted before under another key, so it is not refused.
    func open(_ digest: UInt128, at now: UInt64, isMove: Bool = false) -> Admission {
        let tag = Word.tag(digest)
        let first =
            (Int(truncatingIfNeeded: digest >> 64) & (Self.slotCount / Self.setSlots - 1))
            * Self.setSlots
        let bound = isMove ? Word.countMask : connectionsMax
        search: while true {
            var unused: (slot: Int, word: UInt64)?
            for slot in first..<first + Self.setSlots {
                let word = unsafe words[2 * slot].load(ordering: .relaxed)
                if word & ~Word.countMask == tag {
                    guard word & Word.countMask < bound else { return .refused }
                    // Relaxed throughout: the words guard no other memory, each says all there is to say.
                    let exchange = unsafe words[2 * slot].compareExchange(
                        expected: word, desired: word + 1, ordering: .relaxed)
                    if exchange.exchanged { return .counted(Slot(index: UInt32(slot))) }
                    continue search
                }
                let isUnused = word & Word.countMask == 0 && paidUntil(slot) <= now * 1_000_000
                if unused == nil, isUnused { unused = (slot, word) }
            }
            guard let unused else { return .uncounted }
            // Loops look through a set in the same order, so two that bring the same address at the same instant want the
            // same slot, and the slower one finds it taken.
            let exchange = unsafe words[2 * unused.slot].compareExchange(
                expected: unused.word, desired: tag | 1, ordering: .relaxed)
            if exchange.exchanged { return .counted(Slot(index: UInt32(unused.slot))) }
        }
    }

    /// A counted connection is over.
    func close(_ slot: Slot) {
        // The count is at least 1 for the connection's own sake, so nothing is borrowed from the tag.
        _ = unsafe words[2 * Int(slot.index)].wrappingSubtract(1, ordering: .relaxed)
    }

    /// Whether the address of a counted connection may send one more request now; if so it is counted.
    ///
    /// The generic cell rate algorithm: each request moves a time forward by what it costs at the rate, and that time
    /// may run ahead of the clock by the burst.
    func admitsRequest(_ slot: Slot, at now: UInt64) -> Bool {
        let now = now * 1_000_000
        var paid = paidUntil(Int(slot.index))
        while true {
            let next = max(paid, now) + requestCost
            guard next - now <= Self.burstNanoseconds else { return false }
            let exchange = unsafe words[2 * Int(slot.index) + 1].compareExchange(
                expected: paid, desired: next, ordering: .relaxed)
            if exchange.exchanged { return true }
            paid = exchange.original
        }
    }

    private func paidUntil(_ slot: Int) -> UInt64 {
        unsafe words[2 * slot + 1].load(ordering: .relaxed)
    }
}

/// What an address is known by in ``AddressLimits``; it leaves this process in no form.
struct LimitDigest: SensitiveTransform {
    let key: HMACKey

    func apply(_ value: IPAddress) -> UInt128 {
        let counted = value.isIPv6 ? value.truncated(to: 64) : value
        var message = InlineArray<17, UInt8>(repeating: counted.isIPv6 ? 6 : 4)
        for index in 0..<16 {
            message[index] = UInt8(truncatingIfNeeded: counted.value >> UInt128(8 * index))
        }
        return key.authenticate(message.span).leading128
    }
}
