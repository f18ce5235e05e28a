import Foundation
import Testing

/// Holds the sources against the table of layers in ARCHITECTURE.md and the dependencies in Package.swift.
@Suite struct Layering {
    /// What comes with the toolchain and any target may import, unless a test below says otherwise.
    private static let toolchain: Set<String> = [
        "Dispatch", "Foundation", "FoundationEssentials", "Glibc", "Synchronization",
    ]

    /// Rows of the table, from the ground up.
    private let layers: [[String]]
    /// Declared dependencies by target.
    private let declared: [String: Set<String>]

    init() throws {
        let table = try Repository.text("ARCHITECTURE.md").split(separator: "\n")
            .drop { !$0.hasPrefix("| layer") }.dropFirst(2).prefix { $0.hasPrefix("|") }
        layers = table.map { row in
            row.split(separator: "|")[1].matches(of: #/`(\w+)`/#).map { String($0.1) }
        }
        var declared: [String: Set<String>] = [:]
        let package = try Repository.text("Package.swift")
        // `target("Name", ["A", "B"])`, and the longer forms of C modules and of the program.
        let swiftTarget = #/\btarget\(\s*"(\w+)"(?:,\s*\[([^\]]*)\])?\s*\)/#
        for match in package.matches(of: swiftTarget) {
            let names = (match.2 ?? "").matches(of: #/"(\w+)"/#).map { String($0.1) }
            declared[String(match.1)] = Set(names)
        }
        for match in package.matches(of: #/\.(?:target|systemLibrary)\(\s*name: "(C\w+)"/#) {
            declared[String(match.1)] = []
        }
        declared["cordon"] = ["CordonCLI"]
        self.declared = declared
    }

    @Test func `the table names every target once, and nothing else`() {
        #expect(layers.flatMap(\.self).sorted() == declared.keys.sorted())
        let folders = Set(
            Repository.files("Sources").map { $0.split(separator: "/")[1] }.map(String.init))
        #expect(folders == Set(declared.keys))
    }

    @Test func `a target depends on earlier layers, or on its own where Package says so`() {
        for (row, targets) in layers.enumerated() {
            let allowed = Set(layers[...row].flatMap(\.self))
            for target in targets {
                let foreign = (declared[target] ?? []).subtracting(allowed)
                #expect(foreign.isEmpty, "\(target) depends on a later layer")
            }
        }
    }

    @Test func `services never import one another`() throws {
        let services = try #require(layers.first { $0.contains("CordonEdge") })
        for service in services {
            #expect(
                declared[service]?.isDisjoint(with: services) == true,
                "\(service) imports a service")
        }
    }

    @Test func `every import is a declared dependency`() throws {
        for (target, dependencies) in declared {
            for path in Repository.swiftFiles("Sources/" + target) {
                let foreign = Set(try Repository.imports(of: path))
                    .subtracting(dependencies).subtracting(Self.toolchain)
                #expect(
                    foreign.isEmpty,
                    "\(path) imports what its target does not declare: \(foreign.sorted())")
            }
        }
    }

    @Test func `a C library has one importer`() throws {
        // CLinux is the system itself: its owner is LinuxIO, and who confines a process needs its numbers.
        for module in declared.keys where module.hasPrefix("C") && module != "CLinux" {
            guard module.dropFirst().first?.isUppercase == true else { continue }
            let importers = try Set(
                Repository.swiftFiles("Sources").filter {
                    try Repository.imports(of: $0).contains(module)
                }.map { String($0.split(separator: "/")[1]) })
            #expect(importers.count == 1, "\(module) is imported by \(importers.sorted())")
        }
    }

    @Test func `the hot path imports no Foundation`() throws {
        let hot = [
            "Bytes", "LinuxIO", "TLS", "HTTP", "HTTP2", "Consent", "GeoTables",
            "CordonPolicy/Decision",
            "CordonJournal", "CordonEdge",
        ]
        for folder in hot {
            let files = Repository.swiftFiles("Sources/" + folder)
            #expect(!files.isEmpty, "\(folder) has no files")
            for path in files {
                let found = try Repository.imports(of: path)
                #expect(
                    !found.contains { $0.hasPrefix("Foundation") || $0 == "Dispatch" }, "\(path)")
            }
        }
    }
}
