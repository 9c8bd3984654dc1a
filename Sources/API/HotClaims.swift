import Domain
import Engine
package import Serving
import Wire

/// Claims of jobs that wait, as workers send them. Where there is nothing to claim, or no right to it, the router answers.
package struct HotClaims: HotRoutes {
    private static let (start, end) = ("/v1/workers/", "/claim")

    private let api: GlobalAPI

    package init(_ api: GlobalAPI) { self.api = api }

    package func take(_ request: HotRequest, done: @escaping @Sendable (HotAnswer?) -> Void) -> Bool {
        guard let name = Self.worker(request.path), Self.isClaim(request) else { return false }
        let api = api
        api.engine.submit(
            .queue(.claim(name)), actor: .worker(name), key: request.idempotencyKey,
            looking: { $0.claimPlace(name) }
        ) { result in
            done(Self.answer(result, api))
        }
        return true
    }

    /// Nothing has been done where the answer is nil: what a claim is refused for leaves no event, and who is told that
    /// there is nothing may be told again.
    private static func answer(
        _ result: Result<(CommandOutcome<GlobalAnswer>, ClaimPlace), EngineFailure>, _ api: GlobalAPI
    ) -> HotAnswer? {
        let route = start + "{name}" + end
        switch result {
        case .success(
            (
                .accepted(.queue(.claimed(let job, let attempt, let request, let lease, let heartbeat)), let at),
                let place
            )):
            let answer = ClaimAnswer(
                job: job, attempt: attempt, request: request, leaseSeconds: lease, heartbeatSeconds: heartbeat,
                jobTimeoutSeconds: place.timeoutSeconds, regionEndpoint: place.endpoint, sequence: at.sequence)
            guard let bytes = try? answer.bytes() else { return nil }
            return HotAnswer(route: route, body: bytes, sequence: at.sequence)
        case .success: return nil
        case .failure(let failure):
            return HotAnswer(route: route, problem: api.problem(failure), head: api.engine.head.sequence)
        }
    }

    private static func worker(_ path: String) -> WorkerName? {
        guard path.hasPrefix(start), path.hasSuffix(end), path.utf8.count > start.utf8.count + end.utf8.count else {
            return nil
        }
        return WorkerName(rawValue: String(path.utf8.dropFirst(start.utf8.count).dropLast(end.utf8.count)) ?? "")
    }

    /// With a key as keys must be, and a body that asks to wait for a time or says nothing.
    private static func isClaim(_ request: HotRequest) -> Bool {
        if let key = request.idempotencyKey,
            !WireActor.isPrintable(key, maximumBytes: WireHeader.maximumIdempotencyKeyBytes)
        {
            return false
        }
        let body = request.body
        if body.isEmpty || body.elementsEqual("{}".utf8) { return true }
        let (opening, closing) = ("{\"wait\":\"".utf8, "\"}".utf8)
        guard body.count > opening.count + closing.count, body.starts(with: opening),
            body.suffix(closing.count).elementsEqual(closing)
        else { return false }
        let text = String(decoding: body.dropFirst(opening.count).dropLast(closing.count), as: UTF8.self)
        return WireDuration(text) != nil
    }
}

/// Where a worker takes what it claimed.
struct ClaimPlace: Sendable {
    var endpoint: String
    var timeoutSeconds: UInt32
}

extension GlobalState {
    func claimPlace(_ name: WorkerName) -> ClaimPlace {
        let region = fleet.workers[name]?.region
        return ClaimPlace(
            endpoint: region.flatMap { fleet.regions[$0]?.endpoint } ?? "",
            timeoutSeconds: log.settings.jobTimeoutSeconds)
    }
}
