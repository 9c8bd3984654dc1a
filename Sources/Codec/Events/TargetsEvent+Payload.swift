import Domain

extension TargetsEvent {
    func encoded() throws(CodecFailure) -> EncodedEvent {
        switch self {
        case .deploymentWaiting(let opening):
            var message = Drover_V1_DeploymentWaiting()
            message.opening = Drover_V1_DeploymentOpening(opening)
            return try EventType.deploymentWaiting.seal(message)
        case .targetChanged(let target, let origin, let opening):
            var message = Drover_V1_TargetChanged()
            message.target = Drover_V1_Target(target)
            message.origin = Drover_V1_TargetOrigin(origin)
            if let opening { message.opening = Drover_V1_DeploymentOpening(opening) }
            return try EventType.targetChanged.seal(message)
        case .regionConverged(let deployment, let region):
            var message = Drover_V1_RegionConverged()
            (message.deployment, message.region) = (Drover_V1_Revision(deployment), region.rawValue)
            return try EventType.regionConverged.seal(message)
        case .deploymentEnded(let deployment, let app, let status, let detail):
            var message = Drover_V1_DeploymentEnded()
            (message.deployment, message.app) = (Drover_V1_Revision(deployment), app.rawValue)
            (message.status, message.detail) = (Drover_V1_DeploymentStatus(status), detail)
            return try EventType.deploymentEnded.seal(message)
        }
    }

    init(_ type: EventType, _ payload: [UInt8]) throws(CodecFailure) {
        switch type {
        case .deploymentWaiting:
            let message: Drover_V1_DeploymentWaiting = try type.open(payload)
            self = .deploymentWaiting(try required(message.hasOpening, message.opening, "opening").value())
        case .targetChanged:
            let message: Drover_V1_TargetChanged = try type.open(payload)
            self = .targetChanged(
                try required(message.hasTarget, message.target, "target").value(), try message.origin.value("origin"),
                opening: message.hasOpening ? try required(true, message.opening, "opening").value() : nil)
        case .regionConverged:
            let message: Drover_V1_RegionConverged = try type.open(payload)
            self = .regionConverged(
                try required(message.hasDeployment, message.deployment, "deployment").value,
                try name(message.region, "region"))
        case .deploymentEnded:
            let message: Drover_V1_DeploymentEnded = try type.open(payload)
            self = .deploymentEnded(
                try required(message.hasDeployment, message.deployment, "deployment").value,
                try name(message.app, "app"), try message.status.value("status"), detail: message.detail)
        default: throw type.misplaced(in: "the targets")
        }
    }
}
