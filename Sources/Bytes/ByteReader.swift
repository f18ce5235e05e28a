/// Reads integers and runs of bytes front to back from untrusted input; every read is bounded.
package struct ByteReader: Sendable {
    /// What was being read.
    package let bytes: ArraySlice<UInt8>
    /// Index of the next byte, in the indices of `bytes`.
    package private(set) var position: Int

    /// The input ended before what was asked for, or held what no writer makes.
    package struct Malformed: Error, Equatable, Sendable {
        /// Where reading stopped, in bytes from the start of the input.
        package let offset: Int
        package init(offset: Int) { self.offset = offset }
    }

    package init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    package init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    package var isAtEnd: Bool { position == bytes.endIndex }
    package var remainingCount: Int { bytes.endIndex - position }

    /// The error that names the present place.
    package var malformed: Malformed { Malformed(offset: position - bytes.startIndex) }

    package mutating func take(_ count: Int) throws(Malformed) -> ArraySlice<UInt8> {
        guard count >= 0, count <= remainingCount else { throw malformed }
        defer { position += count }
        return bytes[position..<position + count]
    }

    package mutating func byte() throws(Malformed) -> UInt8 {
        let run = try take(1)
        return run[run.startIndex]
    }

    /// An integer whose least significant byte comes first.
    @inlinable
    package mutating func littleEndian<Integer: FixedWidthInteger>(
        _ type: Integer.Type
    ) throws(Malformed) -> Integer {
        Integer(
            truncatingIfNeeded: try word(bytes: Integer.bitWidth / 8).byteSwapped
                >> UInt128(128 - Integer.bitWidth))
    }

    /// An integer whose most significant byte comes first.
    @inlinable
    package mutating func bigEndian<Integer: FixedWidthInteger>(
        _ type: Integer.Type
    ) throws(Malformed) -> Integer {
        Integer(truncatingIfNeeded: try word(bytes: Integer.bitWidth / 8))
    }

    /// The next `count` bytes, at most 16, as a number whose most significant byte comes first. Not generic, so
    /// that the loop is fast also where a caller's type is not specialised.
    package mutating func word(bytes count: Int) throws(Malformed) -> UInt128 {
        precondition(count <= 16, "a word has at most 16 bytes")
        var value: UInt128 = 0
        for byte in try take(count) { value = value << 8 | UInt128(byte) }
        return value
    }
}

extension [UInt8] {
    /// Appends `value`, least significant byte first.
    @inlinable
    package mutating func append<Integer: FixedWidthInteger>(littleEndian value: Integer) {
        for index in 0..<Integer.bitWidth / 8 {
            append(UInt8(truncatingIfNeeded: value >> Integer(index * 8)))
        }
    }

    /// Appends `value`, most significant byte first.
    @inlinable
    package mutating func append<Integer: FixedWidthInteger>(bigEndian value: Integer) {
        for index in (0..<Integer.bitWidth / 8).reversed() {
            append(UInt8(truncatingIfNeeded: value >> Integer(index * 8)))
        }
    }
}
