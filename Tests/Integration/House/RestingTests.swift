import Foundation
import Testing

/// Whatever writes to a disk names what of a hit it brings there, or why it is nothing.
@Suite struct `Resting places` {
    /// How code comes to write: SQL that adds rows, files that are made, results that are copied out.
    private static let ways = [
        "INSERT INTO", "INSERT OR", "File.write(", "File.create(", "COPY (", "[.write, .create",
        "forWritingTo", ").write(to: URL(", ".write(toFile",
    ]

    /// Files that write and bring nothing of a hit.
    private static let others = [
        "Sources/CordonAPI/ClientFiles.swift":
            "metadata of tables that clients fill: theirs, as the result of a query is",
        "Sources/CordonAuthoring/KeptRules.swift": "the files of a rule set",
        "Sources/CordonAudit/AuditWitness.swift": "sizes, hashes and signatures of other logs",
        "Sources/CordonCLI/AuditProve.swift": "a proof of an entry, which is in the audit log",
        "Sources/CordonCLI/AuditReport.swift": "rules, and counts of the audit log",
        "Sources/CordonCLI/BenchLoad.swift": "numbers",
        "Sources/CordonCLI/Demo/Demo.swift": "an empty mark",
        "Sources/CordonCLI/ImportBenchmark.swift": "a log of made hits, for measuring",
        "Sources/CordonCLI/PolicyFormat.swift": "policies",
        "Sources/CordonCLI/PolicyReference.swift": "the reference page and schemas",
        "Sources/CordonCLI/PolicyTest.swift": "what cases reach",
        "Sources/CordonCLI/UpCommand.swift": "ports and process id",
        "Sources/CordonCatalog/ClientTables.swift": "names and places of tables that clients fill",
        "Sources/CordonCatalog/Watermarks.swift": "days and names of fields",
        "Sources/CordonJournal/IntakeFile.swift":
            "zeros; the intake writes what they make room for",
        "Sources/CordonKeys/RegionKeys+Master.swift": "keys",
        "Sources/CordonKeys/RegionKeys.swift": "keys",
        "Sources/CordonLake/LakeWriter+Owner.swift": "the region's name",
        "Sources/CordonQuery/QueryBenchmark.swift": "made rows, for measuring",
        "Sources/CordonQuery/QueryLedger.swift": "sums of salted numbers, and who was answered",
        "Sources/CordonQuery/SessionCatalog.swift": "names of tables and columns, in memory alone",
        "Sources/CordonServer/EraseBenchmark.swift": "made hits, for measuring",
        "Sources/CordonServer/Evidence/TarArchive.swift": "the audit log and certificates",
        "Sources/CordonServer/ProjectProof.swift": "proofs of policies",
        "Sources/CordonServer/ProjectSetup.swift": "regions and policies",
        "Sources/CordonServer/ShadowRecords.swift": "how many hits a candidate decided otherwise",
        "Sources/CordonTokens/TokenAuthority.swift": "keys",
        "Sources/CordonTokens/TokenRegister.swift": "tokens",
    ]

    @Test func `each file that writes names the places it writes to, or has a reason here`() throws
    {
        var named = 0
        for path in Repository.swiftFiles("Sources") where path.hasPrefix("Sources/Cordon") {
            let code = try Repository.text(path).split(separator: "\n").filter {
                !$0.trimmingCharacters(in: .whitespaces).hasPrefix("//")
            }.joined(separator: "\n")
            guard Self.ways.contains(where: code.contains) else { continue }
            if code.contains("Rest(") || code.contains("rests") {
                named += 1
                #expect(Self.others[path] == nil, "\(path) is in the list and names places")
            } else {
                #expect(
                    Self.others[path] != nil,
                    "\(path) writes: add a `Rest` for what it brings where, or a reason to this list"
                )
            }
        }
        #expect(named >= 10)
    }
}
