import Domain
import Foundation
import Ports
import Synchronization

extension Laboratory {
    /// A workload's plan: how many commands each process of it gives.
    private static let commandsOfARun = [12, 8]
    static let usualImages = "images"

    /// Images of every moment of a workload that starts on an empty disk, ends and starts again.
    package func attackImages() async throws -> AttackReport {
        try await timed(Self.usualImages) { report in
            let recording = try await record(images: settings.images)
            defer { removePlace("recording") }
            try await images(of: recording, &report)
        }
    }

    /// The same of workloads in which one flush fails, each time another one, and the engine goes on or ends.
    package func attackImagesOfFailures() async throws -> AttackReport {
        try await timed("\(Self.usualImages), a flush fails") { report in
            var numbers = SeededNumbers(seed: settings.seed)
            for _ in 0..<Self.failures {
                let recording = try await record(
                    images: max(Self.fewestImages, settings.images / Self.imagesShare / Self.failures),
                    failing: numbers.below(Self.flushesOfARun) + 1)
                defer { removePlace("recording") }
                var part = AttackReport(report.attack)
                part.findings = report.findings
                try await images(of: recording, &part)
                (report.tried, report.distinct) = (report.tried + part.tried, report.distinct + part.distinct)
                (report.opened, report.lost) = (report.opened + part.opened, report.lost + part.lost)
                (report.damaged, report.findings) = (report.damaged + part.damaged, report.findings + part.findings)
            }
        }
    }

    private static let failures = 5
    private static let imagesShare = 5
    private static let fewestImages = 200
    /// Of a workload's first process, about.
    private static let flushesOfARun = 60

    /// Runs the workload under the recorder, and proves that the recorder saw everything.
    ///
    /// - Parameter flush: the one that fails; nil for none.
    func record(
        images: Int, swallowing flushes: SwallowedFlushes? = nil, failing flush: Int? = nil, sabotage: Sabotage? = nil
    ) async throws -> Recording {
        let directory = try place("recording")
        var recording = Recording(directory: directory, starts: [], seed: settings.seed, images: images)
        recording.hasFailure = flush != nil
        try FileManager.default.createDirectory(atPath: recording.diskPath, withIntermediateDirectories: true)
        for (number, commands) in Self.commandsOfARun.enumerated() {
            progress("recording", number, Self.commandsOfARun.count)
            if number > 0 { recording.starts.append(try Self.bytes(at: recording.tracePath)) }
            var workload = Workload(directory: "\(recording.diskPath)/\(Recording.logPath)", commands: commands)
            workload.firstNumber = number * Workload.numbersOfARun
            workload.sabotage = sabotage
            let (told, end) = try await run(
                workload,
                children.recording(
                    recording.diskPath, to: recording.tracePath, swallowing: flushes, failing: number == 0 ? flush : nil
                ))
            // One that could not even create its log ends with an error, as it should.
            guard recording.hasFailure || told.isEnded && end == .exited(0) else {
                throw LaboratoryFailure("the workload did not end as it should (\(end)): \(told.other.last ?? "")")
            }
        }
        try proveComplete(recording)
        return recording
    }

    /// Everything that the trace says, done, amounts to the files that are there.
    func proveComplete(_ recording: Recording) throws {
        var disk = SimulatedDisk()
        for step in try recording.trace().steps { try disk.take(step) }
        for (path, bytes) in disk.image(.everything).files where !path.hasSuffix("lock.mdb") {
            guard try Data(contentsOf: URL(filePath: "\(recording.diskPath)/\(path)")) == Data(bytes) else {
                throw LaboratoryFailure(
                    "the recorder did not see every write to \(path): its images would mean nothing")
            }
        }
    }

    static func bytes(at path: String) throws -> Int {
        try URL(filePath: path).resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
    }

    /// All images, by several processes.
    func images(of recording: Recording, _ report: inout AttackReport) async throws {
        let plan = try recording.plan(try recording.trace())
        let tally = SharedTally(report)
        let all = plan.images
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<settings.workers {
                group.addTask {
                    let work = ImageWork(
                        recording: recording, scratch: try place("images-\(worker)"), worker: worker,
                        workers: settings.workers)
                    defer { removePlace("images-\(worker)") }
                    try await follow(work, tally, of: all)
                }
            }
            try await group.waitForAll()
        }
        try take(tally.all, recording, &report)
    }

    /// One image alone.
    func images(_ work: ImageWork, _ report: inout AttackReport) async throws {
        let tally = SharedTally(report)
        try await follow(work, tally, of: 1)
        report = tally.all.report
        report.findings = tally.all.bad.map { Finding($0.verdict.kind.rawValue, $0.verdict.message) }
    }

    private func take(_ tally: ImageTally, _ recording: Recording, _ report: inout AttackReport) throws {
        report = tally.report
        report.distinct = tally.digests.count
        report.findings = []
        for (place, verdict) in tally.bad {
            try keep(
                Finding(verdict.kind.rawValue, "\(verdict.message) (step \(place.step), variation \(place.variation))"),
                .image(recording, place), &report)
        }
    }

    /// A process that does not survive an image is a finding; the next one goes on behind it.
    private func follow(_ work: ImageWork, _ tally: SharedTally, of all: Int) async throws {
        var work = work
        while true {
            let heard = Mutex(ImageHeard())
            let surroundings = children.recording(work.scratch, to: nil, swallowing: .init("data,meta,directory"))
            let end = try await children.run(.images(work), surroundings) { line in
                guard let verdict = heard.withLock({ $0.take(line) }) else { return }
                let tried = tally.take(verdict.0, verdict.1, verdict.2)
                if tried % 64 == 0 { progress(Self.usualImages, tried, all) }
            }
            let (place, isEnded, last) = heard.withLock { ($0.place, $0.isEnded, $0.last) }
            if isEnded { return }
            guard let place else { throw LaboratoryFailure("the images could not be made (\(end)): \(last)") }
            let verdict = Verdict(kind: .damaged, message: "the process that opened it ended (\(end)): \(last)")
            _ = tally.take(place, "", verdict)
            if work.only != nil { return }
            work.after = place
        }
    }
}

/// What a process of images has said.
private struct ImageHeard {
    var place: ImagePlan.Place?
    var isEnded = false
    var last = ""

    mutating func take(_ line: String) -> (ImagePlan.Place, String, Verdict)? {
        let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        switch words[0] {
        case "at":
            guard words.count == 3, let step = Int(words[1]), let variation = Int(words[2]) else { break }
            place = ImagePlan.Place(step: step, variation: variation)
            return nil
        case "was":
            guard words.count == 4, let kind = Verdict.Kind(rawValue: words[1]), let place else { break }
            return (place, words[2], Verdict(kind: kind, message: words[3]))
        case "end": isEnded = true
        case _: break
        }
        last = line
        return nil
    }
}

/// What the processes have found together.
private final class SharedTally: Sendable {
    private let tally: Mutex<ImageTally>

    init(_ report: AttackReport) { tally = Mutex(ImageTally(report: report)) }

    var all: ImageTally { tally.withLock { $0 } }

    func take(_ place: ImagePlan.Place, _ digest: String, _ verdict: Verdict) -> Int {
        tally.withLock { $0.take(place, digest, verdict) }
    }
}

private struct ImageTally: Sendable {
    var report: AttackReport
    var digests: Set<String> = []
    var bad: [(place: ImagePlan.Place, verdict: Verdict)] = []

    init(report: AttackReport) {
        self.report = report
        self.report.tried = 0
    }

    /// How many there are now.
    mutating func take(_ place: ImagePlan.Place, _ digest: String, _ verdict: Verdict) -> Int {
        report.tried += 1
        report.count(verdict)
        digests.insert(digest)
        if verdict.kind != .sound { bad.append((place, verdict)) }
        return report.tried
    }
}
