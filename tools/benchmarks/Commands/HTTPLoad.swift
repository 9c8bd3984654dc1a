import Client
import Domain
import EventLog
import Foundation
import NIOCore

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
        let result = try await callers(at: url)
        return Done(
            result: result, batches: try log.batches(after: before),
            serverSeconds: try server.processorSeconds() - used)
    }

    private func callers(at url: String) async throws -> LoadResult {
        guard let address = URLComponents(string: url), let host = address.host, let port = address.port else {
            throw BenchmarkFailure("\(url) is no address")
        }
        let talks = (0..<clients).map { Questions(client: $0, mix: mix, host: "\(host):\(port)") }
        return try await Caller.all(talks, host: host, port: port, seconds: seconds)
    }
}

/// What one client asks next, given the last answer.
struct Questions: Dialogue {
    private enum Next {
        case enqueue, claim, heartbeat
    }

    private let mix: CommandMix
    private let requests: HTTPRequests
    private var names: CommandNames
    private var next = Next.enqueue
    /// The body of the last answer.
    private var last = ""

    init(client: Int, mix: CommandMix, host: String) {
        (self.mix, requests, names) = (mix, HTTPRequests(host: host), CommandNames(client: client))
    }

    mutating func request() throws -> String? {
        switch next {
        case .enqueue:
            if mix == .mixed { next = .claim }
            return requests.enqueue(&names)
        case .claim:
            next = .heartbeat
            return requests.claim(&names)
        case .heartbeat:
            next = .enqueue
            return requests.heartbeat(names, job: try number("job"), attempt: try number("attempt"))
        }
    }

    mutating func take(_ bytes: inout ByteBuffer) throws -> Bool {
        guard let answer = try HTTPAnswer(done: &bytes) else { return false }
        last = answer.body
        return true
    }

    /// A number in a JSON object that is known to hold it.
    private func number(_ name: String) throws -> UInt64 {
        guard let place = last.firstRange(of: "\"\(name)\":"),
            let value = UInt64(last[place.upperBound...].prefix { $0.isNumber })
        else { throw BenchmarkFailure("an answer names no \(name): \(last)") }
        return value
    }
}
