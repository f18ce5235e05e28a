import CordonModel
import CordonPolicy
import CordonProof
import CordonServer
import Foundation
import GeoTables

extension Command {
    static let policyProve = Command(
        ["policy", "prove"],
        summary: "prove the invariants for every address there is, or show the smallest exception",
        usage: "[--sign | --certificate FILE]",
        options: [
            Option(
                name: "sign", value: nil,
                help: "sign what was proved and keep it in var/proof, where --require-proof looks"),
            Option(
                name: "certificate", value: "FILE",
                help: "sign what was proved and write it here instead"),
        ],
        example: "cordon policy prove --sign"
    ) { arguments, console in
        guard !arguments.has("sign") || !arguments.has("certificate") else {
            throw UsageError(text: "--sign and --certificate say two places for one file")
        }
        let project = try CordonCLI.configuration(arguments)
        let layout = CordonCLI.project(arguments)
        let table = try openGeoTable(layout.geoTablePath)
        let begun = ContinuousClock.now
        let rules = project.ruleSet.bound(to: table.places)
        let proof = Prover(project, rules: rules, table: table).prove()
        let seconds = (ContinuousClock.now - begun) / .seconds(1)
        let path =
            arguments.value("certificate").map {
                URL(fileURLWithPath: $0).standardizedFileURL.path
            } ?? (arguments.has("sign") ? layout.proofPath : nil)
        var isSigned = false
        if let path, proof.holds {
            _ = try ProjectProof(layout: layout).certify(
                proof, of: project, table: table, to: path, clock: SystemWallClock())
            isSigned = true
        }
        let report = ProofReport(
            proof, project, table, seconds: seconds, certificate: isSigned ? path : nil)
        if arguments.wantsJSON {
            try console.print(json: report)
        } else {
            report.print(to: console)
        }
        return proof.holds ? .done : .foundProblem
    }
}

/// What `policy prove` prints.
private struct ProofReport: Encodable {
    struct Statement: Encodable {
        let name: String
        let file: String?
        let line: Int?
        let holds: Bool
        /// Addresses covered and found right, decimal.
        let ipv4: String
        let ipv6: String
        let cases: Int
        let violatedIPv4: String
        let violatedIPv6: String
        let counterexample: Counterexample?

        private enum CodingKeys: String, CodingKey {
            case name, file, line, holds, ipv4, ipv6, cases, counterexample
            case violatedIPv4 = "violated_ipv4"
            case violatedIPv6 = "violated_ipv6"
        }
    }
    struct Counterexample: Encodable {
        let range: String
        let place: String
        let site: String
        let consent: String?
        let policy: String?
        let expected: String
        let found: String
        let file: String?
        let line: Int?
    }

    let holds: Bool
    let ruleSet: String
    let geoBuild: String
    let places: Int
    let ranges: Int
    let seconds: Double
    let statements: [Statement]
    let certificate: String?
    private let lines: [[String]]
    private let exceptions: [[String]]

    private enum CodingKeys: String, CodingKey {
        case holds, places, ranges, seconds, statements, certificate
        case ruleSet = "rule_set"
        case geoBuild = "geo_build"
    }

    init(
        _ proof: Proof, _ project: ProjectConfiguration, _ table: GeoTable, seconds: Double,
        certificate: String?
    ) {
        holds = proof.holds
        ruleSet = project.ruleSet.digest
        geoBuild = table.build
        places = proof.placeCount
        ranges = proof.rangeCount
        self.seconds = (seconds * 1000).rounded() / 1000
        self.certificate = certificate
        statements = proof.results.map { result in
            Statement(
                name: result.name, file: result.position?.file, line: result.position?.line,
                holds: result.counterexample == nil, ipv4: result.ipv4.text,
                ipv6: result.ipv6.text, cases: result.cases,
                violatedIPv4: result.violatedIPv4.text, violatedIPv6: result.violatedIPv6.text,
                counterexample: result.counterexample.map { example in
                    Counterexample(
                        range: example.range.text, place: example.place, site: example.site,
                        consent: example.consent, policy: example.policy,
                        expected: example.expected, found: example.found,
                        file: example.position?.file, line: example.position?.line)
                })
        }
        lines = proof.results.map { result in
            let state =
                result.counterexample != nil
                ? "FAILS" : result.isVacuous ? "no such address" : "holds"
            return [
                result.name, result.ipv4.shortText, result.ipv6.shortText,
                groupedDigits(result.cases), state,
            ]
        }
        exceptions = proof.results.compactMap(Self.exception)
    }

    /// The lines about a statement that does not hold.
    private static func exception(_ result: Proof.Result) -> [String]? {
        guard let example = result.counterexample else { return nil }
        let stated = result.position.map { " (\($0.text))" } ?? ""
        let consent = example.consent.map { ", consent \($0)" } ?? ""
        let policy = example.policy.map { "policy `\($0)`" } ?? "no policy"
        return [
            "`\(result.name)`\(stated) does not hold for \(result.violatedIPv4.shortText) IPv4 and \(result.violatedIPv6.shortText) IPv6 addresses",
            "  smallest: \(example.range.text) in \(example.place), site \(example.site)\(consent)",
            "  \(policy)\(example.position.map { " at \($0.text)" } ?? ""): expected \(example.expected), found \(example.found)",
        ]
    }

    func print(to console: Console) {
        console.table(["statement", "IPv4", "IPv6", "cases", ""], lines)
        console.print()
        for exception in exceptions {
            for line in exception { console.print(line) }
            console.print()
        }
        let failed = exceptions.count
        console.print(
            failed == 0
                ? "proved: \(statements.count) statements over \(groupedDigits(ranges)) ranges in \(places) places, "
                    + "\(seconds) s; rule set \(ruleSet.prefix(12)), geo table \(geoBuild)"
                : "not proved: \(failed) of \(statements.count) statements fail")
        if let certificate { console.print("certificate: \(certificate)") }
    }
}
