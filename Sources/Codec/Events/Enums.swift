import Domain

extension Drover_V1_FailureReason: WireEnum {
    init(_ value: FailureReason) {
        self =
            switch value {
            case .exit: .exit
            case .timeout: .timeout
            case .lost: .lost
            case .cancelled: .cancelled
            case .artifact: .artifact
            case .recipe: .recipe
            case .snapshot: .snapshot
            }
    }

    var value: FailureReason? {
        switch self {
        case .exit: .exit
        case .timeout: .timeout
        case .lost: .lost
        case .cancelled: .cancelled
        case .artifact: .artifact
        case .recipe: .recipe
        case .snapshot: .snapshot
        case .unspecified, .UNRECOGNIZED: nil
        }
    }
}

extension Drover_V1_AttemptStage: WireEnum {
    init(_ value: AttemptStage) {
        self =
            switch value {
            case .snapshot: .snapshot
            case .build: .build
            case .pack: .pack
            case .upload: .upload
            case .verify: .verify
            }
    }

    var value: AttemptStage? {
        switch self {
        case .snapshot: .snapshot
        case .build: .build
        case .pack: .pack
        case .upload: .upload
        case .verify: .verify
        case .unspecified, .UNRECOGNIZED: nil
        }
    }
}

extension Drover_V1_TargetOrigin: WireEnum {
    init(_ value: TargetOrigin) {
        self =
            switch value {
            case .deploy: .deploy
            case .rollback: .rollback
            case .waitingOver: .waitingOver
            case .reissue: .reissue
            }
    }

    var value: TargetOrigin? {
        switch self {
        case .deploy: .deploy
        case .rollback: .rollback
        case .waitingOver: .waitingOver
        case .reissue: .reissue
        case .unspecified, .UNRECOGNIZED: nil
        }
    }
}

extension Drover_V1_DeploymentStatus: WireEnum {
    init(_ value: DeploymentStatus) {
        self =
            switch value {
            case .waiting: .waiting
            case .running: .running
            case .succeeded: .succeeded
            case .failed: .failed
            case .superseded: .superseded
            }
    }

    var value: DeploymentStatus? {
        switch self {
        case .waiting: .waiting
        case .running: .running
        case .succeeded: .succeeded
        case .failed: .failed
        case .superseded: .superseded
        case .unspecified, .UNRECOGNIZED: nil
        }
    }
}

extension Drover_V1_RegionStatus: WireEnum {
    init(_ value: RegionStatus) {
        self =
            switch value {
            case .live: .live
            case .silent: .silent
            case .suspended: .suspended
            case .removed: .removed
            }
    }

    var value: RegionStatus? {
        switch self {
        case .live: .live
        case .silent: .silent
        case .suspended: .suspended
        case .removed: .removed
        case .unspecified, .UNRECOGNIZED: nil
        }
    }
}

extension Drover_V1_PeerHealth: WireEnum {
    init(_ value: PeerHealth) {
        self =
            switch value {
            case .idle: .idle
            case .fetching: .fetching
            case .starting: .starting
            case .healthy: .healthy
            case .failed: .failed
            case .stale: .stale
            }
    }

    var value: PeerHealth? {
        switch self {
        case .idle: .idle
        case .fetching: .fetching
        case .starting: .starting
        case .healthy: .healthy
        case .failed: .failed
        case .stale: .stale
        case .unspecified, .UNRECOGNIZED: nil
        }
    }
}

extension Drover_V1_RetirementCause: WireEnum {
    init(_ value: RetirementCause) {
        self =
            switch value {
            case .unused: .unused
            case .space: .space
            }
    }

    var value: RetirementCause? {
        switch self {
        case .unused: .unused
        case .space: .space
        case .unspecified, .UNRECOGNIZED: nil
        }
    }
}

extension Drover_V1_ActorKind {
    init(_ value: EventActor.Kind) {
        self =
            switch value {
            case .system: .system
            case .person: .person
            case .worker: .worker
            case .region: .region
            case .peer: .peer
            case .projector: .projector
            }
    }

    var value: EventActor.Kind? {
        switch self {
        case .system: .system
        case .person: .person
        case .worker: .worker
        case .region: .region
        case .peer: .peer
        case .projector: .projector
        case .unspecified, .UNRECOGNIZED: nil
        }
    }
}
