import Codec
import Domain

/// Who and what a recorded log names, for a world that begins with it.
struct Past {
    private var state = GlobalState()

    init(_ history: [FrameBatch]) {
        let codec = GlobalCodec()
        for frame in history.lazy.flatMap(\.frames) {
            // What does not decode is found where the log is taken.
            if let envelope = try? codec.decode(frame) { Global.reduce(&state, envelope) }
        }
    }

    /// Those of the log that are not removed, or so many new ones.
    func regions(atLeast count: Int) -> [RegionName] {
        let known = state.fleet.regions.filter { $0.value.status != .removed }.keys.sorted()
        return known.isEmpty ? (1...count).map { RegionName(unchecked: "region-\($0)") } : known
    }

    func workers(atLeast count: Int) -> [(name: WorkerName, region: RegionName?)] {
        let known = state.fleet.workers.keys.sorted().prefix(16)
        guard known.isEmpty else { return known.map { ($0, state.fleet.workers[$0]?.region) } }
        return (1...count).map { (WorkerName(unchecked: "worker-\($0)"), nil) }
    }

    func apps(atLeast count: Int) -> [AppName] {
        let known = Set(state.queue.builds.values.map(\.app)).sorted().prefix(8)
        return known.isEmpty ? (1...count).map { AppName(unchecked: "app-\($0)") } : Array(known)
    }

    /// Packs, and the regions that have them; by build.
    var packs: [(facts: PackFacts, stored: [RegionName])] {
        state.replication.packs.keys.sorted().compactMap { build in
            guard let recorded = state.queue.builds[build], let pack = state.replication.packs[build] else {
                return nil
            }
            return (PackFacts(build, recorded), pack.stored)
        }
    }
}
