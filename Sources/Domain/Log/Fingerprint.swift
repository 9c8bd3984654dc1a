/// Tells the arguments of two commands under one key apart, the same in every process and version.
///
/// Eight bytes at a time, each step a wide multiplication folded in half, as in wyhash (Wang Yi;
/// https://github.com/wangyi-fudan/wyhash). Nobody gains by two commands that collide: both are his own.
package struct Fingerprint: Hashable, Sendable {
    package private(set) var value: UInt64 = 0xa076_1d64_78bd_642f

    private static let factor: UInt64 = 0xe703_7ed1_a0b4_28db

    package init() {}

    @inline(__always) package mutating func feed(_ number: UInt64) {
        let (high, low) = (value ^ number).multipliedFullWidth(by: Self.factor)
        value = high ^ low ^ number &+ Self.factor
    }

    /// What follows is another text.
    package mutating func feed(_ text: String) { feed(text.utf8Span.span) }

    mutating func feed(_ text: Substring) { feed(text.utf8Span.span) }

    private mutating func feed(_ bytes: borrowing Span<UInt8>) {
        let whole = bytes.count & ~7
        var index = 0
        while index < whole {
            feed(bytes.littleEndianWord(at: index))
            index &+= 8
        }
        // The length is in the last word's highest byte, which the rest never reaches.
        feed(bytes.littleEndianRest(from: whole) | UInt64(truncatingIfNeeded: bytes.count) << 56)
    }

    mutating func feed(_ digest: Digest) {
        feed(digest.word0)
        feed(digest.word1)
        feed(digest.word2)
        feed(digest.word3)
    }
}
