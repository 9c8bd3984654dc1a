package import Domain
internal import Glibc

/// Which raw file is meant, whatever its name and however it is packed.
package struct RawIdentity: Hashable, Sendable {
    /// SHA-256 over the digests of the file's segments.
    package var digest: Digest
    package var length: UInt64
    package var segmentLength: UInt64

    package init(digest: Digest, length: UInt64, segmentLength: UInt64) {
        (self.digest, self.length, self.segmentLength) = (digest, length, segmentLength)
    }

    package init(_ manifest: Manifest) {
        self.init(
            digest: manifest.totals.rawDigest, length: manifest.facts.rawLength,
            segmentLength: manifest.facts.segmentLength)
    }

    package var segmentCount: UInt64 { PackLimits.segmentCount(rawBytes: length, segmentBytes: segmentLength) }

    /// How many raw bytes the segment with this index holds.
    func length(ofSegment index: Int) -> Int {
        Int(min(segmentLength, length - min(length, UInt64(index) * segmentLength)))
    }

    /// Reads a whole file. `progress`: raw bytes read. Memory: a MiB a thread.
    package static func measure(
        path: String, segmentLength: UInt64 = PackSettings().segmentBytes, threads: Int = 2,
        progress: (UInt64) -> Void = { _ in }
    ) throws(PackFailure) -> RawIdentity {
        let file = try OpenFile.open(path, flags: O_RDONLY | O_NONBLOCK)
        let length = try file.regularLength()
        var identity = RawIdentity(digest: .zero, length: length, segmentLength: segmentLength)
        var (hasher, done, measured) = (ContentHasher(), UInt64(0), identity)
        try inOrder(count: Int(identity.segmentCount), threads: threads) { [identity] index in
            Result { () throws(PackFailure) in
                try file.digest(at: UInt64(index) * segmentLength, count: identity.length(ofSegment: index))
            }
        } consume: { result throws(PackFailure) in
            hasher.update(try result.get().bytes)
            done = min(length, done + segmentLength)
            progress(done)
        }
        measured.digest = hasher.finalize()
        identity = measured
        return identity
    }
}

extension OpenFile {
    /// The file's length; a failure when it is no regular file.
    func regularLength() throws(PackFailure) -> UInt64 {
        let status = try status()
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw PackFailure(.artifact, "\(path) is not a regular file; give one")
        }
        return UInt64(status.st_size)
    }

    /// Exactly `count` bytes from `offset`.
    func read(count: Int, at offset: UInt64) throws(PackFailure) -> [UInt8] {
        var failure: PackFailure?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            do throws(PackFailure) {
                filled = try unsafe read(
                    into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count), at: offset)
            } catch { failure = error }
        }
        if let failure { throw failure }
        guard bytes.count == count else {
            throw PackFailure(.changed, "\(path) ends before \(offset + UInt64(count)) bytes; it became shorter")
        }
        return bytes
    }

    func digest(at offset: UInt64, count: Int) throws(PackFailure) -> Domain.Digest {
        var (hasher, done) = (ContentHasher(), 0)
        let scratch = Scratch(count: min(count, Zstandard.chunkBytes))
        while done < count {
            let part = unsafe scratch.prefix(min(count - done, Zstandard.chunkBytes))
            guard try unsafe read(into: part, at: offset + UInt64(done)) == part.count else {
                throw PackFailure(.changed, "\(path) became shorter while it was read")
            }
            unsafe hasher.update(UnsafeRawBufferPointer(part))
            done += part.count
        }
        return hasher.finalize()
    }
}
