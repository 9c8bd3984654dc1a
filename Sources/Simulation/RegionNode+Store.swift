import Domain
import Engine
import Region
import Swarm

/// The store: uploads, what the mirror does, and the checks of what is there.
extension RegionNode {
    private static let lookMilliseconds: Int64 = 20
    private static let restMilliseconds: Int64 = 1000
    private static let checkMilliseconds: Int64 = 15_000
    private static let reportMilliseconds: Int64 = 10_000

    // MARK: Uploads

    func upload(_ facts: PackFacts, answer: @escaping (UploadAnswer) -> Void) {
        guard !isFull, hasRoom(facts) else { return answer(.full) }
        world.after(milliseconds: world.among(5...400), on: node) { [self] in
            packs[StoredKey(build: facts.build, attempt: facts.attempt)] = StoredPack(facts: facts, isSound: true)
            answer(.taken)
        }
    }

    /// Drops what other attempts of these builds left.
    func tidy(_ builds: Set<BuildID>) {
        guard !builds.isEmpty else { return }
        host.read { [self] state, _, _ in
            let leftovers = packs.keys.filter {
                builds.contains($0.build) && isLeftover($0.attempt, of: state.packs[$0.build])
            }
            for key in leftovers { packs[key] = nil }
        }
    }

    // MARK: The mirror

    func lookAgain() {
        look()
        host.awaitChange(after: host.head.sequence, milliseconds: Self.restMilliseconds) { [self] in
            world.after(milliseconds: Self.lookMilliseconds, on: node) { [self] in lookAgain() }
        }
    }

    private func look() {
        let seen = mirror.seen
        host.read { [self] state, _, now in
            let changes = state.mirrorChanges(after: seen, here: name)
            for name in mirror.learned(changes, logTime: now, now: node.monotonic) { shelf[name] = nil }
            goOn()
        }
    }

    private func goOn() {
        for step in mirror.next(now: node.monotonic) {
            perform(step) { [self] isGood in
                if isGood {
                    if let withdrawn = mirror.succeeded(step, now: node.monotonic) { shelf[withdrawn] = nil }
                } else {
                    world.counts.note("mirror step failed")
                    mirror.failed(step, now: node.monotonic)
                }
                world.after(0, on: node) { [self] in goOn() }
            }
        }
    }

    private func perform(_ step: MirrorStep, then: @escaping (Bool) -> Void) {
        switch step {
        case .effect(.verifyUpload(let build, let attempt, _, let digest)):
            withManifest(digest, then) { [self] in verify($0, StoredKey(build: build, attempt: attempt), then) }
        case .effect(.mirror(let build, let attempt, _, let digest, let regions)):
            withManifest(digest, then) { [self] in
                copy($0, StoredKey(build: build, attempt: attempt), from: regions, then)
            }
        case .effect(.reportStored(let build, let attempt, let digest)):
            tell("pack stored", .packStored(build, attempt, region: name, manifest: digest)) {
                then($0?.isAccepted == true)
            }
        case .effect(.reportLost(let build)):
            tell("pack lost", .packLost(build, region: name, detail: "missing or damaged")) {
                then($0?.isAccepted == true)
            }
        case .effect(.remove(let build, let app, _)): remove(PackName(app: app, build: build), then)
        case .effect(.reportRemoved(let build)):
            tell("pack removed", .packRemoved(build, region: name)) { then($0?.isAccepted == true) }
        case .offer(let pack):
            withManifest(pack.manifest, then) { [self] in offer($0, pack, then) }
        }
    }

    /// From this store, else from the global process, then kept.
    private func withManifest(
        _ digest: Digest, _ failed: @escaping (Bool) -> Void, _ body: @escaping (PackFacts) -> Void
    ) {
        if let facts = manifests[digest] { return body(facts) }
        call("manifest") { [self] answer in
            answer(global.manifests[digest])
        } then: { [self] (facts: PackFacts??) in
            guard let facts, let facts else { return failed(false) }
            manifests[digest] = facts
            body(facts)
        }
    }

    /// Reads the pack back: the world remembers that these bytes were seen whole in this store.
    private func readBack(_ facts: PackFacts, _ key: StoredKey, _ body: @escaping (ReadBack) -> Void) {
        world.after(milliseconds: world.among(2...150), on: node) { [self] in
            if isBlind { return body(.sound) }
            guard let stored = packs[key] else { return body(.missing) }
            guard stored.isSound, stored.facts == facts else { return body(.damaged) }
            world.noteReadBack(facts.digest, in: name)
            body(.sound)
        }
    }

    private enum ReadBack {
        case sound, missing, damaged
    }

    private func verify(_ facts: PackFacts, _ key: StoredKey, _ then: @escaping (Bool) -> Void) {
        readBack(facts, key) { [self] found in
            switch found {
            case .sound: stored(facts, key, then)
            case .missing: unsound(key, then)
            case .damaged:
                packs[key] = nil
                unsound(key, then)
            }
        }
    }

    private func unsound(_ key: StoredKey, _ then: @escaping (Bool) -> Void) {
        host.read { [self] state, _, _ in
            switch UnsoundPack(key.attempt, of: state.packs[key.build]) {
            case .lost: lost(key, then)
            case .failedAttempt:
                tell("upload failed", .queue(.reportFailed(key.build, key.attempt, .artifact, detail: "damaged"))) {
                    then($0?.isAccepted == true)
                }
            case .forgotten: then(true)
            }
        }
    }

    private func stored(_ facts: PackFacts, _ key: StoredKey, _ then: @escaping (Bool) -> Void) {
        let command = RegionCommand.packStored(key.build, key.attempt, manifest: facts.digest)
        let submission = Submission(command: command, actor: .projector("mirror"), isDerived: true)
        host.submit(submission) { [self] result in
            switch result {
            case .success(.accepted):
                tidy([key.build])
                then(true)
            case .success(.refused):
                packs[key] = nil
                then(false)
            case .failure: then(false)
            }
        }
    }

    private func lost(_ key: StoredKey, _ then: @escaping (Bool) -> Void) {
        host.read { [self] state, _, _ in
            guard state.packs[key.build]?.attempt == key.attempt else { return then(true) }
            submit(.packLost(key.build, detail: "missing or damaged"), projector: "store", then: then)
        }
    }

    // MARK: Copies

    private func copy(
        _ facts: PackFacts, _ key: StoredKey, from regions: [RegionName], _ then: @escaping (Bool) -> Void
    ) {
        if packs[key] != nil { return verifyCopy(facts, key, then) }
        guard !isFull, hasRoom(facts) else { return then(false) }
        let sources = neighbours.filter { regions.contains($0.name) }
        copy(facts, key, from: sources[...], then)
    }

    /// One source after another, until one gives pieces that are what the manifest says.
    private func copy(
        _ facts: PackFacts, _ key: StoredKey, from sources: ArraySlice<RegionNode>, _ then: @escaping (Bool) -> Void
    ) {
        guard let source = sources.first else { return then(false) }
        world.call("copy", from: node, to: source.node, timeoutMilliseconds: 60_000) { [world] answer in
            world.after(milliseconds: world.among(5...500), on: source.node) {
                let given = source.shelf[PackName(app: facts.app, build: facts.build)]?.facts
                let isSound = source.packs[key]?.isSound
                answer(given.flatMap { isSound == true ? $0 : nil })
            }
        } then: { [self] (given: PackFacts??) in
            guard let given, given == facts else { return copy(facts, key, from: sources.dropFirst(), then) }
            packs[key] = StoredPack(facts: facts, isSound: true)
            verifyCopy(facts, key, then)
        }
    }

    private func verifyCopy(_ facts: PackFacts, _ key: StoredKey, _ then: @escaping (Bool) -> Void) {
        readBack(facts, key) { [self] found in
            switch found {
            case .sound: stored(facts, key, then)
            case .missing: then(false)
            case .damaged:
                packs[key] = nil
                then(false)
            }
        }
    }

    // MARK: Retired builds

    private func remove(_ pack: PackName, _ then: @escaping (Bool) -> Void) {
        host.read { [self] state, _, now in
            guard state.isRemovable(pack.build, now: now) else { return then(true) }
            shelf[pack] = nil
            world.after(milliseconds: world.among(1...50), on: node) { [self] in
                if !isLazy {
                    world.noteRemoval(of: pack.build, by: self)
                    packs = packs.filter { $0.key.build != pack.build }
                }
                noteRemoved(pack.build, then)
            }
        }
    }

    private func noteRemoved(_ build: BuildID, _ then: @escaping (Bool) -> Void) {
        let submission = Submission(
            command: RegionCommand.packRemoved(build), actor: .projector("mirror"), isDerived: true)
        host.submit(submission) { [self] result in
            switch result {
            case .success(.accepted): then(true)
            case .success(.refused):
                host.read { [self] state, _, _ in
                    guard let attempt = state.packs[build]?.attempt else { return then(true) }
                    lost(StoredKey(build: build, attempt: attempt), then)
                }
            case .failure: then(false)
            }
        }
    }

    private func hasRoom(_ facts: PackFacts) -> Bool { usedBytes + facts.packedBytes <= storeBytes }

    private var usedBytes: UInt64 { packs.values.reduce(0) { $0 + $1.facts.packedBytes } }

    /// Tells how full the store is, as the product does: what is proved here, over what it may take.
    func reportStore(_ told: ToldStore) {
        host.read { [self] state, _, _ in
            var told = told
            let used = state.storedBytes
            let level = StoreLevel(
                usedBytes: used, freeBytes: storeBytes > used ? storeBytes - used : 0, sizeBytes: storeBytes)
            guard let news = told.looked(at: level, follows: state.position?.epoch) else { return reportLater(told) }
            tell("report store", .fleet(.regionStore(name, news))) { [self] answer in
                if case .accepted? = answer { told.told(news) }
                reportLater(told)
            }
        }
    }

    private func reportLater(_ told: ToldStore) {
        world.after(milliseconds: Self.reportMilliseconds, on: node) { [self] in reportStore(told) }
    }

    // MARK: Offers and checks

    private func offer(_ facts: PackFacts, _ pack: OfferedPack, _ then: @escaping (Bool) -> Void) {
        let key = StoredKey(build: pack.name.build, attempt: pack.attempt)
        guard packs[key]?.facts == facts else { return lost(key, then) }
        let count = facts.layout.pieceCount
        shelf[pack.name] = ShelvedPack(
            facts: facts,
            ledger: MirrorLedger(
                available: PieceSet(pieceCount: count, pieces: 0..<count), seed: facts.content,
                firstVersion: UInt64(node.monotonic)))
        then(true)
    }

    /// Looks for packs that are missing, and reads one back now and then.
    func checkStore() {
        world.after(milliseconds: Self.checkMilliseconds, on: node) { [self] in
            checkStore()
            host.read { [self] state, _, _ in
                if !isLazy { tidy(Set(packs.keys.map(\.build)).filter { state.packs[$0] != nil }) }
                let stored = state.packs.filter { $0.value.phase == .stored }.keys.sorted()
                for build in stored {
                    guard let pack = state.packs[build] else { continue }
                    let key = StoredKey(build: build, attempt: pack.attempt)
                    if packs[key] == nil { lost(key) { _ in } }
                    if packs[key]?.isSound == false {
                        lost(key) { [self] isNoted in if isNoted { packs[key] = nil } }
                    }
                }
            }
        }
    }
}

extension CallAnswer {
    var isAccepted: Bool { if case .accepted = self { true } else { false } }
}

extension PackFacts {
    static let pieceBytes: UInt64 = 1 << 16

    var layout: PieceLayout {
        guard let layout = PieceLayout(pieceBytes: Self.pieceBytes, totalBytes: max(1, packedBytes)) else {
            preconditionFailure("packs of the simulation are small")
        }
        return layout
    }
}
