import ArgumentParser
import Foundation

/// What goes wrong while a swarm fetches. Times are multiples of S/B after the start, unless said otherwise.
enum SwarmFault: String, CaseIterable, ExpressibleByArgument, Sendable {
    /// A quarter of the peers is killed at 0.5.
    case killed
    /// The later half of the peers is cut off from the seed and the others at 0.3, for ten seconds.
    case partition
    /// The first peer's disk turns what it has into noise, again and again: it gives corrupt pieces. (Drover alone.)
    case corrupt
    /// The seed is cut off for good at 1.15: as soon as one copy and a little more can have left it.
    case seedGone = "seed-gone"

    private static let partitionSeconds = 10.0

    /// Peers that need not have the file in the end.
    func lost(of peers: [String]) -> Set<String> {
        switch self {
        case .killed: Set(peers.prefix(max(1, peers.count / 4)))
        case .corrupt: Set(peers.prefix(1))
        case .partition, .seedGone: []
        }
    }

    /// Returns when it is done; one that goes on is cancelled at the end.
    func strike(_ machines: SwarmMachines, _ network: ShapedNetwork, limitSeconds: Double) async throws {
        func after(_ share: Double) async throws { try await Task.sleep(for: .seconds(limitSeconds * share)) }
        switch self {
        case .killed:
            try await after(0.5)
            for peer in lost(of: network.peers) { machines.kill(peer) }
        case .partition:
            let half = Array(network.peers.suffix(network.peers.count / 2))
            try await after(0.3)
            try await network.split(half)
            try await Task.sleep(for: .seconds(Self.partitionSeconds))
            try await network.heal(half)
        case .corrupt:
            guard let peer = network.peers.first else { return }
            let path = "\(try machines.directory(peer))/\(DroverContender.partialFile)"
            while !Task.isCancelled {
                try await Task.sleep(for: .milliseconds(200))
                try? Self.spoil(path)
            }
        case .seedGone:
            try await after(1.15)
            try await network.cut(ShapedNetwork.seed)
        }
    }

    /// Writes noise over a file that is there, without making it longer.
    private static func spoil(_ path: String) throws {
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        defer { try? file.close() }
        let length = try file.seekToEnd()
        try file.seek(toOffset: 0)
        let noise = Data((0..<(1 << 20)).map { _ in UInt8.random(in: 0...255) })
        for start in stride(from: 0, to: length, by: noise.count) {
            try file.write(contentsOf: noise.prefix(Int(length - start)))
        }
    }
}
