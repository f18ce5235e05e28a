internal import Bytes
internal import CordonModel
internal import Foundation

/// One row of an export: a value for each column.
package struct ExportRow: Equatable, Sendable {
    package let values: [String: JSONValue]

    init(values: [String: JSONValue]) { self.values = values }

    /// Takes a row of the lake, which is a JSON object.
    init(lake json: String) throws {
        values = try JSONDecoder().decode([String: JSONValue].self, from: Data(json.utf8))
    }

    /// Takes a hit that waits in the journal, in the form that the lake will give it.
    init(_ record: HitRecord, ruleSet: String, geoBuild: String) {
        func text(_ value: String?) -> JSONValue { value.map { .text($0) } ?? .null }
        let parameters = record.parameters.map { ($0.key, JSONValue.text($0.value)) }
        values = [
            "hit_id": record.isCounted ? .null : .text(Self.uuid(record.hitID)),
            "ts": .text(record.timestamp.text),
            "site": .text(record.site),
            "event": .text(record.event),
            "page_host": text(record.pageHost),
            "page_path": text(record.pagePath),
            "referrer_host": text(record.referrerHost),
            "visitor": text(record.visitor?.text),
            "user": text(record.user?.text),
            "key_epoch": record.keyEpoch.map { .integer(Int64($0.number)) } ?? .null,
            "ip_prefix": text(record.ipPrefix),
            "country": text(record.country),
            "subdivision": text(record.subdivision),
            "browser": text(record.browser),
            "os": text(record.os),
            "device": text(record.device),
            "language": text(record.language),
            "consent": .text(record.consent.text),
            "bot": .bool(record.isBot),
            "policy": .text(record.policy),
            "rule_set": .text(ruleSet),
            "geo_build": .text(geoBuild),
            "sample_rate": .number(Double(record.sampleRate)),
            "retain_until": .text(record.retainUntil.text),
            "purposes": .list(record.purposes.map { .text($0) }),
            "signals": .list(record.signals.map { .text($0) }),
            "params": .object(Dictionary(parameters) { first, _ in first }),
        ]
    }

    private static func uuid(_ value: UInt128) -> String {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: value)
        let digits = Array(Bytes.hex(bytes))
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }
            .joined(separator: "-")
    }
}

extension ExportRow {
    /// What a row of an export holds.
    package static let columns = Set(ExportRow(HitRecord(), ruleSet: "", geoBuild: "").values.keys)
}
