/// Bounds of the collector; `Docs/operations/edge.md` says what happens beyond each.
package enum EdgeLimits {
    /// Connections of one loop; one more is closed at once.
    package static let connectionsMax = 16_384
    /// Input of one connection in bytes: the largest head and as much again of pipelined requests.
    package static let inputBytesMax = 32_768
    /// Requests of one connection that wait for their answers; reading goes on when the first has left.
    package static let pipelineMax = 32
    /// A batch of one loop and region in bytes. While it is full, hits are answered 503.
    package static let batchBytesMax = 1 << 20
    /// Room for the largest record: a head of 16 KiB and a body of 8 KiB in which each byte becomes a U+FFFD, names, and fixed
    /// fields.
    static let recordBytesMax = 98_304
    /// Query parameters of one record.
    static let parametersMax = 64
    /// How long `relaxed` gathers hits, in milliseconds; with the commit it stays below the promised 100.
    static let relaxedMilliseconds: UInt64 = 50
    /// Age of the oldest hit that is not in the journal from which `relaxed` answers wait too, in milliseconds: more than this
    /// gathered is never lost.
    static let relaxedMillisecondsMax: UInt64 = 100
    /// How often a connection that always has more to read is served before the others have their turn; each time takes up to
    /// ``pipelineMax`` requests, or one page of metrics.
    static let roundsOfTurnMax = 8
    /// Connections that a listener accepts before those that are open have their turn.
    static let acceptsOfTurnMax = 64
    /// User agents that one loop classifies in a second; beyond it they count as `Other`.
    static let classificationsPerSecondMax = 10_000
    /// From the start of a connection to the end of its PROXY header, in milliseconds; proxies send it at once.
    static let proxyHeaderMillisecondsMax: UInt64 = 5_000
    /// Bytes of frames that are read at once: one record of TLS.
    static let plaintextBytesMax = 16_384
    /// How long answers of HTTP/2 may wait for a client's windows to open, in milliseconds.
    static let streamMillisecondsMax: UInt64 = 20_000
    /// From the first byte to the end of a TLS handshake, in milliseconds.
    package static let handshakeMillisecondsMax: UInt64 = 10_000
    /// How long a drain waits for requests that have begun and for slow readers, in milliseconds.
    static let drainMillisecondsMax: UInt64 = 10_000
    /// Hops of a forwarding chain that are looked at; a longer chain is malformed.
    static let hopsMax = 32
    /// Longest `event`, in bytes.
    static let eventBytesMax = 64
    /// Longest `event_id`, in bytes; longer ones are not remembered. A UUID in text has 36.
    static let eventIDBytesMax = 64
    /// Hits of one loop that wait for the fate of an earlier hit with their id; beyond it they are answered 503.
    static let twinsMax = 1024
    /// Longest run of digits that a page's path segment may keep; longer ones are taken for identifiers.
    static let pathDigitsMax = 8
    /// Connections that the system queues before they are accepted.
    static let backlog: Int32 = 4096
    /// Seconds after which a client that was answered 503 may try again.
    static let retryAfterSeconds = 1
}
