import Domain
import Foundation
import Glibc
import Logging
import Ports
import Processes
import ServiceLifecycle
import Synchronization

/// The roles that run as child processes of an embedded `projector`: started, started again when they end, told to stop
/// with it. They die with it, however it ends; the apps of the peers do not.
final class EmbeddedFleet: Service {
    /// One role's process.
    struct Role: Sendable {
        var name: String
        var directory: String
        /// The arguments, once what it needs (the global process, its region) is known.
        var arguments: [String]
    }

    static let restartMilliseconds: Int64 = 500
    static let pollMilliseconds: Int64 = 50
    /// From TERM to KILL for a role's process, beyond what it takes to end by itself.
    static let patienceSeconds: Int64 = 5
    /// How long the fleet takes to end: workers and peers with their apps, then the regions.
    static let stopSeconds = PeerCommandLine.stopSeconds + standardStopSeconds + 2 * patienceSeconds

    private let data: String
    private let logLevel: String
    private let regions: [String]
    private let peers: Int
    private let workers: Int
    private let logger: Logger
    private let processes = DetachedProcesses()
    private let global = AsyncStream.makeStream(of: String.self)
    private let running = Mutex<[String: ProcessIdentity]>([:])
    private let ready = Mutex<(url: String?, names: Set<String>)>((nil, []))

    init(data: String, logLevel: String, regions: [String], peers: Int, workers: Int, logger: Logger) {
        (self.data, self.logLevel, self.regions) = (data, logLevel, regions)
        (self.peers, self.workers, self.logger) = (peers, workers, logger)
    }

    func globalIsBound(_ url: String) {
        ready.withLock { $0.url = url }
        global.continuation.yield(url)
        global.continuation.finish()
    }

    /// Nil when every role is ready; else which are not.
    var missing: String? {
        let names = ready.withLock { $0.names }
        let missing = roleNames.filter { !names.contains($0) }
        return missing.isEmpty ? nil : "not ready yet: \(missing.joined(separator: ", "))"
    }

    private var roleNames: [String] {
        let fleet = regions.flatMap { region in
            ["region \(region)"] + (0..<peers).map { "peer \(region)-\($0 + 1)" }
        }
        return fleet + (0..<workers).map { "worker worker-\($0 + 1)" }
    }

    /// The page's address, when every role is ready; nil when the wait was cancelled.
    func waitUntilReady() async -> String? {
        while !Task.isCancelled {
            if let url = ready.withLock({ $0.url }), missing == nil { return url }
            try? await Task.sleep(for: .milliseconds(Self.pollMilliseconds))
        }
        return nil
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var control: String?
            for await url in self.global.stream { control = url }
            guard let control else { return }
            await withDiscardingTaskGroup { group in
                for region in self.regions { group.addTask { await self.superviseRegion(region, control: control) } }
                for index in 1...max(1, self.workers) where index <= self.workers {
                    group.addTask { await self.superviseWorker(index, control: control) }
                }
            }
        }
        await stopAll()
    }

    private func superviseRegion(_ name: String, control: String) async {
        let directory = "\(data)/regions/\(name)"
        await withDiscardingTaskGroup { group in
            let address = AsyncStream.makeStream(of: String.self)
            group.addTask {
                var listen = "127.0.0.1:0"
                await self.supervise("region \(name)", directory) {
                    ["region", "--name", name, "--control", control, "--listen", listen]
                } onReady: { url in
                    // The next one takes the same port: its peers know no other.
                    listen = String(url.dropFirst("http://".count))
                    address.continuation.yield(url)
                    address.continuation.finish()
                }
            }
            for await url in address.stream {
                for index in 1...max(1, self.peers) where index <= self.peers {
                    group.addTask {
                        let peer = "\(name)-\(index)"
                        await self.supervise("peer \(peer)", "\(self.data)/peers/\(peer)") {
                            [
                                "peer", "--name", peer, "--control", url, "--listen", "127.0.0.1:0", "--stop-app",
                                "--label", "region=\(name)",
                            ]
                        } onReady: { _ in
                        }
                    }
                }
            }
        }
    }

    private func superviseWorker(_ index: Int, control: String) async {
        let name = "worker-\(index)"
        let region = regions[(index - 1) % regions.count]
        await supervise("worker \(name)", "\(data)/workers/\(name)") {
            ["worker", "--name", name, "--region", region, "--control", control, "--listen", "127.0.0.1:0"]
        } onReady: { _ in
        }
    }

    /// Starts a role, notes when it is ready, and starts it again whenever it ends.
    private func supervise(
        _ name: String, _ directory: String, arguments: () -> [String], onReady: (String) -> Void
    ) async {
        while !Task.isCancelled {
            let readyFile = "\(directory)/ready"
            do {
                try prepareDirectory(directory)
                try? FileManager.default.removeItem(atPath: readyFile)
                let identity = try await start(arguments() + ["--ready-file", readyFile], directory)
                running.withLock { $0[name] = identity }
                await awaitReady(name, identity, readyFile, onReady)
                let end = await processes.waitForEnd(identity)
                _ = ready.withLock { $0.names.remove(name) }
                if !Task.isCancelled {
                    logger.warning("a role ended and is started again", metadata: ["role": "\(name)", "end": "\(end)"])
                }
            } catch {
                logger.error("a role does not start", metadata: ["role": "\(name)", "failure": "\(error)"])
            }
            try? await Task.sleep(for: .milliseconds(Self.restartMilliseconds))
        }
    }

    private func start(_ arguments: [String], _ directory: String) async throws -> ProcessIdentity {
        try await processes.startDependent(
            ProcessSpecification(
                executable: "/proc/self/exe", arguments: arguments + ["--data", directory, "--log-level", logLevel],
                environment: ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("DROVER_") },
                directory: data),
            deathSignal: SIGKILL)
    }

    private func awaitReady(
        _ name: String, _ identity: ProcessIdentity, _ file: String, _ onReady: (String) -> Void
    ) async {
        while !Task.isCancelled, processes.isRunning(identity) {
            if let text = try? String(contentsOfFile: file, encoding: .utf8), text.hasSuffix("\n") {
                onReady(text.trimmingCharacters(in: .whitespacesAndNewlines))
                _ = ready.withLock { $0.names.insert(name) }
                return
            }
            try? await Task.sleep(for: .milliseconds(Self.pollMilliseconds))
        }
    }

    /// Workers and peers first, so that what they still have to say is heard; then the regions.
    private func stopAll() async {
        let all = running.withLock { $0 }
        for isRegion in [false, true] {
            let group = all.filter { $0.key.hasPrefix("region ") == isRegion }
            for identity in group.values { processes.signal(identity, SIGTERM) }
            let seconds = Self.patienceSeconds + (isRegion ? standardStopSeconds : PeerCommandLine.stopSeconds)
            await withDiscardingTaskGroup { tasks in
                for identity in group.values { tasks.addTask { await self.stopped(identity, withinSeconds: seconds) } }
            }
        }
    }

    private func stopped(_ identity: ProcessIdentity, withinSeconds seconds: Int64) async {
        let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
        while processes.isRunning(identity) {
            if ContinuousClock.now >= deadline { processes.signal(identity, SIGKILL) }
            try? await Task.sleep(for: .milliseconds(Self.pollMilliseconds))
            if Task.isCancelled { usleep(50_000) }
        }
    }
}
