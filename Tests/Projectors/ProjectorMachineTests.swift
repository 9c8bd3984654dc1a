import Domain
import Engine
import Projectors
import Testing

@Suite struct ProjectorMachineTests {
    private typealias Machine = ProjectorMachine<String>
    private let now = Timestamp(milliseconds: 1_000_000)
    private let position = LogSequence(rawValue: 7)

    @Test func effectsGoInTurnEachWithItsCause() {
        var machine = Machine()
        #expect(machine.started() == .look)
        let plan = Plan(effects: ["a", "b"], askAgainAt: now.adding(milliseconds: 3000))
        #expect(machine.looked(plan, at: position, now: now) == .submit("a", cause: position))
        #expect(machine.accepted() == .submit("b", cause: position))
        #expect(machine.accepted() == .rest(milliseconds: 200))
        #expect(machine.rested() == .awaitChange(after: position, milliseconds: 2800))
        #expect(machine.rested() == .look)
    }

    @Test func aRefusalShortensTheRest() {
        var machine = Machine(looksAtChanges: false)
        _ = machine.looked(Plan(effects: ["a"]), at: position, now: now)
        #expect(machine.refused() == .rest(milliseconds: 1000))
        #expect(machine.rested() == .look)
    }

    @Test func withoutAnAnswerItPlansAnew() {
        var machine = Machine()
        _ = machine.looked(Plan(effects: ["a", "b"]), at: position, now: now)
        #expect(machine.failed(.outcomeUnknown) == .rest(milliseconds: 1000))
        #expect(machine.rested() == .look)
        #expect(machine.looked(Plan(), at: position, now: now) == .rest(milliseconds: 200), "nothing is left over")
    }

    @Test func itEndsWithTheEngine() {
        var machine = Machine()
        #expect(machine.failed(.stopped) == .end)
    }

    @Test func pausesHaveBounds() {
        var machine = Machine(looksAtChanges: false)
        #expect(machine.looked(Plan(askAgainAt: now), at: position, now: now) == .rest(milliseconds: 200))
        _ = machine.rested()
        #expect(machine.looked(Plan(), at: position, now: now) == .rest(milliseconds: 10_000))
    }
}
