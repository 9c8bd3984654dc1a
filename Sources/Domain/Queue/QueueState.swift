/// Why a job failed.
package enum FailureReason: String, Hashable, Sendable, Codable, CaseIterable {
    case exit, timeout, lost, cancelled, artifact, recipe, snapshot
}

/// What a worker is doing for an attempt.
package enum AttemptStage: String, Hashable, Sendable, Codable, CaseIterable {
    case snapshot, build, pack, upload, verify
}

/// The pack a worker says it has uploaded; nothing is believed of it until its region has read it back.
package struct UploadedPack: Hashable, Sendable, Codable {
    /// SHA-256 of the signed manifest, a blob of the global engine.
    package var manifest: Digest
    /// The region whose store has it.
    package var region: RegionName
    package var rawBytes: UInt64
    package var packedBytes: UInt64

    package init(manifest: Digest, region: RegionName, rawBytes: UInt64, packedBytes: UInt64) {
        (self.manifest, self.region) = (manifest, region)
        (self.rawBytes, self.packedBytes) = (rawBytes, packedBytes)
    }
}

/// One worker's go at a job, while it is the current one.
package struct Attempt: Hashable, Sendable, Codable {
    package var number: AttemptNumber
    package var worker: WorkerName
    package var leaseSeconds: UInt32
    package var claimedAt: Timestamp
    /// The claim or the latest heartbeat or report.
    package var heardAt: Timestamp
    /// The latest heartbeat's counter; 0 before the first.
    package var counter: UInt64
    package var stage: AttemptStage
    package var pack: UploadedPack?
    /// When it said so; nil before.
    package var uploadedAt: Timestamp?
}

/// A job that has not ended.
package struct OpenJob: Hashable, Sendable {
    package enum Phase: Hashable, Sendable, Codable {
        case queued
        case running(Attempt)
    }

    package struct Cancel: Hashable, Sendable, Codable {
        package var at: Timestamp
        package var reason: String
    }

    package var request: JobRequest
    package var enqueuedAt: Timestamp
    /// Attempts claimed so far; the current one's number while running.
    package var attempts: AttemptNumber
    /// Attempts that ended by silence.
    package var lostAttempts: UInt32
    package var cancel: Cancel?
    /// The current one, while running: changed where it lies, as a case's value could not be.
    package var attempt: Attempt?

    init(request: JobRequest, enqueuedAt: Timestamp) {
        (self.request, self.enqueuedAt) = (request, enqueuedAt)
        (attempts, lostAttempts) = (AttemptNumber(rawValue: 0), 0)
    }

    package var phase: Phase { attempt.map { .running($0) } ?? .queued }
}

extension OpenJob: Codable {
    private enum CodingKeys: CodingKey {
        case request, enqueuedAt, attempts, lostAttempts, cancel, phase
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        request = try container.decode(JobRequest.self, forKey: .request)
        enqueuedAt = try container.decode(Timestamp.self, forKey: .enqueuedAt)
        attempts = try container.decode(AttemptNumber.self, forKey: .attempts)
        lostAttempts = try container.decode(UInt32.self, forKey: .lostAttempts)
        cancel = try container.decodeIfPresent(Cancel.self, forKey: .cancel)
        switch try container.decode(Phase.self, forKey: .phase) {
        case .queued: attempt = nil
        case .running(let running): attempt = running
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(request, forKey: .request)
        try container.encode(enqueuedAt, forKey: .enqueuedAt)
        try container.encode(attempts, forKey: .attempts)
        try container.encode(lostAttempts, forKey: .lostAttempts)
        try container.encodeIfPresent(cancel, forKey: .cancel)
        try container.encode(phase, forKey: .phase)
    }
}

/// What a succeeded job produced.
package struct Build: Hashable, Sendable {
    package var attempt: AttemptNumber
    package var pack: UploadedPack
    package var buildOnceKey: BuildOnceKey
    package var succeededAt: Timestamp

    package var app: AppName { buildOnceKey.app }
    package var commit: CommitID { buildOnceKey.commit }
}

extension Build: Codable {
    private enum CodingKeys: CodingKey {
        case app, commit, attempt, pack, buildOnceKey, succeededAt
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        attempt = try container.decode(AttemptNumber.self, forKey: .attempt)
        pack = try container.decode(UploadedPack.self, forKey: .pack)
        buildOnceKey = try container.decode(BuildOnceKey.self, forKey: .buildOnceKey)
        succeededAt = try container.decode(Timestamp.self, forKey: .succeededAt)
        guard try container.decode(AppName.self, forKey: .app) == app,
            try container.decode(CommitID.self, forKey: .commit) == commit
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .buildOnceKey, in: container, debugDescription: "the key of another app or commit")
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(app, forKey: .app)
        try container.encode(commit, forKey: .commit)
        try container.encode(attempt, forKey: .attempt)
        try container.encode(pack, forKey: .pack)
        try container.encode(buildOnceKey, forKey: .buildOnceKey)
        try container.encode(succeededAt, forKey: .succeededAt)
    }
}

/// Queued jobs by priority, and by id inside one.
package struct WaitingJobs: Hashable, Sendable, Codable {
    fileprivate struct Line: Hashable, Sendable, Codable {
        var priority: Int32
        /// Ascending.
        var jobs: [JobID]
        /// Jobs before this place have been taken; dropped now and then, so that taking is amortised constant.
        var taken: Int

        var isEmpty: Bool { taken == jobs.count }
    }

    /// Highest priority first; no line is empty.
    private var lines: [Line] = []

    package init() {}

    package var first: JobID? { lines.first.map { $0.jobs[$0.taken] } }
    package var isEmpty: Bool { lines.isEmpty }

    /// In the order of claims.
    package var all: [JobID] { lines.flatMap { $0.jobs[$0.taken...] } }

    package mutating func insert(_ job: JobID, priority: Int32) {
        let line = lines.firstIndex { $0.priority <= priority } ?? lines.count
        if line == lines.count || lines[line].priority != priority {
            lines.insert(Line(priority: priority, jobs: [job], taken: 0), at: line)
            return
        }
        let place = lines[line].place(of: job)
        if place == lines[line].taken, place > 0 {
            lines[line].taken -= 1
            lines[line].jobs[place - 1] = job
        } else {
            lines[line].jobs.insert(job, at: place)
        }
    }

    package mutating func remove(_ job: JobID, priority: Int32) {
        guard let line = lines.firstIndex(where: { $0.priority == priority }) else { return }
        let place = lines[line].place(of: job)
        guard place < lines[line].jobs.count, lines[line].jobs[place] == job else { return }
        lines[line].remove(at: place)
        if lines[line].isEmpty { lines.remove(at: line) }
    }

    package static func == (left: WaitingJobs, right: WaitingJobs) -> Bool {
        left.lines.map(\.priority) == right.lines.map(\.priority) && left.all == right.all
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(all) }
}

extension WaitingJobs.Line {
    private enum CodingKeys: CodingKey {
        case priority, jobs
    }

    fileprivate init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        priority = try container.decode(Int32.self, forKey: .priority)
        jobs = try container.decode([JobID].self, forKey: .jobs)
        taken = 0
        if jobs.isEmpty {
            throw DecodingError.dataCorruptedError(
                forKey: .jobs, in: container, debugDescription: "no jobs")
        }
    }

    /// Only what waits: equal states have equal bytes, whatever was taken before.
    fileprivate func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(priority, forKey: .priority)
        try container.encode(Array(jobs[taken...]), forKey: .jobs)
    }
}

extension WaitingJobs.Line {
    /// The first place at or behind which the job may stand.
    fileprivate func place(of job: JobID) -> Int {
        var low = taken
        var high = jobs.count
        while low < high {
            let middle = (low + high) / 2
            if jobs[middle] < job { low = middle + 1 } else { high = middle }
        }
        return low
    }

    fileprivate mutating func remove(at place: Int) {
        if place == taken {
            taken += 1
        } else {
            jobs.remove(at: place)
        }
        if taken > 64, taken * 2 > jobs.count {
            jobs.removeFirst(taken)
            taken = 0
        }
    }
}

/// The queue: what is open, and what was built and is kept.
package struct QueueState: Hashable, Sendable, Codable {
    /// The last job's id: ids are gapless.
    package internal(set) var enqueued = JobID(rawValue: 0)
    package internal(set) var jobs = IdentifierTable<JobID, OpenJob>()
    /// Invariant: exactly the jobs whose phase is `queued`.
    package internal(set) var waiting = WaitingJobs()
    /// Jobs whose phase is `running`, ascending.
    package internal(set) var running: [JobID] = []
    package internal(set) var builds = IdentifierTable<BuildID, Build>()
    /// Open jobs and kept builds by their build-once key.
    package internal(set) var buildOnce: [BuildOnceKey: JobID] = [:]
    /// Open jobs and kept builds whose key a later (forced) job took over, oldest first: they answer again if it fails.
    package internal(set) var displaced: [BuildOnceKey: [JobID]] = [:]
    /// Engine starts, stalls and clock jumps: no attempt was heard before this moment, as far as leases go.
    package internal(set) var leaseFloor = Timestamp.zero
    /// Events that made no sense in the state they met. Zero unless an older version or damage wrote the log.
    package internal(set) var impossible: UInt64 = 0

    package init() {}

    /// The open job or kept build that answers a repeat; one that is being cancelled answers nobody.
    package func reusable(_ key: BuildOnceKey) -> JobID? {
        guard let latest = buildOnce[key] else { return nil }
        if jobs[latest]?.cancel == nil { return latest }
        return displaced[key]?.last { jobs[$0]?.cancel == nil }
    }

    /// When an attempt's lease ends.
    package func leaseEnd(_ attempt: Attempt) -> Timestamp {
        max(attempt.heardAt, leaseFloor).adding(seconds: Int64(attempt.leaseSeconds))
    }
}
