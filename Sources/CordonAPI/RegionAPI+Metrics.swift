internal import CordonModel
internal import CordonTokens
internal import Telemetry

// What a scraper of metrics sees. Like the collector's page it is for everybody who reaches the port, and has no name of a person.
extension RegionAPI {
    func metricsPage() -> APIResponse {
        let standings = tokens.issuerStandings(at: clock.now())
        var page = MetricsText()
        func family(
            _ name: String, _ kind: MetricsText.Kind, _ help: String,
            _ value: (IssuerStanding) -> Int64?
        ) {
            page.family(name, kind, help: help)
            for standing in standings {
                guard let value = value(standing) else { continue }
                // The issuers of the region's file, a closed set.
                page.sample(name, ["issuer": standing.issuer], value)
            }
        }
        family("cordon_issuer_keys", .gauge, "keys of an issuer that verify its tokens") {
            $0.state == .current || $0.state == .old ? Int64($0.keys) : 0
        }
        family(
            "cordon_issuer_keys_age_seconds", .gauge,
            "seconds since the keys of an issuer were read; after \(IssuerKeys.keepSeconds) none holds"
        ) { $0.ageSeconds }
        family(
            "cordon_issuer_keys_old", .gauge,
            "1 when the keys of an issuer should have been read anew, which failed"
        ) { $0.state == .old || $0.state == .none ? 1 : 0 }
        family(
            "cordon_issuer_keys_failures_total", .counter,
            "attempts to read the keys of an issuer that failed"
        ) { Int64($0.failures) }
        return APIResponse(
            200, body: Array(page.text.utf8), contentType: MetricsText.contentType)
    }
}
