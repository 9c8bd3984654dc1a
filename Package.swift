// swift-tools-version: 6.2

import PackageDescription

/// Every room's rules: Swift 6 mode, warnings as errors, and `unsafe` spelled out wherever memory safety is ours to keep.
let rules: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// Codec holds generated protobuf code, which does not spell `unsafe`; Tests/House keeps the word out of the rest of it.
let generatedRules: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

extension Target.Dependency {
    static let deque = product(name: "DequeModule", package: "swift-collections")
    static let crypto = product(name: "Crypto", package: "swift-crypto")
    static let protobuf = product(name: "SwiftProtobuf", package: "swift-protobuf")
    static let grdb = product(name: "GRDB", package: "GRDB.swift")
    static let grdbSQLite = product(name: "GRDBSQLite", package: "GRDB.swift")
    static let logging = product(name: "Logging", package: "swift-log")
    static let metrics = product(name: "Metrics", package: "swift-metrics")
    static let lifecycle = product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let unixSignals = product(name: "UnixSignals", package: "swift-service-lifecycle")
    static let yams = product(name: "Yams", package: "Yams")
    static let nio = product(name: "NIOCore", package: "swift-nio")
    static let nioPosix = product(name: "NIOPosix", package: "swift-nio")
    static let nioHTTP1 = product(name: "NIOHTTP1", package: "swift-nio")
    static let nioFileSystem = product(name: "_NIOFileSystem", package: "swift-nio")
    static let nioSSL = product(name: "NIOSSL", package: "swift-nio-ssl")
    static let httpClient = product(name: "AsyncHTTPClient", package: "async-http-client")
    static let hummingbird = product(name: "Hummingbird", package: "hummingbird")
    static let hummingbirdCore = product(name: "HummingbirdCore", package: "hummingbird")
    static let hummingbirdTesting = product(name: "HummingbirdTesting", package: "hummingbird")
    static let httpTypes = product(name: "HTTPTypes", package: "swift-http-types")
    static let argumentParser = product(name: "ArgumentParser", package: "swift-argument-parser")
    static let configuration = product(name: "Configuration", package: "swift-configuration")
}

/// A room and its tests. A target imports only what its line names; `Tests/House` holds the same table and compares.
func room(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
    .target(name: name, dependencies: dependencies, path: path, swiftSettings: rules)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies, path: "Tests/\(name)", exclude: exclude, swiftSettings: rules)
}

let package = Package(
    name: "drover",
    products: [
        // Preloaded by `drover crashtest`, beside which it must stand.
        .library(name: "CRecorder", type: .dynamic, targets: ["CRecorder"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
    ],
    targets: [
        // C: what the system has, and two shims.
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .target(name: "CChecksum"),
        .target(name: "CProcess"),
        .target(name: "CRecorder"),

        // Pure.
        room("Domain", [.deque]),
        room("Swarm", ["Domain"]),
        room("Fleet", ["Domain", "Swarm", .deque]),

        // Protocols and shared bodies.
        room("Ports", ["Domain"]),
        room("Wire", ["Domain"]),
        .target(
            name: "Codec", dependencies: ["Domain", "CChecksum", .crypto, .protobuf], swiftSettings: generatedRules),

        // The log, its engine and its views.
        room("LMDB", ["CLMDB"]),
        room("EventLog", ["Domain", "Ports", "LMDB", "Codec", .crypto, "CZstd"]),
        room("Engine", ["Domain", "Ports", "Codec", .logging]),
        room("Views", ["Domain", "Ports", "Codec", .grdb, .grdbSQLite]),
        room("Projectors", ["Domain", "Ports", "Engine", .logging, .lifecycle]),

        // Packs, stores, transfer, processes.
        room("Packs", ["Domain", "Ports", .crypto, "CZstd"]),
        room("Blobs", ["Domain", "Ports", .crypto]),
        room("Processes", ["Domain", "Ports", "CProcess"]),
        room(
            "Transfer",
            [
                "Domain", "Swarm", "Packs", "Ports", "Wire", .nio, .nioPosix, .nioHTTP1, .nioSSL, .logging,
            ]),

        // Faces.
        room(
            "Serving",
            ["Wire", "Domain", .hummingbird, .hummingbirdCore, .httpTypes, .logging, .metrics, .nio, .nioHTTP1]),
        room(
            "API",
            [
                "Serving", "Wire", "Domain", "Ports", "Codec", "Engine", "Views", .hummingbird, .httpTypes, .logging,
                .metrics, .lifecycle,
            ]),
        room("Console", [.hummingbird, .httpTypes]),
        room("Client", ["Wire", "Domain", "Codec", .httpClient, .nio, .nioHTTP1, .logging]),

        // Roles.
        room(
            "Building", ["Domain", "Ports", "Packs", "Client", "Processes", .yams, .logging, .lifecycle]),
        room(
            "Agent",
            [
                "Domain", "Ports", "Swarm", "Packs", "Transfer", "Wire", "Client", "Processes", .httpClient, .nio,
                .nioHTTP1,
                .logging, .lifecycle,
            ]),
        room(
            "Region",
            [
                "Domain", "Ports", "Codec", "Engine", "Projectors", "Views", "Swarm", "Packs", "Blobs", "Transfer",
                "Wire", "Client", "Serving", .hummingbird, .httpTypes, .logging, .metrics, .lifecycle,
            ]),
        // Attacks on the log.
        room(
            "CrashLab",
            ["Domain", "Ports", "Codec", "EventLog", "LMDB", "Engine", "Blobs", "Processes", .crypto, .logging]),
        // Everything above in one process, from one seed; part of nothing that is installed.
        room(
            "Simulation",
            ["Domain", "Swarm", "Ports", "Codec", "Engine", "Projectors", "Region", "Agent", "Building"]),
        // What people and machines start.
        room(
            "Commands",
            [
                "Wire", "Domain", "Ports", "Codec", "EventLog", "Engine", "Processes", "Views", "Blobs", "Client",
                "CrashLab", "Packs", "Swarm", "Transfer",
                .argumentParser, .unixSignals, .logging,
            ]),
        .executableTarget(name: "drover", dependencies: ["Commands"], swiftSettings: rules),
        .executableTarget(
            name: "projector",
            dependencies: [
                "API", "Agent", "Blobs", "Building", "Client", "Codec", "Console", "Domain", "Engine", "EventLog",
                "Packs",
                "Ports", "Processes", "Projectors", "Region", "Serving", "Views", "Wire", .argumentParser,
                .configuration,
                .hummingbird, .lifecycle, .unixSignals, .logging,
            ], swiftSettings: rules),
        // `tools/bench`: measures, and is part of nothing else.
        .executableTarget(
            name: "bench",
            dependencies: [
                "Client", "Codec", "Domain", "Engine", "EventLog", "LMDB", "Ports", "Processes", "Views", "Wire",
                .argumentParser, .crypto, .nio, .nioPosix, .nioSSL, .logging,
            ], path: "tools/benchmarks", exclude: ["Log/slowflush.c", "Swarm/libtorrent_node.py"],
            swiftSettings: rules),

        // `tools/simulate`.
        .executableTarget(
            name: "simulate", dependencies: ["Simulation", "Commands", "Domain", .argumentParser],
            path: "tools/simulation", swiftSettings: rules),

        // `tools/simulate-fleet`.
        .executableTarget(
            name: "simulate-fleet", dependencies: ["Fleet", "Swarm", .argumentParser],
            path: "tools/fleet", swiftSettings: rules),

        tests("Domain", ["Domain"]),
        tests("Swarm", ["Swarm", "Domain"]),
        tests("Wire", ["Wire", "Domain"]),
        tests("Codec", ["Codec", "Domain", .crypto, .protobuf], exclude: ["golden.txt"]),
        tests("LMDB", ["LMDB"]),
        tests("EventLog", ["EventLog", "Codec", "CZstd", "Domain", "LMDB", "Ports", .crypto]),
        tests("Engine", ["Engine", "Codec", "Domain", "EventLog", "Ports", .logging]),
        tests("Projectors", ["Projectors", "Codec", "Domain", "Engine", "EventLog", "Ports", .lifecycle, .logging]),
        tests("Views", ["Views", "Codec", "Domain", "Ports", .grdb, .logging]),
        tests("Packs", ["Packs", "Domain", "Ports", .crypto]),
        tests("Blobs", ["Blobs", "Domain", "Ports", .crypto]),
        tests("Processes", ["Processes", "Ports"]),
        tests(
            "Transfer",
            [
                "Transfer", "Domain", "Packs", "Ports", "Swarm", "Wire", .httpClient, .nio, .nioPosix, .nioHTTP1,
                .nioSSL, .logging,
            ]),
        tests(
            "API",
            [
                "API", "Client", "Codec", "Domain", "Engine", "EventLog", "Ports", "Serving", "Views", "Wire",
                .hummingbird,
                .hummingbirdTesting, .httpTypes, .logging, .nio, .nioPosix,
            ]),
        tests(
            "Client",
            [
                "Client", "Domain", "Wire", .hummingbird, .hummingbirdTesting, .httpTypes, .nio, .nioPosix, .logging,
            ]),
        tests("CrashLab", ["CrashLab", "Ports", "Processes", "drover"]),
        tests("Commands", ["Commands", "Domain", "Ports", "Processes"]),
        tests(
            "Building",
            [
                "Building", "Client", "Domain", "Engine", "Packs", "Ports", "Processes", "Wire", .hummingbird,
                .hummingbirdTesting, .httpTypes, .logging,
            ]),
        tests(
            "Agent",
            [
                "Agent", "Client", "Domain", "Packs", "Ports", "Processes", "Swarm", "Transfer", "Wire", .hummingbird,
                .hummingbirdTesting, .httpTypes, .logging,
            ]),
        tests(
            "Region",
            [
                "Region", "Blobs", "Client", "Codec", "Domain", "Engine", "EventLog", "Packs", "Ports", "Projectors",
                "Serving", "Swarm", "Transfer", "Wire", .hummingbird, .hummingbirdTesting, .httpTypes, .lifecycle,
                .logging,
            ]),
        tests("Simulation", ["Simulation", "Codec", "Domain", "Engine", "Fleet", "Ports", "Swarm"]),
        tests("House", [.crypto]),
        tests(
            "Scenario",
            [
                "Blobs", "Codec", "Commands", "Domain", "Engine", "EventLog", "Ports", "Views", "Wire", .argumentParser,
                .logging,
            ]),
        tests("Integration", ["Client", "Domain", "Wire", "Processes", "Ports", "projector", "drover"]),
    ]
)

// `tools/test-release` builds these rooms alone, under optimisation.
if Context.environment["DROVER_ROOMS"] == "log" {
    let rooms: Set = ["CLMDB", "CChecksum", "CZstd", "Domain", "Ports", "Codec", "LMDB", "EventLog"]
    package.products = []
    package.targets.removeAll {
        !rooms.contains($0.name.replacing("Tests", with: "")) || $0.name == "DomainTests" || $0.name == "CodecTests"
    }
    package.dependencies.removeAll { dependency in
        guard case .sourceControl(_, let location, _) = dependency.kind else { return false }
        return !["swift-collections", "swift-crypto", "swift-protobuf"].contains { location.hasSuffix($0) }
    }
}

// `tools/fuzz` builds these rooms so that they tell libFuzzer which of their branches were taken.
if Context.environment["DROVER_ROOMS"] == "fuzz" {
    for target in package.targets where ["Domain", "Swarm", "Packs", "Transfer", "Wire"].contains(target.name) {
        target.swiftSettings = rules + [.unsafeFlags(["-sanitize=fuzzer"])]
    }
    package.targets.append(
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "Domain", "Engine", "Packs", "Swarm", "Transfer", "Wire", .nio, .nioPosix, .nioHTTP1, .logging,
            ],
            path: "tools/fuzzing", swiftSettings: rules,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]))
}
