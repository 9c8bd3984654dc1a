/// What is due at one moment: `kind` says what, the two numbers whose.
struct Due: Sendable {
    enum Kind: UInt8, Sendable {
        case begin, announce, decide, wake, request, serve, giveUpWaiting, arrive, checked, tell, told, offer, offerEnds
        case offersChange, vanish, comeBack
    }

    /// Nanoseconds since the start.
    var time: Int64
    var first: UInt32
    var second: UInt32
    /// The place of the next one in the bucket, or of the next free place.
    fileprivate(set) var next: UInt32
    var kind: Kind
}

/// A ring of buckets, each a quarter of a millisecond wide and taken in the order in which things were put in it: that
/// order costs nothing to keep, and follows from the seed alone.
struct Calendar: Sendable {
    /// 262 us.
    private static let shift: Int64 = 18
    private static let bucketCount = 1 << 16
    /// The furthest that anything can be put off; 17 s.
    static let horizon: Int64 = Int64(bucketCount - 2) << shift
    private static let none = UInt32.max

    /// All that is due, and free places between it.
    private var dues: [Due] = []
    private var free = none
    private var firsts = [UInt32](repeating: none, count: bucketCount)
    private var lasts = [UInt32](repeating: none, count: bucketCount)
    private var current: Int64 = 0
    private var count = 0

    /// What is over is due next; what is beyond the horizon is put off again when that is reached.
    mutating func add(_ kind: Due.Kind, at time: Int64, _ first: UInt32, _ second: UInt32 = 0) {
        let place = keep(Due(time: time, first: first, second: second, next: Self.none, kind: kind))
        let furthest = current + Int64(Self.bucketCount - 1)
        let bucket = Int(max(current, min(time >> Self.shift, furthest))) & (Self.bucketCount - 1)
        if firsts[bucket] == Self.none {
            firsts[bucket] = place
        } else {
            dues[Int(lasts[bucket])].next = place
        }
        lasts[bucket] = place
        count += 1
    }

    private mutating func keep(_ due: Due) -> UInt32 {
        guard free != Self.none else {
            dues.append(due)
            return UInt32(dues.count - 1)
        }
        let place = free
        free = dues[Int(place)].next
        dues[Int(place)] = due
        return place
    }

    /// Nil when nothing is due any more.
    mutating func next() -> Due? {
        while let due = take() {
            guard due.time >> Self.shift > current else { return due }
            add(due.kind, at: due.time, due.first, due.second)
        }
        return nil
    }

    private mutating func take() -> Due? {
        guard count > 0 else { return nil }
        while firsts[Int(current) & (Self.bucketCount - 1)] == Self.none { current += 1 }
        let bucket = Int(current) & (Self.bucketCount - 1)
        let place = firsts[bucket]
        let due = dues[Int(place)]
        firsts[bucket] = due.next
        dues[Int(place)].next = free
        free = place
        count -= 1
        return due
    }
}
