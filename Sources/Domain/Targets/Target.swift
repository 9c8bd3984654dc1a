/// A build with the manifest that proves it.
package struct ProvedBuild: Hashable, Sendable, Codable {
    package var build: BuildID
    package var manifest: Digest

    package init(build: BuildID, manifest: Digest) {
        self.build = build
        self.manifest = manifest
    }
}

/// What an app should run.
package struct Target: Hashable, Sendable, Codable {
    package var app: AppName
    package var scope: TargetScope
    package var revision: Revision
    /// The revision that began the deployment this target is part of.
    package var deployment: Revision
    package var current: ProvedBuild
    /// What a peer outside the selection or the admitted share runs: the last build whose deployment succeeded with
    /// selector all and share 10000.
    package var base: ProvedBuild?
    /// For history and rollback only.
    package var previous: ProvedBuild?
    package var selector: PeerSelector
    /// In 1/10000.
    package var admittedShare: UInt32
    package var actor: EventActor
    package var reason: String
    package var issued: Timestamp
    /// An expired target is never newly applied.
    package var expires: Timestamp

    package static let wholeShare: UInt32 = 10_000

    package init(
        app: AppName, scope: TargetScope, revision: Revision, deployment: Revision, current: ProvedBuild,
        base: ProvedBuild?, previous: ProvedBuild?, selector: PeerSelector, admittedShare: UInt32, actor: EventActor,
        reason: String, issued: Timestamp, expires: Timestamp
    ) {
        (self.app, self.scope, self.revision, self.deployment) = (app, scope, revision, deployment)
        (self.current, self.base, self.previous) = (current, base, previous)
        (self.selector, self.admittedShare) = (selector, admittedShare)
        (self.actor, self.reason, self.issued, self.expires) = (actor, reason, issued, expires)
    }

    /// What this peer should run: the current build if selected and admitted, else the base build; nil for nothing.
    package func build(for peer: PeerName, labels: [String: String]) -> ProvedBuild? {
        admits(peer, labels: labels) ? current : base
    }

    /// Whether the peer is selected and inside the admitted share. As the share grows within one deployment, the
    /// admitted set only grows.
    package func admits(_ peer: PeerName, labels: [String: String]) -> Bool {
        guard selector.matches(labels) else { return false }
        return admissionTicket(app: app, deployment: deployment, peer: peer) < admittedShare
    }
}

/// A peer's place in a deployment's order, 0 to 9999: FNV-1a finished by MurmurHash3's 64-bit mixer, so that it is
/// uniform and the same everywhere, in every version.
package func admissionTicket(app: AppName, deployment: Revision, peer: PeerName) -> UInt32 {
    var hash = FowlerNollVo()
    hash.feed(app.rawValue)
    hash.feed(deployment.epoch.rawValue)
    hash.feed(deployment.number)
    hash.feed(peer.rawValue)
    var value = hash.value
    value = (value ^ (value >> 33)) &* 0xff51_afd7_ed55_8ccd
    value = (value ^ (value >> 33)) &* 0xc4ce_b9fe_1a85_ec53
    value ^= value >> 33
    return UInt32(value % 10_000)
}

/// FNV-1a over 64 bits (Fowler, Noll, Vo; http://www.isthe.com/chongo/tech/comp/fnv/).
private struct FowlerNollVo {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func feed(_ text: String) {
        for byte in text.utf8 { feed(byte) }
        feed(0xff as UInt8)
    }

    mutating func feed(_ number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { feed(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    private mutating func feed(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
}

/// How a target came to change.
package enum TargetOrigin: String, Hashable, Sendable, Codable, CaseIterable {
    case deploy
    case rollback
    /// A waiting deployment whose build is replicated now.
    case waitingOver = "waiting-over"
    /// The same content again, at half of its life.
    case reissue
}

package enum DeploymentStatus: String, Hashable, Sendable, Codable, CaseIterable {
    case waiting, running, succeeded, failed, superseded

    package var isOpen: Bool {
        switch self {
        case .waiting, .running: true
        case .succeeded, .failed, .superseded: false
        }
    }
}

/// What a person asks for: make this build the target of its app.
package struct DeployRequest: Hashable, Sendable, Codable {
    package var app: AppName
    /// Nil for a rollback: the target's previous build.
    package var build: BuildID?
    package var scope: TargetScope
    package var selector: PeerSelector
    package var reason: String
    /// Wait, recorded, until the build is replicated, instead of being refused.
    package var whenReplicated: Bool
    /// Done even where no live peer is selected.
    package var allowEmpty: Bool
    /// The revision that must be the scope's current one; nil for any.
    package var expected: Revision?

    /// Of the reason and the selector together, with `labelBytes` more for each label: the largest event that carries
    /// both twice, and a target once more, must fit a frame.
    package static let maximumTextBytes = 450
    static let labelBytes = 8

    package init(
        app: AppName, build: BuildID?, scope: TargetScope = .global, selector: PeerSelector = .all, reason: String,
        whenReplicated: Bool = false, allowEmpty: Bool = false, expected: Revision? = nil
    ) {
        (self.app, self.build, self.scope, self.selector, self.reason) = (app, build, scope, selector, reason)
        (self.whenReplicated, self.allowEmpty, self.expected) = (whenReplicated, allowEmpty, expected)
    }

    /// Nil when the texts are plain, few and short.
    package var problem: Refusal? {
        if let problem = selector.problem { return problem }
        let labels = selector.labels.map { $0.key.utf8.count + $0.value.utf8.count + Self.labelBytes }.reduce(0, +)
        let reason = reason.utf8.count
        guard reason + labels > Self.maximumTextBytes else { return nil }
        return Refusal(
            .tooLarge,
            "the reason (\(reason) bytes) and the selector (\(labels)) have more than \(Self.maximumTextBytes) bytes "
                + "together: shorten them")
    }
}

/// The way from one target to the next, while it is open.
package struct Deployment: Hashable, Sendable, Codable {
    package var id: Revision
    package var request: DeployRequest
    /// Who asked; a later change of the same deployment names its own actor.
    package var actor: EventActor
    package var build: ProvedBuild
    package var status: DeploymentStatus
    package var startedAt: Timestamp
    package var deadline: Timestamp
    /// The latest revision of this deployment; regions converge at it or later.
    package var revision: Revision
    /// Regions that reported convergence, ascending.
    package var converged: [RegionName]
}

/// One scope of one app: its target now, and the last that succeeded everywhere.
package struct ScopeTarget: Hashable, Sendable, Codable {
    package var target: Target
    package var base: ProvedBuild?
}
