/// Who caused an event: a person, or one of the system's own roles.
package struct EventActor: Hashable, Sendable, Codable {
    package enum Kind: UInt8, Sendable, Codable, CaseIterable {
        case system = 0
        case person = 1
        case worker = 2
        case region = 3
        case peer = 4
        case projector = 5
    }

    package var kind: Kind
    /// At most `maximumNameBytes` bytes of UTF-8.
    package var name: String

    package init(kind: Kind, name: String) {
        self.kind = kind
        self.name = name
    }

    package static let system = EventActor(kind: .system, name: "engine")

    package static func person(_ name: String) -> EventActor { EventActor(kind: .person, name: name) }
    package static func worker(_ name: WorkerName) -> EventActor { EventActor(kind: .worker, name: name.rawValue) }
    package static func region(_ name: RegionName) -> EventActor { EventActor(kind: .region, name: name.rawValue) }
    package static func peer(_ name: PeerName) -> EventActor { EventActor(kind: .peer, name: name.rawValue) }
    package static func projector(_ name: String) -> EventActor { EventActor(kind: .projector, name: name) }
}

extension EventActor {
    /// Dictionaries ask for this one, as for a name's.
    package func _rawHashValue(seed: Int) -> Int {
        var hash = TableHash(seed: seed)
        hash.feed(UInt64(kind.rawValue))
        hash.feed(name)
        return Int(truncatingIfNeeded: hash.value)
    }
}

extension EventActor: LosslessStringConvertible {
    /// `kind:name`, as in `person:ada`.
    package var description: String { "\(kind.word):\(name)" }

    package init?(_ description: String) {
        let parts = description.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let kind = Kind(word: parts[0]) else { return nil }
        self.init(kind: kind, name: String(parts[1]))
    }
}

extension EventActor.Kind {
    init?(word: some StringProtocol) {
        guard let kind = Self.allCases.first(where: { $0.word == word }) else { return nil }
        self = kind
    }

    /// Spelt out: looking a case's name up costs as much as a whole decision, and every keyed command names its actor.
    fileprivate var word: String {
        switch self {
        case .system: "system"
        case .person: "person"
        case .worker: "worker"
        case .region: "region"
        case .peer: "peer"
        case .projector: "projector"
        }
    }
}
