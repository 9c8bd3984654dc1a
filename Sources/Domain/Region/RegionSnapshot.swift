/// What the global log amounts to for one region at a position: what all of its feed up to there comes to. It stands in
/// for parts of the feed that the leader does not have any more.
package struct RegionSnapshot: Hashable, Sendable, Codable {
    package var region: RegionName
    package var position: LogPosition
    /// In an order that a region can take them in.
    package var facts: [GlobalFact]

    /// Facts that a region takes over of one snapshot.
    package static let maximumFacts = 500_000

    package init(region: RegionName, position: LogPosition, facts: [GlobalFact]) {
        (self.region, self.position, self.facts) = (region, position, facts)
    }

    /// - Parameter position: where the log amounts to this state.
    package init(of state: GlobalState, at position: LogPosition, for region: RegionName) {
        (self.region, self.position) = (region, position)
        facts = [.settings(state.log.settings)]
        for (name, record) in state.fleet.regions.sorted(by: { $0.key < $1.key }) {
            facts.append(.region(name, endpoint: record.endpoint, record.status))
        }
        for (build, record) in state.queue.builds {
            let stored = state.replication.packs[build].flatMap { $0.attempt == record.attempt ? $0.stored : nil } ?? []
            let retirement = state.retention.retired[build]
            if record.pack.region == region, retirement == nil {
                facts.append(.packUploaded(build, record.app, record.attempt, record.pack))
            }
            for name in stored {
                facts.append(.packStored(build, record.app, record.attempt, record.pack, region: name))
            }
            if let retirement { facts.append(.buildRetired(build, removeAfter: retirement.removeAfter)) }
        }
        for job in state.queue.running {
            guard let open = state.queue.jobs[job], let pack = open.attempt?.pack, pack.region == region else {
                continue
            }
            facts.append(.packUploaded(job, open.request.app, open.attempts, pack))
        }
        let targets = state.targets.apps.values.flatMap { $0.values.map(\.target) }.filter { $0.scope.includes(region) }
        facts += targets.sorted { $0.revision < $1.revision }.map { .target($0) }
    }

    /// Regions that hold each build's pack, and those whose pack this region has to look at.
    fileprivate var packs: (stored: [BuildID: [RegionName]], named: Set<BuildID>) {
        var (stored, named) = ([BuildID: [RegionName]](), Set<BuildID>())
        for fact in facts {
            if let build = fact.build { named.insert(build) }
            if case .packStored(let build, _, _, _, let region) = fact { stored[build, default: []].append(region) }
        }
        return (stored, named)
    }
}

extension RegionState {
    /// The facts that lead from here to a snapshot, in order: what has vanished first, then what is new. What is known
    /// keeps the sequence that made it known.
    package func difference(to snapshot: RegionSnapshot) -> [GlobalFact] {
        let (stored, named) = snapshot.packs
        var facts: [GlobalFact] = []
        for build in packs.keys.sorted() {
            guard let pack = packs[build] else { continue }
            if !named.contains(build), !pack.isSettled {
                facts.append(.jobFailed(build))
            } else {
                let left = Set(stored[build] ?? [])
                facts += pack.confirmed.regions.filter { !left.contains($0) }.map { .packLost(build, region: $0) }
            }
        }
        return facts + snapshot.facts.filter { isNews($0, stored) }
    }

    /// `stored`: the builds that the snapshot makes known, and where they are.
    private func isNews(_ fact: GlobalFact, _ stored: [BuildID: [RegionName]]) -> Bool {
        switch fact {
        case .packUploaded(let build, _, let attempt, let pack): return !knows(build, attempt, pack)
        case .packStored(let build, _, let attempt, let pack, let region):
            guard knows(build, attempt, pack), let known = packs[build] else { return true }
            return !known.isSettled || !known.confirmed.contains(region)
        case .target(let target): return targets[target.app].map { $0.revision < target.revision } ?? true
        case .region(let name, let endpoint, let status):
            return neighbours[name] != RegionNeighbour(endpoint: endpoint, status: status)
        case .settings(let settings): return log.settings != settings
        case .buildRetired(let build, let end):
            return packs[build].map { $0.retirement?.removeAfter != end } ?? (stored[build] != nil)
        case .packLost, .jobFailed: return true
        }
    }

    private func knows(_ build: BuildID, _ attempt: AttemptNumber, _ pack: UploadedPack) -> Bool {
        packs[build]?.attempt == attempt && packs[build]?.manifest == pack.manifest
    }

    /// Takes what a snapshot says and this region does not know, as facts at the snapshot's position: its state stays a
    /// function of its own log. Only ever forwards, on the log that is followed and in its epoch: whether what was taken
    /// in an older one is on the leader's chain cannot be known before its anchor, so the region begins anew there.
    func adopt(_ snapshot: RegionSnapshot) -> Decision<RegionEvent, Regional.Answer> {
        let (next, facts) = (snapshot.position, difference(to: snapshot))
        guard facts.count <= RegionSnapshot.maximumFacts else {
            return .refused(
                Refusal(.limitReached, "a snapshot says \(facts.count) facts, above \(RegionSnapshot.maximumFacts)"))
        }
        if let position {
            guard position.log == next.log else {
                return .refused(
                    Refusal(.forked, "the snapshot is of log \(next.log), this region follows \(position.log)"))
            }
            guard next.sequence > position.sequence, next.epoch == position.epoch || position.sequence == .zero else {
                return .refused(
                    Refusal(
                        .outOfOrder,
                        "the snapshot is at \(next.sequence) of epoch \(next.epoch), and "
                            + "\(position.sequence) of epoch \(position.epoch) is taken: follow, or go back first"))
            }
        }
        return .accepted(facts.map { .taken($0, at: next.sequence) } + [.followed(next)], .done)
    }
}
