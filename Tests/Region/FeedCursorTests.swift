import Domain
import Testing
import Wire

@testable import Region

@Suite("Where a region goes on in the feed")
struct FeedCursorTests {
    private func part(_ sequence: UInt64, epoch: UInt64 = 1, facts: [TakenFact] = []) -> FeedAnswer {
        FeedAnswer(facts: facts, position: position(sequence, epoch: epoch), sequence: LogSequence(rawValue: sequence))
    }

    @Test("short moves without facts are remembered, not recorded; a long one is recorded")
    func moves() {
        var cursor = FeedCursor()
        let taken = position(100)
        #expect(cursor.next(after: taken) == taken)
        #expect(!cursor.answered(part(5000), taken: taken))
        #expect(cursor.next(after: taken) == position(5000))
        #expect(!cursor.answered(part(10_099), taken: taken))
        #expect(cursor.next(after: taken) == position(10_099))
        #expect(cursor.answered(part(10_100), taken: taken))
        #expect(cursor.next(after: position(10_100)) == position(10_100))
    }

    @Test("facts, another epoch and the very first part are recorded")
    func recorded() {
        var cursor = FeedCursor()
        let fact = TakenFact(.jobFailed(JobID(rawValue: 1)), at: LogSequence(rawValue: 101))
        #expect(cursor.answered(part(101, facts: [fact]), taken: position(100)))
        #expect(cursor.answered(part(101, epoch: 2), taken: position(100)))
        #expect(cursor.answered(part(0), taken: nil))
        #expect(!cursor.answered(part(.max), taken: position(.max - 5)), "the end of all numbers")
    }

    @Test("what was reached on another branch is forgotten")
    func forgotten() {
        var cursor = FeedCursor()
        _ = cursor.answered(part(5000), taken: position(100))
        cursor.forget()
        #expect(cursor.next(after: position(100)) == position(100))
    }
}
