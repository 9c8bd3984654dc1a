/// Which pieces of a tail the next one takes in, so that there are few pieces and each event is written a few times.
///
/// A piece's tier is how often 8 goes into its size over 4 KiB. When seven pieces of one tier stand at the end, the next
/// piece begins where they do. So a tail has at most seven pieces a tier, and an event is written once a tier.
package enum TailPlan {
    static let fanOut = 8
    static let smallestTierBytes: UInt64 = 4096

    static func tier(_ bytes: UInt64) -> Int {
        var (tier, limit) = (0, smallestTierBytes * UInt64(fanOut))
        while bytes >= limit, tier < 16 { (tier, limit) = (tier + 1, limit * UInt64(fanOut)) }
        return tier
    }

    /// How many pieces stay, given the sizes of all.
    package static func kept(_ bytes: [UInt64]) -> Int {
        var (kept, reached) = (bytes.count, 0)
        while true {
            let run = bytes[..<kept].reversed().prefix { tier($0) <= reached }.count
            guard run >= fanOut - 1 else { return kept }
            (kept, reached) = (kept - run, reached + 1)
        }
    }
}
