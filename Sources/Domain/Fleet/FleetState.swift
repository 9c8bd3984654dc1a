package enum RegionStatus: String, Hashable, Sendable, Codable, CaseIterable {
    case live
    /// Silent for `regionSilentSeconds`; its own report brings it back.
    case silent
    /// Suspended by an operator, and only brought back by one.
    case suspended
    case removed

    /// Whether a deployment waits for it.
    package var isLive: Bool { self == .live }
}

/// What a region says about one app: the latest aggregate, no row a peer.
package struct RegionLevel: Hashable, Sendable, Codable {
    package var app: AppName
    /// The target's revision that these numbers are about.
    package var revision: Revision
    /// Live peers that the target selects.
    package var selected: UInt32
    /// Of these, the ones that run what they should, healthy.
    package var healthy: UInt32
    /// Of these, the ones that tried and failed.
    package var failed: UInt32
    /// Selected peers that are silent, and so not counted above.
    package var silent: UInt32
    /// What one failed peer says; empty when none failed.
    package var detail: String

    package static let maximumDetailBytes = 300

    package init(
        app: AppName, revision: Revision, selected: UInt32, healthy: UInt32, failed: UInt32, silent: UInt32,
        detail: String = ""
    ) {
        (self.app, self.revision, self.selected) = (app, revision, selected)
        (self.healthy, self.failed, self.silent, self.detail) = (healthy, failed, silent, detail)
    }
}

package struct RegionRecord: Hashable, Sendable, Codable {
    package var status: RegionStatus
    /// Where its services answer, as in `http://10.0.0.1:7071`.
    package var endpoint: String
    package var levels: [AppName: RegionLevel]
    /// Its store, as it said last; nil before.
    package var store: StoreLevel?
    /// What the packs take that this log says it has: what decisions about its store count, for the region's own number
    /// may already be without what it has removed and not yet said.
    package internal(set) var packBytes: UInt64 = 0

    package init(status: RegionStatus, endpoint: String, levels: [AppName: RegionLevel]) {
        (self.status, self.endpoint, self.levels) = (status, endpoint, levels)
    }
}

package struct WorkerRecord: Hashable, Sendable, Codable {
    package var region: RegionName
    /// Waiting since then for a job; nil while it works or was never seen waiting.
    package var waitingSince: Timestamp?
    package var isDraining: Bool
    /// The attempt it claimed last and that has not ended.
    package var job: JobID?

    package init(region: RegionName, waitingSince: Timestamp?, isDraining: Bool, job: JobID?) {
        (self.region, self.waitingSince, self.isDraining, self.job) = (region, waitingSince, isDraining, job)
    }

    fileprivate mutating func claimed(_ job: JobID) {
        waitingSince = nil
        self.job = job
    }

    fileprivate mutating func ended(_ job: JobID) {
        if self.job == job { self.job = nil }
    }
}

/// Why a region's status changed.
package enum RegionChange: Hashable, Sendable, Codable {
    /// No word from it for `regionSilentSeconds`.
    case silence
    /// Its own report ended its silence.
    case report
    /// A person asked for it.
    case request(reason: String)
}

package enum FleetEvent: Hashable, Sendable {
    /// A new region, or one that is back after silence, or has a new endpoint.
    case regionJoined(RegionName, endpoint: String)
    case regionStatusChanged(RegionName, RegionStatus, RegionChange)
    case regionLevel(RegionName, RegionLevel)
    /// How full its store is, when that has changed by a percent or so.
    case regionStore(RegionName, StoreLevel)
    /// A worker seen for the first time, or in another region than before.
    case workerJoined(WorkerName, region: RegionName)
    case workerWaiting(WorkerName)
    case workerDrain(WorkerName, isDraining: Bool)
}

package struct FleetState: Hashable, Sendable, Codable {
    package internal(set) var regions: [RegionName: RegionRecord] = [:]
    package internal(set) var workers: [WorkerName: WorkerRecord] = [:]
    package internal(set) var impossible: UInt64 = 0

    package static let maximumRegions = 64
    package static let maximumWorkers = 10_000
    /// Of one report.
    package static let maximumLevels = 500
    package static let maximumEndpointBytes = 256

    package init() {}

    /// Live regions, ascending: what "replicated everywhere" is measured over.
    package var liveRegions: [RegionName] { regions.filter { $0.value.status.isLive }.keys.sorted() }

    /// Removed regions, ascending: their copies count no more.
    package var removedRegions: [RegionName] { regions.filter { $0.value.status == .removed }.keys.sorted() }

    /// Takes one fact. Total.
    package mutating func reduce(_ event: FleetEvent, at time: Timestamp) {
        switch event {
        case .regionJoined(let name, let endpoint):
            var region = regions[name] ?? RegionRecord(status: .live, endpoint: endpoint, levels: [:])
            region.endpoint = endpoint
            if region.status == .removed || region.status == .silent { region.status = .live }
            regions[name] = region
        case .regionStatusChanged(let name, let status, _):
            if regions[name] == nil { impossible += 1 }
            regions[name]?.status = status
        case .regionLevel(let name, let level):
            guard let region = regions[name], level.revision >= region.levels[level.app]?.revision ?? .zero else {
                impossible += 1
                return
            }
            regions[name]?.levels[level.app] = level
        case .regionStore(let name, let store):
            if regions[name] == nil { impossible += 1 }
            regions[name]?.store = store
        case .workerJoined(let name, let region):
            var worker = workers[name] ?? WorkerRecord(region: region, waitingSince: nil, isDraining: false, job: nil)
            worker.region = region
            workers[name] = worker
        case .workerWaiting(let name):
            if workers[name] == nil { impossible += 1 }
            workers[name]?.waitingSince = time
            workers[name]?.job = nil
        case .workerDrain(let name, let isDraining):
            if workers[name] == nil { impossible += 1 }
            workers[name]?.isDraining = isDraining
            if isDraining { workers[name]?.waitingSince = nil }
        }
    }

    /// A region has a pack.
    mutating func holds(_ bytes: UInt64, in name: RegionName) {
        changeBytes(of: name) { min($0 + min(bytes, StoreLevel.maximumBytes), StoreLevel.maximumBytes) }
    }

    /// It has that pack no more.
    mutating func freed(_ bytes: UInt64, in name: RegionName) { changeBytes(of: name) { $0 - min(bytes, $0) } }

    private mutating func changeBytes(of name: RegionName, _ body: (UInt64) -> UInt64) {
        guard var region = regions[name] else { return }
        region.packBytes = body(region.packBytes)
        regions[name] = region
    }

    mutating func claimed(_ job: JobID, by name: WorkerName) { change(name) { $0.claimed(job) } }

    mutating func ended(_ job: JobID, by name: WorkerName) { change(name) { $0.ended(job) } }

    /// Out, and in again: changing a value within a dictionary allocates three times, and every attempt comes here.
    private mutating func change(_ name: WorkerName, _ body: (inout WorkerRecord) -> Void) {
        guard var worker = workers[name] else { return }
        body(&worker)
        workers[name] = worker
    }
}
