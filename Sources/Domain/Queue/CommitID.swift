/// A full commit id: 40 (SHA-1) or 64 (SHA-256) lowercase hexadecimal digits.
package struct CommitID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The digits' values, first to last; of a short id, the last twelve bytes are zero.
    private let word0, word1, word2, word3: UInt64
    private let isLong: Bool

    /// Nil for anything but a full id in lowercase.
    package init?(rawValue: String) { self.init(rawValue.utf8Span.span) }

    /// The same of its bytes.
    package init?(_ digits: borrowing Span<UInt8>) {
        guard digits.count == 40 || digits.count == 64, let word0 = Self.word(digits, at: 0),
            let word1 = Self.word(digits, at: 16), let half2 = Self.eightDigits(digits.littleEndianWord(at: 32))
        else { return nil }
        (self.word0, self.word1, isLong) = (word0, word1, digits.count == 64)
        guard isLong else {
            (word2, word3) = (half2 << 32, 0)
            return
        }
        guard let word2 = Self.word(digits, at: 32), let word3 = Self.word(digits, at: 48) else { return nil }
        (self.word2, self.word3) = (word2, word3)
    }

    private static func word(_ digits: borrowing Span<UInt8>, at start: Int) -> UInt64? {
        guard let high = eightDigits(digits.littleEndianWord(at: start)),
            let low = eightDigits(digits.littleEndianWord(at: start &+ 8))
        else { return nil }
        return high << 32 | low
    }

    /// The number that eight lowercase digits are, the first in the lowest byte; all of them at once.
    private static func eightDigits(_ text: UInt64) -> UInt64? {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let letters = text >> 6 & ones
        let values = (text & (ones &* 15)) &+ letters &* 9
        // Its own text must come out, letters above 9 and nothing above 15.
        guard values &+ ones &* 0x30 &+ letters &* 0x27 == text, values & (ones &* 16) == 0,
            (values &+ ones &* 6) >> 4 & ones == letters
        else { return nil }
        var number = values.byteSwapped
        number = (number | number >> 4) & 0x00ff_00ff_00ff_00ff
        number = (number | number >> 8) & 0x0000_ffff_0000_ffff
        return (number | number >> 16) & 0xffff_ffff
    }

    package var rawValue: String {
        let count = isLong ? 64 : 40
        return String(
            decoding: [UInt8](capacity: count) { output in
                for word in [word0, word1, word2, word3] {
                    var shift: UInt64 = 64
                    while shift > 0, output.count < count {
                        shift -= 4
                        output.append(hexadecimalDigit(UInt8(truncatingIfNeeded: word >> shift)))
                    }
                }
            }, as: UTF8.self)
    }

    func feed(_ hash: inout TableHash) {
        hash.feed(word0)
        hash.feed(word1)
        hash.feed(word2)
        hash.feed(word3)
    }

    func feed(_ fingerprint: inout Fingerprint) {
        fingerprint.feed(word0)
        fingerprint.feed(word1)
        fingerprint.feed(word2)
        fingerprint.feed(word3)
        fingerprint.feed(isLong ? 1 : 0)
    }

    package var description: String { rawValue }
}

extension CommitID: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let commit = CommitID(rawValue: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no full commit id")
        }
        self = commit
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}
