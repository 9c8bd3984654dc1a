import Blobs
import Codec
import Dispatch
import Domain
import Engine
import EventLog
import Foundation
import Ports
import Views

/// What the child of `verify` does: reads one log, says how far it is, and at the end what it found.
enum LogCheck {
    private typealias Report = VerifyCommand.Report

    private static let framesAtOnce = 8192
    private static let heartbeatSeconds = 1

    static func run(_ path: String, log: String?) async throws -> VerifyCommand.Report {
        do {
            if StorePlace.holdsBackup(path) { return try await backup(path, log) }
            return LogPlace.isDirectory(path) == false ? try export(path) : try await environment(path)
        } catch let failure as StoreFailure {
            return failed(path, failure.description, isDamage: failure.outcome == .damaged)
        } catch let failure as BlobFailure {
            return failed(path, failure.description, isDamage: failure.code == .mismatch)
        } catch let stop as CommandStop {
            return failed(path, stop.message, isDamage: false)
        }
    }

    private static func failed(_ path: String, _ message: String, isDamage: Bool) -> Report {
        Report(path: path, sequence: .zero, sound: false, message: message, unread: isDamage ? nil : true)
    }

    private static func tell(_ sequence: LogSequence) { Terminal.say("\(VerifyingChild.progressWord)\(sequence)") }

    private static func environment(_ path: String) async throws -> Report {
        let log = try await LogPlace.open(path)
        let found = try log.verify { done, _ in tell(done) }
        var report = Report(
            path: path, log: found.log, epoch: found.epoch, sequence: found.damage?.afterSequence ?? found.sequence,
            chainHash: found.chain, sound: found.isSound, message: found.damage?.message)
        guard found.isSound else { return report }
        if found.archived > .zero { report.archived = found.archived }
        if found.start.sequence > .zero {
            report.after = found.start.sequence
            let archive = try log.anchor()?.archive ?? ""
            report.notes = [
                "\(path): what is behind sequence \(found.start.sequence) alone was checked, and neither states nor views: "
                    + "the events before are in the archive \(archive), which is not here"
            ]
            return report
        }
        let home = try LogHome(log: path)
        switch home.kind {
        case .global: try judge(&report, log, Fold<Global>(of: log.identity, codec: GlobalCodec()))
        case .regional: try judge(&report, log, Fold<Regional>(of: log.identity, codec: RegionalCodec()))
        }
        if report.sound { compareSnapshots(of: log, into: &report) }
        guard report.sound, let views = home.views else { return report }
        switch home.kind {
        case .global: compare(views, GlobalViews.self, GlobalCodec(), log, &report)
        case .regional: compare(views, RegionalViews.self, RegionalCodec(), log, &report)
        }
        return report
    }

    /// Folds what was verified, and no more: a log in use goes on growing.
    private static func judge<A: Aggregate>(_ report: inout Report, _ log: EventLog, _ fold: Fold<A>) throws {
        var fold = fold
        while fold.end < report.sequence, fold.problem == nil {
            let batches = try log.read(after: fold.end, maximumFrames: framesAtOnce)
            for batch in batches where batch.end.sequence <= report.sequence { fold.take(batch) }
            Terminal.say("folding \(fold.end)")
        }
        fold.conclude(&report)
    }

    private static func compare<Mapping: ViewMapping>(
        _ path: String, _ mapping: Mapping.Type, _ codec: any EventCodec<Mapping.Event>, _ log: EventLog,
        _ report: inout Report
    ) {
        // SQLite's own check of a large file is one long call.
        let heartbeat = DispatchSource.makeTimerSource(queue: .global())
        heartbeat.schedule(deadline: .now(), repeating: .seconds(heartbeatSeconds))
        heartbeat.setEventHandler { Terminal.say("comparing the views") }
        heartbeat.resume()
        defer { heartbeat.cancel() }
        let scratch = FileManager.default.temporaryDirectory.path + "/drover-verify-\(UUID().uuidString).sqlite"
        do throws(ViewsFailure) {
            guard try Views<Mapping>.isComparable(path) else {
                return report.views = "of another version, which the next start makes again"
            }
            let difference = try Views<Mapping>.difference(path, codec: codec, from: log, scratch: scratch)
            report.views = difference == nil ? "equal" : "different"
            report.message = difference.map { "the views differ from a fresh fold: \($0)" }
            report.sound = difference == nil
        } catch {
            report.views = "unsound"
            (report.message, report.sound) = (error.message, false)
        }
    }

    /// An export of NDJSON: each batch is proved, then folded as what its events are of.
    private static func export(_ path: String) throws -> Report {
        let isRegional = (try? LogFiles.export(path).isRegional()) ?? false
        return isRegional
            ? try export(path) { Fold<Regional>(of: $0, codec: RegionalCodec()) }
            : try export(path) { Fold<Global>(of: $0, codec: GlobalCodec()) }
    }

    private static func export<A: Aggregate>(
        _ path: String, _ fold: (LogIdentity) -> Fold<A>
    ) throws -> Report {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw CommandStop(.refused, "name a file that `drover export` wrote")
        }
        var (lines, reader, made) = (LineReader(file), NDJSONBatches(), Fold<A>?.none)
        var problem: CodecFailure?
        do {
            while let line = try lines.next() {
                guard let batch = try reader.take(line) else { continue }
                if made == nil { made = fold(batch.end.log) }
                made?.take(batch)
                if reader.lines % framesAtOnce < batch.frames.count { tell(batch.end.sequence) }
            }
            try reader.finish()
        } catch let failure as CodecFailure { problem = failure }
        let end = reader.end
        var report = Report(
            path: path, log: end?.log, epoch: end?.epoch, sequence: end?.sequence ?? .zero, chainHash: end?.chain,
            sound: problem == nil, message: problem?.message)
        if report.sound { made?.conclude(&report) }
        return report
    }

    /// A backup or an export of segments: its newest index and all that it names.
    private static func backup(_ path: String, _ text: String?) async throws -> Report {
        let store = try await StorePlace.open(path, readOnly: true)
        let log = try await StorePlace.log(in: store, named: text)
        let reader = BackupReader(store: store)
        guard let generation = try await reader.generations(of: log).last,
            let index = try await reader.index(log, generation)
        else {
            return Report(path: path, log: log, sequence: .zero, sound: false, message: "its newest index is damaged")
        }
        switch index.kind {
        case .global: return try await backup(path, store, index, Fold<Global>(of: log, codec: GlobalCodec()))
        case .regional: return try await backup(path, store, index, Fold<Regional>(of: log, codec: RegionalCodec()))
        }
    }

    private static func backup<A: Aggregate>(
        _ path: String, _ store: DirectoryBlobStore, _ index: BackupIndex, _ fold: Fold<A>
    ) async throws -> Report {
        var (fold, blobs, end) = (fold, Set<Digest>(), LogPosition.start(of: index.end.log))
        var (problem, told) = (StoreFailure?.none, LogSequence.zero)
        do {
            _ = try await BackupReader(store: store).batches(of: index) { batch in
                fold.take(FrameBatch(frames: try batch.frames(), end: batch.end))
                blobs.formUnion(batch.namedBlobs)
                end = batch.end
                guard end.sequence.rawValue >= told.rawValue + UInt64(framesAtOnce) else { return }
                told = end.sequence
                tell(told)
            }
        } catch let failure as StoreFailure where failure.outcome == .damaged { problem = failure }
        var report = Report(
            path: path, log: end.log, epoch: end.epoch, sequence: end.sequence, chainHash: end.chain,
            sound: problem == nil && end == index.end, message: problem?.message)
        guard report.sound else { return report }
        fold.conclude(&report)
        var missing = 0
        for digest in blobs where !(try await isSound(digest, in: store)) { missing += 1 }
        report.missingBlobs = missing
        return report
    }

    /// A blob that was not beside the log when it was exported is missing here too; a damaged one is damage.
    private static func isSound(_ digest: Digest, in store: DirectoryBlobStore) async throws(BlobFailure) -> Bool {
        guard try await store.information(.content(digest)) != nil else { return false }
        return try await store.verify(.content(digest)) == digest
    }
}

extension LogCheck {
    /// Compares the snapshots beside a log with what it amounts to, folded from its first event.
    private static func compareSnapshots(of log: EventLog, into report: inout VerifyCommand.Report) {
        let beside = URL(filePath: log.directory).deletingLastPathComponent().appending(path: "snapshots").path
        let snapshots = StateSnapshots(directory: beside)
        guard !snapshots.paths.isEmpty else { return }
        do {
            let progress = { (done: LogSequence) in Terminal.say("folding \(done)") }
            let findings =
                try LogFiles.directory(log).isRegional()
                ? snapshots.check(Regional.self, of: log, codec: RegionalCodec(), progress: progress)
                : snapshots.check(Global.self, of: log, codec: GlobalCodec(), progress: progress)
            for finding in findings {
                switch finding.verdict {
                case .sound: break
                case .unused(let reason): report.notes = (report.notes ?? []) + ["\(finding.path): not used, \(reason)"]
                case .wrong:
                    report.sound = false
                    report.message = "\(finding.path) says another state than the log's events: remove it"
                }
            }
        } catch {
            report.sound = false
            report.message = "the log cannot be folded: \(error)"
        }
    }
}

/// Folds a log's events afresh and compares the states that it records.
private struct Fold<A: Aggregate> {
    private var replay: Replay<A>
    private let codec: any EventCodec<A.Event>
    private var compared = 0
    private(set) var problem: CodecFailure?

    var end: LogSequence { replay.head.sequence }

    init(of log: LogIdentity, codec: any EventCodec<A.Event>) {
        (replay, self.codec) = (Replay<A>(of: log, codec: codec), codec)
    }

    mutating func take(_ batch: FrameBatch) {
        guard problem == nil else { return }
        do throws(CodecFailure) {
            try replay.take(batch)
            for frame in batch.frames where frame.type == Self.stateHashedType {
                guard let event = try codec.decode(frame)?.event,
                    case .stateHashed(_, A.reducerFingerprint, _)? = A.fact(event)
                else { continue }
                compared += 1
            }
        } catch { problem = error }
    }

    private static var stateHashedType: UInt16 { eventType(named: "state-hashed") ?? 0 }

    /// A newer version's events cannot be folded, which says nothing against the log.
    mutating func conclude(_ report: inout VerifyCommand.Report) {
        if problem == nil { do throws(CodecFailure) { try replay.prove() } catch { problem = error } }
        if let problem {
            report.message = problem.message
            report.sound = problem.code == .upgradeNeeded
            return
        }
        report.stateHashes = compared
        report.stateHash = try? StateCodec.stateHash(replay.state)
    }
}
