internal import Domain
internal import Foundation
internal import Packs
internal import Swarm

/// Which pieces a partial file holds, as the file beside it says.
///
/// Bytes: `drover-pieces-1\n`, the pack's Merkle root (32), the boot id (36 characters of
/// `/proc/sys/kernel/random/boot_id`, or spaces), the set's wire form, SHA-256 over all before (32).
///
/// It is written after each piece, without a flush: what the kernel has survives the end of this process, even a kill
/// at any moment. A crash of the machine may lose or tear either file; then the boot id is another one (or the
/// checksum wrong) and every piece is hashed again before it is believed.
struct PieceMap: Hashable {
    var root: Digest
    var bootID: String
    var pieces: PieceSet

    private static let magic = Array("drover-pieces-1\n".utf8)
    static let bootIDBytes = 36

    var bytes: [UInt8] {
        let boot = Array(bootID.utf8.prefix(Self.bootIDBytes))
        let padding = [UInt8](repeating: UInt8(ascii: " "), count: Self.bootIDBytes - boot.count)
        let body = Self.magic + root.bytes + boot + padding + pieces.bytes
        return body + ContentHasher.digest(body).bytes
    }

    /// One more than a map of a pack of so many pieces has: a longer one is none.
    static func maximumBytes(pieceCount: Int) -> Int { magic.count + 32 + bootIDBytes + (pieceCount + 7) / 8 + 32 + 1 }

    /// Nil for anything but a whole map of a pack of so many pieces.
    static func parse(_ bytes: [UInt8], pieceCount: Int) -> PieceMap? {
        let head = magic.count + 32 + bootIDBytes
        guard bytes.count == head + (pieceCount + 7) / 8 + 32, bytes.starts(with: magic),
            Digest(bytes: bytes.suffix(32)) == ContentHasher.digest(bytes.dropLast(32)),
            let root = Digest(bytes: bytes[magic.count..<(magic.count + 32)]),
            let pieces = PieceSet(bytes: bytes[head..<(bytes.count - 32)], pieceCount: pieceCount)
        else { return nil }
        let boot = String(decoding: bytes[(magic.count + 32)..<head], as: UTF8.self)
        return PieceMap(root: root, bootID: String(boot.prefix { $0 != " " }), pieces: pieces)
    }

    /// This start of the machine; empty where it cannot be told.
    static func currentBootID() -> String {
        let text = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        return text?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
    }
}
