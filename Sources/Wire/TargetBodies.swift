package import Domain

package struct TargetBody: Hashable, Sendable, Codable {
    package var app: AppName
    package var scope: TargetScope
    package var revision: Revision
    /// The revision that began its deployment.
    package var deployment: Revision
    package var build: BuildID
    package var manifest: Digest
    package var baseBuild: BuildID?
    package var previousBuild: BuildID?
    package var selector: [String: String]
    /// In 1/10000.
    package var admittedShare: UInt32
    package var actor: String
    package var reason: String
    package var issued: WireTime
    package var expires: WireTime
    /// What the regions of its scope report, by name.
    package var regions: [RegionProgress]
    package var sequence: LogSequence

    package enum CodingKeys: String, CodingKey {
        case app, scope, revision, deployment, build, manifest
        case baseBuild = "base_build"
        case previousBuild = "previous_build"
        case selector
        case admittedShare = "admitted_share"
        case actor, reason, issued, expires, regions, sequence
    }

    package init(_ target: Target, regions: [RegionProgress], sequence: LogSequence) {
        (app, scope, revision) = (target.app, target.scope, target.revision)
        (deployment, build, manifest) = (target.deployment, target.current.build, target.current.manifest)
        (baseBuild, previousBuild) = (target.base?.build, target.previous?.build)
        (selector, admittedShare) = (target.selector.labels, target.admittedShare)
        (actor, reason) = (target.actor.description, target.reason)
        (issued, expires) = (WireTime(target.issued), WireTime(target.expires))
        (self.regions, self.sequence) = (regions, sequence)
    }
}

/// What one region says about one target or deployment.
package struct RegionProgress: Hashable, Sendable, Codable {
    package var region: RegionName
    package var status: RegionStatus
    /// The revision that the numbers are about; nil before the first report.
    package var revision: Revision?
    package var selected: UInt32
    package var healthy: UInt32
    package var failed: UInt32
    package var silent: UInt32
    package var detail: String
    /// Whether it reports, at the wanted revision or later, that enough live selected peers run it.
    package var converged: Bool

    package init(
        region: RegionName, status: RegionStatus, level: RegionLevel?, wanted: Revision, convergedShare: UInt32
    ) {
        (self.region, self.status, revision) = (region, status, level?.revision)
        (selected, healthy, failed) = (level?.selected ?? 0, level?.healthy ?? 0, level?.failed ?? 0)
        (silent, detail) = (level?.silent ?? 0, level?.detail ?? "")
        converged =
            level.map {
                $0.revision >= wanted
                    && UInt64($0.healthy) * UInt64(Target.wholeShare) >= UInt64($0.selected) * UInt64(convergedShare)
            } ?? false
    }
}

/// By app, then scope.
package struct TargetList: Hashable, Sendable, Codable {
    package var targets: [TargetBody]
    package var sequence: LogSequence

    package init(targets: [TargetBody], sequence: LogSequence) { (self.targets, self.sequence) = (targets, sequence) }
}

/// `POST /v1/deployments`; the expected revision stands in `If-Match`.
package struct DeployBody: WireRequest, Hashable {
    package var app: AppName
    /// Either this or `rollback`.
    package var build: BuildID?
    package var scope: TargetScope?
    package var selector: [String: String]?
    package var reason: String
    package var whenReplicated: Bool?
    package var allowEmpty: Bool?
    /// True for the target's previous build.
    package var rollback: Bool?

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case app, build, scope, selector, reason
        case whenReplicated = "when_replicated"
        case allowEmpty = "allow_empty"
        case rollback
    }

    package static var fields: [String] { CodingKeys.allCases.map(\.rawValue) }

    package init(_ request: DeployRequest) {
        (app, build, scope, selector) = (request.app, request.build, request.scope, request.selector.labels)
        (reason, whenReplicated, allowEmpty) = (request.reason, request.whenReplicated, request.allowEmpty)
        rollback = request.build == nil
    }

    /// The domain's request; a problem unless exactly one of `build` and `rollback` is there.
    package func request(expected: Revision?) throws(Problem) -> DeployRequest {
        guard (build != nil) != (rollback ?? false) else {
            throw Problem(.invalid, "build must be a build's id, or rollback must be true, and not both")
        }
        return DeployRequest(
            app: app, build: build, scope: scope ?? .global, selector: PeerSelector(labels: selector ?? [:]),
            reason: reason, whenReplicated: whenReplicated ?? false, allowEmpty: allowEmpty ?? false,
            expected: expected)
    }
}

package struct DeployAnswer: Hashable, Sendable, Codable {
    package var deployment: Revision
    package var status: DeploymentStatus
    /// Regions of the scope that are not live: they follow when they are back.
    package var skipped: [RegionName]
    package var sequence: LogSequence

    package init(deployment: Revision, status: DeploymentStatus, skipped: [RegionName], sequence: LogSequence) {
        (self.deployment, self.status, self.skipped) = (deployment, status, skipped)
        self.sequence = sequence
    }
}

package struct DeploymentBody: Hashable, Sendable, Codable {
    package var id: Revision
    package var app: AppName
    package var scope: TargetScope
    package var build: BuildID
    package var status: DeploymentStatus
    package var actor: String
    package var reason: String
    package var startedAt: WireTime
    package var deadline: WireTime
    package var endedAt: WireTime?
    /// How it ended; nil while it is open.
    package var detail: String?
    /// The regions of its scope while it is open; empty afterwards.
    package var regions: [RegionProgress]
    /// The sequence of its last change, or of its regions' numbers while it is open: what `?after=` compares.
    package var changed: LogSequence
    package var sequence: LogSequence

    package enum CodingKeys: String, CodingKey {
        case id, app, scope, build, status, actor, reason
        case startedAt = "started_at"
        case deadline
        case endedAt = "ended_at"
        case detail, regions, changed, sequence
    }

    package init(
        id: Revision, app: AppName, scope: TargetScope, build: BuildID, status: DeploymentStatus, actor: String,
        reason: String, startedAt: WireTime, deadline: WireTime, changed: LogSequence, sequence: LogSequence
    ) {
        (self.id, self.app, self.scope, self.build) = (id, app, scope, build)
        (self.status, self.actor, self.reason) = (status, actor, reason)
        (self.startedAt, self.deadline) = (startedAt, deadline)
        (self.changed, self.sequence, regions) = (changed, sequence, [])
    }
}

/// Newest first.
package struct DeploymentList: Hashable, Sendable, Codable {
    package var deployments: [DeploymentBody]
    package var sequence: LogSequence

    package init(deployments: [DeploymentBody], sequence: LogSequence) {
        (self.deployments, self.sequence) = (deployments, sequence)
    }
}
