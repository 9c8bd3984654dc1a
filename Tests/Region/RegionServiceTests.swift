import Blobs
import Client
import Domain
import Engine
import Foundation
import Logging
import ServiceLifecycle
import Serving
import Synchronization
import Testing
import Wire

@testable import Region

/// Lines that a test looks at.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    func add(_ line: String) { lines.withLock { $0.append(line) } }
}

/// Keeps what is logged as an error: what somebody must look at.
private struct AlarmLog: LogHandler {
    let lines: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.error

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: Logging.LogEvent) { lines.add("\(event.message)") }
}

@Suite("A region's process", .timeLimit(.minutes(5)))
struct RegionServiceTests {
    /// Runs a region until the body is over, then stops it as a supervisor does; what it logged as errors, and how long
    /// the stop took.
    private func run(
        _ region: TestRegion, _ body: (_ url: String) async throws -> Void
    ) async throws -> (alarms: [String], stop: Duration) {
        let (alarms, ready) = (Lines(), Lines())
        let logger = Logger(label: "test") { _ in AlarmLog(lines: alarms) }
        region.store.close()
        let service = RegionService(
            configuration: RegionConfiguration(name: here, directory: region.scratch.path, swarmSeed: 1),
            engine: region.engine, upstream: region.upstream, clock: SystemClock(), metrics: MetricsRegistry(),
            logger: logger
        ) { ready.add($0) }
        let group = ServiceGroup(configuration: .init(services: [service], logger: logger))
        let running = Task { try await group.run() }
        #expect(await eventually { ready.all.count == 1 })
        if let url = ready.all.first { try await body(url) }
        let stopped = ContinuousClock.now
        await group.triggerGracefulShutdown()
        try await running.value
        return (alarms.all, stopped.duration(to: .now))
    }

    @Test("it stops at once and quietly, also while peers wait for news")
    func gracefulStop() async throws {
        try await TestRegion.run { region in
            region.upstream.state.withLock { $0.key = Array(repeating: 7, count: 32) }
            let peer = PeerName(unchecked: "p1")
            let waiting = Lines()
            let (alarms, stop) = try await run(region) { url in
                let client = RegionClient(endpoint: url, actor: .peer(peer), settings: .withoutRetries)
                _ = try await client.enrol(peer, labels: [:], endpoint: "http://127.0.0.1:1")
                #expect(try await client.connection.data(Call(.get, "/readyz")).status == 200)
                Task {
                    waiting.add("asks")
                    let revision = Revision(epoch: .first, number: 9)
                    _ = try? await client.assignments(
                        for: peer, after: revision, wait: WireDuration(milliseconds: 30_000))
                    waiting.add("answered")
                }
                #expect(await eventually { waiting.all == ["asks"] })
                try await Task.sleep(for: .milliseconds(300))
            }
            #expect(alarms == [])
            #expect(stop < .seconds(25), "no wait is sat out")
            #expect(await eventually { waiting.all == ["asks", "answered"] })
        }
    }

    @Test("a peer's story is told from the region's log")
    func peerStory() async throws {
        try await TestRegion.run { region in
            region.upstream.state.withLock { $0.key = Array(repeating: 7, count: 32) }
            let (peer, other) = (PeerName(unchecked: "p1"), PeerName(unchecked: "p2"))
            let (alarms, _) = try await run(region) { url in
                let client = RegionClient(endpoint: url, actor: .peer(peer), settings: .withoutRetries)
                _ = try await client.enrol(other, labels: [:], endpoint: "http://127.0.0.1:2")
                _ = try await client.enrol(peer, labels: [:], endpoint: "http://127.0.0.1:1")
                let answer = try await client.events(of: peer)
                #expect(answer.events.count == 1 && !answer.isTruncated)
                #expect(answer.events.first?.contains(#""type":"peer-enrolled""#) == true)
                #expect(answer.events.allSatisfy { !$0.contains("p2") })
                await #expect(throws: ClientFailure.self) {
                    try await client.events(of: PeerName(unchecked: "nobody"))
                }
            }
            #expect(alarms == [])
        }
    }

    @Test("it is ready when it has joined, not before")
    func readiness() async throws {
        try await TestRegion.run { region in
            region.upstream.state.withLock { state in
                (state.key, state.canJoin) = (Array(repeating: 7, count: 32), false)
            }
            let ready = Announcement { _ in }
            try await during(region.follower(ready).run) { () async throws in
                try await Task.sleep(for: .seconds(1))
                #expect(!ready.isDone)
                region.upstream.state.withLock { $0.canJoin = true }
                #expect(await eventually { ready.isDone })
            }
        }
    }

    @Test("one that has joined before is ready although it is cut off")
    func cutOff() async throws {
        try await TestRegion.run { region in
            region.upstream.state.withLock { state in
                (state.key, state.canJoin) = (Array(repeating: 7, count: 32), false)
            }
            try await region.take(.jobFailed(build(1)))
            let upstream = region.upstream
            _ = try await region.keys.key { try await upstream.releaseKey() }
            let ready = Announcement { _ in }
            try await during(region.follower(ready).run) { () async throws in
                #expect(await eventually { ready.isDone })
            }
            #expect(!region.upstream.calls.contains("join"))
        }
    }
}
