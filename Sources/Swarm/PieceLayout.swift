/// How a pack's bytes are cut in pieces.
package struct PieceLayout: Hashable, Sendable {
    package let pieceBytes: UInt64
    package let totalBytes: UInt64
    package let pieceCount: Int

    /// Nil for pieces without bytes, and for more pieces than `maximumPieces`.
    package init?(pieceBytes: UInt64, totalBytes: UInt64) {
        guard pieceBytes > 0, totalBytes / pieceBytes < Self.maximumPieces else { return nil }
        (self.pieceBytes, self.totalBytes) = (pieceBytes, totalBytes)
        pieceCount = Int(totalBytes / pieceBytes) + (totalBytes.isMultiple(of: pieceBytes) ? 0 : 1)
    }

    package static let maximumPieces: UInt64 = 1 << 20

    /// Where a piece stands. `piece` is one of `0..<pieceCount`.
    package func range(of piece: Int) -> Range<UInt64> {
        precondition(piece >= 0 && piece < pieceCount)
        let start = UInt64(piece) * pieceBytes
        return start..<(start + min(pieceBytes, totalBytes - start))
    }

    package func bytes(of piece: Int) -> UInt64 {
        let range = range(of: piece)
        return range.upperBound - range.lowerBound
    }

    /// The pieces a range touches; empty for an empty range.
    package func pieces(touchedBy range: Range<UInt64>) -> Range<Int> {
        let range = range.clamped(to: 0..<totalBytes)
        guard !range.isEmpty else { return 0..<0 }
        return Int(range.lowerBound / pieceBytes)..<(Int((range.upperBound - 1) / pieceBytes) + 1)
    }

    /// The pieces a range holds whole.
    package func pieces(within range: Range<UInt64>) -> Range<Int> {
        let touched = pieces(touchedBy: range)
        var (first, end) = (touched.lowerBound, touched.upperBound)
        if first < end, self.range(of: first).lowerBound < range.lowerBound { first += 1 }
        if first < end, self.range(of: end - 1).upperBound > range.upperBound { end -= 1 }
        return first..<end
    }
}
