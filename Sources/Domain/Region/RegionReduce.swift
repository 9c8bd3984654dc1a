extension RegionState {
    /// Takes one fact. Total: an event that makes no sense here is counted and changes nothing else.
    package mutating func reduce(_ event: RegionEvent, at time: Timestamp) {
        switch event {
        case .log(let event): log.reduce(event, at: time)
        case .taken(let fact, let sequence): take(fact, at: sequence)
        case .followed(let position): followed(position)
        case .refollowed(let position): refollowed(position)
        case .packStored(let build, let attempt, let manifest):
            guard let pack = packs[build], pack.attempt == attempt, pack.manifest == manifest else { return note() }
            packs[build]?.phase = .stored
            packChanges.note(build)
        case .packLost(let build, _):
            guard let pack = packs[build], pack.phase != .lost, pack.phase != .removed else { return note() }
            packs[build]?.phase = .lost
            packChanges.note(build)
        case .packRemoved(let build):
            guard let pack = packs[build], pack.retirement != nil else { return note() }
            packs[build]?.phase = .removed
            packChanges.note(build)
        case .peerEnrolled(let name, let labels, let endpoint):
            let apps = peers[name]?.apps ?? [:]
            peers[name] = PeerRecord(labels: labels, endpoint: endpoint, isSilent: false, apps: apps)
            levelChanges.noteEverything()
        case .peerChanged(let name, let app, let report):
            guard let peer = peers[name], report.revision >= peer.apps[app]?.revision ?? .zero else { return note() }
            peers[name]?.apps[app] = report
            levelChanges.note(app)
        case .peerSilent(let name): setSilent(name, true)
        case .peerReturned(let name): setSilent(name, false)
        }
    }

    private mutating func setSilent(_ name: PeerName, _ isSilent: Bool) {
        guard peers[name] != nil else { return note() }
        peers[name]?.isSilent = isSilent
        levelChanges.noteEverything()
    }

    private mutating func followed(_ position: LogPosition) {
        self.position = position
        followed.followed(FollowedPosition(position, newestJob: newestJob))
    }

    /// What only the other branch knew is forgotten, its job numbers are given again; target revisions stay a floor.
    private mutating func refollowed(_ position: LogPosition) {
        newestJob = followed.newestJob(upTo: position.sequence)
        followed(position)
        replaced.goBack(to: position.sequence)
        packChanges.noteEverything()
        packs = packs.filter { $0.value.since <= position.sequence }.mapValues { pack in
            var pack = pack
            pack.confirmed.goBack(to: position.sequence)
            if let retirement = pack.retirement, retirement.since > position.sequence {
                // It is not retired there: what was removed is lost.
                pack.retirement = nil
                if pack.phase == .removed { pack.phase = .lost }
            }
            return pack
        }
    }

    private mutating func take(_ fact: GlobalFact, at sequence: LogSequence) {
        if let build = fact.build {
            newestJob = max(newestJob, build)
            packChanges.note(build)
        }
        switch fact {
        case .packUploaded(let build, let app, let attempt, let pack):
            know(build, app, attempt, pack, source: pack.region, at: sequence)
        case .packStored(let build, let app, let attempt, let pack, let region):
            know(build, app, attempt, pack, source: region, at: sequence)
            guard packs[build]?.attempt == attempt else { return }
            packs[build]?.isSettled = true
            packs[build]?.confirmed.insert(region, at: sequence)
        case .packLost(let build, let region):
            packs[build]?.sources.removeAll { $0 == region }
            packs[build]?.confirmed.remove(region, at: sequence)
        case .buildRetired(let build, let end):
            let since = packs[build]?.retirement?.since ?? sequence
            packs[build]?.retirement = RegionRetirement(since: since, removeAfter: end)
        case .jobFailed(let job): if packs[job]?.isSettled == false { packs[job] = nil }
        case .target(let target):
            if let old = targets[target.app], old.revision >= target.revision { return }
            targets[target.app] = target
            levelChanges.note(target.app)
        case .region(let name, let endpoint, let status):
            noteReplaced(.neighbour(name, neighbours[name]), at: sequence)
            neighbours[name] = RegionNeighbour(endpoint: endpoint, status: status)
            packChanges.noteEverything()
        case .settings(let settings):
            noteReplaced(.settings(log.settings), at: sequence)
            log.settings = settings
        }
    }

    /// What is taken at the position itself makes it what it was there: it replaces what the lost branch said.
    private mutating func noteReplaced(_ before: TakenChanges.Before, at sequence: LogSequence) {
        if sequence > position?.sequence ?? .zero { replaced.note(before, at: sequence) }
    }

    /// A later attempt replaces an earlier one's pack; an earlier one is passed over.
    private mutating func know(
        _ build: BuildID, _ app: AppName, _ attempt: AttemptNumber, _ uploaded: UploadedPack, source: RegionName,
        at sequence: LogSequence
    ) {
        if let old = packs[build], old.attempt > attempt { return }
        if packs[build]?.attempt != attempt || packs[build]?.manifest != uploaded.manifest {
            packs[build] = RegionPack(
                app: app, attempt: attempt, manifest: uploaded.manifest, packedBytes: uploaded.packedBytes,
                sources: [uploaded.region], isSettled: false, phase: .wanted, since: sequence)
        }
        guard let sources = packs[build]?.sources, !sources.contains(source) else { return }
        packs[build]?.sources.insert(source, at: sources.firstIndex { $0 > source } ?? sources.count)
    }

    private mutating func note() { impossible += 1 }
}
