import CordonModel
import Testing

@testable import CordonPolicy

/// One change to a right issuer and what is said of it.
struct IssuerMistake: CustomTestStringConvertible, Sendable {
    let old: String
    let new: String
    let expected: String
    var testDescription: String { expected }
}

@Suite struct `Other issuers in a region's file` {
    private static let issuer = """
            - issuer: https://login.example/realm
              audience: north
              jwks: keys/issuer.json
              role: { claim: groups, map: { "Team A": analyst, "Team B": analyst } }
              purposes: [measuring]
              places: { claim: country, map: { Germany: DE } }

        """

    private static func region(_ issuers: String) -> String {
        SampleProject.region + """
            service:
              listen: 127.0.0.1:9401
              issuers:

            """ + issuers
    }

    @Test func `are read with their mapping`() throws {
        let project = try SampleProject.load(["Regions/north.yaml": Self.region(Self.issuer)])
        let issuer = try #require(project.regions[0].service?.issuers.first)
        #expect(issuer.issuer == "https://login.example/realm" && issuer.audience == "north")
        #expect(issuer.type == .accessToken)
        #expect(issuer.role == .claim("groups", ["Team A": "analyst", "Team B": "analyst"]))
        #expect(issuer.purposes == .fixed(["measuring"]))
        #expect(issuer.places == .claim("country", ["Germany": "DE"]))
        guard case .file(let file) = issuer.keys else {
            Issue.record("no file")
            return
        }
        #expect(file.path == "/project/keys/issuer.json")
        func keys(_ new: String) throws -> TrustedIssuer? {
            let text = Self.issuer.replacing("      jwks: keys/issuer.json\n", with: new)
            return try SampleProject.load(["Regions/north.yaml": Self.region(text)])
                .regions[0].service?.issuers.first
        }
        #expect(try keys("")?.keys == .discovery)
        let fetched = try keys(
            "      jwks: https://login.example/keys\n      authorities: ca.pem\n")
        #expect(fetched?.keys == .address("https://login.example/keys"))
        #expect(fetched?.authorities?.path == "/project/ca.pem")
        let lines = SampleProject.region.split(separator: "\n").count
        #expect(fetched?.keysPlace == "\(lines + 6):13")
        #expect(try keys("")?.keysPlace == "\(lines + 4):15")
        let none = try SampleProject.load([
            "Regions/north.yaml": SampleProject.region + "service: { listen: 127.0.0.1:9401 }\n"
        ])
        #expect(none.regions[0].service?.issuers == [])
    }

    static let mistakes = [
        IssuerMistake(
            old:
                "https://login.example/realm\n      audience: north\n      jwks: keys/issuer.json",
            new: "https://login_example/realm\n      audience: north",
            expected: "no description can be fetched from `https://login_example/realm`"),
        IssuerMistake(
            old: "jwks: keys/issuer.json", new: "jwks: https://login.example/keys#x",
            expected: "expected a file, or an address such as `https://login.example/keys`"),
        IssuerMistake(
            old: "https://login", new: "http://login",
            expected:
                "expected the issuer as its tokens name it, such as `https://login.example/realm`, found `http://login.example/realm`"
        ),
        IssuerMistake(
            old: "/realm\n", new: "/realm?x=1\n",
            expected: "found `https://login.example/realm?x=1`"),
        IssuerMistake(
            old: "audience: north", new: "audiences: north",
            expected: "unknown key `audiences`, did you mean `audience`?"),
        IssuerMistake(
            old: "jwks: keys/issuer.json", new: "jwks: ../keys.json",
            expected: "expected a path without `..`, found `../keys.json`"),
        IssuerMistake(
            old: "jwks: keys/issuer.json", new: "jwks: http://login.example/keys",
            expected:
                "expected a file, or an address such as `https://login.example/keys`, found `http://login.example/keys`"
        ),
        IssuerMistake(
            old: "jwks: keys", new: "authorities: ca.pem\n      jwks: keys",
            expected: "nothing is fetched where `jwks` is a file"),
        IssuerMistake(
            old: "jwks: keys", new: "type: jwt\n      jwks: keys",
            expected: "expected one of `at+jwt`, `JWT`, found `jwt`"),
        IssuerMistake(
            old: "\"Team A\": analyst", new: "\"Team A\": An Analyst",
            expected: "expected a name of 1 to 40 lowercase letters"),
        IssuerMistake(
            old: "map: { Germany: DE }", new: "map: { Germany: Deutschland }",
            expected: "expected an ISO 3166 code such as `DE` or `US-CA`, found `Deutschland`"),
        IssuerMistake(
            old: "map: { Germany: DE }", new: "map: {}",
            expected: "expected at least one value of the claim, and what it is worth"),
        IssuerMistake(old: "claim: groups, ", new: "", expected: "key `claim` is missing"),
        IssuerMistake(old: "[measuring]", new: "[]", expected: "expected 1 to 16 of them"),
        IssuerMistake(old: "[measuring]", new: "all", expected: "expected a list, found `all`"),
        IssuerMistake(
            old: "      role: { claim: groups, map: { \"Team A\": analyst, \"Team B\": analyst } }",
            new: "      role: [analyst]", expected: "expected text, found a list"),
    ]

    @Test(arguments: mistakes) func `are not guessed at`(_ mistake: IssuerMistake) {
        let text = Self.issuer.replacing(mistake.old, with: mistake.new)
        #expect(text != Self.issuer)
        let found = SampleProject.mistakes(["Regions/north.yaml": Self.region(text)])
        #expect(found.contains { $0.contains(mistake.expected) }, "\(found)")
        #expect(found.allSatisfy { $0.hasPrefix("Regions/north.yaml:") })
    }

    @Test func `stand once each`() {
        let found = SampleProject.mistakes([
            "Regions/north.yaml": Self.region(Self.issuer + Self.issuer)
        ])
        #expect(found.contains { $0.contains("stands twice") }, "\(found)")
    }
}
