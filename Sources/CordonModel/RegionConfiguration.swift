package import Bytes

/// What `Regions/<name>.yaml` says of one region, checked, with every path made absolute.
package struct RegionConfiguration: Equatable, Sendable {
    /// Lowercase letters, digits and hyphens, 1 to 40 characters; also a folder name.
    package var name: String
    package var title: String
    /// ISO 3166-1 code of the country in which the machines stand.
    package var jurisdiction: String
    package var collector: Collector
    /// Nil when the region has no catalog and query service.
    package var service: Service?
    /// Folder of the lake: tables stand in it as `pixels/hits/{data,metadata}`.
    package var lakeDirectory: String
    /// Columns whose values are sealed before they reach the lake.
    package var sealedColumns: [SealableColumn]
    package var catalogPath: String
    package var keysDirectory: String
    /// Folder for what the region file does not place: journal, audit log, requests.
    package var stateDirectory: String
    package var maintenance: LakeMaintenance

    package init(
        name: String, title: String, jurisdiction: String, collector: Collector,
        lakeDirectory: String, catalogPath: String, keysDirectory: String, stateDirectory: String,
        service: Service? = nil, maintenance: LakeMaintenance = LakeMaintenance(),
        sealedColumns: [SealableColumn] = []
    ) {
        self.name = name
        self.title = title
        self.jurisdiction = jurisdiction
        self.collector = collector
        self.lakeDirectory = lakeDirectory
        self.sealedColumns = sealedColumns
        self.catalogPath = catalogPath
        self.keysDirectory = keysDirectory
        self.stateDirectory = stateDirectory
        self.service = service
        self.maintenance = maintenance
    }

    /// Where the region's catalog and queries are asked.
    package struct Service: Equatable, Sendable {
        package var listen: SocketAddress
        /// Nil when the listener speaks plain HTTP.
        package var tls: TLS?
        /// Where clients of PostgreSQL connect, with the same certificate; nil when they do not.
        package var postgres: SocketAddress?
        /// Whose access tokens are accepted beside the region's own.
        package var issuers: [TrustedIssuer]

        package init(
            listen: SocketAddress, tls: TLS? = nil, postgres: SocketAddress? = nil,
            issuers: [TrustedIssuer] = []
        ) {
            self.listen = listen
            self.tls = tls
            self.postgres = postgres
            self.issuers = issuers
        }
    }

    package struct Collector: Equatable, Sendable {
        package var listen: SocketAddress
        /// Peers that may speak for a client.
        package var trustedProxies: [IPPrefix]
        package var clientAddress: ClientAddressSource
        package var durability: Durability
        /// What one peer address may do; trusted proxies are not bound by it.
        package var limits: AddressLimits
        /// Nil when the listener speaks plain HTTP.
        package var tls: TLS?

        package init(
            listen: SocketAddress, trustedProxies: [IPPrefix], clientAddress: ClientAddressSource,
            durability: Durability, limits: AddressLimits = AddressLimits(), tls: TLS? = nil
        ) {
            self.listen = listen
            self.trustedProxies = trustedProxies
            self.clientAddress = clientAddress
            self.durability = durability
            self.limits = limits
            self.tls = tls
        }
    }

    /// What a listener speaks TLS with.
    package struct TLS: Equatable, Sendable {
        /// The server's certificate and its intermediates, PEM.
        package var certificate: NamedFile
        package var key: NamedFile
        /// Who issues the certificates that clients must show; nil when none is asked for.
        package var clientAuthorities: NamedFile?
        package var minimum: MinimumVersion

        package init(
            certificate: NamedFile, key: NamedFile, clientAuthorities: NamedFile?,
            minimum: MinimumVersion
        ) {
            self.certificate = certificate
            self.key = key
            self.clientAuthorities = clientAuthorities
            self.minimum = minimum
        }

        /// Oldest version of TLS that is spoken.
        package enum MinimumVersion: String, CaseIterable, Sendable {
            case tls12 = "1.2"
            case tls13 = "1.3"
        }
    }

    /// A file that the region's file names, and where it does.
    package struct NamedFile: Equatable, Sendable {
        /// Absolute.
        package var path: String
        /// As it is written.
        package var text: String
        /// Counted from 1.
        package var line: Int
        package var column: Int

        package init(path: String, text: String, line: Int, column: Int) {
            self.path = path
            self.text = text
            self.line = line
            self.column = column
        }
    }

    /// What one peer address may do, an IPv6 address counting by its first 64 bits.
    package struct AddressLimits: Equatable, Sendable {
        /// Connections that are open at the same time: room for the browsers of an office or a carrier behind one address.
        package var connectionsPerAddress = 1024
        /// Requests in a second, and at once.
        package var requestsPerSecondPerAddress = 1000

        package static let connectionsRange = 1...60_000
        package static let requestsPerSecondRange = 1...1_000_000

        package init() {}
    }

    /// Where the client's address is read from, when the peer is a trusted proxy.
    package enum ClientAddressSource: String, CaseIterable, Sendable {
        case peer
        case xForwardedFor = "x-forwarded-for"
        case forwarded
        case cloudFrontViewerAddress = "cloudfront-viewer-address"
        case proxyProtocol = "proxy-protocol"
    }

    /// What an answer promises.
    package enum Durability: String, CaseIterable, Sendable {
        /// The hit is on disk, synced, before it is answered.
        case durable
        /// The hit is synced at most 100 ms after it is answered.
        case relaxed
    }

    /// An address and port to listen on.
    package struct SocketAddress: Hashable, Sendable {
        package var address: IPAddress
        package var port: UInt16
        package init(address: IPAddress, port: UInt16) {
            self.address = address
            self.port = port
        }
        /// `127.0.0.1:8401` or `[::1]:8401`.
        package var text: String {
            address.isIPv6 ? "[\(address.text)]:\(port)" : "\(address.text):\(port)"
        }
    }
}

extension RegionConfiguration {
    /// Something that the region listens on.
    package struct Listener: Equatable, Sendable {
        /// For people: `collector`.
        package var name: String
        package var address: SocketAddress
    }

    /// Everything that the region listens on; no two listeners of a project may meet.
    package var listeners: [Listener] {
        var listeners = [Listener(name: "collector", address: collector.listen)]
        if let service { listeners.append(Listener(name: "service", address: service.listen)) }
        if let postgres = service?.postgres {
            listeners.append(Listener(name: "service.postgres", address: postgres))
        }
        return listeners
    }

    /// What lies right in the state folder, with a word for people: nothing else may be placed there.
    package var statePaths: [(name: String, path: String)] {
        [
            ("journal", journalPath), ("audit log", auditDirectory),
            ("head of the audit log", auditDirectory + ".head"),
            ("witnessed logs", witnessDirectory), ("certificates", certificatesDirectory),
            ("ledger of the erased", erasedLedgerPath), ("requests", requestsPath),
            ("access tokens", tokensPath), ("lake lock", lakeLockPath),
            ("lock of requests", requestsLockPath), ("index of persons", personIndexDirectory),
            ("lake scratch", lakeScratchDirectory), ("query scratch", queryScratchDirectory),
        ]
    }

    package var journalPath: String { stateDirectory + "/journal.sqlite" }
    package var auditDirectory: String { stateDirectory + "/audit" }
    /// Where the region keeps what it witnessed of other regions' audit logs.
    package var witnessDirectory: String { stateDirectory + "/witness" }
    /// Where the certificates of erasures lie, one file each.
    package var certificatesDirectory: String { stateDirectory + "/certificates" }
    /// Keyed digests of those who were erased; a copy belongs where a restore does not reach.
    package var erasedLedgerPath: String { stateDirectory + "/erased.ledger" }
    /// What answers over groups have told.
    package var queryLedgerPath: String { stateDirectory + "/query-ledger.sqlite" }
    package var requestsPath: String { stateDirectory + "/requests.sqlite" }
    /// Register of the access tokens.
    package var tokensPath: String { stateDirectory + "/tokens.sqlite" }
    /// Locked (`flock`) by whoever writes the lake: delivery, retention, erasure.
    package var lakeLockPath: String { stateDirectory + "/lake.lock" }
    /// Locked (`flock`) by whoever carries out a request of a person, retention or maintenance.
    package var requestsLockPath: String { stateDirectory + "/requests.lock" }
    /// Filters of who may be in each data file.
    package var personIndexDirectory: String { stateDirectory + "/lake-index" }
    /// For what the lake's engine cannot hold in memory.
    package var lakeScratchDirectory: String { stateDirectory + "/lake-scratch" }
    /// The same of queries.
    package var queryScratchDirectory: String { stateDirectory + "/query-scratch" }
    /// Says whose the lake is. A name with a dot is passed over by what reads a lake's folder.
    package var lakeMarkPath: String { lakeDirectory + "/.cordon-region" }
    /// Folder of the one table: `metadata/` and `data/` lie in it.
    package var hitsTableDirectory: String { lakeDirectory + "/pixels/hits" }
}

/// Where a project keeps its files.
package struct ProjectLayout: Equatable, Sendable {
    /// Absolute path without a trailing slash.
    package let root: String
    package init(root: String) { self.root = root }

    package var regionsDirectory: String { root + "/Regions" }
    package var policiesDirectory: String { root + "/Policies" }
    package var casesDirectory: String { root + "/Policies/cases" }
    package var atlasPath: String { root + "/Policies/atlas.yaml" }
    package var stateDirectory: String { root + "/var" }
    package var geoTablePath: String { root + "/var/geo/places.cgt" }
    /// Folder of the sockets at which running nodes take orders.
    package var runDirectory: String { root + "/var/run" }
    /// Where the proof certificate lies that a collector may be started with.
    package var proofPath: String { root + "/var/proof/certificate" }
    /// Folders that no region may keep anything in, relative to the project: its configuration, and what belongs to all
    /// regions.
    package var ownDirectories: [String] {
        ["Regions", "Policies", "var/geo", "var/proof", "var/rules", "var/run", "var/shadow"]
    }

    /// `path` made absolute from the project's folder.
    package func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : root + "/" + path
    }
}

/// Who asks, for what, and from where.
package struct Principal: Hashable, Sendable {
    package var role: String
    package var purpose: String
    /// ISO 3166 code of the country (or country-subdivision) from which the principal asks.
    package var place: String
    package init(role: String, purpose: String, place: String) {
        self.role = role
        self.purpose = purpose
        self.place = place
    }
}
