// The fields of every event, in the order people read them.

extension Drover_V1_EngineStarted: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("version", &version)
        try pass.field("level", &level)
    }
}

extension Drover_V1_EngineStalled: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("milliseconds", &milliseconds)
    }
}

extension Drover_V1_ClockJumped: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("milliseconds", &milliseconds)
    }
}

extension Drover_V1_EpochStarted: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("epoch", &epoch)
        try pass.field("reason", &reason)
    }
}

extension Drover_V1_LevelRaised: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("level", &level)
    }
}

extension Drover_V1_SettingsChanged: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("settings", &settings)
    }
}

extension Drover_V1_Refused: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("attempt", &attempt)
        try pass.field("command", &command)
        try pass.field("code", &code)
        try pass.field("count", &count)
    }
}

extension Drover_V1_StateHashed: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("at", &at)
        try pass.field("fingerprint", &fingerprint)
        try pass.field("digest", &digest)
    }
}

extension Drover_V1_BackupProved: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("at", &at)
        try pass.field("fingerprint", &fingerprint)
        try pass.field("digest", &digest)
        try pass.field("milliseconds", &milliseconds)
    }
}

extension Drover_V1_PayloadRedacted: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("at", &at)
        try pass.field("payload", &payload)
        try pass.field("substitute", &substitute)
        try pass.field("reason", &reason)
    }
}

extension Drover_V1_EnqueueReused: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("request", &request)
    }
}

extension Drover_V1_JobEnqueued: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("request", &request)
    }
}

extension Drover_V1_JobClaimed: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("attempt", &attempt)
        try pass.field("worker", &worker)
        try pass.field("lease_seconds", &leaseSeconds)
    }
}

extension Drover_V1_JobHeartbeat: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("attempt", &attempt)
        try pass.field("counter", &counter)
        try pass.choice("stage", &stage)
    }
}

extension Drover_V1_PackUploaded: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("attempt", &attempt)
        try pass.field("pack", &pack)
    }
}

extension Drover_V1_JobSucceeded: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("attempt", &attempt)
    }
}

extension Drover_V1_AttemptFailed: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("attempt", &attempt)
        try pass.choice("reason", &reason)
        try pass.field("detail", &detail)
    }
}

extension Drover_V1_AttemptReleased: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("attempt", &attempt)
        try pass.field("detail", &detail)
    }
}

extension Drover_V1_LeaseExpired: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("attempt", &attempt)
    }
}

extension Drover_V1_JobRequeued: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
    }
}

extension Drover_V1_CancelRequested: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.field("reason", &reason)
    }
}

extension Drover_V1_JobFailed: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
        try pass.choice("reason", &reason)
        try pass.field("detail", &detail)
    }
}

extension Drover_V1_PackStored: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("attempt", &attempt)
        try pass.field("region", &region)
        try pass.field("manifest", &manifest)
    }
}

extension Drover_V1_PackLost: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("region", &region)
        try pass.field("detail", &detail)
    }
}

extension Drover_V1_DeploymentWaiting: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("opening", &opening)
    }
}

extension Drover_V1_TargetChanged: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("target", &target)
        try pass.choice("origin", &origin)
        var opening = hasOpening ? self.opening : nil
        try pass.optional("opening", &opening)
        if let opening { self.opening = opening }
    }
}

extension Drover_V1_RegionConverged: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("deployment", &deployment)
        try pass.field("region", &region)
    }
}

extension Drover_V1_DeploymentEnded: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("deployment", &deployment)
        try pass.field("app", &app)
        try pass.choice("status", &status)
        try pass.field("detail", &detail)
    }
}

extension Drover_V1_RegionJoined: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("region", &region)
        try pass.field("endpoint", &endpoint)
    }
}

extension Drover_V1_RegionStatusChanged: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("region", &region)
        try pass.choice("status", &status)
        try pass.alternative(
            "silence", &change, change.flatMap { if case .silence(let value) = $0 { value } else { nil } }
        ) {
            .silence($0)
        }
        try pass.alternative(
            "report", &change, change.flatMap { if case .report(let value) = $0 { value } else { nil } }
        ) {
            .report($0)
        }
        try pass.alternative(
            "request", &change, change.flatMap { if case .request(let value) = $0 { value } else { nil } }
        ) {
            .request($0)
        }
    }
}

extension Drover_V1_RegionStatusChanged.Silence: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) {}
}

extension Drover_V1_RegionStatusChanged.Report: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) {}
}

extension Drover_V1_RegionStatusChanged.Request: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("reason", &reason)
    }
}

extension Drover_V1_RegionLevelReported: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("region", &region)
        try pass.field("level", &level)
    }
}

extension Drover_V1_WorkerJoined: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("worker", &worker)
        try pass.field("region", &region)
    }
}

extension Drover_V1_WorkerWaiting: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("worker", &worker)
    }
}

extension Drover_V1_WorkerDrain: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("worker", &worker)
        try pass.field("draining", &draining)
    }
}

extension Drover_V1_FactTaken: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("sequence", &sequence)
        try pass.field("fact", &fact)
    }
}

extension Drover_V1_Followed: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("position", &position)
    }
}

extension Drover_V1_Refollowed: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("position", &position)
    }
}

extension Drover_V1_LocalPackStored: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("attempt", &attempt)
        try pass.field("manifest", &manifest)
    }
}

extension Drover_V1_LocalPackLost: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("detail", &detail)
    }
}

extension Drover_V1_PeerEnrolled: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("peer", &peer)
        try pass.field("labels", &labels)
        try pass.field("endpoint", &endpoint)
    }
}

extension Drover_V1_PeerChanged: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("peer", &peer)
        try pass.field("app", &app)
        try pass.field("report", &report)
    }
}

extension Drover_V1_PeerSilent: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("peer", &peer)
    }
}

extension Drover_V1_PeerReturned: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("peer", &peer)
    }
}
