/// Which names changed lately, so that a plan costs what changed and not what exists: the count of all changes, and the
/// latest of their names.
package struct ChangeJournal<Name: Hashable & Sendable & Codable>: Hashable, Sendable, Codable {
    /// Names kept; at the limit the older half is forgotten.
    package static var maximumNames: Int { 4096 }

    /// Changes so far: what to ask after next time.
    package private(set) var count: UInt64 = 0
    /// Of the latest changes; the last one is number `count`.
    private var latest: [Name] = []

    init() {}

    mutating func note(_ name: Name) {
        count = following(count)
        latest.append(name)
        if latest.count >= Self.maximumNames { latest.removeFirst(latest.count / 2) }
    }

    /// Anything may have changed: who asks after an earlier count must look at everything.
    mutating func noteEverything() {
        count = following(count)
        latest = []
    }

    /// The names that changed after an earlier count; nil where that is not known any more.
    package func names(after earlier: UInt64) -> Set<Name>? {
        guard earlier <= count, count - earlier <= UInt64(latest.count) else { return nil }
        return Set(latest.suffix(Int(count - earlier)))
    }
}
