import Domain
import Engine
import Ports
import Testing
import Wire

@testable import Region

/// A region as it was, out of its own log.
@Suite struct RegionPastTests {
    private static let first = PeerName(unchecked: "p1")
    private static let second = PeerName(unchecked: "p2")

    private func enrol(_ name: PeerName, in region: TestRegion) async throws {
        try await region.submit(.enrol(name, labels: [:], endpoint: "http://127.0.0.1:1"))
    }

    /// One peer is there before global event 1 was taken over, the other before event 2.
    private func fill(_ region: TestRegion) async throws {
        try await enrol(Self.first, in: region)
        try await region.take(.jobFailed(build(1)))
        try await enrol(Self.second, in: region)
        try await region.take(.jobFailed(build(2)))
    }

    @Test func aSequenceIsTheGlobalLogs() async throws {
        try await TestRegion.run { region in
            try await fill(region)
            let past = RegionPast(store: region.engine.store)
            func names(_ sequence: UInt64) async throws -> [PeerName] {
                try await past.state(at: .sequence(LogSequence(rawValue: sequence)), now: .zero).state.peers.keys
                    .sorted()
            }
            #expect(try await names(0) == [Self.first])
            #expect(try await names(1) == [Self.first, Self.second])
            let last = try await past.state(at: .sequence(LogSequence(rawValue: 99)), now: .zero)
            #expect(last.sequence == region.engine.head.sequence)
            #expect(try await last.state == region.state)
        }
    }

    /// From a common position on the region derives again: what it knew of more before is not the last that it knew.
    @Test func behindAForkTheLastEventThatKnewNoMoreCounts() async throws {
        try await TestRegion.run { region in
            try await fill(region)
            try await region.submit(.refollow(position(1)))
            let at = try await RegionPast(store: region.engine.store)
                .state(at: .sequence(LogSequence(rawValue: 1)), now: .zero)
            #expect(at.sequence == region.engine.head.sequence)
        }
    }

    @Test func aTimeIsTheRegionsOwn() async throws {
        try await TestRegion.run { region in
            try await fill(region)
            let past = RegionPast(store: region.engine.store)
            let frames = try region.engine.store.read(after: .zero, maximumFrames: 100).flatMap(\.frames)
            let (begin, end) = (try #require(frames.first).header.time, try #require(frames.last).header.time)
            let whole = try await past.state(at: .time(end), now: end)
            #expect(whole.sequence == region.engine.head.sequence)
            let early = await #expect(throws: Problem.self) {
                try await past.state(at: .time(begin.adding(milliseconds: -1)), now: end)
            }
            #expect(early?.detail.contains("before the log's first event: name a time from \(begin.rfc3339)") == true)
            let late = await #expect(throws: Problem.self) {
                try await past.state(at: .time(end.adding(seconds: 9)), now: end)
            }
            #expect(late?.detail.contains("leave it out to see the present") == true)
        }
    }
}
