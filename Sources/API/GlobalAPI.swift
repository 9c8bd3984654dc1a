package import Domain
package import Engine
import HTTPTypes
package import Hummingbird
package import Logging
package import Ports
import ServiceLifecycle
package import Serving
package import Wire

/// The global process's HTTP routes: commands to the engine, answers from its durable state and from the SQL views.
package struct GlobalAPI: Sendable {
    /// The worlds behind the routes.
    package struct Dependencies: Sendable {
        package var engine: EngineService<Global>
        package var views: any GlobalReads
        package var manifests: any ManifestSigner
        package var blobs: any BlobStore
        package var output: any OutputReader
        package var peers: any PeerDirectory
        package var readiness: any Readiness
        package var metrics: MetricsRegistry
        /// Told of every call that a region makes: how its silence is noticed.
        package var heard: @Sendable (RegionName) -> Void
        /// Told where in the log a region is when it asks for more.
        package var followed: @Sendable (RegionName, LogPosition) -> Void
        /// What the log's backup has come to; nil where there is none.
        package var backup: @Sendable () -> BackupBody?

        package init(
            engine: EngineService<Global>, views: any GlobalReads, manifests: any ManifestSigner,
            blobs: any BlobStore, output: any OutputReader, peers: any PeerDirectory, readiness: any Readiness,
            metrics: MetricsRegistry, heard: @escaping @Sendable (RegionName) -> Void = { _ in },
            followed: @escaping @Sendable (RegionName, LogPosition) -> Void = { _, _ in },
            backup: @escaping @Sendable () -> BackupBody? = { nil }
        ) {
            (self.heard, self.followed, self.backup) = (heard, followed, backup)
            (self.engine, self.views, self.manifests, self.blobs) = (engine, views, manifests, blobs)
            (self.output, self.peers, self.readiness, self.metrics) = (output, peers, readiness, metrics)
        }
    }

    let settings: APISettings
    let world: Dependencies
    let logger: Logger

    var engine: EngineService<Global> { world.engine }
    var log: LogReading { LogReading(store: engine.store) }

    package init(settings: APISettings, world: Dependencies, logger: Logger) {
        (self.settings, self.world, self.logger) = (settings, world, logger)
    }

    /// Adds the gate (hosts, origins, content types, problems, metrics) and every route. Routes that others add to the
    /// router afterwards are behind the same gate.
    package func install(on router: Router<ServingContext>) {
        router.add(middleware: RequestMetricsMiddleware(metrics: world.metrics))
        router.add(middleware: ProblemMiddleware(head: { [engine] in engine.head.sequence }, logger: logger))
        router.add(middleware: GateMiddleware(settings: settings.serving))
        addJobRoutes(to: router)
        addWorkerRoutes(to: router)
        addAttemptRoutes(to: router)
        addBuildRoutes(to: router)
        addTargetRoutes(to: router)
        addRegionRoutes(to: router)
        addFeedRoutes(to: router)
        addStatusRoutes(to: router)
        addEventRoutes(to: router)
    }

    /// A router with nothing but these routes.
    package func router() -> Router<ServingContext> {
        let router = Router(context: ServingContext.self)
        install(on: router)
        return router
    }
}

/// An accepted command: what was answered, and a durable position that includes it.
struct Accepted: Sendable {
    var answer: GlobalAnswer
    var sequence: LogSequence
}

extension GlobalAPI {
    /// Submits one command; a refusal and an engine's failure are problems.
    func submit(_ command: GlobalCommand, actor: EventActor, key: String?) async throws(Problem) -> Accepted {
        try await submit(command, actor: actor, key: key) { _ in () }.0
    }

    /// The same, and a look at the durable state that holds its events.
    func submit<T: Sendable>(
        _ command: GlobalCommand, actor: EventActor, key: String?, looking look: @escaping @Sendable (GlobalState) -> T
    ) async throws(Problem) -> (Accepted, T) {
        let (outcome, seen): (CommandOutcome<GlobalAnswer>, T)
        do throws(EngineFailure) {
            (outcome, seen) = try await engine.submit(command, actor: actor, key: key, looking: look)
        } catch {
            throw problem(error)
        }
        switch outcome {
        case .accepted(let answer, let position): return (Accepted(answer: answer, sequence: position.sequence), seen)
        case .refused(let refusal, let position): throw Problem(refusal, at: position.sequence)
        }
    }

    /// Looks at the durable state.
    func look<T: Sendable>(
        _ body: @escaping @Sendable (GlobalState, LogPosition) -> T
    ) async throws(Problem) -> T {
        do throws(EngineFailure) {
            return try await engine.read(body)
        } catch {
            throw problem(error)
        }
    }

    /// The same with the time of the log.
    func lookNow<T: Sendable>(
        _ body: @escaping @Sendable (GlobalState, LogPosition, Timestamp) -> T
    ) async throws(Problem) -> T {
        do throws(EngineFailure) {
            return try await engine.readNow(body)
        } catch {
            throw problem(error)
        }
    }

    func problem(_ failure: EngineFailure) -> Problem {
        switch failure.code {
        case .busy: Problem(.busy, failure.message)
        case .failed, .stopped: Problem(.notReady, failure.message)
        case .forked: Problem(.forked, failure.message)
        case .outcomeUnknown: Problem(.outcomeUnknown, failure.message)
        }
    }

    /// Looks each time the log has moved, until there is something to see or the time is over (nil).
    func waitFor<T: Sendable>(
        milliseconds: Int64, _ look: () async throws -> T?
    ) async throws -> T? {
        let deadline = ContinuousClock.now.advanced(by: .milliseconds(milliseconds))
        while true {
            let head = engine.head.sequence
            if let seen = try await look() { return seen }
            guard await waitForChange(after: head, until: deadline) else { return nil }
        }
    }

    /// Whether the log has moved; false when the time is over or the process is shutting down.
    func waitForChange(after sequence: LogSequence, until deadline: ContinuousClock.Instant) async -> Bool {
        let left = ContinuousClock.now.duration(to: deadline).components
        let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000
        guard milliseconds > 0 else { return false }
        let position = await cancelWhenGracefulShutdown { [engine] in
            await engine.waitForChange(after: sequence, timeoutMilliseconds: milliseconds)
        }
        return position.sequence > sequence && !isEnding
    }

    /// Whether nobody should wait any longer: the caller has gone, or this process is.
    var isEnding: Bool {
        Task.isShuttingDownGracefully || Task.isCancelled || engine.notReady?.code == .stopped
    }

    /// Waits until the views hold everything that was durable when the request arrived.
    func waitForViews() async throws(Problem) {
        let head = engine.head.sequence
        guard try await world.views.waitUntil(head, milliseconds: settings.viewsBehindSeconds * 1000) else {
            throw Problem(
                .viewsBehind,
                "the views have not reached sequence \(head) within \(settings.viewsBehindSeconds) s: try again")
        }
    }

    /// The answer to a command that has nothing to say but when.
    func done(
        _ command: GlobalCommand, actor: EventActor, key: String?
    ) async throws -> Response {
        let accepted = try await submit(command, actor: actor, key: key)
        return try .json(DoneAnswer(sequence: accepted.sequence), at: accepted.sequence)
    }

    /// What the types rule out and the router must answer anyhow.
    func unexpected(_ answer: GlobalAnswer) -> Problem {
        logger.error("a command was answered in another's words", metadata: ["answer": "\(answer)"])
        return Problem(.internalFailure, "the engine answered another question: its log says which")
    }
}
