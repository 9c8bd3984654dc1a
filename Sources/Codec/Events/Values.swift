import Domain
import Foundation
import SwiftProtobuf

/// A digest from a message's bytes.
func digest(_ bytes: Data, _ field: String) throws(CodecFailure) -> Domain.Digest {
    guard let digest = Domain.Digest(bytes: bytes) else {
        throw .malformed(field, "has \(bytes.count) bytes instead of a digest's 32")
    }
    return digest
}

func scope(_ text: String, _ field: String) throws(CodecFailure) -> TargetScope {
    guard let scope = TargetScope(text) else { throw .malformed(field, "is neither global nor region/NAME") }
    return scope
}

/// Labels as pairs in ascending order of their keys.
func pairs(_ labels: [String: String]) -> [Drover_V1_Label] {
    labels.sorted { $0.key < $1.key }.map { pair in
        var label = Drover_V1_Label()
        (label.key, label.value) = pair
        return label
    }
}

func labels(_ pairs: [Drover_V1_Label], _ field: String) throws(CodecFailure) -> [String: String] {
    var labels: [String: String] = [:]
    var last: String?
    for pair in pairs {
        try pair.checkFields(field)
        if let last, last >= pair.key { throw .malformed(field, "is not in ascending order of its keys") }
        labels[pair.key] = pair.value
        last = pair.key
    }
    return labels
}

extension Drover_V1_Revision {
    init(_ value: Revision) {
        epoch = value.epoch.rawValue
        number = value.number
    }

    var value: Revision { Revision(epoch: Epoch(rawValue: epoch), number: number) }
}

extension LogIdentity {
    var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) } }
    }

    init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        self.init(
            high: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
            low: bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) })
    }
}

extension Drover_V1_LogPosition {
    init(_ value: LogPosition) {
        log = Data(value.log.bytes)
        epoch = value.epoch.rawValue
        sequence = value.sequence.rawValue
        chain = Data(value.chain.bytes)
    }

    func value() throws(CodecFailure) -> LogPosition {
        guard let identity = LogIdentity(bytes: log) else {
            throw .malformed("log", "has \(log.count) bytes instead of an identity's 16")
        }
        return LogPosition(
            log: identity, epoch: Epoch(rawValue: epoch), sequence: LogSequence(rawValue: sequence),
            chain: try digest(chain, "chain"))
    }
}

extension Drover_V1_Settings {
    init(_ value: Settings) {
        leaseSeconds = value.leaseSeconds
        heartbeatSeconds = value.heartbeatSeconds
        maximumAttempts = value.maximumAttempts
        jobTimeoutSeconds = value.jobTimeoutSeconds
        cancelGraceSeconds = value.cancelGraceSeconds
        regionSilentSeconds = value.regionSilentSeconds
        peerSilentSeconds = value.peerSilentSeconds
        deploymentDeadlineSeconds = value.deploymentDeadlineSeconds
        targetLifetimeSeconds = value.targetLifetimeSeconds
        convergedShare = value.convergedShare
        maximumOpenJobs = value.maximumOpenJobs
    }

    var value: Settings {
        var settings = Settings()
        settings.leaseSeconds = leaseSeconds
        settings.heartbeatSeconds = heartbeatSeconds
        settings.maximumAttempts = maximumAttempts
        settings.jobTimeoutSeconds = jobTimeoutSeconds
        settings.cancelGraceSeconds = cancelGraceSeconds
        settings.regionSilentSeconds = regionSilentSeconds
        settings.peerSilentSeconds = peerSilentSeconds
        settings.deploymentDeadlineSeconds = deploymentDeadlineSeconds
        settings.targetLifetimeSeconds = targetLifetimeSeconds
        settings.convergedShare = convergedShare
        settings.maximumOpenJobs = maximumOpenJobs
        return settings
    }
}

extension Drover_V1_JobRequest {
    init(_ value: JobRequest) {
        app = value.app.rawValue
        repository = value.repository
        commit = value.commit.rawValue
        recipePath = value.recipePath
        priority = value.priority
        forced = value.isForced
    }

    func value() throws(CodecFailure) -> JobRequest {
        guard let commit = CommitID(rawValue: commit) else {
            throw .malformed("commit", "is not 40 or 64 lowercase hexadecimal digits")
        }
        return JobRequest(
            app: try name(app, "app"), repository: repository, commit: commit, recipePath: recipePath,
            priority: priority, isForced: forced)
    }
}

extension Drover_V1_UploadedPack {
    init(_ value: UploadedPack) {
        manifest = Data(value.manifest.bytes)
        region = value.region.rawValue
        rawBytes = value.rawBytes
        packedBytes = value.packedBytes
    }

    func value() throws(CodecFailure) -> UploadedPack {
        UploadedPack(
            manifest: try digest(manifest, "manifest"), region: try name(region, "region"), rawBytes: rawBytes,
            packedBytes: packedBytes)
    }
}

extension Drover_V1_ProvedBuild {
    init(_ value: ProvedBuild) {
        build = value.build.rawValue
        manifest = Data(value.manifest.bytes)
    }

    func value() throws(CodecFailure) -> ProvedBuild {
        ProvedBuild(build: BuildID(rawValue: build), manifest: try digest(manifest, "manifest"))
    }
}

extension Drover_V1_Actor {
    init(_ value: EventActor) {
        kind = Drover_V1_ActorKind(value.kind)
        name = value.name
    }

    func value() throws(CodecFailure) -> EventActor {
        guard let known = kind.value else { throw .malformed("actor kind", "has the unknown value \(kind.rawValue)") }
        return EventActor(kind: known, name: name)
    }
}

extension Drover_V1_RegionLevel {
    init(_ value: RegionLevel) {
        app = value.app.rawValue
        revision = Drover_V1_Revision(value.revision)
        selected = value.selected
        healthy = value.healthy
        failed = value.failed
        silent = value.silent
        detail = value.detail
    }

    func value() throws(CodecFailure) -> RegionLevel {
        RegionLevel(
            app: try name(app, "app"), revision: try required(hasRevision, revision, "revision").value,
            selected: selected, healthy: healthy, failed: failed, silent: silent, detail: detail)
    }
}

extension Drover_V1_PeerApp {
    init(_ value: PeerApp) {
        revision = Drover_V1_Revision(value.revision)
        if let running = value.build { build = running.rawValue }
        health = Drover_V1_PeerHealth(value.health)
        detail = value.detail
    }

    func value() throws(CodecFailure) -> PeerApp {
        PeerApp(
            revision: try required(hasRevision, revision, "revision").value,
            build: hasBuild ? BuildID(rawValue: build) : nil, health: try health.value("health"), detail: detail)
    }
}
