package import Ports
internal import Synchronization

/// How long a command may take, and how long it has to end after TERM.
package struct RunLimits: Hashable, Sendable {
    package var timeoutSeconds: Double
    package var graceSeconds: Double

    package init(timeoutSeconds: Double, graceSeconds: Double) {
        (self.timeoutSeconds, self.graceSeconds) = (timeoutSeconds, graceSeconds)
    }
}

/// How a run came to its end.
package enum RunEnd: Hashable, Sendable {
    /// By itself.
    case ended(ProcessEnd)
    case timedOut
    case cancelled
}

/// A short command's end and what it wrote.
package struct CollectedRun: Hashable, Sendable {
    package var end: RunEnd
    /// Standard output and error, at most the asked number of bytes: the last ones.
    package var output: [UInt8]

    package init(end: RunEnd, output: [UInt8]) {
        (self.end, self.output) = (end, output)
    }
}

/// Runs commands that die with us.
package struct GroupRunner: Sendable {
    /// Lives as long as the process: a keeper dies with the thread that started it.
    private static let spawner = SerialThread(name: "drover-group-spawner")

    package init() {}

    package func start(_ command: SupervisedCommand) async throws(ProcessFailure) -> SupervisedProcess {
        try await Self.spawner.run { () throws(ProcessFailure) -> SupervisedProcess in try SupervisedProcess(command) }
    }

    /// Runs a command to its end, the time limit or the task's cancellation, whichever comes first, and returns when
    /// all of its processes are gone. Output is handed over in order; while `onOutput` waits, the command is throttled.
    /// In a cancelled task `onOutput` must return soon.
    package func run(
        _ command: SupervisedCommand, limits: RunLimits, onOutput: @escaping @Sendable ([UInt8]) async -> Void
    ) async throws(ProcessFailure) -> RunEnd {
        let process = try await start(command)
        let cause = FirstCause()
        return await withTaskCancellationHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    try? await Task.sleep(for: .seconds(limits.timeoutSeconds))
                    guard !Task.isCancelled, cause.set(.timedOut) else { return }
                    process.terminate(graceSeconds: limits.graceSeconds)
                }
                await process.drain(onOutput)
                let end = await process.waitDespiteCancellation()
                group.cancelAll()
                _ = cause.set(.ended(end))
            }
            return cause.value
        } onCancel: {
            if cause.set(.cancelled) { process.terminate(graceSeconds: limits.graceSeconds) }
        }
    }

    /// The same for a short command whose last `maximumOutputBytes` are wanted.
    package func collect(
        _ command: SupervisedCommand, limits: RunLimits, maximumOutputBytes: Int
    ) async throws(ProcessFailure) -> CollectedRun {
        let tail = OutputTail(maximumBytes: maximumOutputBytes)
        let end = try await run(command, limits: limits) { chunk in tail.append(chunk) }
        return CollectedRun(end: end, output: tail.bytes)
    }
}

/// The last bytes of an output.
package final class OutputTail: Sendable {
    private let maximumBytes: Int
    private let kept = Mutex<[UInt8]>([])

    package init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    package func append(_ chunk: [UInt8]) {
        kept.withLock { kept in
            kept.append(contentsOf: chunk)
            // Cut at twice the size, so that many small chunks do not each move all of it.
            if kept.count > 2 * maximumBytes { kept.removeFirst(kept.count - maximumBytes) }
        }
    }

    package var bytes: [UInt8] { kept.withLock { Array($0.suffix(maximumBytes)) } }
}

/// The first of several reasons to end wins.
private final class FirstCause: Sendable {
    private let cause = Mutex<RunEnd?>(nil)

    /// Whether this is the first.
    func set(_ end: RunEnd) -> Bool {
        cause.withLock { cause in
            guard cause == nil else { return false }
            cause = end
            return true
        }
    }

    var value: RunEnd { cause.withLock { $0 ?? .ended(.unknown) } }
}
