import Domain
import Swarm

/// What a seed makes of the world: who is in it, by which settings, and how badly it is treated.
struct WorldPlan {
    var regions = 1
    var workers = 2
    /// Of each region.
    var peers = 2
    var apps = 2
    var clients = 2
    var settings = Settings()
    /// Nil in a world that keeps what it builds.
    var retention: RetentionSettings?
    /// What a region's packs may take.
    var storeBytes: UInt64 = 1 << 50
    /// The regions' own start.
    var stateHashEvents: UInt64 = 100_000
    var feedFacts = 1000
    /// How long faults go on, in milliseconds of the world.
    var chaosMilliseconds: Int64 = 300_000
    var faultPause: ClosedRange<Int64> = 500...15_000
    var clientPause: ClosedRange<Int64> = 20...2000
    var buildMilliseconds: ClosedRange<Int64> = 200...20_000
    var lossPerMille = 0
    var duplicatesPerMille = 0
    var slowPerMille = 0
    var slowFlushPerMille = 0
    /// Whether the global machine is lost at times, and its log restored from a backup.
    var restores = false

    init(seed: UInt64) {
        chooseRetention(seed: seed)
        var generator = SeededGenerator(seed: seed ^ 0x5157_0f1a)
        func below(_ bound: Int) -> Int { generator.below(bound) }
        regions = 1 + below(3)
        workers = 1 + below(4)
        peers = below(4)
        apps = 1 + below(3)
        clients = 1 + below(3)
        settings.leaseSeconds = UInt32(10 + below(20))
        settings.heartbeatSeconds = UInt32(2 + below(4))
        settings.maximumAttempts = UInt32(1 + below(4))
        settings.jobTimeoutSeconds = UInt32(60 + below(120))
        settings.cancelGraceSeconds = UInt32(5 + below(20))
        settings.regionSilentSeconds = UInt32(20 + below(60))
        settings.peerSilentSeconds = UInt32(15 + below(20))
        settings.deploymentDeadlineSeconds = UInt32(60 + below(240))
        settings.targetLifetimeSeconds = UInt32(below(3) == 0 ? 120 + below(600) : 100_000)
        settings.convergedShare = below(3) == 0 ? 5000 : 10_000
        settings.maximumOpenJobs = UInt32(below(4) == 0 ? 5 : 1000)
        (chaosMilliseconds, clientPause, buildMilliseconds) =
            [
                (60_000, 1...40, 20...2000), (120_000, 2...150, 50...5000), (300_000, 20...2000, 200...20_000),
            ][below(3)]
        stateHashEvents = below(4) == 0 ? UInt64(50 + below(500)) : 100_000
        feedFacts = below(3) == 0 ? 1 + below(5) : 1000
        // One world in eight is left in peace: what breaks there needs no fault.
        guard below(8) != 0 else {
            faultPause = 1_000_000_000...1_000_000_000
            return
        }
        faultPause = [500...8000, 2000...20_000, 100...2000][below(3)]
        lossPerMille = [0, 0, 5, 30][below(4)]
        duplicatesPerMille = [0, 5, 50][below(3)]
        slowPerMille = [0, 5, 50][below(3)]
        slowFlushPerMille = [0, 0, 20][below(3)]
        restores = below(3) == 0
    }

    /// By chance of its own: what else a seed makes of the world stays.
    private mutating func chooseRetention(seed: UInt64) {
        var generator = SeededGenerator(seed: seed ^ 0x2e7e_4710)
        func below(_ bound: Int) -> Int { generator.below(bound) }
        guard below(3) != 0 else { return }
        var chosen = RetentionSettings()
        chosen.keptBuilds = UInt32(1 + below(4))
        chosen.keptSeconds = [0, 10, 60][below(3)]
        chosen.graceSeconds = [0, 5, 60][below(3)]
        retention = chosen
        // Packs have 64 KiB to 512 KiB.
        if below(2) == 0 { storeBytes = UInt64(8 + below(40)) << 18 }
    }
}
