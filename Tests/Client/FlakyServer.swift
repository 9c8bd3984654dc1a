import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Synchronization
import Wire

/// What reached the server, in order.
struct SeenRequest: Equatable, Sendable {
    var method: String
    var path: String
    var key: String?
    var actor: String?
    var contentType: String?
    var ifMatch: String?
    var body: String
}

/// A server on loopback that answers as it is told: each request takes the next answer, the last one stays.
final class FlakyServer: Sendable {
    typealias Reply = @Sendable () -> Response

    let seen = Mutex<[SeenRequest]>([])
    private let replies: Mutex<[Reply]>

    init(_ replies: [Reply]) { self.replies = Mutex(replies) }

    /// Runs a test with the server's endpoint.
    func run(_ test: @Sendable (String) async throws -> Void) async throws {
        let router = Router()
        router.add(middleware: Everything(server: self))
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let app = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)), logger: logger)
        try await app.test(.live) { client in
            guard let port = client.port else { throw NoPort() }
            try await test("http://127.0.0.1:\(port)")
        }
    }

    private struct NoPort: Error {}

    fileprivate func answer(_ request: Request) async throws -> Response {
        let body = try await request.body.collect(upTo: 64 << 20)
        let seen = SeenRequest(
            method: request.method.rawValue, path: request.uri.string, key: Self.header(request, "Idempotency-Key"),
            actor: Self.header(request, "Drover-Actor"), contentType: request.headers[.contentType],
            ifMatch: request.headers[.ifMatch], body: String(buffer: body))
        self.seen.withLock { $0.append(seen) }
        let reply = replies.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
        return reply()
    }

    private static func header(_ request: Request, _ name: String) -> String? {
        HTTPField.Name(name).flatMap { request.headers[$0] }
    }

    static func json(_ text: String, status: HTTPResponse.Status = .ok) -> Reply {
        {
            Response(
                status: status, headers: [.contentType: "application/json"],
                body: .init(byteBuffer: .init(string: text)))
        }
    }

    static func problem(_ problem: Problem) -> Reply {
        { () -> Response in
            let body = (try? WireJSON.encode(problem)) ?? Data()
            return Response(
                status: .init(code: problem.status), headers: [.contentType: "application/problem+json"],
                body: .init(byteBuffer: ByteBuffer(bytes: body)))
        }
    }

    /// Sends this much, then breaks the connection off.
    static func broken(_ text: String) -> Reply {
        {
            Response(
                status: .ok,
                body: ResponseBody { writer in
                    try await writer.write(ByteBuffer(string: text))
                    throw BrokenOff()
                })
        }
    }

    private struct BrokenOff: Error {}
}

private struct Everything: RouterMiddleware {
    let server: FlakyServer

    func handle(
        _ request: Request, context: BasicRequestContext, next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        try await server.answer(request)
    }
}
