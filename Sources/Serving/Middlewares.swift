package import Domain
import Foundation
import HTTPTypes
package import Hummingbird
package import Logging
import Metrics
import Synchronization
import Wire

/// Every error becomes a problem document; what we did not foresee is logged and says nothing of itself.
package struct ProblemMiddleware: RouterMiddleware {
    package typealias Context = ServingContext

    private let head: @Sendable () -> LogSequence
    private let logger: Logger

    package init(head: @escaping @Sendable () -> LogSequence, logger: Logger) {
        self.head = head
        self.logger = logger
    }

    package func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            return .problem(problem(error, request), head: head())
        }
    }

    private func problem(_ error: any Error, _ request: Request) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case let error as HTTPError where error.status == .notFound:
            return Problem(.notFound, "there is no \(request.method) at this path: Schemas/openapi.yaml names them all")
        case is CancellationError:
            return Problem(.notReady, "the wait was ended: the server is shutting down, or the caller has gone")
        case let error as any HTTPResponseError where error.status.code < 500:
            return Problem(
                code: TransportCode.invalid.rawValue, status: Int(error.status.code),
                title: error.status.reasonPhrase, detail: "the request cannot be read: \(error.status.reasonPhrase)")
        default:
            logger.error(
                "request failed", metadata: ["path": "\(request.uri.path)", "error": "\(String(reflecting: error))"])
            return Problem(.internalFailure, "the server failed to answer: its log says why")
        }
    }
}

/// Refuses what a browser on another site could send: foreign hosts (DNS rebinding), foreign origins, and changes that
/// are not `application/json` (which need no preflight).
package struct GateMiddleware: RouterMiddleware {
    package typealias Context = ServingContext

    private let settings: ServingSettings

    package init(settings: ServingSettings) { self.settings = settings }

    package func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        try checkHost(request)
        try checkOrigin(request)
        if request.method != .get, request.method != .head { try checkContentType(request) }
        return try await next(request, context)
    }

    private func checkHost(_ request: Request) throws(Problem) {
        guard let authority = request.head.authority, settings.allows(host: Self.host(authority)) else {
            throw Problem(
                .foreignHost, "call this server by its own address, or name the host among its advertised ones")
        }
    }

    /// Only pages that this very server gave out.
    private func checkOrigin(_ request: Request) throws(Problem) {
        guard let origin = request.headers[.origin] else { return }
        let authority = request.head.authority?.lowercased() ?? ""
        guard ["http://\(authority)", "https://\(authority)"].contains(origin.lowercased()) else {
            throw Problem(.foreignOrigin, "a page of another site may not call this server")
        }
    }

    private func checkContentType(_ request: Request) throws(Problem) {
        let type = request.headers[.contentType] ?? ""
        if type == "application/json" { return }
        let essence = type.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces).lowercased()
        guard essence == "application/json" || essence == "application/octet-stream" else {
            throw Problem(
                .badContentType, "send Content-Type: application/json, or application/octet-stream for a blob")
        }
    }

    /// `[::1]` of `[::1]:7070`, `localhost` of `LOCALHOST:7070`.
    package static func host(_ authority: String) -> String {
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
            return authority[...end].lowercased()
        }
        return authority.prefix { $0 != ":" }.lowercased()
    }
}

/// Counts and times requests by route, so that there are as many rows as routes, whatever is asked.
package struct RequestMetricsMiddleware: RouterMiddleware {
    package typealias Context = ServingContext

    private let metrics: RequestMetrics

    package init(metrics: MetricsRegistry) { self.metrics = RequestMetrics(metrics) }

    package func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let response = try await next(request, context)
        metrics.record(
            RequestMetrics.Route(
                method: request.method.rawValue, path: context.endpointPath ?? "none", status: response.status.code),
            since: start)
        return response
    }
}

/// The rows of requests by route: naming them anew would cost more than counting.
final class RequestMetrics: Sendable {
    struct Route: Hashable {
        var method: String
        var path: String
        var status: Int
    }

    private struct Rows {
        var requests: Counter
        var duration: Timer
    }

    private let metrics: MetricsRegistry
    private let known = Mutex<[Route: Rows]>([:])

    init(_ metrics: MetricsRegistry) { self.metrics = metrics }

    func record(_ route: Route, since start: ContinuousClock.Instant) {
        let rows = rows(of: route)
        rows.requests.increment()
        rows.duration.record(duration: start.duration(to: .now))
    }

    private func rows(of route: Route) -> Rows {
        if let rows = known.withLock({ $0[route] }) { return rows }
        let place = [("method", route.method), ("route", route.path)]
        let rows = Rows(
            requests: Counter(
                label: "drover_http_requests", dimensions: place + [("status", "\(route.status)")], factory: metrics),
            duration: Timer(label: "drover_http_request_duration", dimensions: place, factory: metrics))
        known.withLock { known in
            if known.count < MetricsRegistry.maximumRows { known[route] = rows }
        }
        return rows
    }
}
