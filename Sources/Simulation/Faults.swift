import Domain
import Swarm

/// What goes wrong, and when: one thing after another, as the seed has it.
extension Simulation {
    func faultAgain() {
        let pause =
            plan.faultPause.lowerBound
            + Int64(faultChance.below(Int(plan.faultPause.upperBound - plan.faultPause.lowerBound) + 1))
        world.after(pause * 1000) { [self] in
            guard !isCalm else { return }
            fault()
            faultAgain()
        }
    }

    private func fault() {
        switch world.below(100) {
        case ..<2: restore()
        case ..<12: crashGlobal()
        case ..<24: crashRegion()
        case ..<38: crashWorker()
        case ..<48: crashPeer()
        case ..<58: pause()
        case ..<68: partition()
        case ..<72: storm()
        case ..<80: failDisk()
        case ..<84: fillStore()
        case ..<89: damagePack()
        case ..<92: jumpClock()
        case ..<95: slowWorker()
        case ..<98: harmApp()
        default: endWorker()
        }
    }

    private var losesPower: Bool { world.below(2) == 0 }

    /// How long something stays down, in microseconds.
    private func downtime() -> Int64 {
        world.happens(perMille: 150) ? world.among(20_000_000...90_000_000) : world.among(50_000...6_000_000)
    }

    private func crashed(_ what: String, _ node: Node, start: @escaping () -> Void) {
        world.counts.note("fault: \(what)")
        world.note(node.name, what)
        let life = node.life
        world.after(downtime()) { if !node.isUp, node.life == life { start() } }
    }

    private func crashGlobal() {
        guard global.node.isUp else { return }
        let losesPower = losesPower
        global.crash(losesPower: losesPower)
        crashed(
            losesPower ? "global process loses power" : "global process is killed", global.node, start: global.start)
    }

    private func restore() {
        guard restoreGlobal() else { return }
        crashed("global machine is lost, its log restored from a backup", global.node, start: global.start)
    }

    private func crashRegion() {
        guard let region = world.pick(regions.filter(\.node.isUp)) else { return }
        let losesPower = losesPower
        region.crash(losesPower: losesPower)
        crashed(losesPower ? "region loses power" : "region is killed", region.node, start: region.start)
    }

    private func crashWorker() {
        guard let worker = world.pick(workers.filter(\.node.isUp)) else { return }
        worker.crash()
        crashed("worker is killed", worker.node, start: worker.start)
    }

    private func crashPeer() {
        guard let peer = world.pick(peers.filter(\.node.isUp)) else { return }
        let losesPower = losesPower
        peer.crash(losesPower: losesPower)
        crashed(losesPower ? "peer loses power" : "peer's agent is killed", peer.node, start: peer.start)
    }

    /// A process that is stopped, and goes on later as if nothing had been: a zombie, when its lease ends meanwhile.
    private func pause() {
        guard let node = world.pick(world.nodes.filter { $0.isUp && !$0.name.hasPrefix("client") }) else { return }
        world.counts.note("fault: process is stopped for a while")
        node.pausedUntil = world.now + world.among(500_000...(world.below(3) == 0 ? 90_000_000 : 5_000_000))
        world.note(node.name, "is stopped until \(node.pausedUntil / 1000) ms")
    }

    private func partition() {
        world.counts.note("fault: network is cut")
        if world.below(3) == 0, let from = world.pick(world.nodes), let to = world.pick(world.nodes) {
            world.network.cut(from: from.place, to: to.place)
        } else {
            for node in world.nodes { world.network.split(node.place, into: world.below(4) == 0 ? 1 : 0) }
        }
        world.note("network", "is cut")
        world.after(world.among(500_000...60_000_000)) { [world] in
            world.network.heal()
            world.note("network", "is whole")
        }
    }

    private func storm() {
        world.counts.note("fault: network is bad for a while")
        (world.network.lossPerMille, world.network.slowPerMille) = (10 + world.below(300), 100 + world.below(300))
        world.after(world.among(2_000_000...30_000_000)) { [self] in
            guard !isCalm else { return }
            (world.network.lossPerMille, world.network.slowPerMille) = (plan.lossPerMille, plan.slowPerMille)
        }
    }

    private func failDisk() {
        guard let fault = world.pick(AppendFault.allCases) else { return }
        world.counts.note("fault: append \(fault)")
        let stores = [global.host.store, global.host.store] + regions.map(\.host.store)
        world.pick(stores)?.plan(fault)
    }

    private func fillStore() {
        guard let region = world.pick(regions) else { return }
        world.counts.note("fault: region's store is full")
        region.isFull = true
        world.after(world.among(1_000_000...40_000_000)) { region.isFull = false }
    }

    /// Never the last sound copy of what was read back once: no product could make it whole again.
    private func damagePack() {
        guard let region = world.pick(regions), let key = world.pick(region.packs.keys.sorted()),
            let pack = region.packs[key]
        else { return }
        let isSettled = regions.contains {
            world.readBacks.contains(ReadBackFact(manifest: pack.facts.digest, region: $0.name))
        }
        let others = regions.filter {
            $0 !== region && $0.packs[key]?.isSound == true
                && checks.targets.stored[key.build]?.contains($0.name) == true
                && checks.fleet.status($0.name) == .live
        }
        if isSettled, pack.isSound, others.isEmpty { return }
        world.note(region.name.rawValue, "pack of build \(key.build) is damaged")
        if world.below(2) == 0 {
            world.counts.note("fault: pack is damaged")
            region.packs[key]?.isSound = false
        } else {
            world.counts.note("fault: pack is gone")
            region.packs[key] = nil
        }
    }

    /// Never by much of a target's life: to a region whose clock is ahead by all of it every target has expired.
    private func jumpClock() {
        let most = min(3_600_000, Int64(checks.settings.targetLifetimeSeconds) * 20)
        guard let node = world.pick(world.nodes) else { return }
        world.counts.note("fault: clock jumps")
        let jump = world.among(1000...(world.below(4) == 0 ? max(most, 1000) : max(min(most, 30_000), 1000)))
        node.clock.jump(milliseconds: world.below(2) == 0 ? jump : -jump)
    }

    private func slowWorker() {
        guard let worker = world.pick(workers) else { return }
        world.counts.note("fault: worker is slow")
        worker.slowness = worker.slowness == 1 ? 1 + Int64(world.below(8)) : 1
    }

    private func harmApp() {
        guard let peer = world.pick(peers.filter(\.node.isUp)), let app = world.pick(peer.processes.keys.sorted())
        else { return }
        world.counts.note("fault: app is harmed")
        peer.harm(app, ends: world.below(2) == 0)
    }

    /// A shutdown in good order; somebody starts it again.
    private func endWorker() {
        guard let worker = world.pick(workers.filter(\.node.isUp)) else { return }
        world.counts.note("fault: worker is told to end")
        let life = worker.node.life
        if world.below(2) == 0 { worker.drain() } else { worker.shutdown() }
        world.after(world.among(1_000_000...60_000_000)) {
            if worker.node.life == life { worker.crash() }
            if !worker.node.isUp { worker.start() }
        }
    }
}
