extension Span<UInt8> {
    /// The eight bytes from `offset`, the first one lowest. Traps beyond the end.
    @inline(__always)
    func word(_ offset: Int) -> UInt64 {
        unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The same with four.
    @inline(__always)
    func halfWord(_ offset: Int) -> UInt32 {
        unsafe UInt32(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
}

/// How many bytes from two places on are equal, at most `limit`.
@inline(__always)
func commonLength(_ a: Span<UInt8>, _ i: Int, _ b: Span<UInt8>, _ j: Int, limit: Int = .max) -> Int {
    let count = min(a.count - i, b.count - j, limit)
    var done = 0
    while done + 8 <= count {
        let difference = a.word(i + done) ^ b.word(j + done)
        if difference != 0 { return done + difference.trailingZeroBitCount / 8 }
        done += 8
    }
    while done < count, a[i + done] == b[j + done] { done += 1 }
    return done
}

/// Numbers in seven bits a byte, the lowest first; the high bit says that more follow.
struct VarintWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ number: Int) {
        var rest = UInt64(number)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Small numbers of either sign: 0, -1, 1, -2 become 0, 1, 2, 3.
    mutating func append(signed number: Int) { append(number >= 0 ? number << 1 : ~(number << 1)) }
}

/// Reads what `VarintWriter` wrote; nil for anything else, and for numbers of 2^62 and above.
struct VarintReader {
    let bytes: [UInt8]
    private(set) var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func next() -> Int? {
        var (number, shift) = (0, 0)
        while position < bytes.count, shift < 62 {
            let byte = Int(bytes[position])
            position += 1
            guard shift < 56 || byte < 0x40 else { return nil }
            number |= (byte & 0x7f) << shift
            if byte < 0x80 { return number }
            shift += 7
        }
        return nil
    }

    mutating func nextSigned() -> Int? { next().map { $0 & 1 == 0 ? $0 >> 1 : ~($0 >> 1) } }
}
