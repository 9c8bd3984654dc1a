extension Span<UInt8> {
    /// Eight bytes, the first the lowest.
    @inlinable @inline(__always) package func littleEndianWord(at offset: Int) -> UInt64 {
        // One bounds check for all eight; the compiler then makes one load of them.
        let bytes = extracting(offset..<offset &+ 8)
        let low =
            UInt64(bytes[0]) | UInt64(bytes[1]) << 8 | UInt64(bytes[2]) << 16 | UInt64(bytes[3]) << 24
        let high =
            UInt64(bytes[4]) << 32 | UInt64(bytes[5]) << 40 | UInt64(bytes[6]) << 48 | UInt64(bytes[7]) << 56
        return low | high
    }

    /// Four bytes, the first the lowest.
    @inlinable @inline(__always) package func littleEndianHalfWord(at offset: Int) -> UInt32 {
        let bytes = extracting(offset..<offset &+ 4)
        return UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24
    }

    /// The fewer than eight bytes from there to the end, the first the lowest.
    @inlinable @inline(__always) package func littleEndianRest(from offset: Int) -> UInt64 {
        var (index, word, shift) = (offset, UInt64(0), UInt64(0))
        while index < count {
            word |= UInt64(self[index]) &<< shift
            index &+= 1
            shift &+= 8
        }
        return word
    }
}
