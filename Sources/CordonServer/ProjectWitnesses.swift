import CordonAudit
import CordonKeys
package import CordonModel
import Crypto
import Merkle

/// The regions of a project as witnesses of each other's audit logs: each cosigns every other one's checkpoints.
package struct ProjectWitnesses: Sendable {
    private let logs: [AuditReader]
    private let witnesses: [AuditWitness]

    /// Opens the regions' keys.
    ///
    /// - Parameter creating: whether a region that has no key to witness by gets one.
    package init(_ regions: [RegionConfiguration], creating: Bool) throws {
        var (logs, witnesses): ([AuditReader], [AuditWitness]) = ([], [])
        for region in regions {
            let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
            logs.append(
                AuditReader(
                    directory: region.auditDirectory, region: region.name,
                    key: keys.signingKey.publicKey))
            if let key = try keys.witnessKey(creating: creating) {
                witnesses.append(
                    AuditWitness(
                        directory: region.witnessDirectory, region: region.name, key: key))
            }
        }
        self.logs = logs
        self.witnesses = witnesses
    }

    /// How one witness stands to one log.
    package struct Standing: Encodable, Sendable {
        /// Region of the log.
        package let region: String
        /// Region of the witness.
        package let witness: String
        /// Number of entries that it cosigned last; nil when it never did.
        package let size: Int?
        /// When it did, in UTC.
        package let at: String?
        /// Entries that the log has beyond that.
        package let unwitnessed: Int
        /// Why the log and the witness do not agree; nil when they do.
        package let problem: String?
    }

    /// Has every region cosign the others' checkpoints, and says what came of it.
    package func round(at now: Timestamp) -> [Standing] {
        pairs().map { log, witness in
            do {
                switch try log.submit(to: witness, at: now) {
                // Where the log does not continue what was cosigned, this names both sides.
                case .cosigned, .conflict, .inconsistent: return standing(log, witness)
                case .malformed, .unknownLog, .notSigned:
                    return refused(
                        log, witness, "the checkpoint is not one that the log's key signed")
                }
            } catch { return refused(log, witness, "\(error)") }
        }
    }

    /// What every witness of `region` saw last, held against the log as it is.
    package func standings(of region: String) -> [Standing] {
        pairs().filter { $0.log.region == region }.map { standing($0.log, $0.witness) }
    }

    /// Refuses when a log does not continue what a witness cosigned.
    package func require() throws {
        for (log, witness) in pairs() {
            if let seen = try witness.last(of: log) { try log.require(seen) }
        }
    }

    private func pairs() -> [(log: AuditReader, witness: AuditWitness)] {
        logs.flatMap { log in
            witnesses.filter { $0.region != log.region }.map { (log, $0) }
        }
    }

    private func standing(_ log: AuditReader, _ witness: AuditWitness) -> Standing {
        do {
            let seen = try witness.last(of: log)
            // A log that lost the witness's copy still has what the witness keeps, and the other way round.
            let own = try log.cosigned(by: witness.verifier, of: witness.region)
            let size = try log.signedCheckpoint().checkpoint.size
            for seen in [seen, own].compactMap(\.self) { try log.require(seen) }
            guard let latest = [seen, own].compactMap(\.self).max(by: { $0.seconds < $1.seconds })
            else {
                return Standing(
                    region: log.region, witness: witness.region, size: nil, at: nil,
                    unwitnessed: size, problem: nil)
            }
            return Standing(
                region: log.region, witness: witness.region, size: latest.checkpoint.size,
                at: Timestamp(microseconds: Int64(latest.seconds) * 1_000_000).text,
                unwitnessed: size - latest.checkpoint.size, problem: nil)
        } catch { return refused(log, witness, "\(error)") }
    }

    private func refused(
        _ log: AuditReader, _ witness: AuditWitness, _ problem: String
    ) -> Standing {
        // What cannot be read has no size to tell.
        let seen = try? witness.last(of: log)
        return Standing(
            region: log.region, witness: witness.region, size: seen?.checkpoint.size,
            at: seen.map { Timestamp(microseconds: Int64($0.seconds) * 1_000_000).text },
            unwitnessed: 0, problem: problem)
    }
}
