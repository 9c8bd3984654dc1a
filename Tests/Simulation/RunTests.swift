import Domain
import Foundation
import Ports
import Testing

@testable import Simulation

private func run(_ seed: UInt64, steps: UInt64? = 2500, canary: Canary? = nil) -> SimulationReport {
    var options = SimulationOptions(seed: seed)
    (options.steps, options.canary) = (steps, canary)
    return Simulation.run(options)
}

@Suite struct RunTests {
    /// The short form: `tools/simulate --seeds 1..1000` is the long one.
    @Test(arguments: 1...50) func everyRuleHolds(seed: UInt64) {
        let report = run(seed)
        #expect(report.finding == nil, "tools/simulate --seed \(seed) --steps 2500 --trace")
        #expect(report.counts.total > 100)
    }

    @Test(arguments: [3, 28]) func oneSeedIsOneRun(seed: UInt64) {
        let (first, second) = (run(seed), run(seed))
        #expect(first.digest == second.digest)
        #expect(first.counts == second.counts)
        #expect(first.digest != run(seed + 1).digest)
    }

    /// Seeds that once broke a rule, one a file: sound now, and each still reaches its bug where that is planted again.
    @Test func keptSeedsAreSoundAndReachTheirBugs() throws {
        let place = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "seeds/regressions/simulation")
        let names = try FileManager.default.contentsOfDirectory(atPath: place.path)
        for name in names.sorted() where name.hasPrefix("seed-") {
            let text = try String(contentsOf: place.appending(path: name), encoding: .utf8)
            let words = text.split(separator: "\n").first?.split(separator: " ").map(String.init) ?? []
            func number(_ option: String) -> UInt64? {
                words.firstIndex(of: option).flatMap { words.indices.contains($0 + 1) ? UInt64(words[$0 + 1]) : nil }
            }
            let seed = try #require(number("--seed"), "\(name) names no seed")
            #expect(run(seed, steps: number("--steps")).finding == nil, "\(name)")
            guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("canary: ") }) else { continue }
            let canary = try #require(Canary(rawValue: String(line.dropFirst("canary: ".count))), "\(name)")
            let rule = try #require(text.split(separator: "\n").dropFirst().first?.split(separator: ":").first)
            let found = run(seed, steps: number("--steps"), canary: canary).finding
            #expect(found?.rule == String(rule), "\(name) does not reach \(canary.rawValue) any more")
        }
    }

    /// A recorded log goes on: its jobs end, its builds can be deployed, its bytes stay as they are.
    @Test func aRecordedLogIsABeginning() throws {
        var first = SimulationOptions(seed: 2)
        first.steps = 1500
        let before = Simulation(first)
        #expect(before.run().finding == nil)
        let history = try before.global.host.store.read(after: .zero, maximumFrames: .max)
        var second = SimulationOptions(seed: 7)
        (second.steps, second.history) = (1500, history)
        let after = Simulation(second)
        let report = after.run()
        #expect(report.finding == nil)
        #expect(report.counts.appended > 0)
        let whole = try after.global.host.store.read(after: .zero, maximumFrames: .max)
        #expect(Array(whole.prefix(history.count)) == history)
        #expect(whole.count > history.count)
    }
}

@Suite struct CanaryTests {
    /// Planted bugs, each with the seeds within which it must be found.
    private static let planted: [(Canary, ClosedRange<UInt64>)] = [
        (.lastInFirstOut, 1...4), (.workersWord, 1...4), (.unreplicated, 1...8), (.forgetsBuilds, 1...4),
        (.lyingDisk, 1...12), (.blindMirror, 1...8), (.noMaximum, 1...30), (.forgetsCancels, 1...30),
        (.retiresPrevious, 1...8), (.lazyRemoval, 1...12), (.unfenced, 14...30), (.endlessLease, 3...12),
        (.halfLease, 1...8),
    ]

    @Test(arguments: planted) func aPlantedBugIsFound(canary: Canary, seeds: ClosedRange<UInt64>) {
        let found = seeds.lazy.compactMap { run($0, steps: 4000, canary: canary).finding }.first
        #expect(found != nil, "\(canary.rawValue)")
    }
}
