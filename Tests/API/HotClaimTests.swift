import API
import Domain
import Foundation
import Hummingbird
import HummingbirdTesting
import Logging
import Serving
import Synchronization
import Testing
import Wire

/// The router is the measure of what the hot lane answers: the same requests to both, byte for byte but for the date.
struct HotClaimTests {
    private static func text(
        _ path: String = "/v1/workers/w1/claim", host: String = "127.0.0.1", type: String = "application/json",
        more: String = "", body: String = "{}"
    ) -> String {
        "POST \(path) HTTP/1.1\r\nHost: \(host)\r\nContent-Type: \(type)\r\n\(more)"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    /// Jobs for four claims, and odd requests between them.
    private static let questions = [
        text(more: "Idempotency-Key: a\r\n"), text(more: "Idempotency-Key: a\r\n"),
        text(more: "idempotency-key: b\r\n", body: #"{"wait":"10ms"}"#), text(body: ""),
        text("/v1/workers/w1/claim?x=1"),
        text(host: "evil.example"), text(more: "Origin: http://evil.example\r\n"), text(type: "text/plain"),
        text("/v1/workers/nobody/claim"), text("/v1/workers/W!/claim"), text("/v1/workers//claim"),
        text(more: "Idempotency-Key: a b\r\n"), text(body: #"{"wait":"soon"}"#), text(body: #"{"wait":1}"#),
        text(body: "{"),
        text(more: "X-Other: \(String(repeating: "x", count: 500))\r\n", body: #"{ "wait": "1ms" }"#),
        text("/v1/workers/w1/drain"), text(), text("/v1/workers/w1/resume"), text(type: "Application/JSON; a=b"),
        text(body: #"{"wait":"10ms"}"#), text(more: "Idempotency-Key: c\r\n"), text(more: "Idempotency-Key: c\r\n"),
    ]

    private func run(
        hot: Bool, router: (Fixture) -> Router<ServingContext> = { $0.api.router() },
        _ test: @Sendable (inout RawCaller.Conversation) async throws -> Void
    ) async throws {
        let fixture = try Fixture()
        try await fixture.joinWorker()
        try await fixture.submit(.fleet(.workerJoin(.one, .eu)), actor: .worker(.one))
        for _ in 0..<5 { try await fixture.submit(.queue(.enqueue(.example(isForced: true)))) }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let app = Application(
            router: router(fixture), server: .watchful(hot: hot ? HotClaims(fixture.api) : nil),
            configuration: .init(address: .hostname("127.0.0.1", port: 0), serverName: "drover"), logger: logger)
        try await app.test(.live) { client async throws in
            try await RawCaller.with(port: try #require(client.port)) { try await test(&$0) }
        }
        try await fixture.close()
    }

    /// Status, headers in the order of their names, body.
    private static func plain(_ answer: String) -> [String] {
        let parts = answer.components(separatedBy: "\r\n\r\n")
        let lines = parts[0].components(separatedBy: "\r\n")
        let headers = lines.dropFirst().filter { !$0.lowercased().hasPrefix("date:") }.map { line in
            let field = line.split(separator: ":", maxSplits: 1)
            return field[0].lowercased() + ":" + field[1]
        }
        return [lines[0]] + headers.sorted() + parts.dropFirst()
    }

    @Test func theLaneAnswersAsTheRouterDoes() async throws {
        let answers = Mutex<[[[String]]]>([[], []])
        for (place, hot) in [true, false].enumerated() {
            try await run(hot: hot) { caller in
                for question in Self.questions {
                    let answer = Self.plain(try await caller.ask(.init(text: question)))
                    answers.withLock { $0[place].append(answer) }
                }
            }
        }
        let both = answers.withLock { $0 }
        for (question, (hot, routed)) in zip(Self.questions, zip(both[0], both[1])) {
            #expect(hot == routed, "\(question)")
        }
        #expect(both[0].count { $0[0] == "HTTP/1.1 200 OK" } >= 6)
    }

    /// There is no route that could answer.
    @Test func aJobThatWaitsIsClaimedWithoutTheRouter() async throws {
        try await run(hot: true, router: { _ in Router(context: ServingContext.self) }) { caller in
            let answer = try await caller.ask(.init(text: Self.text()))
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.contains("\r\nDate: "))
            #expect(answer.hasSuffix("}") && answer.contains("\"job\":1,"))
            #expect(try await caller.ask(.init(text: Self.text("/v1/workers/w1/drain"))).hasPrefix("HTTP/1.1 404"))
        }
    }

    /// Written at once, some for the lane and some for the router: answered in their order.
    @Test func answersComeInTheOrderOfRequests() async throws {
        try await run(hot: true) { caller in
            let several = [Self.text(), Self.text("/v1/workers/nobody/claim"), Self.text(), Self.text("/v1/nothing")]
            let text = try await caller.ask(.init(text: (several + [Self.text()]).joined())) {
                $0.components(separatedBy: "HTTP/1.1 ").count == 6 && $0.hasSuffix("}")
            }
            let statuses = text.components(separatedBy: "HTTP/1.1 ").dropFirst().map { $0.prefix(3) }
            #expect(statuses == ["200", "404", "200", "404", "200"])
            let jobs = text.components(separatedBy: "\"job\":").dropFirst().map { $0.prefix { $0.isNumber } }
            #expect(jobs == ["1", "2", "3"])
        }
    }
}
