import CLinux
import CordonAudit
import CordonKeys
import CordonLake
import CordonModel
import CordonPolicy
import CordonServer
import CordonTokens
import Crypto
import Engine
import Foundation
import GeoTables
import LinuxIO
import Synchronization
import TLS
import UserAgents

/// Looks at everything that a project needs of its machine and of its own files; changes nothing.
struct DoctorChecks {
    let project: ProjectLayout

    /// A place that has less than this left cannot take a day of an ordinary site.
    private static let freeBytesMin = 1 << 30
    /// Address ranges move between countries by some per cent a year.
    private static let geoTableDaysMax = 90
    /// Connections of one collector; each takes a descriptor.
    private static let descriptorsMin: UInt64 = 4096
    private static let secondsADay = 86_400.0
    /// A running node has logs witnessed each minute.
    private static let witnessSecondsMax: Int64 = 3600

    func run() -> [DoctorFinding] {
        var findings = [engine(), userAgents(), landlock(), seccomp(), descriptors()]
        guard (try? File.exists(project.regionsDirectory)) == true else {
            let detail = "`\(project.root)` has no folder Regions, so it is no project"
            return findings + [
                .wrong(
                    "project", detail,
                    fix: "cordon init \(project.root), or name another with --project")
            ]
        }
        findings += [clock(), geoTable(), diskSpace()]
        return findings + nodes() + configuration()
    }

    /// Running nodes: whether a reload waits for a confirmation, and an issuer's keys are old.
    private func nodes() -> [DoctorFinding] {
        // A node that cannot be asked is named by `cordon reload`, which is for asking.
        let answers = (try? RunningNodes.status(project)) ?? []
        return answers.flatMap { answer -> [DoctorFinding] in
            guard case .outcome(let outcome) = answer else { return [] }
            return [heldReload(outcome)] + Self.oldKeys(outcome)
        }
    }

    private func heldReload(_ outcome: ReloadOutcome) -> DoctorFinding {
        guard let held = outcome.held else {
            return .well(
                "process \(outcome.pid)", "runs, geo table \(outcome.geoBuild), no reload held")
        }
        return .doubtful(
            "process \(outcome.pid)",
            "holds a reload since \(held.since): geo table \(held.geoBuild) would give \(held.homePercent) % of the "
                + "addresses another home and \(held.protectionPercent) % another policy",
            fix:
                "cordon reload --status shows the changes; cordon reload --confirm \(held.geoBuild) takes it"
        )
    }

    /// Issuers whose keys a running service could not read anew.
    static func oldKeys(_ outcome: ReloadOutcome) -> [DoctorFinding] {
        outcome.issuers.sorted { $0.key < $1.key }.flatMap { region, standings in
            standings.compactMap { standing in
                let check = "process \(outcome.pid), region \(region), issuer \(standing.issuer)"
                let since = standing.readAt.map { "were last read at \($0)" } ?? "were never read"
                let fix =
                    "the finding of this region and issuer below, or the service's log, says why; the service tries again each minute"
                switch standing.state {
                case .unread, .current: return nil
                case .old:
                    return .doubtful(
                        check,
                        "its keys \(since) and go on for \(IssuerKeys.keepSeconds / 3600) hours from then; \(standing.failures) attempt(s) failed",
                        fix: fix)
                case .none:
                    return .wrong(
                        check, "its keys \(since), so none of its tokens is accepted", fix: fix)
                }
            }
        }
    }

    // MARK: The machine

    private func engine() -> DoctorFinding {
        do throws(EngineError) {
            let library = try DuckDBLibrary.load()
            let version = try EngineConnection().text("SELECT version()") ?? "unknown version"
            return .well("engine", "DuckDB \(version) from \(library.path)")
        } catch {
            return .wrong(
                "engine", "\(error)", fix: "scripts/setup, or CORDON_DUCKDB=/path/to/libduckdb.so")
        }
    }

    private func userAgents() -> DoctorFinding {
        do throws(UserAgentRulesError) {
            let rules = try UserAgentRules.loadInstalled()
            return .well("user agent rules", "\(rules.count) rules, \(rules.origin)")
        } catch {
            return .wrong(
                "user agent rules", "\(error)",
                fix: "scripts/setup, or \(UserAgentRules.environmentVariable)=/path/to/rules.tsv")
        }
    }

    private func landlock() -> DoctorFinding {
        let version = clinux_landlock_abi()
        return version > 0
            ? .well("landlock", "version \(version)")
            : .wrong(
                "landlock", "this kernel does not offer it, so queries cannot be confined",
                fix: "a kernel of 5.13 or later with landlock among its security modules")
    }

    private func seccomp() -> DoctorFinding {
        let actions = (try? File.read("/proc/sys/kernel/seccomp/actions_avail")) ?? []
        return actions.isEmpty
            ? .wrong(
                "seccomp", "this kernel does not offer it, so queries cannot be confined",
                fix: "a kernel built with seccomp filters")
            : .well("seccomp", "filters are available")
    }

    private func descriptors() -> DoctorFinding {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return .doubtful(
                "open files", "the limit cannot be read", fix: "ulimit -Hn \(Self.descriptorsMin)")
        }
        // A node raises itself as far as it may.
        let count = UInt64(limit.rlim_max)
        return count >= Self.descriptorsMin
            ? .well("open files", "up to \(count)")
            : .doubtful(
                "open files", "up to \(count), which bounds the connections of a collector",
                fix:
                    "ulimit -Hn \(Self.descriptorsMin) as root, or LimitNOFILE= in the service's unit"
            )
    }

    // MARK: The project

    /// A clock that is behind gives hits a wrong day and a wrong end of retention.
    private func clock() -> DoctorFinding {
        let now = Date().timeIntervalSince1970
        let files = [project.geoTablePath, project.regionsDirectory, project.policiesDirectory]
        let latest = files.compactMap { try? File.metadata($0)?.modifiedMicroseconds }.max() ?? 0
        let ahead = Double(latest) / 1_000_000 - now
        let text = Date().formatted(.iso8601)
        return ahead < Self.secondsADay / 24
            ? .well("clock", text)
            : .wrong(
                "clock", "\(text), but the project's files are \(Int(ahead / 3600)) hours younger",
                fix: "set the clock and keep it set: apt-get install systemd-timesyncd")
    }

    private func geoTable() -> DoctorFinding {
        let path = project.geoTablePath
        let fix =
            "cordon geo build --format tor-geoipdb --out \(path) /usr/share/tor/geoip /usr/share/tor/geoip6"
        do {
            guard let metadata = try File.metadata(path) else {
                return .wrong(
                    "geo table", "`\(path)` is missing, so every place would be unknown", fix: fix)
            }
            let table = try GeoTable(mapping: path)
            let age =
                Date().timeIntervalSince1970 - Double(metadata.modifiedMicroseconds) / 1_000_000
            let days = max(0, Int(age / Self.secondsADay))
            let detail =
                "build \(table.build), \(table.places.count) places, made \(days) day(s) ago"
            return days <= Self.geoTableDaysMax
                ? .well("geo table", detail)
                : .doubtful("geo table", detail, fix: "apt-get upgrade tor-geoipdb, then \(fix)")
        } catch {
            return .wrong("geo table", "\(error)", fix: fix)
        }
    }

    private func diskSpace() -> DoctorFinding {
        var status = statvfs()
        guard unsafe statvfs(project.root, &status) == 0 else {
            return .doubtful("disk space", "cannot be read", fix: "df \(project.root)")
        }
        let free = Int(status.f_bavail) * Int(status.f_frsize)
        let text = "\(free >> 30) GiB free below \(project.root)"
        return free >= Self.freeBytesMin
            ? .well("disk space", text)
            : .wrong(
                "disk space", text + ": a full disk makes the collector answer 503",
                fix: "make room; cordon retention plan says what is due")
    }

    private func configuration() -> [DoctorFinding] {
        let today = Day(number: Int32(Date().timeIntervalSince1970 / Self.secondsADay))
        do throws(ConfigurationErrors) {
            let configuration = try ProjectConfiguration.load(project, now: today)
            let detail =
                "\(configuration.regions.count) region(s), \(configuration.ruleSet.policies.count) policies, "
                + "\(configuration.warnings.count) warning(s)"
            let finding: DoctorFinding =
                configuration.warnings.isEmpty
                ? .well("configuration", detail)
                : .doubtful("configuration", detail, fix: "cordon check says each")
            return [finding] + configuration.regions.flatMap(region)
                + configuration.regions.map { retention($0, configuration.ruleSet) }
                + configuration.regions.compactMap(deadLetters)
                + configuration.regions.flatMap(issuerKeys)
                + certificates(configuration.regions) + witnesses(configuration.regions)
        } catch {
            let first = error.problems.first?.description ?? ""
            return [
                .wrong(
                    "configuration", "\(error.problems.count) mistake(s), the first: \(first)",
                    fix: "cordon check says each, with file and line")
            ]
        }
    }

    /// Whether the keys of other issuers can be read from here, now.
    private func issuerKeys(_ region: RegionConfiguration) -> [DoctorFinding] {
        let now = Timestamp(microseconds: SystemClock.realtimeMicroseconds())
        return (region.service?.issuers ?? []).map { issuer in
            let failure = Mutex("")
            let keys = IssuerKeys(
                issuer, source: IssuerKeySource(issuer, region: region.name),
                onFailure: { error in failure.withLock { $0 = "\(error)" } })
            let standing = keys.look(at: now)
            let check = "region \(region.name), issuer \(issuer.issuer)"
            return standing.state == .current
                ? .well(check, "\(standing.keys) key(s) that can be used, read just now")
                : .wrong(
                    check, failure.withLock { $0 },
                    fix:
                        "put `jwks` or `authorities` there right, or mend the issuer; a service that runs goes on with the last keys for a day"
                )
        }
    }

    /// Batches that could not be delivered, where there are any.
    private func deadLetters(_ region: RegionConfiguration) -> DoctorFinding? {
        let check = "region \(region.name), dead letters"
        let advice = "cordon dead list --region \(region.name), then explain and retry"
        do {
            let count = try RegionDeadLetters(region, clock: SystemWallClock()).count()
            return count == 0
                ? nil
                : .doubtful(check, "\(count) batch(es) could not be delivered", fix: advice)
        } catch {
            return .wrong(check, "\(error)", fix: advice)
        }
    }

    /// Whether what was due is gone, and somebody still looks.
    private func retention(_ region: RegionConfiguration, _ ruleSet: RuleSet) -> DoctorFinding {
        let check = "region \(region.name), retention"
        do {
            let marks = try RegionWatermarks(
                region, ages: FieldAges(ruleSet, region: region.name), clock: SystemWallClock())
            guard let first = marks.late.first else {
                let seen = marks.marks.compactMap(\.asOf).min()
                return .well(
                    check,
                    seen.map { "nothing was due any more on \($0.text)" } ?? "nothing to end yet")
            }
            let what: String =
                switch first.matter {
                case .hits: "whole hits"
                case .field(let rule): "`\(rule.field)` of policy `\(rule.policy)`"
                }
            let since = first.asOf.map { "since \($0.text)" } ?? "at all"
            return .wrong(
                check,
                "\(marks.late.count) watermark(s) are late: nobody has seen to \(what) \(since), so what is past its age may still be on disk",
                fix:
                    "cordon maintain --region \(region.name); keep `cordon up` running, or `cordon maintain` on a timer"
            )
        } catch {
            return .wrong(check, "\(error)", fix: "cordon retention status --region \(region.name)")
        }
    }

    private func certificates(_ regions: [RegionConfiguration]) -> [DoctorFinding] {
        let now = Timestamp(microseconds: SystemClock.realtimeMicroseconds())
        return regions.filter { $0.collector.tls != nil }.map { region in
            let certificates = CollectorCertificates(
                [region], now: now, tickets: TicketKeys(at: 0))
            let check = "region \(region.name), certificate"
            if let error = certificates.errors.first {
                return .wrong(check, error.text, fix: "put it right, then cordon check")
            }
            if let warning = certificates.warnings.first {
                return .doubtful(check, warning.text, fix: "then kill -HUP the running cordon up")
            }
            return .well(check, "valid until \(certificates.lastDays[region.name] ?? "")")
        }
    }

    /// Whether the regions know of each other's audit logs, and of how much of them.
    private func witnesses(_ regions: [RegionConfiguration]) -> [DoctorFinding] {
        // Keys that cannot be opened are named above.
        guard let witnesses = try? ProjectWitnesses(regions, creating: false) else { return [] }
        let now = Timestamp(microseconds: SystemClock.realtimeMicroseconds())
        return regions.map { region in
            let check = "region \(region.name), witnesses"
            let standings = witnesses.standings(of: region.name)
            if let problem = standings.lazy.compactMap(\.problem).first {
                return .wrong(check, problem, fix: "cordon audit verify --region \(region.name)")
            }
            if regions.count == 1 {
                return .well(check, "none: no other region here; keep checkpoints elsewhere")
            }
            let stale = regions.map(\.name).filter { name in
                guard name != region.name else { return false }
                guard let seen = standings.first(where: { $0.witness == name }), let at = seen.at
                else { return true }
                let limit = Timestamp(
                    microseconds: now.microseconds - Self.witnessSecondsMax * 1_000_000)
                return seen.unwitnessed > 0 && at < limit.text
            }
            return stale.isEmpty
                ? .well(check, "\(standings.count) region(s) saw the log as it is or lately")
                : .doubtful(
                    check,
                    "\(stale.joined(separator: ", ")) has not seen the log for an hour or never, so what was added since could be taken away unseen",
                    fix: "cordon audit witness; a running cordon up does it each minute")
        }
    }

    /// Whether the key that is here signs the log that is here.
    private func signing(_ region: RegionConfiguration, _ keys: RegionKeys) -> [DoctorFinding] {
        let reader = AuditReader(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey.publicKey)
        do throws(AuditError) {
            guard try AuditLog.isBegun(directory: region.auditDirectory, region: region.name) else {
                return []
            }
            try reader.requirePresentKey()
            return []
        } catch {
            let fix =
                switch error {
                case .checkpointInvalid:
                    "bring \(region.keysDirectory) and \(region.auditDirectory) back from one backup, so that the key is the log's"
                case .keyReplaced:
                    "cordon keys rotate --signing --region \(region.name) finishes the change"
                default: "cordon audit verify --region \(region.name)"
                }
            return [.wrong("region \(region.name), audit log", "\(error)", fix: fix)]
        }
    }

    private func advice(on error: KeysError, _ region: RegionConfiguration) -> String {
        let folder = region.keysDirectory
        switch error {
        case .missing:
            // What cannot be looked at may be a log.
            let isBegun =
                (try? AuditLog.isBegun(directory: region.auditDirectory, region: region.name))
                ?? true
            return isBegun
                ? "bring \(folder) back from a backup: new keys do not go on with the audit log, nor find anybody"
                : "cordon init"
        case .masterUnavailable, .masterDiffers: return "bring the master key back"
        case .exposed, .system: return "chmod -R u=rwX,go= \(folder)"
        default: return "bring \(folder) back from a backup"
        }
    }

    private func region(_ region: RegionConfiguration) -> [DoctorFinding] {
        let name = "region \(region.name)"
        var findings: [DoctorFinding] = []
        do throws(KeysError) {
            let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
            findings.append(.well("\(name), keys", "\(try keys.epochs().count) pseudonym key(s)"))
            findings += signing(region, keys)
        } catch {
            findings.append(.wrong("\(name), keys", "\(error)", fix: advice(on: error, region)))
        }
        let folders: Set = [
            region.stateDirectory, region.lakeDirectory, File.parent(of: region.catalogPath),
        ]
        let closed = folders.sorted().filter { unsafe access($0, R_OK | W_OK | X_OK) != 0 }
        findings.append(
            closed.isEmpty
                ? .well("\(name), folders", "can be written")
                : .wrong(
                    "\(name), folders",
                    "missing or not writable: \(closed.joined(separator: ", "))",
                    fix: "cordon init, or chown them to the user that runs cordon"))
        return findings
    }
}
