import Crypto
import Domain
import Foundation

/// A recording of a workload, and where its parts stand: everything that images are made of.
package struct Recording: Codable, Sendable {
    /// Holds `trace` and, below `disk`, what the workload left.
    package var directory: String
    /// Where in the trace a further process began.
    package var starts: [Int]
    package var seed: UInt64
    package var images: Int

    static let logPath = "data/global/log"
    var tracePath: String { directory + "/trace" }
    var diskPath: String { directory + "/disk" }

    func trace() throws -> Trace {
        try Trace(Array(try Data(contentsOf: URL(filePath: tracePath))), starts: starts)
    }
}

/// A share of a recording's images, made and checked one after the other. LMDB may crash on a wrong one, so it is said
/// before which one is next.
struct ImageWork: Codable, Sendable {
    var recording: Recording
    /// A directory of this work's own.
    var scratch: String
    /// It takes the steps whose number leaves this rest when divided by `workers`.
    var worker = 0
    var workers = 1
    /// Where it goes on; nil from the first.
    var after: ImagePlan.Place?
    /// Only this one.
    var only: ImagePlan.Place?

    /// Says `at STEP VARIATION` before and `was KIND DIGEST MESSAGE` behind each image.
    func run() async throws {
        let trace = try recording.trace()
        let plan = try ImagePlan(trace, images: recording.images, seed: recording.seed)
        let check = LogCheck(reference: try ReferenceLog(directory: "\(recording.diskPath)/\(Recording.logPath)"))
        var (disk, seen) = (SimulatedDisk(), [Domain.Digest: Verdict]())
        for step in 0...plan.steps {
            if step > 0 { try disk.take(trace.steps[step - 1]) }
            let variations = variations(plan, step)
            guard !variations.isEmpty else { continue }
            let told = Told(disk.said)
            for variation in variations {
                say("at \(step) \(variation)")
                let image = disk.image(plan.survival(at: .init(step: step, variation: variation)))
                let digest = Self.digest(image, told)
                let verdict: Verdict
                if let known = seen[digest] {
                    verdict = known
                } else {
                    verdict = try await self.verdict(image, told, check)
                }
                seen[digest] = verdict
                say("was \(verdict.kind.rawValue) \(digest.hex.prefix(16)) \(verdict.message)")
            }
        }
        say("end")
    }

    private func variations(_ plan: ImagePlan, _ step: Int) -> Range<Int> {
        if let only { return only.step == step ? only.variation..<only.variation + 1 : 0..<0 }
        guard step % workers == worker, step >= after?.step ?? 0 else { return 0..<0 }
        let all = plan.variations(after: step)
        return step == after?.step ? min((after?.variation ?? 0) + 1, all)..<all : 0..<all
    }

    private func verdict(_ image: CrashImage, _ told: Told, _ check: LogCheck) async throws -> Verdict {
        let place = scratch + "/image"
        try? FileManager.default.removeItem(atPath: place)
        try image.write(to: place)
        return await check.verdict(on: "\(place)/\(Recording.logPath)", told: told)
    }

    /// Of what is checked: the same image with more that must be in it is another one.
    private static func digest(_ image: CrashImage, _ told: Told) -> Domain.Digest {
        var hash = SHA256()
        for (path, bytes) in image.files.sorted(by: { $0.key < $1.key }) {
            hash.update(data: Array("\(path) \(bytes.count)\n".utf8))
            hash.update(data: bytes)
        }
        hash.update(data: Array("\(image.directories.sorted()) \(told.answers.count)".utf8))
        return Domain.Digest(bytes: Array(hash.finalize())) ?? .zero
    }
}

extension CrashImage {
    func write(to place: String) throws {
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        for directory in directories.sorted() {
            try FileManager.default.createDirectory(atPath: "\(place)/\(directory)", withIntermediateDirectories: true)
        }
        for (path, bytes) in files { try Data(bytes).write(to: URL(filePath: "\(place)/\(path)")) }
    }
}
