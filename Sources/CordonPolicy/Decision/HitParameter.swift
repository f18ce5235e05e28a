/// Parameters of a hit that the collector reads for itself. The collector knows each by its raw value.
package enum HitParameter: Int, CaseIterable, Sendable {
    case event, url, user, referrer, eventID

    /// As it stands in a query; the collector reads it in this spelling alone.
    package var text: String {
        switch self {
        case .event: "event"
        case .url: "url"
        case .user: "userid"
        case .referrer: "ref"
        case .eventID: "event_id"
        }
    }

    /// Names under which no policy may keep a parameter as it comes, or ask for a choice: those that are read, and `site`,
    /// which the rules read.
    static let reserved = Set(allCases.map(\.text)).union(["site"])
}
