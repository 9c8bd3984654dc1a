import ArgumentParser
import Blobs
import Codec
import Dispatch
import Domain
import Engine
import EventLog
import Foundation
import Logging
import Ports
import Processes
import ServiceLifecycle

/// Proves the backup again and again: restores it in a process of its own and compares the state that it amounts to with
/// the running engine's at the same sequence. Each proof is an event.
struct BackupProving<A: Aggregate>: Service {
    /// Between two looks at whether a proof is due, and after one that failed.
    static var lookSeconds: Int64 { 60 }
    static var retrySeconds: Int64 { 3600 }
    /// How long the backup may take to reach the engine's position.
    static var catchUpSeconds: Int64 { 60 }
    static var limits: RunLimits { RunLimits(timeoutSeconds: 12 * 3600, graceSeconds: 1) }
    static var maximumOutputBytes: Int { 64 << 10 }

    let engine: EngineService<A>
    let status: BackupStatus
    let scratch: String
    let intervalSeconds: Int64
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            // A proof that was killed leaves a whole log.
            await Self.aside { try? FileManager.default.removeItem(atPath: scratch) }
            var last = await Self.aside { lastProof() }
            if let last { status.proved(at: last.sequence, last.time) }
            while !Task.isCancelled {
                var pause = Self.lookSeconds
                if isDue(last?.time) {
                    do { last = try await prove() } catch {
                        guard !Task.isCancelled else { return }
                        status.notProved("\(error)")
                        logger.error("the backup is not proved", metadata: ["failure": "\(error)"])
                        pause = Self.retrySeconds
                    }
                    try? FileManager.default.removeItem(atPath: scratch)
                }
                try? await Task.sleep(for: .seconds(pause))
            }
        }
    }

    /// Long work, off the threads that answer requests.
    private static func aside<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async { continuation.resume(returning: work()) }
        }
    }

    private func isDue(_ last: Timestamp?) -> Bool {
        guard let last else { return true }
        return now.millisecondsSince(last) >= intervalSeconds * 1000
    }

    private var now: Timestamp { Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }

    /// The newest proof that the log tells of.
    private func lastProof() -> (sequence: LogSequence, time: Timestamp)? {
        let start = (try? engine.store.anchor())?.position.sequence ?? .zero
        var (proof, end) = ((sequence: LogSequence, time: Timestamp)?.none, start)
        while true {
            let before = end
            try? engine.store.lend(after: end, maximumFrames: 20_000) { header, type, revision, payload, _ in
                end = header.sequence
                guard type == Self.provedType,
                    let event = try? engine.codec.decode(type: type, schemaRevision: revision, payload: payload),
                    case .backupProved(let at, _, _, _)? = A.fact(event)
                else { return }
                proof = (at, header.time)
            }
            if end == before { return proof }
        }
    }

    private static var provedType: UInt16 { eventType(named: "backup-proved") ?? 0 }

    private func prove() async throws -> (sequence: LogSequence, time: Timestamp) {
        let start = ContinuousClock.now
        let (state, position) = try await engine.read { ($0, $1) }
        let expected = try await Self.aside { Result { try StateCodec.stateHash(state) } }.get()
        try await waitForBackup(of: position.sequence)
        let found = try await restored(position)
        guard found.log == position.log, found.sequence == position.sequence, found.chain == position.chain else {
            throw RoleFailure(
                "the backup restores to sequence \(found.sequence), chain \(found.chain), where the log has "
                    + "\(position.sequence), chain \(position.chain)")
        }
        guard found.state == expected else {
            throw RoleFailure(
                "the backup's events up to \(position.sequence) amount to another state than the engine's")
        }
        guard found.missingBlobs == 0 else {
            throw RoleFailure("the backup lacks \(found.missingBlobs) blobs that the log names")
        }
        let took = start.duration(to: .now).components
        engine.backupProved(
            at: position.sequence, state: expected,
            milliseconds: UInt64(took.seconds * 1000) + UInt64(took.attoseconds / 1_000_000_000_000_000))
        status.proved(at: position.sequence, now)
        logger.info("the backup is proved", metadata: ["sequence": "\(position.sequence)"])
        return (position.sequence, now)
    }

    private func waitForBackup(of sequence: LogSequence) async throws {
        let deadline = ContinuousClock.now.advanced(by: .seconds(Self.catchUpSeconds))
        while status.position?.sequence ?? .zero < sequence {
            guard ContinuousClock.now < deadline, !Task.isCancelled else {
                throw RoleFailure(
                    "the backup is not at sequence \(sequence): it is at \(status.position?.sequence ?? .zero)")
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    /// In a child: what it takes of memory is given back, and what is damaged cannot end this process.
    private func restored(_ position: LogPosition) async throws -> BackupProofCommand.Found {
        try? FileManager.default.removeItem(atPath: scratch)
        let command = SupervisedCommand(
            executable: "/proc/self/exe",
            arguments: [
                BackupProofCommand.configuration.commandName ?? "", "--from", status.place, "--log", position.log.hex,
                "--until", "\(position.sequence)", "--scratch", scratch,
            ], environment: ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("DROVER_") },
            directory: FileManager.default.currentDirectoryPath)
        let run = try await GroupRunner().collect(
            command, limits: Self.limits, maximumOutputBytes: Self.maximumOutputBytes)
        let text = String(decoding: run.output, as: UTF8.self)
        let last = text.split(separator: "\n").last.map { Data($0.utf8) }
        guard let last, let found = try? JSONDecoder().decode(BackupProofCommand.Found.self, from: last) else {
            throw RoleFailure("the restore ended (\(run.end)): \(text.suffix(400))")
        }
        return found
    }
}

/// What the child of a proof does: restores a backup up to a sequence, and says what it amounts to.
struct BackupProofCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup-proof", abstract: "Restore a backup and hash its state.", shouldDisplay: false)

    struct Found: Codable {
        var log: LogIdentity
        var sequence: LogSequence
        var chain: Digest
        var state: Digest
        var missingBlobs: Int
    }

    @Option var from: String
    @Option var log: String
    @Option var until: UInt64
    @Option var scratch: String

    func run() async throws {
        guard let identity = LogIdentity(hex: log) else { throw UsageProblem("--log is no log's identity") }
        let store = try await DirectoryBlobStore.open(from, readOnly: true)
        let reader = BackupReader(store: store)
        let made = try await reader.restore(
            identity, until: LogSequence(rawValue: until), to: scratch + "/log")
        let restored = try EventLog.open(directory: scratch + "/log", mode: .readOnly)
        let report = try restored.verify()
        guard report.isSound else { throw RoleFailure("the restored log is damaged: \(report.damage?.message ?? "")") }
        let state =
            switch made.index.kind {
            case .global: try StateCodec.stateHash(Replay<Global>.whole(restored, codec: GlobalCodec()).state)
            case .regional: try StateCodec.stateHash(Replay<Regional>.whole(restored, codec: RegionalCodec()).state)
            }
        var missing = 0
        for digest in made.blobs {
            do throws(BlobFailure) { _ = try await store.verify(.content(digest)) } catch { missing += 1 }
        }
        let found = Found(
            log: made.end.log, sequence: made.end.sequence, chain: made.end.chain, state: state, missingBlobs: missing)
        FileHandle.standardOutput.write(try JSONEncoder().encode(found) + Data("\n".utf8))
    }
}
