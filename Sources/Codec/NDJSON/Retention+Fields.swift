// The fields of retention's events.

extension Drover_V1_PackRemoved: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("region", &region)
    }
}

extension Drover_V1_RegionStore: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("region", &region)
        try pass.field("used_bytes", &usedBytes)
        try pass.field("free_bytes", &freeBytes)
        try pass.field("size_bytes", &sizeBytes)
    }
}

extension Drover_V1_RetentionChanged: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("kept_builds", &keptBuilds)
        try pass.field("kept_seconds", &keptSeconds)
        try pass.field("grace_seconds", &graceSeconds)
        try pass.field("full_percent", &fullPercent)
    }
}

extension Drover_V1_BuildPinned: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("reason", &reason)
    }
}

extension Drover_V1_BuildUnpinned: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.field("reason", &reason)
    }
}

extension Drover_V1_BuildRetired: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
        try pass.choice("cause", &cause)
        try pass.time("remove_after", &removeAfter)
    }
}

extension Drover_V1_ClaimsStopped: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("region", &region)
    }
}

extension Drover_V1_ClaimsResumed: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) {}
}

extension Drover_V1_LocalPackRemoved: NamedMessage {
    mutating func fields<Pass: FieldPass>(_ pass: inout Pass) throws {
        try pass.field("build", &build)
    }
}
