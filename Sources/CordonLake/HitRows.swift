package import CordonModel
import Engine

/// Seals columns of hits before they reach the lake; `CordonServer` supplies it.
package protocol HitSealer {
    /// Seals what is to be sealed of each hit. The keys that it takes are on disk when it returns.
    func seal(_ records: inout [HitRecord]) throws
}

/// Hits as columns on their way into the engine.
struct HitRows {
    private let table: IngestTable
    private(set) var count = 0
    /// Nil where no column is sealed.
    private let sealer: (any HitSealer)?
    /// Hits that are to be sealed, together, since making their keys durable costs a sync.
    private var waiting: [HitRecord] = []
    /// What the batches of the waiting hits say of them.
    private var origins: [(ruleSet: String, geoBuild: String)] = []

    init(sealing sealer: (any HitSealer)? = nil) {
        self.sealer = sealer
        let columns = HitsSchema.columns.map { ($0.name, Self.type(of: $0)) }
        table = IngestTable(columns + [("day", .int32)])
    }

    private static func type(of column: HitsSchema.Column) -> IngestColumn.ValueType {
        switch column.engineType {
        case "UUID": .uuid
        case "TIMESTAMP WITH TIME ZONE": .timestampUTC
        case "VARCHAR": .utf8
        case "INTEGER": .int32
        case "BOOLEAN": .bool
        case "FLOAT": .float
        case "DATE": .date
        case "VARCHAR[]": .utf8List
        case "MAP(VARCHAR, VARCHAR)": .utf8Map
        default: preconditionFailure("a column type of the lake that the engine cannot take in")
        }
    }

    /// Appends a hit.
    mutating func append(_ record: HitRecord, ruleSet: String, geoBuild: String) {
        count += 1
        guard sealer != nil else { return put(record, ruleSet: ruleSet, geoBuild: geoBuild) }
        waiting.append(record)
        origins.append((ruleSet, geoBuild))
    }

    /// The hits for the engine, sealed.
    mutating func finished() throws -> IngestTable {
        if let sealer, !waiting.isEmpty {
            try sealer.seal(&waiting)
            for (record, origin) in zip(waiting, origins) {
                put(record, ruleSet: origin.ruleSet, geoBuild: origin.geoBuild)
            }
            waiting = []
            origins = []
        }
        return table
    }

    /// Values in the order of ``HitsSchema/columns``.
    private func put(_ record: HitRecord, ruleSet: String, geoBuild: String) {
        let columns = table.columns
        if record.isCounted {
            columns[0].appendNull()
        } else {
            columns[0].append(uuid: record.hitID)
        }
        columns[1].append(record.timestamp.microseconds)
        columns[2].append(record.site)
        columns[3].append(record.event)
        columns[4].append(record.pageHost)
        columns[5].append(record.pagePath)
        columns[6].append(record.referrerHost)
        Self.append(record.visitor, to: columns[7])
        Self.append(record.user, to: columns[8])
        if let epoch = record.keyEpoch {
            columns[9].append(epoch.number)
        } else {
            columns[9].appendNull()
        }
        columns[10].append(record.ipPrefix)
        columns[11].append(record.country)
        columns[12].append(record.subdivision)
        columns[13].append(record.browser)
        columns[14].append(record.os)
        columns[15].append(record.device)
        columns[16].append(record.language)
        columns[17].append(record.consent.text)
        columns[18].append(record.isBot)
        columns[19].append(record.policy)
        columns[20].append(ruleSet)
        columns[21].append(geoBuild)
        columns[22].append(record.sampleRate)
        columns[23].append(record.retainUntil.number)
        columns[24].append(list: record.purposes)
        columns[25].append(list: record.signals)
        columns[26].append(map: Self.distinct(record.parameters))
        columns[27].append(Day(record.timestamp).number)
    }

    /// Appends the digits of a pseudonym, as ``Pseudonym/text`` has them, without making a text of each.
    private static func append(_ pseudonym: Pseudonym?, to column: IngestColumn) {
        guard let pseudonym else { return column.appendNull() }
        var digits = InlineArray<32, UInt8>(repeating: 0)
        var rest = pseudonym.value
        for index in stride(from: 31, through: 0, by: -1) {
            let digit = UInt8(truncatingIfNeeded: rest & 15)
            digits[index] = digit < 10 ? 0x30 + digit : 0x61 + digit - 10
            rest >>= 4
        }
        column.append(utf8: digits.span)
    }

    /// The parameters as a map may hold them: of a key that stands twice, its first value.
    private static func distinct(_ parameters: [HitRecord.Parameter]) -> [(String, String)] {
        guard parameters.count > 1 else { return parameters.map { ($0.key, $0.value) } }
        var seen: Set<String> = []
        return parameters.compactMap { seen.insert($0.key).inserted ? ($0.key, $0.value) : nil }
    }
}
