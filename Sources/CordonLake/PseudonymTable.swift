import CordonModel

/// People by their pseudonyms, as texts of data files hold them: looked up in some nanoseconds.
///
/// Pseudonyms are spread evenly by the way they are made, so they are their own hashes.
struct PseudonymTable {
    /// A power of two of places; `nil` where nobody is.
    private var slots: [Pseudonym?]
    private let mask: Int

    init(_ people: Set<Pseudonym>) {
        // At least half of the places are free, so a look ends soon.
        var count = 16
        while count < people.count * 2 { count *= 2 }
        slots = [Pseudonym?](repeating: nil, count: count)
        mask = count - 1
        for person in people {
            var slot = Int(truncatingIfNeeded: person.value) & mask
            while slots[slot] != nil { slot = (slot + 1) & mask }
            slots[slot] = person
        }
    }

    func contains(_ person: Pseudonym) -> Bool {
        var slot = Int(truncatingIfNeeded: person.value) & mask
        while let found = slots[slot] {
            if found == person { return true }
            slot = (slot + 1) & mask
        }
        return false
    }

    /// Whether a text is the pseudonym of one of them, in the form in which the lake has it.
    func contains(_ text: Span<UInt8>) -> Bool {
        Pseudonym(text: text).map { contains($0) } ?? false
    }
}
