import Client
import Domain
import Foundation
import Logging
import Synchronization

/// Brings an attempt's output to the region as numbered objects, sealed at 1 MiB or 1 s. While too much waits, whoever
/// writes is held up for a while: a build is slowed rather than its memory grown, but no region can stop it.
final class OutputUploader: Sendable {
    static let retryMilliseconds: Int64 = 500
    static let holdMilliseconds: Int64 = 50
    /// How long after a build's end its last output is waited for.
    static let flushMilliseconds: Int64 = 30_000

    private let key: AttemptKey
    private let region: RegionClient
    private let now: @Sendable () -> Int64
    private let logger: Logger
    private let queue = Mutex(OutputQueue())
    private let changes = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    init(key: AttemptKey, region: RegionClient, now: @escaping @Sendable () -> Int64, logger: Logger) {
        (self.key, self.region, self.now, self.logger) = (key, region, now, logger)
    }

    /// Takes a chunk; waits while the region is far behind.
    func write(_ chunk: [UInt8]) async {
        queue.withLock { $0.append(chunk, now: now()) }
        changes.continuation.yield()
        while queue.withLock({ $0.mustWait(now: now()) }), !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(Self.holdMilliseconds))
        }
    }

    /// No more comes; `run` returns when all of it has arrived.
    func close() {
        queue.withLock { $0.close(now: now()) }
        changes.continuation.yield()
    }

    func run() async {
        while !Task.isCancelled {
            let (next, isDone, deadline) = queue.withLock { queue in
                queue.tick(now: now())
                return (queue.next, queue.isDone, queue.deadline)
            }
            if isDone { return }
            if let next {
                await upload(next)
            } else {
                await pause(until: deadline)
            }
        }
    }

    private func upload(_ object: SealedOutput) async {
        do throws(ClientFailure) {
            try await region.putOutput(key.job, key.attempt, object: object.number, Data(object.bytes))
            queue.withLock { $0.sent() }
        } catch {
            logger.info("output waits for the region", metadata: ["attempt": "\(key)", "failure": "\(error)"])
            // What the region will never take must not hold up the rest.
            if error.isRefusal { return queue.withLock { $0.sent() } }
            try? await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
        }
    }

    private func pause(until deadline: Int64?) async {
        guard let deadline else {
            for await _ in changes.stream { return }
            return
        }
        try? await Task.sleep(for: .milliseconds(max(1, deadline - now())))
    }
}
