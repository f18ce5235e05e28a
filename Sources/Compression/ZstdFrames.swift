internal import CZstd

/// Packs and unpacks Zstandard data whose sizes are known, each piece in one call: `ZSTD_compress2`, `ZSTD_decompressDCtx`.
///
/// Keeps the library's memory from one piece to the next. Used by one thread at a time.
@safe package final class ZstdFrames {
    // SAFETY: both made in `init` and freed in `deinit`.
    private let packer: OpaquePointer
    private let unpacker: OpaquePointer
    private var room: [UInt8] = []
    private var packed = 0..<0
    private let level: Int32

    /// The level for bytes in which little repeats: the library looks for what does at every fourth place.
    private static let quickLevel: Int32 = -3

    /// - Parameter level: of the library; 1 is its fastest that still codes what does not repeat.
    package init(level: Int32) throws(CompressionError) {
        self.level = level
        guard let packer = unsafe ZSTD_createCCtx() else {
            throw CompressionError(code: .outOfMemory, compression: .zstd)
        }
        guard let unpacker = unsafe ZSTD_createDCtx() else {
            _ = unsafe ZSTD_freeCCtx(packer)
            throw CompressionError(code: .outOfMemory, compression: .zstd)
        }
        unsafe self.packer = packer
        unsafe self.unpacker = unpacker
        // The literal compression mode, by the name that it has in all versions: 1 codes what does not repeat also below level 1. A
        // library that does not know it packs the same less closely.
        _ = unsafe ZSTD_CCtx_setParameter(packer, ZSTD_c_experimentalParam5, 1)
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

    /// Packs `bytes` as one frame, which ``packed`` has until the next is packed.
    ///
    /// - Parameter quickly: whether it looks less closely for what repeats: for bytes of which it is known that little does.
    /// - Returns: how many bytes it has.
    package func pack(
        _ bytes: Span<UInt8>, quickly: Bool = false
    ) throws(CompressionError) -> Int {
        let bound = ZSTD_compressBound(bytes.count)
        if room.count < bound { room = [UInt8](repeating: 0, count: bound) }
        let packer = unsafe self.packer
        _ = unsafe ZSTD_CCtx_setParameter(
            packer, ZSTD_c_compressionLevel, quickly ? Self.quickLevel : level)
        let given = unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe room.withUnsafeMutableBufferPointer { room in
                unsafe ZSTD_compress2(
                    packer, room.baseAddress, room.count, bytes.baseAddress, bytes.count)
            }
        }
        guard ZSTD_isError(given) == 0 else {
            throw CompressionError(code: .outOfMemory, compression: .zstd)
        }
        packed = 0..<given
        return given
    }

    /// The frame that was packed last.
    package func appendPacked(to output: inout [UInt8]) { output += room[packed] }
}
