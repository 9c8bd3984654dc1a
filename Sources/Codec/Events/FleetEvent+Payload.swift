import Domain

extension FleetEvent {
    func encoded() throws(CodecFailure) -> EncodedEvent {
        switch self {
        case .regionJoined(let region, let endpoint):
            var message = Drover_V1_RegionJoined()
            (message.region, message.endpoint) = (region.rawValue, endpoint)
            return try EventType.regionJoined.seal(message)
        case .regionStatusChanged(let region, let status, let change):
            var message = Drover_V1_RegionStatusChanged()
            (message.region, message.status) = (region.rawValue, Drover_V1_RegionStatus(status))
            message.change = Drover_V1_RegionStatusChanged.OneOf_Change(change)
            return try EventType.regionStatusChanged.seal(message)
        case .regionLevel(let region, let level):
            var message = Drover_V1_RegionLevelReported()
            (message.region, message.level) = (region.rawValue, Drover_V1_RegionLevel(level))
            return try EventType.regionLevel.seal(message)
        case .regionStore(let region, let store):
            var message = Drover_V1_RegionStore()
            message.region = region.rawValue
            (message.usedBytes, message.freeBytes) = (store.usedBytes, store.freeBytes)
            message.sizeBytes = store.sizeBytes
            return try EventType.regionStore.seal(message)
        case .workerJoined(let worker, let region):
            var message = Drover_V1_WorkerJoined()
            (message.worker, message.region) = (worker.rawValue, region.rawValue)
            return try EventType.workerJoined.seal(message)
        case .workerWaiting(let worker):
            var message = Drover_V1_WorkerWaiting()
            message.worker = worker.rawValue
            return try EventType.workerWaiting.seal(message)
        case .workerDrain(let worker, let isDraining):
            var message = Drover_V1_WorkerDrain()
            (message.worker, message.draining) = (worker.rawValue, isDraining)
            return try EventType.workerDrain.seal(message)
        }
    }

    init(_ type: EventType, _ payload: [UInt8]) throws(CodecFailure) {
        switch type {
        case .regionJoined:
            let message: Drover_V1_RegionJoined = try type.open(payload)
            self = .regionJoined(try name(message.region, "region"), endpoint: message.endpoint)
        case .regionStatusChanged:
            let message: Drover_V1_RegionStatusChanged = try type.open(payload)
            guard let change = message.change else { throw .malformed("change", "is missing") }
            self = .regionStatusChanged(
                try name(message.region, "region"), try message.status.value("status"), try change.value())
        case .regionLevel:
            let message: Drover_V1_RegionLevelReported = try type.open(payload)
            self = .regionLevel(
                try name(message.region, "region"), try required(message.hasLevel, message.level, "level").value())
        case .regionStore:
            let message: Drover_V1_RegionStore = try type.open(payload)
            self = .regionStore(
                try name(message.region, "region"),
                StoreLevel(
                    usedBytes: message.usedBytes, freeBytes: message.freeBytes, sizeBytes: message.sizeBytes))
        case .workerJoined:
            let message: Drover_V1_WorkerJoined = try type.open(payload)
            self = .workerJoined(try name(message.worker, "worker"), region: try name(message.region, "region"))
        case .workerWaiting:
            let message: Drover_V1_WorkerWaiting = try type.open(payload)
            self = .workerWaiting(try name(message.worker, "worker"))
        case .workerDrain:
            let message: Drover_V1_WorkerDrain = try type.open(payload)
            self = .workerDrain(try name(message.worker, "worker"), isDraining: message.draining)
        default: throw type.misplaced(in: "the fleet")
        }
    }
}

extension Drover_V1_RegionStatusChanged.OneOf_Change {
    init(_ value: RegionChange) {
        switch value {
        case .silence: self = .silence(.init())
        case .report: self = .report(.init())
        case .request(let reason):
            var message = Drover_V1_RegionStatusChanged.Request()
            message.reason = reason
            self = .request(message)
        }
    }

    func value() throws(CodecFailure) -> RegionChange {
        switch self {
        case .silence(let message):
            try message.checkFields("silence")
            return .silence
        case .report(let message):
            try message.checkFields("report")
            return .report
        case .request(let message):
            try message.checkFields("request")
            return .request(reason: message.reason)
        }
    }
}
