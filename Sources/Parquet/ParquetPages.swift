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

    /// Whether little of it repeats, as of random numbers and of pseudonyms: it could not be packed to two fifths of its size.
    var isDense: Bool { body.count * 5 > rawBytes * 2 }

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
        func bounded(_ number: Int64?, _ most: Int) throws(ParquetError) -> Int {
            guard let number = number.flatMap({ Int(exactly: $0) }), number >= 0 else {
                throw .malformedPage
            }
            guard number <= most else {
                throw ParquetError(.unfit, "a page is too large to be written anew")
            }
            return number
        }
        var reader = CompactReader(bytes[place...].prefix(Self.headerBytesMax))
        var (type, raw, packed): (Int64?, Int64?, Int64?)
        var (data, dictionary): (Inner?, Inner?)
        var last = 0
        while let (id, kind) = try reader.ordered(after: last) {
            last = id
            switch id {
            case Format.type: type = try reader.integer(kind)
            case Format.rawBytes: raw = try reader.integer(kind)
            case Format.packedBytes: packed = try reader.integer(kind)
            case Format.data: data = try Inner(&reader, kind)
            case Format.dictionary: dictionary = try Inner(&reader, kind)
            default: try reader.pass(kind)
            }
        }
        rawBytes = try bounded(raw, ParquetChunk.rawBytesMax)
        let packedBytes = try bounded(packed, ParquetChunk.rawBytesMax)
        let start = reader.position
        guard packedBytes <= bytes.endIndex - start else { throw .malformedPage }
        body = start..<start + packedBytes
        let inner: Inner?
        switch type {
        case Format.dataPage:
            inner = data
            isDictionary = false
            guard data?.definitionEncoding == Format.rle, data?.repetitionEncoding == Format.rle
            else { throw Self.unfit("its levels have an encoding") }
        case Format.dictionaryPage:
            inner = dictionary
            isDictionary = true
        case nil: throw .malformedPage
        default: throw Self.unfit("it is of a type")
        }
        guard let inner, let number = inner.encoding else { throw .malformedPage }
        count = try bounded(inner.count, ParquetChunk.entriesMax)
        encoding = number
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

    /// `DataPageHeader`, or `DictionaryPageHeader`, which has the same first two fields.
    private struct Inner {
        var count: Int64?
        var encoding: Int64?
        var definitionEncoding: Int64?
        var repetitionEncoding: Int64?

        init(_ reader: inout CompactReader, _ type: ThriftType) throws(ParquetError) {
            guard type == .structure else { throw .malformedPage }
            var last = 0
            while let (id, kind) = try reader.ordered(after: last) {
                last = id
                switch (id, kind) {
                case (Format.count, _): count = try reader.integer(kind)
                case (Format.encoding, _): encoding = try reader.integer(kind)
                // In the header of a dictionary this number is of a boolean.
                case (Format.definitionEncoding, .i32):
                    definitionEncoding = try reader.integer(kind)
                case (Format.repetitionEncoding, .i32):
                    repetitionEncoding = try reader.integer(kind)
                default: try reader.pass(kind)
                }
            }
        }
    }

    /// Appends the header of a page of this file's writer.
    ///
    /// - Returns: how many bytes it has.
    static func appendHeader(
        dictionary: Bool, count: Int, encoding: Int64, rawBytes: Int, packedBytes: Int,
        to output: inout [UInt8]
    ) -> Int {
        let start = output.count
        CompactWriter.append(
            next: dictionary ? Format.dictionaryPage : Format.dataPage, to: &output)
        CompactWriter.append(next: Int64(rawBytes), to: &output)
        CompactWriter.append(next: Int64(packedBytes), to: &output)
        let number = dictionary ? Format.dictionary : Format.data
        CompactWriter.append(structureAfter: UInt8(number - Format.packedBytes), to: &output)
        CompactWriter.append(next: Int64(count), to: &output)
        CompactWriter.append(next: encoding, to: &output)
        if !dictionary {
            CompactWriter.append(next: Format.rle, to: &output)
            CompactWriter.append(next: Format.rle, to: &output)
        }
        output += [CompactWriter.end, CompactWriter.end]
        return output.count - start
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

    /// ``word(at:)`` of a place that is known to have eight bytes.
    @unsafe @inline(__always)
    func uncheckedWord(at place: Int) -> UInt64 {
        unsafe UInt64(
            littleEndian: bytes.unsafeLoadUnaligned(
                fromUncheckedByteOffset: place, as: UInt64.self))
    }
}

extension MutableSpan<UInt8> {
    /// Puts a number at `place`, least significant byte first.
    @inline(__always) @_lifetime(self: copy self)
    mutating func store(_ word: UInt64, at place: Int) {
        // SAFETY: that eight bytes from there on are inside of the span is checked.
        var raw = unsafe mutableBytes
        raw.storeBytes(of: word.littleEndian, toByteOffset: place, as: UInt64.self)
    }
}
