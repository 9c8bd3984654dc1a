import Domain
import Testing

@testable import Agent

/// How a peer follows its region, and what it has to say there.
@Suite struct FollowMachineTests {
    private let revision = Revision(epoch: .first, number: 3)

    @Test func itEnrolsAndThenAsksForWhatIsNewer() {
        var machine = FollowMachine(seed: 1)
        #expect(machine.started() == .enrol)
        #expect(!machine.isEnrolled)
        #expect(machine.enrolled() == .ask(after: .zero))
        #expect(machine.isEnrolled)
        #expect(machine.answered(revision) == .ask(after: revision))
    }

    /// The region may know nothing of it any more.
    @Test func afterAFailureItEnrolsAgainAndAsksForEverything() {
        var machine = FollowMachine(seed: 1)
        _ = machine.enrolled()
        _ = machine.answered(revision)
        var rests: [Int64] = []
        for _ in 0..<12 {
            guard case .rest(let milliseconds) = machine.failed() else { return #expect(Bool(false)) }
            rests.append(milliseconds)
            #expect(!machine.isEnrolled)
            #expect(machine.rested() == .enrol)
        }
        #expect((250...500).contains(rests[0]) && (5000...10_000).contains(rests[11]))
        #expect(machine.enrolled() == .ask(after: .zero))
        _ = machine.answered(revision)
        guard case .rest(let milliseconds) = machine.failed() else { return #expect(Bool(false)) }
        #expect((250...500).contains(milliseconds))
    }

    @Test func theLatestWordOfAnAppWaitsUntilItWasTaken() {
        let (one, two) = (AppName(unchecked: "one"), AppName(unchecked: "two"))
        func word(_ health: PeerHealth) -> PeerApp { PeerApp(revision: revision, build: nil, health: health) }
        var waiting = WaitingReports()
        waiting.report(two, word(.fetching))
        waiting.report(one, word(.fetching))
        let sent = waiting.next
        #expect(sent.map(\.app) == [one, two])
        waiting.report(one, word(.healthy))
        waiting.taken(sent)
        #expect(waiting.next.map(\.app) == [one] && waiting.next.first?.report == word(.healthy))
        waiting.taken(waiting.next)
        #expect(waiting.next.isEmpty)
    }
}
