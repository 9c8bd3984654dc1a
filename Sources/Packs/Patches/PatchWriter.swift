internal import Domain
internal import Glibc

/// How far making or applying a patch got.
package struct PatchProgress: Hashable, Sendable {
    package var rawBytes: UInt64
    package var totalRawBytes: UInt64
    /// Bytes of the patch so far.
    package var patchBytes: UInt64
}

/// Makes patches. Blocking: call it on a thread of its own.
package struct PatchWriter: Sendable {
    package var settings: PatchSettings

    package init(settings: PatchSettings = PatchSettings()) { self.settings = settings }

    /// A raw file and what its manifest, or `RawIdentity.measure`, says of it.
    package struct Side: Hashable, Sendable {
        package var path: String
        package var identity: RawIdentity

        package init(path: String, identity: RawIdentity) { (self.path, self.identity) = (path, identity) }
    }

    /// Writes the patch that makes `target` of `base` to `output`, which it creates or overwrites, and returns its header
    /// when it is on the disk. After a failure `output` is gone. `isCancelled` is asked again and again. The same
    /// files, level, window and zstd give the same bytes.
    ///
    /// Memory: about `settings.memoryBytes`, whatever the files' lengths.
    package func write(
        base: Side, target: Side, to output: String,
        progress: (PatchProgress) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws(PackFailure) -> PatchHeader {
        let plan = try plan(target.identity, baseLength: base.identity.length)
        let job = try PatchJob(base: base, target: target, plan: plan, isCancelled: isCancelled)
        let file = try OpenFile.open(output, flags: O_RDWR | O_CREAT | O_TRUNC)
        do throws(PackFailure) {
            let header = try write(job, file, progress: progress, isCancelled: isCancelled)
            try job.checkUnchanged()
            try file.write(header.bytes, at: 0)
            try file.synchronize()
            return header
        } catch {
            OpenFile.remove(output)
            throw error
        }
    }

    private func write(
        _ job: PatchJob, _ file: OpenFile, progress: (PatchProgress) -> Void, isCancelled: () -> Bool
    ) throws(PackFailure) -> PatchHeader {
        let target = job.target.identity
        var header = PatchHeader(base: job.base.identity, target: target)
        var end = PatchHeader.length(segments: Int(target.segmentCount))
        var done: UInt64 = 0
        progress(PatchProgress(rawBytes: 0, totalRawBytes: target.length, patchBytes: end))
        try inOrder(count: Int(target.segmentCount), threads: job.plan.threads) { index in
            Result { () throws(PackFailure) in try job.entry(index) }
        } consume: { result throws(PackFailure) in
            guard !isCancelled() else { throw PackFailure(.cancelled, "making the patch was cancelled") }
            let entry = try result.get()
            try file.write(entry, at: end)
            end += UInt64(entry.count)
            header.entries.append(PatchHeader.Entry(length: UInt64(entry.count), digest: ContentHasher.digest(entry)))
            done = min(target.length, done + target.segmentLength)
            progress(PatchProgress(rawBytes: done, totalRawBytes: target.length, patchBytes: end))
        }
        return header
    }

    /// As many segments at once as the memory lets, and at least one, with a smaller window if need be.
    private func plan(_ target: RawIdentity, baseLength: UInt64) throws(PackFailure) -> PatchPlan {
        guard target.segmentLength <= PatchLimits.maximumSegmentBytes,
            target.segmentCount <= UInt64(PatchLimits.maximumSegments)
        else {
            throw PackFailure(
                .tooLarge, "no patch is made of segments above \(PatchLimits.maximumSegmentBytes) bytes, or of so many")
        }
        let effort = PatchEffort(settings.level)
        let segment = min(target.segmentLength, target.length)
        let least = PatchLimits.minimumWindowBytes
        var window = max(least, min(settings.windowBytes, PatchLimits.maximumWindowBytes, Int(baseLength)))
        func memoryBytes() -> UInt64 { effort.memoryBytes(segment: segment, window: UInt64(window)) }
        while memoryBytes() > settings.memoryBytes, window > least { window = max(least, window / 2) }
        let each = memoryBytes()
        guard each <= settings.memoryBytes else {
            throw PackFailure(
                .tooLarge, "a patch needs \(each) bytes of memory, the limit is \(settings.memoryBytes); raise it")
        }
        let threads = max(1, min(UInt64(max(1, settings.threads)), settings.memoryBytes / each))
        return PatchPlan(effort: effort, windowBytes: window, threads: Int(threads))
    }
}

struct PatchPlan: Sendable {
    var effort: PatchEffort
    var windowBytes: Int
    var threads: Int
}

/// One patch being made: what its segments share.
private struct PatchJob: Sendable {
    let base: PatchWriter.Side
    let target: PatchWriter.Side
    let plan: PatchPlan
    private let baseFile: OpenFile
    private let targetFile: OpenFile
    private let before: [stat]
    /// By segment: whether the base has it in the same place.
    private var isUnmoved: [Bool] = []
    /// Nil where no segment needs it.
    private var map: BaseMap?

    init(
        base: PatchWriter.Side, target: PatchWriter.Side, plan: PatchPlan, isCancelled: () -> Bool
    ) throws(PackFailure) {
        (self.base, self.target, self.plan) = (base, target, plan)
        baseFile = try OpenFile.open(base.path, flags: O_RDONLY | O_NONBLOCK)
        targetFile = try OpenFile.open(target.path, flags: O_RDONLY | O_NONBLOCK)
        before = [try baseFile.status(), try targetFile.status()]
        for (side, file) in [(base, baseFile), (target, targetFile)] {
            let length = try file.regularLength()
            guard length == side.identity.length else {
                throw PackFailure(.changed, "\(side.path) has \(length) bytes instead of \(side.identity.length)")
            }
        }
        isUnmoved = try unmoved(isCancelled)
        // A small base is its own window.
        guard isUnmoved.contains(false), base.identity.length > UInt64(plan.windowBytes) else { return }
        map = try BaseMap(baseFile, length: base.identity.length, threads: plan.threads, isCancelled: isCancelled)
    }

    private func unmoved(_ isCancelled: () -> Bool) throws(PackFailure) -> [Bool] {
        var unmoved: [Bool] = []
        try inOrder(count: Int(target.identity.segmentCount), threads: plan.threads) { [self] index in
            Result { () throws(PackFailure) in
                let (offset, length) = place(index)
                return try isCopy(offset, length, of: offset)
            }
        } consume: { result throws(PackFailure) in
            guard !isCancelled() else { throw PackFailure(.cancelled, "making the patch was cancelled") }
            unmoved.append(try result.get())
        }
        return unmoved
    }

    /// Where a segment of the target begins, and its length.
    private func place(_ index: Int) -> (offset: UInt64, length: Int) {
        (UInt64(index) * target.identity.segmentLength, target.identity.length(ofSegment: index))
    }

    func entry(_ index: Int) throws(PackFailure) -> [UInt8] {
        let (offset, length) = place(index)
        if isUnmoved[index] { return try copy(of: offset, length) }
        let segment = try targetFile.read(count: length, at: offset)
        let choice = choose(segment, offset)
        if let start = choice.start, start >= 0, try isCopy(offset, length, of: UInt64(start)) {
            return try copy(of: UInt64(start), length)
        }
        var window: [UInt8] = []
        window.reserveCapacity(choice.ranges.reduce(0) { $0 + Int($1.upperBound - $1.lowerBound) })
        for range in choice.ranges {
            window += try baseFile.read(count: Int(range.upperBound - range.lowerBound), at: range.lowerBound)
        }
        let entry = PatchEntry(segment, window: window, ranges: choice.ranges, effort: plan.effort)
        let bytes = try entry.encoded(window: window, level: plan.effort.zstdLevel)
        try check(bytes, segment, window, index)
        return bytes
    }

    /// A peer would find it too, and fetch the whole pack; found here it says that this program is wrong.
    private func check(_ bytes: [UInt8], _ segment: [UInt8], _ window: [UInt8], _ index: Int) throws(PackFailure) {
        let entry = try EncodedPatchEntry(bytes, length: segment.count, baseLength: base.identity.length)
        guard bytes.count <= PatchEntry.maximumBytes(segment: segment.count),
            try entry.rebuild(window: window) == segment
        else { throw PackFailure(.io, "the patch of segment \(index) does not give the segment; report this") }
    }

    private func copy(of start: UInt64, _ length: Int) throws(PackFailure) -> [UInt8] {
        try PatchEntry(copyOf: start..<(start + UInt64(length))).encoded(window: [], level: plan.effort.zstdLevel)
    }

    /// Whether the base has at `start` what the target has at `offset`. Stops reading at the first chunk that differs.
    private func isCopy(_ offset: UInt64, _ length: Int, of start: UInt64) throws(PackFailure) -> Bool {
        guard start + UInt64(length) <= base.identity.length else { return false }
        var done = 0
        // The first look is a short one.
        var chunk = 4 << 10
        while done < length {
            let count = min(chunk, length - done)
            let new = try targetFile.read(count: count, at: offset + UInt64(done))
            guard try baseFile.read(count: count, at: start + UInt64(done)) == new else { return false }
            done += count
            chunk = Zstandard.chunkBytes
        }
        return true
    }

    private func choose(_ segment: [UInt8], _ offset: UInt64) -> WindowChooser.Choice {
        let length = base.identity.length
        guard let map else { return WindowChooser.Choice(ranges: length == 0 ? [] : [0..<length], start: nil) }
        let chooser = WindowChooser(map: map, baseLength: length, budget: plan.windowBytes)
        return chooser.choose(segment.span, offset: offset)
    }

    func checkUnchanged() throws(PackFailure) {
        for (file, before) in zip([baseFile, targetFile], before) {
            let after = try file.status()
            guard after.st_size == before.st_size, after.st_mtim.tv_sec == before.st_mtim.tv_sec,
                after.st_mtim.tv_nsec == before.st_mtim.tv_nsec
            else { throw PackFailure(.changed, "\(file.path) changed while the patch was made; try again") }
        }
    }
}
