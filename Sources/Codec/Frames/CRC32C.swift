import CChecksum
import Domain

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

extension [UInt8] {
    /// Appends an integer, its lowest byte first.
    package mutating func append(littleEndian value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
}
