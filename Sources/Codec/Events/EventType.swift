package import Domain

typealias EventType = Drover_V1_EventType

/// What an event means to a process that does not know its type: the number's top bit says it.
package func eventWeight(_ type: UInt16) -> EventWeight { type < 0x8000 ? .essential : .informative }

/// A type's name, as in `job-claimed`; nil when this version does not know it.
package func eventTypeName(_ type: UInt16) -> String? { EventType(rawValue: Int(type))?.name }

/// The number of a type's name; nil when this version does not know it.
package func eventType(named name: String) -> UInt16? { EventType.numbers[name] }

/// Every type this version knows, ascending.
package let knownEventTypes: [UInt16] = EventType.known.map(\.number)

/// Whose reducer takes an event.
enum EventFamily: Hashable, Sendable, CaseIterable {
    case log, queue, replication, targets, fleet, region, retention
}

extension EventType {
    static let known: [EventType] = allCases.filter { $0 != .unspecified }
    static let numbers: [String: UInt16] = Dictionary(
        uniqueKeysWithValues: known.compactMap { type in type.name.map { ($0, type.number) } })

    /// The type of a frame. Nil when it is unknown and informative; fails when it is unknown and essential, or of a
    /// later revision than this version knows.
    init?(known number: UInt16, revision: UInt16) throws(CodecFailure) {
        guard let type = EventType(rawValue: Int(number)), let name = type.name else {
            guard eventWeight(number) == .essential else { return nil }
            throw CodecFailure(
                .upgradeNeeded, "event type \(number) is not known to this version: upgrade Drover to follow this log")
        }
        guard revision > 0 else { throw .malformed("schema revision of \(name)", "is 0") }
        guard revision <= type.schemaRevision else {
            guard eventWeight(number) == .essential else { return nil }
            throw CodecFailure(
                .upgradeNeeded,
                "revision \(revision) of \(name) is not known to this version: upgrade Drover to follow this log")
        }
        self = type
    }

    var number: UInt16 { UInt16(truncatingIfNeeded: rawValue) }

    /// The latest revision of the type's message. Grows when a message gains a field; what has no such field is written
    /// as the revision before.
    var schemaRevision: UInt16 { self == .factTaken ? 2 : 1 }

    var family: EventFamily {
        switch number {
        case 100..<200: .queue
        case 200..<300: .replication
        case 300..<400: .targets
        case 400..<500: .fleet
        case 500..<600: .region
        case 600..<700: .retention
        case 0x8002: .queue
        default: .log
        }
    }

    func misplaced(in place: String) -> CodecFailure {
        .malformed("event type \(name ?? "\(number)")", "does not belong in \(place)")
    }

    /// Nil for a number that this version does not know.
    var name: String? {
        switch self {
        case .unspecified, .UNRECOGNIZED: nil
        case .engineStarted: "engine-started"
        case .engineStalled: "engine-stalled"
        case .clockJumped: "clock-jumped"
        case .epochStarted: "epoch-started"
        case .levelRaised: "level-raised"
        case .settingsChanged: "settings-changed"
        case .refused: "refused"
        case .enqueueReused: "enqueue-reused"
        case .stateHashed: "state-hashed"
        case .backupProved: "backup-proved"
        case .payloadRedacted: "payload-redacted"
        case .jobEnqueued: "job-enqueued"
        case .jobClaimed: "job-claimed"
        case .jobHeartbeat: "job-heartbeat"
        case .packUploaded: "pack-uploaded"
        case .jobSucceeded: "job-succeeded"
        case .attemptFailed: "attempt-failed"
        case .attemptReleased: "attempt-released"
        case .leaseExpired: "lease-expired"
        case .jobRequeued: "job-requeued"
        case .cancelRequested: "cancel-requested"
        case .jobFailed: "job-failed"
        case .packStored: "pack-stored"
        case .packLost: "pack-lost"
        case .packRemoved: "pack-removed"
        case .deploymentWaiting: "deployment-waiting"
        case .targetChanged: "target-changed"
        case .regionConverged: "region-converged"
        case .deploymentEnded: "deployment-ended"
        case .regionJoined: "region-joined"
        case .regionStatusChanged: "region-status-changed"
        case .regionLevel: "region-level"
        case .workerJoined: "worker-joined"
        case .workerWaiting: "worker-waiting"
        case .workerDrain: "worker-drain"
        case .regionStore: "region-store"
        case .retentionChanged: "retention-changed"
        case .buildPinned: "build-pinned"
        case .buildUnpinned: "build-unpinned"
        case .buildRetired: "build-retired"
        case .claimsStopped: "claims-stopped"
        case .claimsResumed: "claims-resumed"
        case .factTaken: "fact-taken"
        case .followed: "followed"
        case .refollowed: "refollowed"
        case .localPackStored: "local-pack-stored"
        case .localPackLost: "local-pack-lost"
        case .peerEnrolled: "peer-enrolled"
        case .peerChanged: "peer-changed"
        case .peerSilent: "peer-silent"
        case .peerReturned: "peer-returned"
        case .localPackRemoved: "local-pack-removed"
        }
    }
}
