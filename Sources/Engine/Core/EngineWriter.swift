package import Codec
package import Domain
package import Ports

/// A durable state with what a snapshot says beside it.
package struct DurableState<A: Aggregate>: Sendable {
    package var state: A.State
    package var position: LogPosition
    package var lastTime: Timestamp
    package var unknownEvents: UInt64
    /// Whether the log shall say its hash as well.
    package var isHashed: Bool
}

/// The single writer without its thread: commands in, one commit, answers out; after a failed commit, the recovery.
///
/// It owns nothing but values and looks at the world through two ports, the log's store and the clock, so that the
/// service's thread and the simulator run the same code. After a turn with a `failure` it must not be used again.
package struct EngineWriter<A: Aggregate>: Sendable {
    package typealias Core = EngineCore<A>
    package typealias Answer = Result<CommandOutcome<A.Answer>, EngineFailure>

    /// What one turn came to.
    package struct Turn: Sendable {
        /// One a command, in their order; fewer than there were when the batch was full: the others wait.
        package var answers: [Answer] = []
        /// What to hash and to keep a snapshot of.
        package var kept: DurableState<A>?
        /// A commit that failed.
        package var trouble: StoreFailure?
        /// The writer has ended, and why.
        package var failure: EngineFailure?
    }

    package private(set) var core: Core
    private let store: any LogStore
    private let codec: any EventCodec<A.Event>
    private let clock: any ClockSource
    private let configuration: EngineConfiguration
    private let replaying: @Sendable () throws(EngineFailure) -> Replay<A>
    /// Events that had to be folded to know the state at the start.
    private let foldedEvents: UInt64
    private let unknownEvents: UInt64
    /// Of the last durable frame.
    private var lastTime: Timestamp
    private var hasFailed = false

    /// - Parameter replaying: makes the state of the durable log again, after a failed commit.
    package init(
        after replay: Replay<A>, store: any LogStore, codec: any EventCodec<A.Event>, clock: any ClockSource,
        configuration: EngineConfiguration, replaying: @escaping @Sendable () throws(EngineFailure) -> Replay<A>
    ) {
        (self.store, self.codec, self.clock, self.configuration) = (store, codec, clock, configuration)
        self.replaying = replaying
        foldedEvents = replay.head.sequence.rawValue - replay.base.rawValue
        unknownEvents = replay.unknownEvents
        lastTime = replay.lastTime
        core = Core(
            state: replay.state, head: replay.head, codec: codec,
            clock: LogClock(after: replay.lastTime, reading: clock.read()))
    }

    /// Appends what every start says. A state that took long to fold is to be kept: whoever ends before the next one is
    /// due must not fold all of that again.
    package mutating func start() throws(EngineFailure) -> DurableState<A>? {
        var batch = Core.PendingBatch()
        if let reason = configuration.newEpochReason {
            guard reason.utf8.count <= EngineConfiguration.maximumReasonBytes else {
                throw EngineFailure(
                    code: .failed,
                    message: "the new epoch's reason is longer than \(EngineConfiguration.maximumReasonBytes) bytes"
                )
            }
            core.record(.epochStarted(epoch: core.head.epoch.next, reason: reason), into: &batch)
        }
        core.record(.engineStarted(version: configuration.version, level: LogState.supportedLevel), into: &batch)
        let old = A.log(core.state).settings
        do throws(Refusal) {
            let settings = try configuration.settings(old)
            if settings != old { core.record(.settingsChanged(settings), into: &batch) }
        } catch {
            throw EngineFailure(code: .failed, message: error.message)
        }
        do throws(StoreFailure) {
            let kept = try append(batch).kept
            return kept ?? (foldedEvents >= configuration.hashing.intervalEvents ? durableState() : nil)
        } catch {
            throw EngineFailure(code: .failed, message: error.description)
        }
    }

    package func durableState(isHashed: Bool = false) -> DurableState<A> {
        DurableState(
            state: core.state, position: core.head, lastTime: lastTime, unknownEvents: unknownEvents,
            isHashed: isHashed)
    }

    /// Often enough that an idle writer of the shortest lease is not taken for a stalled one.
    package var tickMilliseconds: Int {
        let lease = Int(A.log(core.state).settings.leaseSeconds) * 1000
        return min(configuration.maximumTickMilliseconds, max(lease / 16, 10))
    }

    /// Decides the commands in turn, as many as fit one batch, and commits them; none is only a look at the clock.
    ///
    /// - Parameter facts: the engine's own, to stand first.
    @specialized(where A == Global) @specialized(where A == Regional)
    package mutating func take(_ submissions: [Submission<A.Command>], facts: [LogEvent] = []) -> Turn {
        let before = core.clock
        var batch = Core.PendingBatch()
        for fact in facts { core.record(fact, into: &batch) }
        core.tick(clock.read(), into: &batch)
        for submission in submissions {
            if batch.frames.count >= configuration.maximumBatchFrames { break }
            core.decide(submission, into: &batch)
        }
        return commit(batch, clock: before)
    }

    /// Makes a batch durable.
    @discardableResult
    private mutating func append(_ batch: Core.PendingBatch) throws(StoreFailure) -> Turn {
        let before = core.head.sequence
        let position = try store.append(batch.frames)
        var turn = Turn(answers: core.committed(batch, at: position).map { .success($0) })
        lastTime = batch.frames.last?.header.time ?? lastTime
        if configuration.hashing.isDue(after: before, at: position.sequence) {
            turn.kept = durableState(isHashed: true)
        }
        return turn
    }

    private mutating func commit(_ batch: Core.PendingBatch, clock: LogClock) -> Turn {
        guard !batch.frames.isEmpty else {
            return Turn(answers: core.committed(batch, at: core.head).map { .success($0) })
        }
        do throws(StoreFailure) {
            let turn = try append(batch)
            hasFailed = false
            return turn
        } catch {
            return recover(from: error, batch, clock: clock)
        }
    }

    /// After a failed or unknown commit: reopen, see whether the batch is in the log, answer everyone truly, and
    /// start again from the durable log. A second failure in a row ends the engine.
    ///
    /// - Parameter clock: log time before the batch: what its tick had found is found again if it is not there.
    private mutating func recover(
        from failure: StoreFailure, _ batch: Core.PendingBatch, clock: LogClock
    ) -> Turn {
        do {
            let before = core.head
            try store.reopen()
            let replay = try replaying()
            let landed = try durable(batch.frames, after: before)
            lastTime = replay.lastTime
            core = Core(state: replay.state, head: replay.head, codec: codec, clock: landed ? core.clock : clock)
            if landed {
                let outcomes = core.committed(batch, at: replay.head)
                return Turn(answers: outcomes.map { .success($0) }, trouble: failure)
            }
            if failure.outcome != .unchanged { try seal() }
        } catch {
            let unknown = EngineFailure(
                code: .outcomeUnknown,
                message: "the log failed (\(failure)) and then again (\(error)): ask for the outcome later")
            return Turn(
                answers: batch.decided.map { _ in .failure(unknown) }, trouble: failure,
                failure: EngineFailure(code: .stopped, message: "the log could not be opened again: \(error)"))
        }
        defer { hasFailed = true }
        let failed = EngineFailure(code: .failed, message: "nothing was written: \(failure)")
        return Turn(
            answers: batch.decided.map { _ in .failure(failed) }, trouble: failure,
            failure: hasFailed
                ? EngineFailure(code: .stopped, message: "the log failed twice: \(failure)") : nil)
    }

    /// Appends an event in place of a batch that was not found after a commit of unknown outcome. Until something
    /// durable stands there, the old end may be in the page cache only, and the batch come back after a loss of
    /// power.
    private mutating func seal() throws(StoreFailure) {
        var batch = Core.PendingBatch()
        core.tick(clock.read(), into: &batch)
        if batch.frames.isEmpty { core.record(.engineStalled(milliseconds: 0), into: &batch) }
        try append(batch)
    }

    /// Whether the log's tail behind `head` is this batch, by command id and content.
    private func durable(_ frames: [Frame], after head: LogPosition) throws(StoreFailure) -> Bool {
        let tail = try store.read(after: head.sequence, maximumFrames: frames.count)
        return tail.flatMap(\.frames) == frames
    }
}
