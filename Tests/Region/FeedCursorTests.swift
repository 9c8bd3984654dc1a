import Domain
import Testing
import Wire

@testable import Region

@Suite("Where a region goes on in the feed")
struct FeedCursorTests {
    private func part(_ sequence: UInt64, epoch: UInt64 = 1, facts: [TakenFact] = []) -> FeedAnswer {
        FeedAnswer(facts: facts, position: position(sequence, epoch: epoch), sequence: LogSequence(rawValue: sequence))
    }

    /// Not inside the expectation: its macro takes a copy.
    private func answered(_ cursor: inout FeedCursor, _ part: FeedAnswer, taken: LogPosition?) -> Bool {
        cursor.answered(part.facts, part.position, taken: taken)
    }

    @Test("short moves without facts are remembered, not recorded; a long one is recorded")
    func moves() {
        var cursor = FeedCursor()
        let taken = position(100)
        #expect(cursor.next(after: taken) == taken)
        #expect(answered(&cursor, part(5000), taken: taken) == false)
        #expect(cursor.next(after: taken) == position(5000))
        #expect(answered(&cursor, part(10_099), taken: taken) == false)
        #expect(cursor.next(after: taken) == position(10_099))
        #expect(answered(&cursor, part(10_100), taken: taken) == true)
        #expect(cursor.next(after: position(10_100)) == position(10_100))
    }

    @Test("facts, another epoch and the very first part are recorded")
    func recorded() {
        var cursor = FeedCursor()
        let fact = TakenFact(.jobFailed(JobID(rawValue: 1)), at: LogSequence(rawValue: 101))
        #expect(answered(&cursor, part(101, facts: [fact]), taken: position(100)) == true)
        #expect(answered(&cursor, part(101, epoch: 2), taken: position(100)) == true)
        #expect(answered(&cursor, part(0), taken: nil) == true)
        #expect(answered(&cursor, part(.max), taken: position(.max - 5)) == false, "the end of all numbers")
    }

    @Test("what was reached on another branch is forgotten")
    func forgotten() {
        var cursor = FeedCursor()
        _ = answered(&cursor, part(5000), taken: position(100))
        cursor.forget()
        #expect(cursor.next(after: position(100)) == position(100))
    }
}
