/// When somebody was heard, in microseconds of the world's own clock: what silence is judged by. The listener's own start
/// counts as a word of everybody.
struct HeardTimes {
    /// A decision may wait for one flush and be flushed by another one before it is seen, by the listener's next life at times.
    private static let windowMicroseconds: Int64 = 6_500_000

    private var times: [Int64] = []

    mutating func note(_ now: Int64) {
        times.append(now)
        while times.count > 2, times[1] < now - Self.windowMicroseconds { times.removeFirst() }
    }

    /// Whether the silence was that long at some moment of late, so that calling it one was right when it was decided.
    func wasSilent(forMicroseconds limit: Int64, now: Int64) -> Bool {
        zip(times, times.dropFirst() + [now]).contains { since, end in
            end > now - Self.windowMicroseconds && end - since >= limit
        }
    }
}
