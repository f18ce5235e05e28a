/// A struct of Thrift's compact protocol, opened one level deep: each field with its value's bytes as they are.
///
/// ```
/// struct := field* 0x00
/// field  := (id - id before) << 4 | type, value              when the step is 1 to 15
///         | type, id:zigzag varint, value
/// list   := count << 4 | type, element*                      below 15 elements
///         | 0xF0 | type, count:varint, element*
/// ```
/// Nothing is decoded that is not asked for, and what is not changed is written again byte by byte.
package struct ThriftStruct: Equatable, Sendable {
    package struct Field: Equatable, Sendable {
        package let id: Int
        package fileprivate(set) var type: ThriftType
        /// The value without its field's head; a boolean has none, because its type says it.
        package fileprivate(set) var value: ArraySlice<UInt8>
    }

    package private(set) var fields: [Field] = []

    /// Fields of one struct: the largest of the format has fewer than twenty.
    package static let fieldsMax = 256
    private static let fieldsMostly = 14

    /// Reads a whole struct, and nothing may follow it.
    package init(decoding bytes: ArraySlice<UInt8>) throws(ParquetError) {
        var reader = CompactReader(bytes)
        // Most have fewer, and none grows step by step.
        fields.reserveCapacity(Self.fieldsMostly)
        while let (id, type) = try reader.field(after: fields.last?.id ?? 0) {
            guard fields.count < Self.fieldsMax, id > fields.last?.id ?? 0 || field(id) == nil
            else {
                throw .malformed
            }
            fields.append(Field(id: id, type: type, value: try reader.value(type)))
        }
        guard reader.isAtEnd else { throw .malformed }
    }

    /// A struct without fields.
    init() {}

    package func field(_ id: Int) -> Field? { fields.first { $0.id == id } }

    private func value(_ id: Int, _ types: ThriftType...) throws(ParquetError) -> CompactReader? {
        guard let field = field(id) else { return nil }
        guard types.contains(field.type) else { throw .malformed }
        return CompactReader(field.value)
    }

    /// The integer of 16, 32 or 64 bits in a field; nil when there is no such field.
    package func integer(_ id: Int) throws(ParquetError) -> Int64? {
        var reader = try value(id, .i16, .i32, .i64)
        return try reader?.zigzag()
    }

    /// The integer of a field that must be there.
    func required(_ id: Int) throws(ParquetError) -> Int64 {
        guard let number = try integer(id) else { throw .malformed }
        return number
    }

    /// The bytes in a field; nil when there is no such field.
    func binary(_ id: Int) throws(ParquetError) -> ArraySlice<UInt8>? {
        guard var reader = try value(id, .binary) else { return nil }
        return try reader.binary()
    }

    /// The bytes of a list's elements; nil when there is no such field.
    func binaries(_ id: Int) throws(ParquetError) -> [ArraySlice<UInt8>]? {
        guard var reader = try value(id, .list) else { return nil }
        let (count, type) = try reader.listHead()
        guard type == .binary || count == 0 else { throw .malformed }
        var found: [ArraySlice<UInt8>] = []
        for _ in 0..<count { found.append(try reader.binary()) }
        return found
    }

    /// Whether a field says yes; nil when there is no such field.
    func boolean(_ id: Int) throws(ParquetError) -> Bool? {
        guard let field = field(id) else { return nil }
        guard field.type == .yes || field.type == .no else { throw .malformed }
        return field.type == .yes
    }

    /// The struct in a field; nil when there is no such field.
    package func structure(_ id: Int) throws(ParquetError) -> ThriftStruct? {
        guard let reader = try value(id, .structure) else { return nil }
        return try ThriftStruct(decoding: reader.rest)
    }

    /// The structs of a list; nil when there is no such field.
    package func structures(_ id: Int) throws(ParquetError) -> [ThriftStruct]? {
        guard var reader = try value(id, .list) else { return nil }
        let (count, type) = try reader.listHead()
        guard type == .structure || count == 0 else { throw .malformed }
        var found: [ThriftStruct] = []
        for _ in 0..<count {
            found.append(try ThriftStruct(decoding: try reader.value(.structure)))
        }
        return found
    }

    /// Gives an integer field that there is another value; its width stays.
    package mutating func set(_ id: Int, to number: Int64) {
        replace(id, among: [.i16, .i32, .i64], by: CompactWriter.zigzag(number))
    }

    package mutating func set(_ id: Int, to structure: ThriftStruct) {
        replace(id, among: [.structure], by: structure.encoded)
    }

    package mutating func set(_ id: Int, to structures: [ThriftStruct]) {
        var bytes = CompactWriter.listHead(structures.count, of: .structure)
        for structure in structures { bytes += structure.encoded }
        replace(id, among: [.list], by: bytes)
    }

    private mutating func replace(_ id: Int, among types: Set<ThriftType>, by bytes: [UInt8]) {
        guard let index = fields.firstIndex(where: { $0.id == id && types.contains($0.type) })
        else { preconditionFailure("a field is changed that was not read before") }
        fields[index].value = bytes[...]
    }

    /// Puts a field in, in the place of one that there may be.
    private mutating func put(_ id: Int, _ type: ThriftType, _ value: [UInt8]) {
        remove(id)
        let place = fields.firstIndex { $0.id > id } ?? fields.endIndex
        fields.insert(Field(id: id, type: type, value: value[...]), at: place)
    }

    mutating func put(_ id: Int, i32 number: Int) {
        put(id, .i32, CompactWriter.zigzag(Int64(number)))
    }
    mutating func put(_ id: Int, i64 number: Int64) { put(id, .i64, CompactWriter.zigzag(number)) }
    mutating func put(_ id: Int, _ flag: Bool) { put(id, flag ? .yes : .no, []) }
    mutating func put(_ id: Int, _ structure: ThriftStruct) {
        put(id, .structure, structure.encoded)
    }

    mutating func put(_ id: Int, binary bytes: [UInt8]) {
        put(id, .binary, CompactWriter.varint(UInt64(bytes.count)) + bytes)
    }

    mutating func put(_ id: Int, i32s numbers: [Int]) {
        put(
            id, .list,
            CompactWriter.listHead(numbers.count, of: .i32)
                + numbers.flatMap { CompactWriter.zigzag(Int64($0)) })
    }

    mutating func remove(_ id: Int) { fields.removeAll { $0.id == id } }

    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        var last = 0
        for field in fields {
            bytes += CompactWriter.fieldHead(field.id, field.type, after: last)
            bytes += field.value
            last = field.id
        }
        bytes.append(0)
        return bytes
    }
}

/// The types of values, by the number that a field or list names them with.
package enum ThriftType: UInt8, Sendable {
    case yes = 1
    case no, byte, i16, i32, i64, double, binary, list, set, map, structure
}

/// Reads the compact protocol front to back from untrusted bytes.
struct CompactReader {
    private let bytes: ArraySlice<UInt8>
    /// Where in the bytes the next is.
    private(set) var position: Int

    /// Deeper than any struct of the format; bounds the stack.
    private static let nestingMax = 32
    /// Elements of one list: more columns or row groups than any file has.
    private static let elementsMax = 1 << 20

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    var isAtEnd: Bool { position == bytes.endIndex }
    var rest: ArraySlice<UInt8> { bytes[position...] }
    private var left: Int { bytes.endIndex - position }

    private mutating func take(_ count: UInt64) throws(ParquetError) {
        guard count <= UInt64(left) else { throw .malformed }
        position += Int(count)
    }

    private mutating func byte() throws(ParquetError) -> UInt8 {
        guard position < bytes.endIndex else { throw .malformed }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func varint() throws(ParquetError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            let byte = try byte()
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw .malformed
    }

    mutating func zigzag() throws(ParquetError) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    mutating func binary() throws(ParquetError) -> ArraySlice<UInt8> {
        let count = try varint()
        let start = position
        try take(count)
        return bytes[start..<position]
    }

    private func type(_ number: UInt8) throws(ParquetError) -> ThriftType {
        guard let type = ThriftType(rawValue: number) else { throw .malformed }
        return type
    }

    /// The next field's id and type; nil at the end of the struct.
    mutating func field(after last: Int) throws(ParquetError) -> (id: Int, type: ThriftType)? {
        let head = try byte()
        guard head != 0 else { return nil }
        let type = try type(head & 0x0F)
        if head >> 4 > 0 { return (last + Int(head >> 4), type) }
        guard let id = Int16(exactly: try zigzag()) else { throw .malformed }
        return (Int(id), type)
    }

    /// The next field of a struct whose fields come in the order of their ids; nil at its end.
    mutating func ordered(after last: Int) throws(ParquetError) -> (id: Int, type: ThriftType)? {
        guard let next = try field(after: last) else { return nil }
        guard next.id > last else { throw .malformed }
        return next
    }

    /// The integer of 16, 32 or 64 bits that comes, of a field of this type.
    mutating func integer(_ type: ThriftType) throws(ParquetError) -> Int64 {
        switch type {
        case .i16, .i32, .i64: try zigzag()
        default: throw .malformed
        }
    }

    mutating func listHead() throws(ParquetError) -> (count: Int, type: ThriftType) {
        let head = try byte()
        let count = head >> 4 < 15 ? UInt64(head >> 4) : try varint()
        // Every element has a byte at least.
        guard count <= UInt64(left), count <= UInt64(Self.elementsMax) else {
            throw .malformed
        }
        return (Int(count), try type(head & 0x0F))
    }

    /// The bytes of one value, and goes behind it.
    mutating func value(_ type: ThriftType) throws(ParquetError) -> ArraySlice<UInt8> {
        let start = position
        try pass(type, 0)
        return bytes[start..<position]
    }

    /// Goes behind one value.
    mutating func pass(_ type: ThriftType, _ depth: Int = 1) throws(ParquetError) {
        guard depth < Self.nestingMax else { throw .malformed }
        switch type {
        case .yes, .no: break
        case .byte: try take(1)
        case .i16, .i32, .i64: _ = try varint()
        case .double: try take(8)
        case .binary: try take(try varint())
        case .list, .set:
            let (count, type) = try listHead()
            for _ in 0..<count { try passElement(type, depth) }
        case .map:
            let count = try varint()
            guard count > 0 else { return }
            guard count <= UInt64(left) else { throw .malformed }
            let types = try byte()
            let (key, value) = (try self.type(types >> 4), try self.type(types & 0x0F))
            for _ in 0..<count {
                try passElement(key, depth)
                try passElement(value, depth)
            }
        case .structure:
            var last = 0
            while let (id, type) = try field(after: last) {
                last = id
                try pass(type, depth + 1)
            }
        }
    }

    /// A boolean outside of a struct is a byte of its own.
    private mutating func passElement(_ type: ThriftType, _ depth: Int) throws(ParquetError) {
        if type == .yes || type == .no { try take(1) } else { try pass(type, depth + 1) }
    }
}

/// Writes the compact protocol.
enum CompactWriter {
    static func varint(_ number: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        append(varint: number, to: &bytes)
        return bytes
    }

    private static func append(varint number: UInt64, to bytes: inout [UInt8]) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    static func zigzag(_ number: Int64) -> [UInt8] {
        var bytes: [UInt8] = []
        append(zigzag: number, to: &bytes)
        return bytes
    }

    private static func append(zigzag number: Int64, to bytes: inout [UInt8]) {
        append(varint: UInt64(bitPattern: number << 1 ^ number >> 63), to: &bytes)
    }

    /// Appends a field of 32 bits whose id is the one behind the field's before.
    static func append(next i32: Int64, to bytes: inout [UInt8]) {
        bytes.append(1 << 4 | ThriftType.i32.rawValue)
        append(zigzag: i32, to: &bytes)
    }

    /// Appends the head of a struct whose id is `step` behind that of the field before.
    static func append(structureAfter step: UInt8, to bytes: inout [UInt8]) {
        bytes.append(step << 4 | ThriftType.structure.rawValue)
    }

    static let end: UInt8 = 0

    static func fieldHead(_ id: Int, _ type: ThriftType, after last: Int) -> [UInt8] {
        let step = id - last
        return (1...15).contains(step)
            ? [UInt8(step) << 4 | type.rawValue] : [type.rawValue] + zigzag(Int64(id))
    }

    static func listHead(_ count: Int, of type: ThriftType) -> [UInt8] {
        count < 15
            ? [UInt8(count) << 4 | type.rawValue] : [0xF0 | type.rawValue] + varint(UInt64(count))
    }
}
