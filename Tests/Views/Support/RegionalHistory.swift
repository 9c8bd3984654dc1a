import Codec
import Domain

typealias RegionalHistory = History<Regional>

extension History where A == Regional {
    /// A region that takes over facts from a small world, in any believable order, and hears its peers.
    static func random(seed: UInt64, steps: Int) throws -> RegionalHistory {
        var history = RegionalHistory(codec: RegionalCodec())
        var random = SplitMix64(seed: seed)
        var global: UInt64 = 0
        try history.fact(.engineStarted(version: "1", level: 1))
        for _ in 0..<steps {
            history.wait(milliseconds: Int64(random.below(900)))
            switch random.below(10) {
            case 0..<5: try history.follow(&global, &random)
            case 5: try history.packStep(&random)
            default: try history.peerStep(&random)
            }
            if random.chance(1, in: 4) { try history.commit() }
        }
        try history.commit()
        return history
    }

    private mutating func follow(_ global: inout UInt64, _ random: inout SplitMix64) throws {
        if random.chance(1, in: 25), global > 10 {
            global -= 9
            try send(.refollow(position(global)))
            return
        }
        let from = global
        let facts = (0..<random.below(4)).map { _ in
            global += 1 + UInt64(random.below(3))
            return TakenFact(fact(&random), at: LogSequence(rawValue: global))
        }
        global += UInt64(random.below(3))
        try send(.take(from: LogSequence(rawValue: from), facts, position(global)), by: .projector("follower"))
    }

    private func position(_ sequence: UInt64) -> LogPosition {
        LogPosition(
            log: LogIdentity(high: 7, low: 7), epoch: .first, sequence: LogSequence(rawValue: sequence),
            chain: manifest(sequence))
    }

    private func fact(_ random: inout SplitMix64) -> GlobalFact {
        let build = JobID(rawValue: UInt64(1 + random.below(4)))
        let attempt = AttemptNumber(rawValue: UInt64(1 + random.below(3)))
        let name = region(random.pick(["eu", "us", "ap"]))
        let pack = UploadedPack(
            manifest: manifest(build.rawValue * 10 + attempt.rawValue + (random.chance(1, in: 9) ? 5 : 0)),
            region: region(random.pick(["eu", "us"])), rawBytes: 9, packedBytes: 5)
        switch random.below(14) {
        case 12, 13: return .buildRetired(build, removeAfter: now)
        case 0..<3: return .packUploaded(build, app("web"), attempt, pack)
        case 3..<6: return .packStored(build, app("web"), attempt, pack, region: name)
        case 6: return .packLost(build, region: name)
        case 7: return .jobFailed(build)
        case 8, 9: return .target(target(build, &random))
        case 10: return .region(name, endpoint: "http://\(random.below(2))", random.pick(RegionStatus.allCases))
        default: return .settings(Settings())
        }
    }

    private func target(_ build: BuildID, _ random: inout SplitMix64) -> Target {
        let revision = Revision(epoch: .first, number: UInt64(1 + random.below(40)))
        return Target(
            app: app(random.pick(["web", "api"])), scope: random.pick([.global, .region(region("eu"))]),
            revision: revision, deployment: revision, current: ProvedBuild(build: build, manifest: manifest(9)),
            base: nil, previous: nil, selector: .all, admittedShare: 10_000, actor: .person("ada"), reason: "",
            issued: now, expires: now.adding(seconds: 60))
    }

    private mutating func packStep(_ random: inout SplitMix64) throws {
        let builds = state.packs.keys.sorted()
        guard !builds.isEmpty else { return }
        let build = random.pick(builds)
        guard let pack = state.packs[build] else { return }
        if pack.retirement != nil, random.chance(1, in: 2) {
            try send(.packRemoved(build))
        } else if random.chance(1, in: 3) {
            try send(.packLost(build, detail: "it's gone"))
        } else {
            try send(.packStored(build, pack.attempt, manifest: pack.manifest))
        }
    }

    private mutating func peerStep(_ random: inout SplitMix64) throws {
        let name = peer("p\(random.below(4))")
        switch random.below(8) {
        case 0, 1:
            try send(
                .enrol(name, labels: ["zone": "z\(random.below(2))", "a": "1"], endpoint: "http://\(random.below(2))"))
        case 2: try send(.peerSilent(name))
        case 3: try send(.peerReturn(name))
        default:
            let report = PeerApp(
                revision: Revision(epoch: .first, number: UInt64(random.below(9))),
                build: random.chance(1, in: 4) ? nil : JobID(rawValue: UInt64(random.below(5))),
                health: random.pick(PeerHealth.allCases), detail: "d\(random.below(2))")
            try send(.peerReport(name, app(random.pick(["web", "api"])), report), by: .peer(name))
        }
    }
}
