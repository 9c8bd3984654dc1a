package import Domain

/// What a segment is of, and so what it is called: `LOG-FIRST-LAST-EPOCH-CHAIN.segment`. The chain's hash covers every
/// event up to the segment's end, so two segments of one name hold the same events.
package struct SegmentName: Hashable, Sendable {
    package static let suffix = ".segment"

    package var first: LogSequence
    /// The end of the segment's last batch.
    package var end: LogPosition

    package var log: LogIdentity { end.log }
    package var last: LogSequence { end.sequence }

    package init(first: LogSequence, end: LogPosition) {
        (self.first, self.end) = (first, end)
    }

    /// Nil unless the text is exactly a segment's name.
    package init?(_ text: some StringProtocol) {
        guard text.hasSuffix(Self.suffix) else { return nil }
        let parts = text.dropLast(Self.suffix.count).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 5, let log = LogIdentity(hex: parts[0]), let first = plainDecimal(parts[1]),
            let last = plainDecimal(parts[2]), let epoch = plainDecimal(parts[3]), let chain = Digest(hex: parts[4]),
            first >= 1, first <= last
        else { return nil }
        let end = LogPosition(
            log: log, epoch: Epoch(rawValue: epoch), sequence: LogSequence(rawValue: last), chain: chain)
        self.init(first: LogSequence(rawValue: first), end: end)
        guard description == text else { return nil }
    }

    /// Twenty digits, so that names of one log sort as its events do.
    static func padded(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 20 - digits.count) + digits
    }
}

extension SegmentName: CustomStringConvertible {
    package var description: String {
        "\(log)-\(Self.padded(first.rawValue))-\(Self.padded(last.rawValue))-\(end.epoch)-\(end.chain)\(Self.suffix)"
    }
}
