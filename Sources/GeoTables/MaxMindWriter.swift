package import Bytes

/// Writes MaxMind DB files (format 2.0, IPv6 trees): for comparing a table with the library that reads them, and for
/// tests, which may not carry foreign databases.
package struct MaxMindWriter: Sendable {
    /// A value of the data section, of the types that location records use.
    package indirect enum Value: Hashable, Sendable {
        case text(String)
        case number(UInt64, NumberType)
        case list([Value])
        /// Pairs in the order they are written.
        case map([Pair])

        package struct Pair: Hashable, Sendable {
            package let key: String
            package let value: Value
            package init(_ key: String, _ value: Value) {
                self.key = key
                self.value = value
            }
        }

        /// The unsigned integers of the format, by their type number.
        package enum NumberType: UInt8, Sendable {
            case bits16 = 5
            case bits32 = 6
            case bits64 = 9
        }

        /// The part of a location record that says where: nil for codes that are absent.
        package static func place(_ place: GeoPlace) -> Value {
            func code(_ text: String) -> Value { .map([Pair("iso_code", .text(text))]) }
            var pairs: [Pair] = []
            if let country = place.country { pairs.append(Pair("country", code(country))) }
            if let registered = place.registeredCountry {
                pairs.append(Pair("registered_country", code(registered)))
            }
            if let subdivision = place.subdivision?.split(separator: "-").last {
                pairs.append(Pair("subdivisions", .list([code(String(subdivision))])))
            }
            return .map(pairs)
        }
    }

    /// Records of the tree: 0 is empty, 1… nodes, from `dataMark` data. The root is node 0.
    private var left: [UInt32] = [0]
    private var right: [UInt32] = [0]
    private static let dataMark: UInt32 = 1 << 31
    private var data: [UInt8] = []
    private var offsets: [Value: UInt32] = [:]
    private let type: String

    package init(type: String) { self.type = type }

    /// Gives the addresses of `prefix` the record `value`. Networks must not overlap; IPv4 stands at `::/96`.
    package mutating func insert(_ prefix: IPPrefix, _ value: Value) {
        let length = prefix.address.isIPv6 ? prefix.length : prefix.length + 96
        let record = Self.dataMark + offset(of: value)
        set(record, at: prefix.address.value, length: length)
    }

    /// Lets `block` repeat the IPv4 tree by pointing to its root, as databases do for mapped and 6to4 addresses.
    package mutating func alias(_ block: IPPrefix) {
        var node: UInt32 = 0
        for _ in 0..<96 { node = left[Int(node)] }
        precondition(node != 0 && node < Self.dataMark, "there is no IPv4 tree to repeat")
        set(node, at: block.address.value, length: block.length)
    }

    private mutating func set(_ record: UInt32, at value: UInt128, length: Int) {
        precondition(length > 0, "a record for all addresses has no place in the tree")
        var node = 0
        for depth in 0..<length {
            let isRight = value >> UInt128(127 - depth) & 1 == 1
            if depth == length - 1 {
                if isRight { right[node] = record } else { left[node] = record }
                return
            }
            var next = isRight ? right[node] : left[node]
            precondition(next < Self.dataMark, "networks overlap")
            if next == 0 {
                next = UInt32(left.count)
                left.append(0)
                right.append(0)
                if isRight { right[node] = next } else { left[node] = next }
            }
            node = Int(next)
        }
    }

    private mutating func offset(of value: Value) -> UInt32 {
        if let offset = offsets[value] { return offset }
        let offset = UInt32(data.count)
        Self.encode(value, to: &data)
        offsets[value] = offset
        return offset
    }

    /// The bytes of the file, with 32-bit records, stating `epoch` (seconds since 1970, above 0) as its time.
    package func encode(epoch: UInt64) -> [UInt8] {
        let count = UInt32(left.count)
        func final(_ record: UInt32) -> UInt32 {
            if record == 0 { return count }
            return record < Self.dataMark ? record : record - Self.dataMark + count + 16
        }
        var file: [UInt8] = []
        file.reserveCapacity(left.count * 8 + data.count + 512)
        for node in left.indices {
            file.append(bigEndian: final(left[node]))
            file.append(bigEndian: final(right[node]))
        }
        file += [UInt8](repeating: 0, count: 16)
        file += data
        file += [0xAB, 0xCD, 0xEF]
        file += Array("MaxMind.com".utf8)
        let metadata: [Value.Pair] = [
            .init("binary_format_major_version", .number(2, .bits16)),
            .init("binary_format_minor_version", .number(0, .bits16)),
            .init("build_epoch", .number(epoch, .bits64)), .init("database_type", .text(type)),
            .init("description", .map([.init("en", .text(type))])),
            .init("ip_version", .number(6, .bits16)), .init("languages", .list([.text("en")])),
            .init("node_count", .number(UInt64(count), .bits32)),
            .init("record_size", .number(32, .bits16)),
        ]
        Self.encode(.map(metadata), to: &file)
        return file
    }

    private static func encode(_ value: Value, to bytes: inout [UInt8]) {
        switch value {
        case .text(let text):
            encode(type: 2, size: text.utf8.count, to: &bytes)
            bytes += Array(text.utf8)
        case .number(let number, let type):
            // Without leading zero bytes.
            let size = (64 - number.leadingZeroBitCount + 7) / 8
            encode(type: type.rawValue, size: size, to: &bytes)
            for index in (0..<size).reversed() {
                bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(index * 8)))
            }
        case .list(let values):
            encode(type: 11, size: values.count, to: &bytes)
            for value in values { encode(value, to: &bytes) }
        case .map(let pairs):
            encode(type: 7, size: pairs.count, to: &bytes)
            for pair in pairs {
                encode(.text(pair.key), to: &bytes)
                encode(pair.value, to: &bytes)
            }
        }
    }

    private static func encode(type: UInt8, size: Int, to bytes: inout [UInt8]) {
        precondition(size < 285, "values of a location record are short")
        let sizeBits = UInt8(min(size, 29))
        bytes.append((type > 7 ? 0 : type << 5) | sizeBits)
        if type > 7 { bytes.append(type - 7) }
        if size >= 29 { bytes.append(UInt8(size - 29)) }
    }
}

extension MaxMindWriter {
    /// The places of `table`, without the embedded repeats of IPv4.
    package init(copying table: GeoTable) {
        self.init(type: "Cordon-Places")
        let values = table.places.map(Value.place)
        for family in AddressFamily.allCases {
            table.forEachRange(in: family, includingEmbedded: false) { range in
                guard range.place != 0 else { return }
                for prefix in range.prefixes { insert(prefix, values[range.place]) }
            }
        }
    }
}

extension GeoRange {
    /// The fewest prefixes that make up the range, in order.
    package var prefixes: [IPPrefix] {
        var prefixes: [IPPrefix] = []
        var next = first.value
        while true {
            let left = last.value - next
            // The block may be as large as its alignment allows, and not reach beyond the last address.
            var hostBits = min(next.trailingZeroBitCount, first.bitCount)
            while hostBits > 0, hostBits == 128 ? left != .max : (1 << UInt128(hostBits)) - 1 > left
            {
                hostBits -= 1
            }
            let family: AddressFamily = first.isIPv6 ? .ipv6 : .ipv4
            guard let prefix = IPPrefix(family.address(next), length: first.bitCount - hostBits)
            else {
                preconditionFailure("a prefix is never longer than its address")
            }
            prefixes.append(prefix)
            if prefix.span.last == last.value { return prefixes }
            next = prefix.span.last + 1
        }
    }
}
