import Codec
import Domain
import Foundation
import Testing

struct StateCodecTests {
    @Test func globalStatesComeBackAndGoOnAlike() throws {
        for seed in 1...20 as ClosedRange<UInt64> { try goesOnAlike(Global.self, globalLog(seed: seed)) }
    }

    @Test func regionStatesComeBackAndGoOnAlike() throws {
        for seed in 1...20 as ClosedRange<UInt64> { try goesOnAlike(Regional.self, regionalLog(seed: seed)) }
    }

    /// Two histories that lead to equal states: which job left the queue first is not part of the state.
    @Test func equalStatesHaveEqualBytes() throws {
        let commands = (1...3).map { GlobalEvent.queue(.enqueued(JobID(rawValue: $0), request)) }
        let ends = [1, 2].map { GlobalEvent.queue(.failed(JobID(rawValue: $0), .lost, detail: "")) }
        let forwards = fold(Global.self, envelopes(commands + ends))
        let backwards = fold(Global.self, envelopes(commands + ends.reversed()))
        #expect(forwards == backwards)
        #expect(try StateCodec.encode(forwards) == StateCodec.encode(backwards))
    }

    @Test func bytesAreCanonicalJSON() throws {
        var state = LogState()
        state.reduce(.levelRaised(level: 3), at: .zero)
        let text = String(decoding: try StateCodec.encode(state), as: UTF8.self)
        #expect(
            text.hasPrefix(#"{"engineStarts":0,"epoch":1,"level":3,"refusals":{},"settings":{"cancelGraceSeconds":60,"#)
        )
        #expect(!text.contains(" ") && !text.contains("\n"))
    }

    @Test func idsAreObjectKeysInOneOrder() throws {
        let names = (0..<40).map { "peer-\($0)" }
        let events = names.map { RegionEvent.peerEnrolled(PeerName(unchecked: $0), labels: [:], endpoint: "a/b") }
        let text = String(decoding: try StateCodec.encode(fold(Regional.self, envelopes(events))), as: UTF8.self)
        let places = names.sorted().compactMap { text.range(of: "\"\($0)\":{")?.lowerBound }
        #expect(places.count == names.count && places == places.sorted())
        #expect(text.contains(#""endpoint":"a/b""#))
    }

    @Test func damageIsMalformed() throws {
        let bytes = try StateCodec.encode(GlobalState())
        #expect(
            code { try StateCodec.decode(GlobalState.self, Array(bytes.dropLast())) }
                == .malformed)
        #expect(code { try StateCodec.decode(GlobalState.self, []) } == .malformed)
    }

    private func goesOnAlike<A: Aggregate>(_ aggregate: A.Type, _ log: [Envelope<A.Event>]) throws {
        let half = fold(aggregate, Array(log.prefix(log.count / 2)))
        let bytes = try StateCodec.encode(half)
        var (straight, restored) = (half, try StateCodec.decode(A.State.self, bytes))
        #expect(restored == half)
        #expect(try StateCodec.encode(restored) == bytes)
        for envelope in log.dropFirst(log.count / 2) {
            A.reduce(&straight, envelope)
            A.reduce(&restored, envelope)
        }
        #expect(restored == straight)
        #expect(try StateCodec.stateHash(restored) == StateCodec.stateHash(straight))
        #expect(try StateCodec.stateHash(fold(aggregate, log)) == StateCodec.stateHash(straight))
    }
}

func fold<A: Aggregate>(_ aggregate: A.Type, _ log: [Envelope<A.Event>]) -> A.State {
    log.reduce(into: A.initialState) { A.reduce(&$0, $1) }
}

func envelopes<Event>(_ events: [Event]) -> [Envelope<Event>] {
    events.enumerated().map { index, event in
        let sequence = LogSequence(rawValue: UInt64(index + 1))
        let header = FrameHeader(
            epoch: .first, sequence: sequence, time: Timestamp(milliseconds: Int64(index) * 1000), command: sequence,
            actor: .person("ada"), key: index.isMultiple(of: 3) ? "key-\(index)" : nil)
        return Envelope(header: header, event: event)
    }
}

private let request: JobRequest = {
    guard let commit = CommitID(rawValue: String(repeating: "0", count: 40)) else {
        preconditionFailure("not a commit")
    }
    return JobRequest(app: AppName(unchecked: "web"), repository: "r", commit: commit)
}()

/// A log with a story (jobs built, deployed and lost) among any events at all.
private func globalLog(seed: UInt64) -> [Envelope<GlobalEvent>] {
    var arbitrary = ArbitraryEvents(seed: seed)
    var events: [GlobalEvent] = goldenStory
    for _ in 0..<6 { events += arbitrary.everyGlobalEvent() }
    return envelopes(events + goldenStory)
}

private func regionalLog(seed: UInt64) -> [Envelope<RegionEvent>] {
    var arbitrary = ArbitraryEvents(seed: seed)
    return envelopes((0..<8).flatMap { _ in arbitrary.everyRegionEvent() })
}
