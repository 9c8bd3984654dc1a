import Domain
import Testing

@testable import Building

/// Transcripts: facts in, effects out.
struct WorkerMachineTests {
    private let key = firstKey
    private let claimedJob = job("/r", CommitID(rawValue: String(repeating: "a", count: 40))!)
    private let failure = BuildFailure(.exit, exitCode: 2, detail: "it failed")
    private let trouble = UploadTrouble(.unreachable, detail: "no answer", hasMoved: false)

    /// A machine that has just claimed at 1000 ms.
    private func building() -> WorkerMachine {
        var machine = WorkerMachine()
        #expect(machine.started(now: 1000) == [.claim])
        #expect(machine.claimed(claimedJob, now: 1000) == [.startBuild(claimedJob), .setTimer(atMilliseconds: 16_000)])
        return machine
    }

    private func packing() -> WorkerMachine {
        var machine = building()
        #expect(machine.buildEnded(key, nil, now: 2000) == [.pack(key)])
        return machine
    }

    private func uploading() -> WorkerMachine {
        var machine = packing()
        #expect(machine.packed(key, now: 3000) == [.upload(key)])
        return machine
    }

    private func reporting() -> WorkerMachine {
        var machine = uploading()
        #expect(machine.uploaded(key, now: 4000) == [.reportUploaded(key)])
        return machine
    }

    @Test func aWholeJob() {
        var machine = building()
        #expect(machine.stageChanged(key, to: .build) == [])
        #expect(machine.current == key)
        #expect(machine.tick(now: 16_000) == [.heartbeat(key, counter: 1, stage: .build)])
        #expect(
            machine.heartbeatAnswered(key, counter: 1, .continue, now: 16_050) == [.setTimer(atMilliseconds: 31_000)])
        #expect(machine.buildEnded(key, nil, now: 17_000) == [.pack(key)])
        #expect(machine.packed(key, now: 18_000) == [.upload(key)])
        #expect(machine.tick(now: 31_000) == [.heartbeat(key, counter: 2, stage: .upload)])
        #expect(machine.uploaded(key, now: 32_000) == [.reportUploaded(key)])
        #expect(machine.reported(key, .accepted, now: 33_000) == [.awaitEnd(key)])
        #expect(
            machine.heartbeatAnswered(key, counter: 2, .continue, now: 33_000) == [.setTimer(atMilliseconds: 46_000)])
        #expect(machine.tick(now: 46_000) == [.heartbeat(key, counter: 3, stage: .verify)])
        #expect(machine.jobEnded(key) == [.deleteWorkspace(key), .claim])
        // The answer to the last heartbeat comes late.
        #expect(machine.heartbeatAnswered(key, counter: 3, .stale, now: 47_000) == [])
        #expect(machine.ignoredFacts == 1)
    }

    /// A global log that was set back has forgotten the report that it answered.
    @Test func aReportIsMadeAgainUntilTheJobEnds() {
        var machine = reporting()
        #expect(machine.reported(key, .accepted, now: 4100) == [.awaitEnd(key)])
        #expect(machine.endNotSeen(key) == [.reportUploaded(key)])
        #expect(machine.endNotSeen(key) == [])
        #expect(machine.reportFailed(key, now: 5000) == [.setTimer(atMilliseconds: 5500)])
        #expect(machine.tick(now: 5500) == [.reportUploaded(key), .setTimer(atMilliseconds: 16_000)])
        #expect(machine.reported(key, .accepted, now: 5600) == [.awaitEnd(key)])
        #expect(machine.jobEnded(key) == [.deleteWorkspace(key), .claim])
    }

    @Test func noWorkAndNoAnswer() {
        var machine = WorkerMachine()
        _ = machine.started(now: 0)
        #expect(machine.noWork(now: 0) == [.setTimer(atMilliseconds: 250)])
        #expect(machine.tick(now: 249) == [])
        #expect(machine.tick(now: 250) == [.claim])
        var now: Int64 = 1000
        for wait in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] as [Int64] {
            #expect(machine.claimFailed(now: now) == [.setTimer(atMilliseconds: now + wait)])
            now += wait
            #expect(machine.tick(now: now) == [.claim])
        }
        // An answer of any kind ends the back-off.
        #expect(machine.noWork(now: now) == [.setTimer(atMilliseconds: now + 250)])
        #expect(machine.tick(now: now + 250) == [.claim])
        #expect(machine.claimFailed(now: now + 250) == [.setTimer(atMilliseconds: now + 750)])
    }

    @Test func anUnreachableControlPlaneStopsNothing() {
        var machine = building()
        #expect(machine.tick(now: 16_000) == [.heartbeat(key, counter: 1, stage: .snapshot)])
        var now: Int64 = 16_000
        var counter: UInt64 = 1
        // Half a second, doubling, and never slower than the heartbeat itself.
        for wait in [500, 1000, 2000, 4000, 8000, 15_000, 15_000] as [Int64] {
            #expect(
                machine.heartbeatFailed(key, counter: counter, now: now) == [.setTimer(atMilliseconds: now + wait)])
            now += wait
            counter += 1
            #expect(machine.tick(now: now) == [.heartbeat(key, counter: counter, stage: .snapshot)])
        }
        #expect(machine.buildEnded(key, nil, now: now) == [.pack(key)])
    }

    @Test func aFailedBuildIsReportedUntilAnswered() {
        var machine = building()
        #expect(machine.buildEnded(key, failure, now: 2000) == [.reportFailed(key, failure)])
        #expect(machine.reportFailed(key, now: 2000) == [.setTimer(atMilliseconds: 2500)])
        #expect(machine.tick(now: 2500) == [.reportFailed(key, failure), .setTimer(atMilliseconds: 16_000)])
        #expect(machine.reportFailed(key, now: 2600) == [.setTimer(atMilliseconds: 3600)])
        #expect(machine.tick(now: 3600) == [.reportFailed(key, failure), .setTimer(atMilliseconds: 16_000)])
        #expect(machine.reported(key, .accepted, now: 3700) == [.deleteWorkspace(key), .claim])
    }

    @Test(arguments: ReportVerdict.allCases)
    func anyAnswerToAFailureReportEndsTheAttempt(_ verdict: ReportVerdict) {
        var machine = packing()
        #expect(machine.packFailed(key, failure, now: 2500) == [.reportFailed(key, failure)])
        #expect(machine.reported(key, verdict, now: 2600) == [.deleteWorkspace(key), .claim])
    }

    @Test func aRefusedSuccessIsDropped() {
        var machine = reporting()
        #expect(machine.reported(key, .refused, now: 5000) == [.deleteWorkspace(key), .claim])
    }

    @Test func uploadsAreRepeatedAndReportedWhenRejected() {
        var machine = uploading()
        #expect(machine.uploadFailed(key, trouble, now: 4000) == [.setTimer(atMilliseconds: 4500)])
        #expect(machine.uploaded(key, now: 4100) == [])
        #expect(machine.tick(now: 4500) == [.upload(key), .setTimer(atMilliseconds: 16_000)])
        let tooLarge = BuildFailure(.artifact, detail: "above the store's limit")
        #expect(
            machine.uploadRejected(key, detail: "above the store's limit", now: 5000) == [.reportFailed(key, tooLarge)])
        #expect(machine.reported(key, .accepted, now: 5100) == [.deleteWorkspace(key), .claim])
    }

    /// Fails an upload again and again; when it was given up, and with what.
    private func giveUp(_ kind: UploadTrouble.Kind, movesAt moves: Set<Int> = []) -> (at: Int64, [WorkerEffect])? {
        var (machine, now) = (uploading(), Int64(4000))
        for step in 0..<10_000 {
            let trouble = UploadTrouble(kind, detail: "\(kind)", hasMoved: moves.contains(step))
            let effects = machine.uploadFailed(key, trouble, now: now)
            if effects.contains(where: { if case .reportFailed = $0 { true } else { false } }) { return (now, effects) }
            repeat { now += 500 } while !machine.tick(now: now).contains(.upload(key))
        }
        return nil
    }

    @Test func aFullStoreAndASilentRegionAreGivenUpInTheEnd() throws {
        for (kind, limit) in [(.storeFull, 300_000), (.unreachable, 900_000)] as [(UploadTrouble.Kind, Int64)] {
            let (at, effects) = try #require(giveUp(kind))
            #expect(effects == [.reportFailed(key, BuildFailure(.artifact, detail: "\(kind)"))])
            #expect((limit...(limit + 31_000)).contains(at - 4000))
        }
        // What moves is not stuck.
        let (early, late) = (try #require(giveUp(.storeFull)), try #require(giveUp(.storeFull, movesAt: [12])))
        #expect(late.at > early.at + 60_000)
    }

    @Test func aReportThatIsFoundWrongFailsTheJob() {
        var machine = reporting()
        let wrong = BuildFailure(.artifact, detail: "too large")
        #expect(machine.reportRejected(key, detail: "too large", now: 5000) == [.reportFailed(key, wrong)])
        #expect(machine.reportRejected(key, detail: "again", now: 5000) == [])
        #expect(machine.reported(key, .accepted, now: 5100) == [.deleteWorkspace(key), .claim])
    }

    @Test func aSeedMakesWaitsItsOwn() {
        var settings = WorkerSettings()
        let whole = (1...12).map { settings.retryDelay(failures: $0) }
        settings.jitterSeed = 7
        let (own, again) = ((1...12).map { settings.retryDelay(failures: $0) }, settings.retryDelay(failures: 3))
        settings.jitterSeed = 8
        #expect(own != (1...12).map { settings.retryDelay(failures: $0) })
        #expect(again == own[2])
        for (own, whole) in zip(own, whole) { #expect((whole / 2...whole).contains(own)) }
    }

    @Test func cancelStopsTheWorkAndIsReported() {
        for (machine, end) in [
            (building(), { $0.buildEnded($1, .cancelled, now: 20_000) }),
            // It ended well at the very last moment: cancelled all the same.
            (building(), { $0.buildEnded($1, nil, now: 20_000) }),
            (packing(), { $0.packed($1, now: 20_000) }),
            (packing(), { $0.packFailed($1, .cancelled, now: 20_000) }),
            (uploading(), { $0.uploaded($1, now: 20_000) }),
            (uploading(), { $0.uploadFailed($1, trouble, now: 20_000) }),
        ] as [(WorkerMachine, (inout WorkerMachine, AttemptKey) -> [WorkerEffect])] {
            var machine = machine
            #expect(machine.tick(now: 16_000).count == 1)
            #expect(
                machine.heartbeatAnswered(key, counter: 1, .cancel, now: 16_100) == [
                    .stopWork(key), .setTimer(atMilliseconds: 31_000),
                ])
            // It is told again and again; once is enough.
            #expect(machine.tick(now: 31_000).count == 1)
            #expect(
                machine.heartbeatAnswered(key, counter: 2, .cancel, now: 31_000) == [.setTimer(atMilliseconds: 46_000)])
            #expect(end(&machine, key) == [.reportFailed(key, .cancelled)])
            #expect(machine.reported(key, .accepted, now: 32_000) == [.deleteWorkspace(key), .claim])
        }
    }

    @Test func staleStopsTheWorkAndSaysNothing() {
        for machine in [building(), packing(), uploading()] {
            var machine = machine
            _ = machine.tick(now: 16_000)
            #expect(machine.heartbeatAnswered(key, counter: 1, .stale, now: 16_100).first == .stopWork(key))
            let ends = [
                machine.buildEndedCopy(key), machine.packedCopy(key), machine.uploadFailedCopy(key),
            ]
            #expect(ends.allSatisfy { $0 == [.deleteWorkspace(key), .claim] })
        }
        var idle = reporting()
        _ = idle.tick(now: 16_000)
        #expect(idle.heartbeatAnswered(key, counter: 1, .stale, now: 16_100) == [.deleteWorkspace(key), .claim])
    }

    @Test func whileAnUploadWaitsNothingMustBeStopped() {
        var machine = uploading()
        _ = machine.tick(now: 16_000)
        _ = machine.uploadFailed(key, trouble, now: 16_000)
        var cancelled = machine
        #expect(
            cancelled.heartbeatAnswered(key, counter: 1, .cancel, now: 16_100).first == .reportFailed(key, .cancelled))
        #expect(machine.heartbeatAnswered(key, counter: 1, .stale, now: 16_100) == [.deleteWorkspace(key), .claim])
    }

    @Test func drainFinishesWhatWasBegun() {
        var machine = building()
        #expect(machine.drain() == [])
        #expect(machine.buildEnded(key, failure, now: 2000) == [.reportFailed(key, failure)])
        #expect(machine.reported(key, .accepted, now: 2100) == [.deleteWorkspace(key), .finish])
        #expect(machine.drain() == [])

        var claiming = WorkerMachine()
        _ = claiming.started(now: 0)
        #expect(claiming.drain() == [])
        #expect(claiming.noWork(now: 1) == [.finish])

        var waiting = WorkerMachine()
        _ = waiting.started(now: 0)
        _ = waiting.noWork(now: 0)
        #expect(waiting.drain() == [.finish])
        #expect(waiting.tick(now: 10_000) == [])
    }

    @Test func shutdownGivesTheAttemptBack() {
        var machine = building()
        #expect(machine.shutdown(now: 2000) == [.stopWork(key)])
        #expect(machine.buildEnded(key, .cancelled, now: 2500) == [.release(key)])
        #expect(machine.reported(key, .accepted, now: 2600) == [.deleteWorkspace(key), .finish])

        var unanswered = building()
        _ = unanswered.shutdown(now: 2000)
        _ = unanswered.buildEnded(key, .cancelled, now: 2500)
        #expect(unanswered.reportFailed(key, now: 2600) == [.deleteWorkspace(key), .finish])

        var claiming = WorkerMachine()
        _ = claiming.started(now: 0)
        #expect(claiming.shutdown(now: 1) == [.cancelClaim])
        // The claim had got through: it is given back without a build.
        #expect(claiming.claimed(claimedJob, now: 2) == [.release(key), .setTimer(atMilliseconds: 15_002)])

        // A report under way may still be answered.
        var reporting = reporting()
        #expect(reporting.shutdown(now: 4500) == [])
        #expect(reporting.reported(key, .accepted, now: 4600) == [.awaitEnd(key)])
    }
}

extension WorkerMachine {
    fileprivate func buildEndedCopy(_ key: AttemptKey) -> [WorkerEffect] {
        var copy = self
        return copy.buildEnded(key, nil, now: 20_000)
    }

    fileprivate func packedCopy(_ key: AttemptKey) -> [WorkerEffect] {
        var copy = self
        return copy.packed(key, now: 20_000)
    }

    fileprivate func uploadFailedCopy(_ key: AttemptKey) -> [WorkerEffect] {
        var copy = self
        return copy.uploadFailed(key, UploadTrouble(.unreachable, detail: "", hasMoved: false), now: 20_000)
    }
}
