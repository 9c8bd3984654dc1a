/// A target's version: the pair (epoch, number), compared in that order. It only grows; every reader refuses a
/// smaller one. Its text form is `EPOCH.NUMBER`.
package struct Revision: Hashable, Comparable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    package var epoch: Epoch
    package var number: UInt64

    package static let zero = Revision(epoch: Epoch(rawValue: 0), number: 0)

    package init(epoch: Epoch, number: UInt64) {
        self.epoch = epoch
        self.number = number
    }

    package init?(_ description: String) {
        let parts = description.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let epoch = plainDecimal(parts[0]), let number = plainDecimal(parts[1]) else {
            return nil
        }
        self.init(epoch: Epoch(rawValue: epoch), number: number)
    }

    package var description: String { "\(epoch).\(number)" }

    package static func < (left: Revision, right: Revision) -> Bool {
        (left.epoch, left.number) < (right.epoch, right.number)
    }
}

extension Revision: Codable, CodingKeyRepresentable {
    package var codingKey: any CodingKey { TextCodingKey(text: description) }

    package init?(codingKey: some CodingKey) { self.init(codingKey.stringValue) }

    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let revision = Revision(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a revision: \(text)"))
        }
        self = revision
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// Which machines a target is for: every region, or one. Its text form is `global` or `region/NAME`.
package enum TargetScope: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    case global
    case region(RegionName)

    package init?(_ description: String) {
        if description == "global" {
            self = .global
        } else if description.hasPrefix("region/"), let name = RegionName(rawValue: String(description.dropFirst(7))) {
            self = .region(name)
        } else {
            return nil
        }
    }

    package var description: String {
        switch self {
        case .global: "global"
        case .region(let name): "region/\(name)"
        }
    }

    /// Whether machines of the region are meant.
    package func includes(_ region: RegionName) -> Bool {
        switch self {
        case .global: true
        case .region(let name): name == region
        }
    }
}

extension TargetScope: Codable, CodingKeyRepresentable {
    package var codingKey: any CodingKey { TextCodingKey(text: description) }

    package init?(codingKey: some CodingKey) { self.init(codingKey.stringValue) }

    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let scope = TargetScope(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a scope: \(text)"))
        }
        self = scope
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// Peer labels that must all be there, with these values. Empty selects every peer.
package struct PeerSelector: Hashable, Sendable, Codable {
    package var labels: [String: String]

    package static let all = PeerSelector(labels: [:])
    package static let maximumLabels = 8

    package init(labels: [String: String]) { self.labels = labels }

    package var selectsAll: Bool { labels.isEmpty }

    package func matches(_ peerLabels: [String: String]) -> Bool {
        labels.allSatisfy { peerLabels[$0.key] == $0.value }
    }

    /// Nil when names and values are plain and few.
    package var problem: Refusal? {
        guard labels.count <= Self.maximumLabels else {
            return Refusal(.tooLarge, "a selector has at most \(Self.maximumLabels) labels")
        }
        guard labels.allSatisfy({ isPlainName($0.key) && isPlainName($0.value) }) else {
            return Refusal(.invalid, "labels and their values are 1 to 63 of a-z 0-9 . _ -")
        }
        return nil
    }
}
