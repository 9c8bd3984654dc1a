/// FNV-1a over 64 bits: tells the arguments of two commands under one key apart, the same in every process.
/// Source: Fowler, Noll, Vo; http://www.isthe.com/chongo/tech/comp/fnv/.
package struct Fingerprint: Hashable, Sendable {
    package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    package mutating func feed(_ text: String) {
        feed(part: text)
        endText()
    }

    /// A piece of a text that goes on, until `endText`.
    mutating func feed(part: String) { feed(bytes: part.utf8Span.span) }

    mutating func feed(part: Substring) { feed(bytes: part.utf8Span.span) }

    private mutating func feed(bytes: borrowing Span<UInt8>) {
        for index in bytes.indices { feed(byte: bytes[index]) }
    }

    mutating func endText() { feed(byte: 0xff) }

    /// As its text form, which is not made.
    mutating func feed(_ digest: Digest) {
        for word in [digest.word0, digest.word1, digest.word2, digest.word3] {
            for shift in stride(from: UInt64(60), through: 0, by: -4) {
                feed(byte: hexadecimalDigit(UInt8(truncatingIfNeeded: word >> shift)))
            }
        }
        endText()
    }

    package mutating func feed(_ number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { feed(byte: UInt8(truncatingIfNeeded: number >> shift)) }
    }

    @inline(__always) mutating func feed(byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
}
