internal import CProcess
internal import Dispatch
internal import Glibc
package import Ports
internal import Synchronization

/// A command that dies with us, and with it everything it started.
///
/// It runs under a keeper (`CProcess.h`): when its leader ends, when it is terminated, or when our process ends, every
/// descendant is killed, also those that left the session. Its end is reported when all of them are gone.
///
/// A command that ends or stops its keeper cannot hold us: a keeper that does not end after the grace is killed with all
/// below it, and whoever holds the output after the keeper's end is killed and read no more.
package final class SupervisedProcess: Sendable {
    /// From a keeper's end until its output is given up: normally nobody is left to write.
    static let outputMilliseconds = 2000
    /// From the grace's end until the keeper itself is killed.
    static let keeperMilliseconds = 10_000

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
        let isWatched = watch.begin { [weak pipe] _ in Self.giveUpLater(pipe) }
        guard isWatched else {
            drover_keeper_end(keeper, 0)
            _ = waitpid(keeper, nil, 0)
            throw ProcessFailure(code: "limit", message: "The kernel watches no more processes; run fewer.")
        }
    }

    private static func giveUpLater(_ pipe: OutputPipe?) {
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(outputMilliseconds)) { [weak pipe] in
            pipe?.abandon()
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
        let patience = DispatchTimeInterval.milliseconds(Int(milliseconds) + Self.keeperMilliseconds)
        DispatchQueue.global().asyncAfter(deadline: .now() + patience) { [weak watch] in
            watch?.whileNotReaped { keeper in
                for pid in ProcessTree.descendants(of: keeper) { kill(pid, SIGKILL) }
                kill(keeper, SIGKILL)
            }
        }
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
        /// Chunks that may still be read, none after the end; nil while the writers are looked after.
        var chunksLeft: Int?
        var waiting: (token: UInt64, continuation: CheckedContinuation<Void, Never>)?

        mutating func takeWaiting() -> (token: UInt64, continuation: CheckedContinuation<Void, Never>)? {
            defer { waiting = nil }
            return waiting
        }
    }

    /// What one chunk holds at most; the kernel's pipe holds as much again.
    private static let chunkBytes = 64 * 1024
    /// What a pipe holds at most.
    private static let abandonedChunks = 16

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
        while !(isCancellable && Task.isCancelled), mayRead() {
            switch readNow() {
            case .chunk(let bytes): return bytes
            case .end:
                state.withLock { $0.chunksLeft = 0 }
                return nil
            case .nothingYet where isAbandoned: return nil
            case .nothingYet: await readable(isCancellable: isCancellable)
            }
        }
        return nil
    }

    /// Nobody should write any more: who still holds the other end is killed, and only what is there is read.
    func abandon() {
        let isFirst = state.withLock { state in
            defer { state.chunksLeft = state.chunksLeft ?? Self.abandonedChunks }
            return state.chunksLeft == nil
        }
        guard isFirst else { return }
        for pid in ProcessTree.holders(of: readEnd) { kill(pid, SIGKILL) }
        guard let waiting = state.withLock({ $0.takeWaiting() }) else { return }
        DescriptorWatcher.shared.cancel(waiting.token)
        waiting.continuation.resume()
    }

    private var isAbandoned: Bool { state.withLock { $0.chunksLeft != nil } }

    private func mayRead() -> Bool {
        state.withLock { state in
            guard let left = state.chunksLeft else { return true }
            state.chunksLeft = max(0, left - 1)
            return left > 0
        }
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
                    if isCancellable && Task.isCancelled || state.chunksLeft != nil { return false }
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
