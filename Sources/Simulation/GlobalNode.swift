import Codec
import Domain
import Engine
import Ports
import Projectors

/// What the global process answers to a command.
enum CallAnswer {
    case accepted(GlobalAnswer, at: LogPosition)
    case refused(Refusal)
    /// No answer that counts: nothing was done, or it is not known.
    case unavailable(EngineFailure.Code)
}

/// What it answers to a worker's claim.
enum ClaimCallAnswer {
    case job(ClaimedWork)
    case nothing
    case refused(Refusal)
    case unavailable
}

struct ClaimedWork {
    var job: JobID
    var attempt: AttemptNumber
    var request: JobRequest
    var heartbeatSeconds: UInt32
    var jobTimeoutSeconds: UInt32
}

/// A part of the feed, as it goes over the network.
enum FeedCallAnswer {
    case part(facts: [TakenFact], position: LogPosition)
    /// Not on the leader's chain; where to go on from, if it knows.
    case forked(LogPosition?)
    case unavailable
}

/// What is proved of a pack: in the product a signed manifest's bytes, here the facts that the world needs of it.
struct PackFacts: Hashable {
    var app: AppName
    var build: BuildID
    var attempt: AttemptNumber
    /// What the bytes are, so that two packs are told apart.
    var content: UInt64
    var packedBytes: UInt64
    /// The manifest's.
    var digest: Digest

    init(app: AppName, build: BuildID, attempt: AttemptNumber, content: UInt64, packedBytes: UInt64) {
        (self.app, self.build, self.attempt) = (app, build, attempt)
        (self.content, self.packedBytes) = (content, packedBytes)
        digest = Digest(words: content, build.rawValue, attempt.rawValue, packedBytes)
    }

    /// A pack that a recorded log names.
    init(_ build: BuildID, _ recorded: Build) {
        (app, self.build, attempt) = (recorded.app, build, recorded.attempt)
        (content, packedBytes, digest) = (
            build.rawValue, min(recorded.pack.packedBytes, 1 << 20), recorded.pack.manifest
        )
    }
}

/// The global process: an engine, its projectors, its listening for regions, and the calls of its API.
final class GlobalNode {
    let node: Node
    let host: EngineHost<Global>
    private unowned let world: World
    /// In memory only, anew with every start.
    private var presence: Presence<RegionName>
    /// Signed manifests, durable before the event that names them.
    private(set) var manifests: [Digest: PackFacts] = [:]
    /// No command is accepted since a follower was found ahead; outlives restarts.
    private(set) var frozen: EngineFailure?
    var onFrozen: () -> Void = {}
    /// The next start begins a new epoch.
    var newEpochReason: String?
    /// Said to the log at every start, as the product's flags are.
    var retention: RetentionSettings?
    private let feedLimits: FeedLimits
    private(set) var heard: [RegionName: HeardTimes] = [:]
    private(set) var starts = HeardTimes()

    init(
        world: World, identity: LogIdentity, configuration: EngineConfiguration, feedLimits: FeedLimits,
        mutant: EngineHost<Global>.MutantMaker?
    ) {
        node = world.add("global")
        (self.world, self.feedLimits) = (world, feedLimits)
        presence = Presence(clock: node.clock)
        host = EngineHost(
            world: world, node: node, identity: identity, codec: GlobalCodec(), configuration: configuration,
            recentBatches: Self.recentBatches, mutant: mutant)
        host.onFailure = { [unowned self] in world.restartSoon(node, crash: crash, start: start) }
    }

    // MARK: Life

    func start() {
        node.isUp = true
        presence = Presence(clock: node.clock)
        starts.note(world.now)
        for region in heard.keys { heard[region]?.note(world.now) }
        host.configuration.newEpochReason = newEpochReason
        if newEpochReason != nil { frozen = nil }
        host.start { [self] in
            newEpochReason = nil
            world.notes?.globalStarted()
            run(globalPlans + [regionSilencePlan(presence)])
            sayRetention()
        }
    }

    /// Retention's projectors begin when the log has its numbers.
    private func sayRetention() {
        guard let retention else { return run(retentionPlans) }
        command(.retention(.changeSettings(retention)), actor: .system) { [self] answer in
            switch answer {
            case .accepted: run(retentionPlans)
            case .refused, .unavailable(.stopped): break
            case .unavailable:
                world.after(milliseconds: Self.retentionRestMilliseconds, on: node) { [self] in sayRetention() }
            }
        }
    }

    private func run(_ plans: [ProjectorPlan<Global>]) {
        for plan in plans { ProjectorRunner(plan, world: world, host: host) { [self] in submit($0, answer: $1) }.run() }
    }

    func crash(losesPower: Bool) {
        world.down(node)
        host.crash(losesPower: losesPower)
    }

    /// On another machine, with what a backup had.
    func restore(to position: LogPosition, manifests: [Digest: PackFacts]) {
        host.skip(to: position)
        (self.manifests, frozen) = (manifests, nil)
    }

    /// Has the manifests that a recorded log names.
    func adopt(_ facts: PackFacts) { manifests[facts.digest] = facts }

    // MARK: Calls

    private func submit(
        _ submission: Submission<GlobalCommand>, answer: @escaping (EngineHost<Global>.Answer) -> Void
    ) {
        if let frozen { return answer(.failure(frozen)) }
        host.submit(submission, answer: answer)
    }

    func command(
        _ command: GlobalCommand, actor: EventActor, key: String? = nil, answer: @escaping (CallAnswer) -> Void
    ) {
        submit(Submission(command: command, actor: actor, key: key)) { result in
            switch result {
            case .success(.accepted(let found, let position)): answer(.accepted(found, at: position))
            case .success(.refused(let refusal, _)): answer(.refused(refusal))
            case .failure(let failure): answer(.unavailable(failure.code))
            }
        }
    }

    /// The next job for a worker, or nothing when none came within the wait.
    func claim(
        _ worker: WorkerName, key: String, waitMilliseconds: Int64, answer: @escaping (ClaimCallAnswer) -> Void
    ) {
        let deadline = node.monotonic + waitMilliseconds
        host.read { [self] state, position, now in
            switch state.claimStep(worker, key: key, now: now) {
            case .wait: claimLater(worker, key: key, after: position.sequence, deadline, answer)
            case .submit(let derived):
                command(.queue(.claim(worker)), actor: .worker(worker), key: derived) { [self] outcome in
                    switch outcome {
                    case .accepted(.queue(.nothingToClaim), let position):
                        claimLater(worker, key: key, after: position.sequence, deadline, answer)
                    case .accepted(.queue(.claimed(let job, let attempt, let request, _, let seconds)), _):
                        claimed(job, attempt, request, heartbeatSeconds: seconds, answer)
                    case .accepted: world.broken("answers-fit", "a claim was answered in another's words")
                    case .refused(let refusal): answer(.refused(refusal))
                    case .unavailable: answer(.unavailable)
                    }
                }
            }
        }
    }

    private func claimLater(
        _ worker: WorkerName, key: String, after sequence: LogSequence, _ deadline: Int64,
        _ answer: @escaping (ClaimCallAnswer) -> Void
    ) {
        let left = deadline - node.monotonic
        guard left > 0 else { return answer(.nothing) }
        host.awaitChange(after: sequence, milliseconds: left) { [self] in
            let left = deadline - node.monotonic
            if left <= 0 {
                answer(.nothing)
            } else {
                claim(worker, key: key, waitMilliseconds: left, answer: answer)
            }
        }
    }

    private func claimed(
        _ job: JobID, _ attempt: AttemptNumber, _ request: JobRequest, heartbeatSeconds: UInt32,
        _ answer: @escaping (ClaimCallAnswer) -> Void
    ) {
        host.read { state, _, _ in
            answer(
                .job(
                    ClaimedWork(
                        job: job, attempt: attempt, request: request, heartbeatSeconds: heartbeatSeconds,
                        jobTimeoutSeconds: state.log.settings.jobTimeoutSeconds)))
        }
    }

    /// Whether the job is over for an attempt; false when it was not within the wait.
    func awaitEnd(
        _ job: JobID, _ attempt: AttemptNumber, waitMilliseconds: Int64, answer: @escaping (Bool) -> Void
    ) {
        let deadline = node.monotonic + waitMilliseconds
        host.read { [self] state, position, _ in
            guard state.queue.jobs[job]?.attempt?.number == attempt else { return answer(true) }
            let left = deadline - node.monotonic
            guard left > 0 else { return answer(false) }
            host.awaitChange(after: position.sequence, milliseconds: left) { [self] in
                awaitEnd(job, attempt, waitMilliseconds: max(0, deadline - node.monotonic), answer: answer)
            }
        }
    }

    /// Keeps the manifest, then reports; as the API does, a pack of an attempt that is over has none.
    func reportUploaded(
        _ job: JobID, _ attempt: AttemptNumber, _ facts: PackFacts, region: RegionName, worker: WorkerName,
        key: String, answer: @escaping (CallAnswer) -> Void
    ) {
        host.read { [self] state, _, _ in
            let known = state.knownAttempt(job, attempt, of: .worker(worker))
            if known != nil { manifests[facts.digest] = facts }
            let pack = UploadedPack(
                manifest: known == nil ? .zero : facts.digest, region: region, rawBytes: facts.packedBytes,
                packedBytes: facts.packedBytes)
            command(
                .queue(.reportUploaded(job, attempt, pack)), actor: .worker(worker), key: known == nil ? nil : key,
                answer: answer)
        }
    }

    func hear(_ region: RegionName) {
        presence.note(region)
        heard[region, default: starts].note(world.now)
    }

    // MARK: The feed

    private static let framesAtOnce = 2000
    private static let recentBatches = 4096
    private static let retentionRestMilliseconds: Int64 = 1000

    func feed(
        for region: RegionName, after asked: LogPosition?, waitMilliseconds: Int64,
        answer: @escaping (FeedCallAnswer) -> Void
    ) {
        hear(region)
        let (start, head) = (asked ?? .start(of: host.store.identity), host.head)
        let here = start.sequence <= head.sequence ? try? host.store.position(at: start.sequence) : nil
        switch FeedVerdict(of: start, head: head, here: here) {
        case .follow: break
        case .otherLog: return answer(.forked(nil))
        case .goBack(let origin): return answer(.forked(origin))
        case .freeze(let message):
            world.counts.note("forked leader")
            if frozen == nil { onFrozen() }
            frozen = EngineFailure(code: .forked, message: message)
            return answer(.forked(nil))
        }
        feed(
            FeedPart(after: start, limits: feedLimits), for: region, deadline: node.monotonic + waitMilliseconds,
            answer: answer)
    }

    func snapshot(for region: RegionName, answer: @escaping (RegionSnapshot) -> Void) {
        hear(region)
        host.read { state, head, _ in answer(RegionSnapshot(of: state, at: head, for: region)) }
    }

    private func feed(
        _ start: FeedPart, for region: RegionName, deadline: Int64, answer: @escaping (FeedCallAnswer) -> Void
    ) {
        host.read { [self] state, head, _ in
            var part = start
            take(upTo: head.sequence, into: &part, for: region, state)
            let left = deadline - node.monotonic
            guard part.facts.isEmpty, !part.isFull, left > 0 else {
                return answer(.part(facts: part.facts, position: part.position))
            }
            host.awaitChange(after: head.sequence, milliseconds: left) { [self] in
                feed(part, for: region, deadline: deadline, answer: answer)
            }
        }
    }
}

extension GlobalNode {
    /// Out of what is at hand, else off the disk.
    private func take(
        upTo head: LogSequence, into part: inout FeedPart, for region: RegionName, _ state: GlobalState
    ) {
        do {
            while part.position.sequence < head, !part.isFull {
                let before = part.position
                if let recent = host.recent.behind(before.sequence) {
                    for seen in recent where seen.batch.end.sequence <= head {
                        try take(seen, into: &part, for: region, state)
                        if part.isFull { break }
                    }
                } else {
                    for batch in try host.store.read(after: before.sequence, maximumFrames: Self.framesAtOnce)
                    where batch.end.sequence <= head {
                        try take(SeenBatch(batch, host.codec), into: &part, for: region, state)
                    }
                }
                if part.position == before { break }
            }
        } catch {
            world.broken("feed-reads", "\(error)")
        }
    }

    private func take(
        _ seen: SeenBatch<GlobalEvent>, into part: inout FeedPart, for region: RegionName, _ state: GlobalState
    ) throws(CodecFailure) {
        if let (_, message) = seen.unreadable { throw CodecFailure(.malformed, message) }
        part.take(seen.events, upTo: seen.batch.end, for: region, state: state)
    }
}

/// Performs what a projector's machine decides.
final class ProjectorRunner<A: Aggregate> {
    private let plan: ProjectorPlan<A>
    private unowned let world: World
    private let host: EngineHost<A>
    private let submit: (Submission<A.Command>, @escaping (EngineHost<A>.Answer) -> Void) -> Void
    private var machine: ProjectorMachine<A.Command>

    init(
        _ plan: ProjectorPlan<A>, world: World, host: EngineHost<A>,
        submit: @escaping (Submission<A.Command>, @escaping (EngineHost<A>.Answer) -> Void) -> Void
    ) {
        (self.plan, self.world, self.host, self.submit) = (plan, world, host, submit)
        machine = ProjectorMachine(looksAtChanges: plan.looksAtChanges)
    }

    func run() { perform(machine.started()) }

    private func perform(_ effect: ProjectorEffect<A.Command>) {
        switch effect {
        case .look:
            host.read { [self] state, position, now in
                perform(machine.looked(plan.plan(state, now), at: position.sequence, now: now))
            }
        case .submit(let command, let cause):
            let submission = Submission(
                command: command, actor: .projector(plan.name), cause: cause, isDerived: true)
            submit(submission) { [self] result in
                switch result {
                case .success(.accepted): perform(machine.accepted())
                case .success(.refused): perform(machine.refused())
                case .failure(let failure): perform(machine.failed(failure.code))
                }
            }
        case .rest(let milliseconds):
            world.after(milliseconds: milliseconds, on: host.node) { [self] in perform(machine.rested()) }
        case .awaitChange(let sequence, let milliseconds):
            host.awaitChange(after: sequence, milliseconds: milliseconds) { [self] in perform(machine.rested()) }
        case .end: break
        }
    }
}
