internal import Bytes
internal import CordonModel

/// Reads one region file; paths in it are relative to the project.
struct RegionReader {
    let problems: ProblemList
    let layout: ProjectLayout

    static let keys = [
        "region", "title", "jurisdiction", "node", "collector", "service", "lake", "catalog",
        "engine", "keys", "maintenance",
    ]

    func read(_ item: Item, fileName: String) -> RegionConfiguration? {
        guard let root = Section(item, keys: Self.keys, later: ["seal_key"]) else {
            return nil
        }
        let name = root.required("region")?.name()
        if let name, name != fileName {
            root["region"]?.error(
                "region `\(name)` stands in a file of another name, `\(fileName).yaml`")
        }
        let title = root.required("title")?.text()
        let jurisdiction = root.required("jurisdiction").flatMap(country)
        if let node = root["node"], let text = node.text(), text != "local" {
            node.error(
                "expected `local`, found `\(text)`: other nodes are not supported by this version")
        }
        let collector = root.required("collector").flatMap(collector)
        let service = root["service"].map(service)
        let state = "var/\(name ?? fileName)"
        let lake = directory(
            root["lake"], key: "location", scheme: "file:", later: ["s3:"],
            default: state + "/lake", besides: ["sealed"])
        let sealed = root["lake"].map(sealedColumns) ?? []
        let catalog = directory(
            root["catalog"], key: "store", scheme: "sqlite:", later: ["postgresql:"],
            default: state + "/catalog.sqlite")
        engine(root["engine"])
        let maintenance = root["maintenance"].map(maintenance) ?? LakeMaintenance()
        let keys = keysDirectory(root["keys"], default: state + "/keys")
        guard let name, let title, let jurisdiction, let collector, let lake, let catalog, let keys,
            let maintenance, let sealed
        else { return nil }
        if case .some(.none) = service { return nil }
        return RegionConfiguration(
            name: name, title: title, jurisdiction: jurisdiction, collector: collector,
            lakeDirectory: layout.absolute(lake), catalogPath: layout.absolute(catalog),
            keysDirectory: layout.absolute(keys), stateDirectory: layout.absolute(state),
            service: service ?? nil, maintenance: maintenance, sealedColumns: sealed)
    }

    /// The columns that `sealed` of the lake names; nil after a mistake, which is noted.
    private func sealedColumns(_ lake: Item) -> [SealableColumn]? {
        guard let section = Section(lake, keys: ["location", "sealed"]) else { return nil }
        guard let item = section["sealed"] else { return [] }
        guard let names = item.texts() else { return nil }
        let known = SealableColumn.allCases.map(\.rawValue)
        var columns: [SealableColumn] = []
        for (text, item) in names {
            guard let column = SealableColumn(rawValue: text) else {
                let reason =
                    HitBatch.columns.contains(text)
                    ? "`\(text)` cannot be sealed, since hits are found, counted, routed or ended by it"
                    : "the table has no column `\(text)`" + Spelling.suggestion(text, among: known)
                item.error("\(reason); what can be is \(known.joined(separator: ", "))")
                continue
            }
            columns.append(column)
        }
        return columns.count == names.count ? columns : nil
    }

    /// The keys of `maintenance` with what each sets.
    static let maintenanceKeys:
        [(
            name: String, range: ClosedRange<Int>,
            value: any WritableKeyPath<LakeMaintenance, Int> & Sendable
        )] = [
            (
                "freshness_seconds", LakeMaintenance.freshnessSecondsRange,
                \LakeMaintenance.freshnessSeconds
            ),
            ("every_minutes", LakeMaintenance.everyMinutesRange, \LakeMaintenance.everyMinutes),
            ("compact_files", LakeMaintenance.compactFilesRange, \LakeMaintenance.compactFiles),
            (
                "small_megabytes", LakeMaintenance.smallMegabytesRange,
                \LakeMaintenance.smallMegabytes
            ),
            (
                "file_megabytes", LakeMaintenance.fileMegabytesRange,
                \LakeMaintenance.fileMegabytes
            ),
            ("manifests", LakeMaintenance.manifestsRange, \LakeMaintenance.manifests),
            (
                "snapshot_minutes", LakeMaintenance.snapshotMinutesRange,
                \LakeMaintenance.snapshotMinutes
            ),
            ("snapshots_min", LakeMaintenance.snapshotsMinRange, \LakeMaintenance.snapshotsMin),
            ("orphan_hours", LakeMaintenance.orphanHoursRange, \LakeMaintenance.orphanHours),
            (
                "dead_letter_days", LakeMaintenance.deadLetterDaysRange,
                \LakeMaintenance.deadLetterDays
            ),
        ]

    private func maintenance(_ item: Item) -> LakeMaintenance? {
        guard let section = Section(item, keys: Self.maintenanceKeys.map(\.name)) else {
            return nil
        }
        var maintenance = LakeMaintenance()
        for key in Self.maintenanceKeys {
            guard let item = section[key.name] else { continue }
            guard let number = item.integer(in: key.range) else { return nil }
            maintenance[keyPath: key.value] = number
        }
        if maintenance.smallMegabytes > maintenance.fileMegabytes {
            let item = section["small_megabytes"] ?? section["file_megabytes"] ?? item
            item.error(
                "a small file, below \(maintenance.smallMegabytes) MB, would be larger than what files are made one up to, "
                    + "`file_megabytes: \(maintenance.fileMegabytes)`")
            return nil
        }
        return maintenance
    }

    private func isLoopback(_ address: IPAddress) -> Bool {
        ["127.0.0.0/8", "::1/128"].contains { IPPrefix($0)?.contains(address) == true }
    }

    private func service(_ item: Item) -> RegionConfiguration.Service? {
        guard let section = Section(item, keys: ["listen", "tls", "postgres", "issuers"]) else {
            return nil
        }
        let listen = section.required("listen").flatMap(socketAddress)
        let tls = section["tls"].map(self.tls)
        let postgres = section["postgres"].map(socketAddress)
        let issuers = section["issuers"].map(self.issuers) ?? []
        guard let listen, let issuers else { return nil }
        if case .some(.none) = tls { return nil }
        if case .some(.none) = postgres { return nil }
        let addresses: [(String, RegionConfiguration.SocketAddress?)] = [
            ("listen", listen), ("postgres", postgres ?? nil),
        ]
        for (key, address) in addresses where tls == nil {
            guard let address, !isLoopback(address.address) else { continue }
            section[key]?.error(
                "tokens would cross the network in the clear: give `tls`, or listen on loopback behind a proxy that has it"
            )
            return nil
        }
        if postgres == listen, listen.port != 0 {
            section["postgres"]?.error(
                "`\(listen.text)` is where the service is asked over HTTP; give PostgreSQL another port"
            )
            return nil
        }
        return .init(listen: listen, tls: tls ?? nil, postgres: postgres ?? nil, issuers: issuers)
    }

    private func country(_ item: Item) -> String? {
        guard let text = item.text() else { return nil }
        guard PlaceCode.countries.contains(text) else {
            item.error("expected a country code of ISO 3166-1 such as `DE`, found `\(text)`")
            return nil
        }
        return text
    }

    private func collector(_ item: Item) -> RegionConfiguration.Collector? {
        let keys = ["listen", "trusted_proxies", "client_address", "durability", "limits", "tls"]
        guard let section = Section(item, keys: keys) else { return nil }
        let listen = section.required("listen").flatMap(socketAddress)
        let proxies = section["trusted_proxies"].map { $0.texts()?.map(prefix) ?? [nil] } ?? []
        typealias Source = RegionConfiguration.ClientAddressSource
        let source = section["client_address"].map { $0.word(Source.self) } ?? .peer
        let durability =
            section["durability"].map { $0.word(RegionConfiguration.Durability.self) } ?? .durable
        let limits = section["limits"].map(addressLimits) ?? RegionConfiguration.AddressLimits()
        let tls = section["tls"].map(self.tls)
        if let source, source != .peer, proxies.isEmpty {
            section["client_address"]?.error(
                "`\(source.rawValue)` is only read from trusted proxies: name them in `trusted_proxies`"
            )
        }
        guard let listen, let source, let durability, let limits,
            !proxies.contains(where: { $0 == nil })
        else { return nil }
        if case .some(.none) = tls { return nil }
        return .init(
            listen: listen, trustedProxies: proxies.compactMap { $0 }, clientAddress: source,
            durability: durability, limits: limits, tls: tls ?? nil)
    }

    private func addressLimits(_ item: Item) -> RegionConfiguration.AddressLimits? {
        let keys = ["connections_per_address", "requests_per_second_per_address"]
        guard let section = Section(item, keys: keys) else { return nil }
        typealias Limits = RegionConfiguration.AddressLimits
        var limits = Limits()
        if let item = section[keys[0]] {
            guard let number = item.integer(in: Limits.connectionsRange) else { return nil }
            limits.connectionsPerAddress = number
        }
        if let item = section[keys[1]] {
            guard let number = item.integer(in: Limits.requestsPerSecondRange) else { return nil }
            limits.requestsPerSecondPerAddress = number
        }
        return limits
    }

    private func tls(_ item: Item) -> RegionConfiguration.TLS? {
        let keys = ["certificate", "key", "client_ca", "minimum"]
        guard let section = Section(item, keys: keys) else { return nil }
        let certificate = section.required("certificate").flatMap(namedFile)
        let key = section.required("key").flatMap(namedFile)
        let authorities = section["client_ca"].map(namedFile)
        typealias Minimum = RegionConfiguration.TLS.MinimumVersion
        let minimum = section["minimum"].map { $0.word(Minimum.self) } ?? .tls12
        guard let certificate, let key, let minimum else { return nil }
        if case .some(.none) = authorities { return nil }
        return .init(
            certificate: certificate, key: key, clientAuthorities: authorities ?? nil,
            minimum: minimum)
    }

    func namedFile(_ item: Item) -> RegionConfiguration.NamedFile? {
        guard let text = item.text() else { return nil }
        guard isPath(text[...]) else {
            item.error("expected a path without `..`, found `\(text)`")
            return nil
        }
        return .init(
            path: layout.absolute(text), text: text, line: item.position.line,
            column: item.position.column)
    }

    private func socketAddress(_ item: Item) -> RegionConfiguration.SocketAddress? {
        guard let text = item.text() else { return nil }
        let colon = text.lastIndex(of: ":")
        var host = colon.map { text[..<$0] } ?? ""
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if isBracketed { host = host.dropFirst().dropLast() }
        guard let colon, let port = UInt16(text[text.index(after: colon)...]),
            let address = IPAddress(host), address.isIPv6 == isBracketed
        else {
            item.error(
                "expected an address and port such as `127.0.0.1:8401` or `[::1]:8401`, found `\(text)`"
            )
            return nil
        }
        return .init(address: address, port: port)
    }

    private func prefix(_ text: String, _ item: Item) -> IPPrefix? {
        if let prefix = IPPrefix(text) { return prefix.unmapped }
        item.error(
            "expected addresses such as `127.0.0.0/8` without bits beyond the length, found `\(text)`"
        )
        return nil
    }

    /// A path behind `scheme`.
    private func directory(
        _ item: Item?, key: String, scheme: String, later: [String], default fallback: String,
        besides others: [String] = []
    ) -> String? {
        guard let item else { return fallback }
        guard let value = Section(item, keys: [key] + others)?.required(key),
            let text = value.text()
        else { return nil }
        for other in later where text.hasPrefix(other) {
            value.error("`\(other)` is not supported by this version, only `\(scheme)` is")
            return nil
        }
        guard text.hasPrefix(scheme), isPath(text.dropFirst(scheme.count)) else {
            value.error("expected `\(scheme)PATH`, found `\(text)`")
            return nil
        }
        return String(text.dropFirst(scheme.count))
    }

    private func keysDirectory(_ item: Item?, default fallback: String) -> String? {
        guard let item else { return fallback }
        guard let value = Section(item, keys: ["directory"])?.required("directory"),
            let text = value.text()
        else { return nil }
        guard isPath(text[...]) else {
            value.error("expected a path without `..`, found `\(text)`")
            return nil
        }
        return text
    }

    /// Whether it is a path that cannot climb out of where it is meant to be.
    private func isPath(_ text: Substring) -> Bool {
        !text.isEmpty && !text.hasSuffix("/") && !text.utf8.contains(0)
            && !text.split(separator: "/").contains { $0 == ".." || $0 == "." }
    }

    private func engine(_ item: Item?) {
        guard let item, let section = Section(item, keys: ["driver"], later: ["adbc"]) else {
            return
        }
        guard let driver = section.required("driver"), let text = driver.text() else { return }
        switch text {
        case "duckdb": break
        case "adbc": driver.error("`adbc` is not supported by this version, only `duckdb` is")
        default:
            driver.error(
                "expected `duckdb`, found `\(text)`" + Spelling.suggestion(text, among: ["duckdb"]))
        }
    }
}
