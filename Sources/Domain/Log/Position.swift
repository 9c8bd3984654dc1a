/// A log's 128-bit identity, given once at creation. Its text form is 32 lowercase hexadecimal digits.
package struct LogIdentity: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package init?(hex: some StringProtocol) {
        guard let bytes = bytesFromHex(hex), bytes.count == 16 else { return nil }
        high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
    }

    package var hex: String {
        hexadecimal([high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } })
    }
}

extension LogIdentity: CustomStringConvertible {
    package var description: String { hex }
}

extension LogIdentity: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let identity = LogIdentity(hex: text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a log identity: \(text)"))
        }
        self = identity
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(hex)
    }
}

/// A fact's place in its log. The first is 1; 0 means "before the first".
package struct LogSequence: NumericIdentifier {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package static let zero = LogSequence(rawValue: 0)
    package var next: LogSequence { LogSequence(rawValue: following(rawValue)) }
}

/// Grows at every restore, promotion and change of leader. The first is 1.
package struct Epoch: NumericIdentifier {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package static let first = Epoch(rawValue: 1)
    package var next: Epoch { Epoch(rawValue: following(rawValue)) }
}

/// A place in a log that can be proved: always the end of a batch, with the hash of the chain up to it.
package struct LogPosition: Hashable, Sendable, Codable {
    package var log: LogIdentity
    package var epoch: Epoch
    package var sequence: LogSequence
    package var chain: Digest

    package init(log: LogIdentity, epoch: Epoch, sequence: LogSequence, chain: Digest) {
        (self.log, self.epoch, self.sequence, self.chain) = (log, epoch, sequence, chain)
    }

    /// Before the first batch of a log.
    package static func start(of log: LogIdentity) -> LogPosition {
        LogPosition(log: log, epoch: .first, sequence: .zero, chain: .zero)
    }
}
