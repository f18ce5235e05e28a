import CordonAudit
import CordonKeys
package import CordonModel
import CordonPolicy
package import GeoTables
import LinuxIO

/// Makes a working project out of the shipped regions and policies: `cordon init`.
///
/// Every step leaves what is there already alone, so a set-up that was interrupted is finished by running it again.
package struct ProjectSetup {
    package let layout: ProjectLayout
    /// What is done, for people; a line each.
    private let report: (String) -> Void

    package init(layout: ProjectLayout, report: @escaping (String) -> Void) {
        self.layout = layout
        self.report = report
    }

    /// The two lists of Debian's `tor-geoipdb`.
    package static let defaultGeoSources = ["/usr/share/tor/geoip", "/usr/share/tor/geoip6"]

    /// Why a project could not be made.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Copies the shipped files, compiles `sources` into the geo table, makes the keys and begins the audit logs.
    package func run(
        geoFormat: GeoSourceFormat, geoSources: [String], clock: some WallClock
    ) throws {
        let now = clock.now()
        try copyShippedFiles()
        let configuration = try ProjectConfiguration.load(layout, now: Day(now))
        for region in configuration.regions { try requireKeys(region) }
        try compileGeoTable(geoFormat, geoSources)
        for region in configuration.regions {
            try prepare(region, ruleSet: configuration.ruleSet.digest, at: now)
        }
    }

    // MARK: Files

    /// The folder with the shipped `Regions/` and `Policies/`: one above the program's own, else the system's.
    package static func shippedDirectory() -> String? {
        var candidates: [String] = []
        var folder = InstalledData.executablePath()[...]
        while let slash = folder.lastIndex(of: "/") {
            folder = folder[..<slash]
            candidates.append(String(folder))
        }
        candidates.append(InstalledData.systemDirectory)
        return candidates.first { candidate in
            ["/Policies/atlas.yaml", "/Regions"].allSatisfy { isThere(candidate + $0) }
        }
    }

    private static func isThere(_ path: String) -> Bool {
        // A folder that cannot be looked into is not the one searched for.
        (try? File.exists(path)) ?? false
    }

    private func copyShippedFiles() throws {
        guard let shipped = Self.shippedDirectory() else {
            throw Failure(
                description:
                    "the shipped Regions/ and Policies/ were found neither above the program nor in "
                    + "`\(InstalledData.systemDirectory)`; run scripts/setup and use the built program in its place"
            )
        }
        if shipped == layout.root {
            report("using the Regions/ and Policies/ that stand here")
            return
        }
        try Directory.create(layout.root, mode: 0o755)
        let count = try copyTree("Regions", from: shipped) + copyTree("Policies", from: shipped)
        report(
            count == 0
                ? "Regions/ and Policies/ are there already: left as they are"
                : "copied \(count) files to Regions/ and Policies/: yours to edit")
    }

    /// Copies the YAML files below `folder` that are missing; returns how many.
    private func copyTree(_ folder: String, from shipped: String) throws -> Int {
        // A folder that the user has is the user's: what they removed from it stays away.
        if try File.exists(layout.root + "/" + folder) { return 0 }
        var count = 0
        try Directory.create(layout.root + "/" + folder, mode: 0o755)
        for entry in try Directory.entries(shipped + "/" + folder) {
            let path = folder + "/" + entry.name
            if entry.kind == .directory {
                count += try copyTree(path, from: shipped)
            } else if entry.name.hasSuffix(".yaml") {
                let bytes = try File.read(shipped + "/" + path)
                try File.write(layout.root + "/" + path, bytes, mode: 0o644, sync: true)
                count += 1
            }
        }
        return count
    }

    // MARK: Geo table

    private func compileGeoTable(_ format: GeoSourceFormat, _ sources: [String]) throws {
        if try File.exists(layout.geoTablePath) {
            let table = try GeoTable(mapping: layout.geoTablePath)
            report("geo table \(table.build) is there already: left as it is")
            return
        }
        var builder = GeoTableBuilder()
        for source in sources { try builder.add(format, path: source) }
        try Directory.create(layout.stateDirectory)
        try Directory.create(File.parent(of: layout.geoTablePath))
        try builder.write(to: layout.geoTablePath)
        let table = try GeoTable(mapping: layout.geoTablePath)
        report("compiled geo table \(table.build): \(table.places.count - 1) places")
    }

    // MARK: Regions

    /// Refuses to make new keys beside an audit log, which they could not go on with: every command would refuse the log then,
    /// and the keys that come back from a backup would meet others in their place.
    private func requireKeys(_ region: RegionConfiguration) throws {
        guard try AuditLog.isBegun(directory: region.auditDirectory, region: region.name) else {
            return
        }
        do throws(KeysError) {
            _ = try RegionKeys(opening: region.keysDirectory, region: region.name)
        } catch {
            guard case .missing(let path) = error else { throw error }
            throw Failure(
                description:
                    "region \(region.name) has an audit log, and its key `\(path)` is gone: "
                    + "bring back `\(region.keysDirectory)` from a backup; nothing was made")
        }
    }

    private func prepare(_ region: RegionConfiguration, ruleSet: String, at now: Timestamp) throws {
        try Directory.create(region.stateDirectory)
        try Directory.create(region.lakeDirectory)
        let keys = try RegionKeys.create(directory: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        if log.size == 0 {
            try log.append(
                AuditEntry(
                    at: now, kind: "region.created", region: region.name,
                    fields: [
                        "rule_set": .text(ruleSet), "jurisdiction": .text(region.jurisdiction),
                    ]))
        }
        report("region \(region.name): keys and audit log ready in \(shown(region.stateDirectory))")
    }

    private func shown(_ path: String) -> String {
        path.hasPrefix(layout.root + "/") ? String(path.dropFirst(layout.root.count + 1)) : path
    }
}
