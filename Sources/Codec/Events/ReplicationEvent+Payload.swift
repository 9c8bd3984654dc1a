import Domain
import Foundation

extension ReplicationEvent {
    func encoded() throws(CodecFailure) -> EncodedEvent {
        switch self {
        case .packStored(let build, let attempt, let region, let manifest):
            var message = Drover_V1_PackStored()
            (message.build, message.attempt) = (build.rawValue, attempt.rawValue)
            (message.region, message.manifest) = (region.rawValue, Data(manifest.bytes))
            return try EventType.packStored.seal(message)
        case .packLost(let build, let region, let detail):
            var message = Drover_V1_PackLost()
            (message.build, message.region, message.detail) = (build.rawValue, region.rawValue, detail)
            return try EventType.packLost.seal(message)
        case .packRemoved(let build, let region):
            var message = Drover_V1_PackRemoved()
            (message.build, message.region) = (build.rawValue, region.rawValue)
            return try EventType.packRemoved.seal(message)
        }
    }

    init(_ type: EventType, _ payload: [UInt8]) throws(CodecFailure) {
        switch type {
        case .packStored:
            let message: Drover_V1_PackStored = try type.open(payload)
            self = .packStored(
                BuildID(rawValue: message.build), AttemptNumber(rawValue: message.attempt),
                region: try name(message.region, "region"), manifest: try digest(message.manifest, "manifest"))
        case .packLost:
            let message: Drover_V1_PackLost = try type.open(payload)
            self = .packLost(
                BuildID(rawValue: message.build), region: try name(message.region, "region"), detail: message.detail)
        case .packRemoved:
            let message: Drover_V1_PackRemoved = try type.open(payload)
            self = .packRemoved(BuildID(rawValue: message.build), region: try name(message.region, "region"))
        default: throw type.misplaced(in: "replication")
        }
    }
}
