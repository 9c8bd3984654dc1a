import Swarm

/// How long to wait before the next try: doubled at each failure in a row, and differing between machines that failed
/// at one moment.
package struct Backoff: Sendable {
    private let first: Int64
    private let maximum: Int64
    private var failures: Int64 = 0
    private var generator: SeededGenerator

    package init(firstMilliseconds: Int64 = 500, maximumMilliseconds: Int64 = 10_000, seed: UInt64) {
        (first, maximum) = (firstMilliseconds, maximumMilliseconds)
        generator = SeededGenerator(seed: seed)
    }

    /// Half of it is chance.
    package mutating func nextMilliseconds() -> Int64 {
        let whole = min(first << min(failures, 20), maximum)
        failures += 1
        return whole / 2 + Int64(generator.below(Int(whole / 2) + 1))
    }

    package mutating func succeeded() { failures = 0 }
}
