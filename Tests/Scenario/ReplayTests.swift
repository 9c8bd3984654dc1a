import Codec
import Domain
import Engine
import EventLog
import Foundation
import Ports
import Testing

@testable import Commands

extension RecordedEnd {
    init(_ log: RecordedLog) throws { try self.init(in: log.folder) }
}

/// Recorded logs of real runs: read, stored, folded and decided again.
@Suite struct ReplayTests {
    @Test func thereAreRecordings() {
        #expect(Set(Seeds.logs.map(\.scenario)).isSuperset(of: ["first-deploy", "crash"]))
        #expect(Seeds.logs.filter(\.isGlobal).count == Set(Seeds.logs.map { $0.place + $0.scenario }).count)
    }

    @Test(arguments: Seeds.logs) func everyLineComesBackByteForByte(_ log: RecordedLog) throws {
        let bytes = try log.bytes()
        for (number, line) in lines(bytes).enumerated() {
            let again =
                switch try NDJSON.parse(line) {
                case .event(let frame): NDJSON.line(try FrameCodec.decode(try FrameCodec.encode(frame)))
                case .batch(let end): NDJSON.line(batchEnd: end)
                }
            #expect(again == [UInt8](line), "\(log.testDescription), line \(number + 1)")
        }
        #expect(try batches(bytes).flatMap { NDJSON.lines($0) } == bytes)
    }

    @Test(arguments: Seeds.logs) func appendedAgainItHasTheSameChain(_ log: RecordedLog) throws {
        let recorded = try batches(log.bytes())
        let scratch = try Scratch()
        let made = try EventLog.made(scratch.path, of: recorded)
        #expect(try made.read(after: .zero, maximumFrames: .max) == recorded)
        let report = try made.verify()
        #expect(report.isSound && report.end == recorded.last?.end)
        #expect(report.batches == UInt64(recorded.count))
    }

    @Test(arguments: Seeds.logs) func theStateIsAsExpected(_ log: RecordedLog) async throws {
        try await log.check(StateCheck())
    }

    @Test(arguments: Seeds.logs) func everyPrefixIsItsReplay(_ log: RecordedLog) async throws {
        try await log.check(PrefixCheck())
    }

    @Test(arguments: Seeds.logs) func everyCommandIsDecidedAlikeAgain(_ log: RecordedLog) async throws {
        try await log.check(DecisionCheck())
    }

    /// No recording tells where it was made.
    @Test(arguments: Seeds.logs) func pathsAreOfNoOnesMachine(_ log: RecordedLog) throws {
        let text = String(decoding: try log.bytes(), as: UTF8.self)
        for found in text.matches(of: /"(\/[A-Za-z0-9_.\/-]+)"/) {
            #expect(found.1.hasPrefix("/tmp/drover-"), "\(log.testDescription) names \(found.1)")
        }
    }
}

private struct StateCheck: KindCheck {
    func run<Kind: LogKind>(_ log: RecordedLog, _ kind: Kind.Type) throws {
        let recorded = try batches(log.bytes())
        let replay = try Kind.replay(recorded, of: try #require(recorded.last).end.log)
        let found = RecordedEnd(end: replay.head, state: try StateCodec.stateHash(replay.state))
        if Seeds.rewrites { try found.write(in: log.folder) }
        #expect(try found == RecordedEnd(log))
        #expect(Kind.impossible(replay.state) == 0)
        #expect(replay.unknownEvents == 0)
    }
}

/// At the end of every batch, the state so far is the replay of the log so far, also when that went by its bytes.
private struct PrefixCheck: KindCheck {
    func run<Kind: LogKind>(_ log: RecordedLog, _ kind: Kind.Type) throws {
        let recorded = try batches(log.bytes())
        let identity = try #require(recorded.last).end.log
        var state = Kind.A.initialState
        for (count, batch) in recorded.enumerated() {
            for frame in batch.frames {
                let envelope = try #require(try Kind.codec.decode(frame))
                Kind.A.reduce(&state, envelope)
            }
            let replay = try Kind.replay(recorded[...count], of: identity).state
            try #require(state == replay, "\(log.testDescription) at \(batch.end.sequence)")
            // A state that went through its bytes goes on alike.
            let bytes = try StateCodec.encode(state)
            state = try StateCodec.decode(Kind.A.State.self, bytes)
            try #require(try StateCodec.encode(state) == bytes, "\(log.testDescription) at \(batch.end.sequence)")
        }
    }
}

private struct DecisionCheck: KindCheck {
    func run<Kind: LogKind>(_ log: RecordedLog, _ kind: Kind.Type) throws {
        var again = DecideAgain<Kind.A>(codec: Kind.codec)
        for batch in try batches(log.bytes()) { try again.take(batch.frames) }
        #expect(again.differences == [], "\(log.testDescription)")
        #expect(again.commands > (log.isShrunk ? 0 : 10), "\(log.testDescription)")
    }
}
