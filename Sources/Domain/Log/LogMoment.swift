/// A moment of a log as people name it. Its text form is a sequence, or an RFC 3339 time.
package enum LogMoment: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    /// 0 is the log's start, before its first event.
    case sequence(LogSequence)
    /// The last event at or before it is meant.
    case time(Timestamp)

    package init?(_ description: String) {
        if let sequence = LogSequence(description) {
            self = .sequence(sequence)
        } else if let time = Timestamp(rfc3339: description) {
            self = .time(time)
        } else {
            return nil
        }
    }

    package var description: String {
        switch self {
        case .sequence(let sequence): sequence.description
        case .time(let time): time.rfc3339
        }
    }
}

/// A sequence is a number, a time is a text.
extension LogMoment: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let sequence = try? container.decode(LogSequence.self) {
            self = .sequence(sequence)
        } else if let time = (try? container.decode(String.self)).flatMap({ Timestamp(rfc3339: $0) }) {
            self = .time(time)
        } else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "neither a sequence nor an RFC 3339 time"))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .sequence(let sequence): try container.encode(sequence)
        case .time(let time): try container.encode(time.rfc3339)
        }
    }
}

/// Where a time lies in a log.
package struct TimePlace: Hashable, Sendable {
    /// The last event at or before the time; nil when all are later, or there are none.
    package var sequence: LogSequence?
    /// The times of the first and the last event; nil when there are none.
    package var first: Timestamp?
    package var last: Timestamp?

    package init(sequence: LogSequence?, first: Timestamp?, last: Timestamp?) {
        (self.sequence, self.first, self.last) = (sequence, first, last)
    }
}
