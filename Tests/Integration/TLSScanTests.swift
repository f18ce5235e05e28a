import Foundation
import TestSupport
import Testing

/// sslyze, a scanner that others wrote; installed by `scripts/setup --tests`.
private struct TLSScanner {
    static var isInstalled: Bool {
        FileManager.default.fileExists(
            atPath: ShippedProject.root + "/.deps/venv/lib/python3.11/site-packages/sslyze")
    }

    /// What one run says.
    struct Report {
        /// 0 when every listener was reached and judged compliant.
        let exitCode: Int32
        let text: String
        let listeners: [Listener]
    }

    /// One listener's results, in the scanner's own words.
    struct Listener: Decodable {
        struct Location: Decodable { let port: UInt16 }
        let serverLocation: Location
        let scanStatus: String
        let scanResult: Results?
    }

    struct Results: Decodable {
        let ssl20CipherSuites: Attempt<Suites>
        let ssl30CipherSuites: Attempt<Suites>
        let tls10CipherSuites: Attempt<Suites>
        let tls11CipherSuites: Attempt<Suites>
        let tls12CipherSuites: Attempt<Suites>
        let tls13CipherSuites: Attempt<Suites>
        let tlsCompression: Attempt<Claims>
        let tls13EarlyData: Attempt<Claims>
        let opensslCcsInjection: Attempt<Claims>
        let tlsFallbackScsv: Attempt<Claims>
        let heartbleed: Attempt<Claims>
        let tlsExtendedMasterSecret: Attempt<Claims>
        let robot: Attempt<Robot>
        let sessionRenegotiation: Attempt<Renegotiation>
        let sessionResumption: Attempt<Resumption>
        let ellipticCurves: Attempt<Curves>
    }

    /// A part of the scan; without a result when it could not be carried out.
    struct Attempt<Value: Decodable>: Decodable {
        let result: Value?
    }

    /// What a part claims, by the name of the claim.
    typealias Claims = [String: Bool]

    struct Suites: Decodable {
        struct Accepted: Decodable { let cipherSuite: Suite }
        struct Suite: Decodable { let name: String }
        let isTlsVersionSupported: Bool
        let acceptedCipherSuites: [Accepted]
        var names: Set<String> { Set(acceptedCipherSuites.map(\.cipherSuite.name)) }
    }

    struct Robot: Decodable { let robotResult: String }

    struct Renegotiation: Decodable {
        let supportsSecureRenegotiation: Bool
        let isVulnerableToClientRenegotiationDos: Bool
    }

    struct Resumption: Decodable {
        let sessionIdResumptionResult: String
        let tlsTicketResumptionResult: String
    }

    struct Curves: Decodable {
        struct Curve: Decodable { let name: String }
        let supportedCurves: [Curve]?
    }

    /// Scans listeners of this machine and holds them against one of Mozilla's profiles.
    ///
    /// The profile makes it look at every version, cipher, group and known weakness; resumption and early data come on top.
    static func scan(_ ports: [UInt16], profile: String, trusting authority: String) throws
        -> Report
    {
        let folder = try TemporaryDirectory()
        let ran = try Tool.run(
            OtherReaders.python,
            [
                "-m", "sslyze", "--mozilla_config", profile, "--certinfo_ca_file", authority,
                "--resum", "--early_data", "--json_out", folder.file("scan.json"),
            ] + ports.map { "localhost:\($0)" })
        struct Whole: Decodable { let serverScanResults: [Listener] }
        let data = try #require(
            FileManager.default.contents(atPath: folder.file("scan.json")), "\(ran.output)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let whole = try decoder.decode(Whole.self, from: data)
        return Report(
            exitCode: ran.exitCode, text: ran.output, listeners: whole.serverScanResults)
    }
}

extension TLSScanner.Attempt where Value == TLSScanner.Claims {
    /// Whether what the part claims is so; nil when it was not carried out.
    fileprivate var verdicts: [Bool]? { result.map { Array($0.values) } }
}

/// The listeners of a running `cordon up`, looked at by a scanner that knows what attackers try.
@Suite(.enabled(if: TLSScanner.isInstalled, "run scripts/setup --tests"))
struct `A scanner of TLS` {
    private let directory: TemporaryDirectory
    private let program: CordonProgram
    private let files: TestCertificates

    init() throws {
        directory = try TemporaryDirectory()
        program = try CordonProgram(projectIn: directory)
        files = try TestCertificates()
        // The scanner takes no authority that does not say what its key is for.
        try files.make("authority", extensions: ["keyUsage=critical,keyCertSign"])
        try files.make("rsa", issuer: "authority", key: ["rsa:2048"])
        try files.make("ec", issuer: "authority")
        try FileManager.default.createDirectory(
            atPath: program.project + "/tls", withIntermediateDirectories: true)
        for name in ["rsa.crt", "rsa.key", "ec.crt", "ec.key"] {
            try FileManager.default.copyItem(
                atPath: files.path(name), toPath: "\(program.project)/tls/\(name)")
        }
    }

    /// Writes `new` behind `old` in a region's file.
    private func insert(_ new: String, behind old: String, region: String) throws {
        let path = "\(program.project)/Regions/\(region).yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try #require(text.contains(old))
        try text.replacing(old, with: old + new)
            .write(toFile: path, atomically: true, encoding: .utf8)
    }

    private func pair(_ name: String, _ more: String = "") -> String {
        "tls: { certificate: tls/\(name).crt, key: tls/\(name).key\(more) }"
    }

    @Test func `finds nothing in collectors and services`() async throws {
        let collector = "collector:\n"
        try insert("  \(pair("rsa"))\n", behind: collector, region: "eu-central")
        try insert(" \(pair("ec")),", behind: "service: {", region: "eu-central")
        try insert("  \(pair("ec"))\n", behind: collector, region: "us-east")
        try insert("  \(pair("ec", ", minimum: \"1.3\""))\n", behind: collector, region: "ap-south")
        let running = try await program.up()
        defer { running.end(SIGTERM) }
        let rsa = try #require(running.ports["eu-central"])
        let ec = try #require(running.ports["us-east"])
        let service = try #require(running.servicePorts["eu-central"])
        let newest = try #require(running.ports["ap-south"])

        let authority = files.path("authority.crt")
        let scan = try TLSScanner.scan(
            [rsa, ec, service], profile: "intermediate", trusting: authority)
        #expect(scan.exitCode == 0, "\(scan.text)")
        #expect(scan.text.components(separatedBy: "OK - Compliant").count == 4, "\(scan.text)")
        #expect(Set(scan.listeners.map(\.serverLocation.port)) == [rsa, ec, service])
        for listener in scan.listeners {
            let signature = listener.serverLocation.port == rsa ? "RSA" : "ECDSA"
            try expectNothing(of: listener)
            let results = try #require(listener.scanResult)
            #expect(
                results.tls12CipherSuites.result?.names
                    == Set(Self.ciphers12.map { "TLS_ECDHE_\(signature)_WITH_\($0)" }))
            let resumption = try #require(results.sessionResumption.result)
            #expect(resumption.tlsTicketResumptionResult == "FULLY_SUPPORTED")
            // There is no cache of sessions, by which a thief of memory could open them.
            #expect(resumption.sessionIdResumptionResult == "NOT_SUPPORTED")
        }

        let strict = try TLSScanner.scan([newest], profile: "modern", trusting: authority)
        #expect(strict.exitCode == 0, "\(strict.text)")
        let listener = try #require(strict.listeners.first)
        try expectNothing(of: listener)
        let results = try #require(listener.scanResult)
        #expect(results.tls12CipherSuites.result?.isTlsVersionSupported == false)

        // Whoever comes after the scanner is served.
        let after = try Tool.run(
            "curl", ["-s", "--cacert", authority, "https://localhost:\(rsa)/healthz"])
        #expect(after.output == "ok\n")
    }

    private static let ciphers12 = [
        "AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256",
    ]
    private static let ciphers13: Set = [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    ]

    /// Expects what every listener has in common: each part of the scan carried out, and no weakness in any.
    private func expectNothing(of listener: TLSScanner.Listener) throws {
        #expect(listener.scanStatus == "COMPLETED")
        let results = try #require(listener.scanResult)
        for old in [
            results.ssl20CipherSuites, results.ssl30CipherSuites,
            results.tls10CipherSuites, results.tls11CipherSuites,
        ] {
            let suites = try #require(old.result)
            #expect(!suites.isTlsVersionSupported && suites.names.isEmpty)
        }
        #expect(results.tls13CipherSuites.result?.names == Self.ciphers13)
        #expect(results.tlsCompression.verdicts == [false])
        #expect(results.tls13EarlyData.verdicts == [false])
        #expect(
            results.opensslCcsInjection.verdicts == [false])
        #expect(results.tlsFallbackScsv.verdicts == [true])
        #expect(results.heartbleed.verdicts == [false])
        #expect(results.tlsExtendedMasterSecret.verdicts == [true])
        #expect(results.robot.result?.robotResult == "NOT_VULNERABLE_RSA_NOT_SUPPORTED")
        let renegotiation = try #require(results.sessionRenegotiation.result)
        #expect(renegotiation.supportsSecureRenegotiation)
        #expect(!renegotiation.isVulnerableToClientRenegotiationDos)
        let curves = try #require(results.ellipticCurves.result?.supportedCurves)
        #expect(Set(curves.map(\.name)) == ["X25519", "secp256r1"])
    }
}
