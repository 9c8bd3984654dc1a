import Client
import Domain
import Engine
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Synchronization
import Testing
import Wire

@testable import Building

/// A control plane that answers claims as a test wants, and remembers their keys.
private final class FakeControl: Sendable {
    enum Claim: Sendable {
        /// As when the answer is lost on the way.
        case lost
        case noWork
    }

    private let isClosed = Mutex(false)
    private let state = Mutex((keys: [String](), claims: [Claim]()))

    var keys: [String] { state.withLock { $0.keys } }

    /// Answers every claim that waits.
    func close() { isClosed.withLock { $0 = true } }

    /// The next claims' answers; when they are used up, claims wait.
    func answer(_ claims: Claim...) { state.withLock { $0.claims += claims } }

    var router: Router<BasicRequestContext> {
        let router = Router()
        router.post("/v1/workers/:name/join") { _, _ -> Response in Self.json(#"{"sequence":1}"#) }
        router.post("/v1/workers/:name/claim") { request, _ -> Response in
            let key = request.headers[HTTPField.Name("Idempotency-Key")!] ?? ""
            let claim = self.state.withLock { state -> Claim? in
                state.keys.append(key)
                return state.claims.isEmpty ? nil : state.claims.removeFirst()
            }
            switch claim {
            case .lost?: return Response(status: .badGateway)
            case .noWork?: return Response(status: .noContent)
            case nil:
                while !self.isClosed.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(20)) }
                return Response(status: .noContent)
            }
        }
        return router
    }

    private static func json(_ text: String) -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}

@Suite(.timeLimit(.minutes(2)))
struct WorkerServiceTests {
    private func worker(_ control: String, _ directory: String) -> WorkerService {
        WorkerService(
            configuration: WorkerConfiguration(
                name: WorkerName(unchecked: "w1"), region: RegionName(unchecked: "one"), control: control,
                directory: directory), clock: SystemClock(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) {}
    }

    /// Runs a worker until so many claims have come.
    private func run(_ control: FakeControl, _ url: String, _ directory: String, claims: Int) async throws {
        let worker = worker(url, directory)
        let task = Task { try await worker.run() }
        #expect(await eventually { control.keys.count >= claims })
        worker.tell(.shutdown)
        try await task.value
    }

    /// The control plane gives the same job to the same key: nobody else may get what this worker was given.
    @Test func aClaimKeepsItsKeyUntilItIsAnswered() async throws {
        try await withTemporaryDirectory { directory in
            let control = FakeControl()
            control.answer(.lost, .lost, .noWork)
            try await Application(
                router: control.router, configuration: .init(address: .hostname("127.0.0.1", port: 0))
            ).test(.live) { client in
                let url = "http://127.0.0.1:\(try #require(client.port))"
                try await self.run(control, url, directory, claims: 4)
                let keys = control.keys
                #expect(!keys[0].isEmpty && Set(keys[0...2]).count == 1)
                #expect(keys[3] != keys[0])
                // The fourth has no answer yet: a worker that starts again goes on with its key.
                control.answer(.noWork)
                try await self.run(control, url, directory, claims: 6)
                #expect(control.keys[4] == keys[3])
                #expect(control.keys[5] != keys[3])
                control.close()
            }
        }
    }

    private func problem(_ status: Int, _ code: String = "x") -> ClientFailure {
        .problem(Problem(code: code, status: status, title: "", detail: "because"))
    }

    @Test func whatARegionSaysToAnUpload() throws {
        func end(_ failure: ClientFailure) -> WorkerService.Fact {
            WorkerService.uploadEnd(firstKey, RegionName(unchecked: "one"), failure, hasMoved: false)
        }
        guard case .uploadFailed(_, let full) = end(problem(507, "store-full")),
            case .uploadFailed(_, let silent) = end(.unreachable("nobody")),
            case .uploadFailed(_, let gap) = end(problem(409, "mismatch")),
            case .uploadRejected(_, let detail) = end(problem(413, "too-large"))
        else {
            Issue.record("another end")
            return
        }
        #expect(full.kind == .storeFull && full.detail.contains("store of region one is full: free space"))
        #expect(silent.kind == .unreachable && gap.kind == .unreachable)
        #expect(detail.contains("because"))
    }

    /// A forked leader decides nothing: the build goes on until there is a new epoch.
    @Test func aForkedLeaderRefusesNothing() {
        let failure = ClientFailure.problem(Problem(TransportCode.forked, "wait for a new epoch"))
        guard case .reportFailed = WorkerService.reportEnd(firstKey, failure) else {
            Issue.record("the attempt is given up")
            return
        }
    }

    @Test(arguments: [413, 422])
    func aPackThatIsFoundWrongIsAFailure(status: Int) throws {
        guard case .reportRejected(_, let detail) = WorkerService.reportEnd(firstKey, problem(status)),
            case .reported(_, .refused) = WorkerService.reportEnd(firstKey, problem(409)),
            case .reportFailed = WorkerService.reportEnd(firstKey, problem(503))
        else {
            Issue.record("another end")
            return
        }
        #expect(detail.contains("because"))
    }

    @Test func aKeyOutlivesItsProcess() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/claim-key"
            let key = ClaimKey(path: path).current
            #expect(ClaimKey(path: path).current == key)
            let again = ClaimKey(path: path)
            again.answered()
            #expect(again.current != key)
            #expect(ClaimKey(path: path).current == again.current)
        }
    }
}
