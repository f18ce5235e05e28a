internal import CZstd

/// Unpacks Zstandard frames one after the other: `ZSTD_decompressStream`.
@safe final class ZstdStream {
    // SAFETY: made in `init` and freed in `deinit`.
    private let stream: OpaquePointer
    /// The last frame has ended and the next has not begun.
    private var isBetween = true

    /// Largest window of a frame: what the `zstd` command takes without being told otherwise is as much again.
    static let windowBytesMax = 1 << 26
    private static let windowBitsMax: Int32 = 26

    init() throws(CompressionError) {
        guard let made = unsafe ZSTD_createDStream() else {
            throw CompressionError(code: .outOfMemory, compression: .zstd)
        }
        unsafe stream = made
        _ = unsafe ZSTD_DCtx_setParameter(made, ZSTD_d_windowLogMax, Self.windowBitsMax)
    }

    deinit { _ = unsafe ZSTD_freeDStream(stream) }

    func step(
        _ packed: UnsafeRawBufferPointer, _ room: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> UnpackedSource.Step {
        if unsafe packed.isEmpty, isBetween { return .init(taken: 0, given: 0, mayEnd: true) }
        var input = unsafe ZSTD_inBuffer(src: packed.baseAddress, size: packed.count, pos: 0)
        var output = unsafe ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
        let left = unsafe ZSTD_decompressStream(stream, &output, &input)
        if ZSTD_isError(left) != 0 {
            let code: CompressionError.Code =
                switch ZSTD_getErrorCode(left) {
                case ZSTD_error_frameParameter_windowTooLarge: .windowTooLarge
                case ZSTD_error_memory_allocation: .outOfMemory
                default: .damaged
                }
            throw CompressionError(code: code, compression: .zstd)
        }
        isBetween = left == 0
        return .init(taken: unsafe input.pos, given: unsafe output.pos, mayEnd: isBetween)
    }
}
