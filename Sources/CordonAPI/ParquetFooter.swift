internal import LinuxIO

/// The schema of a Parquet file, read from its footer (parquet-format, `parquet.thrift`; Thrift's compact protocol) as far as
/// one question needs: has every column a field id? Some readers see no rows, and say nothing, where they lack.
struct ParquetFooter {
    /// Columns and groups below the root, with their field id where there is one.
    private(set) var elements: [(children: Int, fieldID: Int?)] = []

    /// Larger footers are of files with more columns than any schema here has.
    static let bytesMax = 16 << 20
    private static let magic = Array("PAR1".utf8)

    init(_ file: borrowing File, bytes: Int) throws {
        guard bytes >= 12 else { throw Self.broken }
        let tail = try file.read(at: bytes - 8, count: 8)
        guard tail.count == 8, Array(tail[4...]) == Self.magic,
            try file.read(at: 0, count: 4) == Self.magic
        else { throw Self.broken }
        let size = (0..<4).reduce(0) { $0 | Int(tail[$1]) << (8 * $1) }
        guard size <= Self.bytesMax, size <= bytes - 12 else { throw Self.broken }
        try self.init(try file.read(at: bytes - 8 - size, count: size))
    }

    /// Reads `FileMetaData`, of which field 2 is the list of schema elements.
    init(_ footer: [UInt8]) throws(APIError) {
        var reader = CompactReader(footer)
        var last = 0
        while let (id, type) = try reader.field(after: last) {
            last = id
            if id == 2, type == CompactReader.listType {
                let count = try reader.listHead(of: CompactReader.structType)
                for index in 0..<count {
                    let element = try Self.element(&reader)
                    // The first is the root, which is no column.
                    if index > 0 { elements.append(element) }
                }
                return
            }
            try reader.skip(type, 0)
        }
        throw Self.broken
    }

    /// `SchemaElement`: field 5 counts the children, field 9 is the field id.
    private static func element(
        _ reader: inout CompactReader
    ) throws(APIError) -> (children: Int, fieldID: Int?) {
        var children = 0
        var fieldID: Int?
        var last = 0
        while let (id, type) = try reader.field(after: last) {
            last = id
            switch (id, type) {
            case (5, CompactReader.i32Type): children = Int(try reader.zigzag())
            case (9, CompactReader.i32Type): fieldID = Int(try reader.zigzag())
            default: try reader.skip(type, 0)
            }
        }
        return (children, fieldID)
    }

    /// Every column has one; of groups only those of lists and maps may lack it, which Iceberg gives none.
    func requireFieldIDs() throws(APIError) {
        guard elements.allSatisfy({ $0.children > 0 || $0.fieldID != nil }) else {
            throw .hostile(
                "a data file has columns without field ids, which some readers read as no rows at all",
                reason: "forged-files")
        }
    }

    fileprivate static var broken: APIError {
        .hostile("a data file is no Parquet file", reason: "forged-files")
    }
}

/// Thrift's compact protocol, as much of it as leads to a field.
private struct CompactReader {
    private let bytes: [UInt8]
    private var position = 0

    static let i32Type: UInt8 = 5
    static let listType: UInt8 = 9
    static let structType: UInt8 = 12
    private static let nestingMax = 32

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private mutating func byte() throws(APIError) -> UInt8 {
        guard position < bytes.count else { throw ParquetFooter.broken }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func varint() throws(APIError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            let byte = try byte()
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw ParquetFooter.broken
    }

    mutating func zigzag() throws(APIError) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// The next field's id and type; nil at the end of the struct.
    mutating func field(after last: Int) throws(APIError) -> (id: Int, type: UInt8)? {
        let head = try byte()
        guard head != 0 else { return nil }
        let delta = Int(head >> 4)
        let id = delta > 0 ? last + delta : Int(truncatingIfNeeded: try zigzag())
        return (id, head & 0x0F)
    }

    private mutating func listHead() throws(APIError) -> (count: Int, type: UInt8) {
        let head = try byte()
        let short = Int(head >> 4)
        let count = short < 15 ? short : Int(truncatingIfNeeded: try varint())
        // An element has a byte at least, but for booleans, of which a footer has no lists.
        guard count >= 0, count <= bytes.count - position else { throw ParquetFooter.broken }
        return (count, head & 0x0F)
    }

    mutating func listHead(of type: UInt8) throws(APIError) -> Int {
        let head = try listHead()
        guard head.type == type else { throw ParquetFooter.broken }
        return head.count
    }

    private mutating func pass(_ count: UInt64) throws(APIError) {
        guard count <= UInt64(bytes.count - position) else { throw ParquetFooter.broken }
        position += Int(count)
    }

    mutating func skip(_ type: UInt8, _ depth: Int) throws(APIError) {
        guard depth < Self.nestingMax else { throw ParquetFooter.broken }
        switch type {
        case 1, 2: break
        case 3: _ = try byte()
        case 4, 5, 6: _ = try varint()
        case 7: try pass(8)
        case 8: try pass(try varint())
        case 9, 10:
            let head = try listHead()
            for _ in 0..<head.count {
                // A boolean in a list is a byte of its own.
                if head.type <= 2 { _ = try byte() } else { try skip(head.type, depth + 1) }
            }
        case 11:
            let count = try varint()
            guard count <= UInt64(bytes.count - position) else { throw ParquetFooter.broken }
            guard count > 0 else { return }
            let types = try byte()
            for _ in 0..<count {
                try skip(types >> 4, depth + 1)
                try skip(types & 0x0F, depth + 1)
            }
        case 12:
            var last = 0
            while let (id, type) = try field(after: last) {
                last = id
                try skip(type, depth + 1)
            }
        default: throw ParquetFooter.broken
        }
    }
}
