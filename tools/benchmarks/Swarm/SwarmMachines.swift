import Foundation
import Ports
import Processes
import Synchronization

/// The processes of one round, on their machines. They die with us.
final class SwarmMachines: Sendable {
    private let network: ShapedNetwork
    private let workplace: Workplace
    private let processes = DetachedProcesses()
    private let identities = Mutex<[(node: String, identity: ProcessIdentity)]>([])

    init(_ network: ShapedNetwork, _ workplace: Workplace) { (self.network, self.workplace) = (network, workplace) }

    func directory(_ node: String) throws -> String { try workplace.directory("machines/\(node)") }

    func hasOutput(_ node: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(workplace.path)/machines/\(node)/output")
    }

    func start(_ node: String, _ command: [String]) async throws {
        let directory = try directory(node)
        let identity = try await processes.startDependent(
            ProcessSpecification(
                executable: "/usr/sbin/ip", arguments: ["netns", "exec", network.namespace(node)] + command,
                environment: ["PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": directory],
                directory: directory, outputPath: "\(directory)/log"),
            deathSignal: SIGKILL)
        identities.withLock { $0.append((node, identity)) }
    }

    /// Processor seconds used by all so far.
    func processorSeconds() -> Double {
        identities.withLock { $0 }.reduce(0) {
            $0 + ((try? usedProcessorSeconds($1.identity.pid, withChildren: true)) ?? 0)
        }
    }

    func kill(_ node: String) {
        for process in identities.withLock({ $0 }) where process.node == node {
            processes.signal(process.identity, SIGKILL)
        }
    }

    func stop() async {
        let all = identities.withLock { $0 }
        for process in all { processes.signal(process.identity, SIGKILL) }
        for process in all { _ = await processes.waitForEnd(process.identity) }
    }
}
