/// Numbers found by a hash of what they stand for: a table of open addressing that grows without asking for any hash
/// again, and forgets without leaving marks.
///
/// Source: Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithms L and R.
struct HashedNumbers: Sendable {
    /// A power of two of (hash, number) pairs, `hash << 32 | number`, and `empty` ones; at most half of them in use.
    private var slots: [UInt64] = []
    private(set) var count = 0

    /// The hash of no pair: `insert` stores another one for it.
    private static var empty: UInt64 { .max }

    /// The first number under this hash that is the right one.
    func first(hash: UInt32, where isRight: (UInt32) -> Bool) -> UInt32? {
        guard count > 0 else { return nil }
        let hash = Self.stored(hash)
        var place = home(hash)
        while slots[place] != Self.empty {
            let slot = slots[place]
            if UInt32(slot >> 32) == hash, isRight(UInt32(truncatingIfNeeded: slot)) {
                return UInt32(truncatingIfNeeded: slot)
            }
            place = next(place)
        }
        return nil
    }

    mutating func insert(_ number: UInt32, hash: UInt32) {
        if count * 2 >= slots.count { grow() }
        store(UInt64(Self.stored(hash)) << 32 | UInt64(number))
        count += 1
    }

    /// Takes out a number that stands there.
    mutating func remove(_ number: UInt32, hash: UInt32) {
        guard count > 0 else { return }
        let wanted = UInt64(Self.stored(hash)) << 32 | UInt64(number)
        var place = home(Self.stored(hash))
        while slots[place] != wanted {
            guard slots[place] != Self.empty else { return }
            place = next(place)
        }
        count -= 1
        closeGap(at: place)
    }

    /// What was put further because this place was taken moves back, so that a search may end at an empty place.
    private mutating func closeGap(at place: Int) {
        var gap = place
        var place = next(place)
        while slots[place] != Self.empty {
            let distance = (place &- home(UInt32(slots[place] >> 32))) & (slots.count - 1)
            if distance >= (place &- gap) & (slots.count - 1) {
                slots[gap] = slots[place]
                gap = place
            }
            place = next(place)
        }
        slots[gap] = Self.empty
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: Self.empty, count: max(16, old.count * 2))
        for slot in old where slot != Self.empty { store(slot) }
    }

    private mutating func store(_ slot: UInt64) {
        var place = home(UInt32(slot >> 32))
        while slots[place] != Self.empty { place = next(place) }
        slots[place] = slot
    }

    private func home(_ hash: UInt32) -> Int { Int(hash) & (slots.count - 1) }
    private func next(_ place: Int) -> Int { (place + 1) & (slots.count - 1) }

    private static func stored(_ hash: UInt32) -> UInt32 { hash == .max ? 0 : hash }
}
