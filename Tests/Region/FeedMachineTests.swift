import Domain
import Testing

@testable import Region

@Suite struct FeedMachineTests {
    private let log = LogIdentity(high: 1, low: 2)

    private func position(_ sequence: UInt64, epoch: UInt64 = 1) -> LogPosition {
        LogPosition(
            log: log, epoch: Epoch(rawValue: epoch), sequence: LogSequence(rawValue: sequence),
            chain: Digest(words: sequence, epoch, 0, 0))
    }

    private let fact = TakenFact(.jobFailed(JobID(rawValue: 1)), at: LogSequence(rawValue: 4))

    @Test func itJoinsAsksAndTakes() {
        var machine = FeedMachine(seed: 1)
        #expect(machine.started() == .join)
        #expect(machine.joined() == .look)
        #expect(machine.looked(taken: nil, remembered: []) == .ask(after: nil, waitMilliseconds: 10_000))
        #expect(machine.answered([fact], position(4)) == .take(from: .zero, [fact], position(4)))
        #expect(machine.took() == .look)
        let taken = position(4)
        #expect(machine.looked(taken: taken, remembered: [taken]) == .ask(after: taken, waitMilliseconds: 10_000))
        #expect(machine.answered([], position(9)) == .look, "a short move without facts is not recorded")
        #expect(machine.looked(taken: taken, remembered: [taken]) == .ask(after: position(9), waitMilliseconds: 10_000))
    }

    @Test func cutOffItRestsAndJoinsAgain() {
        var machine = FeedMachine(seed: 1)
        var rests: [Int64] = []
        for _ in 0..<8 {
            if case .rest(let milliseconds) = machine.failed() { rests.append(milliseconds) }
            #expect(machine.rested() == .join)
        }
        #expect(rests.count == 8 && rests[0] <= 500 && rests[7] >= 5000 && rests.allSatisfy { $0 <= 10_000 })
    }

    /// From another branch back to the newest position in common.
    @Test func itGoesBackToTheNewestPositionInCommon() {
        var machine = FeedMachine(seed: 1)
        _ = machine.joined()
        let (origin, taken) = (LogPosition.start(of: log), position(30))
        _ = machine.looked(taken: taken, remembered: [position(10), position(20), taken])
        #expect(machine.forked(origin: origin) == .probe(position(20)))
        #expect(machine.forked(origin: origin) == .probe(position(10)))
        #expect(
            machine.answered([], position(12)) == .recall(after: position(10).sequence, before: position(20).sequence))
        #expect(machine.recalled([]) == .goBack(to: position(10)))
        #expect(machine.took() == .look)
    }

    /// Whatever it remembers, it goes back no further than its own log makes it, with few questions.
    @Test(arguments: [1, 5, 288, 700, 3999]) func itGoesBackToTheLastPositionThatItsLogHas(common: UInt64) {
        let log = (1..<4000).map { position(UInt64($0)) }
        let remembered = log.filter { $0.sequence.rawValue == 5 || $0.sequence.rawValue > 3900 }
        var (machine, questions) = (FeedMachine(seed: 1), 0)
        _ = machine.joined()
        _ = machine.looked(taken: position(4000), remembered: remembered)
        var effect = machine.forked(origin: .start(of: self.log))
        while questions < 200 {
            questions += 1
            switch effect {
            case .probe(let asked):
                effect =
                    asked.sequence.rawValue <= common
                    ? machine.answered([], position(4001, epoch: 2)) : machine.forked(origin: .start(of: self.log))
            case .recall(let after, let before):
                var own = RecalledPositions(after: after, before: before)
                for position in log { own.take(.followed(position)) }
                effect = machine.recalled(own.positions)
            default:
                #expect(effect == .goBack(to: position(common)))
                #expect(questions < 30)
                return
            }
        }
        Issue.record("it does not end")
    }

    @Test func whatWasFollowedOnABranchThatIsLeftIsNotRecalled() {
        var recalled = RecalledPositions(after: LogSequence(rawValue: 2), before: LogSequence(rawValue: 9))
        for sequence in [1, 3, 5, 7] as [UInt64] { recalled.take(.followed(position(sequence))) }
        recalled.take(.refollowed(position(3)))
        for sequence in [4, 8, 9] as [UInt64] { recalled.take(.followed(position(sequence, epoch: 2))) }
        #expect(recalled.positions == [position(3), position(4, epoch: 2), position(8, epoch: 2)])
    }

    @Test func withNothingInCommonItBeginsAnew() {
        var machine = FeedMachine(seed: 1)
        _ = machine.joined()
        let (origin, taken) = (LogPosition.start(of: log), position(30))
        _ = machine.looked(taken: taken, remembered: [taken])
        #expect(machine.forked(origin: origin) == .recall(after: .zero, before: taken.sequence))
        #expect(machine.recalled([]) == .goBack(to: origin))
    }

    /// What follows is not kept any more: a snapshot takes its place, in the epoch that is followed.
    @Test func behindAnAnchorItTakesASnapshot() {
        var machine = FeedMachine(seed: 1)
        _ = machine.joined()
        _ = machine.looked(taken: nil, remembered: [])
        #expect(machine.archived(anchor: position(50)) == .adopt)
        #expect(machine.took() == .look)
        _ = machine.looked(taken: position(30), remembered: [position(30)])
        #expect(machine.archived(anchor: position(50)) == .adopt)
        #expect(machine.failed() != .look)
        _ = machine.rested()
        _ = machine.joined()
        _ = machine.looked(taken: position(30), remembered: [position(30)])
        var later = position(50)
        later = LogPosition(log: later.log, epoch: later.epoch.next, sequence: later.sequence, chain: later.chain)
        #expect(machine.archived(anchor: later) == .goBack(to: .start(of: log)))
        #expect(machine.took() == .look)
        _ = machine.looked(taken: .start(of: log), remembered: [.start(of: log)])
        #expect(machine.archived(anchor: later) == .adopt)
    }

    /// A leader that does not know how to go on, or keeps another log, is waited for.
    @Test func aLeaderThatLostItsWayIsWaitedFor() {
        for origin in [nil, LogPosition.start(of: LogIdentity(high: 9, low: 9))] {
            var machine = FeedMachine(seed: 1)
            _ = machine.joined()
            _ = machine.looked(taken: position(30), remembered: [])
            guard case .rest = machine.forked(origin: origin) else {
                Issue.record("it does not wait")
                continue
            }
        }
    }
}

@Suite struct LevelMachineTests {
    private let level = RegionLevel(
        app: AppName(unchecked: "web"), revision: Revision(epoch: .first, number: 1), selected: 1, healthy: 0,
        failed: 0,
        silent: 0)

    @Test func newsIsToldOnceAndLifeEveryTenSeconds() {
        var machine = LevelMachine()
        #expect(machine.started() == .lookAtEpoch)
        #expect(machine.follows(.first) == .lookAtLevels(after: nil))
        #expect(machine.looked(at: [level], count: 1, now: 0) == .report([level]))
        #expect(machine.told() == .rest(milliseconds: 1000))
        #expect(machine.rested() == .awaitChange(milliseconds: 10_000))
        #expect(machine.rested() == .lookAtEpoch)
        #expect(machine.follows(.first) == .lookAtLevels(after: 1))
        #expect(machine.looked(at: [level], count: 1, now: 9999) == .rest(milliseconds: 1000))
        _ = machine.rested()
        _ = machine.rested()
        #expect(machine.looked(at: [], count: 1, now: 10_000) == .report([]), "it says that it lives")
    }

    @Test func whatWasNotToldIsToldAgain() {
        var machine = LevelMachine()
        _ = machine.follows(.first)
        _ = machine.looked(at: [level], count: 1, now: 0)
        #expect(machine.notTold() == .rest(milliseconds: 1000))
        #expect(machine.rested() == .lookAtEpoch, "without waiting for a change")
        _ = machine.follows(.first)
        #expect(machine.looked(at: [], count: 1, now: 1000) == .report([level]))
    }
}
