import Swarm

/// How long to rest after so many failures in a row: doubling up to a limit, half of it by chance, so that many who
/// failed together do not try again together.
struct Backoff: Hashable, Sendable {
    let minimumMilliseconds: Int64
    let maximumMilliseconds: Int64

    func rest(failures: Int, _ generator: inout SeededGenerator) -> Int64 {
        let doublings = Int64(max(0, min(failures - 1, 30)))
        let whole = min(minimumMilliseconds << doublings, maximumMilliseconds)
        return whole / 2 + Int64(generator.below(Int(whole - whole / 2) + 1))
    }
}
