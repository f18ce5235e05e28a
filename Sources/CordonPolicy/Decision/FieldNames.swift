internal import Bytes
internal import Consent

/// The names that a query or a cookie is looked through for, found by one look into a table: most fields of a request have
/// another, or one of few.
///
/// A name is found by its first eight bytes and its length; what lies beyond is compared byte by byte. Names with escapes in
/// them, which are rare, are compared with each.
struct FieldNames: Sendable {
    /// What a name is looked for as; each of these that it is.
    struct Role: Sendable, BitwiseCopyable {
        /// As bits of ``KnownName``.
        var known: UInt16 = 0
        /// As bits of the names of signals.
        var sources: UInt32 = 0
        /// The raw value of a ``HitParameter``; -1 when it is none.
        var hit: Int8 = -1
        var isSite = false
        /// Some policy keeps parameters of this name.
        var isParameter = false

        /// Some signal is read from fields of this name.
        var isSignal: Bool { known != 0 || sources != 0 }
    }

    /// A name with what it is looked for as.
    private struct Entry: BitwiseCopyable {
        /// Its first eight bytes, zero where it has fewer.
        var prefix: UInt64 = 0
        /// How many bytes it has; -1 in a slot without a name.
        var count: Int32 = -1
        /// Among ``names``.
        var position: UInt32 = 0
        var role = Role()
    }

    /// Each name once.
    private let names: NameList
    /// Open addressing, a power of two in size and at most a quarter full.
    private let entries: [Entry]

    /// The name of the parameter that says which site a hit is for.
    static let site = "site"

    /// - Parameters:
    ///   - sources: names of parameters and cookies that signals are read from; nil when no signal is read from either.
    ///   - parameters: names that policies keep, each as often as they do.
    init(sources: NameList?, parameters: NameList) {
        // By their bytes, because strings are equal that are spelt in different ones.
        var positions: [[UInt8]: Int] = [:]
        var names = NameList()
        var roles: [Role] = []
        func change(_ name: String, _ change: (inout Role) -> Void) {
            let bytes = Array(name.utf8)
            let position = positions[bytes] ?? names.count
            if position == names.count {
                positions[bytes] = position
                names.append(name)
                roles.append(Role())
            }
            change(&roles[position])
        }
        if let sources {
            for name in KnownName.allCases { change(name.text) { $0.known |= name.bit } }
            for index in 0..<sources.count {
                change(sources.text(index)) { $0.sources |= 1 << UInt32(index) }
            }
        }
        for parameter in HitParameter.allCases {
            change(parameter.text) { $0.hit = Int8(parameter.rawValue) }
        }
        change(Self.site) { $0.isSite = true }
        for index in 0..<parameters.count {
            change(parameters.text(index)) { $0.isParameter = true }
        }
        let list = names
        self.names = list
        var size = 4
        while size < list.count * 4 { size *= 2 }
        var entries = [Entry](repeating: Entry(), count: size)
        for position in 0..<list.count {
            let name = list.span(position)
            let entry = Entry(
                prefix: ByteWord.prefix(name, from: 0, to: name.count), count: Int32(name.count),
                position: UInt32(position), role: roles[position])
            var slot = Self.slot(entry.prefix, name.count, size: size)
            while entries[slot].count >= 0 { slot = (slot + 1) & (size - 1) }
            entries[slot] = entry
        }
        self.entries = entries
    }

    /// A name that was found.
    struct Finding {
        var position: UInt32
        var role: Role
    }

    /// Where `name` stands among the names; nil when it is none of them.
    func position(of name: Span<UInt8>) -> UInt32? {
        find(ByteWord.prefix(name, from: 0, to: name.count), name, 0..<name.count)?.position
    }

    /// The name that `range` of `bytes` spells once its escapes are taken out; a cookie's name has none.
    @inline(__always)
    func find(_ range: Range<Int>, _ form: FormFields.Form, in bytes: Span<UInt8>) -> Finding? {
        let prefix = ByteWord.prefix(bytes, from: range.lowerBound, to: range.upperBound)
        if case .query = form {
            let escapes =
                ByteWord.zeros(prefix ^ ByteWord.ones &* 0x25)
                | ByteWord.zeros(prefix ^ ByteWord.ones &* 0x2B)
            if escapes != 0 || range.count > 8 {
                let name = EncodedName(range, form: form, in: bytes)
                if !name.isPlain { return find(name, in: bytes) }
            }
        }
        return find(prefix, bytes, range)
    }

    /// The name that one with escapes spells.
    private func find(_ name: EncodedName, in bytes: Span<UInt8>) -> Finding? {
        guard let position = names.index(of: name, in: bytes) else { return nil }
        let spelt = names.span(position)
        return find(ByteWord.prefix(spelt, from: 0, to: spelt.count), spelt, 0..<spelt.count)
    }

    @inline(__always)
    private func find(_ prefix: UInt64, _ bytes: Span<UInt8>, _ range: Range<Int>) -> Finding? {
        let count = Int32(truncatingIfNeeded: range.count)
        var slot = Self.slot(prefix, range.count, size: entries.count)
        while true {
            let entry = entries[slot]
            if entry.prefix == prefix, entry.count == count,
                count <= 8 || names.equals(Int(entry.position), bytes, range)
            {
                return Finding(position: entry.position, role: entry.role)
            }
            if entry.count < 0 { return nil }
            slot = (slot + 1) & (entries.count - 1)
        }
    }

    @inline(__always)
    private static func slot(_ prefix: UInt64, _ count: Int, size: Int) -> Int {
        // The upper half of a product depends on every bit of the number (Knuth, 6.4); wrapping is the algorithm.
        let mixed = (prefix ^ UInt64(truncatingIfNeeded: count)) &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed &>> 32) & (size &- 1)
    }
}

/// The fields of one request that anything is read from, found in one walk over its query and one over its cookies.
package struct RequestFields: Sendable, BitwiseCopyable {
    /// Those that signals are read from.
    package internal(set) var names = PresentNames()
    /// The first field of each ``HitParameter``, by its raw value.
    private var hit = InlineArray<5, RequestParts.Part>(repeating: .absent)
    /// The first field that names the site.
    package internal(set) var site = RequestParts.Part.absent
    private var parameters = InlineArray<8, Parameter>(repeating: Parameter())
    private var parameterCount = 0
    /// There are more parameters than fit: whoever wants them looks for them in the query.
    package private(set) var isOverfull = false

    /// The first field of a name that some policy keeps.
    private struct Parameter: BitwiseCopyable {
        /// Position of its name in ``FieldNames``.
        var name: UInt32 = 0
        var start: Int32 = 0
        var end: Int32 = 0
    }

    package func value(of parameter: HitParameter) -> Range<Int>? { hit[parameter.rawValue].range }

    mutating func add(_ hit: Int8, _ value: Range<Int>) {
        let index = Int(hit)
        if self.hit[index].range == nil { self.hit[index] = RequestParts.Part(value) }
    }

    mutating func add(parameter name: UInt32, _ value: Range<Int>) {
        for index in 0..<parameterCount where parameters[index].name == name { return }
        guard parameterCount < 8 else {
            isOverfull = true
            return
        }
        parameters[parameterCount] = Parameter(
            name: name, start: Int32(value.lowerBound), end: Int32(value.upperBound))
        parameterCount += 1
    }

    /// The value of the parameter whose name has a position; nil when it is absent.
    func value(ofName name: UInt32) -> Range<Int>? {
        for index in 0..<parameterCount where parameters[index].name == name {
            return Int(parameters[index].start)..<Int(parameters[index].end)
        }
        return nil
    }

    package var hasParameters: Bool { parameterCount > 0 }
}

extension BoundRules {
    /// Finds the fields of a request that anything is read from.
    package func fields(_ parts: RequestParts, _ bytes: Span<UInt8>) -> RequestFields {
        var found = RequestFields()
        if let query = parts.query.range { walk(query, .query, bytes, &found) }
        if hasNamedSignals, let cookie = parts.cookie.range {
            walk(cookie, .cookie, bytes, &found)
        }
        return found
    }

    private func walk(
        _ range: Range<Int>, _ form: FormFields.Form, _ bytes: Span<UInt8>,
        _ found: inout RequestFields
    ) {
        var fields = FormFields(range, form: form)
        while let field = fields.next(in: bytes) {
            guard let name = fieldNames.find(field.name, form, in: bytes) else { continue }
            let role = name.role
            if role.isSignal { found.names.add(role, form, field.value) }
            guard case .query = form else { continue }
            if role.hit >= 0 { found.add(role.hit, field.value) }
            if role.isSite, found.site.range == nil { found.site = RequestParts.Part(field.value) }
            if role.isParameter { found.add(parameter: name.position, field.value) }
        }
    }

    /// The first value of the parameter whose name is at `index` of ``parameterNames``; nil when it is absent, or beyond those
    /// that `fields` has room for.
    package func value(ofParameter index: Int, _ fields: RequestFields) -> Range<Int>? {
        fields.value(ofName: parameterPositions[index])
    }
}
