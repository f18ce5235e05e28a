package import CordonModel
package import CordonPolicy
import LinuxIO
package import TLS

/// The certificates and keys that region files name, read and judged.
package struct CollectorCertificates {
    /// A certificate that ends sooner is worth a warning, in days.
    package static let warningDays: Int64 = 14

    /// For each region what its listener speaks TLS with; nil where it is plain, or where there is a mistake.
    package private(set) var contexts: [TLSContext?] = []
    /// What keeps a listener from starting, at the place in the region file that names the file.
    package private(set) var errors: [ConfigurationProblem] = []
    package private(set) var warnings: [ConfigurationProblem] = []
    /// The last day of each certificate that was read, by region.
    package private(set) var lastDays: [String: String] = [:]

    private let now: Int64

    /// - Parameter tickets: the keys that sessions are resumed with.
    package init(_ regions: [RegionConfiguration], now: Timestamp, tickets: TicketKeys) {
        self.now = now.microseconds / 1_000_000
        for region in regions { contexts.append(context(region, tickets)) }
    }

    /// The contexts; throws when any region's has a mistake.
    package func usable() throws(ConfigurationErrors) -> [TLSContext?] {
        guard errors.isEmpty else {
            throw ConfigurationErrors(problems: errors.sorted(), warnings: warnings.sorted())
        }
        return contexts
    }

    private mutating func context(
        _ region: RegionConfiguration, _ tickets: TicketKeys
    ) -> TLSContext? {
        guard let settings = region.collector.tls else { return nil }
        let file = "Regions/\(region.name).yaml"
        let authorities: TLSAuthorities?
        do throws(TLSError) {
            authorities = try settings.clientAuthorities.map { named throws(TLSError) in
                try TLSAuthorities(path: named.path)
            }
        } catch {
            note(error, settings, file)
            return nil
        }
        do throws(TLSError) {
            let identity = try TLSIdentity(
                certificatePath: settings.certificate.path, keyPath: settings.key.path)
            try identity.requireValid(at: now)
            lastDays[region.name] = identity.lastDay
            warn(identity, settings, file)
            return try TLSContext(
                identity, authorities: authorities,
                minimum: settings.minimum == .tls13 ? .tls13 : .tls12,
                applications: [.http2, .http1], scope: region.name, tickets: tickets)
        } catch {
            note(error, settings, file)
            return nil
        }
    }

    private mutating func warn(
        _ identity: TLSIdentity, _ settings: RegionConfiguration.TLS, _ file: String
    ) {
        let days = (identity.notAfter - now) / 86_400
        if days < Self.warningDays {
            warnings.append(
                problem(
                    settings.certificate, file,
                    "`\(settings.certificate.path)` expires on \(identity.lastDay), in \(days) days: renew it"
                ))
        }
        // A file that cannot be looked at was read a moment ago; there is nothing to say about it.
        if let metadata = try? File.metadata(settings.key.path), metadata.permissions & 0o007 != 0 {
            warnings.append(
                problem(
                    settings.key, file,
                    "everybody on this machine may read `\(settings.key.path)`: chmod o= it"))
        }
    }

    private mutating func note(
        _ error: TLSError, _ settings: RegionConfiguration.TLS, _ file: String
    ) {
        let named = [settings.key, settings.clientAuthorities].compactMap { $0 }
            .first { $0.path == error.path }
        errors.append(problem(named ?? settings.certificate, file, error.description))
    }

    private func problem(
        _ named: RegionConfiguration.NamedFile, _ file: String, _ text: String
    ) -> ConfigurationProblem {
        ConfigurationProblem(
            position: FilePosition(file: file, line: named.line, column: named.column), text: text)
    }
}
