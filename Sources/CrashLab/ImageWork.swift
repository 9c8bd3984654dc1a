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
    /// A flush failed in it: what was written may have been given up.
    package var hasFailure = false
    /// What was recorded; nil for a workload alone.
    package var scenario: Scenario?

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

    /// Neighbours' images are often the same.
    private static let stepsOfAShare = 8

    /// Says `at STEP VARIATION` before and `was KIND DIGEST MESSAGE` behind each image.
    func run() async throws {
        let trace = try recording.trace()
        let plan = try recording.plan(trace)
        let check = try await ImageCheck(recording, scratch: scratch + "/check")
        var (disk, seen) = (SimulatedDisk(), [Domain.Digest: ImageCheck.Outcome]())
        for step in 0...plan.steps {
            if step > 0 { try disk.take(trace.steps[step - 1]) }
            let variations = variations(plan, step)
            guard !variations.isEmpty else { continue }
            let told = Told(disk.said)
            for variation in variations {
                say("at \(step) \(variation)")
                let image = disk.image(plan.survival(at: .init(step: step, variation: variation)))
                let digest = Self.digest(image)
                let outcome: ImageCheck.Outcome
                if let known = seen[digest], check.holds(known, told) {
                    outcome = known
                } else {
                    outcome = try await self.outcome(image, told, check)
                }
                seen[digest] = outcome
                let verdict = outcome.verdict
                say("was \(verdict.kind.rawValue) \(digest.hex.prefix(16)) \(verdict.message)")
            }
        }
        say("end")
    }

    private func variations(_ plan: ImagePlan, _ step: Int) -> Range<Int> {
        if let only { return only.step == step ? only.variation..<only.variation + 1 : 0..<0 }
        guard step / Self.stepsOfAShare % workers == worker, step >= after?.step ?? 0 else { return 0..<0 }
        let all = plan.variations(after: step)
        return step == after?.step ? min((after?.variation ?? 0) + 1, all)..<all : 0..<all
    }

    private func outcome(_ image: CrashImage, _ told: Told, _ check: ImageCheck) async throws -> ImageCheck.Outcome {
        let place = scratch + "/image"
        try? FileManager.default.removeItem(atPath: place)
        try image.write(to: place)
        return await check.outcome(at: place, told)
    }

    private static func digest(_ image: CrashImage) -> Domain.Digest {
        var hash = SHA256()
        for (path, bytes) in image.files.sorted(by: { $0.key < $1.key }) {
            hash.update(data: Array("\(path) \(bytes.count)\n".utf8))
            hash.update(data: bytes)
        }
        hash.update(data: Array("\(image.directories.sorted())".utf8))
        return Domain.Digest(bytes: Array(hash.finalize())) ?? .zero
    }
}

extension Recording {
    func plan(_ trace: Trace) throws -> ImagePlan {
        try ImagePlan(trace, from: scenario == nil ? 0 : trace.bases.last ?? 0, images: images, seed: seed)
    }
}

/// What is checked of an image: once of each content, since the same one holds the same.
private struct ImageCheck {
    struct Outcome {
        var verdict: Verdict
        /// What had been told when it was checked.
        var told: Told
        /// Where the log ends; nil where it does not say.
        var end: LogSequence?
    }

    private enum Check {
        case log(LogCheck)
        case claim(ClaimCheck)
    }

    private let check: Check

    init(_ recording: Recording, scratch: String) async throws {
        if let scenario = recording.scenario {
            check = .claim(try await ClaimCheck(scenario, model: recording.diskPath, scratch: scratch))
            return
        }
        // What was given up may be there all the same: then the answers alone say what must be.
        let model = "\(recording.diskPath)/\(Recording.logPath)"
        let reference = recording.hasFailure ? nil : try await ReferenceLog(directory: model)
        check = .log(LogCheck(reference: reference))
    }

    func outcome(at place: String, _ told: Told) async -> Outcome {
        switch check {
        case .claim(let claim):
            let verdict = await claim.verdict(at: place, told, isDone: told.done.count > claim.words)
            return Outcome(verdict: verdict, told: told)
        case .log(let log):
            let (verdict, end) = await log.outcome(on: "\(place)/\(Recording.logPath)", told: told)
            return Outcome(verdict: verdict, told: told, end: end)
        }
    }

    /// Whether what was found of a content is true with what has been told since: nothing more of consequence, or only
    /// what the content is known to hold.
    func holds(_ outcome: Outcome, _ told: Told) -> Bool {
        if outcome.told == told { return true }
        guard case .log(let log) = check, outcome.verdict.kind == .sound, let end = outcome.end,
            told.failed == outcome.told.failed, told.done == outcome.told.done
        else { return false }
        return told.answers.allSatisfy { $0.sequence <= end && log.reference?.chain(at: $0.sequence) == $0.chain }
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
