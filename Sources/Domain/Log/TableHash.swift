/// A hash of texts for tables in memory, word by word: much cheaper than the standard library's, and as that one's
/// different in every process, so that nobody can choose texts that collide. Nothing that is stored or told depends on it.
///
/// Each step is a wide multiplication folded in half, as in wyhash (Wang Yi; https://github.com/wangyi-fudan/wyhash).
package struct TableHash {
    private static let secrets = (secret("state"), secret("factor") | 1)

    private static func secret(_ name: String) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(name)
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    package private(set) var value: UInt64
    private let factor: UInt64

    package init(seed: Int = 0) {
        (value, factor) = Self.secrets
        value ^= UInt64(bitPattern: Int64(seed))
    }

    @inline(__always) package mutating func feed(_ word: UInt64) {
        let (high, low) = (value ^ word).multipliedFullWidth(by: factor)
        value = high ^ low ^ word &+ factor
    }

    /// Equal texts feed alike, whatever their normal form; what follows is another text.
    package mutating func feed(_ text: String) {
        guard feedBytes(text.utf8Span.span) else { return feedNormalised(text) }
    }

    mutating func feed(_ text: Substring) {
        guard feedBytes(text.utf8Span.span) else { return feedNormalised(String(text)) }
    }

    private mutating func feedNormalised(_ text: String) {
        var plain = ""
        for scalar in text.unicodeScalars { plain.unicodeScalars.append(Self.asASCII(scalar)) }
        if feedBytes(plain.utf8Span.span) { return }
        var hasher = Hasher()
        hasher.combine(text)
        feed(UInt64(bitPattern: Int64(hasher.finalize())))
    }

    /// The only three that are canonically equal to an ASCII one: a text may be equal to one of plain ASCII by them.
    private static func asASCII(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        if scalar == "\u{212A}" { return "K" }
        if scalar == "\u{037E}" { return ";" }
        return scalar == "\u{1FEF}" ? "`" : scalar
    }

    /// Whether they are ASCII; nothing is fed otherwise.
    private mutating func feedBytes(_ bytes: borrowing Span<UInt8>) -> Bool {
        let before = value
        var (index, seen) = (0, UInt64(0))
        while index &+ 8 <= bytes.count {
            let word = bytes.littleEndianWord(at: index)
            seen |= word
            feed(word)
            index &+= 8
        }
        let rest = bytes.littleEndianRest(from: index)
        seen |= rest
        feed(rest | UInt64(truncatingIfNeeded: bytes.count) << 56)
        guard seen & 0x8080_8080_8080_8080 == 0 else {
            value = before
            return false
        }
        return true
    }
}
