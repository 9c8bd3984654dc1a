import Swarm
import Testing

@testable import Simulation

@Suite struct CalendarTests {
    @Test func occurrencesComeByTimeAndThenInOrder() {
        var (calendar, generator) = (Calendar<Int>(), SeededGenerator(seed: 1))
        var expected: [(Int64, Int)] = []
        for number in 0..<1000 {
            let time = Int64(generator.below(50))
            calendar.put(number, at: time)
            expected.append((time, number))
        }
        expected.sort { $0 < $1 }
        for (time, number) in expected {
            let next = calendar.next()
            #expect(next?.time == time && next?.1 == number)
        }
        #expect(calendar.isEmpty)
    }
}
