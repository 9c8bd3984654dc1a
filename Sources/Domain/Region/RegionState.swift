/// What a region knows of one build's pack.
package struct RegionPack: Hashable, Sendable, Codable {
    package enum Phase: String, Hashable, Sendable, Codable, CaseIterable {
        /// Known from the global log, not yet in this store.
        case wanted
        /// In this store, read back and equal to its manifest.
        case stored
        /// Was stored, found missing or damaged; wanted again.
        case lost
        /// Retired, and not in this store any more.
        case removed
    }

    package var app: AppName
    package var attempt: AttemptNumber
    package var manifest: Digest
    package var packedBytes: UInt64
    /// Regions that may have it: where the worker uploaded it, and those that stored it since; ascending.
    package var sources: [RegionName]
    /// Regions that the global log says have stored it.
    package var confirmed = Confirmations()
    /// Whether its job has succeeded. Before that only the region it was uploaded to looks at it.
    package var isSettled: Bool
    package var phase: Phase
    /// The global sequence of the fact that made this attempt's pack known.
    package var since: LogSequence
    /// Set when the build is retired: it is not copied any more, and removed after the grace.
    package var retirement: RegionRetirement?
}

/// What a region knows of a build's retirement.
package struct RegionRetirement: Hashable, Sendable, Codable {
    /// The global sequence of the fact that says so.
    package var since: LogSequence
    /// When the pack may be removed, in log time.
    package var removeAfter: Timestamp
}

/// A neighbour region, as the global log names it.
package struct RegionNeighbour: Hashable, Sendable, Codable {
    package var endpoint: String
    package var status: RegionStatus
}

package enum PeerHealth: String, Hashable, Sendable, Codable, CaseIterable {
    /// Nothing runs, nothing is wanted.
    case idle
    case fetching
    case starting
    case healthy
    /// It tried and failed; it runs what it ran before, or nothing.
    case failed
    /// What runs is right, but its target has expired.
    case stale
}

/// What a peer says about one app.
package struct PeerApp: Hashable, Sendable, Codable {
    /// The target's revision it acts on.
    package var revision: Revision
    /// The build that runs; nil while none does.
    package var build: BuildID?
    package var health: PeerHealth
    package var detail: String

    package static let maximumDetailBytes = 300

    package init(revision: Revision, build: BuildID?, health: PeerHealth, detail: String = "") {
        (self.revision, self.build, self.health, self.detail) = (revision, build, health, detail)
    }
}

package struct PeerRecord: Hashable, Sendable, Codable {
    package var labels: [String: String]
    /// Where other peers fetch from it, as in `http://10.0.0.7:9000`.
    package var endpoint: String
    package var isSilent: Bool
    package var apps: [AppName: PeerApp]

    package static let maximumLabels = 8
    package static let maximumEndpointBytes = 256
}

/// A fact of the global log that concerns a region, as its feed hands it over.
package enum GlobalFact: Hashable, Sendable, Codable {
    /// A worker uploaded a pack to the named region's store.
    case packUploaded(BuildID, AppName, AttemptNumber, UploadedPack)
    /// A region read a pack back; its job has succeeded.
    case packStored(BuildID, AppName, AttemptNumber, UploadedPack, region: RegionName)
    case packLost(BuildID, region: RegionName)
    /// No target can name it any more: remove its pack after that time.
    case buildRetired(BuildID, removeAfter: Timestamp)
    /// The job ended otherwise: whatever was uploaded for it may go.
    case jobFailed(JobID)
    case target(Target)
    case region(RegionName, endpoint: String, RegionStatus)
    case settings(Settings)

    /// The build it is about.
    package var build: BuildID? {
        switch self {
        case .packUploaded(let build, _, _, _), .packStored(let build, _, _, _, _), .packLost(let build, _),
            .buildRetired(let build, _), .jobFailed(let build):
            build
        case .target, .region, .settings: nil
        }
    }
}

package enum RegionEvent: Hashable, Sendable {
    case log(LogEvent)
    /// One global fact taken over, with its sequence in the global log.
    case taken(GlobalFact, at: LogSequence)
    /// Everything up to this global position has been taken over.
    case followed(LogPosition)
    /// The global log is not the one followed before: from this common position the region derives again.
    case refollowed(LogPosition)
    case packStored(BuildID, AttemptNumber, manifest: Digest)
    case packLost(BuildID, detail: String)
    /// A retired build's pack is not in this store any more.
    case packRemoved(BuildID)
    case peerEnrolled(PeerName, labels: [String: String], endpoint: String)
    case peerChanged(PeerName, AppName, PeerApp)
    case peerSilent(PeerName)
    case peerReturned(PeerName)
}

/// Everything a regional log amounts to.
package struct RegionState: Hashable, Sendable, Codable {
    package internal(set) var log = LogState()
    /// The global position taken over; nil before the first.
    package internal(set) var position: LogPosition?
    package internal(set) var packs: [BuildID: RegionPack] = [:]
    /// The effective target of each app here: the greater revision of the global one and this region's own.
    package internal(set) var targets: [AppName: Target] = [:]
    package internal(set) var neighbours: [RegionName: RegionNeighbour] = [:]
    package internal(set) var peers: [PeerName: PeerRecord] = [:]
    /// What neighbours and settings were before, for the case that facts are taken back.
    var replaced = TakenChanges()
    package internal(set) var impossible: UInt64 = 0
    /// The newest job that any global fact named.
    package internal(set) var newestJob = JobID(rawValue: 0)
    /// Positions followed, some of them; the last one is `position`.
    package internal(set) var followed = FollowedPositions()
    /// Builds whose pack changed, for the mirror's plan; all of them when a region did.
    package internal(set) var packChanges = ChangeJournal<BuildID>()
    /// Apps whose level may have changed.
    package internal(set) var levelChanges = ChangeJournal<AppName>()

    package static let maximumPeers = 200_000
    /// Facts of one `take`: more is one commit that everybody waits for.
    package static let maximumTakenFacts = 25_000

    package init() {}

    /// Live peers, ascending.
    package var livePeers: [PeerName] { peers.filter { !$0.value.isSilent }.keys.sorted() }

    /// What a peer should run, by app.
    package func assignments(of peer: PeerName) -> [Assignment] {
        let labels = peers[peer]?.labels ?? [:]
        return targets.keys.sorted().compactMap { targets[$0] }.map {
            Assignment(
                app: $0.app, revision: $0.revision, build: $0.build(for: peer, labels: labels), expires: $0.expires)
        }
    }

    /// The apps whose level may have changed since an earlier count of `levelChanges`; all of them at nil.
    package func apps(changedAfter earlier: UInt64?) -> [AppName] {
        let changed = earlier.flatMap { levelChanges.names(after: $0) }
        return (changed?.filter { targets[$0] != nil } ?? Set(targets.keys)).sorted()
    }

    /// The numbers of one app's target here; nil while it has none.
    package func level(of app: AppName) -> RegionLevel? {
        guard let target = targets[app] else { return nil }
        var level = RegionLevel(
            app: app, revision: target.revision, selected: 0, healthy: 0, failed: 0, silent: 0)
        var failed: PeerName?
        for (name, peer) in peers where target.admits(name, labels: peer.labels) {
            let before = level.failed
            count(peer, target: target, into: &level)
            if level.failed > before { failed = min(failed ?? name, name) }
        }
        level.detail = failed.map { failure(of: app, on: $0) } ?? ""
        return level
    }

    private func count(_ peer: PeerRecord, target: Target, into level: inout RegionLevel) {
        if peer.isSilent {
            level.silent += 1
            return
        }
        level.selected += 1
        guard let app = peer.apps[target.app], app.revision >= target.revision else { return }
        switch app.health {
        case .healthy, .stale: if app.build == target.current.build { level.healthy += 1 }
        case .failed: level.failed += 1
        case .idle, .fetching, .starting: break
        }
    }

    private func failure(of app: AppName, on name: PeerName) -> String {
        let detail = peers[name]?.apps[app]?.detail ?? ""
        let bytes = Array("\(name): \(detail)".utf8.prefix(RegionLevel.maximumDetailBytes - 3))
        return String(decoding: bytes, as: UTF8.self)
    }
}
