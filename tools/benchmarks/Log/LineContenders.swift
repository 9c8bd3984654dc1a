import Foundation
import Glibc
import NIOCore

/// A server that is spoken to in lines, by our own clients: one connection each, a claim after the other.
class LineContender<Talk: LineTalk>: Contender {
    var name: String { Talk.name }
    private var directory = ""
    private var port = 0
    private var server: ServerProcess?

    func prepare(in directory: String, jobs: Int) async throws {
        self.directory = directory
        port = try await FreePorts.take(1)[0]
        try await start(slowedMicroseconds: 0, isDurable: false)
        let fillers = (0..<50).map { _ in Talk(filling: jobs / 50) }
        _ = try await Caller.all(fillers, host: "127.0.0.1", port: port)
        await stop()
    }

    /// Answers from here on: one that reads its file first says so to whoever asks.
    func start(slowedMicroseconds: Int) async throws {
        try await start(slowedMicroseconds: slowedMicroseconds, isDurable: true)
        for _ in 0..<Self.loadingTries {
            do {
                _ = try await Caller.all([Talk(filling: nil)], host: "127.0.0.1", port: port, seconds: 0.05)
                return
            } catch let failure as BenchmarkFailure where "\(failure)".contains("LOADING") {
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        throw BenchmarkFailure("\(Talk.package) is still reading its file")
    }

    private static var loadingTries: Int { 600 }

    private func start(slowedMicroseconds: Int, isDurable: Bool) async throws {
        guard FileManager.default.isExecutableFile(atPath: Talk.program) else {
            throw BenchmarkFailure("\(Talk.program) is missing: apt-get install \(Talk.package)")
        }
        let server = ServerProcess(name: Talk.package, directory: directory)
        self.server = server
        try await server.start(
            Talk.program, Talk.arguments(directory: directory, port: port, isDurable: isDurable),
            environment: try SlowFlush.environment(slowedMicroseconds), port: port)
    }

    func claim(workers: Int, seconds: Double) async throws -> LoadResult {
        let talks = (0..<workers).map { _ in Talk(filling: nil) }
        var result = try await Caller.all(talks, host: "127.0.0.1", port: port, seconds: seconds)
        result.commands /= Talk.requestsAClaim
        return result
    }

    func stop() async {
        await server?.stop()
        server = nil
    }
}

/// What is said to such a server.
protocol LineTalk: Dialogue {
    static var name: String { get }
    static var program: String { get }
    static var package: String { get }
    static var requestsAClaim: Int { get }

    /// Not durable only while its queue is filled.
    static func arguments(directory: String, port: Int, isDurable: Bool) -> [String]

    /// Puts so many jobs; nil: claims for ever.
    init(filling jobs: Int?)
}

/// beanstalkd with a binlog flushed at every write. A claim is a reserve and a delete: only the latter is in the binlog.
struct BeanstalkTalk: LineTalk {
    static let name = "beanstalkd -f 0"
    static let program = "/usr/bin/beanstalkd"
    static let package = "beanstalkd"
    static let requestsAClaim = 2

    static func arguments(directory: String, port: Int, isDurable: Bool) -> [String] {
        ["-l", "127.0.0.1", "-p", "\(port)", "-b", directory] + (isDurable ? ["-f", "0"] : ["-F"])
    }

    private var left: Int?
    private var reserved: String?

    init(filling jobs: Int?) { left = jobs }

    mutating func request() -> String? {
        if let left {
            self.left = left - 1
            return left > 0 ? "put 0 0 3600 200\r\n\(String(repeating: "x", count: 200))\r\n" : nil
        }
        guard let id = reserved.take() else { return "reserve\r\n" }
        return "delete \(id)\r\n"
    }

    mutating func take(_ bytes: inout ByteBuffer) throws -> Bool {
        guard let (line, length) = firstLine(of: bytes) else { return false }
        let words = line.split(separator: " ")
        switch words.first {
        case "INSERTED", "DELETED": bytes.moveReaderIndex(forwardBy: length)
        case "RESERVED":
            guard words.count == 3, let body = Int(words[2]) else { throw BenchmarkFailure("beanstalkd said \(line)") }
            guard bytes.readableBytes >= length + body + 2 else { return false }
            bytes.moveReaderIndex(forwardBy: length + body + 2)
            reserved = String(words[1])
        default: throw BenchmarkFailure("beanstalkd said \(line)")
        }
        return true
    }
}

/// Redis with its file flushed before each answer. A claim moves a job from one list to another.
struct RedisTalk: LineTalk {
    static let name = "Redis, appendfsync always"
    static let program = "/usr/bin/redis-server"
    static let package = "redis-server"
    static let requestsAClaim = 1

    static func arguments(directory: String, port: Int, isDurable: Bool) -> [String] {
        [
            "--bind", "127.0.0.1", "--port", "\(port)", "--dir", directory, "--save", "", "--appendonly", "yes",
            "--appendfsync", isDurable ? "always" : "no", "--auto-aof-rewrite-percentage", "0", "--maxclients", "1000",
        ]
    }

    private var left: Int?

    init(filling jobs: Int?) { left = jobs }

    mutating func request() -> String? {
        if let left {
            self.left = left - 1
            return left > 0 ? "RPUSH jobs \(String(repeating: "x", count: 200))\r\n" : nil
        }
        return "LMOVE jobs running LEFT RIGHT\r\n"
    }

    mutating func take(_ bytes: inout ByteBuffer) throws -> Bool {
        guard let (line, length) = firstLine(of: bytes) else { return false }
        switch line.first {
        case ":": bytes.moveReaderIndex(forwardBy: length)
        case "$":
            guard let body = Int(line.dropFirst()), body >= 0 else { throw BenchmarkFailure("Redis has no more jobs") }
            guard bytes.readableBytes >= length + body + 2 else { return false }
            bytes.moveReaderIndex(forwardBy: length + body + 2)
        default: throw BenchmarkFailure("Redis said \(line)")
        }
        return true
    }
}

/// A line without its end, and its length with it.
private func firstLine(of bytes: ByteBuffer) -> (line: String, length: Int)? {
    let view = bytes.readableBytesView
    guard let end = view.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let line = String(decoding: view[view.startIndex..<max(view.startIndex, end - 1)], as: UTF8.self)
    return (line, end - view.startIndex + 1)
}
