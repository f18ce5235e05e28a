import CordonModel

@testable import CordonPolicy

/// A small right project whose files tests change.
enum SampleProject {
    static let today = Day("2026-11-23")!
    static let layout = ProjectLayout(root: "/project")

    static let region = """
        region: north
        title: North
        jurisdiction: DE
        node: local
        collector: { listen: "127.0.0.1:8401", trusted_proxies: [127.0.0.0/8], client_address: x-forwarded-for }

        """

    static let atlas = """
        groups:
          Nordic:
            title: Nordic countries
            source: Helsinki Treaty
            checked: 2026-01-01
            members: [SE, IS, EE]

        """

    static let world = """
        policy: world
        title: Everywhere
        source: none
        applies_to: { places: [world] }
        route: { region: north, away: refuse }
        consent: { signals: [gpc], when_absent: denied, purposes: { measuring: }, denied: count }
        fields: { place: country }
        retention: { hits: 30d }

        """

    static let policy = """
        policy: law
        title: A law
        source: A gazette
        applies_to: { places: [Nordic, DE], sites: ["*", "*.example.org", shop.example.org] }
        route: { region: north, away: refuse }
        consent:
          signals: [gpc, dnt, "param:consent", "cookie:consent"]
          when_absent: denied
          purposes: { measuring: , advertising: }
          denied: count
        fields:
          ip: { truncate: { ipv4: 24, ipv6: 48 } }
          user: { pseudonym: month, needs: measuring }
          visitor: { pseudonym: day, needs: [measuring, advertising] }
          user_agent: family
          page: { keep: path, params: [utm_source] }
          referrer: host
          place: country
          language: primary
          params: { allow: [value, currency] }
        retention: { hits: 395d, fields: { user: 90d } }
        sampling: 12.5
        access:
          - { role: analyst, purposes: [measuring], from: [Nordic], see: aggregates, min_group: 5, hide: [user] }
          - { role: officer, purposes: [data-subject-request], from: [DE], see: rows }
        transfer:
          - { to: [Nordic], see: aggregates, min_group: 20 }

        """

    static let texts = [
        "Regions/north.yaml": region, "Policies/atlas.yaml": atlas, "Policies/world.yaml": world,
        "Policies/law.yaml": policy,
    ]

    /// The sample with some files replaced (nil takes one away).
    static func files(_ changes: [String: String?] = [:]) -> ProjectFiles {
        ProjectFiles(
            texts.merging(changes.compactMapValues { $0 }) { $1 }
                .filter { !(changes.keys.contains($0.key) && changes[$0.key]! == nil) })
    }

    static func load(
        _ changes: [String: String?] = [:]
    ) throws(ConfigurationErrors) -> ProjectConfiguration {
        try ProjectConfiguration.load(files(changes), layout: layout, now: today)
    }

    /// The mistakes found after `changes`; empty when the project loads.
    static func mistakes(_ changes: [String: String?]) -> [String] {
        do throws(ConfigurationErrors) {
            _ = try load(changes)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }
}
