internal import CZstd

extension Zstandard {
    /// One frame, whose bytes may refer to `reference` as if it stood before them.
    static func compress(_ bytes: [UInt8], reference: [UInt8], level: Int32) throws(PackFailure) -> [UInt8] {
        guard let context = unsafe ZSTD_createCCtx() else { throw PackFailure(.io, "no memory for compression") }
        defer { _ = unsafe ZSTD_freeCCtx(context) }
        try check(unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level))
        if !reference.isEmpty {
            try check(
                unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, windowLog(bytes.count + reference.count)))
            try check(unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1))
        }
        var code = 0
        let frame = unsafe [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { frame, count in
            code = unsafe reference.withUnsafeBytes { reference in
                unsafe bytes.withUnsafeBytes { bytes in
                    let code = unsafe ZSTD_CCtx_refPrefix(context, reference.baseAddress, reference.count)
                    guard ZSTD_isError(code) == 0 else { return code }
                    return unsafe ZSTD_compress2(
                        context, frame.baseAddress, frame.count, bytes.baseAddress, bytes.count)
                }
            }
            count = ZSTD_isError(code) == 0 ? code : 0
        }
        try check(code)
        return frame
    }

    /// The `length` bytes of a frame that `compress` made; nil when it is none, of another length, or damaged.
    static func decompress(_ frame: [UInt8], length: Int, reference: [UInt8]) throws(PackFailure) -> [UInt8]? {
        guard let context = unsafe ZSTD_createDCtx() else { throw PackFailure(.io, "no memory for decompression") }
        defer { _ = unsafe ZSTD_freeDCtx(context) }
        let size = unsafe frame.withUnsafeBytes { unsafe ZSTD_getFrameContentSize($0.baseAddress, $0.count) }
        guard size == UInt64(length) else { return nil }
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: length) { bytes, count in
            let code = unsafe reference.withUnsafeBytes { reference in
                unsafe frame.withUnsafeBytes { frame in
                    let code = unsafe ZSTD_DCtx_refPrefix(context, reference.baseAddress, reference.count)
                    guard ZSTD_isError(code) == 0 else { return code }
                    return unsafe ZSTD_decompressDCtx(
                        context, bytes.baseAddress, length, frame.baseAddress, frame.count)
                }
            }
            count = ZSTD_isError(code) == 0 ? code : 0
        }
        return bytes.count == length ? bytes : nil
    }

    private static func windowLog(_ bytes: Int) -> Int32 {
        var log: Int32 = 10
        while 1 << log < bytes { log += 1 }
        return log
    }
}
