/// Numbers that follow from a seed alone (SplitMix64, Steele, Lea and Flood 2014): all the chance there is in here.
package struct SeededGenerator: RandomNumberGenerator, Hashable, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    /// One of `0..<bound`, each as likely as the others to within 2^-32. `bound` is 1 to 2^32.
    package mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0 && bound <= 1 << 32)
        return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }
}
