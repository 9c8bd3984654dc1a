package import Codec
import Dispatch
package import Domain
import Foundation
import Glibc
package import Logging
package import Ports
import Synchronization

package struct EngineConfiguration: Sendable {
    /// What `engine-started` says.
    package var version: String
    /// The settings to go on with, given the log's: recorded where they differ.
    package var settings: @Sendable (Settings) throws(Refusal) -> Settings
    /// Why a new epoch begins; nil when none does. At most `maximumReasonBytes`.
    package var newEpochReason: String?
    /// Where it stands that this log was found forked; nil for a log that nobody follows.
    package var forkMarker: ForkMarker?
    /// Where something durable beside the log says that the log has been: one of this epoch that is not here proves that
    /// acknowledged events were lost, and the log is forked. Only for a log with a marker.
    package var seen: [SeenPosition] = []
    /// Commands that may wait; one more is `busy`.
    package var maximumWaiting = 20_000
    /// Commands of one commit.
    package var maximumBatch = 2_000
    /// Frames of one commit: from there on commands wait for the next.
    package var maximumBatchFrames = 20_000
    /// Where the state is hashed into the log, and a snapshot of it kept.
    package var hashing = StateHashing()
    /// Nil where no snapshots are kept.
    package var snapshots: StateSnapshots?
    /// The writer looks at the clock at least this often, and 16 times in a lease.
    package var maximumTickMilliseconds = 500

    package static let maximumReasonBytes = 500

    package init(
        version: String, newEpochReason: String? = nil, forkMarker: ForkMarker? = nil,
        settings: @escaping @Sendable (Settings) throws(Refusal) -> Settings = { (old) throws(Refusal) in old }
    ) {
        self.version = version
        self.newEpochReason = newEpochReason
        self.forkMarker = forkMarker
        self.settings = settings
    }
}

/// A position of a log that something durable has kept.
package struct SeenPosition: Hashable, Sendable {
    /// Who, as the beginning of a sentence: `the SQL views are`.
    package var holder: String
    package var position: LogPosition

    package init(holder: String, position: LogPosition) { (self.holder, self.position) = (holder, position) }
}

/// The single writer of one log: commands in, decisions, durable events out.
///
/// One thread takes everything that waits, decides it in turn, commits once, then answers all: the flush is the
/// batching window. Reads run on the same thread between batches, so they see durable state only.
package final class EngineService<A: Aggregate>: Sendable {
    private enum Work: Sendable {
        case command(any PendingCommand<A>)
        case read(@Sendable (DurableState<A>, Timestamp) -> Void, onFailure: @Sendable (EngineFailure) -> Void)

        var isCommand: Bool {
            if case .command = self { true } else { false }
        }
    }

    private struct Inbox: Sendable {
        var work: [Work] = []
        /// Set once: nothing more is accepted, and why.
        var closed: EngineFailure?
        /// Set once: reads go on, commands are answered with this.
        var frozen: EngineFailure?

        mutating func take(atMost most: Int) -> [Work] {
            if work.count <= most {
                defer { work = [] }
                return work
            }
            defer { work.removeFirst(most) }
            return Array(work.prefix(most))
        }

        /// Takes the commands out that no one will decide.
        mutating func removeCommands() -> [Work] {
            let commands = work.filter(\.isCommand)
            work.removeAll(where: \.isCommand)
            return commands
        }
    }

    /// A state's hash on its way into the log.
    private struct Hash: Sendable {
        var isUnderWay = false
        var fact: Domain.LogEvent?
        /// Of a proved backup.
        var proof: Domain.LogEvent?
    }

    package let store: any LogStore
    package let codec: any EventCodec<A.Event>
    private let configuration: EngineConfiguration
    private let clock: any ClockSource
    private let logger: Logger
    private let inbox = Mutex(Inbox())
    private let wake = DispatchSemaphore(value: 0)
    private let hash = Mutex(Hash())
    private let signal: ChangeSignal
    private let answers = DispatchQueue(label: "drover.engine.answers")
    private static var keepingNiceness: Int32 { 10 }
    /// Given by the writer itself.
    private static var fewAnswers: Int { 4 }
    private let ended = AsyncStream.makeStream(of: EngineFailure?.self)

    /// Replays the log, appends `engine-started`, and starts the writer thread.
    package init(
        store: any LogStore, codec: any EventCodec<A.Event>, clock: any ClockSource, configuration: EngineConfiguration,
        logger: Logger
    ) throws(EngineFailure) {
        (self.store, self.codec, self.clock) = (store, codec, clock)
        (self.configuration, self.logger) = (configuration, logger)
        let replay = try Replay<A>.start(
            store, codec: codec, hashing: configuration.hashing, snapshots: configuration.snapshots, logger: logger)
        signal = ChangeSignal(at: replay.head)
        if configuration.newEpochReason == nil, let marker = configuration.forkMarker {
            var seen = marker.text
            if seen == nil { seen = try Self.lost(configuration, store, replay.head, marker) }
            let frozen = seen.map { EngineFailure(code: .forked, message: $0) }
            inbox.withLock { $0.frozen = frozen }
        }
        var writer = Writer(service: self, replay: replay)
        try writer.start()
        let started = SendableBox(writer)
        let thread = Thread {
            var writer = started.take()
            writer.run()
        }
        thread.name = "drover-writer"
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// What something beside the log has seen of it and is not here, once that is marked; nil where nothing is missing.
    private static func lost(
        _ configuration: EngineConfiguration, _ store: any LogStore, _ head: LogPosition, _ marker: ForkMarker
    ) throws(EngineFailure) -> String? {
        let snapshots = configuration.snapshots?.positions ?? []
        let seen =
            configuration.seen + snapshots.map { SeenPosition(holder: "a snapshot of the state is", position: $0) }
        for seen in seen {
            do {
                // What only the archive has is proved by the anchor's chain.
                if let anchor = try store.anchor(), seen.position.sequence < anchor.position.sequence { continue }
                let here = try store.position(at: seen.position.sequence)
                guard
                    case .freeze(let message) = FeedVerdict(
                        of: seen.position, head: head, here: here, holder: seen.holder)
                else { continue }
                try marker.write(message)
                return message
            } catch {
                throw EngineFailure(
                    code: .failed, message: "the log cannot be compared with what is beside it: \(error)")
            }
        }
        return nil
    }

    /// The durable head.
    package var head: LogPosition { signal.position }

    /// Decides one command and returns when its events are durable.
    package func submit(
        _ command: A.Command, actor: EventActor, key: String? = nil, cause: LogSequence = .zero, isDerived: Bool = false
    ) async throws(EngineFailure) -> CommandOutcome<A.Answer> {
        try await submit(command, actor: actor, key: key, cause: cause, isDerived: isDerived) { _ in () }.0
    }

    /// The same, and a look at the durable state that holds its events.
    package func submit<T: Sendable>(
        _ command: A.Command, actor: EventActor, key: String? = nil, cause: LogSequence = .zero,
        isDerived: Bool = false, looking look: @escaping @Sendable (A.State) -> T
    ) async throws(EngineFailure) -> (CommandOutcome<A.Answer>, T) {
        let result = await withCheckedContinuation { continuation in
            submit(command, actor: actor, key: key, cause: cause, isDerived: isDerived, looking: look) {
                continuation.resume(returning: $0)
            }
        }
        return try result.get()
    }

    /// The same for callers that are no tasks: `done` is called once, on any thread, and must not block.
    package func submit<T: Sendable>(
        _ command: A.Command, actor: EventActor, key: String?, cause: LogSequence = .zero, isDerived: Bool = false,
        looking look: @escaping @Sendable (A.State) -> T,
        done: @escaping @Sendable (Result<(CommandOutcome<A.Answer>, T), EngineFailure>) -> Void
    ) {
        let submission = Submission(command: command, actor: actor, key: key, cause: cause, isDerived: isDerived)
        put(.command(AwaitedCommand<A, T>(submission: submission, look: look, done: done)))
    }

    /// Looks at the durable state.
    package func read<T: Sendable>(
        _ body: @escaping @Sendable (A.State, LogPosition) -> T
    ) async throws(EngineFailure) -> T {
        try await readNow { state, position, _ in body(state, position) }
    }

    /// Looks at the durable state, with log time: what plans are made of.
    package func readNow<T: Sendable>(
        _ body: @escaping @Sendable (A.State, LogPosition, Timestamp) -> T
    ) async throws(EngineFailure) -> T {
        try await readDurable { durable, now in body(durable.state, durable.position, now) }
    }

    private func readDurable<T: Sendable>(
        _ body: @escaping @Sendable (DurableState<A>, Timestamp) -> T
    ) async throws(EngineFailure) -> T {
        let result: Result<T, EngineFailure> = await withCheckedContinuation { continuation in
            put(
                .read {
                    continuation.resume(returning: .success(body($0, $1)))
                } onFailure: {
                    continuation.resume(returning: .failure($0))
                })
        }
        return try result.get()
    }

    /// Runs work on the log between two batches, on the writer's own thread: short, for commands wait meanwhile.
    package func maintain<T: Sendable>(
        _ work: @escaping @Sendable () throws(StoreFailure) -> T
    ) async throws -> T {
        try await readDurable { _, _ in Result { () throws(StoreFailure) in try work() } }.get()
    }

    /// Keeps a snapshot of the state as it is now, and returns where that is: a start needs no event before. Nil where no
    /// snapshots are kept, a start would not believe this one, or another is just being written.
    package func keepSnapshot() async throws -> LogPosition? {
        guard configuration.snapshots != nil else { return nil }
        let durable = try await readDurable { durable, _ in durable }
        guard durable.unknownEvents == 0 else { return nil }
        let result: Result<Bool, any Error> = await withCheckedContinuation { continuation in
            keep(durable) { continuation.resume(returning: $0) }
        }
        return try result.get() ? durable.position : nil
    }

    /// Returns at once when the durable head is past `after`, else when it moves or the time is over.
    package func waitForChange(after sequence: LogSequence, timeoutMilliseconds: Int64) async -> LogPosition {
        await signal.wait(after: sequence, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Accepts no further command (a follower is off our chain), not even after a restart, until a new epoch; reads go
    /// on. Commands that wait are answered with the failure. Returns when that is durable.
    package func freeze(_ message: String) async {
        let frozen = EngineFailure(code: .forked, message: message)
        let waiting: [Work]? = inbox.withLock { inbox in
            guard inbox.frozen == nil else { return nil }
            inbox.frozen = frozen
            return inbox.removeCommands()
        }
        guard let waiting else { return }
        logger.error("no further command is accepted", metadata: ["reason": "\(message)"])
        for work in waiting { Self.fail(work, frozen) }
        guard let marker = configuration.forkMarker else { return }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { [logger] in
                do { try marker.write(message) } catch {
                    logger.error(
                        "a restart would forget that the log is forked",
                        metadata: ["marker": "\(marker.path)", "failure": "\(error)"])
                }
                continuation.resume()
            }
        }
    }

    /// Why commands are not accepted now; nil when they are.
    package var notReady: EngineFailure? { inbox.withLock { $0.closed ?? $0.frozen } }

    /// Answers what waits, then stops the thread. Idempotent.
    package func stop() {
        close(EngineFailure(code: .stopped, message: "the engine is shutting down: try again shortly"))
    }

    /// Returns when the writer has stopped; throws when it stopped because the log failed twice.
    package func waitForEnd() async throws(EngineFailure) {
        for await failure in ended.stream {
            if let failure { throw failure }
            return
        }
    }

    private func put(_ work: Work) {
        let (refused, isFirst): (EngineFailure?, Bool) = inbox.withLock { inbox in
            if let closed = inbox.closed { return (closed, false) }
            if case .command = work {
                if let frozen = inbox.frozen { return (frozen, false) }
                if inbox.work.count >= configuration.maximumWaiting {
                    return (EngineFailure(code: .busy, message: "too many commands wait: try again shortly"), false)
                }
            }
            inbox.work.append(work)
            return (nil, inbox.work.count == 1)
        }
        if let refused { return Self.fail(work, refused) }
        // The writer takes all that waits: who comes to others need not wake it.
        if isFirst { wake.signal() }
    }

    /// Hashes a durable state beside the writer (which copies what it changes meanwhile) for its next batch, and keeps a
    /// snapshot of it. At most one at a time: a state that takes longer than its events is hashed less often.
    ///
    /// - Parameter done: told whether the snapshot is durable.
    private func keep(_ kept: DurableState<A>, done: @escaping @Sendable (Result<Bool, any Error>) -> Void = { _ in }) {
        let isFree = hash.withLock { hash in
            defer { hash.isUnderWay = true }
            return !hash.isUnderWay
        }
        guard isFree else { return done(.success(false)) }
        Thread.detachNewThread { [self] in
            // It takes seconds on a large state, and nobody waits for it.
            _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.keepingNiceness)
            defer { hash.withLock { $0.isUnderWay = false } }
            guard let bytes = try? StateCodec.encode(kept.state) else { return done(.success(false)) }
            let digest = StateCodec.hash(bytes)
            if kept.isHashed {
                hash.withLock { hash in
                    hash.fact = .stateHashed(
                        at: kept.position.sequence, fingerprint: A.reducerFingerprint, digest: digest)
                }
                wake.signal()
            }
            do {
                try configuration.snapshots?.write(
                    StateSnapshot(
                        position: kept.position, fingerprint: A.reducerFingerprint, lastTime: kept.lastTime,
                        unknownEvents: kept.unknownEvents, state: bytes, digest: digest))
                done(.success(true))
            } catch {
                done(.failure(error))
                logger.warning("a snapshot is not kept: the next start takes longer", metadata: ["reason": "\(error)"])
            }
        }
    }

    /// Tells the log that a backup was restored to the state there.
    package func backupProved(at sequence: LogSequence, state digest: Digest, milliseconds: UInt64) {
        hash.withLock { hash in
            hash.proof = .backupProved(
                at: sequence, fingerprint: A.reducerFingerprint, digest: digest, milliseconds: milliseconds)
        }
        wake.signal()
    }

    /// Lets work wait for the next batch, before all that came since.
    private func putBack(_ work: ArraySlice<Work>) {
        let (refused, frozen) = inbox.withLock { inbox in
            inbox.work.insert(contentsOf: work, at: 0)
            return (inbox.frozen == nil ? [] : inbox.removeCommands(), inbox.frozen)
        }
        if let frozen { for work in refused { Self.fail(work, frozen) } }
        wake.signal()
    }

    private func close(_ failure: EngineFailure) {
        inbox.withLock { inbox in
            if inbox.closed == nil { inbox.closed = failure }
        }
        wake.signal()
    }

    private static func fail(_ work: Work, _ failure: EngineFailure) {
        switch work {
        case .command(let command): command.fail(failure)
        case .read(_, let onFailure): onFailure(failure)
        }
    }
}

/// A command on its way, and who waits for what becomes of it.
private protocol PendingCommand<A>: AnyObject, Sendable {
    associatedtype A: Aggregate

    var submission: Submission<A.Command> { get }

    /// Looks at the state now; what is returned tells the caller.
    func settle(_ outcome: CommandOutcome<A.Answer>, _ state: A.State) -> @Sendable () -> Void
    func fail(_ failure: EngineFailure)
}

private final class AwaitedCommand<A: Aggregate, T: Sendable>: PendingCommand {
    let submission: Submission<A.Command>
    private let look: @Sendable (A.State) -> T
    private let done: @Sendable (Result<(CommandOutcome<A.Answer>, T), EngineFailure>) -> Void

    init(
        submission: Submission<A.Command>, look: @escaping @Sendable (A.State) -> T,
        done: @escaping @Sendable (Result<(CommandOutcome<A.Answer>, T), EngineFailure>) -> Void
    ) {
        (self.submission, self.look, self.done) = (submission, look, done)
    }

    func settle(_ outcome: CommandOutcome<A.Answer>, _ state: A.State) -> @Sendable () -> Void {
        let seen = look(state)
        return { [done] in done(.success((outcome, seen))) }
    }

    func fail(_ failure: EngineFailure) { done(.failure(failure)) }
}

/// Hands a value to a thread once.
private final class SendableBox<Value: Sendable>: Sendable {
    private let value: Mutex<Value?>
    init(_ value: Value) { self.value = Mutex(value) }

    func take() -> Value {
        guard let value = value.withLock({ $0.take() }) else { preconditionFailure("taken twice") }
        return value
    }
}

extension EngineService {
    /// The writer thread's own: nothing of it is shared.
    fileprivate struct Writer: Sendable {
        let service: EngineService<A>
        var writer: EngineWriter<A>

        init(service: EngineService<A>, replay: Replay<A>) {
            self.service = service
            let (store, codec, logger) = (service.store, service.codec, service.logger)
            let configuration = service.configuration
            writer = EngineWriter(
                after: replay, store: store, codec: codec, clock: service.clock, configuration: configuration
            ) { () throws(EngineFailure) in
                try Replay<A>.start(
                    store, codec: codec, hashing: configuration.hashing, snapshots: configuration.snapshots,
                    logger: logger)
            }
        }

        /// Appends what every start says. A new epoch ends what a fork has stopped.
        mutating func start() throws(EngineFailure) {
            let kept = try writer.start()
            service.signal.advance(to: writer.core.head)
            if service.configuration.newEpochReason != nil { try forgetFork() }
            if let kept, kept.isHashed || service.configuration.snapshots != nil { service.keep(kept) }
        }

        private func forgetFork() throws(EngineFailure) {
            guard let marker = service.configuration.forkMarker else { return }
            do { try marker.remove() } catch {
                throw EngineFailure(
                    code: .failed, message: "\(marker.path) cannot be removed: \(error); remove it, then start again")
            }
        }

        @specialized(where A == Global) @specialized(where A == Regional)
        mutating func run() {
            var isMore = false
            while true {
                if !isMore { _ = service.wake.wait(timeout: .now() + .milliseconds(writer.tickMilliseconds)) }
                let work = service.inbox.withLock { $0.take(atMost: service.configuration.maximumBatch) }
                isMore = service.inbox.withLock { !$0.work.isEmpty }
                if let failure = process(work) { return end(failure) }
                let isOver = service.inbox.withLock { $0.closed != nil && $0.work.isEmpty }
                if isOver { return end(nil) }
            }
        }

        private func end(_ failure: EngineFailure?) {
            let reason = failure ?? EngineFailure(code: .stopped, message: "the engine has stopped")
            let left = service.inbox.withLock { inbox in
                inbox.closed = reason
                let left = inbox.work
                inbox.work = []
                return left
            }
            for work in left { EngineService.fail(work, reason) }
            service.signal.close()
            service.ended.continuation.yield(failure)
            service.ended.continuation.finish()
        }

        /// Decides and commits the commands, then runs the reads. A returned failure ends the engine.
        private mutating func process(_ work: [Work]) -> EngineFailure? {
            var (submissions, commands): ([Submission<A.Command>], [any PendingCommand<A>]) = ([], [])
            for case .command(let command) in work {
                submissions.append(command.submission)
                commands.append(command)
            }
            let (fact, proof) = service.hash.withLock { ($0.fact.take(), $0.proof.take()) }
            let turn = writer.take(submissions, facts: [fact, proof].compactMap(\.self))
            if let trouble = turn.trouble {
                service.logger.error("commit failed", metadata: ["failure": "\(trouble)"])
                // Said again in the next batch, unless there is a newer one; twice does no harm.
                service.hash.withLock { ($0.fact, $0.proof) = ($0.fact ?? fact, $0.proof ?? proof) }
            }
            service.signal.advance(to: writer.core.head)
            if let kept = turn.kept { service.keep(kept) }
            let done = place(ofCommand: turn.answers.count, in: work)
            if done < work.count { service.putBack(work[done...]) }
            answer(commands, turn.answers)
            for case .read(let body, let onFailure) in work[..<done] {
                if let failure = turn.failure {
                    onFailure(failure)
                } else {
                    body(writer.durableState(), writer.core.clock.now)
                }
            }
            return turn.failure
        }

        /// Many answers are given on another thread: to wake their callers costs as much as to decide, and the next
        /// batch must not wait for it.
        private func answer(_ commands: [any PendingCommand<A>], _ results: [EngineWriter<A>.Answer]) {
            let answers = zip(commands, results).map { command, result -> @Sendable () -> Void in
                switch result {
                case .success(let outcome): command.settle(outcome, writer.core.state)
                case .failure(let failure): { command.fail(failure) }
                }
            }
            guard answers.count > EngineService.fewAnswers else { return answers.forEach { $0() } }
            service.answers.async { answers.forEach { $0() } }
        }

        /// Where the command behind so many others stands; the end where there is none.
        private func place(ofCommand number: Int, in work: [Work]) -> Int {
            var left = number
            for (place, item) in work.enumerated() where item.isCommand {
                if left == 0 { return place }
                left -= 1
            }
            return work.count
        }
    }
}
