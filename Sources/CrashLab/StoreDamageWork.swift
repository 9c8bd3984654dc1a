import Blobs
import Codec
import Domain
import EventLog
import Foundation
import Ports

/// Damages a backup's files in many ways, one after the other, and holds what is restored then against the log. It says
/// before which one is next.
struct StoreDamageWork: Codable, Sendable {
    /// Holds `log` and `store`.
    var place: String
    var scratch: String
    var seed: UInt64
    var indices: Range<Int>
    /// Restores without proving the chain, for control.
    var isBlind = false

    /// Says `at INDEX` before and `was harmless | older | refused | served MESSAGE` behind each.
    func run() async throws {
        let reference = try await ReferenceLog(directory: place + "/log")
        let files = try Self.files(below: place + "/store")
        for index in indices {
            say("at \(index)")
            let what = try make(index, files)
            let outcome = await restored(reference)
            say("was \(outcome)\(outcome.hasPrefix("served") ? ", with \(what)" : "")")
        }
        say("end")
    }

    /// The files of objects; each may have two names.
    private static func files(below store: String) throws -> [String] {
        let all = FileManager.default.enumerator(atPath: store)?.compactMap { $0 as? String } ?? []
        return all.filter { $0.contains("/.blobs/") }.sorted()
    }

    /// Makes a store with one file that is damaged; says how.
    private func make(_ index: Int, _ files: [String]) throws -> String {
        try? FileManager.default.removeItem(atPath: scratch)
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: place + "/store", toPath: scratch + "/store")
        var numbers = SeededNumbers(seed: seed, at: UInt64(index), 1)
        let segments = files.filter { !$0.contains("/index/") }
        let isForged = numbers.once(in: 4)
        let names = isForged ? segments : files
        guard !names.isEmpty else { throw LaboratoryFailure("the store of \(place) holds nothing") }
        let name = names[numbers.below(names.count)]
        let url = URL(filePath: "\(scratch)/store/\(name)")
        var bytes = Array(try Data(contentsOf: url))
        if isForged, let forged = try Self.forged(bytes, name) {
            bytes = forged
        } else if numbers.once(in: 8), segments.contains(name) {
            // The newest index away is the backup of a round ago: no file can tell.
            try FileManager.default.removeItem(at: url)
            return "no \(name)"
        } else {
            Damage.drawn(index, seed: seed, fileBytes: bytes.count, frames: 0).apply(to: &bytes)
        }
        try FileManager.default.removeItem(at: url)
        try Data(bytes).write(to: url)
        return "\(isForged ? "a forged" : "a damaged") \(name)"
    }

    /// The segment with another payload in its last event, all of whose checksums fit, under its old name and hash.
    private static func forged(_ bytes: [UInt8], _ path: String) throws -> [UInt8]? {
        guard let name = path.split(separator: "/").last.flatMap({ SegmentName($0) }) else { return nil }
        let reader = try SegmentReader(bytes, name: name)
        let before = LogPosition(
            log: name.log, epoch: Epoch(rawValue: 0), sequence: LogSequence(rawValue: name.first.rawValue - 1),
            chain: reader.footer.before)
        var batches: [StoredBatch] = []
        _ = try reader.batches(after: before) { batches.append($0) }
        guard let last = batches.popLast(), var frame = try last.frames().last, let place = frame.payload.indices.last
        else { return nil }
        frame.payload[place] ^= 1
        let kept = last.ends.count > 1 ? last.ends[last.ends.count - 2] : 0
        let content = last.bytes[..<kept] + (try FrameCodec.encode(frame))
        let position = batches.last?.end ?? before
        batches.append(
            try StoredBatch(after: position, bytes: Array(content), ends: last.ends.dropLast() + [content.count]))
        var writer = try SegmentWriter(after: before)
        for batch in batches { _ = try writer.add(batch) }
        var forged = try writer.finish().bytes
        // The footer says the old hash, and the checksum over all of it is made again.
        let footer = forged.count - SegmentFooter.bytes
        forged.replaceSubrange(
            footer..<forged.count - 4, with: bytes[bytes.count - SegmentFooter.bytes..<bytes.count - 4])
        for (offset, count) in [(104, 8), (112, 8)] {
            let size =
                offset == 104
                ? UInt64(batches.reduce(0) { $0 + 4 + 2 * $1.ends.count + $1.bytes.count })
                : UInt64(footer - 8)
            for byte in 0..<count { forged[footer + offset + byte] = UInt8(truncatingIfNeeded: size >> (8 * byte)) }
        }
        let sum = crc32c(forged.span.extracting(0..<forged.count - 4))
        for byte in 0..<4 { forged[forged.count - 4 + byte] = UInt8(truncatingIfNeeded: sum >> (8 * byte)) }
        return forged
    }

    // MARK: What is restored

    private func restored(_ reference: ReferenceLog) async -> String {
        do {
            let store = try await DirectoryBlobStore.open(scratch + "/store", readOnly: true)
            let reader = BackupReader(store: store)
            let (end, passedOver) =
                isBlind
                ? (try await blindly(store, reference.identity), 0)
                : try await reader.restore(reference.identity, to: scratch + "/log").ends
            let report = try EventLog.open(directory: scratch + "/log", mode: .readOnly).verify()
            guard report.isSound, report.end == end else { return "served a log that does not verify" }
            guard reference.positions[end.sequence] == end else { return "served a log that never was" }
            if end == reference.end { return "harmless" }
            return passedOver > 0 ? "older" : "served less than the backup holds, and did not say so"
        } catch { return "refused" }
    }

    /// As a restore would that believes what it reads: whatever is wrong ends it, as done.
    private func blindly(_ store: DirectoryBlobStore, _ log: LogIdentity) async throws -> LogPosition {
        let reader = BackupReader(store: store)
        let target = try EventLog.open(directory: scratch + "/log", mode: .create(identity: log))
        guard let generation = try await reader.generations(of: log).last,
            let index = try await reader.index(log, generation)
        else { throw LaboratoryFailure("there is no index") }
        var end = LogPosition.start(of: log)
        for piece in index.tail {
            let key = BlobKey.named("\(BackupNames.folder(log))tail/\(piece.name)")
            let bytes = try await store.read(key, offset: 0, count: Int(clamping: piece.bytes) * 2 + 4096)
            _ = try? SegmentReader(bytes, name: piece.name).batches(after: end) { batch in
                end = try target.append(stored: [batch])
            }
        }
        return end
    }
}

extension RestoredLog {
    fileprivate var ends: (LogPosition, Int) { (end, passedOver.count) }
}
