import Client
import Domain
import EventLog
import Foundation
import NIOCore
import NIOPosix

/// Clients over HTTP at a real `projector global`: one keep-alive connection each, the next request as soon as the last
/// one is answered. The generator is as lean as it can be, so that the server is what is measured.
struct HTTPLoad {
    let clients: Int
    let mix: CommandMix
    let seconds: Double
    /// The executable.
    let projector: String

    struct Done {
        var result: LoadResult
        var batches: [FrameBatch]
        /// Processor seconds of the server during the load.
        var serverSeconds: Double
    }

    func run(in directory: String) async throws -> Done {
        let data = directory + "/global"
        let server = RoleProcess(
            name: "global", executable: projector, directory: directory,
            arguments: ["global", "--data", data, "--listen", "127.0.0.1:0"])
        let url = try await server.start()
        do {
            let done = try await load(server, url, log: data + "/log")
            await server.stop()
            return done
        } catch {
            await server.kill()
            throw error
        }
    }

    private func load(_ server: RoleProcess, _ url: String, log path: String) async throws -> Done {
        let client = GlobalClient(endpoint: url, actor: .person("bench"))
        _ = try await client.joinRegion(LoadWords.region, endpoint: "http://10.0.0.2:7071")
        for number in 0..<clients {
            _ = try await client.joinWorker(CommandNames(client: number).worker, region: LoadWords.region)
        }
        let log = try EventLog.open(directory: path, mode: .readOnly)
        let before = try log.head().sequence
        let used = try server.processorSeconds()
        let start = ContinuousClock.now
        let latencies = try await callers(at: url)
        let result = LoadResult(latencies: latencies, seconds: elapsed(since: start))
        return Done(
            result: result, batches: try log.batches(after: before),
            serverSeconds: try server.processorSeconds() - used)
    }

    /// One connection a client on one thread; gives all latencies, in milliseconds.
    private func callers(at url: String) async throws -> [Double] {
        guard let address = URLComponents(string: url), let host = address.host, let port = address.port else {
            throw BenchmarkFailure("\(url) is no address")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let deadline = NIODeadline.now() + .nanoseconds(Int64(seconds * 1e9))
        let latencies = try await withThrowingTaskGroup(of: [Double].self) { tasks in
            for number in 0..<clients {
                let questions = Questions(client: number, mix: mix, host: "\(host):\(port)")
                tasks.addTask {
                    try await Caller.run(questions, host: host, port: port, on: group, until: deadline)
                }
            }
            return try await tasks.reduce(into: []) { $0 += $1 }
        }
        try await group.shutdownGracefully()
        return latencies
    }
}

/// What one client asks next, given the last answer.
struct Questions: Sendable {
    private enum Next {
        case enqueue, claim, heartbeat
    }

    private let mix: CommandMix
    private let host: String
    private var names: CommandNames
    private var next = Next.enqueue

    init(client: Int, mix: CommandMix, host: String) {
        (self.mix, self.host, names) = (mix, host, CommandNames(client: client))
    }

    /// The next request's bytes. `body` is the last answer's.
    mutating func request(after body: String) throws -> String {
        switch next {
        case .enqueue:
            if mix == .mixed { next = .claim }
            let (commit, key) = names.next()
            return post(
                "/v1/jobs", actor: "person:bench", key: key,
                "{\"app\":\"\(LoadWords.app)\",\"repository\":\"\(LoadWords.repository)\",\"commit\":\"\(commit)\"}")
        case .claim:
            next = .heartbeat
            return post(
                "/v1/workers/\(names.worker)/claim", actor: "worker:\(names.worker)", key: names.next().key, "{}")
        case .heartbeat:
            next = .enqueue
            let (job, attempt) = (try number("job", in: body), try number("attempt", in: body))
            return post(
                "/v1/jobs/\(job)/attempts/\(attempt)/heartbeat", actor: "worker:\(names.worker)", key: nil,
                "{\"counter\":1,\"stage\":\"build\"}")
        }
    }

    private func post(_ path: String, actor: String, key: String?, _ body: String) -> String {
        let keyLine = key.map { "Idempotency-Key: \($0)\r\n" } ?? ""
        return "POST \(path) HTTP/1.1\r\nHost: \(host)\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\nDrover-Actor: \(actor)\r\n\(keyLine)\r\n\(body)"
    }

    /// A number in a JSON object that is known to hold it.
    private func number(_ name: String, in body: String) throws -> UInt64 {
        guard let place = body.firstRange(of: "\"\(name)\":"),
            let value = UInt64(body[place.upperBound...].prefix { $0.isNumber })
        else { throw BenchmarkFailure("an answer names no \(name): \(body)") }
        return value
    }
}
