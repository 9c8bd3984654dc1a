import Foundation
import Ports
import Processes
import Synchronization

/// Starts the laboratory's processes: this very program, under a recorder, a tracer or nothing.
struct Children: Sendable {
    /// The program, and the arguments that make it a child.
    var program: [String]
    /// `libCRecorder.so`.
    var recorder: String
    var directory: String
    let running = RunningChildren()

    /// A child that says nothing for so long is ended.
    static let silentSeconds: Int64 = 60
    private static let longestSeconds = 7.0 * 24 * 3600

    /// How one stands under others.
    struct Surroundings: Sendable {
        var environment: [String: String] = [:]
        /// Another program and its arguments, which starts the child.
        var under: [String] = []
    }

    func recording(
        _ directory: String, to trace: String?, swallowing flushes: SwallowedFlushes? = nil, failing flush: Int? = nil
    ) -> Surroundings {
        var environment = ["LD_PRELOAD": recorder, "DROVER_RECORDER_DIRECTORY": directory]
        environment["DROVER_RECORDER_TRACE"] = trace
        environment["DROVER_RECORDER_SWALLOW"] = flushes?.kinds
        environment["DROVER_RECORDER_SWALLOW_BELOW"] = flushes?.path
        environment["DROVER_RECORDER_FAIL"] = flush.map { "\($0)" }
        return Surroundings(environment: environment)
    }

    func start(_ role: ChildRole, _ surroundings: Surroundings = Surroundings()) async throws -> SupervisedProcess {
        let json = String(decoding: try JSONEncoder().encode(role), as: UTF8.self)
        return try await start(program + [json], surroundings)
    }

    func start(_ arguments: [String], _ surroundings: Surroundings) async throws -> SupervisedProcess {
        let command = surroundings.under + arguments
        let usual = ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": directory, "SWIFT_BACKTRACE": "enable=no"]
        return try await running.start(
            SupervisedCommand(
                executable: command[0], arguments: Array(command.dropFirst()),
                environment: usual.merging(surroundings.environment) { $1 }, directory: directory))
    }

    /// Hands over every line until the end.
    func run(
        _ role: ChildRole, _ surroundings: Surroundings = Surroundings(), _ onLine: @Sendable (String) -> Void
    ) async throws -> ProcessEnd {
        try await listen(to: try await start(role, surroundings), onLine)
    }

    func listen(to process: SupervisedProcess, _ onLine: @Sendable (String) -> Void) async throws -> ProcessEnd {
        let heard = LastWord()
        let end = await withTaskGroup(of: Void.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: .milliseconds(500))
                    if heard.isLongAgo { process.terminate(graceSeconds: 0) }
                }
            }
            var partial: [UInt8] = []
            for await chunk in process.output {
                heard.isNow()
                partial += chunk
                while let end = partial.firstIndex(of: UInt8(ascii: "\n")) {
                    onLine(String(decoding: partial[..<end], as: UTF8.self))
                    partial.removeSubrange(...end)
                }
            }
            if !partial.isEmpty { onLine(String(decoding: partial, as: UTF8.self)) }
            group.cancelAll()
            return await process.waitForEnd()
        }
        try await running.ended(process)
        return end
    }
}

/// Flushes that a process believes to be done.
package struct SwallowedFlushes: Sendable {
    /// As `CRecorder.h` names them, with commas between.
    let kinds: String
    /// Only those of paths that begin so; nil for all.
    let path: String?

    init(_ kinds: String, below path: String? = nil) {
        (self.kinds, self.path) = (kinds, path)
    }
}

/// The processes that run now, until all of them are to end.
final class RunningChildren: Sendable {
    private struct State {
        var processes: [ObjectIdentifier: SupervisedProcess] = [:]
        /// Being started: they are not known yet.
        var starting = 0
        var isOver = false
    }

    private let state = Mutex(State())

    func start(_ command: SupervisedCommand) async throws -> SupervisedProcess {
        let mayStart = state.withLock { state in
            if !state.isOver { state.starting += 1 }
            return !state.isOver
        }
        if !mayStart { try await Self.forever() }
        let result: Result<SupervisedProcess, any Error>
        do { result = .success(try await GroupRunner().start(command)) } catch { result = .failure(error) }
        state.withLock { state in
            state.starting -= 1
            if case .success(let process) = result { state.processes[ObjectIdentifier(process)] = process }
        }
        return try result.get()
    }

    func ended(_ process: SupervisedProcess) async throws {
        let isOver = state.withLock { state in
            state.processes[ObjectIdentifier(process)] = nil
            return state.isOver
        }
        // What it said was cut: nothing is to be made of it.
        if isOver { try await Self.forever() }
    }

    func end() async {
        state.withLock { $0.isOver = true }
        while true {
            let (processes, starting) = state.withLock { ($0.processes, $0.starting) }
            for process in processes.values { process.terminate(graceSeconds: 0) }
            for (id, process) in processes {
                _ = await process.waitForEnd()
                state.withLock { $0.processes[id] = nil }
            }
            if starting == 0 { return }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    private static func forever() async throws { while true { try await Task.sleep(for: .seconds(3600)) } }
}

/// When a process last said something.
private final class LastWord: Sendable {
    private let moment = Mutex(ContinuousClock.now)

    func isNow() { moment.withLock { $0 = .now } }

    var isLongAgo: Bool { moment.withLock { $0.duration(to: .now) > .seconds(Children.silentSeconds) } }
}
