import Blobs
import Codec
import Domain
import Engine
import EventLog
import Foundation
import Ports

/// Holds what a scenario left against what must be so.
struct ClaimCheck {
    let claim: Scenario.Claim
    /// The scenario's directory as it is when nothing goes wrong.
    let model: String
    /// Of the model's log.
    let reference: ReferenceLog
    /// How many acts before said where they came to.
    let words: Int
    /// A directory of this check's own.
    let scratch: String

    init(_ scenario: Scenario, model: String, scratch: String) async throws {
        (claim, words) = (scenario.claim, scenario.words)
        (self.model, self.scratch) = (model, scratch)
        reference = try await ReferenceLog(
            directory: model + "/log", archive: scenario.claim == .trimmed ? model + "/store" : nil)
    }

    /// What is there is used as its next user would: it changes.
    ///
    /// - Parameter isDone: whether the act said that it was done.
    func verdict(at place: String, _ told: Told, isDone: Bool) async -> Verdict {
        do {
            try? FileManager.default.removeItem(atPath: scratch)
            try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
            switch claim {
            case .answered: return await LogCheck(reference: nil).verdict(on: place + "/log", told: told)
            case .snapshots: return try await snapshots(place, told)
            case .text, .log, .directory, .segments: return try await output(place + "/out", told, isDone: isDone)
            case .backup: return try await backup(place, told, isDone: isDone)
            case .redaction: return try await redaction(place, told, isDone: isDone)
            case .trimmed: return try await trimmed(place, told)
            }
        } catch let failure as StoreFailure {
            return Verdict(kind: .damaged, message: failure.description)
        } catch {
            return Verdict(kind: .stuck, message: "\(error)")
        }
    }

    private func snapshots(_ place: String, _ told: Told) async throws -> Verdict {
        let log = try EventLog.open(directory: place + "/log", mode: .readOnly)
        let findings = try StateSnapshots(directory: place + "/snapshots").check(
            Global.self, of: log, codec: GlobalCodec())
        for finding in findings where finding.verdict != .sound {
            return Verdict(kind: .damaged, message: "the snapshot \(finding.path) is \(finding.verdict)")
        }
        return await LogCheck(reference: nil).verdict(on: place + "/log", told: told)
    }

    // MARK: Outputs

    private func output(_ path: String, _ told: Told, isDone: Bool) async throws -> Verdict {
        guard FileManager.default.fileExists(atPath: path) else {
            return isDone ? Verdict(kind: .lost, message: "it says that it is done, and nothing is there") : .sound
        }
        switch claim {
        case .text:
            let same =
                FileManager.default.contents(atPath: path) == FileManager.default.contents(atPath: model + "/out")
            return same ? .sound : Verdict(kind: .damaged, message: "what it left is neither whole nor nothing")
        case .log: return try await whole(path, told)
        case .directory: return try await whole(path + "/log", told)
        case .segments: return try await restored(path, atLeast: reference.end.sequence)
        case .answered, .snapshots, .backup, .redaction, .trimmed: return .sound
        }
    }

    private func whole(_ directory: String, _ told: Told) async throws -> Verdict {
        let head = try EventLog.open(directory: directory, mode: .readOnly).head()
        guard head == reference.end else {
            return Verdict(
                kind: .damaged,
                message: "it ends at \(head.sequence) instead of \(reference.end.sequence), or otherwise")
        }
        return await LogCheck(reference: reference).verdict(on: directory, told: told)
    }

    /// What a store restores to must be a beginning of the log, whole, and reach a sequence.
    private func restored(_ store: String, atLeast floor: LogSequence?) async throws -> Verdict {
        let reader = BackupReader(store: try await DirectoryBlobStore.open(store, readOnly: true))
        let target = scratch + "/restored"
        try? FileManager.default.removeItem(atPath: target)
        guard try await !reader.generations(of: reference.identity).isEmpty else {
            return floor == nil ? .sound : Verdict(kind: .lost, message: "the store has no index")
        }
        let made = try await reader.restore(reference.identity, to: target)
        guard made.passedOver.isEmpty else {
            return Verdict(kind: .damaged, message: "the newest index cannot be used: \(made.passedOver[0])")
        }
        let report = try EventLog.open(directory: target, mode: .readOnly).verify()
        guard report.isSound, report.end == made.end, reference.positions[made.end.sequence] == made.end else {
            return Verdict(
                kind: .contradiction, message: "it restores to \(made.end.sequence), which is no place of the log")
        }
        guard made.end.sequence >= floor ?? .zero else {
            return Verdict(
                kind: .lost, message: "it was said to hold \(floor ?? .zero), and restores to \(made.end.sequence)")
        }
        return .sound
    }

    // MARK: Backups and redactions

    private func backup(_ place: String, _ told: Told, isDone: Bool) async throws -> Verdict {
        let floor = isDone ? reference.end.sequence : told.done.prefix(words).last
        if FileManager.default.fileExists(atPath: place + "/store/named") {
            let verdict = try await restored(place + "/store", atLeast: floor)
            guard verdict.kind == .sound else { return verdict }
        } else if floor != nil {
            return Verdict(kind: .lost, message: "the store is gone")
        }
        let head = try await follow(place)
        guard head == reference.end else {
            return Verdict(kind: .contradiction, message: "the next round ends at \(head.sequence)")
        }
        return try await restored(place + "/store", atLeast: head.sequence)
    }

    /// The next round of the backup.
    private func follow(_ place: String) async throws -> LogPosition {
        let log = try EventLog.open(directory: place + "/log", mode: .readOnly)
        let store = try await DirectoryBlobStore.open(place + "/store")
        defer { store.close() }
        let blobs = try await DirectoryBlobStore.open(place + "/blobs", readOnly: true)
        var backup = LogBackup(of: log, kind: .global, blobs: blobs, to: store)
        return try await backup.round()
    }

    private func trimmed(_ place: String, _ told: Told) async throws -> Verdict {
        let start = try EventLog.open(directory: place + "/log", mode: .readOnly).anchor()?.position.sequence
        if let said = told.done.last, start ?? .zero < said {
            return Verdict(
                kind: .lost, message: "it was said to begin behind \(said), and does behind \(start ?? .zero)")
        }
        var check = LogCheck(reference: reference)
        if start != nil { check.archive = place + "/store" }
        return await check.verdict(on: place + "/log", told: told)
    }

    private func redaction(_ place: String, _ told: Told, isDone: Bool) async throws -> Verdict {
        let frames = try StoredFrames(place + "/log")
        if let problem = try mixture(frames, isDone: isDone) { return Verdict(kind: .contradiction, message: problem) }
        let head = try await follow(place)
        let target = scratch + "/restored"
        let reader = BackupReader(store: try await DirectoryBlobStore.open(place + "/store", readOnly: true))
        let made = try await reader.restore(reference.identity, to: target)
        guard made.end == head, try StoredFrames(target).all == frames.all else {
            return Verdict(kind: .contradiction, message: "the backup does not follow: it restores to something else")
        }
        // A command's arguments go with its text: repeated, it is another one.
        var kept = told
        for index in kept.answers.indices where kept.answers[index].job == Self.redactedJob {
            kept.answers[index].job = nil
        }
        return await LogCheck(reference: nil).verdict(on: place + "/log", told: kept)
    }

    /// Of the first event with free text.
    private static let redactedJob = JobID(rawValue: 1)

    /// Why a log is neither the old one nor the redacted one; nil where it is.
    private func mixture(_ found: StoredFrames, isDone: Bool) throws -> String? {
        let new = try StoredFrames(model + "/log")
        guard let event = new.firstRedacted else { return "the model is not redacted" }
        let old = new.all.count - 1
        guard found.all.count >= old else { return "it ends at \(found.all.count) instead of \(old)" }
        for index in 0..<old where index != event && found.all[index] != new.all[index] {
            return "event \(index + 1) is another one"
        }
        let isRedacted = found.all[event] == new.all[event]
        guard isRedacted || found.firstRedacted == nil else {
            return "the event is neither the old one nor the new one"
        }
        guard isRedacted == (found.all.count > old) else { return "the event and its record are not both there" }
        guard found.types[old...].allSatisfy({ $0 == eventType(named: "payload-redacted") }) else {
            return "something else stands behind the end"
        }
        return isDone && !isRedacted ? "it says that it is done, and the event is the old one" : nil
    }
}

/// Every frame of a log as it is stored; the chain is proved on the way.
private struct StoredFrames {
    private(set) var all: [[UInt8]] = []
    private(set) var types: [UInt16] = []
    private(set) var firstRedacted: Int?

    init(_ directory: String) throws {
        let log = try EventLog.open(directory: directory, mode: .readOnly)
        let head = try log.head()
        var position = LogPosition.start(of: log.identity)
        while position.sequence < head.sequence {
            let batches = try log.readStored(after: position, maximumFrames: 1000)
            for batch in batches {
                for index in batch.ends.indices { try take(Array(batch.bytes[batch.range(index)])) }
            }
            position = batches.last?.end ?? head
        }
    }

    private mutating func take(_ bytes: [UInt8]) throws {
        let layout = try FrameLayout(bytes.span)
        if layout.isRedacted, firstRedacted == nil { firstRedacted = all.count }
        all.append(bytes)
        types.append(layout.type)
    }
}
