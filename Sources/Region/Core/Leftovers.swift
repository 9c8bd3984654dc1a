package import Domain

/// What may be dropped of a build's attempts. An attempt that is newer than the pack's may be uploading, until the job has
/// succeeded; of a build that is not known any more, or that was removed, nothing is kept.
package func isLeftover(_ attempt: AttemptNumber, of pack: RegionPack?) -> Bool {
    guard let pack, pack.phase != .removed else { return true }
    return attempt < pack.attempt || (pack.isSettled && attempt > pack.attempt)
}

/// What only another branch of the global log knew: the numbers of these jobs are given again.
package struct OtherBranch: Sendable {
    /// Known since a later position than the common one.
    package let packs: [BuildID: RegionPack]
    private let newest: JobID

    package init(_ state: RegionState, after common: LogSequence) {
        packs = state.packs.filter { $0.value.since > common }
        // Few of the old positions are remembered; what was known by then of packs says more.
        let known = state.packs.filter { $0.value.since <= common }.keys.max()
        newest = max(state.followed.newestJob(upTo: common), known ?? JobID(rawValue: 0))
    }

    /// Whether only it can have had this job's packs.
    package func hasPacks(of job: JobID) -> Bool { hasOutput(of: job) || packs[job] != nil }

    package func hasOutput(of job: JobID) -> Bool { job > newest }
}

extension GlobalFact {
    /// The build whose other attempts are over by this fact, or that is over itself.
    package var namedBuild: BuildID? {
        switch self {
        case .packUploaded(let build, _, _, _), .packStored(let build, _, _, _, _), .jobFailed(let build): build
        case .packLost, .buildRetired, .target, .region, .settings: nil
        }
    }
}

/// What a region makes of a pack that should be in its store and is not, or not as its manifest says.
package enum UnsoundPack: Hashable, Sendable {
    /// Its job has succeeded: a copy was lost. The log says so, and it is fetched again.
    case lost
    /// Its job waits for it: the attempt has failed.
    case failedAttempt
    /// Nobody waits for it any more: the build is not known here, or by another attempt's pack.
    case forgotten

    package init(_ attempt: AttemptNumber, of pack: RegionPack?) {
        if let pack, pack.attempt == attempt {
            self = pack.isSettled ? .lost : .failedAttempt
        } else {
            self = .forgotten
        }
    }
}
