import Bytes
import CordonAPI
import CordonAudit
import CordonCatalog
import CordonModel
import CordonTokens
import Crypto
import Foundation
import Iceberg
import TestSupport
import Testing

@Suite struct `A region's service` {
    let fixture: APIFixture

    init() throws { fixture = try APIFixture() }

    // MARK: Who asks

    struct Stranger: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let bearer: String
        let reason: String
    }

    static let strangers = [
        // What PyIceberg sends without a token.
        Stranger(testDescription: "None", bearer: "None", reason: "malformed-token"),
        Stranger(testDescription: "nothing", bearer: "", reason: "no-token"),
        Stranger(testDescription: "two words", bearer: "a b", reason: "no-token"),
    ]

    @Test(arguments: strangers) func `nobody is served without a token, and the log hears of it`(
        _ stranger: Stranger
    ) throws {
        for path in ["v1/config", "v1/query", "v1/eu-central/namespaces"] {
            let answer = fixture.ask(path == "v1/query" ? "POST" : "GET", path, as: stranger.bearer)
            #expect(answer.status == 401 && answer.errorType == "NotAuthorizedException")
        }
        #expect(try Set(fixture.reasons()) == [stranger.reason])
    }

    @Test func `a token of another region is 403 and told, an expired one 419, a revoked one 401`()
        throws
    {
        let keys = fixture.directory.file("other")
        try FileManager.default.createDirectory(atPath: keys, withIntermediateDirectories: true)
        let other = try TokenAuthority(
            region: "us-east", keysDirectory: keys, registerPath: keys + "/tokens.sqlite")
        let grant = TokenGrant(
            subject: "a", role: "analyst", purposes: ["measuring"], places: ["US"])
        let foreign = try other.issue(
            grant, lifeSeconds: 60, at: fixture.clock.now()
        ) { _ in }.text
        #expect(fixture.ask("GET", "v1/config", as: foreign).status == 403)
        let revoked = try fixture.authority.issue(
            grant, lifeSeconds: 3600, at: fixture.clock.now()
        ) { _ in }
        try fixture.authority.revoke(revoked.token.id, at: fixture.clock.now()) {}
        #expect(fixture.ask("GET", "v1/config", as: revoked.text).status == 401)
        fixture.clock.pass(seconds: 3600)
        #expect(fixture.ask("GET", "v1/config").status == 419)
        #expect(try fixture.reasons() == ["other-region", "revoked-token", "expired-token"])
    }

    @Test(arguments: strangers) func `a stranger's request is refused by its head alone, and told`(
        _ stranger: Stranger
    ) throws {
        let request = fixture.request("POST", "v1/query", as: stranger.bearer)
        #expect(fixture.api.refusal(request)?.status == 401)
        #expect(try fixture.reasons() == [stranger.reason])
        #expect(fixture.api.refusal(fixture.request("POST", "v1/query")) == nil)
        #expect(fixture.api.refusal(fixture.request("GET", "healthz"))?.status == 400)
        #expect(fixture.api.refusal(fixture.request("POST", "v1/nothing"))?.status == 404)
    }

    @Test func `another issuer's token is served by its mapping, and refused without one`() throws {
        let login = TestLogin()
        let served = try APIFixture(issuers: [login.keys()])
        #expect(served.ask("GET", "v1/config", as: login.token("team")).status == 200)
        let refused = served.ask("GET", "v1/config", as: login.token("others"))
        #expect(refused.status == 403 && refused.errorType == "ForbiddenException")
        let down = try APIFixture(issuers: [login.keys(isDown: true)])
        let answer = down.ask("GET", "v1/config", as: login.token("team"))
        #expect(answer.status == 503 && answer.errorType == "ServiceUnavailableException")
        // The page of metrics asks nobody for a token, and says which keys cannot be had.
        func metrics(_ fixture: APIFixture) -> String { fixture.ask("GET", "metrics").text }
        let label = #"{issuer="https://login.example"}"#
        #expect(metrics(served).contains("cordon_issuer_keys\(label) 1\n"))
        #expect(metrics(served).contains("cordon_issuer_keys_age_seconds\(label) 0\n"))
        #expect(metrics(served).contains("cordon_issuer_keys_old\(label) 0\n"))
        #expect(metrics(down).contains("cordon_issuer_keys\(label) 0\n"))
        #expect(metrics(down).contains("cordon_issuer_keys_old\(label) 1\n"))
        #expect(metrics(down).contains("cordon_issuer_keys_failures_total\(label) 1\n"))
        #expect(!metrics(down).contains("age_seconds{"))
        served.clock.pass(seconds: IssuerKeys.keepSeconds)
        #expect(metrics(served).contains("cordon_issuer_keys\(label) 0\n"))
        // Without the issuer in the region's file the same token is none.
        #expect(fixture.ask("GET", "v1/config", as: login.token("team")).status == 401)
        #expect(try served.reasons() == ["no-grant"])
        #expect(try down.reasons() == ["issuer-unavailable"])
    }

    @Test func `another region's prefix is refused and told`() throws {
        #expect(fixture.ask("GET", "v1/us-east/namespaces").status == 403)
        #expect(try fixture.reasons() == ["other-region"])
    }

    @Test func `a flood of strangers is counted and does not fill the log`() throws {
        for _ in 0..<(APILimits.strangersPerMinute + 20) {
            #expect(fixture.ask("GET", "v1/config", as: "None").status == 401)
        }
        #expect(try fixture.reasons().count == APILimits.strangersPerMinute)
        fixture.clock.pass(seconds: 60)
        _ = fixture.ask("GET", "v1/config", as: "None")
        let last = try #require(
            try fixture.log.reader.entries(
                matching: .init(kind: "service.refused", role: nil), limit: 1000
            ).last)
        #expect(last.entry.fields["untold_before"] == .integer(20))
    }

    @Test func `of several purposes and places the request names one`() throws {
        let several = try fixture.authority.issue(
            TokenGrant(
                subject: "a", role: "analyst", purposes: ["measuring", "support"],
                places: ["DE", "FR"]), lifeSeconds: 60, at: fixture.clock.now()
        ) { _ in }.text
        #expect(fixture.ask("GET", "v1/config", as: several).status == 400)
        let named = ["cordon-purpose": "support", "cordon-place": "FR"]
        #expect(fixture.ask("GET", "v1/config", as: several, fields: named).status == 200)
        let foreign = ["cordon-purpose": "support", "cordon-place": "US"]
        #expect(fixture.ask("GET", "v1/config", as: several, fields: foreign).status == 403)
    }

    // MARK: What is there

    @Test func `every endpoint that is advertised is served, and no other`() throws {
        struct Config: Decodable { let endpoints: [String] }
        let config = try JSONDecoder().decode(
            Config.self, from: Data(fixture.ask("GET", "v1/config").body))
        #expect(config.endpoints.count == 16)
        for endpoint in config.endpoints {
            let words = endpoint.split(separator: " ").map(String.init)
            let path = words[1].replacing("{prefix}", with: "eu-central")
                .replacing("{namespace}", with: "sandbox").replacing("{table}", with: "t")
            let answer = fixture.ask(words[0], path, "{}")
            #expect(answer.errorType != "NoSuchEndpointException", "\(endpoint)")
            #expect(answer.status != 405, "\(endpoint)")
        }
        for path in [
            "v1/oauth/tokens", "v1/eu-central/namespaces/sandbox/register",
            "v1/eu-central/namespaces/sandbox/tables/t/plan", "v2/config", "",
        ] {
            #expect(fixture.ask("POST", path, "{}").status == 404, "\(path)")
        }
        #expect(fixture.ask("PUT", "v1/config").status == 405)
    }

    @Test func `lists come page by page when a page is asked for`() throws {
        for name in ["a", "b", "c"] { _ = try fixture.makeTable(name) }
        struct List: Decodable {
            struct Name: Decodable { let name: String }
            let identifiers: [Name]
            let next: String?
            enum CodingKeys: String, CodingKey {
                case identifiers
                case next = "next-page-token"
            }
        }
        var names: [String] = []
        var token: String? = ""
        while let asked = token {
            let answer = fixture.ask(
                "GET", "v1/eu-central/namespaces/sandbox/tables",
                query: ["pageToken": asked, "pageSize": "2"])
            let list = try JSONDecoder().decode(List.self, from: Data(answer.body))
            #expect(list.identifiers.count <= 2)
            names += list.identifiers.map(\.name)
            token = list.next
        }
        #expect(names == ["a", "b", "c"])
        for wrong in ["0", "-1", "x"] {
            #expect(
                fixture.ask(
                    "GET", "v1/eu-central/namespaces", query: ["pageSize": wrong]
                ).status == 400)
        }
    }

    @Test func `views are an empty list, for Sail asks for them before it asks for tables`()
        throws
    {
        _ = try fixture.makeTable()
        for namespace in ["sandbox", "pixels"] {
            let answer = fixture.ask("GET", "v1/eu-central/namespaces/\(namespace)/views")
            #expect(answer.status == 200, "\(namespace)")
            let body = try JSONDecoder().decode(
                [String: [String]].self, from: Data(answer.body))
            #expect(body == ["identifiers": []], "\(namespace)")
        }
        #expect(fixture.ask("GET", "v1/eu-central/namespaces/none/views").status == 404)
    }

    @Test func `a change of properties says what it did not find, which PyIceberg insists on`()
        throws
    {
        _ = try fixture.makeTable()
        let answer = fixture.ask(
            "POST", "v1/eu-central/namespaces/sandbox/properties",
            #"{"removals":["none"],"updates":{"a":"b"}}"#)
        #expect(answer.status == 200)
        let body = try JSONDecoder().decode([String: [String]].self, from: Data(answer.body))
        #expect(body == ["updated": ["a"], "removed": [], "missing": ["none"]])
    }

    @Test func `a namespace of several levels is read by its separator, and does not exist`() throws
    {
        _ = try fixture.makeTable()
        for name in ["sandbox\u{1F}t", "\u{1F}sandbox"] {
            let path = "v1/eu-central/namespaces/\(name)"
            #expect(
                (400...404).contains(fixture.ask("GET", path).status), "\(name.debugDescription)")
        }
        let child = fixture.ask(
            "GET", "v1/eu-central/namespaces", query: ["parent": "sandbox"])
        #expect(child.status == 200 && !child.text.contains("sandbox"))
    }

    @Test func `namespaces that a token does not name do not exist for it`() throws {
        _ = try fixture.makeTable()
        let blind = try fixture.authority.issue(
            TokenGrant(subject: "b", role: "analyst", purposes: ["measuring"], places: ["DE"]),
            lifeSeconds: 60, at: fixture.clock.now()
        ) { _ in }.text
        let listed = fixture.ask("GET", "v1/eu-central/namespaces", as: blind)
        #expect(listed.text.contains("pixels") && !listed.text.contains("sandbox"))
        let path = "v1/eu-central/namespaces/sandbox"
        #expect(fixture.ask("GET", path, as: blind).status == 404)
        #expect(fixture.ask("GET", path + "/tables", as: blind).status == 404)
        #expect(fixture.ask("HEAD", path + "/tables/t", as: blind).status == 404)
        #expect(fixture.ask("GET", path + "/tables/t", as: blind).status == 403)
        #expect(fixture.ask("DELETE", path + "/tables/t", as: blind).status == 403)
    }

    @Test func `pixels is written by Cordon alone`() throws {
        let path = "v1/eu-central/namespaces/pixels"
        let table = #"{"name":"mine","schema":\#(APIFixture.schema)}"#
        #expect(fixture.ask("POST", path + "/tables", table).status == 403)
        #expect(
            fixture.ask("POST", path + "/tables/hits", #"{"requirements":[],"updates":[]}"#).status
                == 403)
        #expect(fixture.ask("DELETE", path + "/tables/hits").status == 403)
        #expect(fixture.ask("DELETE", path).status == 403)
        _ = try fixture.makeTable()
        let rename =
            #"{"source":{"namespace":["sandbox"],"name":"t"},"destination":{"namespace":["pixels"],"name":"t"}}"#
        #expect(fixture.ask("POST", "v1/eu-central/tables/rename", rename).status == 403)
        #expect(try Set(fixture.reasons()) == ["own-namespace"])
    }

    // MARK: Hostile clients

    @Test(arguments: [
        "*", "*.*", "../x", "a/b", "a\\b", "a b", "a?b", "$x", ".x", "a..b", "", "A%2F",
    ])
    func `a name that means more than itself is refused`(_ name: String) throws {
        _ = try fixture.makeTable()
        let escaped = name.replacing("\\", with: "\\\\")
        let table = #"{"name":"\#(escaped)","schema":\#(APIFixture.schema)}"#
        #expect(
            fixture.ask("POST", "v1/eu-central/namespaces/sandbox/tables", table).status == 400)
        #expect(
            fixture.ask(
                "POST", "v1/eu-central/namespaces", #"{"namespace":["\#(escaped)"]}"#
            ).status == 400)
        #expect(try fixture.catalog.clientTables(in: "sandbox").map(\.name) == ["t"])
    }

    @Test(arguments: [
        "file:///etc", "/etc", "s3://bucket/x", "file:///lake/pixels/hits", "FILE:/etc",
    ]) func `a client does not choose where a table lies`(_ location: String) throws {
        _ = try fixture.makeTable()
        let table =
            #"{"name":"u","location":"\#(location)","schema":\#(APIFixture.schema)}"#
        #expect(
            fixture.ask("POST", "v1/eu-central/namespaces/sandbox/tables", table).status == 400)
        let moved = fixture.commit("t", #"{"action":"set-location","location":"\#(location)"}"#)
        #expect(moved.status == 400)
        let sent = fixture.commit(
            "t", #"{"action":"set-properties","updates":{"write.data.path":"\#(location)"}}"#)
        #expect(sent.status == 400)
        #expect(try Set(fixture.reasons()) == ["location"])
    }

    @Test func `a relative location, as Sail sends it, is passed over`() throws {
        _ = try fixture.makeTable()
        let table =
            #"{"name":"u","location":"spark-warehouse/u-1","schema":\#(APIFixture.schema)}"#
        #expect(
            fixture.ask("POST", "v1/eu-central/namespaces/sandbox/tables", table).status == 200)
        let location = try #require(try fixture.catalog.clientTable("sandbox", "u")).location
        #expect(location.hasPrefix("file://\(fixture.lake)/sandbox/u-"))
    }

    @Test func `a forged snapshot is refused: other folders, links, missing and wrong files`()
        throws
    {
        let location = try fixture.makeTable()
        let folder = String(location.dropFirst("file://".count))
        let other = try fixture.makeTable("other")
        try Data("no manifest".utf8).write(to: URL(fileURLWithPath: folder + "/metadata/junk.avro"))
        let secret = fixture.directory.file("secret.avro")
        try Data("x".utf8).write(to: URL(fileURLWithPath: secret))
        try FileManager.default.createSymbolicLink(
            atPath: folder + "/metadata/link.avro", withDestinationPath: secret)
        try FileManager.default.createSymbolicLink(
            atPath: folder + "/metadata/up", withDestinationPath: fixture.directory.path)
        let lists = [
            "file:///etc/passwd", "/etc/passwd", "\(location)/metadata/../../../secret.avro",
            "\(location)/metadata/gone.avro", "\(location)/metadata/link.avro",
            "\(location)/metadata/up/secret.avro", "\(location)/metadata/junk.avro",
            "\(location)/metadata//junk.avro", "\(other)/metadata/x.avro", "\(location)/metadata",
            "s3://x/y",
        ]
        for list in lists {
            let answer = fixture.commit("t", Self.snapshot(list))
            #expect(answer.status == 400, "\(list): \(answer.text)")
        }
        #expect(try fixture.reasons() == lists.map { _ in "forged-files" })
        let table = try #require(try fixture.catalog.clientTable("sandbox", "t"))
        #expect(table.metadataLocation.contains("/00000-"))
        // Nothing of what was refused stays behind.
        let files = try FileManager.default.contentsOfDirectory(atPath: folder + "/metadata")
        #expect(files.filter { $0.hasSuffix(".json") }.count == 1)
    }

    private static func snapshot(_ list: String, id: Int = 7) -> String {
        #"{"action":"add-snapshot","snapshot":{"snapshot-id":\#(id),"sequence-number":1,"timestamp-ms":1,"manifest-list":"\#(list)","summary":{"operation":"append"},"schema-id":0}},{"action":"set-snapshot-ref","ref-name":"main","type":"branch","snapshot-id":\#(id)}"#
    }

    /// A snapshot of one manifest with one data file of `bytes`, written into the table's folder; its updates.
    private func write(
        _ bytes: [UInt8], to location: String, claiming claimed: Int? = nil, at path: String? = nil
    ) throws -> String {
        let folder = String(location.dropFirst("file://".count))
        try Data(bytes).write(to: URL(fileURLWithPath: folder + "/data/f.parquet"))
        let schema = IcebergSchema(
            schemaID: 0, fields: [.init(id: 1, name: "id", type: .primitive("long"))])
        let file = DataFile(
            path: path ?? location + "/data/f.parquet", partition: [], recordCount: 1,
            fileBytes: Int64(claimed ?? bytes.count))
        let manifest = Manifest(
            schema: schema, spec: PartitionSpec(specID: 0, fields: []),
            entries: [.added(file, snapshotID: 7)])
        let encoded = manifest.encoded(sync: 1)
        try Data(encoded).write(to: URL(fileURLWithPath: folder + "/metadata/m.avro"))
        let entry = ManifestFile(
            describing: manifest, path: location + "/metadata/m.avro", bytes: encoded.count,
            snapshotID: 7, sequenceNumber: 1)
        let snapshot = Snapshot(
            snapshotID: 7, parentSnapshotID: nil, sequenceNumber: 1, timestampMilliseconds: 1,
            manifestList: location + "/metadata/l.avro", summary: ["operation": "append"],
            schemaID: 0)
        try Data(ManifestList(manifests: [entry]).encoded(for: snapshot, sync: 2)).write(
            to: URL(fileURLWithPath: folder + "/metadata/l.avro"))
        return Self.snapshot(snapshot.manifestList)
    }

    /// A Parquet file of nothing but a footer: a root and one column, with a field id or without.
    private static func parquet(hasFieldID: Bool) -> [UInt8] {
        // FileMetaData { 1: version 1, 2: [SchemaElement { 4: "r", 5: 1 child },
        // SchemaElement { 1: INT64, 3: OPTIONAL, 4: "id", 9: id 1 }], 3: no rows, 4: no row groups }
        var footer: [UInt8] = [0x15, 0x02, 0x19, 0x2C, 0x48, 0x01, 0x72, 0x15, 0x02, 0x00]
        footer += [0x15, 0x04, 0x25, 0x02, 0x18, 0x02, 0x69, 0x64]
        if hasFieldID { footer += [0x55, 0x02] }
        footer += [0x00, 0x16, 0x00, 0x19, 0x0C, 0x00]
        let size = UInt32(footer.count)
        return Array("PAR1".utf8) + footer
            + (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) } + Array("PAR1".utf8)
    }

    @Test func `data files are what the snapshot says, and every column has a field id`() throws {
        let location = try fixture.makeTable()
        let good = Self.parquet(hasFieldID: true)
        #expect(
            fixture.commit("t", try write(Self.parquet(hasFieldID: false), to: location)).status
                == 400)
        #expect(fixture.commit("t", try write(Array("junk".utf8), to: location)).status == 400)
        #expect(
            fixture.commit("t", try write(good, to: location, claiming: good.count + 1)).status
                == 400)
        #expect(
            fixture.commit("t", try write(good, to: location, at: "file:///etc/passwd")).status
                == 400)
        let answer = fixture.commit("t", try write(good, to: location))
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.text.contains(#""current-snapshot-id":7"#))
    }

    @Test func `a commit that comes again is answered as done, without a second one`() throws {
        let location = try fixture.makeTable()
        let updates = try write(Self.parquet(hasFieldID: true), to: location)
        let first = fixture.commit("t", updates)
        let again = fixture.commit("t", updates)
        #expect(first.status == 200 && again.status == 200 && first.body == again.body)
        #expect(try fixture.kinds().suffix(2) == ["catalog.committed", "catalog.repeated"])
    }

    @Test func `a request under a key gets one answer, and another request under it none`() throws {
        _ = try fixture.makeTable()
        let key = ["idempotency-key": "0190a7d0-7000-7000-8000-000000000001"]
        let set = #"{"action":"set-properties","updates":{"a":"b"}}"#
        let first = fixture.commit("t", set, fields: key)
        let location = try fixture.catalog.clientTable("sandbox", "t")?.metadataLocation
        #expect(first.status == 200)
        #expect(fixture.commit("t", set, fields: key).body == first.body)
        #expect(try fixture.catalog.clientTable("sandbox", "t")?.metadataLocation == location)
        let other = #"{"action":"set-properties","updates":{"a":"c"}}"#
        #expect(fixture.commit("t", other, fields: key).status == 422)
        #expect(
            fixture.commit("t", set, fields: ["idempotency-key": "no-uuid"]).status == 400)
        let refused = ["idempotency-key": "0190a7d0-7000-7000-8000-000000000002"]
        let drop = "v1/eu-central/namespaces/sandbox"
        #expect(fixture.ask("DELETE", drop, fields: refused).status == 409)
        #expect(fixture.ask("DELETE", drop + "/tables/t").status == 204)
        #expect(fixture.ask("DELETE", drop, fields: refused).status == 409)
    }

    @Test func `bodies that nest too deep, or are no JSON, are refused`() throws {
        let deep = String(repeating: "[", count: 100_000)
        #expect(fixture.ask("POST", "v1/eu-central/namespaces", deep).status == 400)
        #expect(fixture.ask("POST", "v1/eu-central/namespaces", "{").status == 400)
        #expect(fixture.ask("POST", "v1/eu-central/namespaces", "{}").status == 400)
        var generator = Generator()
        for _ in 0..<300 {
            let body = (0..<40).map { _ in
                Array(#"{}[]",:ntabe0"#).randomElement(using: &generator) ?? "{"
            }
            let answer = fixture.ask("POST", "v1/eu-central/namespaces", String(body))
            #expect(answer.status == 400, "seed \(generator.seed)")
        }
    }

    // MARK: Tables

    @Test func `a table's tag changes with the table, and spares its body`() throws {
        _ = try fixture.makeTable()
        let path = "v1/eu-central/namespaces/sandbox/tables/t"
        let first = fixture.ask("GET", path)
        let tag = try #require(first.fields.first { $0.0 == "ETag" }?.1)
        let same = fixture.ask("GET", path, fields: ["if-none-match": tag])
        #expect(same.status == 304 && same.body.isEmpty)
        let refs = fixture.ask("GET", path, query: ["snapshots": "refs"])
        #expect(refs.fields.first { $0.0 == "ETag" }?.1 != tag)
        _ = fixture.commit("t", #"{"action":"set-properties","updates":{"a":"b"}}"#)
        #expect(fixture.ask("GET", path, fields: ["if-none-match": tag]).status == 200)
        #expect(first.text.hasPrefix(#"{"config":{},"#))
        for field in [
            "format-version", "table-uuid", "location", "last-sequence-number", "last-updated-ms",
            "last-column-id", "current-schema-id", "schemas", "default-spec-id", "partition-specs",
            "last-partition-id", "default-sort-order-id", "sort-orders",
        ] {
            #expect(first.text.contains("\"\(field)\":"), "\(field)")
        }
    }

    @Test func `a prepared table has its folders, is no table yet, and is made once`() throws {
        _ = try fixture.makeTable()
        let staged = fixture.ask(
            "POST", "v1/eu-central/namespaces/sandbox/tables",
            #"{"name":"s","stage-create":true,"schema":\#(APIFixture.schema)}"#)
        #expect(staged.text.hasSuffix(#""metadata-location":null}"#))
        #expect(fixture.ask("HEAD", "v1/eu-central/namespaces/sandbox/tables/s").status == 404)
        struct Staged: Decodable { let metadata: TableMetadata }
        let metadata = try JSONDecoder().decode(Staged.self, from: Data(staged.body)).metadata
        let folder = String(metadata.location.dropFirst("file://".count))
        for name in ["data", "metadata"] {
            #expect(FileManager.default.fileExists(atPath: folder + "/" + name))
        }
        func create(_ uuid: String) -> APIResponse {
            fixture.ask(
                "POST", "v1/eu-central/transactions/commit",
                #"{"table-changes":[{"identifier":{"namespace":["sandbox"],"name":"s"},"requirements":[{"type":"assert-create"}],"updates":[{"action":"assign-uuid","uuid":"\#(uuid)"},{"action":"set-location","location":"\#(metadata.location)"},{"action":"add-schema","schema":\#(APIFixture.schema)},{"action":"set-current-schema","schema-id":-1}]}]}"#
            )
        }
        #expect(create("00000000-0000-4000-8000-000000000000").status == 400)
        #expect(create(metadata.tableUUID).status == 204)
        #expect(fixture.ask("HEAD", "v1/eu-central/namespaces/sandbox/tables/s").status == 204)
        // Sent again by a client that got no answer.
        #expect(create(metadata.tableUUID).status == 204)
        #expect(create("00000000-0000-4000-8000-000000000000").status == 409)
    }

    @Test func `a transaction of several tables changes all or none`() throws {
        _ = try fixture.makeTable("one")
        _ = try fixture.makeTable("two")
        func change(_ name: String, schemaID: Int) -> String {
            #"{"identifier":{"namespace":["sandbox"],"name":"\#(name)"},"requirements":[{"type":"assert-current-schema-id","current-schema-id":\#(schemaID)}],"updates":[{"action":"set-properties","updates":{"x":"y"}}]}"#
        }
        func locations() throws -> [String] {
            try fixture.catalog.clientTables(in: "sandbox").map(\.metadataLocation)
        }
        let before = try locations()
        let path = "v1/eu-central/transactions/commit"
        let failed = fixture.ask(
            "POST", path,
            #"{"table-changes":[\#(change("one", schemaID: 0)),\#(change("two", schemaID: 9))]}"#)
        #expect(failed.status == 409 && failed.errorType == "CommitFailedException")
        #expect(try locations() == before)
        let made = fixture.ask(
            "POST", path,
            #"{"table-changes":[\#(change("one", schemaID: 0)),\#(change("two", schemaID: 0))]}"#)
        #expect(made.status == 204 && made.body.isEmpty)
        #expect(try Set(locations()).isDisjoint(with: before))
    }

    @Test func `a dropped table's folder is gone`() throws {
        let location = try fixture.makeTable()
        let folder = String(location.dropFirst("file://".count))
        #expect(FileManager.default.fileExists(atPath: folder))
        #expect(
            fixture.ask("DELETE", "v1/eu-central/namespaces/sandbox/tables/t").status == 204)
        #expect(!FileManager.default.fileExists(atPath: folder))
        #expect(try fixture.catalog.doomedFolders().isEmpty)
    }

    @Test func `what the audit log cannot hear of does not happen`() throws {
        _ = try fixture.makeTable()
        let location = try fixture.catalog.clientTable("sandbox", "t")?.metadataLocation
        // The log's folder goes away under it.
        try FileManager.default.moveItem(
            atPath: fixture.directory.file("audit"), toPath: fixture.directory.file("gone"))
        let path = "v1/eu-central/namespaces/sandbox/tables/t"
        #expect(fixture.ask("GET", path).status == 503)
        #expect(
            fixture.commit("t", #"{"action":"set-properties","updates":{"a":"b"}}"#).status == 503)
        #expect(fixture.ask("DELETE", path).status == 503)
        #expect(fixture.ask("GET", "v1/config", as: "None").status == 503)
        #expect(try fixture.catalog.clientTable("sandbox", "t")?.metadataLocation == location)
    }
}
