import CordonCatalog
import Foundation
import HTTP
import Iceberg
import TestSupport
import Testing

@testable import CordonAPI

/// What clients of Iceberg REST catalogs were seen to send, and to break on.
@Suite struct `Traps of catalog clients` {
    private let fixture: APIFixture
    private let table = "v1/eu-central/namespaces/sandbox/tables/t"

    init() throws { fixture = try APIFixture() }

    private func members(_ response: APIResponse) throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any],
            "\(response.text)")
    }

    /// An override `uri` sends a client elsewhere, and a prefix is put into addresses as it is.
    @Test func `the configuration redirects nobody, and names what needs no escape`() throws {
        let config = try members(
            fixture.ask("GET", "v1/config", query: ["warehouse": ""]))
        #expect(config["overrides"] as? [String: String] == ["prefix": "eu-central"])
        #expect(config["defaults"] as? [String: String] == [:])
        #expect(config["idempotency-key-lifetime"] as? String == "PT30M")
        #expect(fixture.ask("GET", "v1/config", query: ["warehouse": "eu-central"]).status == 200)
        let other = fixture.ask("GET", "v1/config", query: ["warehouse": "us-east"])
        #expect(other.status == 404 && other.errorType == "NoSuchWarehouseException")
    }

    /// DuckDB fails on any `config` without a region of S3; credentials for a prefix pass every mask by.
    @Test(arguments: ["vended-credentials", "remote-signing", "vended-credentials,remote-signing"])
    func `nobody is given credentials, whatever is asked for`(_ wanted: String) throws {
        _ = try fixture.makeTable()
        let fields = ["x-iceberg-access-delegation": wanted]
        let loaded = try members(fixture.ask("GET", table, fields: fields))
        #expect(loaded["config"] as? [String: String] == [:])
        #expect(Set(loaded.keys) == ["config", "metadata", "metadata-location"])
        let made = try members(
            fixture.ask(
                "POST", "v1/eu-central/namespaces/sandbox/tables",
                #"{"name":"u","schema":\#(APIFixture.schema)}"#, fields: fields))
        #expect(Set(made.keys) == ["config", "metadata", "metadata-location"])
        #expect(fixture.ask("GET", table + "/credentials", fields: fields).status == 404)
    }

    /// Clients that find a way advertised take it: DuckDB shows vended secrets to SQL, PyIceberg obeys planning from the configuration alone,
    /// and Sail fails on planning that is named and not served.
    @Test(arguments: [
        ("GET", "/credentials"), ("POST", "/plan"), ("GET", "/plan/p-1"), ("DELETE", "/plan/p-1"),
        ("POST", "/tasks"), ("POST", "/sign"),
    ])
    func `credentials, planning and signing are neither advertised nor served`(
        _ method: String, _ path: String
    ) throws {
        _ = try fixture.makeTable()
        let config = try members(fixture.ask("GET", "v1/config"))
        let endpoints = try #require(config["endpoints"] as? [String])
        let last = path.dropFirst().split(separator: "/").first.map(String.init) ?? ""
        #expect(!endpoints.contains { $0.contains("/\(last)") })
        let loaded = fixture.ask("GET", table).text
        for word in ["scan-planning", "s3.", "credential", "signer", "client.region"] {
            #expect(!fixture.ask("GET", "v1/config").text.contains(word), "\(word)")
            #expect(!loaded.contains(word), "\(word)")
        }
        let answer = fixture.ask(method, table + path, "{}")
        #expect(answer.status == 404, "\(answer.text)")
        #expect(answer.errorType == "NoSuchEndpointException")
        #expect(fixture.ask("POST", "v1/aws/s3/sign", "{}").status == 404)
    }

    /// A header that asks for credentials changes no answer, and gives nobody a table that is not theirs.
    @Test(arguments: ["vended-credentials", "remote-signing"])
    func `who asks for credentials is answered as who does not`(_ wanted: String) throws {
        _ = try fixture.makeTable()
        for path in [
            table, "v1/eu-central/namespaces/pixels/tables/hits",
            "v1/eu-central/namespaces/sandbox/tables", "v1/eu-central/namespaces",
            "v1/us-east/namespaces/sandbox/tables/t",
        ] {
            let plain = fixture.ask("GET", path)
            let asking = fixture.ask(
                "GET", path, fields: ["x-iceberg-access-delegation": wanted])
            #expect(asking.status == plain.status && asking.text == plain.text, "\(path)")
        }
    }

    /// Sail reads the file at `metadata-location`, not the metadata of the answer.
    @Test func `the file that an answer names holds the metadata that it has`() throws {
        func requireSame(_ response: APIResponse) throws {
            let body = try members(response)
            let location = try #require(body["metadata-location"] as? String)
            let file = try Data(
                contentsOf: URL(fileURLWithPath: String(location.dropFirst("file://".count))))
            let kept = try JSONSerialization.jsonObject(with: file) as? NSDictionary
            #expect(kept != nil && kept == body["metadata"] as? NSDictionary)
        }
        _ = try fixture.makeTable()
        try requireSame(fixture.ask("GET", table))
        let changed = fixture.commit("t", #"{"action":"set-properties","updates":{"a":"b"}}"#)
        try requireSame(changed)
        try requireSame(fixture.ask("GET", table))
    }

    @Test func `a requirement that comes twice, as Sail sends it, is one`() throws {
        _ = try fixture.makeTable()
        let uuid = try #require(try fixture.catalog.clientTable("sandbox", "t")).uuid
        let requirement = #"{"type":"assert-table-uuid","uuid":"\#(uuid)"}"#
        let answer = fixture.ask(
            "POST", table,
            #"{"requirements":[\#(requirement),\#(requirement)],"updates":[{"action":"set-properties","updates":{"a":"b"}}]}"#
        )
        #expect(answer.status == 200, "\(answer.text)")
    }

    @Test(arguments: ["True", "False", "true", "false", ""])
    func `a table is dropped whatever is said of purging it`(_ purge: String) throws {
        _ = try fixture.makeTable()
        let answer = fixture.ask("DELETE", table, query: ["purgeRequested": purge])
        #expect(answer.status == 204 && answer.body.isEmpty)
        #expect(fixture.ask("HEAD", table).status == 404)
    }

    /// PyIceberg does not read an error without all three members, and HEAD and 204 with a body break connections.
    @Test func `every error has message, type and code, and what has no body has none`() throws {
        _ = try fixture.makeTable()
        var statuses: Set<Int> = []
        func require(
            _ method: String, _ path: String, _ body: String? = nil, as bearer: String? = nil
        ) throws {
            let answer = fixture.ask(method, path, body, as: bearer)
            #expect(answer.status >= 400, "\(method) \(path)")
            statuses.insert(answer.status)
            let error = try #require(try members(answer)["error"] as? [String: Any])
            #expect(Set(error.keys) == ["message", "type", "code"], "\(answer.text)")
            #expect(error["code"] as? Int == answer.status)
            #expect((error["type"] as? String)?.hasSuffix("Exception") == true)
        }
        let namespace = "v1/eu-central/namespaces/sandbox"
        try require("GET", "v1/nothing")
        try require("PUT", "v1/config")
        try require("GET", "v1/config", as: "None")
        try require("GET", "v1/us-east/namespaces")
        try require("POST", namespace + "/tables", "{")
        try require("GET", namespace + "/tables/none")
        try require("DELETE", namespace)
        try require("POST", namespace + "/tables", #"{"name":"t","schema":\#(APIFixture.schema)}"#)
        try require(
            "POST", namespace + "/properties", #"{"removals":["a"],"updates":{"a":"b"}}"#)
        try require(
            "POST", table,
            #"{"requirements":[{"type":"assert-current-schema-id","current-schema-id":9}],"updates":[]}"#
        )
        fixture.clock.pass(seconds: 3600)
        try require("GET", "v1/config")
        #expect(statuses == [400, 401, 403, 404, 405, 409, 419, 422])
        for path in ["none", "t"] {
            #expect(fixture.ask("HEAD", namespace + "/tables/" + path).body.isEmpty)
        }
    }

    /// A client that takes 503 for "perhaps done" sends its key again, and must not be told 503 for half an hour.
    @Test func `a failure of the world is not kept under a client's key`() throws {
        _ = try fixture.makeTable()
        let key = ["idempotency-key": "0190a7d0-7000-7000-8000-000000000003"]
        let set = #"{"action":"set-properties","updates":{"a":"b"}}"#
        let audit = fixture.directory.file("audit")
        let aside = fixture.directory.file("aside")
        try FileManager.default.moveItem(atPath: audit, toPath: aside)
        #expect(fixture.commit("t", set, fields: key).status == 503)
        try? FileManager.default.removeItem(atPath: audit)
        try FileManager.default.moveItem(atPath: aside, toPath: audit)
        #expect(fixture.commit("t", set, fields: key).status == 200)
    }

    /// What DuckDB writes for DELETE and UPDATE erases nothing.
    @Test func `a snapshot that lists delete files is refused`() throws {
        let location = try fixture.makeTable()
        let folder = String(location.dropFirst("file://".count)) + "/metadata/"
        let manifest = Manifest(
            schema: IcebergSchema(
                schemaID: 0, fields: [.init(id: 1, name: "id", type: .primitive("long"))]),
            spec: PartitionSpec(specID: 0, fields: []), entries: [])
        let encoded = manifest.encoded(sync: 1)
        try Data(encoded).write(to: URL(fileURLWithPath: folder + "m.avro"))
        let path = location + "/metadata/m.avro"
        let entry = ManifestFile(
            describing: manifest, path: path, bytes: encoded.count, snapshotID: 7,
            sequenceNumber: 1)
        let snapshot = Snapshot(
            snapshotID: 7, parentSnapshotID: nil, sequenceNumber: 1, timestampMilliseconds: 1,
            manifestList: location + "/metadata/l.avro", summary: ["operation": "delete"],
            schemaID: 0)
        var list = ManifestList(manifests: [entry]).encoded(for: snapshot, sync: 2)
        func commit() throws -> APIResponse {
            try Data(list).write(to: URL(fileURLWithPath: folder + "l.avro"))
            return fixture.commit(
                "t",
                #"{"action":"add-snapshot","snapshot":{"snapshot-id":7,"sequence-number":1,"timestamp-ms":1,"manifest-list":"\#(location)/metadata/l.avro","summary":{"operation":"delete"},"schema-id":0}}"#
            )
        }
        // Behind the path come its manifest's length, the partition spec's id (0), and what the manifest lists: 0 for data, 1 for deletes.
        let end = try #require(list.firstRange(of: Array(path.utf8))).upperBound
        let length = try #require(list[end...].firstIndex { $0 & 0x80 == 0 })
        try #require(list[length + 1] == 0 && list[length + 2] == 0)
        list[length + 2] = 2
        let refused = try commit()
        #expect(refused.status == 400 && refused.text.contains("delete files"), "\(refused.text)")
        list[length + 2] = 0
        #expect(try commit().status == 200)
    }

    /// Names are decoded after the address was split, so none can pass for two.
    @Test func `an escaped slash is part of a name, and the separator of levels always read`()
        throws
    {
        func segments(_ path: String) throws -> [String] {
            let head = Array("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            return try APIRequest(
                ServiceRequest(head, end: head.count, bodyBytesMax: 0), body: []
            ).segments
        }
        #expect(try segments("/v1/r/namespaces/a%2Fb") == ["v1", "r", "namespaces", "a/b"])
        #expect(try segments("/v1/r/namespaces/a%1fb")[3] == "a\u{1F}b")
        #expect(try segments("/v1/r/namespaces/%252E")[3] == "%2E")
        for wrong in ["/a%2", "/a%zz", "/%ff", "/%"] {
            #expect(throws: APIError.self) { try segments(wrong) }
        }
    }
}
