import Foundation
import Testing

/// A case that a property does not hold for, as small as shrinking made it.
struct Counterexample<Step> {
    var seed: UInt64
    var iteration: Int
    var steps: [Step]
    var problem: String
}

/// How often and from where a property is tried. `DROVER_SEED` and `DROVER_ITERATIONS` override what a test asks for:
/// case n of a run has the seed `seed + n`, so the printed seed with one iteration shows a failure again.
struct PropertyRun {
    var seed: UInt64
    var iterations: Int

    init(seed: UInt64, iterations: Int) {
        let environment = ProcessInfo.processInfo.environment
        self.seed = environment["DROVER_SEED"].flatMap(UInt64.init) ?? seed
        self.iterations = environment["DROVER_ITERATIONS"].flatMap(Int.init) ?? iterations
    }
}

/// The first case, if any, for which `check` names a problem, shrunk.
func counterexample<Step>(
    seed: UInt64, iterations: Int, generate: (inout SplitMix64) -> [Step], check: ([Step]) -> String?
) -> Counterexample<Step>? {
    for iteration in 0..<iterations {
        let caseSeed = seed &+ UInt64(iteration)
        var random = SplitMix64(seed: caseSeed)
        let steps = generate(&random)
        guard let problem = check(steps) else { continue }
        let (small, smallProblem) = shrunk(steps, problem, check: check)
        return Counterexample(seed: caseSeed, iteration: iteration, steps: small, problem: smallProblem)
    }
    return nil
}

/// Records an issue with the seed and the shrunk case if the property does not hold for some generated list of steps.
/// Kept seeds (`seeds/regressions/domain.txt`) are tried before the fresh ones.
func forAll<Step>(
    _ name: String, seed: UInt64, iterations: Int, generate: (inout SplitMix64) -> [Step], check: ([Step]) -> String?,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    for kept in keptSeeds(of: name) {
        if let found = counterexample(seed: kept, iterations: 1, generate: generate, check: check) {
            return report(name, found, sourceLocation)
        }
    }
    let run = PropertyRun(seed: seed, iterations: iterations)
    if let found = counterexample(seed: run.seed, iterations: run.iterations, generate: generate, check: check) {
        report(name, found, sourceLocation)
    }
}

private func report<Step>(_ name: String, _ found: Counterexample<Step>, _ sourceLocation: SourceLocation) {
    let lines = found.steps.enumerated().map { "  \($0.offset + 1). \($0.element)" }.joined(separator: "\n")
    Issue.record(
        """
        \(name) does not hold: \(found.problem)
        seed \(found.seed) (DROVER_SEED=\(found.seed) DROVER_ITERATIONS=1), shrunk to \(found.steps.count) steps:
        \(lines)
        Once mended, keep the seed: add "\(name) \(found.seed)" to seeds/regressions/domain.txt
        """, sourceLocation: sourceLocation)
}

/// Drops chunks, halves first and single steps last, as long as some problem stays. Tries at most 2,000 lists.
func shrunk<Step>(
    _ steps: [Step], _ problem: String, check: ([Step]) -> String?
) -> (steps: [Step], problem: String) {
    var best = (steps: steps, problem: problem)
    var chunk = max(1, steps.count / 2)
    var triesLeft = 2000
    while triesLeft > 0 {
        var start = 0
        var isSmaller = false
        while start < best.steps.count, triesLeft > 0 {
            var candidate = best.steps
            candidate.removeSubrange(start..<min(start + chunk, candidate.count))
            triesLeft -= 1
            if let problem = check(candidate) {
                best = (candidate, problem)
                isSmaller = true
            } else {
                start += chunk
            }
        }
        if chunk == 1, !isSmaller { break }
        chunk = max(1, chunk / 2)
    }
    return best
}

/// Seeds that once found a bug: lines of `PROPERTY SEED`, the rest of a line is a note.
func keptSeeds(of name: String) -> [UInt64] {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../seeds/regressions/domain.txt")
    guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
    return text.split(separator: "\n").compactMap { line in
        let words = line.split(separator: " ")
        return words.count >= 2 && words[0] == name ? UInt64(words[1]) : nil
    }
}
