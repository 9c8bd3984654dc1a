import Codec
import Domain

/// What must hold of the global log, told from its durable frames alone.
struct GlobalChecks {
    private(set) var queue = QueueChecks()
    private(set) var fleet = FleetChecks()
    private(set) var targets = TargetChecks()
    private(set) var retention = RetentionChecks()
    private(set) var settings = Settings()
    private(set) var log = LogChecks()
    /// Keys of commands that may be in the log: handed in, and not answered with "nothing was written".
    private var possible: [String: Int] = [:]

    typealias Problem = (rule: String, detail: String)

    mutating func submitted(_ key: String) { possible[key, default: 0] += 1 }

    mutating func failed(_ key: String) { possible[key, default: 0] -= 1 }

    mutating func take(
        _ seen: SeenBatch<GlobalEvent>, isSilent: (RegionName, UInt32) -> Bool,
        wasReadBack: (Digest, RegionName) -> Bool, counts: inout Counts
    ) -> Problem? {
        if let problem = log.take(seen.batch) { return problem }
        for envelope in seen.events {
            counts.note(type: seen.frame(of: envelope).type)
            if let key = envelope.header.key, let times = possible[key], times <= 0 {
                return ("failed-is-failed", "the command of key \(key) was answered as not written, and is in the log")
            }
            if let (rule, detail) = take(envelope, isSilent, wasReadBack) {
                return (rule, "event \(envelope.sequence): \(detail)")
            }
        }
        guard let (sequence, message) = seen.unreadable else { return nil }
        return ("durable-log-reads", "\(sequence): \(message)")
    }

    private mutating func take(
        _ envelope: Envelope<GlobalEvent>, _ isSilent: (RegionName, UInt32) -> Bool,
        _ wasReadBack: (Digest, RegionName) -> Bool
    ) -> Problem? {
        let header = envelope.header
        switch envelope.event {
        case .log(let event):
            note(event, at: header.time)
            return nil
        case .queue(let event):
            let gone = targets.goneBuilds
            if case .claimed = event, let region = retention.claimsStoppedBy {
                return ("full-stores-stop-claims", "a job is claimed, and the store of \(region) is full")
            }
            let problem = queue.take(event, header, settings: settings, fleet: fleet) { gone.contains($0) }
            if case .succeeded(let job, _) = event, let app = queue.jobs[job]?.request.app {
                retention.built(job, of: app, at: header.time)
            }
            return problem
        case .retention(let event):
            if case .retired(let build, _, _) = event { targets.noteRetired(build) }
            return retention.take(event, header, targets: targets)
        case .replication(let event):
            if case .packRemoved(let build, _) = event, !retention.retired.contains(build) {
                return ("kept-builds-stay", "build \(build) is removed and was not retired")
            }
            return targets.take(event, jobs: queue, fleet: fleet, wasReadBack: wasReadBack)
        case .targets(let event):
            if let problem = retention.take(event) { return problem }
            return targets.take(event, header, jobs: queue, fleet: fleet, settings: settings)
        case .fleet(let event):
            defer { if case .regionStatusChanged(_, .removed, _) = event { targets.noteGone(fleet) } }
            let seconds = settings.regionSilentSeconds
            return fleet.take(event, header) { isSilent($0, seconds) }
        }
    }

    private mutating func note(_ event: LogEvent, at time: Timestamp) {
        switch event {
        case .engineStarted, .engineStalled, .clockJumped: queue.floor = max(queue.floor, time)
        case .settingsChanged(let next): settings = next
        case .epochStarted, .levelRaised, .refused, .stateHashed, .backupProved, .payloadRedacted: break
        }
    }
}

/// What must hold of every log: no gap, no way back in time, every frame of its batch's chain.
///
/// The chain is looked at in one batch of a few, each from the one before: that all of it holds is told at the end of a
/// phase, by `chain`.
struct LogChecks {
    private(set) var end: LogPosition?
    private var time = Timestamp.zero
    private var batches = 0
    private static let chainedBatches = 16

    mutating func take(_ batch: FrameBatch) -> (rule: String, detail: String)? {
        let before = end ?? .start(of: batch.end.log)
        var sequence = before.sequence
        for frame in batch.frames {
            guard frame.header.sequence == sequence.next else {
                return ("no-gaps", "\(frame.header.sequence) follows \(sequence)")
            }
            guard frame.header.time >= time else {
                return ("time-goes-on", "\(frame.header.sequence) is before the event before it")
            }
            (sequence, time) = (frame.header.sequence, frame.header.time)
        }
        batches += 1
        if batches % Self.chainedBatches == 0, let problem = Self.chain(batch, after: before) { return problem }
        end = batch.end
        return nil
    }

    private static func chain(_ batch: FrameBatch, after before: LogPosition) -> (rule: String, detail: String)? {
        guard (try? FrameCodec.chain(after: before.chain, batch.frames)) != batch.end.chain else { return nil }
        return ("chain", "the batch that ends at \(batch.end.sequence) is not on the chain")
    }

    /// Whether all of a log is on its chain.
    static func chain(_ batches: [FrameBatch], of log: LogIdentity) -> (rule: String, detail: String)? {
        var before = LogPosition.start(of: log)
        for batch in batches {
            if let problem = chain(batch, after: before) { return problem }
            before = batch.end
        }
        return nil
    }
}

/// What must hold of a region's log.
struct RegionChecks {
    private var log = LogChecks()
    private var revisions: [AppName: Revision] = [:]
    /// What peers were last told, by app.
    private var told: [AppName: Revision] = [:]
    private var followed: LogPosition?

    mutating func take(
        _ seen: SeenBatch<RegionEvent>, isSilent: (PeerName) -> Bool, counts: inout Counts
    ) -> (rule: String, detail: String)? {
        if let problem = log.take(seen.batch) { return problem }
        // A region writes nothing that it does not know itself.
        if seen.unreadable != nil || seen.events.count < seen.batch.frames.count {
            return ("durable-log-reads", "up to \(seen.batch.end.sequence) of a region")
        }
        for envelope in seen.events {
            counts.note(type: seen.frame(of: envelope).type)
            switch envelope.event {
            case .followed(let position):
                if let followed, position.sequence < followed.sequence {
                    return ("follows-forwards", "\(position.sequence) after \(followed.sequence)")
                }
                followed = position
            case .refollowed(let position): followed = position
            case .taken(.target(let target), _):
                revisions[target.app] = max(revisions[target.app] ?? .zero, target.revision)
            case .peerSilent(let name): if !isSilent(name) { return ("silence-is-silence", "peer \(name) was heard") }
            case .log, .taken, .packStored, .packLost, .packRemoved, .peerEnrolled, .peerChanged, .peerReturned: break
            }
        }
        return nil
    }

    /// Assignments of one answer to one peer, checked against every target that there ever was.
    ///
    /// - Parameter issued: the targets of a revision: more than one where a restored log gave it again.
    mutating func assigned(
        _ assignments: [Assignment], issued: (Revision) -> [Target]
    ) -> (rule: String, detail: String)? {
        for assignment in assignments {
            let old = told[assignment.app] ?? .zero
            guard assignment.revision >= old else {
                return ("a-region-never-goes-back", "\(assignment.app) \(assignment.revision) after \(old)")
            }
            told[assignment.app] = assignment.revision
            let isIssued = issued(assignment.revision).contains { target in
                target.app == assignment.app
                    && (assignment.build == target.current || assignment.build == target.base)
            }
            guard isIssued else { return ("only-what-was-issued", "\(assignment.app) \(assignment.revision)") }
            guard assignment.revision == revisions[assignment.app] else {
                return ("newest-known-target", "\(assignment.app) \(assignment.revision) is not the newest here")
            }
        }
        return nil
    }
}
