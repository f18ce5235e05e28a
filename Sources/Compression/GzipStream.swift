internal import CZlib

/// Unpacks gzip members one after the other: `inflate(3)` of zlib.
@safe final class GzipStream {
    // SAFETY: zlib keeps a pointer to the structure that it was made with, so it stays in one place until `deinit`.
    private let stream: UnsafeMutablePointer<z_stream>
    /// The last member has ended and the next has not begun.
    private var isBetween = false

    init() throws(CompressionError) {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // 16 more than the window's bits asks for gzip and nothing else.
        let code = unsafe inflateInit2_(
            stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard code == Z_OK else {
            unsafe stream.deallocate()
            throw CompressionError(code: .outOfMemory, compression: .gzip)
        }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    func step(
        _ packed: UnsafeRawBufferPointer, _ room: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> UnpackedSource.Step {
        if unsafe packed.isEmpty, isBetween { return .init(taken: 0, given: 0, mayEnd: true) }
        if isBetween {
            // What follows a member is the next one, or zeros that some writers pad with.
            if unsafe packed[0] == 0 { return .init(taken: 1, given: 0, mayEnd: true) }
            guard unsafe inflateReset(stream) == Z_OK else {
                throw CompressionError(code: .damaged, compression: .gzip)
            }
            isBetween = false
        }
        // zlib reads through this pointer and never writes.
        unsafe stream.pointee.next_in = UnsafeMutablePointer(
            mutating: packed.bindMemory(to: UInt8.self).baseAddress)
        unsafe stream.pointee.avail_in = UInt32(packed.count)
        unsafe stream.pointee.next_out = room.bindMemory(to: UInt8.self).baseAddress
        unsafe stream.pointee.avail_out = UInt32(room.count)
        let code = unsafe inflate(stream, Z_NO_FLUSH)
        let taken = unsafe packed.count - Int(stream.pointee.avail_in)
        let given = unsafe room.count - Int(stream.pointee.avail_out)
        switch code {
        case Z_OK, Z_BUF_ERROR: break
        case Z_STREAM_END: isBetween = true
        case Z_MEM_ERROR: throw CompressionError(code: .outOfMemory, compression: .gzip)
        default: throw CompressionError(code: .damaged, compression: .gzip)
        }
        return .init(taken: taken, given: given, mayEnd: isBetween)
    }
}
