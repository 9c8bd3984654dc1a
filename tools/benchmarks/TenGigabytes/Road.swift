import Client
import Domain
import Foundation
import Wire

/// The road of one artifact, and the kills on it.
struct Road {
    /// How far each role is let come with its part before it is killed.
    private static let killedAtShare = 0.3

    let fleet: Fleet
    let bytes: UInt64
    let isUndisturbed: Bool
    /// When the peer had the whole pack.
    private(set) var packWhole = Date()
    /// Who was killed, and when.
    private(set) var notes: [String] = []

    init(fleet: Fleet, bytes: UInt64, isUndisturbed: Bool) {
        (self.fleet, self.bytes, self.isUndisturbed) = (fleet, bytes, isUndisturbed)
    }

    mutating func go(_ repository: Repository) async throws {
        let job = try await fleet.enqueue(repository)
        let directory = fleet.directory
        if !isUndisturbed {
            try await kill(fleet.worker, at: Self.killedAtShare, "of the build") {
                Self.size(of: "source/app", below: "\(directory)/worker/workspaces")
            }
            try await kill(fleet.regions[0], at: Self.killedAtShare, "of the upload") {
                Self.size(of: "data", below: "\(directory)/region-one/store/uploads")
            }
            try await kill(fleet.global, at: 2 * Self.killedAtShare, "of the upload") {
                Self.size(of: "data", below: "\(directory)/region-one/store/uploads")
            }
            try await kill(fleet.regions[1], at: Self.killedAtShare, "of the mirroring") {
                Self.size(of: "data", below: "\(directory)/region-two/store/uploads")
            }
        }
        progress("waiting until both regions have the pack")
        let build = try await fleet.replicated(job)
        let deployment = try await fleet.deploy(build.id)
        if !isUndisturbed {
            let mirror = region(1)
            try await kill(fleet.peers[0], at: Self.killedAtShare, "of the fetch") {
                await mirror.bytesSent(of: build.id, to: .peer)
            }
        }
        progress("waiting until the peer has the pack")
        let path = fleet.packPath(build.id, ofPeer: 0)
        packWhole = try await eventually("the peer has the pack", everyMilliseconds: 20) {
            FileManager.default.fileExists(atPath: path) ? Date() : nil
        }
        progress("waiting until the peer runs it")
        try await fleet.converged(deployment)
        for (place, receiver, name) in [(0, MirrorReceiver.other, "region two"), (1, .peer, "the peer")] {
            let copies = Double(await region(place).bytesSent(of: build.id, to: receiver)) / Double(build.packedBytes)
            notes.append("\(fleet.regions[place].name) sent \(number(copies)) copies to \(name)")
        }
    }

    private func region(_ place: Int) -> RegionClient {
        RegionClient(endpoint: fleet.regionURLs[place], actor: .person("bench"), settings: .withoutRetries)
    }

    /// Waits until so large a share is done, then kills the role and starts it again.
    private mutating func kill(
        _ role: RoleProcess, at share: Double, _ what: String, done: () async -> UInt64
    ) async throws {
        progress("waiting for \(Int(share * 100)) % \(what)")
        let wanted = UInt64(Double(bytes) * share)
        let reached = try await eventually("\(share) \(what)", everyMilliseconds: 20) {
            let bytes = await done()
            return bytes >= wanted ? bytes : nil
        }
        await role.kill()
        let start = ContinuousClock.now
        try await role.start()
        let percent = Int(100 * Double(reached) / Double(bytes))
        notes.append(
            "kill -9 of \(role.name) at \(percent) % \(what); ready again after \(number(elapsed(since: start))) s")
        progress(notes[notes.count - 1])
    }

    /// The size of the largest file of this name in any directory of one; zero when there is none.
    private static func size(of name: String, below directory: String) -> UInt64 {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.map { entry in
            let attributes = try? FileManager.default.attributesOfItem(atPath: "\(directory)/\(entry)/\(name)")
            return (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
        }.max() ?? 0
    }
}
