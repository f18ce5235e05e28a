import Bytes
import Crypto
import Foundation
package import Merkle

/// Checks a proof certificate without a line of the code that made it.
///
/// From the prover's side it shares the hash, the signature and hexadecimal text, and nothing of how policies are
/// compiled, places are looked up or statements are evaluated: it reads the geo table's file and the decision
/// table by their documented formats (`Docs/formats/proof.md`), and sweeps both address spaces again.
package struct CertificateCheck {
    private let certificate, decisions, geoTable: [UInt8]
    private let keys: [NoteVerifier]
    /// All bytes as they stand in their files; each of `keys` must have signed.
    package init(
        certificate: [UInt8], decisions: [UInt8], geoTable: [UInt8], keys: [NoteVerifier]
    ) {
        self.certificate = certificate
        self.decisions = decisions
        self.geoTable = geoTable
        self.keys = keys
    }

    /// What a certificate that was found right says.
    package struct Report: Sendable {
        package let at, ruleSet, geoBuild: String
        package let statements, places: Int
    }

    private struct Content: Decodable {
        let subject: Subject
        let at: String
        let results: [Result]
        struct Subject: Decodable { let ruleSet, geoTable, geoBuild, decisions: String }
        struct Result: Decodable {
            let name, ipv4, ipv6: String
            let cases: Int
        }
    }

    /// Sweeps both address spaces again and compares every count with the certificate's.
    package func run() throws(CheckFailure) -> Report {
        guard let note = SignedNote(parsing: certificate) else {
            throw CheckFailure("the certificate is no signed note")
        }
        guard !keys.isEmpty else { throw CheckFailure("no key is known that must have signed") }
        for key in keys where !note.isSigned(by: key) {
            throw CheckFailure("the certificate is not signed by the key of `\(key.name)`")
        }
        let content = try content(of: note.text)
        guard Bytes.hex(SHA256.hash(decisions)) == content.subject.decisions else {
            throw CheckFailure("the decisions are not those that were certified")
        }
        let geo = try GeoFile(geoTable)
        guard geo.digest == content.subject.geoTable else {
            throw CheckFailure("the geo table is not the one that was certified")
        }
        let found = try Sweep(file: DecisionFile(parsing: decisions), geo: geo).outcomes()
        guard found.count == content.results.count else {
            throw CheckFailure("\(content.results.count) of \(found.count) are certified")
        }
        for (outcome, result) in zip(found, content.results) {
            guard outcome.name.isEmpty || outcome.name == result.name else {
                throw CheckFailure("`\(outcome.name)` was stated and not certified")
            }
            guard outcome.holds else { throw CheckFailure("`\(result.name)` does not hold") }
            guard outcome.cases == result.cases,
                outcome.ipv4 == Addresses(decimal: result.ipv4),
                outcome.ipv6 == Addresses(decimal: result.ipv6)
            else { throw CheckFailure("`\(result.name)` covers other addresses than certified") }
        }
        return Report(
            at: content.at, ruleSet: content.subject.ruleSet, geoBuild: content.subject.geoBuild,
            statements: found.count, places: geo.ipv6.count)
    }

    private func content(of text: String) throws(CheckFailure) -> Content {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        // Other text, signed or not, is no certificate; its fault is of no interest.
        guard lines.count == 3, lines[0] == "cordon.proof/v1", lines[2].isEmpty,
            let content = try? decoder.decode(Content.self, from: Data(lines[1].utf8))
        else { throw CheckFailure("the note is no proof certificate of version 1") }
        return content
    }

    /// Whether every statement holds by this checker's reading of a decision table and a geo table.
    package static func holds(decisions: [UInt8], geoTable: [UInt8]) throws(CheckFailure) -> Bool {
        try Sweep(file: DecisionFile(parsing: decisions), geo: GeoFile(geoTable)).outcomes()
            .allSatisfy(\.holds)
    }
}

/// One statement as this checker finds it.
struct Outcome {
    /// Empty for what is built in.
    let name: String
    var holds = true
    var cases = 0
    var ipv4 = Addresses(), ipv6 = Addresses()
}

/// Every place, host and case, looked at once.
struct Sweep {
    let file: DecisionFile
    let geo: GeoFile

    /// Total, unambiguous, as written, consented, cut, not kept too long: in the certificate's order.
    private static let builtIns = 6

    func outcomes() throws(CheckFailure) -> [Outcome] {
        for policy in file.policies { try checkCases(policy) }
        guard Set(file.table.keys) == Set(geo.ipv6.keys), file.hosts.first == "" else {
            throw CheckFailure("the decisions are not about the places of the geo table")
        }
        var found = (0..<Self.builtIns).map { _ in Outcome(name: "") }
        found += file.invariants.map { Outcome(name: $0.name) }
        for (place, row) in file.table {
            guard row.count == file.hosts.count else {
                throw CheckFailure("`\(place)` has not one policy for each kind of site")
            }
            var covered: Set<Int> = []
            for (host, index) in zip(file.hosts, row) {
                guard closest(place, host) == [index] else {
                    throw CheckFailure("`\(place)` has another policy than the closest one")
                }
                let policy = file.policies[index]
                for item in policy.cases {
                    for builtIn in 0..<Self.builtIns {
                        found[builtIn].cases += 1
                        covered.insert(builtIn)
                        if !holds(builtIn, item, policy) { found[builtIn].holds = false }
                    }
                    for (offset, statement) in file.invariants.enumerated()
                    where statement.covers(place, host) && statement.covers(item) {
                        let number = Self.builtIns + offset
                        found[number].cases += 1
                        covered.insert(number)
                        if !statement.holds(item, policy) { found[number].holds = false }
                    }
                }
            }
            for index in covered {
                found[index].ipv4.add(geo.ipv4[place] ?? .init())
                found[index].ipv6.add(geo.ipv6[place] ?? .init())
            }
        }
        return found
    }

    /// The policies that claim `place` and `host` most closely.
    private func closest(_ place: String, _ host: String) -> [Int] {
        for level in (0...3).reversed() {
            let claiming = file.policies.indices.compactMap { index in
                file.policies[index].levels(place).contains(level)
                    ? file.policies[index].closeness(host).map { (index, $0) } : nil
            }
            guard let best = claiming.map(\.1).max() else { continue }
            return claiming.filter { $0.1 == best }.map(\.0)
        }
        return []
    }

    /// That the cases of a policy are all that its needs and the statements can tell apart.
    private func checkCases(_ policy: DecisionFile.Policy) throws(CheckFailure) {
        let silence = ["absent"]
        for state in ["denied", "invalid"] + (policy.absentGrants ? [] : silence) {
            guard policy.cases.filter({ $0.consent == state }).map(\.purposes) == [[]] else {
                throw CheckFailure("`\(policy.name)` has no case, or several, for consent \(state)")
            }
        }
        let known = Set(policy.purposes)
        let asked = file.invariants.flatMap(\.lacking).map { Set([$0]) }
        let atoms = (policy.needs.values.map { Set($0) } + asked).filter { $0.isSubset(of: known) }
        var unions: Set<Set<String>> = [[]]
        for atom in atoms { unions.formUnion(unions.map { $0.union(atom) }) }
        unions.remove([])
        for state in ["granted"] + (policy.absentGrants ? silence : []) {
            let found = policy.cases.filter { $0.consent == state }.map(\.purposes)
            // A grant that no atom lies in: one purpose that is none stands for all of them.
            let hasPlain = found.contains { set in
                !atoms.contains { !$0.isEmpty && $0.isSubset(of: set) }
            }
            guard unions.isSubset(of: found), found.allSatisfy({ $0.isSubset(of: known) }),
                hasPlain || known.allSatisfy({ atoms.contains([$0]) }),
                state == "granted" || found.contains(known)
            else { throw CheckFailure("`\(policy.name)` lacks a case of \(state) purposes") }
        }
    }

    private func holds(
        _ builtIn: Int, _ item: DecisionFile.Case, _ policy: DecisionFile.Policy
    ) -> Bool {
        let isAdmitted =
            item.consent == "granted" || item.consent == "absent" && policy.absentGrants
        switch builtIn {
        case 0: return (item.outcome == "refuse") == (policy.region == nil)
        case 2:
            guard item.isStored else { return true }
            return item.region == policy.region
                && item.keeps.allSatisfy { isAllowed($0, item, policy, isAdmitted) }
        case 3:
            let identifiers = ["user": "user", "visitor": "visitor", "ip_prefix": "ip"]
            return identifiers.allSatisfy { column, field in
                !item.keeps.contains(column)
                    || isAdmitted && item.purposes.isSuperset(of: policy.needs[field] ?? [])
            }
        case 4: return item.ipv4 <= bound("ipv4") && item.ipv6 <= bound("ipv6")
        case 5: return !item.isStored || item.days <= bound("retention")
        // That one policy is closest was found on the way here.
        default: return true
        }
    }

    private func bound(_ name: String) -> Int { file.limits[name] ?? -1 }

    /// Whether a column may be filled: the policy keeps its field, and what the field needs was granted.
    private func isAllowed(
        _ column: String, _ item: DecisionFile.Case, _ policy: DecisionFile.Policy,
        _ isAdmitted: Bool
    ) -> Bool {
        let field = DecisionFile.Statement.columns.first { $0.value.contains(column) }?.key ?? ""
        guard let needs = policy.needs[field], item.outcome == "keep" || column == "country"
        else { return false }
        return item.purposes.isSuperset(of: needs) && (isAdmitted || needs.isEmpty)
    }
}
