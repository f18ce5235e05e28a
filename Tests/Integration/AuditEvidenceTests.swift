import Bytes
import CordonAudit
import CordonKeys
import CordonModel
import Crypto
import Foundation
import LinuxIO
import TestSupport
import Testing

/// What is handed to an auditor, checked by programs that others wrote or that share no code with Cordon.
@Suite struct `Audit evidence` {
    let directory: TemporaryDirectory
    private let cordon: CordonProgram
    private let region = "eu-central"

    init() throws {
        directory = try TemporaryDirectory()
        cordon = try CordonProgram(projectIn: directory)
    }

    private var auditDirectory: String { cordon.project + "/var/\(region)/audit" }

    private func log() throws -> AuditLog {
        let keys = try RegionKeys(
            opening: cordon.project + "/var/\(region)/keys", region: region)
        return try AuditLog(directory: auditDirectory, region: region, key: keys.signingKey)
    }

    /// Entries under checkpoints of their own and under one, over full and partial tiles of two levels.
    private func fill(_ log: AuditLog, to size: Int) throws {
        let rest = (log.size..<size).map { number in
            AuditEntry(
                at: Timestamp(microseconds: Int64(number)), kind: "query-answered", region: region,
                principal: Principal(role: "analyst", purpose: "p", place: "DE"),
                fields: ["rows": .integer(number), "subject": .text("0badcafe\(number)")])
        }
        try log.append(rest)
    }

    private func checkpoint(_ name: String) throws -> String {
        let path = directory.file(name)
        let head = try cordon.run("audit", "checkpoint", "--region", region)
        #expect(head.exitCode == 0)
        try head.output.write(toFile: path, atomically: false, encoding: .utf8)
        return path
    }

    private func verifierKey() throws -> String {
        try log().reader.verifierKey
    }

    // MARK: golang.org/x/mod/sumdb

    /// The checker, built against Debian's golang-golang-x-mod-dev.
    private func goChecker() throws -> String {
        let program = directory.file("log-check")
        let source = ShippedProject.root + "/Tests/Integration/Fixtures/log-check/main.go"
        let cache = ShippedProject.root + "/.deps/go-cache"
        let built = try Tool.run(
            "env",
            [
                "GO111MODULE=off", "GOPATH=/usr/share/gocode", "GOCACHE=\(cache)", "GOFLAGS=",
                "CGO_ENABLED=0", "go", "build", "-o", program, source,
            ])
        try #require(built.exitCode == 0, "scripts/setup --tests installs go: \(built.output)")
        return program
    }

    @Test func `sumdb of the Go project verifies the log, and sees a flipped bit`() throws {
        let checker = try goChecker()
        let log = try log()
        var earlier: [String] = []
        for size in [1, 2, 255, 256, 257, 700] {
            try fill(log, to: size)
            earlier.append(try checkpoint("checkpoint-\(size)"))
        }
        let key = try verifierKey()
        let good = try Tool.run(checker, [auditDirectory, key] + earlier)
        #expect(good.exitCode == 0, "\(good.output)")
        #expect(good.output.contains("700 entries included, 6 checkpoints consistent"))

        let tile = auditDirectory + "/tile/entries/001"
        var bytes = try File.read(tile)
        bytes[40] ^= 1
        try File.write(tile, bytes)
        let bad = try Tool.run(checker, [auditDirectory, key])
        #expect(bad.exitCode == 1)
        #expect(bad.output.hasPrefix("entry "), "\(bad.output)")
    }

    // MARK: Proofs

    @Test func `a proof of an entry convinces who has the key alone`() throws {
        let log = try log()
        try fill(log, to: 300)
        let out = directory.file("proof")
        for entry in [0, 255, 299] {
            let proved = try cordon.run(
                "audit", "prove", "--region", region, "--out", out, "\(entry)")
            #expect(proved.exitCode == 0, "\(proved.errorOutput)")
        }
        let verifier = try unpack("proofs.tar") + "/verify.py"
        let key = try verifierKey()
        func check(_ entry: String, _ proof: String) throws -> Tool.Result {
            try Tool.run(
                "python3",
                [
                    verifier, "proof", "\(out)/\(region)-\(entry).json",
                    "\(out)/\(region)-\(proof).tlog-proof", "--key", key,
                ])
        }
        for entry in ["0", "255", "299"] {
            let checked = try check(entry, entry)
            #expect(checked.exitCode == 0, "\(checked.output)")
            #expect(checked.output.contains("entry \(entry) of 300"))
        }
        #expect(try check("0", "255").exitCode == 1)
        let beyond = try cordon.run("audit", "prove", "--region", region, "300000")
        #expect(beyond.exitCode == 1)
        #expect(beyond.errorOutput.contains("no entry 300000"))
        #expect(try cordon.run("audit", "prove", "0").exitCode == 2)
    }

    // MARK: The archive

    /// Exports and unpacks; gives the archive's folder.
    private func unpack(_ name: String) throws -> String {
        let exported = try cordon.run("audit", "export", "--out", directory.file(name))
        try #require(exported.exitCode == 0, "\(exported.errorOutput)")
        let folder = directory.file(name + "-unpacked")
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        let untarred = try Tool.run("tar", ["-xf", directory.file(name), "-C", folder])
        try #require(untarred.exitCode == 0, "\(untarred.output)")
        let roots = try FileManager.default.contentsOfDirectory(atPath: folder)
        return folder + "/" + (try #require(roots.first))
    }

    private func verify(_ archive: String, _ words: String...) throws -> Tool.Result {
        try Tool.run("python3", [archive + "/verify.py"] + words)
    }

    @Test
    func
        `the archive verifies itself, names what was done to it, and holds earlier checkpoints against it`()
        throws
    {
        let log = try log()
        try fill(log, to: 520)
        let earlier = try checkpoint("earlier")
        try fill(log, to: 600)
        let archive = try unpack("audit.tar")
        let again = try cordon.run("audit", "export", "--out", directory.file("audit.tar"))
        #expect(again.exitCode == 4 && again.errorOutput.contains("there already"))

        let good = try verify(archive, "--earlier", earlier)
        #expect(good.exitCode == 0, "\(good.output)")
        #expect(good.output.contains("\(region): sound, 601 entries"))
        #expect(good.output.contains("1 earlier checkpoints"))
        #expect(
            try Tool.run("sh", ["-c", "cd '\(archive)' && sha256sum -c SHA256SUMS"]).exitCode == 0)

        // One entry changed, one taken out, one put in: each in a bundle of its own.
        let entries = archive + "/logs/\(region)/tile/entries"
        try edit(entries + "/000") { $0[7][30] ^= 1 }
        try edit(entries + "/001") { $0.remove(at: 3) }
        try edit(entries + "/002.p/89") { $0.insert(Array("{}".utf8), at: 5) }
        try File.write(archive + "/logs/\(region)/tile/0/009", [1])
        let bad = try verify(archive)
        #expect(bad.exitCode == 1)
        for place in [
            "changed: entry 7 ", "missing: entry 259 ", "inserted: before entry 517 ",
            "inserted: tile/0/009", "changed: root",
        ] {
            #expect(bad.output.contains(place), "\(place) in \(bad.output)")
        }
    }

    /// Rewrites the entries of a bundle.
    private func edit(_ path: String, _ change: (inout [[UInt8]]) -> Void) throws {
        var rest = try File.read(path)[...]
        var entries: [[UInt8]] = []
        while let high = rest.popFirst(), let low = rest.popFirst() {
            let count = Int(high) << 8 | Int(low)
            entries.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        change(&entries)
        let bytes = entries.flatMap { [UInt8($0.count >> 8), UInt8($0.count & 255)] + $0 }
        try File.write(path, bytes)
    }

    @Test func `a log that was written anew is sound in itself and breaks an earlier checkpoint`()
        throws
    {
        let log = try log()
        try fill(log, to: 40)
        let earlier = try checkpoint("earlier")
        try FileManager.default.removeItem(atPath: auditDirectory)
        #expect(throws: AuditError.self) { _ = try self.log() }
        // Whoever writes it anew takes the head beside it away as well.
        try File.remove(auditDirectory + ".head")
        let other = try self.log()
        try fill(other, to: 30)
        let shorter = try cordon.run(
            "audit", "verify", "--region", region, "--earlier", earlier)
        #expect(shorter.exitCode == 1 && shorter.output.contains("it went back"))
        try fill(other, to: 50)
        #expect(try cordon.run("audit", "verify", "--region", region).exitCode == 0)
        let anew = try cordon.run(
            "audit", "verify", "--region", region, "--earlier", earlier, "--json")
        #expect(anew.exitCode == 1 && anew.output.contains("are others than were signed"))
        let archive = try unpack("anew.tar")
        let checked = try verify(archive, "--earlier", earlier)
        #expect(checked.exitCode == 1 && checked.output.contains("rewritten: the first 40"))
        #expect(try verify(archive).exitCode == 0)
    }

    @Test func `the archive has what other regions witnessed, and can be read without Cordon`()
        throws
    {
        let log = try log()
        try fill(log, to: 300)
        try log.append(
            AuditEntry(
                at: Timestamp(microseconds: 0), kind: "note", region: region,
                fields: ["text": "<script>&"]))
        #expect(try cordon.run("audit", "witness").exitCode == 0)
        let archive = try unpack("audit.tar")
        let good = try verify(archive)
        #expect(good.exitCode == 0, "\(good.output)")
        #expect(good.output.contains("  witness us-east: saw 301 entries at 2"), "\(good.output)")

        let page = String(
            decoding: try File.read(archive + "/log-\(region).html"), as: UTF8.self)
        #expect(page.contains("&lt;script&gt;&amp;") && !page.contains("<script>"))
        let printed = try verify(archive, "entries", region, "note")
        #expect(printed.exitCode == 0 && printed.output.hasPrefix("300 {"), "\(printed.output)")
        #expect(
            try verify(archive, "entries", region).output.split(separator: "\n").count == 302)

        let seen = archive + "/logs/\(region)/witnessed/us-east"
        let bytes = try File.read(seen)
        let place = bytes.count - 10
        let digit = UInt8(ascii: bytes[place] == UInt8(ascii: "A") ? "B" : "A")
        for (character, problem) in [
            (digit, "the cosignature of us-east/witness is wrong"),
            (UInt8(ascii: "*"), "the signature of us-east/witness is no base64"),
        ] {
            var changed = bytes
            changed[place] = character
            try File.write(seen, changed)
            let bad = try verify(archive)
            #expect(bad.exitCode == 1)
            #expect(bad.output.contains(problem), "\(bad.output)")
        }
    }

    @Test func `keys of the archive are not believed when others are given`() throws {
        let archive = try unpack("audit.tar")
        let stranger = try RegionKeys.create(directory: directory.file("k"), region: region)
        let key = AuditReader(
            directory: "", region: region, key: stranger.signingKey.publicKey
        ).verifierKey
        let checked = try verify(archive, "--key", key)
        #expect(checked.exitCode == 1)
        #expect(checked.output.contains("\(region): NOT SOUND"))
        #expect(checked.output.contains("NOT CHECKED, no key was given"))
    }

    @Test
    func `the archive follows a change of the signing key, and shows a history rewritten by it`()
        throws
    {
        try fill(try log(), to: 300)
        let earlier = try checkpoint("earlier")
        let old = try verifierKey()
        let changed = try cordon.run("keys", "rotate", "--signing", "--region", region, "--json")
        #expect(changed.exitCode == 0, "\(changed.errorOutput)")
        #expect(changed.output.contains("\"size\":301"), "\(changed.output)")
        let new = try verifierKey()
        #expect(new != old && changed.output.contains(new))
        try fill(try log(), to: 400)
        let archive = try unpack("audit.tar")
        #expect(try verify(archive, "--earlier", earlier).exitCode == 0)
        let logs = try FileManager.default.contentsOfDirectory(atPath: archive + "/logs")
        let others = logs.filter { $0 != region }.flatMap {
            ["--key", "\(archive)/logs/\($0)/key.vkey"]
        }
        for key in [old, new] {
            let good = try Tool.run(
                "python3",
                [archive + "/verify.py", "--key", key, "--earlier", earlier] + others)
            #expect(good.exitCode == 0, "\(good.output)")
            #expect(good.output.contains("1 earlier checkpoints"))
        }

        // Who has the new key alone writes another history under it, with the true introduction.
        let path = directory.file("forged")
        let keys = try RegionKeys(
            opening: cordon.project + "/var/\(region)/keys", region: region)
        let forger = try AuditLog(directory: path, region: region, key: keys.signingKey)
        try forger.append(
            (0..<450).map {
                AuditEntry(
                    at: Timestamp(microseconds: Int64($0)), kind: "forged", region: region,
                    fields: [:])
            })
        let introduction = try File.read(archive + "/logs/\(region)/keys/1")
        try Directory.create(path + "/keys")
        try File.write(path + "/keys/1", introduction)
        try FileManager.default.removeItem(atPath: archive + "/logs/\(region)")
        try FileManager.default.copyItem(atPath: path, toPath: archive + "/logs/\(region)")
        let forged = try verify(archive)
        #expect(forged.exitCode == 1)
        #expect(
            forged.output.contains("keys/1, the log begins otherwise than the older key signed"),
            "\(forged.output)")
        var broken = introduction
        broken[30] ^= 1
        try File.write(archive + "/logs/\(region)/keys/1", broken)
        #expect(try verify(archive).output.contains("\(region): WRONG"))
    }

    @Test func `entries are found by subject and by time`() throws {
        try fill(try log(), to: 12)
        func count(_ words: String...) throws -> Int {
            let found = try cordon.run(["audit", "log", "--region", region, "--json"] + words)
            #expect(found.exitCode == 0, "\(found.errorOutput)")
            return found.output.split(separator: "\n").count
        }
        #expect(try count("--subject", "0BADCAFE11") == 1)
        #expect(try count("--subject", "0badcafe") == 11)
        #expect(try count("--until", "1970-01-01") == 11)
        #expect(try count("--since", "1970-01-01T00:00:01Z", "--until", "1970-01-02") == 0)
        for words in [
            ["--subject", "0bad"], ["--subject", "customer-1"], ["--since", "1970-01-01T"],
        ] {
            #expect(try cordon.run(["audit", "log"] + words).exitCode == 2)
        }
    }
}
