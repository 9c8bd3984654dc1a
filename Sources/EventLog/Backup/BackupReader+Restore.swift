package import Domain
import Foundation
package import Ports

/// What a restore made, and what it had to pass over.
package struct RestoredLog: Sendable {
    package var index: BackupIndex
    package var end: LogPosition
    /// The blobs that the log names.
    package var blobs: Set<Digest>
    /// Newer indexes that could not be used, and why: what they held beyond `end` is lost.
    package var passedOver: [String]
}

extension BackupReader {
    private static let framesAtOnce = 8192
    /// For a backup that is at work and removed what the read index names.
    private static let maximumTries = 3

    /// Makes the log of a backup in a new directory: the same identity, batches and chain. The newest index that is
    /// whole with all that it names wins.
    ///
    /// Fails with `damaged`, naming the object, and leaves the directory to be removed.
    package func restore(
        _ log: LogIdentity, until: LogSequence? = nil, to directory: String, progress: (LogSequence) -> Void = { _ in }
    ) async throws -> RestoredLog {
        for _ in 1..<Self.maximumTries {
            let generations = try await generations(of: log)
            let result: Result<RestoredLog, any Error>
            do { result = .success(try await restore(log, generations, until, directory, progress)) } catch {
                result = .failure(error)
            }
            if case .success(let restored) = result, restored.passedOver.isEmpty { return restored }
            guard try await self.generations(of: log).last != generations.last else { return try result.get() }
            try? FileManager.default.removeItem(atPath: directory)
        }
        return try await restore(log, try await generations(of: log), until, directory, progress)
    }

    private func restore(
        _ log: LogIdentity, _ generations: [UInt64], _ until: LogSequence?, _ directory: String,
        _ progress: (LogSequence) -> Void
    ) async throws -> RestoredLog {
        var (passedOver, first) = ([String](), (any Error)?.none)
        for generation in generations.reversed() {
            guard let index = try await index(log, generation) else {
                passedOver.append("index \(generation) is damaged or of a newer version")
                continue
            }
            do {
                var restored = try await restore(index, until: until, to: directory, progress)
                restored.passedOver = passedOver
                return restored
            } catch let failure as StoreFailure where failure.outcome == .damaged {
                first = first ?? failure
                passedOver.append("index \(generation): \(failure.message)")
                try? FileManager.default.removeItem(atPath: directory)
            }
        }
        throw first
            ?? StoreFailure(
                code: "damaged",
                message: "the backup of log \(log) has no whole index"
                    + (passedOver.isEmpty ? ": no round of it ended" : ": \(passedOver.joined(separator: "; "))"),
                outcome: .damaged)
    }

    private func restore(
        _ index: BackupIndex, until: LogSequence?, to directory: String, _ progress: (LogSequence) -> Void
    ) async throws -> RestoredLog {
        let log = try EventLog.open(directory: directory, mode: .create(identity: index.end.log))
        var (waiting, frames, blobs) = ([StoredBatch](), 0, Set<Digest>())
        let end = try await batches(of: index, until: until) { batch in
            waiting.append(batch)
            frames += batch.ends.count
            blobs.formUnion(batch.namedBlobs)
            guard frames >= Self.framesAtOnce else { return }
            progress(try log.append(stored: waiting).sequence)
            (waiting, frames) = ([], 0)
        }
        guard try log.append(stored: waiting) == end, until != nil || end == index.end else {
            throw StoreFailure(
                code: "damaged",
                message: "the backup's index \(index.generation) says that it ends at \(index.end.sequence), its "
                    + "segments end at \(end.sequence)",
                outcome: .damaged)
        }
        return RestoredLog(index: index, end: end, blobs: blobs, passedOver: [])
    }

    /// Copies the blobs that a restored log names; each is checked against its digest. Returns those that are missing
    /// or damaged.
    package func copyBlobs(_ digests: Set<Digest>, to blobs: any BlobStore) async throws -> [Digest] {
        var missing: [Digest] = []
        for digest in digests.sorted() where try await blobs.information(.content(digest)) == nil {
            guard let bytes = try await store.wholeIfThere(.content(digest)) else {
                missing.append(digest)
                continue
            }
            do throws(BlobFailure) {
                try await blobs.put(.content(digest), bytes: UInt64(bytes.count), from: OneChunk(bytes))
            } catch {
                guard error.code == .mismatch else { throw error }
                missing.append(digest)
            }
        }
        return missing
    }
}
