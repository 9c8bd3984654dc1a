/// A SHA-256 value: 32 bytes. Its text form is 64 lowercase hexadecimal digits.
package struct Digest: Hashable, Sendable {
    /// The first byte is the highest of the first word.
    package let word0, word1, word2, word3: UInt64

    /// The digest of nothing yet: what a chain starts from.
    package static let zero = Digest(words: 0, 0, 0, 0)

    package init(words word0: UInt64, _ word1: UInt64, _ word2: UInt64, _ word3: UInt64) {
        (self.word0, self.word1, self.word2, self.word3) = (word0, word1, word2, word3)
    }

    /// Nil unless there are exactly 32 bytes.
    @specialized(where Bytes == [UInt8])
    package init?<Bytes: Collection<UInt8>>(bytes: Bytes) {
        guard bytes.count == 32 else { return nil }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        for byte in bytes {
            // The first byte ends up highest of all.
            words = (
                words.0 << 8 | words.1 >> 56, words.1 << 8 | words.2 >> 56, words.2 << 8 | words.3 >> 56,
                words.3 << 8 | UInt64(byte)
            )
        }
        self.init(words: words.0, words.1, words.2, words.3)
    }

    /// Nil unless the text is 64 hexadecimal digits.
    package init?(hex: some StringProtocol) {
        guard let bytes = bytesFromHex(hex) else { return nil }
        self.init(bytes: bytes)
    }

    package var bytes: [UInt8] {
        [UInt8](capacity: 32) { output in
            for word in [word0, word1, word2, word3] {
                for shift in stride(from: UInt64(56), through: 0, by: -8) {
                    output.append(UInt8(truncatingIfNeeded: word >> shift))
                }
            }
        }
    }

    package var hex: String { hexadecimal(bytes) }
}

extension Digest: Comparable {
    package static func < (left: Digest, right: Digest) -> Bool {
        (left.word0, left.word1, left.word2, left.word3) < (right.word0, right.word1, right.word2, right.word3)
    }
}

extension Digest: CustomStringConvertible {
    package var description: String { hex }
}

extension Digest: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let digest = Digest(hex: text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a SHA-256 in hexadecimal: \(text)"))
        }
        self = digest
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(hex)
    }
}

/// The lowercase digit of a byte's lower half.
@inline(__always) func hexadecimalDigit(_ byte: UInt8) -> UInt8 {
    let half = byte & 15
    return half < 10 ? UInt8(ascii: "0") + half : UInt8(ascii: "a") - 10 + half
}

/// Two lowercase digits a byte.
package func hexadecimal(_ bytes: some Collection<UInt8>) -> String {
    var digits: [UInt8] = []
    digits.reserveCapacity(bytes.count * 2)
    for byte in bytes {
        digits.append(hexadecimalDigit(byte >> 4))
        digits.append(hexadecimalDigit(byte))
    }
    return String(decoding: digits, as: UTF8.self)
}

/// The bytes of an even number of hexadecimal digits; nil for anything else.
package func bytesFromHex(_ text: some StringProtocol) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for pair in stride(from: 0, to: digits.count, by: 2) {
        guard let high = hexadecimalValue(digits[pair]), let low = hexadecimalValue(digits[pair + 1]) else {
            return nil
        }
        bytes.append(high << 4 | low)
    }
    return bytes
}

private func hexadecimalValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
}
