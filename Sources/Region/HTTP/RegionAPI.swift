import Blobs
import Domain
import Engine
import Foundation
import Hummingbird
import Logging
import Ports
import Projectors
import Serving
import Transfer
import Wire

/// A region's HTTP routes: for workers (uploads, output), peers (enrolment, assignments, reports, swarms), other regions
/// and the global process.
struct RegionAPI: Sendable {
    let name: RegionName
    let engine: EngineService<Regional>
    let keeper: StoreKeeper
    let presence: Presence<PeerName>
    let swarms: SwarmDirectory
    let settings: ServingSettings
    let metrics: MetricsRegistry
    let logger: Logger
    /// The release key's public half; nil until it is known.
    let releaseKey: @Sendable () -> [UInt8]?
    let mirrorEndpoint: @Sendable () -> String
    /// A signed manifest's bytes, from the store or from the global process.
    let manifestBytes: @Sendable (Digest) async throws -> [UInt8]
    /// Nil when ready; else one sentence that says what is missing.
    let notReady: @Sendable () async -> String?

    var store: DirectoryBlobStore { keeper.store }

    /// One part of an upload: bounded memory however large the pack.
    static let maximumPartBytes = 16 << 20
    /// One sealed object of build output, with room for a worker that seals late.
    static let maximumOutputBytes = 4 << 20

    func router() -> Router<ServingContext> {
        let router = Router(context: ServingContext.self)
        let engine = engine
        router.add(middleware: RequestMetricsMiddleware(metrics: metrics))
        router.add(middleware: ProblemMiddleware(head: { engine.head.sequence }, logger: logger))
        router.add(middleware: GateMiddleware(settings: settings))
        addSelfRoutes(to: router)
        addUploadRoutes(to: router)
        addPeerRoutes(to: router)
        return router
    }

    private func addSelfRoutes(to router: Router<ServingContext>) {
        router.get("/healthz") { _, _ in
            let head = engine.head.sequence
            return try Response.json(HealthBody(status: "ok", sequence: head), at: head)
        }
        router.get("/readyz") { _, _ in
            if let reason = await notReady() { throw Problem(.notReady, reason) }
            let head = engine.head.sequence
            return try Response.json(HealthBody(status: "ok", sequence: head), at: head)
        }
        router.get("/metrics") { _, _ in
            Response.bytes(
                Array(metrics.text.utf8), type: "text/plain; version=0.0.4", at: engine.head.sequence)
        }
        router.get("/v1/region") { _, _ in
            guard let key = releaseKey() else {
                throw Problem(.notReady, "the release key is not known here yet: the global process was not reached")
            }
            let head = engine.head.sequence
            return try Response.json(
                RegionSelfAnswer(
                    name: name, mirrorEndpoint: mirrorEndpoint(), releaseKey: hexadecimal(key), sequence: head),
                at: head)
        }
        router.get("/v1/manifests/:digest") { _, context in
            guard let digest = context.parameters.get("digest").flatMap({ Digest(hex: $0) }) else {
                throw Problem(.badPath, "a manifest is named by its SHA-256: 64 of 0-9 a-f")
            }
            do {
                return Response.bytes(
                    try await manifestBytes(digest), type: "application/x-ndjson", at: engine.head.sequence)
            } catch {
                throw Problem(.notFound, "manifest \(digest) is not here: \(error)")
            }
        }
    }

    /// Submits, and turns a refusal or a failure into a problem.
    @discardableResult
    func submit(_ command: RegionCommand, actor: EventActor, key: String? = nil) async throws(Problem) -> LogSequence {
        let outcome: CommandOutcome<Regional.Answer>
        do throws(EngineFailure) {
            outcome = try await engine.submit(command, actor: actor, key: key)
        } catch {
            throw Problem(error)
        }
        switch outcome {
        case .accepted(_, let position): return position.sequence
        case .refused(let refusal, let position): throw Problem(refusal, at: position.sequence)
        }
    }

    func look<T: Sendable>(
        _ body: @escaping @Sendable (RegionState, LogPosition, Timestamp) -> T
    ) async throws(Problem) -> T {
        do throws(EngineFailure) { return try await engine.readNow(body) } catch { throw Problem(error) }
    }
}

extension Problem {
    init(_ failure: EngineFailure) {
        let code: TransportCode =
            switch failure.code {
            case .busy: .busy
            case .outcomeUnknown: .outcomeUnknown
            case .failed, .stopped, .forked: .notReady
            }
        self.init(code, failure.message)
    }

    init(_ failure: BlobFailure) {
        switch failure.code {
        case .notFound: self.init(.notFound, failure.message)
        case .tooLarge: self.init(.tooLarge, failure.message)
        case .badKey: self.init(.badPath, failure.message)
        case .exists, .mismatch:
            self.init(code: failure.code.rawValue, status: 409, title: "Conflict", detail: failure.message)
        case .full:
            self.init(code: failure.code.rawValue, status: 507, title: "The store is full", detail: failure.message)
        case .io: self.init(.internalFailure, failure.message)
        }
    }
}
