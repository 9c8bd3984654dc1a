import Testing

@Suite("The property kit")
struct PropertyTests {
    @Test("the generator is SplitMix64, the same for ever")
    func generatorIsFixed() {
        var random = SplitMix64(seed: 1_234_567)
        #expect(
            (0..<3).map { _ in random.next() } == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
            ])
    }

    @Test("a failing case is found and shrunk to the steps that matter")
    func shrinks() throws {
        let found = try #require(
            counterexample(
                seed: 1, iterations: 100, generate: { random in (0..<200).map { _ in random.below(50) } },
                check: { steps in
                    guard let seven = steps.firstIndex(of: 7), steps[seven...].contains(11) else { return nil }
                    return "11 after 7"
                }))
        #expect(found.steps == [7, 11])
    }

    @Test("the seed of a failure alone shows it again")
    func seedIsEnough() throws {
        let generate = { (random: inout SplitMix64) in [random.below(1000)] }
        let check = { (steps: [Int]) in steps.first.map { $0 > 990 } == true ? "large" : nil }
        let found = try #require(counterexample(seed: 5, iterations: 10_000, generate: generate, check: check))
        #expect(found.iteration > 0)
        #expect(counterexample(seed: found.seed, iterations: 1, generate: generate, check: check)?.steps == found.steps)
    }

    @Test("a property that holds has no counterexample")
    func holds() {
        #expect(
            counterexample(
                seed: 1, iterations: 50, generate: { random in [random.below(10)] },
                check: { $0.allSatisfy { $0 < 10 } ? nil : "too large" }) == nil)
    }

    @Test("kept seeds are read from the regressions file")
    func keptSeedsAreThere() {
        #expect(keptSeeds(of: "kit").contains(7))
        #expect(keptSeeds(of: "no-such-property").isEmpty)
    }
}
