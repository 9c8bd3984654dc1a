/// Stable codes of refusals, the same in the log, in problem documents and in `--json`.
package enum RefusalCode: String, Hashable, Sendable, Codable, CaseIterable {
    // Any command
    case invalid
    case tooLarge = "too-large"
    case keyReused = "key-reused"
    case limitReached = "limit-reached"
    case notLeader = "not-leader"
    case levelTooLow = "level-too-low"

    // Queue
    case unknownJob = "unknown-job"
    case jobEnded = "job-ended"
    case staleAttempt = "stale-attempt"
    case leaseNotOver = "lease-not-over"
    case artifactMismatch = "artifact-mismatch"

    // Fleet
    case unknownWorker = "unknown-worker"
    case workerDraining = "worker-draining"
    case unknownRegion = "unknown-region"
    case regionRemoved = "region-removed"
    case regionSuspended = "region-suspended"
    case unknownPeer = "unknown-peer"

    // Retention
    case buildKept = "build-kept"
    case buildRetired = "build-retired"
    case storeFull = "store-full"

    // Targets
    case unknownBuild = "unknown-build"
    case buildGone = "build-gone"
    case notReplicated = "not-replicated"
    case noRegion = "no-region"
    case appLocked = "app-locked"
    case revisionConflict = "revision-conflict"
    case noPrevious = "no-previous"
    case alreadyTarget = "already-target"
    case unknownDeployment = "unknown-deployment"
    case deploymentEnded = "deployment-ended"

    // Region
    case forked
    case outOfOrder = "out-of-order"
}
