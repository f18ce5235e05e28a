// swift-tools-version: 6.2
import PackageDescription

/// Settings that every target shares.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableExperimentalFeature("Lifetimes"),
    .treatAllWarnings(as: .error),
]

/// A Swift target of the product, with strict memory safety.
func target(_ name: String, _ dependencies: [String] = []) -> Target {
    .target(
        name: name,
        dependencies: dependencies.map { .target(name: $0) },
        swiftSettings: strict + [.strictMemorySafety()])
}

/// The tests of one target; they see what their target sees, and what `dependencies` adds. They leave strict
/// memory safety out because `#expect` hides the markers that it asks for.
func tests(_ name: String, _ dependencies: [String] = []) -> Target {
    .testTarget(
        name: name + "Tests",
        dependencies: ([name, "TestSupport"] + dependencies).map { .target(name: $0) },
        swiftSettings: strict)
}

// Layers from the ground up: a target depends only on targets of an earlier group. `ARCHITECTURE.md`
// explains each; the test `Layering` holds every import against this table.
let package = Package(
    name: "cordon",
    products: [.executable(name: "cordon", targets: ["cordon"])],
    targets: [
        // C modules
        .target(name: "CLinux"),
        .target(name: "CADBC"),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CSSL", pkgConfig: "libssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CNGHTTP2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(
            name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(
            name: "CMaxMindDB", pkgConfig: "libmaxminddb", providers: [.apt(["libmaxminddb-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(
            name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),

        // ground
        target("Bytes"),
        target("LinuxIO", ["CLinux", "Bytes"]),
        target("Telemetry", ["Bytes"]),

        // base
        target("Crypto", ["COpenSSL", "Bytes"]),
        target("TLS", ["CSSL", "Bytes", "LinuxIO", "Crypto"]),
        target("SQLite", ["CSQLite", "Bytes"]),
        target("Engine", ["CADBC", "CLinux", "Bytes", "LinuxIO"]),
        target("GeoTables", ["CLinux", "CMaxMindDB", "Bytes", "LinuxIO", "Crypto"]),
        target("YAML", ["CYAML"]),
        target("UserAgents", ["CPCRE2", "Bytes", "LinuxIO"]),
        target("Compression", ["CZlib", "CZstd"]),

        // formats
        target("HTTP", ["Bytes"]),
        target("HTTP2", ["CNGHTTP2", "HTTP"]),
        target("AccessLogs", ["CLinux", "Bytes", "Compression"]),
        target("Consent", ["Bytes", "Crypto"]),
        target("Merkle", ["Bytes", "Crypto"]),
        target("HPKE", ["Crypto"]),
        target("Avro", ["Bytes"]),
        target("Iceberg", ["Bytes", "Avro"]),
        target("Parquet", ["Bytes", "LinuxIO", "Compression"]),
        target("ArrowIPC", ["Bytes", "Engine"]),
        target("PostgresWire", ["Bytes"]),
        target("HTTPSFetch", ["Bytes", "LinuxIO", "TLS"]),

        // core
        target("CordonModel", ["Bytes"]),
        target("CordonKeys", ["Bytes", "LinuxIO", "Crypto", "SQLite", "CordonModel"]),
        target(
            "CordonPolicy",
            [
                "Bytes", "LinuxIO", "Crypto", "GeoTables", "YAML", "Consent", "HTTPSFetch",
                "CordonModel",
            ]),
        target("CordonJournal", ["Bytes", "LinuxIO", "SQLite", "CordonModel"]),
        target("CordonAudit", ["Bytes", "LinuxIO", "Crypto", "Merkle", "CordonModel"]),
        target(
            "CordonProof",
            ["Bytes", "Crypto", "Merkle", "GeoTables", "Consent", "CordonModel", "CordonPolicy"]),
        target("CordonProofCheck", ["Bytes", "Crypto", "Merkle"]),
        target(
            "CordonAuthoring",
            [
                "Bytes", "LinuxIO", "Crypto", "GeoTables", "YAML", "Consent", "CordonModel",
                "CordonPolicy", "CordonProof",
            ]),
        target("CordonTokens", ["Bytes", "LinuxIO", "Crypto", "SQLite", "CordonModel"]),

        // services
        target(
            "CordonEdge",
            [
                "Bytes", "LinuxIO", "Telemetry", "Crypto", "TLS", "Compression", "GeoTables",
                "UserAgents", "HTTP", "HTTP2", "Consent", "AccessLogs",
                "CordonModel", "CordonKeys", "CordonPolicy", "CordonJournal",
            ]),
        target(
            "CordonLake",
            [
                "Bytes", "LinuxIO", "Engine", "Iceberg", "Parquet", "CordonModel", "CordonJournal",
                "CordonAudit",
            ]),
        target("CordonCatalog", ["Bytes", "SQLite", "CordonModel"]),
        target(
            "CordonQuery",
            [
                "CLinux", "Bytes", "LinuxIO", "Crypto", "SQLite", "Engine", "ArrowIPC",
                "PostgresWire", "CordonModel",
                "CordonPolicy", "CordonAudit",
            ]),
        target(
            "CordonSubjects",
            [
                "Bytes", "LinuxIO", "Crypto", "SQLite", "CordonModel", "CordonKeys",
                "CordonJournal",
                "CordonAudit",
            ]),

        // front
        target(
            "CordonAPI",
            [
                "Bytes", "LinuxIO", "Telemetry", "Crypto", "TLS", "Compression", "HTTP", "Iceberg",
                "Parquet", "ArrowIPC", "PostgresWire", "CordonModel", "CordonPolicy", "CordonAudit",
                "CordonTokens",
                "CordonLake",
                "CordonCatalog", "CordonQuery",
            ]),

        // whole
        target("WorldTraffic", ["Bytes"]),
        target(
            "CordonServer",
            [
                "Bytes", "LinuxIO", "Telemetry", "Crypto", "TLS", "SQLite", "Engine",
                "Compression", "GeoTables", "UserAgents", "AccessLogs", "Iceberg", "Parquet",
                "CordonModel",
                "CordonKeys", "CordonPolicy",
                "CordonJournal", "CordonAudit", "CordonEdge", "CordonLake", "CordonCatalog",
                "CordonQuery", "CordonSubjects", "CordonProof", "Merkle", "CordonAuthoring",
                "CordonTokens", "CordonAPI", "HTTPSFetch",
            ]),
        target(
            "CordonCLI",
            [
                "CLinux", "HPKE", "Bytes", "LinuxIO", "Telemetry", "Crypto", "TLS", "Engine",
                "Compression", "GeoTables",
                "UserAgents", "HTTP", "Consent", "AccessLogs", "Iceberg", "ArrowIPC", "CordonModel",
                "CordonKeys",
                "CordonPolicy",
                "CordonJournal", "CordonAudit", "CordonEdge", "CordonLake", "CordonCatalog",
                "CordonQuery",
                "CordonSubjects", "CordonProof", "CordonProofCheck", "CordonAuthoring", "Merkle",
                "WorldTraffic",
                "CordonTokens", "CordonAPI", "CordonServer",
            ]),
        .executableTarget(
            name: "cordon", dependencies: ["CordonCLI"],
            swiftSettings: strict + [.strictMemorySafety()]),

        // tests
        .target(
            name: "TestSupport", dependencies: ["Bytes", "HTTP", "CordonModel"],
            path: "Tests/TestSupport",
            swiftSettings: strict),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "TestSupport", "Bytes", "Compression", "HTTP", "HTTP2", "Consent", "AccessLogs",
                "CordonModel", "CordonEdge", "PostgresWire", "Parquet",
            ],
            path: "Tests/FuzzTargets", exclude: ["Fixtures"], swiftSettings: strict),
        tests("FuzzTargets"),
        tests("Bytes"),
        tests("CordonModel"),
        tests("LinuxIO"),
        tests("Telemetry"),
        tests("Crypto"),
        tests("TLS"),
        tests("SQLite"),
        tests("Engine"),
        tests("GeoTables"),
        tests("YAML"),
        tests("UserAgents"),
        tests("Compression"),
        tests("AccessLogs"),
        tests("HTTP"),
        tests("HTTP2"),
        tests("PostgresWire"),
        tests("Consent"),
        tests("Merkle"),
        tests("HPKE", ["Bytes"]),
        tests("Avro"),
        tests("Iceberg"),
        tests("Parquet", ["Engine"]),
        tests("ArrowIPC", ["CADBC"]),
        tests("HTTPSFetch"),
        tests("CordonKeys"),
        tests("CordonTokens", ["COpenSSL"]),
        tests("CordonPolicy"),
        tests("CordonJournal"),
        tests("CordonAudit"),
        tests("CordonProof", ["CordonProofCheck", "LinuxIO", "AllocationCount"]),
        tests("CordonAuthoring"),
        // A layer over SQLite's files that fails on demand.
        .target(name: "FaultySQLite", dependencies: ["CSQLite"], path: "Tests/FaultySQLite"),
        tests("CordonEdge", ["AllocationCount", "FaultySQLite"]),
        // Counts what a thread allocates.
        .target(name: "AllocationCount", path: "Tests/AllocationCount"),
        tests("CordonLake", ["CordonCatalog"]),
        tests("CordonCatalog"),
        tests("CordonQuery", ["QueryWorkerHost", "FaultySQLite"]),
        .executableTarget(
            name: "QueryWorkerHost", dependencies: ["CordonQuery"], path: "Tests/QueryWorkerHost",
            swiftSettings: strict),
        tests("CordonAPI"),
        tests("CordonSubjects"),
        tests("WorldTraffic"),
        tests("CordonServer"),
        tests("CordonCLI"),
        .testTarget(
            name: "Integration",
            dependencies: [
                "TestSupport", "Bytes", "Engine", "Iceberg", "CordonModel", "CordonKeys",
                "CordonJournal", "CordonLake", "CordonCatalog", "WorldTraffic", "LinuxIO", "SQLite",
                "CordonAudit",
                "Crypto",
            ],
            path: "Tests/Integration", exclude: ["Fixtures"],
            swiftSettings: strict),
    ]
)

// The verifier for auditors is part of the program: it is handed out wherever the program is installed.
package.targets.first { $0.name == "CordonServer" }?.resources = [
    .embedInCode("Evidence/verify.py")
]

// The fuzz targets are tests themselves, and need what their tests need.
for tested in package.targets where tested.name != "FuzzTargets" {
    let tests = package.targets.first { $0.name == tested.name + "Tests" }
    tests?.dependencies += tested.dependencies
}

// What runs at each hit is cut into targets for its readers; the compiler sees it whole, so that a call across targets costs
// no more than one within. The collector's classes are each used by one thread, which the tests check (they are built without
// this), so a release leaves out the look at who else has them: a twentieth of the time of a hit.
for name in [
    "Bytes", "LinuxIO", "HTTP", "Consent", "Crypto", "GeoTables", "CordonModel", "CordonKeys",
    "CordonPolicy",
    "CordonEdge",
] {
    package.targets.first { $0.name == name }?.swiftSettings?.append(
        .unsafeFlags(
            ["-cross-module-optimization", "-enforce-exclusivity=unchecked"],
            .when(configuration: .release)))
}

// Keeps the searches of the lookup free of jumps, which nearly halves their time in fragmented IPv4 space.
package.targets.first { $0.name == "GeoTables" }?.swiftSettings?.append(
    .unsafeFlags(["-Xllvm", "-x86-cmov-converter=false"], .when(configuration: .release)))

// `scripts/fuzz` asks for this: a program that libFuzzer drives, and the code that reads watched for what runs, and for memory
// that it must not touch.
if Context.environment["CORDON_FUZZ"] != nil {
    let watch = SwiftSetting.unsafeFlags(["-sanitize=fuzzer,address", "-parse-as-library"])
    for watched in package.targets
    where [
        "Bytes", "Compression", "HTTP", "HTTP2", "Consent", "AccessLogs", "CordonModel",
        "CordonEdge", "Parquet",
        "FuzzTargets",
    ].contains(watched.name) {
        watched.swiftSettings?.append(watch)
    }
    package.products.append(.executable(name: "fuzz", targets: ["Fuzz"]))
    package.targets.append(
        .executableTarget(
            name: "Fuzz", dependencies: ["FuzzTargets"], path: "Tests/Fuzz",
            swiftSettings: strict + [watch],
            // Debian's gold fails on what the sanitizer adds.
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]))
}
