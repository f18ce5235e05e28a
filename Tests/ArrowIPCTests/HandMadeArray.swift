import CADBC

@testable import Engine

/// An Arrow array made by hand, as the engine never gives one: other types, offsets, values under nulls.
///
/// What it points at is never given back: columns may look at it as long as the test runs.
struct HandMadeArray {
    let array: ArrowArray

    /// - Parameters:
    ///   - length: rows behind `offset`.
    ///   - valid: which rows of the buffers are valid, those before the offset too; nil for all.
    ///   - buffers: all but the validity.
    init(
        length: Int, offset: Int = 0, valid: [Bool]? = nil, _ buffers: [[UInt8]],
        children: [HandMadeArray] = [], dictionary: HandMadeArray? = nil
    ) {
        var bits = [UInt8](repeating: 0, count: (valid ?? []).count / 8 + 1)
        for (index, isValid) in (valid ?? []).enumerated() where isValid {
            bits[index / 8] |= 1 << UInt8(index % 8)
        }
        var array = ArrowArray()
        array.length = Int64(length)
        array.offset = Int64(offset)
        array.null_count = valid == nil ? 0 : -1
        array.n_buffers = Int64(buffers.count + 1)
        let places = UnsafeMutablePointer<UnsafeRawPointer?>.allocate(capacity: buffers.count + 1)
        places[0] = valid == nil ? nil : Self.kept(bits)
        for (index, buffer) in buffers.enumerated() { places[index + 1] = Self.kept(buffer) }
        array.buffers = places
        array.n_children = Int64(children.count)
        let members = UnsafeMutablePointer<UnsafeMutablePointer<ArrowArray>?>.allocate(
            capacity: max(1, children.count))
        for (index, child) in children.enumerated() { members[index] = child.pointer }
        array.children = members
        array.dictionary = dictionary?.pointer
        self.array = array
    }

    /// A batch of one column.
    func batch(_ type: ColumnType) -> ColumnBatch {
        let owner = ArrowArrayOwner()
        owner.pointer.pointee =
            HandMadeArray(length: Int(array.length), [], children: [self]).array
        return ColumnBatch(owner, fields: [.init(name: "v", type: type)])
    }

    private var pointer: UnsafeMutablePointer<ArrowArray> {
        let pointer = UnsafeMutablePointer<ArrowArray>.allocate(capacity: 1)
        pointer.initialize(to: array)
        return pointer
    }

    private static func kept(_ bytes: [UInt8]) -> UnsafeRawPointer {
        let copy = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, bytes.count), alignment: 64)
        copy.copyBytes(from: bytes)
        return UnsafeRawPointer(copy.baseAddress!)
    }

    /// Numbers as a buffer.
    static func slots<Value: FixedWidthInteger>(_ values: [Value]) -> [UInt8] {
        values.flatMap { value in
            (0..<Value.bitWidth / 8).map {
                UInt8(truncatingIfNeeded: value >> Value(8 * $0))
            }
        }
    }
}
