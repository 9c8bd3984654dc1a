import Foundation
import Glibc

/// A durable queue whose claims are measured. Only ever used by one task.
protocol Contender: AnyObject {
    var name: String { get }

    /// How many times other systems' claims its own should be, by their names; nil where it is one of those.
    var goals: [String: String]? { get }

    /// Makes it, empty, in a directory of its own, and fills it with waiting jobs. It does not run then.
    func prepare(in directory: String, jobs: Int) async throws

    /// Starts what `prepare` made; every flush is slowed by so much.
    func start(slowedMicroseconds: Int) async throws

    /// Claims as fast as so many workers can, each on a connection of its own, one job after the other.
    func claim(workers: Int, seconds: Double) async throws -> LoadResult

    /// What the system has used of the processors; nil where that is not looked at.
    func processorSeconds() throws -> Double?

    func stop() async
}

extension Contender {
    var goals: [String: String]? { nil }

    func processorSeconds() throws -> Double? { nil }
}

/// The library that slows flushes: preloaded into this process and into every server.
enum SlowFlush {
    static let variable = "SLOW_FLUSH_MICROSECONDS"

    /// For a server's environment.
    static func environment(_ microseconds: Int) throws -> [String: String] {
        ["LD_PRELOAD": try library(), variable: "\(microseconds)"]
    }

    /// For this process.
    static func set(_ microseconds: Int) throws {
        _ = try library()
        guard let symbol = unsafe dlsym(nil, "slow_flush_set") else {
            throw BenchmarkFailure("the library of slow flushes is not loaded: start this by tools/bench log")
        }
        let function = unsafe unsafeBitCast(symbol, to: (@convention(c) (Int) -> Void).self)
        function(microseconds)
    }

    private static func library() throws -> String {
        guard let path = ProcessInfo.processInfo.environment["LD_PRELOAD"], !path.isEmpty else {
            throw BenchmarkFailure("the library of slow flushes is not loaded: start this by tools/bench log")
        }
        return path
    }
}
