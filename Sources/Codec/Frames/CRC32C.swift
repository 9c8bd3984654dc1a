import CChecksum

/// The CRC32C (Castagnoli; RFC 3720, appendix B.4) of some bytes.
package func crc32c(_ bytes: borrowing Span<UInt8>) -> UInt32 {
    var checksum = CRC32C()
    checksum.feed(bytes)
    return checksum.value
}

/// A CRC32C that takes its bytes in pieces.
package struct CRC32C {
    private var state: UInt32 = ~0

    package init() {}

    package var value: UInt32 { ~state }

    package mutating func feed(_ bytes: borrowing Span<UInt8>) {
        var index = 0
        while index &+ 32 <= bytes.count {
            state = drover_crc32c_words(
                state, bytes.littleEndianWord(at: index), bytes.littleEndianWord(at: index &+ 8),
                bytes.littleEndianWord(at: index &+ 16), bytes.littleEndianWord(at: index &+ 24))
            index &+= 32
        }
        while index &+ 8 <= bytes.count {
            state = drover_crc32c_word(state, bytes.littleEndianWord(at: index))
            index &+= 8
        }
        while index < bytes.count {
            state = drover_crc32c_byte(state, bytes[index])
            index &+= 1
        }
    }
}

extension Span<UInt8> {
    /// Eight bytes, the first the lowest.
    @inline(__always) package func littleEndianWord(at offset: Int) -> UInt64 {
        // One bounds check for all eight; the compiler then makes one load of them.
        let bytes = extracting(offset..<offset &+ 8)
        let low =
            UInt64(bytes[0]) | UInt64(bytes[1]) << 8 | UInt64(bytes[2]) << 16 | UInt64(bytes[3]) << 24
        let high =
            UInt64(bytes[4]) << 32 | UInt64(bytes[5]) << 40 | UInt64(bytes[6]) << 48 | UInt64(bytes[7]) << 56
        return low | high
    }

    /// Four bytes, the first the lowest.
    @inline(__always) package func littleEndianHalfWord(at offset: Int) -> UInt32 {
        let bytes = extracting(offset..<offset &+ 4)
        return UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24
    }
}

extension [UInt8] {
    /// Appends an integer, its lowest byte first.
    package mutating func append(littleEndian value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
}
