import Blobs
import Domain
import Engine
import EventLog
import Foundation
import Logging
import Ports
import ServiceLifecycle
import Synchronization

/// Lets a role's log forget what is older than it keeps, once the backup holds it, and a start, the views and those who
/// follow need it no more. The backup is the archive: it is sealed up to there, read back and compared with the log.
struct LogKeeping<A: Aggregate>: Service {
    /// Between two looks, in parts of what is kept.
    static var parts: Int64 { 30 }
    static var longestLookSeconds: Int64 { 24 * 3600 }
    /// How long the backup may take to seal what is asked for, before this looks again.
    static var sealSeconds: Int64 { 600 }
    /// Between two transactions that take events away, so that commands are not held up.
    static var pauseMilliseconds: Int64 { 5 }

    let log: EventLog
    let engine: EngineService<A>
    let place: String
    let keepSeconds: Int64
    let wanted: SealingWish
    /// What somebody has not taken in behind these positions yet.
    let needed: @Sendable () -> [LogPosition]
    let logger: Logger

    func run() async throws {
        let look = max(1, min(Self.longestLookSeconds, keepSeconds / Self.parts))
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(look))
                do { try await trim() } catch  where !Task.isCancelled {
                    logger.error("the log keeps what is old", metadata: ["reason": "\(error)"])
                } catch { return }
                wanted.position = nil
            }
        }
    }

    private func trim() async throws {
        guard let end = try await end(), try await engine.keepSnapshot() != nil else { return }
        wanted.position = end
        let store = try await DirectoryBlobStore.open(place, readOnly: true)
        guard let proof = try await proof(upTo: end, in: store) else { return }
        log.use(archive: store, place: place)
        var anchor: LogPosition?
        while anchor != proof.end {
            anchor = try await engine.maintain { [log] () throws(StoreFailure) in try log.trim(to: proof) }
            try await Task.sleep(for: .milliseconds(Self.pauseMilliseconds))
        }
        logger.notice(
            "the log begins later, what was before is in the archive",
            metadata: ["behind": "\(proof.end.sequence)", "archive": "\(place)"])
    }

    /// Up to where everything is old, and needed by nobody here; nil where nothing is.
    private func end() async throws -> LogPosition? {
        let now = try await engine.readNow { _, _, now in now }
        let oldest = Timestamp(milliseconds: now.milliseconds - keepSeconds * 1000)
        let end = try await log.offPool { [log] () throws(StoreFailure) in try log.lastEnd(before: oldest) }
        guard let end else { return nil }
        let first = ([end] + needed()).min { $0.sequence < $1.sequence } ?? end
        guard first.log == log.identity, try first.sequence > log.anchor()?.position.sequence ?? .zero else {
            return nil
        }
        return first
    }

    private func proof(upTo end: LogPosition, in store: DirectoryBlobStore) async throws -> ArchiveProof? {
        let deadline = ContinuousClock.now.advanced(by: .seconds(Self.sealSeconds))
        while ContinuousClock.now < deadline {
            if let proof = try await ArchiveProof.make(log, upTo: end, in: store, place: place) { return proof }
            try await Task.sleep(for: .seconds(1))
        }
        logger.warning("the backup does not come to what the log would forget", metadata: ["up to": "\(end.sequence)"])
        return nil
    }
}

/// Up to where the backup shall seal its segments, so that the log may forget that.
final class SealingWish: Sendable {
    private let wish = Mutex<LogPosition?>(nil)

    var position: LogPosition? {
        get { wish.withLock { $0 } }
        set { wish.withLock { $0 = newValue } }
    }
}

/// Where followers were when they last asked. One that was not heard of for long holds nothing up: it takes a snapshot.
final class FollowerPlaces: Sendable {
    static let heardSeconds = 600

    private let places = Mutex<[RegionName: (position: LogPosition, heard: ContinuousClock.Instant)]>([:])

    func note(_ region: RegionName, _ position: LogPosition) {
        places.withLock { $0[region] = (position, .now) }
    }

    var positions: [LogPosition] {
        let oldest = ContinuousClock.now.advanced(by: .seconds(-Self.heardSeconds))
        return places.withLock { $0.values.filter { $0.heard > oldest }.map(\.position) }
    }
}

/// Lets a log that begins at an anchor be read from its archive: where the log says that is, or where its backup is now.
func useArchive(of log: EventLog, backup: String?, _ logger: Logger) async throws {
    guard let anchor = try log.anchor() else { return }
    for place in [anchor.archive, backup].compactMap(\.self) where FileManager.default.fileExists(atPath: place) {
        let store = try await DirectoryBlobStore.open(place, readOnly: true)
        guard try await BackupReader(store: store).logs().contains(log.identity) else { continue }
        return log.use(archive: store, place: place)
    }
    logger.warning(
        "the archive is not at hand: what is behind the anchor is answered `archived`",
        metadata: ["archive": "\(anchor.archive)", "anchor": "\(anchor.position.sequence)"])
}

/// A length of time as flags write it: a whole number and `s`, `m`, `h` or `d`.
func seconds(_ text: String, flag: String) throws -> Int64 {
    let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 24 * 3600]
    let most: Int64 = 100 * 366 * 24 * 3600
    guard let unit = text.last.flatMap({ units[$0] }), let number = UInt32(text.dropLast()), number > 0,
        Int64(number) * unit <= most
    else { throw UsageProblem("--\(flag) is \"\(text)\": write how long, as in 30d, 12h, 45m or 90s") }
    return Int64(number) * unit
}
