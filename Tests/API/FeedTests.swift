import API
import Codec
import Domain
import Engine
import EventLog
import Foundation
import Hummingbird
import HummingbirdTesting
import Serving
import Synchronization
import Testing
import Views
import Wire

struct FeedTests {
    private static func path(_ region: RegionName = .eu, after position: LogPosition?, wait: String = "0s") -> String {
        guard let position else { return "/v1/feed?region=\(region)&wait=\(wait)" }
        return "/v1/feed?region=\(region)&log=\(position.log)&epoch=\(position.epoch)&sequence=\(position.sequence)"
            + "&chain=\(position.chain)&wait=\(wait)"
    }

    /// What the log holds for a region, read in one go.
    private static func expected(_ fixture: Fixture, for region: RegionName) async throws -> [TakenFact] {
        let frames = try fixture.log.read(after: .zero, maximumFrames: .max).flatMap(\.frames)
        let events = try frames.compactMap { try GlobalCodec().decode($0) }
        return try await fixture.engine.read { state, _ in
            events.compactMap { envelope in
                GlobalFact.from(envelope.event, for: region, state: state)
                    .map { TakenFact($0, at: envelope.sequence) }
            }
        }
    }

    @Test func losesAndRepeatsNothingInSmallParts() async throws {
        try await Fixture.run(settings: {
            $0.feed.facts = 2
            $0.logFramesAtOnce = 3
        }) { fixture, client async throws in
            try await fixture.joinWorker()
            try await fixture.submit(.fleet(.regionJoin(.us, endpoint: "http://127.0.0.1:2")))
            try await fixture.submit(.fleet(.regionSuspend(.us, reason: "later")))
            for _ in 0..<10 {
                let build = try await fixture.build()
                try await fixture.submit(.targets(.deploy(DeployRequest(app: .web, build: build, reason: ""))))
            }
            var (position, facts): (LogPosition?, [TakenFact]) = (nil, [])
            var parts = 0
            while position != fixture.engine.head {
                let part = try await client.get(Self.path(after: position)).json(FeedAnswer.self)
                #expect(part.position.sequence > position?.sequence ?? .zero)
                #expect(try fixture.log.position(at: part.position.sequence) == part.position)
                (position, facts) = (part.position, facts + part.facts)
                parts += 1
            }
            #expect(parts > 5)
            #expect(facts == (try await Self.expected(fixture, for: .eu)))
            #expect(facts.count > 20)
        }
    }

    @Test func keepsUpWhileTheLogGrows() async throws {
        try await Fixture.run(settings: { $0.logFramesAtOnce = 5 }) { fixture, client async throws in
            try await fixture.joinWorker()
            let writing = Task {
                for _ in 0..<40 {
                    let build = try await fixture.build()
                    try await fixture.submit(.targets(.deploy(DeployRequest(app: .web, build: build, reason: ""))))
                }
            }
            var (position, facts): (LogPosition?, [TakenFact]) = (nil, [])
            func isOver() -> Bool {
                if case .target(let target)? = facts.last?.fact { return target.current.build.rawValue == 40 }
                return false
            }
            while !isOver() {
                let part = try await client.get(Self.path(after: position, wait: "5s")).json(FeedAnswer.self)
                (position, facts) = (part.position, facts + part.facts)
            }
            try await writing.value
            #expect(facts.map(\.sequence) == facts.map(\.sequence).sorted())
            let targets = facts.compactMap { fact in
                if case .target(let target) = fact.fact { return target.current.build.rawValue }
                return nil
            }
            #expect(targets == Array(1...40))
        }
    }

    @Test func thePositionMovesWhenNothingConcernsTheRegion() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            let start = try await client.get(Self.path(after: nil)).json(FeedAnswer.self).position
            for _ in 0..<3 { try await fixture.submit(.queue(.enqueue(.example(isForced: true)))) }
            let part = try await client.get(Self.path(after: start, wait: "30ms")).json(FeedAnswer.self)
            #expect(part.facts.isEmpty)
            #expect(part.position == fixture.engine.head)
            async let awaited = client.get(Self.path(after: part.position, wait: "20s")).json(FeedAnswer.self)
            try await fixture.submit(.fleet(.regionSuspend(.eu, reason: "x")))
            #expect(try await awaited.facts.count == 1)
        }
    }

    @Test func aPositionOfAnotherChainIsForked() async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            var other = fixture.engine.head
            other.log = LogIdentity(high: 7, low: 7)
            let foreign = try await client.get(Self.path(after: other))
            #expect(foreign.status == 409)
            #expect(foreign.code == "forked")
            #expect(try foreign.json(Problem.self).position == nil, "there is nothing in common")
            #expect(fixture.engine.notReady == nil)
            #expect(try await client.get("/readyz").status == 200)
            var ahead = fixture.engine.head
            ahead.sequence = LogSequence(rawValue: ahead.sequence.rawValue + 5)
            let lost = try await client.get(Self.path(after: ahead))
            #expect(lost.code == "forked")
            #expect(try lost.json(Problem.self).position == nil, "the region goes on with what it has")
            // It is of this epoch, so what it names was lost here: nothing more is accepted.
            let refused = try await client.post("/v1/jobs", EnqueueBody(.example()))
            #expect(refused.status == 409)
            #expect(refused.code == "forked")
            #expect(try refused.json(Problem.self).detail.contains("restart with --new-epoch"))
            let unready = try await client.get("/readyz")
            #expect(unready.status == 503)
            #expect(try unready.json(Problem.self).detail.contains("--new-epoch"))
            #expect(try await client.get("/v1/regions").status == 200)
        }
    }

    @Test func aNewEpochIsNotFrozenByTheOldOne() async throws {
        let directory = "\(FileManager.default.temporaryDirectory.path)/drover-api-\(UUID().uuidString)"
        let position = try await Self.positionPastTheEnd(in: directory)
        let second = try Fixture(newEpochReason: "restored", directory: directory)
        try await Application(router: second.api.router()).test(.router) { client async throws in
            let old = try await client.get(Self.path(after: position))
            #expect(old.code == "forked")
            #expect(try old.json(Problem.self).position == .start(of: position.log))
            #expect(try await client.post("/v1/jobs", EnqueueBody(.example())).status == 201)
        }
        try await second.close()
    }

    /// A log is written in a directory, and a follower would have seen more of it than is left.
    private static func positionPastTheEnd(in directory: String) async throws -> LogPosition {
        let fixture = try Fixture(directory: directory)
        try await fixture.joinWorker()
        var position = fixture.engine.head
        position.sequence = LogSequence(rawValue: position.sequence.rawValue + 50)
        try await fixture.close(keepingFiles: true)
        return position
    }

    @Test(arguments: [
        "", "?region=eu&sequence=1", "?region=EU", "?region=eu&log=zz&epoch=1&sequence=1&chain=00",
        "?region=eu&epoch=-1", "?region=eu&chain=%00", "?region=eu&region=us", "?region=eu&wait=-1s",
    ])
    func refusesHalfAPosition(_ query: String) async throws {
        try await Fixture.run { fixture, client async throws in
            try await fixture.joinWorker()
            #expect(try await client.get("/v1/feed\(query)").code == "bad-query")
        }
    }

    @Test func aRegionMustHaveJoined() async throws {
        try await Fixture.run { _, client async throws in
            #expect(try await client.get("/v1/feed?region=us").code == "unknown-region")
        }
    }
}
