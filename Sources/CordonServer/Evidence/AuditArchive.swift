import Bytes
import CordonAudit
import CordonKeys
package import CordonModel
import Crypto
import Foundation
import LinuxIO
import Merkle

/// One archive for an auditor: logs, certificates, the rules in force, a verifier and a page that explains them.
///
/// It holds what the regions' audit logs hold and nothing personal: no row, no key but the public ones, no identifier. That it
/// was made stands in each region's log before the first byte is written.
package struct AuditArchive {
    private let layout: ProjectLayout
    private let ruleSet: String
    private let regions: [RegionConfiguration]
    private let clock: any WallClock

    /// What stands in an archive of one region.
    package struct Region: Sendable {
        package let name: String
        package let verifierKey: String
        package let entries: Int
        /// In hexadecimal.
        package let root: String
        package let certificates: Int
        /// The key by which the region witnesses others; nil when it never did.
        package let witnessKey: String?
        let summary: EntrySummary
    }

    /// What a page shows of a log: how many entries of each kind there are, and the last of them.
    struct EntrySummary: Sendable {
        private(set) var kinds: [String: Int] = [:]
        private(set) var last: [(index: Int, text: String)] = []

        /// Entries that are shown in full; all are in the log beside the page.
        static let shownMax = 500

        init(_ reader: AuditReader, size: Int) throws {
            try reader.visit { stored in
                guard stored.index < size else { return }
                kinds[stored.entry.kind, default: 0] += 1
                if stored.index >= size - Self.shownMax {
                    last.append(
                        (stored.index, String(decoding: stored.entry.encoded, as: UTF8.self)))
                }
            }
        }
    }

    /// What was written.
    package struct Report: Sendable {
        package let regions: [Region]
        package let files: Int
        package let bytes: Int
    }

    /// - Parameter regions: those whose logs go into the archive.
    package init(
        _ layout: ProjectLayout, ruleSet: String, regions: [RegionConfiguration],
        clock: any WallClock
    ) {
        self.layout = layout
        self.ruleSet = ruleSet
        self.regions = regions
        self.clock = clock
    }

    /// Writes the archive to `path`, which must not be there yet; removes it again when something fails.
    package func write(to path: String) throws -> Report {
        let now = clock.now()
        let archive = try TarArchive(
            creating: path, modifiedSeconds: now.microseconds / 1_000_000)
        do {
            return try fill(archive, at: now)
        } catch {
            // What is half written would be taken for whole by its name.
            _ = try? File.remove(path)
            throw error
        }
    }

    private func fill(_ archive: TarArchive, at now: Timestamp) throws -> Report {
        let root = "cordon-audit-\(Day(now).text)/"
        var written: [Region] = []
        for region in regions {
            let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
            let log = try AuditLog(
                directory: region.auditDirectory, region: region.name, key: keys.signingKey)
            try log.append(
                AuditEntry(
                    at: now, kind: "audit.exported", region: region.name,
                    fields: ["regions": .list(regions.map(\.name))]))
            let copied = try log.reader.copy { name, bytes in
                try archive.add(root + "logs/\(region.name)/" + name, bytes)
            }
            let certificates = try copyFolder(
                region.certificatesDirectory, to: root + "certificates/\(region.name)", archive
            ) { $0.hasSuffix(".json") }
            let witness = try keys.witnessKey(creating: false).map {
                AuditWitness.verifier(region: region.name, key: $0.publicKey).text
            }
            written.append(
                Region(
                    name: region.name, verifierKey: log.reader.verifierKey, entries: copied.size,
                    root: copied.root, certificates: certificates, witnessKey: witness,
                    summary: try EntrySummary(log.reader, size: copied.size)))
        }
        try copyRules(to: root + "rules", archive)
        for (name, file) in [
            ("certificate", layout.proofPath),
            ("certificate.decisions.json", ProjectProof.decisionsPath(of: layout.proofPath)),
        ] {
            if let bytes = try File.readIfPresent(file) {
                try archive.add(root + "certificates/proof/" + name, bytes)
            }
        }
        let page = AuditArchivePage(madeAt: now, ruleSet: ruleSet, regions: written)
        try archive.add(root + "index.html", Array(page.html.utf8))
        for region in written {
            try archive.add(
                root + "log-\(region.name).html", Array(AuditArchivePage.html(of: region).utf8))
        }
        try archive.add(root + "archive.json", try page.json())
        try archive.add(root + StaticVerifier.name, StaticVerifier.bytes)
        let sums = archive.members.map { "\($0.sha256)  \($0.name.dropFirst(root.utf8.count))\n" }
        try archive.add(root + "SHA256SUMS", Array(sums.joined().utf8))
        try archive.finish()
        return Report(regions: written, files: archive.members.count, bytes: archive.bytes)
    }

    private func copyRules(to target: String, _ archive: TarArchive) throws {
        for (name, folder) in [
            ("Policies", layout.policiesDirectory), ("Regions", layout.regionsDirectory),
        ] {
            try copyFolder(folder, to: target + "/" + name, archive) { $0.hasSuffix(".yaml") }
        }
    }

    /// Copies the files below `folder` whose names are wanted; returns how many. A folder that is missing has none.
    @discardableResult
    private func copyFolder(
        _ folder: String, to target: String, _ archive: TarArchive, where isWanted: (String) -> Bool
    ) throws -> Int {
        guard try File.exists(folder) else { return 0 }
        var count = 0
        for entry in try Directory.entries(folder) {
            let path = folder + "/" + entry.name
            switch entry.kind {
            case .directory:
                count += try copyFolder(
                    path, to: target + "/" + entry.name, archive, where: isWanted)
            case .file where isWanted(entry.name):
                try archive.add(target + "/" + entry.name, try File.read(path))
                count += 1
            case .file, .link, .other: break
            }
        }
        return count
    }
}

/// What an archive says of itself, for people and for programs.
private struct AuditArchivePage {
    let madeAt: Timestamp
    let ruleSet: String
    let regions: [AuditArchive.Region]

    private struct Document: Encodable {
        struct Region: Encodable {
            let region: String
            let verifierKey: String
            let entries: Int
            let root: String
            let erasureCertificates: Int
            let witnessKey: String?

            private enum CodingKeys: String, CodingKey {
                case region, entries, root
                case witnessKey = "witness_key"
                case verifierKey = "verifier_key"
                case erasureCertificates = "erasure_certificates"
            }
        }

        let format = "cordon-audit-archive/1"
        let madeAt: String
        let madeBy: String
        let ruleSet: String
        let regions: [Region]

        private enum CodingKeys: String, CodingKey {
            case format, regions
            case madeAt = "made_at"
            case madeBy = "made_by"
            case ruleSet = "rule_set"
        }
    }

    func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        let document = Document(
            madeAt: madeAt.text, madeBy: "cordon \(CordonModel.version)", ruleSet: ruleSet,
            regions: regions.map {
                .init(
                    region: $0.name, verifierKey: $0.verifierKey, entries: $0.entries,
                    root: $0.root, erasureCertificates: $0.certificates,
                    witnessKey: $0.witnessKey)
            })
        return Array(try encoder.encode(document)) + [0x0A]
    }

    /// The page of one log. Entries hold texts that others chose: everything in them is escaped.
    static func html(of region: AuditArchive.Region) -> String {
        let kinds = region.summary.kinds.sorted { $0.key < $1.key }.map {
            "<tr><td>\(Bytes.htmlText($0.key))</td><td>\($0.value)</td></tr>"
        }
        let entries = region.summary.last.map {
            "<tr><td>\($0.index)</td><td><code>\(Bytes.htmlText($0.text))</code></td></tr>"
        }
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><title>Cordon: audit log of \(region.name)</title>
            <style>
            body { font: 16px/1.5 sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem }
            table { border-collapse: collapse } td, th { border: 1px solid #bbb; padding: .2rem .6rem; text-align: left; vertical-align: top }
            code { overflow-wrap: anywhere }
            </style></head><body>
            <p><a href="index.html">Audit archive</a></p>
            <h1>Audit log of \(region.name)</h1>
            <p>\(region.entries) entries, root <code>\(region.root)</code>. This page is for reading: what counts are the files below <code>logs/\(region.name)</code>,
            which <code>verify.py</code> checks. <code>python3 verify.py entries \(region.name)</code> prints all of them.</p>
            <h2>Kinds</h2>
            <table><tr><th>kind</th><th>entries</th></tr>
            \(kinds.joined(separator: "\n"))
            </table>
            <h2>The last \(region.summary.last.count) entries</h2>
            <table><tr><th>entry</th><th>as it is stored</th></tr>
            \(entries.joined(separator: "\n"))
            </table>
            </body></html>

            """
    }

    /// Names of regions are words of letters, digits and hyphens, so nothing needs escaping.
    var html: String {
        let rows = regions.map {
            """
            <tr><td><a href="log-\($0.name).html">\($0.name)</a></td><td>\($0.entries)</td><td>\($0.certificates)</td><td><code>\($0.root)</code></td>\
            <td><code>\($0.verifierKey)</code></td></tr>

            """
        }.joined()
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><title>Cordon: audit archive of \(madeAt.text)</title>
            <style>
            body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
            table { border-collapse: collapse } td, th { border: 1px solid #bbb; padding: .3rem .6rem; text-align: left }
            code { overflow-wrap: anywhere }
            </style></head><body>
            <h1>Audit archive</h1>
            <p>Made at \(madeAt.text) (UTC) under the rule set <code>\(ruleSet)</code>. It holds the complete audit logs of the regions below, their
            erasure certificates, and the rules in force. It holds no hit, no identifier and no secret key.</p>
            <table><tr><th>region</th><th>entries</th><th>erasure certificates</th><th>root</th><th>verifier key</th></tr>
            \(rows)</table>
            <h2>Check it</h2>
            <p>With Python 3.8 or later and nothing else:</p>
            <pre>python3 verify.py --key 'KEY' … --earlier CHECKPOINT …</pre>
            <ul>
            <li>Pass the <b>keys that you were given by another way</b>, one for each region. Keys that come with the archive prove only that it agrees
            with itself.</li>
            <li>Pass the <b>checkpoints that you kept</b> from earlier visits (<code>logs/REGION/checkpoint</code>). Who holds the signing key can write a
            whole new log; against an earlier checkpoint that shows.</li>
            <li>Keep this archive's checkpoints for the next visit.</li>
            <li>The regions <b>witness</b> each other: <code>logs/REGION/witnessed/</code> has the checkpoint that each other region cosigned last, and when. Pass
            <code>--witness 'KEY'</code> with the witnesses' keys that you were given.</li>
            </ul>
            <p>The verifier recomputes every hash from the entries, compares all tiles and the signed root, and names the place of each entry that is
            <b>missing</b>, <b>changed</b> or <b>inserted</b>. It checks each erasure certificate and that its proof leads into this very log.
            Other tools can do so too: the logs follow RFC 6962 and the C2SP specifications tlog-tiles, tlog-checkpoint and signed-note, and tlog-cosignature.</p>
            <h2>What lies where</h2>
            <table>
            <tr><td><code>logs/REGION/tile/entries/</code></td><td>the entries: JSON, one behind the other, each after its length in two bytes</td></tr>
            <tr><td><code>logs/REGION/tile/0/…</code></td><td>hashes of entries, and of hashes above them</td></tr>
            <tr><td><code>logs/REGION/checkpoint</code></td><td>number of entries and root, signed</td></tr>
            <tr><td><code>logs/REGION/witnessed/</code></td><td>the last checkpoint that each other region saw and cosigned</td></tr>
            <tr><td><code>log-REGION.html</code></td><td>kinds of entries and the last of them, to read in a browser</td></tr>
            <tr><td><code>certificates/REGION/</code></td><td>one certificate an erasure; it names no one</td></tr>
            <tr><td><code>certificates/proof/</code></td><td>the proof that the rules keep their invariants for every address, where one was made</td></tr>
            <tr><td><code>rules/</code></td><td>policies, atlas, invariants and regions as they are in force</td></tr>
            <tr><td><code>SHA256SUMS</code></td><td>digests of all files, also for <code>sha256sum --check</code></td></tr>
            </table>
            <h2>What it cannot show</h2>
            <p>That an entry was written for everything that happened rests on the program that wrote them. A person's request is named by a digest under
            a key that stays in the region, so nobody can be found in this archive, nor be followed from one region to another.</p>
            </body></html>

            """
    }
}
