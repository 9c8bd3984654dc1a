import Domain
import Foundation

extension RegionEvent {
    /// The first revision of its type that can say it.
    var schemaRevision: UInt16 {
        if case .taken(.buildRetired, _) = self { 2 } else { 1 }
    }

    func encoded() throws(CodecFailure) -> EncodedEvent {
        switch self {
        case .log(let event): return try event.encoded()
        case .taken(let fact, let sequence):
            var message = Drover_V1_FactTaken()
            (message.fact, message.sequence) = (Drover_V1_GlobalFact(fact), sequence.rawValue)
            return try EventType.factTaken.seal(message, revision: schemaRevision)
        case .followed(let position):
            var message = Drover_V1_Followed()
            message.position = Drover_V1_LogPosition(position)
            return try EventType.followed.seal(message)
        case .refollowed(let position):
            var message = Drover_V1_Refollowed()
            message.position = Drover_V1_LogPosition(position)
            return try EventType.refollowed.seal(message)
        case .packStored(let build, let attempt, let manifest):
            var message = Drover_V1_LocalPackStored()
            (message.build, message.attempt) = (build.rawValue, attempt.rawValue)
            message.manifest = Data(manifest.bytes)
            return try EventType.localPackStored.seal(message)
        case .packLost(let build, let detail):
            var message = Drover_V1_LocalPackLost()
            (message.build, message.detail) = (build.rawValue, detail)
            return try EventType.localPackLost.seal(message)
        case .packRemoved(let build):
            var message = Drover_V1_LocalPackRemoved()
            message.build = build.rawValue
            return try EventType.localPackRemoved.seal(message)
        case .peerEnrolled(let peer, let labels, let endpoint):
            var message = Drover_V1_PeerEnrolled()
            (message.peer, message.labels, message.endpoint) = (peer.rawValue, pairs(labels), endpoint)
            return try EventType.peerEnrolled.seal(message)
        case .peerChanged(let peer, let app, let report):
            var message = Drover_V1_PeerChanged()
            (message.peer, message.app) = (peer.rawValue, app.rawValue)
            message.report = Drover_V1_PeerApp(report)
            return try EventType.peerChanged.seal(message)
        case .peerSilent(let peer):
            var message = Drover_V1_PeerSilent()
            message.peer = peer.rawValue
            return try EventType.peerSilent.seal(message)
        case .peerReturned(let peer):
            var message = Drover_V1_PeerReturned()
            message.peer = peer.rawValue
            return try EventType.peerReturned.seal(message)
        }
    }

    init(_ type: EventType, _ payload: [UInt8]) throws(CodecFailure) {
        switch type {
        case .factTaken:
            let message: Drover_V1_FactTaken = try type.open(payload)
            self = .taken(
                try required(message.hasFact, message.fact, "fact").value(),
                at: LogSequence(rawValue: message.sequence))
        case .followed:
            let message: Drover_V1_Followed = try type.open(payload)
            self = .followed(try required(message.hasPosition, message.position, "position").value())
        case .refollowed:
            let message: Drover_V1_Refollowed = try type.open(payload)
            self = .refollowed(try required(message.hasPosition, message.position, "position").value())
        case .localPackStored:
            let message: Drover_V1_LocalPackStored = try type.open(payload)
            self = .packStored(
                BuildID(rawValue: message.build), AttemptNumber(rawValue: message.attempt),
                manifest: try digest(message.manifest, "manifest"))
        case .localPackLost:
            let message: Drover_V1_LocalPackLost = try type.open(payload)
            self = .packLost(BuildID(rawValue: message.build), detail: message.detail)
        case .localPackRemoved:
            let message: Drover_V1_LocalPackRemoved = try type.open(payload)
            self = .packRemoved(BuildID(rawValue: message.build))
        case .peerEnrolled:
            let message: Drover_V1_PeerEnrolled = try type.open(payload)
            self = .peerEnrolled(
                try name(message.peer, "peer"), labels: try Codec.labels(message.labels, "labels"),
                endpoint: message.endpoint)
        case .peerChanged:
            let message: Drover_V1_PeerChanged = try type.open(payload)
            self = .peerChanged(
                try name(message.peer, "peer"), try name(message.app, "app"),
                try required(message.hasReport, message.report, "report").value())
        case .peerSilent:
            let message: Drover_V1_PeerSilent = try type.open(payload)
            self = .peerSilent(try name(message.peer, "peer"))
        case .peerReturned:
            let message: Drover_V1_PeerReturned = try type.open(payload)
            self = .peerReturned(try name(message.peer, "peer"))
        default: throw type.misplaced(in: "a region's own events")
        }
    }
}
