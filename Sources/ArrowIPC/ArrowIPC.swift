/// Results of the engine as a stream of Apache Arrow: the IPC streaming format of the Arrow columnar format, version 5 of its
/// metadata.
///
/// A stream is a schema, record batches, and an end. Each of the first two is an encapsulated message: FlatBuffers metadata,
/// written by a small encoder of its own, and for a batch the columns' buffers. It writes only, in the order of the bytes of this
/// machine (little), without compression and without dictionaries: a dictionary's values stand where it points at them. Start at
/// ``ArrowStreamEncoder``.
///
/// INVARIANT: what stands under a null never leaves. The engine may keep a value there that a mask took out of the result, so
/// slots of nulls are zero, their texts and lists are empty, and the members of a null structure are null.
package enum ArrowIPC {
    /// Every buffer, and every message, begins at a multiple of this, as the format recommends, so that a stream that is mapped
    /// into memory is read in place.
    static let alignment = 64
    /// What begins each message, so that no length of an older format is read in its place.
    static let continuation: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
}

/// Why a batch cannot be encoded.
package enum ArrowIPCError: Error, Equatable, Sendable {
    /// Its buffers would take more bytes than they may, or than the offsets of texts and lists reach.
    case tooLarge
}
