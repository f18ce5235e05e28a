internal import Compression

/// A page of a column chunk as its header describes it, and where its packed bytes are in the chunk.
struct ParquetPage: Equatable, Sendable {
    let isDictionary: Bool
    /// Values of a dictionary; of a data page its entries, those without a value counted.
    let count: Int
    let isPlain: Bool
    /// Number of the values' encoding.
    let encoding: Int64
    let rawBytes: Int
    let body: Range<Int>

    /// Numbers of `PageType`, `Encoding` and the field numbers of `PageHeader` and of what is in it.
    private enum Format {
        static let (dataPage, dictionaryPage): (Int64, Int64) = (0, 2)
        static let (plain, plainDictionary, rle, rleDictionary): (Int64, Int64, Int64, Int64) = (
            0, 2, 3, 8
        )
        static let (type, rawBytes, packedBytes, data, dictionary) = (1, 2, 3, 5, 7)
        static let (count, encoding, definitionEncoding, repetitionEncoding) = (1, 2, 3, 4)
    }

    /// The encoding of values as they are.
    static let plainEncoding = Format.plain

    /// A header is told from this many bytes, or it is one with more in it than is understood here.
    static let headerBytesMax = 1 << 16

    /// Reads the header that begins at `place`.
    init(reading bytes: ArraySlice<UInt8>, at place: Int) throws(ParquetError) {
        let (header, size) = try ThriftStruct.read(bytes[place...].prefix(Self.headerBytesMax))
        func bounded(_ number: Int64, _ most: Int) throws(ParquetError) -> Int {
            guard let number = Int(exactly: number), number >= 0 else { throw .malformedPage }
            guard number <= most else {
                throw ParquetError(.unfit, "a page is too large to be written anew")
            }
            return number
        }
        rawBytes = try bounded(
            try header.required(Format.rawBytes), ParquetChunk.rawBytesMax)
        let packed = try bounded(
            try header.required(Format.packedBytes), ParquetChunk.rawBytesMax)
        let start = place + size
        guard packed <= bytes.endIndex - start else { throw .malformedPage }
        body = start..<start + packed
        let inner: ThriftStruct?
        switch try header.required(Format.type) {
        case Format.dataPage:
            inner = try header.structure(Format.data)
            isDictionary = false
            guard try inner?.integer(Format.definitionEncoding) == Format.rle,
                try inner?.integer(Format.repetitionEncoding) == Format.rle
            else { throw Self.unfit("its levels have an encoding") }
        case Format.dictionaryPage:
            inner = try header.structure(Format.dictionary)
            isDictionary = true
        default: throw Self.unfit("it is of a type")
        }
        guard let inner else { throw .malformedPage }
        count = try bounded(try inner.required(Format.count), ParquetChunk.entriesMax)
        encoding = try inner.required(Format.encoding)
        switch encoding {
        case Format.plain: isPlain = true
        case Format.plainDictionary: isPlain = isDictionary
        case Format.rleDictionary where !isDictionary: isPlain = false
        default: throw Self.unfit("its values have an encoding")
        }
    }

    private static func unfit(_ what: String) -> ParquetError {
        ParquetError(.unfit, "a page cannot be written anew: \(what) that is not known here")
    }

    /// The header of a page of this file's writer.
    static func header(
        dictionary: Bool, count: Int, encoding: Int64, rawBytes: Int, packedBytes: Int
    ) -> [UInt8] {
        var inner = ThriftStruct()
        inner.put(Format.count, i32: count)
        inner.put(Format.encoding, i32: Int(encoding))
        if !dictionary {
            inner.put(Format.definitionEncoding, i32: Int(Format.rle))
            inner.put(Format.repetitionEncoding, i32: Int(Format.rle))
        }
        var header = ThriftStruct()
        header.put(Format.type, i32: Int(dictionary ? Format.dictionaryPage : Format.dataPage))
        header.put(Format.rawBytes, i32: rawBytes)
        header.put(Format.packedBytes, i32: packedBytes)
        header.put(dictionary ? Format.dictionary : Format.data, inner)
        return header.encoded
    }
}

/// The pages of one column chunk.
struct ParquetChunk: Sendable {
    /// How the pages are packed, by the format's number.
    enum Codec: Int64, Sendable {
        case none = 0
        case zstd = 6
    }

    let leaf: ParquetLeaf
    let codec: Codec
    /// Entries of all data pages.
    let entries: Int
    /// The bytes of the chunk, all of its pages.
    let bytes: [UInt8]
    let dictionary: ParquetPage?
    let pages: [ParquetPage]

    /// All pages of a chunk, unpacked. A chunk is in memory packed and unpacked, before and after, and once more while it is packed: five
    /// times this at most, 240 MB.
    static let rawBytesMax = 48 << 20
    /// Entries of all pages of a chunk: bounds the memory for levels and places, which pages of a few bytes may have many of.
    static let entriesMax = 1 << 24

    /// - Parameter place: where and what the chunk is.
    init(
        _ bytes: [UInt8], _ place: ParquetRowGroup.ChunkPlace, _ leaf: ParquetLeaf
    ) throws(ParquetError) {
        try self.init(bytes, place.codec, leaf)
        guard entries == place.entries else { throw .malformedPage }
    }

    /// A chunk of which no footer tells.
    init(_ bytes: [UInt8], _ codec: Codec, _ leaf: ParquetLeaf) throws(ParquetError) {
        self.leaf = leaf
        self.bytes = bytes
        self.codec = codec
        var dictionary: ParquetPage?
        var pages: [ParquetPage] = []
        var place = 0
        var (entries, raw) = (0, 0)
        while place < bytes.count {
            let page = try ParquetPage(reading: bytes[...], at: place)
            place = page.body.upperBound
            raw += page.rawBytes
            guard raw <= Self.rawBytesMax, entries <= Self.entriesMax else {
                throw ParquetError(.unfit, "a column chunk is too large to be written anew")
            }
            if page.isDictionary {
                guard dictionary == nil, pages.isEmpty else { throw .malformedPage }
                dictionary = page
            } else {
                guard page.isPlain || dictionary != nil else { throw .malformedPage }
                entries += page.count
                pages.append(page)
            }
        }
        if dictionary != nil, leaf.kind == .boolean {
            throw ParquetError(.unfit, "a column of booleans has a dictionary")
        }
        self.entries = entries
        self.dictionary = dictionary
        self.pages = pages
    }

    /// Unpacks a page over the first bytes of `raw`, with ``HybridRuns/paddingBytes`` bytes of zero behind it.
    func unpack(
        _ page: ParquetPage, into raw: inout [UInt8], _ frames: ZstdFrames
    ) throws(ParquetError) {
        let needed = page.rawBytes + HybridRuns.paddingBytes
        if raw.count < needed {
            raw.append(contentsOf: repeatElement(0, count: needed - raw.count))
        }
        switch codec {
        case .none:
            guard page.body.count == page.rawBytes else { throw .malformedPage }
            raw.replaceSubrange(0..<page.rawBytes, with: bytes[page.body])
        case .zstd:
            do {
                try frames.unpack(
                    bytes.span.extracting(page.body), count: page.rawBytes, into: &raw)
            } catch { throw .malformedPage }
        }
        for index in page.rawBytes..<needed { raw[index] = 0 }
    }
}

extension Span<UInt8> {
    /// Eight bytes from `place` on as a number, least significant first.
    @inline(__always)
    func word(at place: Int) -> UInt64 {
        // SAFETY: any eight bytes are a number, and that they are inside of the span is checked.
        unsafe UInt64(
            littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self))
    }
}
