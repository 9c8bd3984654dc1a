package import Domain

package struct BuildBody: Hashable, Sendable, Codable {
    package var id: BuildID
    /// Its store key, `APP/ID`.
    package var name: String
    package var app: AppName
    package var commit: CommitID
    package var attempt: AttemptNumber
    package var manifest: Digest
    package var rawBytes: UInt64
    package var packedBytes: UInt64
    package var succeededAt: WireTime
    /// Over the live regions.
    package var replication: ReplicationStatus
    package var stored: [RegionName]
    /// Live regions that lack it.
    package var missing: [RegionName]
    /// Nil where nobody wants it kept.
    package var pinned: PinBody?
    /// Nil where it is not retired.
    package var retired: RetirementBody?
    /// What keeps it, by the hour of the answer; nil where nothing does, and of the past.
    package var kept: KeptBody?
    package var sequence: LogSequence

    package enum CodingKeys: String, CodingKey {
        case id, name, app, commit, attempt, manifest
        case rawBytes = "raw_bytes"
        case packedBytes = "packed_bytes"
        case succeededAt = "succeeded_at"
        case replication, stored, missing, pinned, retired, kept, sequence
    }

    /// - Parameter now: a time of the log.
    package init(_ id: BuildID, _ build: Build, in state: GlobalState, sequence: LogSequence, now: Timestamp) {
        (self.id, app, name) = (id, build.app, "\(build.app)/\(id)")
        (commit, attempt, manifest) = (build.commit, build.attempt, build.pack.manifest)
        (rawBytes, packedBytes) = (build.pack.rawBytes, build.pack.packedBytes)
        succeededAt = WireTime(build.succeededAt)
        let live = state.fleet.liveRegions
        replication = state.replicationStatus(id)
        stored = state.replication.packs[id]?.stored ?? []
        missing = state.replication.missing(id, over: live)
        pinned = state.retention.pins[id].map { PinBody($0) }
        retired = state.retention.retired[id].map { RetirementBody($0) }
        if retired == nil, let reason = state.keptReason(id, now: now) {
            kept = KeptBody(reason: reason, until: state.youngUntil(id, reason).map { WireTime($0) })
        }
        self.sequence = sequence
    }

    package init(
        id: BuildID, app: AppName, commit: CommitID, attempt: AttemptNumber, manifest: Digest, rawBytes: UInt64,
        packedBytes: UInt64, succeededAt: WireTime, replication: ReplicationStatus, stored: [RegionName],
        missing: [RegionName], pinned: PinBody?, retired: RetirementBody?, sequence: LogSequence
    ) {
        (self.id, self.app, name) = (id, app, "\(app)/\(id)")
        (self.commit, self.attempt, self.manifest) = (commit, attempt, manifest)
        (self.rawBytes, self.packedBytes, self.succeededAt) = (rawBytes, packedBytes, succeededAt)
        (self.replication, self.stored, self.missing, self.sequence) = (replication, stored, missing, sequence)
        (self.pinned, self.retired) = (pinned, retired)
    }
}

/// Newest first.
package struct BuildList: Hashable, Sendable, Codable {
    package var builds: [BuildBody]
    /// What to pass as `?before=` for the next part; nil at the end.
    package var next: BuildID?
    package var sequence: LogSequence

    package init(builds: [BuildBody], next: BuildID?, sequence: LogSequence) {
        (self.builds, self.next, self.sequence) = (builds, next, sequence)
    }
}

/// `GET /v1/keys`.
package struct KeysBody: Hashable, Sendable, Codable {
    /// `ed25519`.
    package var algorithm: String
    /// 32 bytes in hexadecimal: what manifests are signed with.
    package var releaseKey: String

    package enum CodingKeys: String, CodingKey {
        case algorithm
        case releaseKey = "release_key"
    }

    package init(releaseKey: [UInt8]) { (algorithm, self.releaseKey) = ("ed25519", hexadecimal(releaseKey)) }
}
