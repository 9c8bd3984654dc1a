import Foundation
import Testing

/// Which room may import which: the walls. The same table as in Package.swift; both must be changed to move one.
private let walls: [String: Set<String>] = [
    "Domain": [], "Swarm": ["Domain"], "Fleet": ["Domain", "Swarm"], "Ports": ["Domain"], "Wire": ["Domain"],
    "Codec": ["Domain", "CChecksum"], "LMDB": ["CLMDB"],
    "EventLog": ["Domain", "Ports", "LMDB", "Codec", "CZstd"], "Engine": ["Domain", "Ports", "Codec"],
    "Views": ["Domain", "Ports", "Codec"], "Projectors": ["Domain", "Ports", "Engine"],
    "Packs": ["Domain", "Ports", "CZstd"], "Blobs": ["Domain", "Ports"],
    "Processes": ["Domain", "Ports", "CProcess"], "Transfer": ["Domain", "Swarm", "Packs", "Ports", "Wire"],
    "Serving": ["Wire", "Domain"],
    "API": ["Serving", "Wire", "Domain", "Ports", "Codec", "Engine", "Views"],
    "Client": ["Wire", "Domain", "Codec"], "Console": [],
    "Building": ["Domain", "Ports", "Packs", "Client", "Processes", "Wire"],
    "Agent": ["Domain", "Ports", "Swarm", "Packs", "Transfer", "Wire", "Client", "Processes"],
    "Region": [
        "Domain", "Ports", "Codec", "Engine", "Projectors", "Views", "Swarm", "Packs", "Blobs", "Transfer", "Wire",
        "Client", "Serving",
    ],
    "CrashLab": ["Domain", "Ports", "Codec", "EventLog", "LMDB", "Engine", "Blobs", "Processes"],
    "Commands": [
        "Wire", "Domain", "Ports", "Codec", "EventLog", "Engine", "Processes", "Views", "Blobs", "Client", "CrashLab",
        "Packs", "Swarm", "Transfer",
    ],
    "Simulation": [
        "Domain", "Swarm", "Ports", "Codec", "Engine", "Projectors", "Region", "Agent", "Building",
    ],
]

/// Libraries from outside, by the rooms that may use them. Foundation, Glibc and the like are in `everywhere`.
private let libraries: [String: Set<String>] = [
    "Codec": ["SwiftProtobuf", "Crypto"], "EventLog": ["Crypto"], "Views": ["GRDB", "GRDBSQLite"],
    "Packs": ["Crypto"], "Blobs": ["Crypto"], "CrashLab": ["Crypto"], "Building": ["Yams"],
    "Transfer": ["NIOCore", "NIOPosix", "NIOHTTP1", "NIOSSL"],
    "Serving": ["Hummingbird", "HummingbirdCore", "HTTPTypes", "NIOCore", "NIOHTTP1"],
    "API": ["Hummingbird", "HTTPTypes"],
    "Console": ["Hummingbird", "HTTPTypes"],
    "Region": ["Hummingbird", "HTTPTypes"], "Client": ["AsyncHTTPClient", "NIOCore", "NIOHTTP1"],
    "Agent": ["AsyncHTTPClient", "NIOCore", "NIOHTTP1"], "Commands": ["ArgumentParser", "UnixSignals"],
    "Domain": ["DequeModule"], "Fleet": ["DequeModule"],
]

private let everywhere: Set = [
    "Foundation", "FoundationEssentials", "Glibc", "Dispatch", "Synchronization", "Logging", "Metrics", "CoreMetrics",
    "ServiceLifecycle",
]

private let mains: Set = ["projector", "drover"]

@Suite struct ImportTests {
    @Test func everyRoomImportsOnlyWhatItsWallsAllow() throws {
        for source in try Tree.sources(below: "Sources") where !mains.contains(source.room) {
            let allowed = try #require(walls[source.room], "the room \(source.room) has no line in the table")
            for name in imports(of: source) where !permits(source.room, allowed, name) {
                Issue.record("\(source.path) imports \(name)")
            }
        }
    }

    @Test func pureRoomsImportNoSystem() throws {
        for room in ["Domain", "Swarm", "Fleet"] {
            for source in try Tree.sources(below: "Sources/\(room)") {
                #expect(imports(of: source).isDisjoint(with: everywhere), "\(source.path)")
            }
        }
    }

    /// The check can fail: a wall that does not stand is seen.
    @Test func aForbiddenImportIsSeen() {
        let source = Tree.Source(
            path: "Sources/Domain/X.swift", lines: ["package import Engine", "import struct Foundation.Date"])
        #expect(imports(of: source) == ["Engine", "Foundation"])
        #expect(!permits("Domain", [], "Engine"))
        #expect(!permits("Domain", [], "Foundation"))
        #expect(permits("Engine", ["Domain"], "Foundation"))
    }

    private func permits(_ room: String, _ allowed: Set<String>, _ name: String) -> Bool {
        if allowed.contains(name) || libraries[room]?.contains(name) == true { return true }
        return everywhere.contains(name) && !["Domain", "Swarm", "Fleet"].contains(room)
    }

    private func imports(of source: Tree.Source) -> Set<String> {
        let pattern =
            /^(?:@\w+ )*(?:package |internal |private |public |fileprivate )?import (?:(?:struct|class|enum|func|protocol) )?(\w+)/
        return Set(source.code.compactMap { $0.firstMatch(of: pattern).map { String($0.1) } })
    }
}
