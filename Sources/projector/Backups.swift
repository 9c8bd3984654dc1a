import ArgumentParser
import Blobs
import Domain
import Engine
import EventLog
import Foundation
import Logging
import Ports
import ServiceLifecycle
import Serving
import Synchronization
import Wire

/// Where a role's log is backed up, and how often that is proved.
struct BackupOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Keep a backup of this role's log here, at most a second behind.", valueName: "directory"))
    var backupTo: String?

    @Option(help: "How often the backup is restored and compared with the running engine (default 24).")
    var backupProofHours: UInt32?

    @Option(
        help: ArgumentHelp(
            "How long the log keeps events that the backup holds as well, as in 30d or 12h; `forever` keeps them all.",
            discussion: "Older ones are in the backup alone then, and read from there (default 30d with --backup-to).",
            valueName: "time"))
    var keepLog: String?

    static let standardProofHours: UInt32 = 24
    static let standardKeepLog = "30d"

    /// Where the backup is; nil where none is wanted.
    func place(_ settings: RoleSettings) -> String? {
        settings.text(backupTo, "backup-to").flatMap { $0.isEmpty ? nil : URL(filePath: $0).path }
    }

    /// Nil for ever.
    private func keepSeconds(_ settings: RoleSettings) throws -> Int64? {
        let given = settings.text(keepLog, "keep-log")
        if let given, given != "forever", place(settings) == nil {
            throw UsageProblem(
                "--keep-log \(given) needs --backup-to: events leave the log only for an archive that holds them")
        }
        let text = given ?? Self.standardKeepLog
        return text == "forever" ? nil : try seconds(text, flag: "keep-log")
    }

    /// The services of a role's backup; none where none is wanted.
    func backup<A: Aggregate>(
        _ settings: RoleSettings, _ place: RolePlace, log: EventLog, kind: LogKind, engine: EngineService<A>,
        blobs: any BlobStore, metrics: MetricsRegistry, logger: Logger,
        needed: @escaping @Sendable () -> [LogPosition] = { [] }
    ) throws -> (status: BackupStatus, services: [any Service])? {
        let keepSeconds = try keepSeconds(settings)
        guard let to = self.place(settings) else { return nil }
        let hours = try settings.number(backupProofHours, "backup-proof-hours") ?? Self.standardProofHours
        guard (1...8760).contains(hours) else {
            throw UsageProblem("--backup-proof-hours is \(hours): it must be 1 to 8760")
        }
        let (status, wanted) = (BackupStatus(place: to, metrics: metrics), SealingWish())
        // A backup that is ahead of the log proves a loss; only a log with epochs of its own can go on from one.
        let keeping = BackupKeeping(
            log: log, kind: kind, blobs: blobs, status: status, wanted: wanted, logger: logger
        ) { lost in
            if kind == .global { await engine.freeze(lost) }
        }
        let proving = BackupProving<A>(
            engine: engine, status: status, scratch: place.data + "/backup-proof", intervalSeconds: Int64(hours) * 3600,
            logger: logger)
        let trimming = keepSeconds.map {
            LogKeeping<A>(
                log: log, engine: engine, place: to, keepSeconds: $0, wanted: wanted, needed: needed, logger: logger)
        }
        var services: [any Service] = [keeping, proving]
        if let trimming { services.append(trimming) }
        return (status, services)
    }
}

/// What a role's backup has come to.
final class BackupStatus: Sendable {
    private struct State {
        var position: LogPosition?
        var problem: String?
        var proof: BackupBody.Proof?
        var proofProblem: String?
    }

    let place: String
    private let metrics: MetricsRegistry
    private let state = Mutex(State())

    init(place: String, metrics: MetricsRegistry) { (self.place, self.metrics) = (place, metrics) }

    var position: LogPosition? { state.withLock { $0.position } }

    var body: BackupBody {
        state.withLock { state in
            BackupBody(
                place: place, sequence: state.position?.sequence, problem: state.problem, proof: state.proof,
                proofProblem: state.proofProblem)
        }
    }

    /// Everything up to the position is in the store.
    func reached(_ position: LogPosition) {
        state.withLock { ($0.position, $0.problem) = (position, nil) }
        metrics.set("drover_backup_sequence", to: Double(position.sequence.rawValue))
        metrics.set("drover_backup_time_seconds", to: Date().timeIntervalSince1970)
    }

    /// False when that is known.
    func failed(_ problem: String) -> Bool {
        state.withLock { state in
            defer { state.problem = problem }
            return state.problem != problem
        }
    }

    func proved(at sequence: LogSequence, _ time: Timestamp) {
        state.withLock { ($0.proof, $0.proofProblem) = (.init(sequence: sequence, at: WireTime(time)), nil) }
        metrics.set("drover_backup_proof_sequence", to: Double(sequence.rawValue))
        metrics.set("drover_backup_proof_time_seconds", to: Double(time.milliseconds) / 1000)
    }

    func notProved(_ problem: String) {
        state.withLock { $0.proofProblem = problem }
        metrics.increment("drover_backup_proof_failures")
    }
}

/// Copies a role's log into a store as it grows, whatever fails meanwhile.
struct BackupKeeping: Service {
    static let retryMilliseconds: Int64 = 5000

    let log: EventLog
    let kind: LogKind
    let blobs: any BlobStore
    let status: BackupStatus
    let wanted: SealingWish
    let logger: Logger
    /// The backup holds what the log has lost.
    let onLoss: @Sendable (String) async -> Void

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do throws(BlobFailure) {
                    let store = try await DirectoryBlobStore.open(status.place)
                    await keep(store)
                    store.close()
                } catch { note("\(error)") }
                try? await Task.sleep(for: .milliseconds(Self.retryMilliseconds))
            }
        }
    }

    private func keep(_ store: DirectoryBlobStore) async {
        var backup = LogBackup(of: log, kind: kind, blobs: blobs, to: store)
        await backup.follow(sealing: { wanted.position }) { result in
            switch result {
            case .success(let end): status.reached(end)
            case .failure(let failure):
                note("\(failure)")
                if let failure = failure as? StoreFailure, failure.code == "forked" { await onLoss(failure.message) }
            }
            return true
        }
        // What came while this was told to stop.
        if let end = try? await backup.round() { status.reached(end) }
    }

    private func note(_ failure: String) {
        guard status.failed(failure) else { return }
        logger.error(
            "the backup fails, and is tried again", metadata: ["to": "\(status.place)", "failure": "\(failure)"])
    }
}
