/// One change of a file behind its owner's back.
package enum Damage: Hashable, Sendable, Codable {
    case flip(bit: Int)
    case cut(to: Int)
    /// A sector that was lost.
    case zeros(at: Int, count: Int)
    /// A sector that was written to another's place.
    case misplaced(from: Int, to: Int, count: Int)
    /// Another payload in a frame, with a checksum that fits: the frame's number, from 0.
    case forged(frame: Int)

    /// The damage of a number, to a file of so many bytes that holds so many frames. Most are flips of one bit.
    package static func drawn(_ index: Int, seed: UInt64, fileBytes: Int, frames: Int) -> Damage {
        var numbers = SeededNumbers(seed: seed, at: UInt64(index), 0)
        let size = numbers.once(in: 2) ? 512 : 4096
        let sectors = max(1, fileBytes / size)
        switch numbers.below(20) {
        case 0: return .cut(to: numbers.below(fileBytes))
        case 1: return .zeros(at: numbers.below(sectors) * size, count: size)
        case 2:
            return .misplaced(from: numbers.below(sectors) * size, to: numbers.below(sectors) * size, count: size)
        case 3: return .forged(frame: numbers.below(max(1, frames)))
        case _: return .flip(bit: numbers.below(fileBytes * 8))
        }
    }

    /// Leaves the bytes as they are where it is a frame that is forged.
    package func apply(to bytes: inout [UInt8]) {
        switch self {
        case .flip(let bit): bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        case .cut(let length): bytes.removeLast(bytes.count - length)
        case .zeros(let place, let count):
            let range = place..<Swift.min(place + count, bytes.count)
            bytes.replaceSubrange(range, with: repeatElement(0, count: range.count))
        case .misplaced(let from, let to, let count):
            // A file shorter than a sector has but one.
            let count = Swift.min(count, bytes.count - Swift.max(from, to))
            let sector = Array(bytes[from..<from + count])
            bytes.replaceSubrange(to..<to + count, with: sector)
        case .forged: break
        }
    }
}
