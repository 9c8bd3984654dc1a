// The fields of the values that events share, in the order people read them.

extension Drover_V1_LogPosition: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("log", &log)
        try pass.field("epoch", &epoch)
        try pass.field("sequence", &sequence)
        try pass.field("chain", &chain)
    }
}

extension Drover_V1_Settings: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("lease_seconds", &leaseSeconds)
        try pass.field("heartbeat_seconds", &heartbeatSeconds)
        try pass.field("maximum_attempts", &maximumAttempts)
        try pass.field("job_timeout_seconds", &jobTimeoutSeconds)
        try pass.field("cancel_grace_seconds", &cancelGraceSeconds)
        try pass.field("region_silent_seconds", &regionSilentSeconds)
        try pass.field("peer_silent_seconds", &peerSilentSeconds)
        try pass.field("deployment_deadline_seconds", &deploymentDeadlineSeconds)
        try pass.field("target_lifetime_seconds", &targetLifetimeSeconds)
        try pass.field("converged_share", &convergedShare)
        try pass.field("maximum_open_jobs", &maximumOpenJobs)
    }
}

extension Drover_V1_JobRequest: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("app", &app)
        try pass.field("repository", &repository)
        try pass.field("commit", &commit)
        try pass.field("recipe_path", &recipePath)
        try pass.field("priority", &priority)
        try pass.field("forced", &forced)
    }
}

extension Drover_V1_UploadedPack: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("manifest", &manifest)
        try pass.field("region", &region)
        try pass.field("raw_bytes", &rawBytes)
        try pass.field("packed_bytes", &packedBytes)
    }
}

extension Drover_V1_ProvedBuild: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("manifest", &manifest)
    }
}

extension Drover_V1_Target: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("app", &app)
        try pass.field("scope", &scope)
        try pass.field("revision", &revision)
        try pass.field("deployment", &deployment)
        try pass.field("current", &current)
        var base = hasBase ? self.base : nil
        try pass.optional("base", &base)
        if let base { self.base = base }
        var previous = hasPrevious ? self.previous : nil
        try pass.optional("previous", &previous)
        if let previous { self.previous = previous }
        try pass.field("selector", &selector)
        try pass.field("admitted_share", &admittedShare)
        try pass.field("actor", &actor)
        try pass.field("reason", &reason)
        try pass.time("issued", &issued)
        try pass.time("expires", &expires)
    }
}

extension Drover_V1_DeployRequest: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("app", &app)
        var build = hasBuild ? self.build : nil
        try pass.optional("build", &build)
        if let build { self.build = build }
        try pass.field("scope", &scope)
        try pass.field("selector", &selector)
        try pass.field("reason", &reason)
        try pass.field("when_replicated", &whenReplicated)
        try pass.field("allow_empty", &allowEmpty)
        var expected = hasExpected ? self.expected : nil
        try pass.optional("expected", &expected)
        if let expected { self.expected = expected }
    }
}

extension Drover_V1_DeploymentOpening: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("id", &id)
        try pass.field("request", &request)
        try pass.field("build", &build)
        try pass.time("deadline", &deadline)
    }
}

extension Drover_V1_RegionLevel: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("app", &app)
        try pass.field("revision", &revision)
        try pass.field("selected", &selected)
        try pass.field("healthy", &healthy)
        try pass.field("failed", &failed)
        try pass.field("silent", &silent)
        try pass.field("detail", &detail)
    }
}

extension Drover_V1_PeerApp: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("revision", &revision)
        var build = hasBuild ? self.build : nil
        try pass.optional("build", &build)
        if let build { self.build = build }
        try pass.choice("health", &health)
        try pass.field("detail", &detail)
    }
}

extension Drover_V1_GlobalFact: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.alternative(
            "pack_uploaded", &fact, fact.flatMap { if case .packUploaded(let value) = $0 { value } else { nil } }
        ) {
            .packUploaded($0)
        }
        try pass.alternative(
            "pack_stored", &fact, fact.flatMap { if case .packStored(let value) = $0 { value } else { nil } }
        ) {
            .packStored($0)
        }
        try pass.alternative(
            "pack_lost", &fact, fact.flatMap { if case .packLost(let value) = $0 { value } else { nil } }
        ) {
            .packLost($0)
        }
        try pass.alternative(
            "job_failed", &fact, fact.flatMap { if case .jobFailed(let value) = $0 { value } else { nil } }
        ) {
            .jobFailed($0)
        }
        try pass.alternative(
            "build_retired", &fact, fact.flatMap { if case .buildRetired(let value) = $0 { value } else { nil } }
        ) {
            .buildRetired($0)
        }
        try pass.alternative("target", &fact, fact.flatMap { if case .target(let value) = $0 { value } else { nil } }) {
            .target($0)
        }
        try pass.alternative("region", &fact, fact.flatMap { if case .region(let value) = $0 { value } else { nil } }) {
            .region($0)
        }
        try pass.alternative(
            "settings", &fact, fact.flatMap { if case .settings(let value) = $0 { value } else { nil } }
        ) {
            .settings($0)
        }
    }
}

extension Drover_V1_GlobalFact.Uploaded: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("app", &app)
        try pass.field("attempt", &attempt)
        try pass.field("pack", &pack)
    }
}

extension Drover_V1_GlobalFact.Stored: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("app", &app)
        try pass.field("attempt", &attempt)
        try pass.field("pack", &pack)
        try pass.field("region", &region)
    }
}

extension Drover_V1_GlobalFact.Lost: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("region", &region)
    }
}

extension Drover_V1_GlobalFact.Failed: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("job", &job)
    }
}

extension Drover_V1_GlobalFact.Retired: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.time("remove_after", &removeAfter)
    }
}

extension Drover_V1_GlobalFact.Region: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("region", &region)
        try pass.field("endpoint", &endpoint)
        try pass.choice("status", &status)
    }
}
