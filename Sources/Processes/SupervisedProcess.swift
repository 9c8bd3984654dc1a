internal import CProcess
internal import Glibc
package import Ports
internal import Synchronization

/// A command that dies with us, and with it everything it started.
///
/// It runs under a keeper (`CProcess.h`): when its leader ends, when it is terminated, or when our process ends, every
/// descendant is killed, also those that left the session. Its end is reported when all of them are gone.
package final class SupervisedProcess: Sendable {
    /// Standard output and error as they come. One consumer; unread output stays in the pipe, so that a command
    /// whose output nobody takes is throttled and memory does not grow. It ends when the last writer is gone.
    package let output: ProcessOutput
    private let watch: EndWatch

    /// Blocks; must run on a thread that lives as long as our process.
    init(_ command: SupervisedCommand) throws(ProcessFailure) {
        let pipe = try OutputPipe()
        defer { pipe.closeWriteEnd() }
        let (keeper, descriptor) = try spawn(
            executable: command.executable, arguments: command.arguments, environment: command.environment,
            directory: command.directory, output: .descriptor(pipe.writeEnd), keeping: .keeper)
        output = ProcessOutput(pipe: pipe)
        watch = EndWatch(pid: keeper, descriptor: descriptor)
        guard watch.begin() else {
            drover_keeper_end(keeper, 0)
            _ = waitpid(keeper, nil, 0)
            throw ProcessFailure(code: "limit", message: "The kernel watches no more processes; run fewer.")
        }
    }

    /// How the leader ended. A wait whose task is cancelled returns `.unknown` at once; the command runs on.
    package func waitForEnd() async -> ProcessEnd { await watch.wait() }

    /// How the leader ended, also for a cancelled task.
    func waitDespiteCancellation() async -> ProcessEnd { await watch.wait(isCancellable: false) }

    /// Every chunk until the end, also for a cancelled task.
    func drain(_ onOutput: ([UInt8]) async -> Void) async {
        while let chunk = await output.pipe.next(isCancellable: false) { await onOutput(chunk) }
    }

    /// TERM to the group now, KILL to every descendant after the grace (0: at once). Does nothing after the end.
    package func terminate(graceSeconds: Double) {
        let milliseconds = Int32(clamping: Int64((min(max(graceSeconds, 0), 86_400) * 1000).rounded(.up)))
        watch.whileNotReaped { keeper in _ = drover_keeper_end(keeper, milliseconds) }
    }
}

/// What to supervise: an absolute path, never a shell line; nothing of our environment is inherited.
package struct SupervisedCommand: Hashable, Sendable {
    package var executable: String
    package var arguments: [String]
    package var environment: [String: String]
    package var directory: String

    package init(
        executable: String, arguments: [String] = [], environment: [String: String] = [:], directory: String
    ) {
        (self.executable, self.arguments) = (executable, arguments)
        (self.environment, self.directory) = (environment, directory)
    }
}

/// A command's output, chunk by chunk.
package struct ProcessOutput: AsyncSequence, Sendable {
    package typealias Element = [UInt8]
    package typealias Failure = Never

    fileprivate let pipe: OutputPipe

    package struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let pipe: OutputPipe

        /// Nil at the end, or when the task is cancelled.
        package mutating func next() async -> [UInt8]? { await pipe.next() }

        package mutating func next(isolation actor: isolated (any Actor)?) async -> [UInt8]? { await pipe.next() }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pipe: pipe) }
}

/// A pipe that is read only when somebody asks.
private final class OutputPipe: Sendable {
    private struct State: Sendable {
        var isWriteEndOpen = true
        var waiting: (token: UInt64, continuation: CheckedContinuation<Void, Never>)?

        mutating func takeWaiting() -> (token: UInt64, continuation: CheckedContinuation<Void, Never>)? {
            defer { waiting = nil }
            return waiting
        }
    }

    /// What one chunk holds at most; the kernel's pipe holds as much again.
    private static let chunkBytes = 64 * 1024

    private let readEnd: Int32
    let writeEnd: Int32
    private let state = Mutex(State())

    init() throws(ProcessFailure) {
        var (readEnd, writeEnd): (Int32, Int32) = (-1, -1)
        let error = unsafe drover_output_pipe(&readEnd, &writeEnd)
        guard error == 0 else {
            throw ProcessFailure(
                code: "limit", message: "No pipe for output: \(errorText(error)). Raise the limit of open descriptors.")
        }
        (self.readEnd, self.writeEnd) = (readEnd, writeEnd)
    }

    deinit {
        closeWriteEnd()
        close(readEnd)
    }

    func closeWriteEnd() {
        state.withLock { state in
            if state.isWriteEndOpen { close(writeEnd) }
            state.isWriteEndOpen = false
        }
    }

    /// The next chunk, nil at the end. A cancellable wait also ends with nil when its task is cancelled.
    func next(isCancellable: Bool = true) async -> [UInt8]? {
        while !(isCancellable && Task.isCancelled) {
            switch readNow() {
            case .chunk(let bytes): return bytes
            case .end: return nil
            case .nothingYet: await readable(isCancellable: isCancellable)
            }
        }
        return nil
    }

    private enum ReadOutcome {
        case chunk([UInt8])
        case end
        case nothingYet
    }

    private func readNow() -> ReadOutcome {
        var count = 0
        var error: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: Self.chunkBytes) { buffer, filled in
            unsafe count = read(readEnd, buffer.baseAddress, buffer.count)
            error = errno
            filled = max(count, 0)
        }
        if count > 0 { return .chunk(bytes) }
        return count < 0 && (error == EAGAIN || error == EINTR) ? .nothingYet : .end
    }

    /// Returns when reading is worth another try, or a cancellable task is cancelled.
    private func readable(isCancellable: Bool) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isWaiting = state.withLock { state -> Bool in
                    if isCancellable && Task.isCancelled { return false }
                    guard let token = DescriptorWatcher.shared.onceReadable(readEnd, { [self] in wake() }) else {
                        return false
                    }
                    state.waiting = (token, continuation)
                    return true
                }
                if !isWaiting { continuation.resume() }
            }
        } onCancel: {
            guard isCancellable, let waiting = state.withLock({ $0.takeWaiting() }) else { return }
            DescriptorWatcher.shared.cancel(waiting.token)
            waiting.continuation.resume()
        }
    }

    private func wake() {
        state.withLock { $0.takeWaiting() }?.continuation.resume()
    }
}
