import CZstd
import Ports

/// Bytes into one zstd frame (RFC 8878) with a checksum, in memory. What it makes depends on the order and size of the
/// pieces: segments are fed in pieces of `SegmentWriter.pieceBytes`, so that one log's segments are the same everywhere.
@safe
final class SegmentPacker {
    /// A middle way: faster than any disk of today takes the result, and a third smaller than the fastest level.
    private static let level: Int32 = 3

    private let context: OpaquePointer
    private(set) var packed: [UInt8]

    init(behind head: [UInt8]) throws(StoreFailure) {
        guard let context = unsafe ZSTD_createCCtx() else { throw Self.failure("there is no memory for it") }
        unsafe self.context = unsafe context
        packed = head
        for (parameter, value) in [(ZSTD_c_compressionLevel, Self.level), (ZSTD_c_checksumFlag, 1)] {
            try Self.check(unsafe ZSTD_CCtx_setParameter(context, parameter, value))
        }
    }

    deinit { _ = unsafe ZSTD_freeCCtx(context) }

    func add(_ piece: [UInt8], isLast: Bool) throws(StoreFailure) {
        let room = ZSTD_compressBound(piece.count) + ZSTD_CStreamOutSize()
        var (taken, rest) = (0, 0)
        repeat {
            packed.reserveCapacity(packed.count + room)
            packed.append(addingCapacity: room) { output in
                unsafe output.withUnsafeMutableBufferPointer { free, count in
                    unsafe piece.withUnsafeBytes { bytes in
                        var input = unsafe ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: taken)
                        var buffer = unsafe ZSTD_outBuffer(dst: free.baseAddress, size: free.count, pos: count)
                        rest = unsafe ZSTD_compressStream2(
                            context, &buffer, &input, isLast ? ZSTD_e_end : ZSTD_e_continue)
                        taken = unsafe input.pos
                        count = unsafe buffer.pos
                    }
                }
            }
            try Self.check(rest)
        } while taken < piece.count || (isLast && rest > 0)
    }

    private static func check(_ code: Int) throws(StoreFailure) {
        guard ZSTD_isError(code) != 0 else { return }
        throw failure(unsafe String(cString: ZSTD_getErrorName(code)))
    }

    private static func failure(_ why: String) -> StoreFailure {
        StoreFailure(code: "io", message: "a segment cannot be compressed: \(why)", outcome: .unchanged)
    }
}

/// The bytes of one zstd frame, a piece at a time.
@safe
final class SegmentUnpacker {
    /// A frame that wants a larger window (8 MiB) was not written by Drover.
    private static let maximumWindowLog: Int32 = 23
    static let pieceBytes = 1 << 20

    private let context: OpaquePointer
    private let packed: [UInt8]
    private var offset: Int
    private let end: Int
    /// Whether the frame has ended; then nothing may follow.
    private(set) var isOver = false

    init(_ packed: [UInt8], _ range: Range<Int>) throws(StoreFailure) {
        guard let context = unsafe ZSTD_createDCtx() else {
            throw StoreFailure(code: "io", message: "there is no memory to read a segment", outcome: .unchanged)
        }
        unsafe self.context = unsafe context
        (self.packed, offset, end) = (packed, range.lowerBound, range.upperBound)
        _ = unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.maximumWindowLog)
    }

    deinit { _ = unsafe ZSTD_freeDCtx(context) }

    /// Appends what comes next, at most `pieceBytes`; says why it cannot, or nil.
    func next(into content: inout [UInt8]) -> String? {
        var code = 0
        content.append(addingCapacity: Self.pieceBytes) { output in
            unsafe output.withUnsafeMutableBufferPointer { free, count in
                unsafe packed.withUnsafeBytes { bytes in
                    var input = unsafe ZSTD_inBuffer(src: bytes.baseAddress, size: end, pos: offset)
                    var buffer = unsafe ZSTD_outBuffer(
                        dst: free.baseAddress, size: min(free.count, count + Self.pieceBytes), pos: count)
                    code = unsafe ZSTD_decompressStream(context, &buffer, &input)
                    let isStuck = unsafe input.pos == offset && buffer.pos == count
                    offset = unsafe input.pos
                    count = unsafe buffer.pos
                    if isStuck && code > 0 && ZSTD_isError(code) == 0 { code = Int.min }
                }
            }
        }
        if code == Int.min { return "it ends before its zstd frame does" }
        if ZSTD_isError(code) != 0 { return unsafe String(cString: ZSTD_getErrorName(code)) }
        isOver = code == 0
        return isOver && offset < end ? "it has bytes behind its zstd frame" : nil
    }
}
