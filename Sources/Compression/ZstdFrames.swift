internal import CZstd

/// Packs and unpacks Zstandard data whose sizes are known, each piece in one call: `ZSTD_compress2`, `ZSTD_decompressDCtx`.
///
/// Keeps the library's memory from one piece to the next. Used by one thread at a time.
@safe package final class ZstdFrames {
    // SAFETY: both made in `init` and freed in `deinit`.
    private let packer: OpaquePointer
    private let unpacker: OpaquePointer
    private var room: [UInt8] = []

    /// - Parameter level: of the library; 1 is its fastest that still codes what does not repeat.
    package init(level: Int32) throws(CompressionError) {
        guard let packer = unsafe ZSTD_createCCtx() else {
            throw CompressionError(code: .outOfMemory, compression: .zstd)
        }
        guard let unpacker = unsafe ZSTD_createDCtx() else {
            _ = unsafe ZSTD_freeCCtx(packer)
            throw CompressionError(code: .outOfMemory, compression: .zstd)
        }
        unsafe self.packer = packer
        unsafe self.unpacker = unpacker
        _ = unsafe ZSTD_CCtx_setParameter(packer, ZSTD_c_compressionLevel, level)
    }

    deinit {
        _ = unsafe ZSTD_freeCCtx(packer)
        _ = unsafe ZSTD_freeDCtx(unpacker)
    }

    /// Unpacks one or more frames that hold exactly `count` bytes, over the first bytes of `buffer`, which has room for them.
    package func unpack(
        _ packed: Span<UInt8>, count: Int, into buffer: inout [UInt8]
    ) throws(CompressionError) {
        precondition(buffer.count >= count, "there is room for what is unpacked")
        let unpacker = unsafe self.unpacker
        let given = unsafe packed.withUnsafeBufferPointer { packed in
            unsafe buffer.withUnsafeMutableBufferPointer { room in
                unsafe ZSTD_decompressDCtx(
                    unpacker, room.baseAddress, count, packed.baseAddress, packed.count)
            }
        }
        guard ZSTD_isError(given) == 0, given == count else {
            throw CompressionError(code: .damaged, compression: .zstd)
        }
    }

    /// Appends `bytes`, packed as one frame.
    package func pack(
        _ bytes: Span<UInt8>, to output: inout [UInt8]
    ) throws(CompressionError) {
        let bound = ZSTD_compressBound(bytes.count)
        if room.count < bound { room = [UInt8](repeating: 0, count: bound) }
        let packer = unsafe self.packer
        let given = unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe room.withUnsafeMutableBufferPointer { room in
                unsafe ZSTD_compress2(
                    packer, room.baseAddress, room.count, bytes.baseAddress, bytes.count)
            }
        }
        guard ZSTD_isError(given) == 0 else {
            throw CompressionError(code: .outOfMemory, compression: .zstd)
        }
        output += room[..<given]
    }
}
