internal import DequeModule

/// A build that a person wants kept.
package struct Pin: Hashable, Sendable, Codable {
    package var actor: EventActor
    package var reason: String
    package var at: Timestamp
}

/// A build that is retired.
package struct Retirement: Hashable, Sendable, Codable {
    package var at: Timestamp
    package var cause: RetirementCause
    /// When regions may remove their packs.
    package var removeAfter: Timestamp
}

/// A build and its age.
struct AgedBuild: Hashable, Comparable, Sendable, Codable {
    var succeededAt: Timestamp
    var build: BuildID

    static func < (left: AgedBuild, right: AgedBuild) -> Bool {
        (left.succeededAt, left.build) < (right.succeededAt, right.build)
    }
}

/// What retention knows: who wants what kept, what is retired, and in which order the rest grows old.
package struct RetentionState: Hashable, Sendable, Codable {
    package internal(set) var settings = RetentionSettings()
    package internal(set) var pins: [BuildID: Pin] = [:]
    package internal(set) var retired = IdentifierTable<BuildID, Retirement>()
    /// Retired builds that some region still holds, ascending: few, since they are removed soon.
    package internal(set) var leaving: [BuildID] = []
    /// The region whose full store stops the claims; nil while they go on.
    package internal(set) var claimsStoppedBy: RegionName?
    /// Of each app, the last `keptBuilds` builds but for those retired since, ascending.
    private(set) var recent: [AppName: [AgedBuild]] = [:]
    /// All other builds that are not retired, ascending: the next to go stands first.
    private(set) var older = Deque<AgedBuild>()
    /// When a log that has builds came to know retention; nil for one that is younger.
    private(set) var begunAt: Timestamp?
    package internal(set) var impossible: UInt64 = 0

    package static let maximumPins = 10_000

    package init() {}

    /// Takes one fact. Total.
    mutating func reduce(_ event: RetentionEvent, builds: IdentifierTable<BuildID, Build>, _ header: FrameHeader) {
        switch event {
        case .settingsChanged(let settings):
            let isOther = settings.keptBuilds != self.settings.keptBuilds
            self.settings = settings
            if isOther { sortAnew(builds) }
        case .pinned(let build, let reason):
            guard builds[build] != nil, retired[build] == nil else { return note() }
            pins[build] = Pin(actor: header.actor, reason: reason, at: header.time)
        case .unpinned(let build, _): if pins.removeValue(forKey: build) == nil { note() }
        case .retired(let build, let cause, let removeAfter):
            guard let app = builds.look(build, { $0?.app }), let age = builds.look(build, { $0?.succeededAt }) else {
                return note()
            }
            let at = retired[build]?.at ?? header.time
            if retired[build] == nil { leaving.insert(build, at: place(of: build)) }
            retired[build] = Retirement(at: at, cause: cause, removeAfter: removeAfter)
            forget(AgedBuild(succeededAt: age, build: build), of: app)
        case .claimsStopped(let region): claimsStoppedBy = region
        case .claimsResumed: claimsStoppedBy = nil
        }
    }

    /// The log may hold retention's events from here on, and has builds that nobody could pin so far.
    mutating func began(at time: Timestamp) { begunAt = time }

    /// Nothing is retired before: a person has a grace to pin what must stay. Nil for never.
    var heldUntil: Timestamp? { begunAt.map { $0.adding(seconds: Int64(settings.graceSeconds)) } }

    /// A job has succeeded: its build is the newest of its app, and may be one too many.
    mutating func built(_ build: BuildID, of app: AppName, at time: Timestamp) {
        keep(AgedBuild(succeededAt: time, build: build), of: app)
    }

    /// No region holds the build any more.
    mutating func gone(_ build: BuildID) {
        let place = place(of: build)
        if place < leaving.count, leaving[place] == build { leaving.remove(at: place) }
    }

    /// A region that is back holds a retired build.
    mutating func back(_ build: BuildID) {
        let place = place(of: build)
        if place == leaving.count || leaving[place] != build { leaving.insert(build, at: place) }
    }

    private mutating func keep(_ aged: AgedBuild, of app: AppName) {
        var line = recent[app] ?? []
        line.insert(aged, at: line.firstIndex { $0 > aged } ?? line.count)
        if line.count > Int(settings.keptBuilds) {
            let first = line.removeFirst()
            older.insert(first, at: olderPlace(of: first))
        }
        recent[app] = line
    }

    private mutating func forget(_ aged: AgedBuild, of app: AppName) {
        pins[aged.build] = nil
        recent[app]?.removeAll { $0 == aged }
        let place = olderPlace(of: aged)
        if place < older.count, older[place] == aged { older.remove(at: place) }
    }

    /// Costs what is not retired; the number of builds is seldom changed.
    private mutating func sortAnew(_ builds: IdentifierTable<BuildID, Build>) {
        let all = (Array(older) + recent.values.flatMap { $0 }).sorted()
        (recent, older) = ([:], [])
        for aged in all { if let app = builds.look(aged.build, { $0?.app }) { keep(aged, of: app) } }
    }

    private func place(of build: BuildID) -> Int { leaving.firstIndex { $0 >= build } ?? leaving.count }

    /// The first place at or behind which a build may stand in `older`.
    private func olderPlace(of aged: AgedBuild) -> Int {
        var (low, high) = (0, older.count)
        while low < high {
            let middle = (low + high) / 2
            if older[middle] < aged { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func note() { impossible += 1 }
}
