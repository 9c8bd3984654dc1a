/// Numbers from a seed (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"): the same everywhere.
package struct SeededNumbers: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// Other numbers for every place under the same seed.
    package init(seed: UInt64, at place: UInt64, _ part: UInt64) {
        var places = SeededNumbers(seed: seed ^ (place &* 0xD6E8_FEB8_6659_FD93))
        state = places.next() ^ (part &* 0xA076_1D64_78BD_642F)
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Below a limit above zero.
    package mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

    /// True once in so many times.
    package mutating func once(in times: Int) -> Bool { below(times) == 0 }
}
