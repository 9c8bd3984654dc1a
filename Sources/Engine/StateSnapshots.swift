package import Codec
package import Domain
import Foundation
package import Logging
package import Ports

/// The snapshots of one log's states, in a directory of their own beside it. None of them is needed: whatever is damaged,
/// of another log or of other reducers is passed over.
package struct StateSnapshots: Sendable {
    package let directory: String
    /// Snapshots that stay; older ones go when a new one is durable.
    package var maximumKept = 2

    private static let ending = ".state"
    private static let temporary = "writing"
    /// Enough for every sequence, so that names are in the order of sequences.
    private static let nameDigits = 20

    package init(directory: String) { self.directory = directory }

    /// The paths of what is kept, the newest first.
    package var paths: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { Self.isName($0) }.sorted(by: >).map { "\(directory)/\($0)" }
    }

    /// Where the log was when those were kept that have a sound head.
    var positions: [LogPosition] {
        paths.compactMap { path in
            guard let file = FileHandle(forReadingAtPath: path) else { return nil }
            defer { try? file.close() }
            let head = try? file.read(upToCount: StateSnapshot.headerBytes)
            return head.flatMap { try? StateSnapshot.position(header: [UInt8]($0)) }
        }
    }

    private static func isName(_ name: String) -> Bool {
        name.hasSuffix(ending) && name.utf8.count == nameDigits + ending.utf8.count
    }

    package static func read(_ path: String) throws(SnapshotProblem) -> StateSnapshot {
        let bytes: [UInt8]
        do { bytes = [UInt8](try Data(contentsOf: URL(filePath: path))) } catch {
            throw SnapshotProblem("it cannot be read: \(error.localizedDescription)")
        }
        return try StateSnapshot(bytes)
    }

    /// Returns when the snapshot is durable under its name, whole; whoever dies meanwhile leaves what there was before.
    /// Then takes away what is too old, and what is of no log that this one continues.
    package func write(_ snapshot: StateSnapshot) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let digits = "\(snapshot.position.sequence)"
        let name = String(repeating: "0", count: max(0, Self.nameDigits - digits.utf8.count)) + digits + Self.ending
        let (path, part) = ("\(directory)/\(name)", "\(directory)/\(Self.temporary)")
        defer { removeOld(from: path) }
        if FileManager.default.fileExists(atPath: path) {
            // One that says the same stays, so that there never is none; any other is believed by no start.
            if (try? Self.read(path)) == snapshot {
                try? FileManager.default.removeItem(atPath: part)
                return
            }
            try FileManager.default.removeItem(atPath: path)
        }
        try Data(snapshot.header).write(to: URL(filePath: part))
        let file = try FileHandle(forWritingTo: URL(filePath: part))
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: snapshot.state)
        try file.synchronize()
        try FileManager.default.moveItem(atPath: part, toPath: path)
        try flushFile(directory)
    }

    private func removeOld(from path: String) {
        let paths = paths
        let passed = paths.prefix { $0 > path }
        for old in passed + paths.dropFirst(passed.count + maximumKept) {
            try? FileManager.default.removeItem(atPath: old)
        }
    }
}

extension Replay {
    /// Everything that a store holds: from the newest snapshot that it proves, or from its first event.
    ///
    /// - Parameter snapshots: nil where none are kept.
    package static func start(
        _ store: any LogStore, codec: any EventCodec<A.Event>, hashing: StateHashing = StateHashing(),
        snapshots: StateSnapshots?, logger: Logger
    ) throws(EngineFailure) -> Replay<A> {
        for path in snapshots?.paths ?? [] {
            do {
                return try from(try StateSnapshots.read(path), store, codec, hashing)
            } catch {
                logger.warning("a snapshot is passed over", metadata: ["file": "\(path)", "reason": "\(error)"])
            }
        }
        return try whole(store, codec: codec, hashing: hashing)
    }

    private static func from(
        _ snapshot: StateSnapshot, _ store: any LogStore, _ codec: any EventCodec<A.Event>, _ hashing: StateHashing
    ) throws -> Replay<A> {
        try prove(snapshot, store)
        var replay = try Replay(from: snapshot, codec: codec, hashing: hashing.latest(before: try store.head()))
        try replay.takeAll(from: store)
        return replay
    }

    /// Whether a snapshot is of these reducers, and of a place on the store's chain.
    static func prove(_ snapshot: StateSnapshot, _ store: any LogStore) throws(SnapshotProblem) {
        guard snapshot.position.log == store.identity else {
            throw SnapshotProblem("it is of the log \(snapshot.position.log)")
        }
        guard snapshot.fingerprint == A.reducerFingerprint else {
            throw SnapshotProblem("other reducers made its state")
        }
        // Whoever knows them now may make something of them.
        guard snapshot.unknownEvents == 0 else {
            throw SnapshotProblem("a version made it that did not know \(snapshot.unknownEvents) of its events")
        }
        let position: LogPosition?
        do throws(StoreFailure) { position = try store.position(at: snapshot.position.sequence) } catch {
            throw SnapshotProblem("the log cannot be read: \(error)")
        }
        guard position == snapshot.position else {
            throw SnapshotProblem("its position \(snapshot.position.sequence) is not on the log's chain")
        }
    }
}

/// Makes a file's or a directory's content durable.
func flushFile(_ path: String) throws {
    let handle = try FileHandle(forReadingFrom: URL(filePath: path))
    defer { try? handle.close() }
    try handle.synchronize()
}

/// What a fold from the first event says of one snapshot.
package struct SnapshotFinding: Hashable, Sendable {
    package enum Verdict: Hashable, Sendable {
        /// It is the state that the log amounts to there.
        case sound
        /// A start passes it over, and why.
        case unused(String)
        /// A start would believe it, and it is not what the log amounts to.
        case wrong
    }

    package var path: String
    package var verdict: Verdict
}

extension StateSnapshots {
    /// Folds a log from its first event, with no regard to any snapshot, and compares each with the state there.
    package func check<A: Aggregate>(
        _ aggregate: A.Type, of store: any LogStore, codec: any EventCodec<A.Event>,
        progress: (LogSequence) -> Void = { _ in }
    ) throws -> [SnapshotFinding] {
        var findings: [SnapshotFinding] = []
        var replay = Replay<A>(of: store.identity, codec: codec)
        for path in paths.reversed() {
            do throws(SnapshotProblem) {
                let snapshot = try Self.read(path)
                try Replay<A>.prove(snapshot, store)
                let isTrue = try Self.compare(snapshot, &replay, store, progress)
                findings.append(SnapshotFinding(path: path, verdict: isTrue ? .sound : .wrong))
            } catch {
                findings.append(SnapshotFinding(path: path, verdict: .unused(error.description)))
            }
        }
        return findings
    }

    private static func compare<A: Aggregate>(
        _ snapshot: StateSnapshot, _ replay: inout Replay<A>, _ store: any LogStore, _ progress: (LogSequence) -> Void
    ) throws(SnapshotProblem) -> Bool {
        do {
            while replay.head.sequence < snapshot.position.sequence {
                let batches = try store.read(after: replay.head.sequence, maximumFrames: 4096)
                guard !batches.isEmpty else { throw SnapshotProblem("the log ends before it") }
                let before = replay.head
                for batch in batches where batch.end.sequence <= snapshot.position.sequence { try replay.take(batch) }
                guard replay.head != before else { throw SnapshotProblem("it is at no end of a batch") }
                progress(replay.head.sequence)
            }
            let isSame = try replay.head == snapshot.position && StateCodec.stateHash(replay.state) == snapshot.digest
            return isSame && replay.lastTime == snapshot.lastTime && replay.unknownEvents == snapshot.unknownEvents
        } catch let problem as SnapshotProblem { throw problem } catch { throw SnapshotProblem("\(error)") }
    }
}
