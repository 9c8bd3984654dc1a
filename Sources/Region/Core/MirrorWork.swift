package import Domain
package import Swarm

/// One thing that the mirror does for one build.
package enum MirrorStep: Hashable, Sendable {
    case effect(MirrorEffect)
    /// It is stored: let the peers fetch it.
    case offer(OfferedPack)

    package var build: BuildID {
        switch self {
        case .effect(let effect): effect.build
        case .offer(let pack): pack.name.build
        }
    }

    /// What it takes a slot of.
    var kind: Kind {
        switch self {
        case .effect(.verifyUpload): .verification
        case .effect(.mirror): .copy
        case .effect(.reportStored), .effect(.reportLost), .effect(.reportRemoved): .report
        case .effect(.remove): .removal
        case .offer: .offer
        }
    }

    package enum Kind: Hashable, Sendable {
        case verification, copy, report, offer, removal
    }
}

/// A stored pack as peers ask for it.
package struct OfferedPack: Hashable, Sendable {
    package var name: PackName
    package var attempt: AttemptNumber
    package var manifest: Digest

    /// Nil for one that is not stored.
    init?(_ build: BuildID, _ pack: RegionPack) {
        guard pack.phase == .stored else { return nil }
        (name, attempt, manifest) = (PackName(app: pack.app, build: build), pack.attempt, pack.manifest)
    }
}

package struct MirrorSettings: Hashable, Sendable {
    package init() {}

    /// Uploads read back at once.
    var verifications = 4
    /// Packs copied from other regions at once.
    var copies = 4
    /// Calls to the global process at once.
    var reports = 8
    /// Packs put on the shelf at once.
    var offers = 4
    /// Retired packs removed at once.
    var removals = 2
    /// The rest before a step that failed is tried again; it doubles up to the maximum.
    var backoff = Backoff(minimumMilliseconds: 1000, maximumMilliseconds: 300_000)
    /// The rest before a step that succeeded is done again because the global log does not say so yet.
    var repeatMilliseconds: Int64 = 5000

    func slots(_ kind: MirrorStep.Kind) -> Int {
        switch kind {
        case .verification: verifications
        case .copy: copies
        case .report: reports
        case .offer: offers
        case .removal: removals
        }
    }
}

/// What the mirror has to do and what it is doing, as a pure machine: changes of the state in, steps out.
///
/// A step that fails gives its slot back at once and rests alone, so that builds that cannot be helped never hold up the
/// others.
package struct MirrorWork: Sendable {
    /// An effect and an offer of one build are two places.
    private struct Place: Hashable, Comparable {
        var build: BuildID
        var isOffer: Bool

        init(_ step: MirrorStep) { (build, isOffer) = (step.build, step.kind == .offer) }

        init(_ build: BuildID, isOffer: Bool) { (self.build, self.isOffer) = (build, isOffer) }

        static func < (left: Place, right: Place) -> Bool {
            (left.build, left.isOffer ? 1 : 0) < (right.build, right.isOffer ? 1 : 0)
        }
    }

    private struct Wanted {
        var step: MirrorStep
        var failures = 0
        var notBefore: Int64 = .min
    }

    private let settings: MirrorSettings
    private var generator: SeededGenerator
    private var wanted: [Place: Wanted] = [:]
    private var running: [Place: MirrorStep] = [:]
    private var offered: [BuildID: OfferedPack] = [:]
    /// The count of the state's journal that was seen; nil before the first look.
    package private(set) var seen: UInt64?

    package init(settings: MirrorSettings = MirrorSettings(), seed: UInt64) {
        self.settings = settings
        generator = SeededGenerator(seed: seed)
    }

    /// Takes over what changed, at a time of the log and of the monotonic clock. Returns what must not be offered any
    /// more.
    package mutating func learned(_ changes: MirrorChanges, logTime: Timestamp, now: Int64) -> [PackName] {
        seen = changes.count
        var withdrawn: [PackName] = []
        if changes.isWhole { withdrawn += forget(allBut: Set(changes.changes.map(\.build))) }
        for change in changes.changes { if let name = learn(change, logTime, now) { withdrawn.append(name) } }
        return withdrawn
    }

    private mutating func forget(allBut known: Set<BuildID>) -> [PackName] {
        wanted = wanted.filter { known.contains($0.key.build) }
        let gone = offered.keys.filter { !known.contains($0) }.sorted()
        return gone.compactMap { offered.removeValue(forKey: $0)?.name }
    }

    private mutating func learn(_ change: MirrorChange, _ logTime: Timestamp, _ now: Int64) -> PackName? {
        let build = change.build
        var begin = Int64.min
        if case .remove(_, _, let moment)? = change.effect, moment > logTime {
            let (sum, isBeyond) = now.addingReportingOverflow(moment.millisecondsSince(logTime))
            begin = isBeyond ? .max : sum
        }
        want(change.effect.map(MirrorStep.effect), at: Place(build, isOffer: false), notBefore: begin)
        let offer = change.pack.flatMap { OfferedPack(build, $0) }
        if let offer, offered[build] == offer { return nil }
        want(offer.map(MirrorStep.offer), at: Place(build, isOffer: true))
        return offered.removeValue(forKey: build)?.name
    }

    /// The same step again keeps its rest.
    private mutating func want(_ step: MirrorStep?, at place: Place, notBefore: Int64 = .min) {
        guard wanted[place]?.step != step else { return }
        wanted[place] = step.map { Wanted(step: $0, notBefore: notBefore) }
    }

    /// What to begin now, in build order.
    package mutating func next(now: Int64) -> [MirrorStep] {
        var due: [Place] = []
        for (place, wanted) in wanted where wanted.notBefore <= now && running[place] == nil { due.append(place) }
        if due.isEmpty { return [] }
        due.sort()
        var free: [MirrorStep.Kind: Int] = [:]
        for kind in [.verification, .copy, .report, .offer, .removal] as [MirrorStep.Kind] {
            free[kind] = settings.slots(kind)
        }
        for step in running.values { free[step.kind, default: 0] -= 1 }
        var begun: [MirrorStep] = []
        for place in due {
            guard let step = wanted[place]?.step, let slots = free[step.kind], slots > 0 else { continue }
            free[step.kind] = slots - 1
            running[place] = step
            begun.append(step)
        }
        return begun
    }

    /// A step has ended well. Returns what must not be offered after all, because the state has moved on meanwhile.
    package mutating func succeeded(_ step: MirrorStep, now: Int64) -> PackName? {
        let place = Place(step)
        running[place] = nil
        let isWanted = wanted[place]?.step == step
        if case .offer(let pack) = step {
            guard isWanted else { return pack.name }
            wanted[place] = nil
            offered[pack.name.build] = pack
        } else if isWanted {
            wanted[place]?.failures = 0
            wanted[place]?.notBefore = now + settings.repeatMilliseconds
        }
        return nil
    }

    package mutating func failed(_ step: MirrorStep, now: Int64) {
        let place = Place(step)
        running[place] = nil
        guard let failures = wanted[place]?.failures, wanted[place]?.step == step else { return }
        wanted[place]?.failures = failures + 1
        wanted[place]?.notBefore = now + settings.backoff.rest(failures: failures + 1, &generator)
    }
}
