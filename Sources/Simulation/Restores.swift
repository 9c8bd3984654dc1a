import Codec
import Domain
import Ports

/// A copy of the global log that is kept elsewhere, and what was known when it was made.
struct WorldBackup {
    var position: LogPosition
    var checks: GlobalChecks
    var answers: [String: GlobalAnswer]
    var manifests: [Digest: PackFacts]
}

/// What the world remembers of branches of the global log that a restore cut off. Regions and peers may hold on to them.
struct LostBranches {
    /// The ends of their batches: an answer that names one is nobody's promise any more.
    private var ends: Set<Digest> = []
    private var targets: [Revision: [Target]] = [:]
    private var named: [AppName: Set<ProvedBuild>] = [:]

    mutating func add(_ gone: [LogPosition], _ before: TargetChecks) {
        ends.formUnion(gone.map(\.chain))
        for (revision, target) in before.issued where targets[revision]?.contains(target) != true {
            targets[revision, default: []].append(target)
        }
        named.merge(before.named) { $0.union($1) }
    }

    func holds(_ position: LogPosition) -> Bool { ends.contains(position.chain) }

    func targets(of revision: Revision) -> [Target] { targets[revision] ?? [] }

    func hasNamed(_ build: ProvedBuild, for app: AppName) -> Bool { named[app]?.contains(build) == true }
}

/// The global process's machine is lost, and another goes on from a backup: with a new epoch, or without one by mistake.
extension Simulation {
    private static let keptBackups = 4

    func backUpAgain() {
        world.after(world.among(3_000_000...30_000_000)) { [self] in
            guard !isCalm else { return }
            backUp()
            backUpAgain()
        }
    }

    private func backUp() {
        guard global.node.isUp, let position = checks.log.end else { return }
        backups.append(
            WorldBackup(position: position, checks: checks, answers: answers, manifests: global.manifests))
        if backups.count > Self.keptBackups { backups.removeFirst() }
    }

    /// - Returns: false where there is no backup.
    func restoreGlobal() -> Bool {
        guard let backup = world.pick(backups) else { return false }
        global.crash(losesPower: true)
        lost.add(global.host.store.restore(to: backup.position), checks.targets)
        backups.removeAll { $0.position.sequence > backup.position.sequence }
        (checks, answers) = (backup.checks, backup.answers)
        if acknowledged?.sequence ?? .zero > backup.position.sequence { acknowledged = backup.position }
        global.restore(to: backup.position, manifests: backup.manifests)
        nextComparison = .zero
        if world.below(4) == 0 {
            world.counts.note("restored without a new epoch")
        } else {
            global.newEpochReason = "restored from a backup"
        }
        return true
    }

    /// The log is found forked: sooner or later somebody reads why, and starts it again with a new epoch.
    func globalFroze() {
        world.after(world.among(1_000_000...40_000_000)) { [self] in
            guard global.frozen != nil else { return }
            if global.node.isUp { global.crash(losesPower: false) }
            global.newEpochReason = "it was found forked"
            global.start()
        }
    }
}
