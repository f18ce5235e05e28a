import CordonModel
import Foundation
import Testing
import YAML

@testable import CordonPolicy

/// A validator of the words of JSON Schema that the generated schemas use; any other word fails.
private struct SchemaValidator {
    private var faults: [String] = []

    static func faults(of value: Any, under schema: [String: Any]) -> [String] {
        var validator = SchemaValidator()
        validator.validate(value, schema, "")
        return validator.faults
    }

    private func holds(_ value: Any, _ schema: Any?) -> Bool {
        Self.faults(of: value, under: schema as? [String: Any] ?? ["false": true]).isEmpty
    }

    private mutating func validate(_ value: Any, _ schema: [String: Any], _ path: String) {
        for (word, operand) in schema {
            if !isGood(value, word, operand, schema, path) { faults.append("\(path): \(word)") }
        }
        if let members = value as? [String: Any] {
            let known = schema["properties"] as? [String: [String: Any]] ?? [:]
            for (key, member) in members {
                if let inner = known[key] {
                    validate(member, inner, path + "." + key)
                } else if let inner = schema["additionalProperties"] as? [String: Any] {
                    validate(member, inner, path + "." + key)
                }
            }
        }
        if let items = value as? [Any], let inner = schema["items"] as? [String: Any] {
            for (index, item) in items.enumerated() { validate(item, inner, path + "[\(index)]") }
        }
    }

    private func isGood(
        _ value: Any, _ word: String, _ operand: Any, _ schema: [String: Any], _ path: String
    ) -> Bool {
        let members = value as? [String: Any]
        switch word {
        case "$schema", "title", "description", "$comment", "properties", "items", "else", "then":
            return true
        case "type":
            let types = operand as? [String] ?? [operand as! String]
            return types.contains { type in
                switch type {
                case "string": value is String
                case "integer": value is Int
                case "number": value is Int || value is Double
                case "boolean": value is Bool
                case "null": value is NSNull
                case "array": value is [Any]
                case "object": value is [String: Any]
                default: false
                }
            }
        case "pattern":
            guard let text = value as? String else { return true }
            return text.range(of: operand as! String, options: .regularExpression) != nil
        case "minLength": return (value as? String)?.isEmpty != true
        case "enum":
            return (operand as! [Any]).contains { "\($0)" == "\(value)" }
        case "const": return "\(operand)" == "\(value)"
        case "minimum": return number(value).map { $0 >= number(operand)! } ?? true
        case "exclusiveMinimum": return number(value).map { $0 > number(operand)! } ?? true
        case "maximum": return number(value).map { $0 <= number(operand)! } ?? true
        case "minItems": return (value as? [Any]).map { $0.count >= operand as! Int } ?? true
        case "uniqueItems":
            guard let items = value as? [Any] else { return true }
            return Set(items.map { "\($0)" }).count == items.count
        case "required":
            return members.map { members in (operand as! [String]).allSatisfy { members[$0] != nil }
            }
                ?? true
        case "additionalProperties":
            guard operand as? Bool == false, let members else { return true }
            let known = schema["properties"] as? [String: Any] ?? [:]
            return members.keys.allSatisfy { known[$0] != nil }
        case "propertyNames":
            return members?.keys.allSatisfy { holds($0, operand) } ?? true
        case "anyOf": return (operand as! [Any]).contains { holds(value, $0) }
        case "oneOf": return (operand as! [Any]).count { holds(value, $0) } == 1
        case "not": return !holds(value, operand)
        case "if": return holds(value, schema[holds(value, operand) ? "then" : "else"] as Any)
        default: return false
        }
    }

    private func number(_ value: Any) -> Double? {
        (value as? Int).map(Double.init) ?? value as? Double
    }
}

@Suite struct `Schema` {
    /// What an editor makes of a value.
    private static func value(_ node: YAMLNode) -> Any {
        switch node.content {
        case .scalar(let text, let isPlain):
            guard isPlain else { return text }
            if node.isNull { return NSNull() }
            if text == "true" || text == "false" { return text == "true" }
            if let number = Int(text) { return number }
            if let number = Double(text) { return number }
            return text
        case .sequence(let nodes): return nodes.map(value)
        case .mapping(let entries):
            return Dictionary(uniqueKeysWithValues: entries.map { ($0.key, value($0.value)) })
        }
    }

    private static func schema(_ name: String) throws -> [String: Any] {
        let file = try #require(ConfigurationSchema.files.first { $0.name == name })
        let object = try JSONSerialization.jsonObject(with: Data(file.jsonSchema.utf8))
        return try #require(object as? [String: Any])
    }

    private static func faults(_ text: String, _ name: String) throws -> [String] {
        let document = YAMLDocument(parsing: Array(text.utf8))
        return SchemaValidator.faults(
            of: value(try #require(document.root)), under: try schema(name))
    }

    /// The kind of each file.
    private static func kind(_ path: String) -> String {
        if path.hasPrefix("Regions/") { return "region" }
        if path.hasPrefix("Policies/cases/") { return "cases" }
        let name = ProjectFiles.name(of: path)
        return ["atlas", "invariants", "accepted"].contains(name) ? name : "policy"
    }

    @Test func `page and schemas in the repository are as they would be made now`() throws {
        let advice: Comment = "run `cordon policy reference --out .`"
        func text(_ path: String) throws -> String {
            try String(contentsOfFile: repository.root + "/" + path, encoding: .utf8)
        }
        #expect(try text("Docs/configuration-keys.md") == ConfigurationSchema.reference, advice)
        for file in ConfigurationSchema.files {
            #expect(try text("Schemas/\(file.name).schema.json") == file.jsonSchema, advice)
        }
    }

    /// The shipped files, and files that hold every mapping there is.
    private static func files() throws -> [String: String] {
        let problems = ProblemList()
        let read = ProjectFiles(reading: repository, problems: problems)
        var texts = read.contents.mapValues { String(decoding: $0, as: UTF8.self) }
        texts["Policies/whole.yaml"] = SampleProject.policy
            .replacing("policy: law", with: "policy: whole").replacing("Nordic", with: "EFTA")
            .replacing("applies_to: { places: [EFTA, DE]", with: "applies_to: { places: [AQ]")
            .replacing("region: north", with: "region: eu-central")
            .replacing(
                "min_group: 5",
                with: "min_group: 5, noise: { epsilon: 0.5, budget: 9, per: day, rows: 9 }"
            )
            .replacing("measuring: ,", with: "measuring: { tcf: [8], lasts: 90d },")
            .replacing(
                "user_agent: family",
                with: "user_agent: { keep: family, needs: [measuring] }")
        texts["Regions/north.yaml"] =
            SampleProject.region.replacing("8401", with: "0").replacing(
                "client_address: x-forwarded-for }",
                with:
                    "client_address: x-forwarded-for, limits: { connections_per_address: 5 }, tls: { certificate: a, key: b, minimum: 1.3 } }"
            ) + """
                service:
                  listen: 127.0.0.1:9499
                  issuers:
                    - issuer: https://login.example/realm
                      audience: north
                      jwks: keys.json
                      type: JWT
                      role: { claim: groups, map: { "Team A": analyst } }
                      purposes: [measuring]
                      places: [DE, US-CA]
                    - issuer: https://other.example
                      audience: north
                      jwks: https://other.example/keys
                      authorities: ca.pem
                      role: analyst
                      purposes: { claim: scope, map: { m: measuring } }
                      places: { claim: country, map: { Germany: DE } }
                lake: { location: "file:a", sealed: [page_path, params] }
                catalog: { store: "sqlite:b" }
                keys: { directory: c }
                engine: { driver: duckdb }
                maintenance: { freshness_seconds: 30, compact_files: 4 }

                """
        texts["Policies/accepted.yaml"] = """
            accepted: [{ finding: dead-claim, file: Policies/whole.yaml, about: AQ, reason: nobody lives there, until: 2027-01-01 }]

            """
        texts["Policies/invariants.yaml"]! += """
              - { name: whole, for: { sites: ["*"] }, truncate_at_least: { ipv4: 24, ipv6: 48 } }

            """
        return texts
    }

    @Test func `readers know the keys that the schema knows, and no others`() throws {
        let problems = ProblemList()
        do throws(ConfigurationErrors) {
            _ = try ProjectConfiguration.load(
                ProjectFiles(try! Self.files()), layout: repository, now: Day("2026-11-25")!,
                linting: true, problems: problems)
        } catch {
            Issue.record("\(error.description)")
        }
        var known: Set<Set<String>> = []
        func collect(_ shape: SchemaShape) {
            switch shape {
            case .mapping(let mapping):
                known.insert(Set(mapping.keys.map(\.name)))
                for key in mapping.keys { collect(key.shape) }
            case .list(let item, _): collect(item)
            case .dictionary(_, _, let value): collect(value)
            case .anyOf(let shapes): for shape in shapes { collect(shape) }
            default: break
            }
        }
        for file in ConfigurationSchema.files { collect(file.shape) }
        let unknown = problems.mappings.subtracting(known).map { $0.sorted() }
        #expect(unknown == [], "keys that a reader knows and ConfigurationSchema does not say")
        let unread = known.subtracting(problems.mappings).map { $0.sorted() }
        #expect(unread == [], "keys that ConfigurationSchema says and no reader knows")
    }

    @Test func `shipped files are right by it`() throws {
        for (path, text) in try Self.files() {
            #expect(try Self.faults(text, Self.kind(path)) == [], "\(path)")
        }
    }

    @Test func `an unknown key is wrong in every mapping of every file`() throws {
        var tried = 0
        for (path, text) in try Self.files() {
            let root = Self.value(try #require(YAMLDocument(parsing: Array(text.utf8)).root))
            let schema = try Self.schema(Self.kind(path))
            // Mappings whose keys are free take a new key with a value of the right form alone.
            func visit(_ value: Any, _ put: (Any) -> Any) {
                if var members = value as? [String: Any] {
                    members["no such key"] = true
                    let faults = SchemaValidator.faults(of: put(members), under: schema)
                    #expect(!faults.isEmpty, "\(path)")
                    tried += 1
                    members["no such key"] = nil
                    for (key, member) in members.sorted(by: { $0.key < $1.key }).prefix(12) {
                        let whole = members
                        visit(member) { inner in
                            var changed = whole
                            changed[key] = inner
                            return put(changed)
                        }
                    }
                } else if let items = value as? [Any], let first = items.first {
                    visit(first) { put([$0] + items.dropFirst()) }
                }
            }
            visit(root) { $0 }
        }
        #expect(tried > 200)
    }

    @Test(arguments: [
        ("route: { region: north, away: refuse }", "route: refuse"),
        ("fields:\n  ip", "feilds:\n  ip"), ("denied: count", "denied: counted"),
        ("hits: 395d", "hits: 395"), ("ipv4: 24", "ipv4: 25"),
        ("user: { pseudonym: month, needs: measuring }", "user: { pseudonym: month }"),
        ("signals: [gpc", "signals: [gcp"), ("sampling: 12.5", "sampling: 0"),
        ("min_group: 5", "min_group: 1"), ("hide: [user]", "hide: [usr]"),
        ("min_group: 5", "min_group: 5, small_groups: hide"),
        ("min_group: 5", "min_group: 5, noise: { epsilon: 1, budget: 9, per: day }"),
        ("min_group: 5", "min_group: 5, noise: { epsilon: 0, budget: 9, per: day, rows: 9 }"),
        ("language: primary", "language: all"), ("[measuring, advertising]", "[]"),
    ])
    func `what the readers refuse by form alone is wrong by it too`(old: String, new: String) throws
    {
        #expect(try Self.faults(SampleProject.policy, "policy") == [])
        let text = SampleProject.policy.replacing(old, with: new)
        #expect(text != SampleProject.policy)
        #expect(try !Self.faults(text, "policy").isEmpty)
        #expect(!SampleProject.mistakes(["Policies/law.yaml": text]).isEmpty)
    }
}
