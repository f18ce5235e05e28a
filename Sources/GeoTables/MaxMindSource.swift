import Bytes
internal import CMaxMindDB
import Glibc

/// An open MaxMind DB file (`MMDB_open`).
///
/// The library maps the file by its name, so the same bounds hold as for every mapped file: it must be replaced
/// by renaming and not cut short while it is read.
@safe struct MaxMindDatabase: ~Copyable {
    private let database: UnsafeMutablePointer<MMDB_s>
    private let path: String

    init(path: String) throws(GeoTableError) {
        let opened = UnsafeMutablePointer<MMDB_s>.allocate(capacity: 1)
        unsafe opened.initialize(to: MMDB_s())
        let status = unsafe MMDB_open(path, UInt32(MMDB_MODE_MMAP), opened)
        guard status == MMDB_SUCCESS else {
            // The library has closed what it opened.
            unsafe opened.deallocate()
            throw Self.error(status, path: path)
        }
        // Only now, because throwing from a whole value would run `deinit`.
        unsafe database = opened
        self.path = path
    }

    deinit {
        unsafe MMDB_close(database)
        unsafe database.deallocate()
    }

    private static func error(_ status: CInt, path: String) -> GeoTableError {
        let text = unsafe String(cString: MMDB_strerror(status))
        return GeoTableError(
            .malformedSource, path: path, text: "not a readable MaxMind DB file: \(text)")
    }

    /// Day on which the database was built.
    var date: String? { unsafe GeoDate.fromEpoch(seconds: database.pointee.metadata.build_epoch) }
    /// Such as `GeoLite2-City`.
    var type: String {
        unsafe database.pointee.metadata.database_type.map { unsafe String(cString: $0) } ?? ""
    }
    private var bitCount: Int { unsafe Int(database.pointee.depth) }
    var isIPv6: Bool { bitCount == 128 }

    /// What stands at the end of a branch of the search tree.
    struct Network {
        /// First address, in the low 32 bits for IPv4.
        let first: UInt128
        let bitCount: Int
        let isIPv6: Bool
        /// Place of the record in the data section: equal offsets are equal records.
        let offset: UInt32
    }

    /// Calls `body` with every network that has a record, in order of addresses.
    ///
    /// In an IPv6 tree, `::/96` is given as IPv4. Blocks that embed IPv4 addresses and Teredo are not
    /// entered: databases repeat the IPv4 tree there by pointing back to it. Depth is bounded by the address, and steps by
    /// the number of nodes, so a damaged tree with a cycle or shared branches ends in an error.
    func forEachNetwork(_ body: (Network) throws(GeoTableError) -> Void) throws(GeoTableError) {
        struct Branch {
            let node: UInt64
            let kind: UInt8
            let offset: UInt32
            let prefix: UInt128
            let depth: Int
        }
        let nodeCount = unsafe UInt64(database.pointee.metadata.node_count)
        var stepsLeft = nodeCount
        var branches = [
            Branch(
                node: 0, kind: UInt8(MMDB_RECORD_TYPE_SEARCH_NODE), offset: 0, prefix: 0, depth: 0)
        ]
        while let branch = branches.popLast() {
            switch CInt(branch.kind) {
            case MMDB_RECORD_TYPE_EMPTY: continue
            case MMDB_RECORD_TYPE_DATA:
                try report(branch.prefix, branch.depth, branch.offset, body)
                continue
            case MMDB_RECORD_TYPE_SEARCH_NODE: break
            default: throw damaged("a branch leads nowhere")
            }
            if isIPv6, Self.isMirror(branch.prefix, branch.depth) { continue }
            guard branch.depth < bitCount else {
                throw damaged("a branch is longer than an address")
            }
            guard stepsLeft > 0 else { throw damaged("a branch is reached twice") }
            stepsLeft -= 1
            var node = unsafe MMDB_search_node_s()
            let status = unsafe MMDB_read_node(
                database, UInt32(truncatingIfNeeded: branch.node), &node)
            guard status == MMDB_SUCCESS else { throw Self.error(status, path: path) }
            let bit = UInt128(1) << UInt128(bitCount - 1 - branch.depth)
            unsafe branches.append(
                Branch(
                    node: node.right_record, kind: node.right_record_type,
                    offset: node.right_record_entry.offset, prefix: branch.prefix | bit,
                    depth: branch.depth + 1))
            unsafe branches.append(
                Branch(
                    node: node.left_record, kind: node.left_record_type,
                    offset: node.left_record_entry.offset, prefix: branch.prefix,
                    depth: branch.depth + 1))
        }
    }

    private func damaged(_ what: String) -> GeoTableError {
        GeoTableError(
            .malformedSource, path: path,
            text: "the search tree of the MaxMind DB file is damaged: \(what)")
    }

    /// Whether an IPv6 block repeats the IPv4 tree.
    private static func isMirror(_ prefix: UInt128, _ depth: Int) -> Bool {
        switch depth {
        case 16: prefix >> 112 == 0x2002
        case 32: prefix >> 96 == 0x2001_0000
        case 96: prefix >> 32 == 0xFFFF || prefix >> 32 == UInt128(0x0064_FF9B) << 64
        default: false
        }
    }

    private func report(
        _ prefix: UInt128, _ depth: Int, _ offset: UInt32,
        _ body: (Network) throws(GeoTableError) -> Void
    ) throws(GeoTableError) {
        guard isIPv6 else {
            return try body(Network(first: prefix, bitCount: depth, isIPv6: false, offset: offset))
        }
        if depth >= 96, prefix >> 32 == 0 {
            return try body(
                Network(first: prefix, bitCount: depth - 96, isIPv6: false, offset: offset))
        }
        try body(Network(first: prefix, bitCount: depth, isIPv6: true, offset: offset))
        if depth < 96, prefix == 0 {
            // A record above ::/96 holds for all of IPv4, as the library's own lookup has it.
            try body(Network(first: 0, bitCount: 0, isIPv6: false, offset: offset))
        }
    }

    /// The place that the record at `offset` states.
    ///
    /// `country` alone says where an address is. `registered_country` is carried along, `represented_country` (a
    /// base or an embassy) is not read: both name a state with a claim on the network, not where its users are.
    func place(at offset: UInt32) throws(GeoTableError) -> PackedPlace {
        let country = try text(at: offset, ["country", "iso_code"])
        let registered = try text(at: offset, ["registered_country", "iso_code"])
        let subdivision = try text(at: offset, ["subdivisions", "0", "iso_code"])
        return PackedPlace(
            country: country.flatMap { CountryCode($0.span) },
            subdivision: subdivision.flatMap { SubdivisionCode($0.span) },
            registered: registered.flatMap { CountryCode($0.span) })
    }

    /// What the record at `offset` states of the network.
    func network(at offset: UInt32) throws(GeoTableError) -> NetworkFlags {
        var flags: NetworkFlags = []
        for (flag, key) in NetworkFlags.keys {
            guard let value = unsafe try value(at: offset, [key]),
                unsafe CInt(value.type) == MMDB_DATA_TYPE_BOOLEAN, unsafe value.boolean
            else { continue }
            flags.insert(flag)
        }
        return flags
    }

    /// The text at `path` in the record at `offset`, or nil where there is none.
    private func text(at offset: UInt32, _ keys: [StaticString]) throws(GeoTableError) -> [UInt8]? {
        guard let value = unsafe try value(at: offset, keys),
            unsafe CInt(value.type) == MMDB_DATA_TYPE_UTF8_STRING,
            let start = unsafe value.utf8_string
        else { return nil }
        // SAFETY: the library has checked that the string lies within the file.
        return unsafe Array(UnsafeRawBufferPointer(start: start, count: Int(value.data_size)))
    }

    /// What stands at `path` in the record at `offset` (`MMDB_aget_value`), or nil where there is nothing.
    private func value(
        at offset: UInt32, _ keys: [StaticString]
    ) throws(GeoTableError) -> MMDB_entry_data_s? {
        var entry = unsafe MMDB_entry_s(mmdb: UnsafePointer(database), offset: offset)
        var value = unsafe MMDB_entry_data_s()
        // SAFETY: a static string ends in a zero byte and lives as long as the program.
        var pointers: [UnsafePointer<CChar>?] = unsafe keys.map { key in
            unsafe UnsafeRawPointer(key.utf8Start).assumingMemoryBound(to: CChar.self)
        }
        unsafe pointers.append(nil)
        let status = unsafe pointers.withUnsafeBufferPointer { list in
            unsafe MMDB_aget_value(&entry, &value, list.baseAddress)
        }
        switch status {
        case MMDB_SUCCESS: break
        case MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR, MMDB_INVALID_LOOKUP_PATH_ERROR: return nil
        default: throw Self.error(status, path: path)
        }
        return unsafe value.has_data ? value : nil
    }

    /// How many of `addresses` the library locates (`MMDB_lookup_sockaddr`), for the benchmark; with
    /// `readingCountry` only those count whose record states a country (`MMDB_aget_value`).
    func locatedCount(_ addresses: [IPAddress], readingCountry: Bool) -> Int {
        var located = 0
        for address in addresses {
            guard let record = record(of: address) else { continue }
            guard readingCountry else {
                located += 1
                continue
            }
            if let code = try? text(at: record, ["country", "iso_code"]), code.count == 2 {
                // A record that cannot be read counts as none, and the numbers then differ.
                located += 1
            }
        }
        return located
    }

    /// Place in the data section of the record of `address`, as the library finds it.
    private func record(of address: IPAddress) -> UInt32? {
        var status: CInt = 0
        let result: MMDB_lookup_result_s
        if address.isIPv6 {
            var socket = sockaddr_in6()
            socket.sin6_family = sa_family_t(AF_INET6)
            unsafe withUnsafeMutableBytes(of: &socket.sin6_addr) { bytes in
                unsafe bytes.storeBytes(of: address.value.bigEndian, as: UInt128.self)
            }
            unsafe result = withUnsafePointer(to: &socket) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    unsafe MMDB_lookup_sockaddr(database, pointer, &status)
                }
            }
        } else {
            var socket = sockaddr_in()
            socket.sin_family = sa_family_t(AF_INET)
            socket.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.value).bigEndian
            unsafe result = withUnsafePointer(to: &socket) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    unsafe MMDB_lookup_sockaddr(database, pointer, &status)
                }
            }
        }
        guard unsafe status == MMDB_SUCCESS && result.found_entry else { return nil }
        return unsafe result.entry.offset
    }
}

extension GeoTableBuilder {
    /// Reads a Country or City database (each network's `country`, first of its `subdivisions`, `registered_country`), an
    /// Anonymous IP database (its flags), or one that has both.
    mutating func addMaxMindDB(
        path: String
    ) throws(GeoTableError) -> SourceDescription {
        let database = try MaxMindDatabase(path: path)
        var known: [UInt32: (place: UInt32, flags: NetworkFlags)] = [:]
        var found: [(MaxMindDatabase.Network, place: UInt32, flags: NetworkFlags)] = []
        try database.forEachNetwork { network throws(GeoTableError) in
            let record: (place: UInt32, flags: NetworkFlags)
            if let read = known[network.offset] {
                record = read
            } else {
                record = (
                    index(of: try database.place(at: network.offset)),
                    try database.network(at: network.offset)
                )
                known[network.offset] = record
            }
            found.append((network, record.place, record.flags))
        }
        let hasPlaces = known.values.contains { $0.place != 0 }
        guard hasPlaces || found.isEmpty || known.values.contains(where: { $0.flags != [] }) else {
            throw GeoTableError(
                .malformedSource, path: path,
                text:
                    "the database `\(database.type)` names no country and no network flag in any record; expected a Country, City or Anonymous IP database"
            )
        }
        for (network, place, flags) in found {
            let bits = UInt128(network.isIPv6 ? 128 : 32) - UInt128(network.bitCount)
            let hosts = bits == 128 ? UInt128.max : (1 << bits) - 1
            let last = network.first | hosts
            if hasPlaces {
                append(network.first, last, isIPv6: network.isIPv6, place: place, line: 0)
            }
            if flags != [] { append(network.first, last, isIPv6: network.isIPv6, flags: flags) }
        }
        return SourceDescription(
            date: database.date, note: database.type, rangeCount: found.count)
    }
}
