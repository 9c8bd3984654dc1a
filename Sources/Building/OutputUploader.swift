import Client
import Domain
import Foundation
import Logging
import Synchronization

/// Brings an attempt's output to the region as numbered objects, sealed at 1 MiB or 1 s. While too much waits, whoever
/// writes is held up: a build is slowed rather than its memory grown.
final class OutputUploader: Sendable {
    static let maximumWaitingObjects = 32
    static let retryMilliseconds: Int64 = 500

    private struct State {
        var sealer = OutputSealer()
        var waiting: [SealedOutput] = []
        var isClosed = false
    }

    private let key: AttemptKey
    private let region: RegionClient
    private let now: @Sendable () -> Int64
    private let logger: Logger
    private let state = Mutex(State())
    private let changes = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    init(key: AttemptKey, region: RegionClient, now: @escaping @Sendable () -> Int64, logger: Logger) {
        (self.key, self.region, self.now, self.logger) = (key, region, now, logger)
    }

    /// Takes a chunk; waits while the region is far behind.
    func write(_ chunk: [UInt8]) async {
        let now = now()
        state.withLock { $0.waiting += $0.sealer.append(chunk, now: now) }
        changes.continuation.yield()
        while state.withLock({ $0.waiting.count > Self.maximumWaitingObjects }), !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    /// No more comes; `run` returns when all of it has arrived.
    func close() {
        state.withLock { state in
            if let last = state.sealer.finish() { state.waiting.append(last) }
            state.isClosed = true
        }
        changes.continuation.yield()
    }

    func run() async {
        while !Task.isCancelled {
            let now = now()
            let (next, isDone, deadline) = state.withLock { state in
                if let sealed = state.sealer.tick(now: now) { state.waiting.append(sealed) }
                return (state.waiting.first, state.isClosed && state.waiting.isEmpty, state.sealer.deadline)
            }
            if isDone { return }
            if let next {
                await upload(next)
            } else {
                await pause(until: deadline, now: now)
            }
        }
    }

    private func upload(_ object: SealedOutput) async {
        do throws(ClientFailure) {
            try await region.putOutput(key.job, key.attempt, object: object.number, Data(object.bytes))
            state.withLock { _ = $0.waiting.removeFirst() }
        } catch {
            if error.code == "exists" || error.code == "mismatch" {
                // Another process of ours with this very attempt wrote it before; its bytes stay.
                state.withLock { _ = $0.waiting.removeFirst() }
                return
            }
            logger.info("output waits for the region", metadata: ["attempt": "\(key)", "failure": "\(error)"])
            try? await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
        }
    }

    private func pause(until deadline: Int64?, now: Int64) async {
        guard let deadline else {
            for await _ in changes.stream { return }
            return
        }
        try? await Task.sleep(for: .milliseconds(max(1, deadline - now)))
    }
}
