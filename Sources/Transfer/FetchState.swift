internal import Domain
internal import Swarm

/// A source that is followed.
struct FollowedSource: Sendable {
    let id: SourceID
    let kind: SourceKind
    let endpoint: PackEndpoint
    /// Another one each time it is a source again.
    let turn: UInt64
}

/// A request under way.
struct FetchWork: Sendable {
    let request: PieceRequest
    let source: FollowedSource
}

/// What a fetch knows; the picker decides, the rest is who is who.
struct FetchState: Sendable {
    struct Step {
        var work: [FetchWork] = []
        var cancelled: [RequestID] = []
        var follow: [FollowedSource] = []
        var unfollow: [FollowedSource] = []
        var askAgainAt: Timestamp?
        var isComplete = false
        var failure: TransferFailure?
    }

    var picker: PiecePicker
    var bytes: [SourceKind: UInt64] = [:]
    var badPieces: UInt64 = 0
    var failure: TransferFailure?
    /// Kept for endpoints that were sources before, so that their bans hold.
    private(set) var ids: [PackEndpoint: SourceID] = [:]
    private var sources: [SourceID: FollowedSource] = [:]
    private var (unfollowed, stopped): ([FollowedSource], [FollowedSource]) = ([], [])
    private var lastID: UInt32 = 0
    private var lastTurn: UInt64 = 0
    private let maximumSources: Int

    init(picker: PiecePicker, maximumSources: Int) {
        (self.picker, self.maximumSources) = (picker, maximumSources)
    }

    mutating func setSources(_ wanted: FetchSources) {
        var kinds: [PackEndpoint: SourceKind] = [:]
        for endpoint in wanted.neighbours.prefix(maximumSources) { kinds[endpoint] = .peer }
        for endpoint in wanted.mirrors.prefix(maximumSources) { kinds[endpoint] = .mirror }
        for source in sources.values where kinds[source.endpoint] != source.kind {
            stopped.append(source)
            sources[source.id] = nil
            unfollowed.removeAll { $0.id == source.id }
            picker.sourceRemoved(source.id)
        }
        forgetOldIDs(kinds)
        for endpoint in kinds.keys.sorted() { add(endpoint, kinds[endpoint] ?? .peer) }
    }

    private mutating func add(_ endpoint: PackEndpoint, _ kind: SourceKind) {
        let id = ids[endpoint] ?? newID(endpoint)
        guard sources[id] == nil else { return }
        lastTurn += 1
        let source = FollowedSource(id: id, kind: kind, endpoint: endpoint, turn: lastTurn)
        sources[id] = source
        unfollowed.append(source)
        picker.sourceAdded(id, kind)
    }

    private mutating func newID(_ endpoint: PackEndpoint) -> SourceID {
        lastID += 1
        let id = SourceID(rawValue: lastID)
        ids[endpoint] = id
        return id
    }

    private mutating func forgetOldIDs(_ wanted: [PackEndpoint: SourceKind]) {
        guard ids.count > maximumSources * 4 else { return }
        ids = ids.filter { wanted[$0.key] != nil || sources[$0.value] != nil }
    }

    func isCurrent(_ source: FollowedSource) -> Bool { sources[source.id]?.turn == source.turn }

    /// What to do now.
    mutating func next(now: Timestamp) -> Step {
        var step = Step()
        swap(&step.follow, &unfollowed)
        swap(&step.unfollow, &stopped)
        let plan = picker.next(now: now)
        for effect in plan.effects {
            switch effect {
            case .cancel(let id): step.cancelled.append(id)
            case .request(let request):
                guard let source = sources[request.source] else { continue }
                step.work.append(FetchWork(request: request, source: source))
            }
        }
        step.askAgainAt = plan.askAgainAt
        (step.isComplete, step.failure) = (picker.isComplete, failure)
        return step
    }

    /// The fetch ends or is cancelled: nothing under way is wanted, and a next run begins anew.
    mutating func abandonAll() {
        let wanted = sources.values.sorted { $0.id < $1.id }
        (sources, unfollowed, stopped) = ([:], [], [])
        for source in wanted { picker.sourceRemoved(source.id) }
        for source in wanted { add(source.endpoint, source.kind) }
    }
}
