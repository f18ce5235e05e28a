internal import Bytes
internal import Consent

/// A run of bytes in memory of its own, filled anew for each request: appending looks at no owner and, up to the capacity
/// that it was made with, allocates nothing.
@safe final class ByteScratch {
    // SAFETY: allocated in `init` and `grow`, freed in `deinit`; `count` never passes `capacity`.
    private var start: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        unsafe start = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    deinit { unsafe start.deallocate() }

    var isEmpty: Bool { count == 0 }

    func clear() { count = 0 }

    @inline(__always)
    func append(_ byte: UInt8) {
        if count == capacity { grow() }
        unsafe start[count] = byte
        count &+= 1
    }

    /// Appends `range` of a query's bytes with its escapes taken out.
    func append(decoding range: Range<Int>, of bytes: Span<UInt8>) {
        // SAFETY: no more bytes come out than the range has, and there is room for those and the decoder's word.
        let room = unsafe reserve(range.count + 8)
        var decoder = FormDecoder(range, form: .query)
        count &+= unsafe decoder.decode(bytes, into: room, limit: range.count)
    }

    /// Appends `range` of `bytes` with capitals as small letters.
    func append(lowercasing range: Range<Int>, of bytes: Span<UInt8>) {
        // SAFETY: there is room for as many bytes as the range has.
        let room = unsafe reserve(range.count)
        unsafe ByteWord.lowercase(bytes.extracting(range), into: room)
        count &+= range.count
    }

    /// Where `more` bytes can be written behind those that there are.
    private func reserve(_ more: Int) -> UnsafeMutablePointer<UInt8> {
        while capacity &- count < more { grow() }
        return unsafe start + count
    }

    @inline(never)
    private func grow() {
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * 2)
        unsafe larger.update(from: start, count: count)
        unsafe start.deallocate()
        unsafe start = larger
        capacity *= 2
    }

    var span: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let span = unsafe Span(_unsafeStart: start, count: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }
}
