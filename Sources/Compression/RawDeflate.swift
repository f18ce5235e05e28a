internal import CZlib

/// Deflate without any wrapping (RFC 1951), as blocks of Avro files have it.
package enum RawDeflate {
    /// Unpacks one whole stream.
    ///
    /// - Parameter bytesMax: a stream that gives more is damaged as far as the caller is concerned.
    package static func unpack(
        _ packed: [UInt8], bytesMax: Int
    ) throws(CompressionError) -> [UInt8] {
        var stream = unsafe z_stream()
        // A negative number of window bits asks for no wrapping.
        let made = unsafe inflateInit2_(
            &stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard made == Z_OK else { throw CompressionError(code: .outOfMemory, compression: .gzip) }
        defer { unsafe inflateEnd(&stream) }
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        var code = Z_OK
        unsafe packed.withUnsafeBufferPointer { input in
            // zlib reads through this pointer and never writes.
            unsafe stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            unsafe stream.avail_in = UInt32(input.count)
            repeat {
                let given = unsafe chunk.withUnsafeMutableBufferPointer { room in
                    unsafe stream.next_out = room.baseAddress
                    unsafe stream.avail_out = UInt32(room.count)
                    code = unsafe inflate(&stream, Z_NO_FLUSH)
                    return unsafe room.count - Int(stream.avail_out)
                }
                output += chunk.prefix(given)
                if given == 0 { break }
            } while code == Z_OK && output.count <= bytesMax
        }
        guard code == Z_STREAM_END, output.count <= bytesMax else {
            throw CompressionError(code: .damaged, compression: .gzip)
        }
        return output
    }
}
