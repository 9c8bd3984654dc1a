import Codec
import Domain
import Engine
import Foundation
import Ports
import Synchronization
import Testing

/// EIO and ENOSPC at commit k under 64 clients: everybody gets a true answer, and the live state equals a replay.
@Suite struct FaultTests {
    enum Said: Sendable, Equatable {
        case accepted(JobID), failed, unknown, stopped
    }

    @Test(arguments: [2, 3, 5, 8], [true, false])
    func unknownOutcomesAreFoundOut(commit: Int, landed: Bool) async throws {
        try await attack(faults: [commit: .unknown(landed: landed)])
    }

    @Test(arguments: [2, 3, 7])
    func fullDisksChangeNothing(commit: Int) async throws { try await attack(faults: [commit: .full]) }

    @Test func aSecondFailureInARowEndsTheEngine() async throws {
        let store = FaultyStore(faults: [2: .full, 3: .full])
        let engine = try makeEngine(store)
        for number in 1...2 {
            let failure = await #expect(throws: EngineFailure.self) {
                try await engine.submit(.queue(.enqueue(request(number))), actor: .person("ada"))
            }
            #expect(failure?.code == .failed)
        }
        await #expect(throws: EngineFailure.self) { try await engine.waitForEnd() }
        #expect(store.batches.count == 1)
    }

    @Test func aLogThatCannotBeReadAgainLeavesOutcomesUnknown() async throws {
        let engine = try makeEngine(FaultyStore(faults: [2: .unknown(landed: true)], cannotReopen: true))
        let failure = await #expect(throws: EngineFailure.self) {
            try await engine.submit(.queue(.enqueue(request(1))), actor: .person("ada"))
        }
        #expect(failure?.code == .outcomeUnknown)
        await #expect(throws: EngineFailure.self) { try await engine.waitForEnd() }
    }

    private func attack(faults: [Int: Fault]) async throws {
        let store = FaultyStore(faults: faults)
        let engine = try makeEngine(store)
        let said = Answers()
        await withDiscardingTaskGroup { group in
            for client in 0..<64 {
                group.addTask {
                    for round in 0..<4 {
                        let number = client * 10 + round
                        let answer = await Self.ask(engine, number)
                        said.note(number, answer)
                    }
                }
            }
        }
        let (live, replayed) = try await liveAndReplayed(engine)
        #expect(live == replayed)
        let jobs = Dictionary(uniqueKeysWithValues: replayed.queue.jobs.map { ($0.value.request.commit, $0.key) })
        #expect(replayed.queue.jobs.count == Int(replayed.queue.enqueued.rawValue), "ids are gapless")
        for (number, answer) in said.all {
            let job = jobs[request(number).commit]
            switch answer {
            case .accepted(let claimed): #expect(job == claimed, "acknowledged and not there: \(number)")
            case .failed: #expect(job == nil, "said to have failed and there: \(number)")
            case .unknown, .stopped: Issue.record("one fault left an answer open: \(number)")
            }
        }
        engine.stop()
        try await engine.waitForEnd()
    }

    private final class Answers: Sendable {
        private let answers = Mutex<[Int: Said]>([:])

        var all: [Int: Said] { answers.withLock { $0 } }

        func note(_ number: Int, _ said: Said) { answers.withLock { $0[number] = said } }
    }

    private static func ask(_ engine: EngineService<Global>, _ number: Int) async -> Said {
        do throws(EngineFailure) {
            switch try await engine.submit(.queue(.enqueue(request(number))), actor: .person("ada")) {
            case .accepted(.queue(.enqueued(let job, _)), _): return .accepted(job)
            case .accepted, .refused: return .stopped
            }
        } catch {
            switch error.code {
            case .failed: return .failed
            case .outcomeUnknown: return .unknown
            case .busy, .stopped, .forked: return .stopped
            }
        }
    }
}
