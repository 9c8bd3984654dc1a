package import Codec
import Dispatch
package import Domain
import Foundation
package import Logging
package import Ports
import Synchronization

package struct EngineConfiguration: Sendable {
    /// What `engine-started` says.
    package var version: String
    /// Settings to record if the log's differ; nil keeps the log's.
    package var settings: Settings?
    /// Why a new epoch begins; nil when none does.
    package var newEpochReason: String?
    /// Commands that may wait; one more is `busy`.
    package var maximumWaiting = 20_000
    /// Commands of one commit.
    package var maximumBatch = 2_000
    /// The writer looks at the clock at least this often.
    package var tickMilliseconds = 500

    package init(version: String, settings: Settings? = nil, newEpochReason: String? = nil) {
        self.version = version
        self.settings = settings
        self.newEpochReason = newEpochReason
    }
}

/// The single writer of one log: commands in, decisions, durable events out.
///
/// One thread takes everything that waits, decides it in turn, commits once, then answers all: the flush is the
/// batching window. Reads run on the same thread between batches, so they see durable state only.
package final class EngineService<A: Aggregate>: Sendable {
    typealias Core = EngineCore<A>

    private enum Work: Sendable {
        case command(Submission<A.Command>, @Sendable (Result<CommandOutcome<A.Answer>, EngineFailure>) -> Void)
        case read(@Sendable (A.State, LogPosition, Timestamp) -> Void, onFailure: @Sendable (EngineFailure) -> Void)
    }

    private struct Inbox: Sendable {
        var work: [Work] = []
        /// Set once: nothing more is accepted, and why.
        var closed: EngineFailure?
        /// Set once: reads go on, commands are answered with this.
        var frozen: EngineFailure?
    }

    package let store: any LogStore
    package let codec: any EventCodec<A.Event>
    private let configuration: EngineConfiguration
    private let clock: any ClockSource
    private let logger: Logger
    private let inbox = Mutex(Inbox())
    private let wake = DispatchSemaphore(value: 0)
    private let signal: ChangeSignal
    private let ended = AsyncStream.makeStream(of: EngineFailure?.self)

    /// Replays the log, appends `engine-started`, and starts the writer thread.
    package init(
        store: any LogStore, codec: any EventCodec<A.Event>, clock: any ClockSource, configuration: EngineConfiguration,
        logger: Logger
    ) throws(EngineFailure) {
        (self.store, self.codec, self.clock) = (store, codec, clock)
        (self.configuration, self.logger) = (configuration, logger)
        let replay = try Replay<A>.whole(store, codec: codec)
        signal = ChangeSignal(at: replay.head)
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

    /// The durable head.
    package var head: LogPosition { signal.position }

    /// Decides one command and returns when its events are durable.
    package func submit(
        _ command: A.Command, actor: EventActor, key: String? = nil, cause: LogSequence = .zero, isDerived: Bool = false
    ) async throws(EngineFailure) -> CommandOutcome<A.Answer> {
        let submission = Submission(command: command, actor: actor, key: key, cause: cause, isDerived: isDerived)
        let result = await withCheckedContinuation { continuation in
            put(.command(submission) { continuation.resume(returning: $0) })
        }
        return try result.get()
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
        let result: Result<T, EngineFailure> = await withCheckedContinuation { continuation in
            put(
                .read {
                    continuation.resume(returning: .success(body($0, $1, $2)))
                } onFailure: {
                    continuation.resume(returning: .failure($0))
                })
        }
        return try result.get()
    }

    /// Returns at once when the durable head is past `after`, else when it moves or the time is over.
    package func waitForChange(after sequence: LogSequence, timeoutMilliseconds: Int64) async -> LogPosition {
        await signal.wait(after: sequence, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Accepts no further command until restarted (a follower is off our chain); reads go on.
    package func freeze(_ message: String) {
        inbox.withLock { inbox in
            if inbox.frozen == nil { inbox.frozen = EngineFailure(code: .forked, message: message) }
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
        let refused: EngineFailure? = inbox.withLock { inbox in
            if let closed = inbox.closed { return closed }
            if case .command = work {
                if let frozen = inbox.frozen { return frozen }
                if inbox.work.count >= configuration.maximumWaiting {
                    return EngineFailure(code: .busy, message: "too many commands wait: try again shortly")
                }
            }
            inbox.work.append(work)
            return nil
        }
        if let refused { Self.fail(work, refused) } else { wake.signal() }
    }

    private func close(_ failure: EngineFailure) {
        inbox.withLock { inbox in
            if inbox.closed == nil { inbox.closed = failure }
        }
        wake.signal()
    }

    private static func fail(_ work: Work, _ failure: EngineFailure) {
        switch work {
        case .command(_, let answer): answer(.failure(failure))
        case .read(_, let onFailure): onFailure(failure)
        }
    }
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
        var core: Core
        var hasFailed = false

        init(service: EngineService<A>, replay: Replay<A>) {
            self.service = service
            core = Core(
                state: replay.state, head: replay.head, lastTime: replay.lastTime, codec: service.codec,
                reading: service.clock.read())
        }

        /// Appends what every start says.
        mutating func start() throws(EngineFailure) {
            var batch = Core.PendingBatch()
            if let reason = service.configuration.newEpochReason {
                core.record(.epochStarted(epoch: core.head.epoch.next, reason: reason), into: &batch)
            }
            core.record(.engineStarted(version: service.configuration.version, level: 1), into: &batch)
            if let settings = service.configuration.settings, settings != A.log(core.state).settings {
                core.record(.settingsChanged(settings), into: &batch)
            }
            do throws(StoreFailure) {
                let position = try service.store.append(batch.frames)
                _ = core.committed(batch, at: position)
                service.signal.advance(to: position)
            } catch {
                throw EngineFailure(code: .failed, message: error.description)
            }
        }

        mutating func run() {
            while true {
                _ = service.wake.wait(timeout: .now() + .milliseconds(service.configuration.tickMilliseconds))
                let (work, closed) = service.inbox.withLock { inbox in
                    let most = min(inbox.work.count, service.configuration.maximumBatch)
                    let work = Array(inbox.work.prefix(most))
                    inbox.work.removeFirst(most)
                    return (work, inbox.work.isEmpty ? inbox.closed : nil)
                }
                if let failure = process(work) { return end(failure) }
                if closed != nil { return end(nil) }
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
            var batch = Core.PendingBatch()
            core.tick(service.clock.read(), into: &batch)
            var answers: [@Sendable (Result<CommandOutcome<A.Answer>, EngineFailure>) -> Void] = []
            for case .command(let submission, let answer) in work {
                core.decide(submission, into: &batch)
                answers.append(answer)
            }
            let fatal = commit(batch, answers)
            if let fatal {
                for case .read(_, let onFailure) in work { onFailure(fatal) }
                return fatal
            }
            for case .read(let body, _) in work { body(core.state, core.head, core.clock.now) }
            return nil
        }

        private mutating func commit(
            _ batch: Core.PendingBatch,
            _ answers: [@Sendable (Result<CommandOutcome<A.Answer>, EngineFailure>) -> Void]
        ) -> EngineFailure? {
            guard !batch.frames.isEmpty else {
                reply(core.committed(batch, at: core.head), to: answers)
                return nil
            }
            do throws(StoreFailure) {
                let position = try service.store.append(batch.frames)
                hasFailed = false
                let outcomes = core.committed(batch, at: position)
                service.signal.advance(to: position)
                reply(outcomes, to: answers)
                return nil
            } catch {
                return recover(from: error, batch, answers)
            }
        }

        private func reply(
            _ outcomes: [CommandOutcome<A.Answer>],
            to answers: [@Sendable (Result<CommandOutcome<A.Answer>, EngineFailure>) -> Void]
        ) {
            for (outcome, answer) in zip(outcomes, answers) { answer(.success(outcome)) }
        }

        /// After a failed or unknown commit: reopen, see whether the batch is in the log, answer everyone truly, and
        /// start again from the durable log. A second failure in a row ends the engine.
        private mutating func recover(
            from failure: StoreFailure, _ batch: Core.PendingBatch,
            _ answers: [@Sendable (Result<CommandOutcome<A.Answer>, EngineFailure>) -> Void]
        ) -> EngineFailure? {
            service.logger.error("commit failed", metadata: ["failure": "\(failure)"])
            let before = core.head
            do {
                try service.store.reopen()
                let replay = try Replay<A>.whole(service.store, codec: service.codec)
                let landed = try durable(batch.frames, after: before)
                core = Core(
                    state: replay.state, head: replay.head, lastTime: replay.lastTime, codec: service.codec,
                    reading: service.clock.read())
                service.signal.advance(to: core.head)
                if landed {
                    reply(core.committed(batch, at: replay.head), to: answers)
                    return nil
                }
            } catch {
                let unknown = EngineFailure(
                    code: .outcomeUnknown,
                    message: "the log failed (\(failure)) and could not be read again: ask for the outcome later")
                for answer in answers { answer(.failure(unknown)) }
                return EngineFailure(code: .stopped, message: "the log could not be opened again: \(error)")
            }
            let failed = EngineFailure(code: .failed, message: "nothing was written: \(failure)")
            for answer in answers { answer(.failure(failed)) }
            defer { hasFailed = true }
            return hasFailed ? EngineFailure(code: .stopped, message: "the log failed twice: \(failure)") : nil
        }

        /// Whether the log's tail behind `head` is this batch, by command id and content.
        private func durable(_ frames: [Frame], after head: LogPosition) throws(StoreFailure) -> Bool {
            let tail = try service.store.read(after: head.sequence, maximumFrames: frames.count)
            return tail.flatMap(\.frames) == frames
        }
    }
}
