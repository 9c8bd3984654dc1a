import Domain

extension EventType {
    /// The type's message; nil for a number that this version does not know.
    var message: (any NamedMessage.Type)? {
        switch self {
        case .unspecified, .UNRECOGNIZED: nil
        case .engineStarted: Drover_V1_EngineStarted.self
        case .engineStalled: Drover_V1_EngineStalled.self
        case .clockJumped: Drover_V1_ClockJumped.self
        case .epochStarted: Drover_V1_EpochStarted.self
        case .levelRaised: Drover_V1_LevelRaised.self
        case .settingsChanged: Drover_V1_SettingsChanged.self
        case .refused: Drover_V1_Refused.self
        case .enqueueReused: Drover_V1_EnqueueReused.self
        case .stateHashed: Drover_V1_StateHashed.self
        case .backupProved: Drover_V1_BackupProved.self
        case .payloadRedacted: Drover_V1_PayloadRedacted.self
        case .jobEnqueued: Drover_V1_JobEnqueued.self
        case .jobClaimed: Drover_V1_JobClaimed.self
        case .jobHeartbeat: Drover_V1_JobHeartbeat.self
        case .packUploaded: Drover_V1_PackUploaded.self
        case .jobSucceeded: Drover_V1_JobSucceeded.self
        case .attemptFailed: Drover_V1_AttemptFailed.self
        case .attemptReleased: Drover_V1_AttemptReleased.self
        case .leaseExpired: Drover_V1_LeaseExpired.self
        case .jobRequeued: Drover_V1_JobRequeued.self
        case .cancelRequested: Drover_V1_CancelRequested.self
        case .jobFailed: Drover_V1_JobFailed.self
        case .packStored: Drover_V1_PackStored.self
        case .packLost: Drover_V1_PackLost.self
        case .deploymentWaiting: Drover_V1_DeploymentWaiting.self
        case .targetChanged: Drover_V1_TargetChanged.self
        case .regionConverged: Drover_V1_RegionConverged.self
        case .deploymentEnded: Drover_V1_DeploymentEnded.self
        case .regionJoined: Drover_V1_RegionJoined.self
        case .regionStatusChanged: Drover_V1_RegionStatusChanged.self
        case .regionLevel: Drover_V1_RegionLevelReported.self
        case .workerJoined: Drover_V1_WorkerJoined.self
        case .workerWaiting: Drover_V1_WorkerWaiting.self
        case .workerDrain: Drover_V1_WorkerDrain.self
        case .regionStore: Drover_V1_RegionStore.self
        case .packRemoved: Drover_V1_PackRemoved.self
        case .retentionChanged: Drover_V1_RetentionChanged.self
        case .buildPinned: Drover_V1_BuildPinned.self
        case .buildUnpinned: Drover_V1_BuildUnpinned.self
        case .buildRetired: Drover_V1_BuildRetired.self
        case .claimsStopped: Drover_V1_ClaimsStopped.self
        case .claimsResumed: Drover_V1_ClaimsResumed.self
        case .localPackRemoved: Drover_V1_LocalPackRemoved.self
        case .factTaken: Drover_V1_FactTaken.self
        case .followed: Drover_V1_Followed.self
        case .refollowed: Drover_V1_Refollowed.self
        case .localPackStored: Drover_V1_LocalPackStored.self
        case .localPackLost: Drover_V1_LocalPackLost.self
        case .peerEnrolled: Drover_V1_PeerEnrolled.self
        case .peerChanged: Drover_V1_PeerChanged.self
        case .peerSilent: Drover_V1_PeerSilent.self
        case .peerReturned: Drover_V1_PeerReturned.self
        }
    }

    /// The payload decoded and encoded anew: the same bytes, if this version would have written them.
    func reencoded(_ payload: [UInt8]) throws(CodecFailure) -> EncodedEvent {
        switch family {
        case .log: try LogEvent(self, payload).encoded()
        case .queue: try QueueEvent(self, payload).encoded()
        case .replication: try ReplicationEvent(self, payload).encoded()
        case .targets: try TargetsEvent(self, payload).encoded()
        case .fleet: try FleetEvent(self, payload).encoded()
        case .retention: try RetentionEvent(self, payload).encoded()
        case .region: try RegionEvent(self, payload).encoded()
        }
    }
}
