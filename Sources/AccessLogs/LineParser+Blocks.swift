internal import CLinux

// Looking at many bytes at once.
extension LineParser {
    /// Bytes that are compared at once.
    static let blockBytes = 64

    /// Bits for the first `count` bytes of a block.
    @inline(__always)
    static func mask(_ count: Int) -> UInt64 {
        count >= blockBytes ? .max : count <= 0 ? 0 : (1 &<< UInt64(count)) &- 1
    }

    /// Which bytes of a block are `byte`.
    @unsafe @inline(__always)
    static func marks(_ byte: UInt8, _ block: UnsafePointer<UInt8>) -> UInt64 {
        unsafe clinux_marks(block, byte)
    }

    /// Which bytes of a block are less than `limit`.
    @unsafe @inline(__always)
    static func marksBelow(_ limit: UInt8, _ block: UnsafePointer<UInt8>) -> UInt64 {
        unsafe clinux_marks_below(block, limit)
    }

    /// Which bytes of a block are control characters; a tab is none.
    @unsafe @inline(__always)
    static func controls(_ block: UnsafePointer<UInt8>) -> UInt64 {
        unsafe marksBelow(0x20, block) & ~marks(0x09, block) | marks(0x7F, block)
    }

    /// Where `byte` first stands in a part of ``out``.
    @inline(__always)
    func index(of byte: UInt8, _ start: Int, _ end: Int) -> Int? {
        var block = start
        while block < end {
            // SAFETY: blocks may reach beyond the part, whose marks alone are looked at.
            let found = unsafe Self.marks(byte, out + block) & Self.mask(end - block)
            if found != 0 { return block + found.trailingZeroBitCount }
            block += Self.blockBytes
        }
        return nil
    }

    /// Where `first` or `second` first stands in a part of ``out``.
    func index(of first: UInt8, or second: UInt8, _ start: Int, _ end: Int) -> Int? {
        var block = start
        while block < end {
            // SAFETY: as above.
            let found =
                unsafe (Self.marks(first, out + block) | Self.marks(second, out + block))
                & Self.mask(end - block)
            if found != 0 { return block + found.trailingZeroBitCount }
            block += Self.blockBytes
        }
        return nil
    }

    /// Whether the bytes can stand in a request's target: what the live parser takes.
    func isTarget(_ range: LogEntry.Text) -> Bool {
        let end = Int(range.end)
        var block = Int(range.start)
        while block < end {
            // SAFETY: as in `index`.
            let bad =
                unsafe Self.marksBelow(0x21, out + block) | ~Self.marksBelow(0x7F, out + block)
                | Self.marks(0x23, out + block)
            if bad & Self.mask(end - block) != 0 { return false }
            block += Self.blockBytes
        }
        return true
    }

    /// Whether the bytes can stand in a header's value: no control characters but the tabulator.
    func isHeaderValue(_ text: LogEntry.Text) -> Bool {
        let end = Int(text.end)
        var block = Int(text.start)
        while block < end {
            // SAFETY: as in `index`.
            if unsafe Self.controls(out + block) & Self.mask(end - block) != 0 { return false }
            block += Self.blockBytes
        }
        return true
    }

    /// The same for a text that is `logged` without its escapes; where there were none, the whole line was looked at.
    @inline(__always)
    func isHeaderValue(_ text: LogEntry.Text, from logged: LogEntry.Text) -> Bool {
        text == logged && !mayHaveControls || isHeaderValue(text)
    }
}
