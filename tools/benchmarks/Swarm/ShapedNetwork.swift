import Foundation

/// Machines in network namespaces of this one, joined by a bridge; each has one link of the same rate both ways. Needs
/// root. Gone at its end.
///
/// A token bucket at either end of each link (`tc-tbf`); frames stay whole up to 16 KiB, so that the processors are the
/// programs', not the kernel's.
final class ShapedNetwork: Sendable {
    static let seed = "seed"
    static let seedAddress = "10.78.0.1"

    let peers: [String]
    private let prefix: String
    private let directory: String

    private static let maximumPeers = 200
    private static let gsoBytes = 16 << 10
    private static let (burst, queue) = ("64k", "512k")

    /// `rate` in Mbit/s.
    init(peers count: Int, rate: Double, in directory: String) async throws {
        guard (1...Self.maximumPeers).contains(count) else {
            throw BenchmarkFailure("--peers is 1 to \(Self.maximumPeers)")
        }
        guard geteuid() == 0 else { throw BenchmarkFailure("network namespaces need root: run it as root") }
        prefix = "drover\(ProcessInfo.processInfo.processIdentifier)"
        self.directory = directory
        peers = (1...count).map { "peer\($0)" }
        do { try await make(rate) } catch {
            await remove()
            throw error
        }
    }

    private var nodes: [String] { [Self.seed] + peers }
    private var core: String { "\(prefix)-core" }

    func namespace(_ node: String) -> String { "\(prefix)-\(node)" }

    func address(_ node: String) -> String { "10.78.0.\((nodes.firstIndex(of: node) ?? 0) + 1)" }

    private func make(_ rate: Double) async throws {
        let shape = "root tbf rate \(Int(rate * 1000))kbit burst \(Self.burst) limit \(Self.queue)"
        // What a run left that was killed.
        let leftovers =
            "ip netns list | grep -o '^drover[0-9]*-[a-z0-9]*' | while read name; do id=${name%%-*};"
            + " [ -d /proc/${id#drover} ] || ip netns del $name; done"
        // All namespaces share one table of neighbours, which a full mesh of 33 machines overflows.
        var lines = [
            leftovers,
            "for level in 3 2 1; do f=/proc/sys/net/ipv4/neigh/default/gc_thresh$level;"
                + " [ $(cat $f) -ge $((8192 * level)) ] || echo $((8192 * level)) > $f; done",
            "ip netns add \(core)",
        ]
        for hub in ["hub", "other"] {
            lines += ["ip -n \(core) link add \(hub) type bridge", "ip -n \(core) link set dev \(hub) up"]
        }
        for node in nodes {
            let name = namespace(node)
            lines += [
                "ip netns add \(name)",
                "ip -n \(core) link add \(node) type veth peer name link netns \(name)",
                "ip -n \(core) link set dev \(node) gso_max_size \(Self.gsoBytes)",
                "ip -n \(core) link set dev \(node) master hub up",
                "ip -n \(name) link set dev link gso_max_size \(Self.gsoBytes)",
                "ip -n \(name) link set dev link up",
                "ip -n \(name) addr add \(address(node))/16 dev link", "ip -n \(name) link set lo up",
                "tc -n \(name) qdisc add dev link \(shape)", "tc -n \(core) qdisc add dev \(node) \(shape)",
            ]
        }
        try await shell("/bin/sh", ["-ec", lines.joined(separator: "\n")], in: directory)
    }

    /// Cuts some machines off from all others, but not from each other.
    func split(_ nodes: [String]) async throws { try await move(nodes, to: "other") }

    func heal(_ nodes: [String]) async throws { try await move(nodes, to: "hub") }

    private func move(_ nodes: [String], to hub: String) async throws {
        let lines = nodes.map { "ip -n \(core) link set dev \($0) master \(hub)" }
        try await shell("/bin/sh", ["-ec", lines.joined(separator: "\n")], in: directory)
    }

    func cut(_ node: String) async throws {
        try await shell("/bin/sh", ["-ec", "ip -n \(core) link set dev \(node) down"], in: directory)
    }

    /// What a machine has sent so far.
    func bytesSent(by node: String) async throws -> Double {
        let text = try await shell(
            "/bin/sh",
            ["-ec", "ip netns exec \(namespace(node)) cat /sys/class/net/link/statistics/tx_bytes"], in: directory)
        return Double(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    }

    func remove() async {
        for name in nodes.map(namespace) + [core] {
            _ = try? await shell("/bin/sh", ["-c", "ip netns del \(name) 2>&1 || true"], in: directory)
        }
    }
}
