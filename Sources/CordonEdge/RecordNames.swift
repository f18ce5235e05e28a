internal import Consent
internal import CordonModel

/// Names in the form in which a record has them, ready to be copied: a count of two bytes, then the name.
struct RecordNames: Sendable {
    private var bytes: [UInt8] = []
    private var ends: [Int32] = [0]

    /// - Parameter emptyIsNull: whether a name of no bytes is none.
    init(_ names: NameList, emptyIsNull: Bool = false) {
        for index in 0..<names.count {
            let name = names.span(index)
            let count = min(name.count, HitBatch.textBytesMax)
            let isNull = emptyIsNull && name.isEmpty
            let written = isNull ? HitBatch.nullCount : UInt16(truncatingIfNeeded: count)
            bytes.append(UInt8(truncatingIfNeeded: written))
            bytes.append(UInt8(truncatingIfNeeded: written >> 8))
            for offset in 0..<count { bytes.append(name[offset]) }
            ends.append(Int32(bytes.count))
        }
    }

    /// The name at `index` as it stands in a record.
    @_lifetime(borrow self)
    func field(_ index: Int) -> Span<UInt8> {
        bytes.span.extracting(Int(ends[index])..<Int(ends[index + 1]))
    }
}
