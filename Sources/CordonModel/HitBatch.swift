package import Bytes

/// Hits that one loop gathered under one rule set and geo table: the unit that the journal stores.
///
/// Layout, all integers little-endian (`Docs/formats/journal.md` draws it):
/// ```
/// batch  := "CDNB" version:u16 rule_set:text geo_build:text record*
/// record := size:u32 flags:u8 consent:u8 hit_id:16 bytes (network order) ts:i64 retain_until:i32
///           key_epoch:i32 sample_rate:f32 visitor:16 bytes user:16 bytes (network order)
///           site event page_host page_path referrer_host ip_prefix country subdivision browser os
///           device language policy :text
///           purposes signals :list  parameters :count:u8 (key:text value:text)*
/// text   := count:u16 (0xFFFF = null) UTF-8 bytes
/// list   := count:u8 text*
/// ```
/// `size` counts the bytes after itself. `visitor` and `user` are zero when their flag is clear.
public struct HitBatch: Equatable, Sendable {
    /// Digest of the rule set, as in the column `rule_set`.
    package var ruleSet: String
    /// Build id of the geo table, as in the column `geo_build`.
    package var geoBuild: String
    package var records: [HitRecord]

    package static let magic: [UInt8] = Array("CDNB".utf8)
    package static let version: UInt16 = 1
    /// Longest text of a record in bytes; the edge cuts longer values at a character boundary.
    @inlinable
    public static var textBytesMax: Int { 2048 }
    /// Count that stands for null.
    @inlinable
    public static var nullCount: UInt16 { 0xFFFF }

    /// Bits of `flags`.
    public enum Flag {
        @inlinable
        public static var bot: UInt8 { 1 }
        @inlinable
        public static var visitor: UInt8 { 2 }
        @inlinable
        public static var user: UInt8 { 4 }
        @inlinable
        public static var keyEpoch: UInt8 { 8 }
    }

    package init(ruleSet: String, geoBuild: String, records: [HitRecord]) {
        self.ruleSet = ruleSet
        self.geoBuild = geoBuild
        self.records = records
    }
}

extension HitBatch {
    /// The bytes before the first record.
    package static func header(ruleSet: String, geoBuild: String) -> [UInt8] {
        var bytes = magic
        bytes.append(littleEndian: version)
        append(ruleSet, to: &bytes)
        append(geoBuild, to: &bytes)
        return bytes
    }

    /// The batch in its stored form.
    package var encoded: [UInt8] {
        var bytes = Self.header(ruleSet: ruleSet, geoBuild: geoBuild)
        for record in records { Self.append(record, to: &bytes) }
        return bytes
    }

    package static func append(_ record: HitRecord, to bytes: inout [UInt8]) {
        let start = bytes.count
        bytes.append(littleEndian: UInt32(0))
        var flags: UInt8 = record.isBot ? Flag.bot : 0
        if record.visitor != nil { flags |= Flag.visitor }
        if record.user != nil { flags |= Flag.user }
        if record.keyEpoch != nil { flags |= Flag.keyEpoch }
        bytes.append(flags)
        bytes.append(record.consent.rawValue)
        bytes.append(bigEndian: record.hitID)
        bytes.append(littleEndian: record.timestamp.microseconds)
        bytes.append(littleEndian: record.retainUntil.number)
        bytes.append(littleEndian: record.keyEpoch?.number ?? 0)
        bytes.append(littleEndian: record.sampleRate.bitPattern)
        bytes.append(bigEndian: record.visitor?.value ?? 0)
        bytes.append(bigEndian: record.user?.value ?? 0)
        for text in [
            record.site, record.event, record.pageHost, record.pagePath, record.referrerHost,
            record.ipPrefix, record.country, record.subdivision, record.browser, record.os,
            record.device, record.language, record.policy,
        ] {
            append(text, to: &bytes)
        }
        append(record.purposes, to: &bytes)
        append(record.signals, to: &bytes)
        bytes.append(UInt8(record.parameters.count))
        for parameter in record.parameters {
            append(parameter.key, to: &bytes)
            append(parameter.value, to: &bytes)
        }
        let size = UInt32(bytes.count - start - 4)
        for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: size >> (8 * index)) }
    }

    private static func append(_ text: String?, to bytes: inout [UInt8]) {
        guard let text else { return bytes.append(littleEndian: nullCount) }
        precondition(text.utf8.count <= textBytesMax, "the edge bounds every text of a record")
        bytes.append(littleEndian: UInt16(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    private static func append(_ list: [String], to bytes: inout [UInt8]) {
        bytes.append(UInt8(list.count))
        for text in list { append(text, to: &bytes) }
    }
}

extension HitBatch {
    /// Reads what ``encoded`` wrote; anything else is `Malformed` with the offset of the fault.
    package init(decoding bytes: [UInt8]) throws(ByteReader.Malformed) {
        var reader = ByteReader(bytes)
        guard try reader.take(4).elementsEqual(Self.magic),
            try reader.littleEndian(UInt16.self) == Self.version
        else { throw reader.malformed }
        ruleSet = try Self.requiredText(&reader)
        geoBuild = try Self.requiredText(&reader)
        records = []
        while !reader.isAtEnd {
            let size = try reader.littleEndian(UInt32.self)
            var inner = ByteReader(try reader.take(Int(size)))
            records.append(try Self.record(&inner))
            guard inner.isAtEnd else { throw reader.malformed }
        }
    }

    static func record(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> HitRecord {
        var record = HitRecord()
        let flags = try reader.byte()
        guard let consent = ConsentState(rawValue: try reader.byte()) else {
            throw reader.malformed
        }
        record.isBot = flags & Flag.bot != 0
        record.consent = consent
        record.hitID = try reader.bigEndian(UInt128.self)
        record.timestamp = Timestamp(microseconds: try reader.littleEndian(Int64.self))
        record.retainUntil = Day(number: try reader.littleEndian(Int32.self))
        let keyEpoch = Day(number: try reader.littleEndian(Int32.self))
        record.keyEpoch = flags & Flag.keyEpoch != 0 ? keyEpoch : nil
        record.sampleRate = Float(bitPattern: try reader.littleEndian(UInt32.self))
        let visitor = Pseudonym(value: try reader.bigEndian(UInt128.self))
        record.visitor = flags & Flag.visitor != 0 ? visitor : nil
        let user = Pseudonym(value: try reader.bigEndian(UInt128.self))
        record.user = flags & Flag.user != 0 ? user : nil
        record.site = try requiredText(&reader)
        record.event = try requiredText(&reader)
        record.pageHost = try text(&reader)
        record.pagePath = try text(&reader)
        record.referrerHost = try text(&reader)
        record.ipPrefix = try text(&reader)
        record.country = try text(&reader)
        record.subdivision = try text(&reader)
        record.browser = try text(&reader)
        record.os = try text(&reader)
        record.device = try text(&reader)
        record.language = try text(&reader)
        record.policy = try requiredText(&reader)
        record.purposes = try list(&reader)
        record.signals = try list(&reader)
        for _ in 0..<(try reader.byte()) {
            let key = try requiredText(&reader)
            record.parameters.append(.init(key: key, value: try requiredText(&reader)))
        }
        return record
    }

    private static func text(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> String? {
        let count = try reader.littleEndian(UInt16.self)
        if count == nullCount { return nil }
        let bytes = try reader.take(Int(count))
        guard let text = String(validating: bytes, as: UTF8.self) else { throw reader.malformed }
        return text
    }

    static func requiredText(
        _ reader: inout ByteReader
    ) throws(ByteReader.Malformed) -> String {
        guard let text = try text(&reader) else { throw reader.malformed }
        return text
    }

    private static func list(_ reader: inout ByteReader) throws(ByteReader.Malformed) -> [String] {
        var list: [String] = []
        for _ in 0..<(try reader.byte()) { list.append(try requiredText(&reader)) }
        return list
    }
}
