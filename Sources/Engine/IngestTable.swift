internal import CADBC
internal import Glibc

/// Rows on their way into the engine, gathered column by column and handed over without a copy.
package final class IngestTable {
    package let columns: [IngestColumn]

    package init(_ columns: [(name: String, type: IngestColumn.ValueType)]) {
        self.columns = columns.map { IngestColumn(name: $0.name, type: $0.type) }
    }

    /// Number of whole rows; every column must have got as many values.
    package var rowCount: Int {
        let count = columns.first?.count ?? 0
        precondition(columns.allSatisfy { $0.count == count }, "columns of different lengths")
        return count
    }

    /// Makes an Arrow stream of one batch with the rows so far; the table is empty afterwards.
    ///
    /// The stream owns the rows: its release callback, or the batch's, frees them.
    @unsafe func exportStream() -> ArrowArrayStream {
        let source = StreamSource(
            schema: ExportedSchema(
                format: "+s", name: "", children: columns.map { unsafe $0.exportedSchema() }),
            batch: ExportedArray(
                length: rowCount, nullCount: 0, buffers: [nil],
                children: columns.map { unsafe $0.exportedArray() }))
        var stream = unsafe ArrowArrayStream()
        unsafe stream.private_data = Unmanaged.passRetained(source).toOpaque()
        unsafe stream.get_schema = { stream, out in
            unsafe StreamSource.of(stream!).schema.export(to: out!)
            return 0
        }
        unsafe stream.get_next = { stream, out in
            let source = unsafe StreamSource.of(stream!)
            if let batch = source.batch {
                source.batch = nil
                unsafe batch.export(to: out!)
            } else {
                unsafe out!.initialize(to: ArrowArray())
            }
            return 0
        }
        unsafe stream.get_last_error = { _ in nil }
        unsafe stream.release = { stream in
            unsafe Unmanaged<StreamSource>.fromOpaque(stream!.pointee.private_data).release()
            unsafe stream!.pointee.private_data = nil
            unsafe stream!.pointee.release = nil
        }
        return unsafe stream
    }
}

/// One column of rows to ingest. Each value is appended once per row with the call of its type, or as a null.
package final class IngestColumn {
    /// The types that can be ingested, and what they become in the engine.
    package enum ValueType: Sendable {
        case bool, int32, int64, float, double, utf8
        /// Days from 1970-01-01: DATE.
        case date
        /// Microseconds from 1970-01-01T00:00:00Z: TIMESTAMP WITH TIME ZONE.
        case timestampUTC
        /// UUID.
        case uuid
        /// VARCHAR[].
        case utf8List
        /// MAP(VARCHAR, VARCHAR).
        case utf8Map
    }

    package let name: String
    package let type: ValueType
    package private(set) var count = 0
    private var nullCount = 0
    private var validity = GrowingBuffer()
    /// Values of fixed width, or text bytes.
    private var values = GrowingBuffer()
    /// Ends of texts, lists and maps, behind a first zero; 32 bits each.
    private var offsets = GrowingBuffer()
    /// Texts of a list, or keys and values of a map.
    private var children: [IngestColumn]

    init(name: String, type: ValueType) {
        self.name = name
        self.type = type
        children =
            switch type {
            case .utf8List: [IngestColumn(name: "l", type: .utf8)]
            case .utf8Map:
                [IngestColumn(name: "key", type: .utf8), IngestColumn(name: "value", type: .utf8)]
            default: []
            }
        if hasOffsets { offsets.append(Int32(0)) }
    }

    private var hasOffsets: Bool {
        switch type {
        case .utf8, .utf8List, .utf8Map: true
        default: false
        }
    }

    package func append(_ value: Bool) {
        precondition(type == .bool, "not a boolean column")
        appendBit(value, to: values, at: count)
        finishRow(isValid: true)
    }

    package func append(_ value: Int32) {
        precondition(type == .int32 || type == .date, "not a column of 32-bit integers or dates")
        values.append(value)
        finishRow(isValid: true)
    }

    package func append(_ value: Int64) {
        precondition(type == .int64 || type == .timestampUTC, "not a column of 64-bit integers")
        values.append(value)
        finishRow(isValid: true)
    }

    package func append(_ value: Float) {
        precondition(type == .float, "not a column of floats")
        values.append(value)
        finishRow(isValid: true)
    }

    package func append(_ value: Double) {
        precondition(type == .double, "not a column of doubles")
        values.append(value)
        finishRow(isValid: true)
    }

    /// A UUID whose first byte is the most significant of `value`.
    package func append(uuid value: UInt128) {
        precondition(type == .uuid, "not a column of UUIDs")
        values.append(value.bigEndian)
        finishRow(isValid: true)
    }

    /// A text; nil is a null.
    package func append(_ text: String?) {
        precondition(type == .utf8, "not a text column")
        guard var text else { return appendNull() }
        text.withUTF8 { unsafe values.append(UnsafeRawBufferPointer($0)) }
        finishText()
    }

    /// A text as UTF-8; it must be valid, which the engine checks.
    package func append(utf8 bytes: Span<UInt8>) {
        precondition(type == .utf8, "not a text column")
        unsafe bytes.withUnsafeBufferPointer { unsafe values.append(UnsafeRawBufferPointer($0)) }
        finishText()
    }

    package func append(list texts: some Sequence<String>) {
        precondition(type == .utf8List, "not a list column")
        for text in texts { children[0].append(text) }
        finishRun()
    }

    /// The keys of one map must differ.
    package func append(map entries: some Sequence<(String, String)>) {
        precondition(type == .utf8Map, "not a map column")
        for (key, value) in entries {
            children[0].append(key)
            children[1].append(value)
        }
        finishRun()
    }

    package func appendNull() {
        switch type {
        case .bool: appendBit(false, to: values, at: count)
        case .int32, .date: values.append(Int32(0))
        case .int64, .timestampUTC: values.append(Int64(0))
        case .float: values.append(Float(0))
        case .double: values.append(Double(0))
        case .uuid: values.append(UInt128(0))
        case .utf8: offsets.append(checkedOffset(values.byteCount))
        case .utf8List, .utf8Map: offsets.append(checkedOffset(children[0].count))
        }
        finishRow(isValid: false)
    }

    private func finishText() {
        offsets.append(checkedOffset(values.byteCount))
        finishRow(isValid: true)
    }

    private func finishRun() {
        offsets.append(checkedOffset(children[0].count))
        finishRow(isValid: true)
    }

    /// Offsets have 32 bits, so one ingestion holds at most 2 GiB of text a column; callers ingest in batches.
    private func checkedOffset(_ value: Int) -> Int32 {
        guard let offset = Int32(exactly: value) else {
            preconditionFailure("more than 2 GiB of text in one ingestion")
        }
        return offset
    }

    private func finishRow(isValid: Bool) {
        appendBit(isValid, to: validity, at: count)
        if !isValid { nullCount += 1 }
        count += 1
    }

    private func appendBit(_ bit: Bool, to buffer: GrowingBuffer, at index: Int) {
        if index & 7 == 0 { buffer.append(UInt8(0)) }
        if bit { buffer.setBit(index) }
    }
}

// MARK: - Handing over

extension IngestColumn {
    @unsafe fileprivate func exportedSchema() -> ExportedSchema {
        switch type {
        case .bool: ExportedSchema(format: "b", name: name)
        case .int32: ExportedSchema(format: "i", name: name)
        case .int64: ExportedSchema(format: "l", name: name)
        case .float: ExportedSchema(format: "f", name: name)
        case .double: ExportedSchema(format: "g", name: name)
        case .utf8: ExportedSchema(format: "u", name: name)
        case .date: ExportedSchema(format: "tdD", name: name)
        case .timestampUTC: ExportedSchema(format: "tsu:UTC", name: name)
        case .uuid:
            ExportedSchema(
                format: "w:16", name: name,
                metadata: [
                    ("ARROW:extension:name", "arrow.uuid"), ("ARROW:extension:metadata", ""),
                ])
        case .utf8List:
            ExportedSchema(
                format: "+l", name: name, children: [unsafe children[0].exportedSchema()])
        case .utf8Map:
            ExportedSchema(
                format: "+m", name: name,
                children: [
                    ExportedSchema(
                        format: "+s", name: "entries", isNullable: false,
                        children: children.map { unsafe $0.exportedSchema() })
                ])
        }
    }

    /// Hands the buffers over and leaves the column empty.
    @unsafe fileprivate func exportedArray() -> ExportedArray {
        defer {
            count = 0
            nullCount = 0
            validity = GrowingBuffer()
            values = GrowingBuffer()
            offsets = GrowingBuffer()
            if hasOffsets { offsets.append(Int32(0)) }
        }
        let present = nullCount == 0 ? nil : validity
        switch type {
        case .utf8:
            return ExportedArray(
                length: count, nullCount: nullCount, buffers: [present, offsets, values])
        case .utf8List:
            return unsafe ExportedArray(
                length: count, nullCount: nullCount, buffers: [present, offsets],
                children: [children[0].exportedArray()])
        case .utf8Map:
            let entries = children[0].count
            return ExportedArray(
                length: count, nullCount: nullCount, buffers: [present, offsets],
                children: [
                    ExportedArray(
                        length: entries, nullCount: 0, buffers: [nil],
                        children: children.map { unsafe $0.exportedArray() })
                ])
        default:
            return ExportedArray(length: count, nullCount: nullCount, buffers: [present, values])
        }
    }
}

/// Bytes that grow at a stable address once handed over.
@safe private final class GrowingBuffer {
    /// The start; 64-byte aligned as the Arrow format recommends.
    private(set) var address: UnsafeMutableRawPointer
    private(set) var byteCount = 0
    private var capacity = 64

    init() { unsafe address = .allocate(byteCount: 64, alignment: 64) }

    deinit { unsafe address.deallocate() }

    func append<Value: BitwiseCopyable>(_ value: Value) {
        let width = MemoryLayout<Value>.size
        if byteCount + width > capacity { grow(to: byteCount + width) }
        unsafe address.storeBytes(of: value, toByteOffset: byteCount, as: Value.self)
        byteCount += width
    }

    func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        if byteCount + bytes.count > capacity { grow(to: byteCount + bytes.count) }
        unsafe (address + byteCount).copyMemory(from: source, byteCount: bytes.count)
        byteCount += bytes.count
    }

    func setBit(_ index: Int) {
        precondition(index >> 3 < byteCount, "bit outside of the buffer")
        let place = unsafe (address + index >> 3).assumingMemoryBound(to: UInt8.self)
        unsafe place.pointee |= 1 << UInt8(index & 7)
    }

    private func grow(to needed: Int) {
        capacity = max(capacity * 2, needed)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
        unsafe larger.copyMemory(from: address, byteCount: byteCount)
        unsafe address.deallocate()
        unsafe address = unsafe larger
    }
}

/// What an exported stream draws from.
private final class StreamSource {
    let schema: ExportedSchema
    var batch: ExportedArray?

    init(schema: ExportedSchema, batch: ExportedArray) {
        self.schema = schema
        self.batch = batch
    }

    @unsafe static func of(_ stream: UnsafeMutablePointer<ArrowArrayStream>) -> StreamSource {
        unsafe Unmanaged.fromOpaque(stream.pointee.private_data).takeUnretainedValue()
    }
}

/// A schema node to export; each export makes C structures of its own, freed by their release callbacks.
private final class ExportedSchema {
    private let format: String
    private let name: String
    private let metadata: [(String, String)]
    private let isNullable: Bool
    private let children: [ExportedSchema]

    init(
        format: String, name: String, metadata: [(String, String)] = [], isNullable: Bool = true,
        children: [ExportedSchema] = []
    ) {
        self.format = format
        self.name = name
        self.metadata = metadata
        self.isNullable = isNullable
        self.children = children
    }

    /// The second bit of `flags` (`ARROW_FLAG_NULLABLE`).
    private static let nullableFlag: Int64 = 2

    @unsafe func export(to out: UnsafeMutablePointer<ArrowSchema>) {
        unsafe out.initialize(to: ArrowSchema())
        unsafe out.pointee.format = UnsafePointer(strdup(format))
        unsafe out.pointee.name = UnsafePointer(strdup(name))
        unsafe out.pointee.metadata = encodedMetadata()
        unsafe out.pointee.flags = isNullable ? Self.nullableFlag : 0
        unsafe out.pointee.n_children = Int64(children.count)
        if !children.isEmpty {
            let pointers = UnsafeMutablePointer<UnsafeMutablePointer<ArrowSchema>?>.allocate(
                capacity: children.count)
            for (index, child) in children.enumerated() {
                let node = UnsafeMutablePointer<ArrowSchema>.allocate(capacity: 1)
                unsafe child.export(to: node)
                unsafe (pointers + index).initialize(to: node)
            }
            unsafe out.pointee.children = unsafe pointers
        }
        unsafe out.pointee.release = { schema in
            guard let schema = unsafe schema else { return }
            unsafe free(UnsafeMutableRawPointer(mutating: schema.pointee.format))
            unsafe free(UnsafeMutableRawPointer(mutating: schema.pointee.name))
            unsafe free(UnsafeMutableRawPointer(mutating: schema.pointee.metadata))
            for index in 0..<Int(unsafe schema.pointee.n_children) {
                // A child that the consumer moved away is marked released (Arrow C data interface, "Moving").
                let child = unsafe schema.pointee.children[index]!
                unsafe child.pointee.release?(child)
                unsafe child.deallocate()
            }
            if unsafe schema.pointee.n_children > 0 { unsafe schema.pointee.children.deallocate() }
            unsafe schema.pointee.release = nil
        }
    }

    /// Number of pairs, then each key and value behind its length, in native 32-bit integers.
    @unsafe private func encodedMetadata() -> UnsafePointer<CChar>? {
        guard !metadata.isEmpty else { return nil }
        var bytes: [UInt8] = []
        func append(_ number: Int) {
            unsafe withUnsafeBytes(of: Int32(number)) { unsafe bytes.append(contentsOf: $0) }
        }
        append(metadata.count)
        for text in metadata.flatMap({ [$0.0, $0.1] }) {
            append(text.utf8.count)
            bytes += Array(text.utf8)
        }
        guard let copy = unsafe malloc(bytes.count) else { preconditionFailure("out of memory") }
        unsafe copy.copyMemory(from: bytes, byteCount: bytes.count)
        return unsafe UnsafePointer(copy.assumingMemoryBound(to: CChar.self))
    }
}

/// An array node to export once. It is the `private_data` of its C structure and owns the buffers and the children's
/// structures, so a child that the consumer moved away lives on by itself.
@safe private final class ExportedArray {
    private let length: Int
    private let nullCount: Int
    private let buffers: [GrowingBuffer?]
    private let children: [ExportedArray]
    private var bufferPointers: UnsafeMutablePointer<UnsafeRawPointer?>?
    private var childPointers: UnsafeMutablePointer<UnsafeMutablePointer<ArrowArray>?>?

    init(
        length: Int, nullCount: Int, buffers: [GrowingBuffer?], children: [ExportedArray] = []
    ) {
        self.length = length
        self.nullCount = nullCount
        self.buffers = buffers
        self.children = children
        unsafe bufferPointers = nil
        unsafe childPointers = nil
    }

    deinit {
        unsafe bufferPointers?.deallocate()
        if let childPointers = unsafe childPointers {
            for index in children.indices { unsafe childPointers[index]?.deallocate() }
            unsafe childPointers.deallocate()
        }
    }

    @unsafe func export(to out: UnsafeMutablePointer<ArrowArray>) {
        let addresses = UnsafeMutablePointer<UnsafeRawPointer?>.allocate(capacity: buffers.count)
        for (index, buffer) in buffers.enumerated() {
            unsafe (addresses + index).initialize(
                to: buffer.map { unsafe UnsafeRawPointer($0.address) })
        }
        unsafe bufferPointers = unsafe addresses
        unsafe out.initialize(to: ArrowArray())
        unsafe out.pointee.length = Int64(length)
        unsafe out.pointee.null_count = Int64(nullCount)
        unsafe out.pointee.n_buffers = Int64(buffers.count)
        unsafe out.pointee.buffers = unsafe addresses
        if !children.isEmpty {
            let pointers = UnsafeMutablePointer<UnsafeMutablePointer<ArrowArray>?>.allocate(
                capacity: children.count)
            for (index, child) in children.enumerated() {
                let node = UnsafeMutablePointer<ArrowArray>.allocate(capacity: 1)
                unsafe child.export(to: node)
                unsafe (pointers + index).initialize(to: node)
            }
            unsafe childPointers = unsafe pointers
            unsafe out.pointee.n_children = Int64(children.count)
            unsafe out.pointee.children = unsafe pointers
        }
        unsafe out.pointee.private_data = Unmanaged.passRetained(self).toOpaque()
        unsafe out.pointee.release = { array in
            guard let array = unsafe array else { return }
            for index in 0..<Int(unsafe array.pointee.n_children) {
                let child = unsafe array.pointee.children[index]!
                unsafe child.pointee.release?(child)
            }
            unsafe Unmanaged<ExportedArray>.fromOpaque(array.pointee.private_data).release()
            unsafe array.pointee.release = nil
        }
    }
}
