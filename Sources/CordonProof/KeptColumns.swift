import CordonModel
import CordonPolicy

extension Decision {
    /// The columns of the record that this decision lets be filled from what identifies, describes or places a person.
    var keptColumns: Set<String> {
        // Nothing of such a hit is stored, whatever else the decision says.
        guard outcome == .keep || outcome == .count else { return [] }
        var columns: Set<String> = []
        func keep(_ field: FieldName) { columns.formUnion(field.columns) }
        if ipv4Bits > 0 || ipv6Bits > 0 { keep(.ip) }
        if user != nil { keep(.user) }
        if visitor != nil { keep(.visitor) }
        if keepsUserAgentFamily { keep(.userAgent) }
        if keepsReferrerHost { keep(.referrer) }
        if keepsLanguage { keep(.language) }
        if !parameters.isEmpty { keep(.parameters) }
        switch page {
        case .drop: break
        case .host: columns.insert("page_host")
        case .path: keep(.page)
        }
        switch place {
        case .drop: break
        case .country: columns.insert("country")
        case .subdivision: keep(.place)
        }
        return columns
    }
}

extension FieldName {
    /// The field that fills `column`.
    init?(column: String) {
        guard let field = Self.allCases.first(where: { $0.columns.contains(column) }) else {
            return nil
        }
        self = field
    }
}

extension CompiledPolicy {
    /// Whether its text lets a hit be used under `consent`.
    func admits(_ consent: ConsentOutcome) -> Bool {
        consent.state == .granted || consent.state == .absent && self.consent.absentGrants
    }

    /// Days after which `field` of a hit is gone.
    func days(of field: FieldName) -> Int { retention.fieldDays[field] ?? retention.hitsDays }
}
