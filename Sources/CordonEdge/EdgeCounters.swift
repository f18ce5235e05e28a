package import HTTP
internal import TLS
internal import Telemetry

/// Something that is counted beside the fates of hits.
package enum EdgeEvent: Int, CaseIterable, Sendable {
    case http2Connections, http2Ended
    case connectionsAccepted, connectionsRefused, acceptFailures, connectionsTimedOut
    case proxyHeadersMalformed, connectionsLimited, connectionsUncounted, requestsLimited
    case requests, hitRequests, hitHeads, preflights, bodiesRefused
    case userAgentsClassified, userAgentsOverflowed, keysMissing, batchesFull
}

/// How a TLS handshake ended.
package enum HandshakeOutcome: Int, CaseIterable, Sendable {
    case full, resumed, timedOut
    case closed, notTLS, version, cipher, application, clientCertificate, alert, other

    init(_ failure: TLSFailure) {
        self =
            switch failure {
            case .closed: .closed
            case .notTLS: .notTLS
            case .version: .version
            case .cipher: .cipher
            case .application: .application
            case .clientCertificate: .clientCertificate
            case .alert: .alert
            case .other: .other
            }
    }

    var text: String {
        switch self {
        case .full: "full"
        case .resumed: "resumed"
        case .timedOut: "timed-out"
        case .closed: "closed"
        case .notTLS: "not-tls"
        case .version: "version"
        case .cipher: "cipher"
        case .application: "application"
        case .clientCertificate: "client-certificate"
        case .alert: "alert"
        case .other: "other"
        }
    }
}

/// What one rule did with hits: one number a fate.
package struct RuleCounts: Equatable, Sendable {
    package var region: String
    package var policy: String
    /// By `HitFate.rawValue`.
    package var fates: [UInt64]

    package subscript(fate: HitFate) -> UInt64 { fates[fate.rawValue] }
    /// Hits that are accounted for: the sum of all fates.
    package var received: UInt64 { fates.reduce(0, +) }
}

/// Counts of a whole collector since its start; all of them only grow.
package struct EdgeCounters: Equatable, Sendable {
    /// Hits by region and policy, sorted.
    package var rules: [RuleCounts] = []
    /// By `EdgeEvent.rawValue`.
    package var events = [UInt64](repeating: 0, count: EdgeEvent.allCases.count)
    /// By `AddressProvenance.rawValue`.
    package var addresses = [UInt64](repeating: 0, count: AddressProvenance.allCases.count)
    /// Answers by status, in the order of `HTTPStatus.allCases`.
    package var answers = [UInt64](repeating: 0, count: HTTPStatus.allCases.count)
    /// TLS handshakes, by `HandshakeOutcome.rawValue`.
    package var handshakes = [UInt64](repeating: 0, count: HandshakeOutcome.allCases.count)
    package var connectionsOpen = 0
    /// Hits that are in a batch and not yet answered.
    package var hitsPending: UInt64 = 0

    package init() {}

    package subscript(event: EdgeEvent) -> UInt64 { events[event.rawValue] }
    package subscript(address: AddressProvenance) -> UInt64 { addresses[Int(address.rawValue)] }
    package subscript(outcome: HandshakeOutcome) -> UInt64 { handshakes[outcome.rawValue] }
    package subscript(status: HTTPStatus) -> UInt64 {
        HTTPStatus.allCases.firstIndex(of: status).map { answers[$0] } ?? 0
    }

    /// Hits of one fate over all rules.
    package func total(_ fate: HitFate) -> UInt64 { rules.reduce(0) { $0 + $1[fate] } }
    /// Hits that came: those accounted for and those pending.
    package var received: UInt64 { rules.reduce(hitsPending) { $0 + $1.received } }

    /// Adds the counts of another loop.
    mutating func add(_ other: EdgeCounters) {
        for rule in other.rules { add(rule) }
        for index in events.indices { events[index] += other.events[index] }
        for index in addresses.indices { addresses[index] += other.addresses[index] }
        for index in answers.indices { answers[index] += other.answers[index] }
        for index in handshakes.indices { handshakes[index] += other.handshakes[index] }
        connectionsOpen += other.connectionsOpen
        hitsPending += other.hitsPending
    }

    /// Adds the fates of a context's policies, one number a fate of each policy in turn.
    mutating func add(_ fates: [UInt64], of context: EdgeContext) {
        let size = HitFate.allCases.count
        for policy in context.policyNames.indices {
            add(
                RuleCounts(
                    region: context.policyRegions[policy], policy: context.policyNames[policy],
                    fates: Array(fates[policy * size..<(policy + 1) * size])))
        }
    }

    mutating func add(_ rule: RuleCounts) {
        var index = 0
        var end = rules.count
        while index < end {
            let middle = (index + end) / 2
            if (rules[middle].region, rules[middle].policy) < (rule.region, rule.policy) {
                index = middle + 1
            } else {
                end = middle
            }
        }
        if index < rules.count, rules[index].region == rule.region,
            rules[index].policy == rule.policy
        {
            for fate in rule.fates.indices { rules[index].fates[fate] += rule.fates[fate] }
        } else {
            rules.insert(rule, at: index)
        }
    }
}

extension EdgeCounters {
    /// Appends the families of these counts.
    func write(to page: inout MetricsText) {
        page.family(
            "cordon_edge_hits_total", .counter,
            help: "Hits by region, policy and what became of them.")
        for rule in rules {
            for fate in HitFate.allCases where rule[fate] > 0 {
                page.sample(
                    "cordon_edge_hits_total",
                    ["region": rule.region, "policy": rule.policy, "fate": fate.text], rule[fate])
            }
        }
        page.family(
            "cordon_edge_hits_pending", .gauge, help: "Hits in a batch that is not yet committed.")
        page.sample("cordon_edge_hits_pending", hitsPending)
        page.family(
            "cordon_edge_client_address_total", .counter,
            help: "Hits by where the client's address came from.")
        for provenance in AddressProvenance.allCases {
            page.sample(
                "cordon_edge_client_address_total", ["source": provenance.text], self[provenance])
        }
        page.family("cordon_edge_answers_total", .counter, help: "Answers by status code.")
        for status in HTTPStatus.allCases where self[status] > 0 {
            page.sample("cordon_edge_answers_total", ["status": "\(status.rawValue)"], self[status])
        }
        page.family(
            "cordon_edge_tls_handshakes_total", .counter,
            help: "TLS handshakes by how they ended: full and resumed are connections.")
        for outcome in HandshakeOutcome.allCases where self[outcome] > 0 {
            page.sample(
                "cordon_edge_tls_handshakes_total", ["outcome": outcome.text], self[outcome])
        }
        page.family("cordon_edge_connections", .gauge, help: "Open connections.")
        page.sample("cordon_edge_connections", connectionsOpen)
        for event in EdgeEvent.allCases {
            page.family(event.metric, .counter, help: event.help)
            page.sample(event.metric, self[event])
        }
    }
}

extension EdgeEvent {
    var metric: String {
        switch self {
        case .http2Connections: "cordon_edge_http2_connections_total"
        case .http2Ended: "cordon_edge_http2_ended_total"
        case .connectionsAccepted: "cordon_edge_connections_accepted_total"
        case .connectionsRefused: "cordon_edge_connections_refused_total"
        case .acceptFailures: "cordon_edge_accept_failures_total"
        case .connectionsTimedOut: "cordon_edge_connections_timed_out_total"
        case .proxyHeadersMalformed: "cordon_edge_proxy_headers_malformed_total"
        case .connectionsLimited: "cordon_edge_connections_limited_total"
        case .connectionsUncounted: "cordon_edge_connections_uncounted_total"
        case .requestsLimited: "cordon_edge_requests_limited_total"
        case .requests: "cordon_edge_requests_total"
        case .hitRequests: "cordon_edge_hit_requests_total"
        case .hitHeads: "cordon_edge_hit_heads_total"
        case .preflights: "cordon_edge_preflights_total"
        case .bodiesRefused: "cordon_edge_bodies_refused_total"
        case .userAgentsClassified: "cordon_edge_user_agents_classified_total"
        case .userAgentsOverflowed: "cordon_edge_user_agents_overflowed_total"
        case .keysMissing: "cordon_edge_keys_missing_total"
        case .batchesFull: "cordon_edge_batches_full_total"
        }
    }

    var help: String {
        switch self {
        case .http2Connections: "Connections that speak HTTP/2."
        case .http2Ended:
            "Connections of HTTP/2 that were ended for a flood, a slow request or a violation."
        case .connectionsAccepted: "Connections taken."
        case .connectionsRefused: "Connections closed at once because of the bound on them."
        case .acceptFailures: "Times that the system had no descriptor or memory for a connection."
        case .connectionsTimedOut: "Connections closed because their client was too slow or silent."
        case .proxyHeadersMalformed:
            "Connections of trusted proxies closed because of their PROXY header: none, malformed, or cut off."
        case .connectionsLimited: "Connections closed at once because their address has enough."
        case .connectionsUncounted:
            "Connections whose address is not limited because the table of addresses had no room."
        case .requestsLimited: "Requests answered 429 because their address sends too many."
        case .requests: "Requests whose head was read."
        case .hitRequests: "Hits: GET of the pixel and POST of an event."
        case .hitHeads: "HEAD requests for the pixel: answered, not counted as hits."
        case .preflights: "OPTIONS requests for the hit's path: answered, not counted as hits."
        case .bodiesRefused: "POST requests whose body could not be read: 400 or 415, no hits."
        case .userAgentsClassified: "User agents that were not in the cache."
        case .userAgentsOverflowed:
            "User agents left as `Other` because of the bound on classification."
        case .keysMissing: "Hits whose pseudonym was left out because its key was not there."
        case .batchesFull: "Hits answered 503 because their batch was full."
        }
    }
}
