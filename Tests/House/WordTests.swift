import Foundation
import Testing

@Suite struct WordTests {
    /// What a pure room may not say: time, chance, concurrency, the world.
    private static var impure: [(String, Regex<Substring>)] {
        [
            ("Date", /\bDate\(/), ("UUID", /\bUUID\(/), ("random", /\.random\(|\bSystemRandomNumberGenerator\b/),
            ("shuffled", /\.shuffled\(\)/), ("Task", /\bTask\b/), ("async", /\basync\b/), ("await", /\bawait\b/),
            ("print", /\bprint\(/), ("clock", /\b(?:Continuous|Suspending)Clock\b/), ("Mutex", /\bMutex\b/),
        ]
    }

    @Test func pureRoomsAndCoresSayNothingOfTheWorld() throws {
        let pure = try Tree.sources(below: "Sources").filter {
            ["Domain", "Swarm", "Fleet"].contains($0.room) || $0.path.contains("/Core/")
        }
        #expect(pure.count > 30)
        for source in pure {
            for (name, pattern) in Self.impure {
                for (index, line) in source.code.enumerated() where line.contains(pattern) {
                    Issue.record("\(source.path):\(index + 1) says \(name)")
                }
            }
        }
    }

    /// `unsafe` stands in few rooms, and its count only shrinks: lower the number when it does.
    @Test func unsafeStaysWhereItIs() throws {
        let limits = ["LMDB": 90, "Packs": 103, "EventLog": 40, "Views": 130, "Processes": 60, "Serving": 1]
        var counts: [String: Int] = [:]
        for source in try Tree.sources(below: "Sources") where !source.isGenerated {
            let words = source.code.map { $0.matches(of: /\bunsafe\b/).count }.reduce(0, +)
            counts[source.room, default: 0] += words
        }
        for (room, count) in counts.sorted(by: { $0.key < $1.key }) where count > 0 {
            #expect(count <= limits[room] ?? 0, "\(room) says unsafe \(count) times")
        }
    }

    @Test func machinesNameEveryCase() throws {
        let machines = try Tree.sources(below: "Sources").filter {
            ["Domain", "Swarm", "Fleet"].contains($0.room) || $0.path.contains("/Core/")
        }
        for source in machines {
            for (index, line) in source.code.enumerated() where line.contains(/^\s*default:/) {
                // A byte, a character or a tuple has no cases to name.
                let before = source.code[max(0, index - 14)..<index].joined(separator: "\n")
                #expect(
                    before.contains(/switch (digit|byte|\(|text|word|self\b.*digit)/), "\(source.path):\(index + 1)")
            }
        }
    }
}
