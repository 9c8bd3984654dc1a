internal import CZstd
internal import Domain

/// One segment as it stands in the pack.
struct PackedSegment: Sendable {
    var packed: [UInt8]
    var rawLength: UInt64
    var rawDigest: Domain.Digest
}

/// One zstd frame a segment (RFC 8878): with content size and checksum, in raw blocks where compression does not help.
enum Zstandard {
    /// How much is read and handed to zstd at a time. The packed bytes depend on it: a peer that packs a segment again
    /// must use the same.
    static let chunkBytes = 1 << 20

    static var version: String { unsafe String(cString: ZSTD_versionString()) }

    /// Reads `length` raw bytes at `offset` and compresses them.
    static func compress(
        _ file: OpenFile, offset: UInt64, length: UInt64, level: Int32
    ) throws(PackFailure) -> PackedSegment {
        guard let context = unsafe ZSTD_createCCtx() else { throw PackFailure(.io, "no memory for compression") }
        defer { _ = unsafe ZSTD_freeCCtx(context) }
        try unsafe prepare(context, length: length, level: level)
        var (hasher, packed, done) = (ContentHasher(), [UInt8](), UInt64(0))
        packed.reserveCapacity(ZSTD_compressBound(Int(length)))
        let (input, output) = (
            Scratch(count: Int(min(length, UInt64(chunkBytes)))), Scratch(count: ZSTD_CStreamOutSize())
        )
        repeat {
            let part = unsafe input.prefix(Int(min(length - done, UInt64(chunkBytes))))
            guard try unsafe file.read(into: part, at: offset + done) == part.count else {
                throw PackFailure(.changed, "\(file.path) became shorter while it was packed; build again")
            }
            unsafe hasher.update(UnsafeRawBufferPointer(part))
            done += UInt64(part.count)
            try unsafe feed(context, part, isLast: done == length, output, &packed)
        } while done < length
        return PackedSegment(packed: packed, rawLength: length, rawDigest: hasher.finalize())
    }

    private static func prepare(_ context: OpaquePointer, length: UInt64, level: Int32) throws(PackFailure) {
        try check(unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level))
        try check(unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1))
        try check(unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1))
        try check(unsafe ZSTD_CCtx_setPledgedSrcSize(context, length))
    }

    /// Compresses one chunk; after the last one the frame is whole.
    private static func feed(
        _ context: OpaquePointer, _ part: UnsafeMutableRawBufferPointer, isLast: Bool, _ output: Scratch,
        _ packed: inout [UInt8]
    ) throws(PackFailure) {
        var input = unsafe ZSTD_inBuffer(src: part.baseAddress, size: part.count, pos: 0)
        while true {
            var buffer = unsafe ZSTD_outBuffer(dst: output.bytes.baseAddress, size: output.bytes.count, pos: 0)
            let rest = unsafe ZSTD_compressStream2(context, &buffer, &input, isLast ? ZSTD_e_end : ZSTD_e_continue)
            try check(rest)
            unsafe packed.append(contentsOf: output.prefix(buffer.pos))
            if unsafe isLast ? rest == 0 : input.pos == input.size { return }
        }
    }

    static func check(_ code: Int) throws(PackFailure) {
        guard ZSTD_isError(code) != 0 else { return }
        throw PackFailure(.io, "compression failed: \(unsafe String(cString: ZSTD_getErrorName(code)))")
    }
}

/// Turns frames back into raw segments, one after the other, in bounded memory.
@safe
final class Decompressor {
    private let context: OpaquePointer
    private let input = Scratch(count: Zstandard.chunkBytes)
    private let output = Scratch(count: Zstandard.chunkBytes)

    private init(context: OpaquePointer) { unsafe self.context = unsafe context }

    deinit { _ = unsafe ZSTD_freeDCtx(context) }

    static func make() throws(PackFailure) -> Decompressor {
        guard let context = unsafe ZSTD_createDCtx() else { throw PackFailure(.io, "no memory for decompression") }
        _ = unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, PackLimits.maximumWindowLog)
        return unsafe Decompressor(context: context)
    }

    /// Writes one segment's raw bytes at `rawOffset`: exactly one frame, exactly `rawLength` bytes, of this digest.
    func unpack(
        _ pack: OpenFile, _ segment: PackSegment, index: Int, to raw: OpenFile, rawOffset: UInt64
    ) throws(PackFailure) {
        _ = unsafe ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
        var state = State(index: index, segment: segment, raw: raw, rawOffset: rawOffset)
        var taken: UInt64 = 0
        while taken < segment.packedLength {
            let part = unsafe input.prefix(Int(min(segment.packedLength - taken, UInt64(Zstandard.chunkBytes))))
            guard try unsafe pack.read(into: part, at: segment.offset + taken) == part.count else {
                throw PackFailure(.damaged, "the pack ends inside segment \(index); fetch it again")
            }
            taken += UInt64(part.count)
            try unsafe consume(part, &state)
        }
        try state.finish()
    }

    private func consume(_ part: UnsafeMutableRawBufferPointer, _ state: inout State) throws(PackFailure) {
        var source = unsafe ZSTD_inBuffer(src: part.baseAddress, size: part.count, pos: 0)
        repeat {
            guard !state.isFrameOver else { throw state.damaged("has bytes after its frame") }
            var target = unsafe ZSTD_outBuffer(dst: output.bytes.baseAddress, size: output.bytes.count, pos: 0)
            let code = unsafe ZSTD_decompressStream(context, &target, &source)
            guard ZSTD_isError(code) == 0 else {
                throw state.damaged("does not decompress: \(unsafe String(cString: ZSTD_getErrorName(code)))")
            }
            state.isFrameOver = code == 0
            try unsafe state.take(UnsafeRawBufferPointer(output.prefix(target.pos)))
            // A full output buffer may leave bytes inside zstd, with all input taken.
            if unsafe !state.isFrameOver && target.pos == target.size { continue }
            if unsafe source.pos == source.size { return }
        } while true
    }

    private struct State {
        let index: Int
        let segment: PackSegment
        let raw: OpenFile
        let rawOffset: UInt64
        var hasher = ContentHasher()
        var written: UInt64 = 0
        var isFrameOver = false

        mutating func take(_ bytes: UnsafeRawBufferPointer) throws(PackFailure) {
            guard UInt64(bytes.count) <= segment.rawLength - written else {
                throw damaged("holds more than its \(segment.rawLength) raw bytes")
            }
            unsafe hasher.update(bytes)
            try unsafe raw.write(bytes, at: rawOffset + written)
            written += UInt64(bytes.count)
        }

        func finish() throws(PackFailure) {
            guard isFrameOver else { throw damaged("ends before its frame does") }
            guard written == segment.rawLength else { throw damaged("holds fewer than its \(segment.rawLength) bytes") }
            guard hasher.finalize() == segment.rawDigest else { throw damaged("has the wrong raw digest") }
        }

        func damaged(_ what: String) -> PackFailure {
            PackFailure(.damaged, "segment \(index) of the pack \(what); fetch it again")
        }
    }
}
