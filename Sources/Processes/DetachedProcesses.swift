internal import CProcess
internal import Glibc
internal import Logging
package import Ports
internal import Synchronization

/// Processes that outlive us, and their adoption by a later instance of us.
///
/// A process leads a session of its own, has no descriptor of ours and no controlling terminal. While we live we reap
/// it; afterwards init does, and whoever knows its identity can watch and signal it.
package final class DetachedProcesses: ProcessRunner {
    private struct State: Sendable {
        var watches: [ProcessIdentity: EndWatch] = [:]
        /// How children ended, for those who ask later; the newest `maximumRememberedEnds`.
        var ends: [ProcessIdentity: ProcessEnd] = [:]
        var order: [ProcessIdentity] = []

        mutating func remember(_ identity: ProcessIdentity, _ end: ProcessEnd) {
            watches[identity] = nil
            guard end != .unknown, ends.updateValue(end, forKey: identity) == nil else { return }
            order.append(identity)
            if order.count > DetachedProcesses.maximumRememberedEnds { ends[order.removeFirst()] = nil }
        }
    }

    package static let maximumRememberedEnds = 1024
    /// How often a process is looked at whose end the kernel would not announce, because descriptors ran out.
    package static let fallbackPollSeconds = 1

    private let state = Mutex(State())
    /// Lives as long as the process: the death signal of dependents hangs on it.
    private static let spawner = SerialThread(name: "drover-spawner")
    private let logger = Logger(label: "drover.processes")

    package init() {}

    package func startDetached(_ specification: ProcessSpecification) throws(ProcessFailure) -> ProcessIdentity {
        let output = try openOutput(specification.outputPath)
        defer { if let output { close(output) } }
        return try start(specification, output: output.map { .descriptor($0) } ?? .none, keeping: .none)
    }

    /// Starts a process that gets `deathSignal` when ours ends, however it ends. Without an output path its output goes
    /// to our standard error.
    package func startDependent(
        _ specification: ProcessSpecification, deathSignal: Int32 = SIGTERM
    ) async throws(ProcessFailure) -> ProcessIdentity {
        try await Self.spawner.run { () throws(ProcessFailure) -> ProcessIdentity in
            let output = try openOutput(specification.outputPath)
            defer { if let output { close(output) } }
            return try self.start(
                specification, output: .descriptor(output ?? STDERR_FILENO), keeping: .deathSignal(deathSignal))
        }
    }

    package func isRunning(_ identity: ProcessIdentity) -> Bool {
        guard identity.boot == bootIdentity, let status = ProcessStatus(pid: identity.pid) else { return false }
        return status.startTicks == identity.startTicks && !status.hasEnded
    }

    /// A wait whose task is cancelled returns `.unknown` at once, and so does one for a process of another boot.
    package func waitForEnd(_ identity: ProcessIdentity) async -> ProcessEnd {
        if let end = state.withLock({ $0.ends[identity] }) { return end }
        switch watch(of: identity) {
        case .watched(let watch): return await watch.wait()
        case .ended: return state.withLock { $0.ends[identity] } ?? .unknown
        case .unwatchable:
            logger.warning("no descriptor is left to watch process \(identity.pid); looking at it every second")
            while isRunning(identity), !Task.isCancelled {
                try? await Task.sleep(for: .seconds(Self.fallbackPollSeconds))
            }
            return .unknown
        }
    }

    package func signal(_ identity: ProcessIdentity, _ number: Int32) {
        switch watch(of: identity) {
        case .watched(let watch): watch.signalGroup(number)
        case .ended: return
        case .unwatchable: if isRunning(identity) { kill(-identity.pid, number) }
        }
    }

    private func start(
        _ specification: ProcessSpecification, output: SpawnOutput, keeping: SpawnKeeping
    ) throws(ProcessFailure) -> ProcessIdentity {
        let (pid, descriptor) = try spawn(
            executable: specification.executable, arguments: specification.arguments,
            environment: specification.environment, directory: specification.directory, output: output,
            keeping: keeping)
        let watch = EndWatch(pid: pid, descriptor: descriptor)
        // Not reaped yet, so its row in /proc is there even if it has ended.
        guard let status = ProcessStatus(pid: pid) else {
            kill(pid, SIGKILL)
            _ = watch.begin()
            throw ProcessFailure(code: "io", message: "/proc does not show process \(pid); mount /proc.")
        }
        let identity = ProcessIdentity(pid: pid, startTicks: status.startTicks, boot: bootIdentity)
        state.withLock { $0.watches[identity] = watch }
        guard watch.begin(onEnd: { [self] end in state.withLock { $0.remember(identity, end) } }) else {
            kill(pid, SIGKILL)
            _ = waitpid(pid, nil, 0)
            state.withLock { $0.watches[identity] = nil }
            throw ProcessFailure(code: "limit", message: "The kernel watches no more processes; run fewer.")
        }
        return identity
    }

    private enum Found {
        case watched(EndWatch)
        case ended
        case unwatchable
    }

    /// The watch there is, or a new one on a process that somebody else started. Its number is proved by looking at its
    /// start after the descriptor was opened: a descriptor never changes to a later process.
    private func watch(of identity: ProcessIdentity) -> Found {
        if let watch = state.withLock({ $0.watches[identity] }) { return .watched(watch) }
        guard isRunning(identity) else { return .ended }
        let descriptor = drover_pidfd_open(identity.pid)
        guard descriptor >= 0 else { return -descriptor == ESRCH ? .ended : .unwatchable }
        let watch = EndWatch(pid: identity.pid, descriptor: descriptor)
        guard isRunning(identity) else { return .ended }
        let (current, isNew) = state.withLock { state -> (EndWatch, Bool) in
            if let other = state.watches[identity] { return (other, false) }
            state.watches[identity] = watch
            return (watch, true)
        }
        guard isNew else { return .watched(current) }
        guard watch.begin(onEnd: { [self] end in state.withLock { $0.remember(identity, end) } }) else {
            state.withLock { $0.watches[identity] = nil }
            return .unwatchable
        }
        return .watched(watch)
    }
}

/// Opens a log file for appending, created for us alone; nil for none.
private func openOutput(_ path: String?) throws(ProcessFailure) -> Int32? {
    guard let path else { return nil }
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else {
        throw ProcessFailure(
            code: "io", message: "The output file '\(path)' cannot be opened: \(errorText(errno)). Make its directory.")
    }
    return descriptor
}
