import Codec
import Domain
import Engine
import Ports
import Synchronization

/// The writer of an aggregate with a planted bug.
protocol MutantWriting<State, Command, Answer> {
    associatedtype State
    associatedtype Command: Sendable
    associatedtype Answer: Sendable

    var state: State { get }
    var head: LogPosition { get }
    var logTime: Timestamp { get }
    var tickMilliseconds: Int { get }

    mutating func start() throws(EngineFailure)
    mutating func take(_ submissions: [Submission<Command>], fact: LogEvent?) -> Taken<State, Answer>
}

/// What a turn of the writer came to.
struct Taken<State, Answer: Sendable> {
    var answers: [Result<CommandOutcome<Answer>, EngineFailure>]
    var hashable: (state: State, at: LogSequence)?
    var failure: EngineFailure?
}

/// The last fold of a log, kept beside the world: what a start goes on from, as far as it is still on the log's chain.
/// That every state is a fold of the whole is looked at by itself.
final class KeptReplay<A: Aggregate>: Sendable {
    private let kept = Mutex<Replay<A>?>(nil)

    func whole(
        _ store: SimulatedStore, codec: any EventCodec<A.Event>, hashing: StateHashing
    ) throws(EngineFailure) -> Replay<A> {
        let replay: Replay<A>
        if let kept = kept.withLock({ $0 }), (try? store.position(at: kept.head.sequence)) == kept.head {
            replay = try kept.continued(from: store)
        } else {
            replay = try Replay<A>.whole(store, codec: codec, hashing: hashing)
        }
        kept.withLock { $0 = replay }
        return replay
    }
}

extension EngineWriter {
    /// Over a simulated disk, on what was kept of its last fold.
    init(
        store: SimulatedStore, codec: any EventCodec<A.Event>, clock: SimulatedClock,
        configuration: EngineConfiguration, kept: KeptReplay<A>
    ) throws(EngineFailure) {
        let hashing = configuration.hashing
        self.init(
            after: try kept.whole(store, codec: codec, hashing: hashing), store: store, codec: codec, clock: clock,
            configuration: configuration
        ) { () throws(EngineFailure) in try kept.whole(store, codec: codec, hashing: hashing) }
    }

    mutating func take(_ submissions: [Submission<A.Command>], fact: LogEvent?) -> Taken<A.State, A.Answer> {
        let turn = take(submissions, facts: fact.map { [$0] } ?? [])
        let hashable = turn.kept.flatMap { $0.isHashed ? ($0.state, $0.position.sequence) : nil }
        return Taken(answers: turn.answers, hashable: hashable, failure: turn.failure)
    }
}

/// The engine's own writer of a mutant.
struct MutantWriter<A: Aggregate>: MutantWriting {
    private var writer: EngineWriter<A>

    init(
        store: SimulatedStore, codec: any EventCodec<A.Event>, clock: SimulatedClock,
        configuration: EngineConfiguration, kept: KeptReplay<A>
    ) throws(EngineFailure) {
        writer = try EngineWriter(store: store, codec: codec, clock: clock, configuration: configuration, kept: kept)
    }

    var state: A.State { writer.core.state }
    var head: LogPosition { writer.core.head }
    var logTime: Timestamp { writer.core.clock.now }
    var tickMilliseconds: Int { writer.tickMilliseconds }

    mutating func start() throws(EngineFailure) { _ = try writer.start() }

    mutating func take(_ submissions: [Submission<A.Command>], fact: LogEvent?) -> Taken<A.State, A.Answer> {
        writer.take(submissions, fact: fact)
    }
}

/// One engine on a simulated machine: the writer's real turns over a simulated disk, each flush taking its time.
///
/// As with the engine's service, commands wait while a batch is flushed, and reads see durable state only.
final class EngineHost<A: Aggregate> {
    typealias Answer = Result<CommandOutcome<A.Answer>, EngineFailure>
    typealias Mutant = any MutantWriting<A.State, A.Command, A.Answer>
    typealias MutantMaker = (SimulatedStore, SimulatedClock, EngineConfiguration) throws(EngineFailure) -> Mutant

    /// The true writer. Behind a reference, so that a look at a part of it copies that part and no more.
    private final class Life {
        var writer: EngineWriter<A>

        init(_ writer: EngineWriter<A>) { self.writer = writer }
    }

    private struct Waiting {
        var submission: Submission<A.Command>
        var answer: (Answer) -> Void
    }

    private struct Waiter {
        var number: UInt64
        var after: LogSequence
        var body: () -> Void
    }

    unowned let world: World
    let node: Node
    let store: SimulatedStore
    let codec: any EventCodec<A.Event>
    var configuration: EngineConfiguration
    private let makeMutant: MutantMaker?
    private let kept = KeptReplay<A>()
    /// Invariant: one of the two while the process runs, none when it does not.
    private var life: Life?
    private var mutant: Mutant?
    private var inbox: [Waiting] = []
    private var reads: [(A.State, LogPosition, Timestamp) -> Void] = []
    private var waiters: [Waiter] = []
    private var lastWaiter: UInt64 = 0
    /// A turn is due, or its batch in flight.
    private var isTurning = false
    private var fact: LogEvent?
    /// The durable head, as others are told it.
    private(set) var head: LogPosition
    /// Sees every durable batch once, in order.
    var observe: (SeenBatch<A.Event>) -> Void = { _ in }
    private var observed = LogSequence.zero
    /// For those who follow the log.
    private(set) var recent: RecentBatches<A.Event>
    /// A key that was handed in; or whose command was answered as not written.
    var onKey: (_ key: String, _ isFailed: Bool) -> Void = { _, _ in }
    /// The process ends by itself: the log failed twice.
    var onFailure: () -> Void = {}
    /// One commit in a thousand is this slow.
    var slowFlushPerMille = 0

    init(
        world: World, node: Node, identity: LogIdentity, codec: any EventCodec<A.Event>,
        configuration: EngineConfiguration, recentBatches: Int = 0, mutant: MutantMaker? = nil
    ) {
        (self.world, self.node, self.codec, self.configuration) = (world, node, codec, configuration)
        makeMutant = mutant
        store = SimulatedStore(identity: identity)
        head = .start(of: identity)
        recent = RecentBatches(maximumBatches: recentBatches)
    }

    /// What is in the log already was seen elsewhere.
    func skip(to position: LogPosition) {
        (head, observed) = (position, position.sequence)
        forgetLost()
    }

    /// What is no longer on the disk is not at hand either.
    private func forgetLost() { recent.forget { (try? store.position(at: $0.sequence)) != $0 } }

    /// The state as the writer has it, maybe not durable yet: for checks only.
    var state: A.State? { isTurning ? nil : life?.writer.core.state ?? mutant?.state }

    private var isRunning: Bool { life != nil || mutant != nil }
    private var writtenHead: LogPosition? { life?.writer.core.head ?? mutant?.head }

    private func lend(_ body: (A.State, LogPosition, Timestamp) -> Void) {
        if let life {
            body(life.writer.core.state, life.writer.core.head, life.writer.core.clock.now)
        } else if let mutant {
            body(mutant.state, mutant.head, mutant.logTime)
        }
    }

    // MARK: Life

    /// Replays the log through the real decoder, and says that it has started; `ready` when that is durable.
    func start(ready: @escaping () -> Void) {
        do throws(EngineFailure) {
            try open()
            flush { [self] in
                tick()
                ready()
            }
        } catch {
            world.note(node.name, "does not start: \(error)")
            world.counts.note("start failed")
            (life, mutant, isTurning) = (nil, nil, false)
            store.settle()
            onFailure()
        }
    }

    private func open() throws(EngineFailure) {
        if let makeMutant {
            var started = try makeMutant(store, node.clock, configuration)
            try started.start()
            mutant = started
        } else {
            var started = try EngineWriter(
                store: store, codec: codec, clock: node.clock, configuration: configuration, kept: kept)
            _ = try started.start()
            life = Life(started)
        }
    }

    /// Forgets everything but the disk.
    func crash(losesPower: Bool) {
        let remains = store.crash(losesPower: losesPower, &world.chance)
        world.counts.note("in flight at a crash: \(remains.rawValue)")
        (life, mutant, isTurning, fact) = (nil, nil, false, nil)
        (inbox, reads, waiters) = ([], [], [])
        forgetLost()
    }

    // MARK: Commands and reads

    func submit(_ submission: Submission<A.Command>, answer: @escaping (Answer) -> Void) {
        guard isRunning else { return answer(.failure(EngineFailure(code: .stopped, message: "not started"))) }
        guard inbox.count < configuration.maximumWaiting else {
            return answer(.failure(EngineFailure(code: .busy, message: "too many commands wait")))
        }
        guard let key = submission.key else {
            inbox.append(Waiting(submission: submission, answer: answer))
            return turnSoon()
        }
        onKey(key, false)
        inbox.append(
            Waiting(submission: submission) { [self] result in
                if case .failure(let failure) = result, failure.code == .failed { onKey(key, true) }
                answer(result)
            })
        turnSoon()
    }

    /// Looks at the durable state: now, or behind the flush. Never at all if the process ends before.
    func read(_ body: @escaping (A.State, LogPosition, Timestamp) -> Void) {
        if isTurning, isRunning { reads.append(body) } else { lend(body) }
    }

    /// Runs the body when the durable head is past a sequence, or the time is over.
    func awaitChange(after sequence: LogSequence, milliseconds: Int64, _ body: @escaping () -> Void) {
        if head.sequence > sequence { return world.after(0, on: node, body) }
        lastWaiter += 1
        let number = lastWaiter
        waiters.append(Waiter(number: number, after: sequence, body: body))
        world.after(milliseconds: milliseconds, on: node) { [self] in
            guard let place = waiters.firstIndex(where: { $0.number == number }) else { return }
            waiters.remove(at: place)
            body()
        }
    }

    // MARK: Turns

    private func turnSoon() {
        guard !isTurning else { return }
        isTurning = true
        world.after(world.among(20...200), on: node) { [self] in turn() }
    }

    private func tick() {
        guard let milliseconds = life?.writer.tickMilliseconds ?? mutant?.tickMilliseconds else { return }
        world.after(milliseconds: Int64(milliseconds), on: node) { [self] in
            if !isTurning { turn() }
            tick()
        }
    }

    private func turn() {
        let work = Array(inbox.prefix(configuration.maximumBatch))
        let before = writtenHead?.sequence
        guard let taken = take(work, fact.take()) else { return }
        let hasMoved = writtenHead?.sequence != before
        // Most ticks find nothing: nobody waits for a turn that was only a look at the clock.
        if work.isEmpty, !hasMoved, taken.failure == nil {
            isTurning = false
            return
        }
        inbox.removeFirst(taken.answers.count)
        if let (state, sequence) = taken.hashable { hash(state, at: sequence) }
        let finish = { [self] in
            for (waiting, answer) in zip(work, taken.answers) { waiting.answer(answer) }
            if let failure = taken.failure {
                world.note(node.name, "ends: \(failure)")
                world.counts.note("engine ended by its log")
                onFailure()
            } else if !inbox.isEmpty {
                turnSoon()
            }
        }
        guard hasMoved else {
            isTurning = false
            return settle(finish)
        }
        flush(finish)
    }

    private func take(_ work: [Waiting], _ fact: LogEvent?) -> Taken<A.State, A.Answer>? {
        let submissions = work.map(\.submission)
        return life?.writer.take(submissions, fact: fact) ?? mutant?.take(submissions, fact: fact)
    }

    /// The disk takes its time; then the batch is durable, seen and answered.
    private func flush(_ finish: @escaping () -> Void) {
        isTurning = true
        let isSlow = world.happens(perMille: slowFlushPerMille)
        if isSlow { world.counts.note("slow flush") }
        world.after(world.among(isSlow ? 50_000...3_000_000 : 100...1500), on: node) { [self] in
            store.settle()
            isTurning = false
            settle(finish)
        }
    }

    private func settle(_ finish: () -> Void) {
        guard let position = writtenHead else { return }
        publish(position)
        let due = reads
        reads = []
        for read in due { lend(read) }
        finish()
        guard waiters.contains(where: { $0.after < head.sequence }) else { return }
        let ready = waiters.filter { $0.after < head.sequence }
        waiters.removeAll { $0.after < head.sequence }
        for waiter in ready { waiter.body() }
    }

    /// Everybody may see what is durable.
    private func publish(_ position: LogPosition) {
        guard position.sequence > observed else { return }
        head = position
        do throws(StoreFailure) {
            for batch in try store.read(after: observed, maximumFrames: .max) {
                world.counts.appended += UInt64(batch.frames.count)
                observed = batch.end.sequence
                let seen = SeenBatch(batch, codec)
                recent.add(seen)
                observe(seen)
            }
        } catch {
            world.broken("durable-log-reads", "\(node.name): \(error)")
        }
    }

    private func hash(_ state: A.State, at sequence: LogSequence) {
        guard let digest = try? StateCodec.stateHash(state) else { return }
        world.counts.note("state hashed")
        fact = .stateHashed(at: sequence, fingerprint: A.reducerFingerprint, digest: digest)
    }
}
