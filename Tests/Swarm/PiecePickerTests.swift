import Domain
import Testing

@testable import Swarm

private let mirror = SourceID(rawValue: 0)
private let first = SourceID(rawValue: 1)
private let second = SourceID(rawValue: 2)

private func moment(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

private func set(_ pieces: Int...) -> PieceSet { PieceSet(pieceCount: 10, pieces: pieces) }

/// A picker whose answers can stand inside an expectation.
private final class PickerBox {
    private(set) var picker: PiecePicker

    init(_ picker: PiecePicker) { self.picker = picker }

    var isComplete: Bool { picker.isComplete }
    func sourceAdded(_ id: SourceID, _ kind: SourceKind) { picker.sourceAdded(id, kind) }
    func sourceRemoved(_ id: SourceID) { picker.sourceRemoved(id) }
    func sourceFellSilent(_ id: SourceID) { picker.sourceFellSilent(id) }
    func haveChanged(_ id: SourceID, _ have: PieceSet) { picker.haveChanged(id, have) }
    func offerChanged(_ id: SourceID, _ offer: SourceOffer) { picker.offerChanged(id, offer) }
    func requestProgressed(_ id: RequestID, now: Timestamp) { picker.requestProgressed(id, now: now) }
    func pieceVerified(_ id: RequestID) { picker.pieceVerified(id) }
    func pieceRejected(_ id: RequestID, now: Timestamp) { picker.pieceRejected(id, now: now) }
    func isBanned(_ id: SourceID, now: Timestamp) -> Bool { picker.isBanned(id, now: now) }
    func starvedPieces(now: Timestamp) -> [Int] { picker.starvedPieces(now: now) }
    func next(now: Timestamp) -> Plan<PickerEffect> { picker.next(now: now) }
    func requestArrived(_ id: RequestID, now: Timestamp) -> Bool { picker.requestArrived(id, now: now) }

    func requestFailed(_ id: RequestID, _ failure: RequestFailure, now: Timestamp) {
        picker.requestFailed(id, failure, now: now)
    }
}

/// A picker of ten pieces of 1,000 bytes.
private func makePicker(
    peers: [SourceID] = [], mirrors: [SourceID] = [], verified: PieceSet = set(), seed: UInt64 = 1,
    _ change: (inout PickerSettings) -> Void = { _ in }
) throws -> PickerBox {
    var settings = PickerSettings()
    change(&settings)
    let layout = try #require(PieceLayout(pieceBytes: 1000, totalBytes: 10_000))
    var picker = PiecePicker(layout: layout, verified: verified, settings: settings, seed: seed)
    for peer in peers { picker.sourceAdded(peer, .peer) }
    for mirror in mirrors { picker.sourceAdded(mirror, .mirror) }
    return PickerBox(picker)
}

private func requests(_ plan: Plan<PickerEffect>) -> [PieceRequest] {
    plan.effects.compactMap { effect in
        switch effect {
        case .request(let request): request
        case .cancel: nil
        }
    }
}

private func cancelled(_ plan: Plan<PickerEffect>) -> [RequestID] {
    plan.effects.compactMap { effect in
        switch effect {
        case .request: nil
        case .cancel(let id): id
        }
    }
}

struct PiecePickerTests {
    @Test func asksTheRarestFirst() throws {
        let picker = try makePicker(peers: [first, second]) { $0.requestsInFlight = 1 }
        picker.haveChanged(first, set(1, 2, 3))
        picker.haveChanged(second, set(1, 2))
        let plan = picker.next(now: moment(0))
        #expect(plan.effects == [.request(PieceRequest(id: RequestID(rawValue: 1), source: first, piece: 3))])
    }

    @Test func equallyRarePiecesDependOnTheSeedAlone() throws {
        func order(_ seed: UInt64) throws -> [Int] {
            let picker = try makePicker(peers: [first], seed: seed)
            picker.haveChanged(first, PieceSet.all(pieceCount: 10))
            return requests(picker.next(now: moment(0))).map(\.piece)
        }
        #expect(try order(1) == order(1))
        #expect(try Set((1...20).map { try order($0) }).count > 10)
    }

    @Test func keepsToItsLimits() throws {
        let picker = try makePicker(peers: [first, second]) { $0.requestsInFlight = 4 }
        picker.haveChanged(first, PieceSet.all(pieceCount: 10))
        picker.haveChanged(second, PieceSet.all(pieceCount: 10))
        let plan = requests(picker.next(now: moment(0)))
        #expect(plan.count == 4)
        #expect(plan.filter { $0.source == first }.count == 2)
        #expect(Set(plan.map(\.piece)).count == 4)
        #expect(picker.next(now: moment(1)).effects.isEmpty)
    }

    @Test func oneNeighbourGetsAllRequests() throws {
        let picker = try makePicker(peers: [first])
        picker.haveChanged(first, PieceSet.all(pieceCount: 10))
        #expect(requests(picker.next(now: moment(0))).count == 8)
    }

    @Test func largePiecesAreAskedForFewAtATime() throws {
        let picker = try makePicker(peers: [first], mirrors: [mirror]) { $0.windowBytes = 3000 }
        picker.haveChanged(first, set(0, 1, 2, 3, 4, 5))
        picker.haveChanged(mirror, PieceSet.all(pieceCount: 10))
        picker.offerChanged(mirror, .pieces(set(7, 8, 9)))
        let plan = requests(picker.next(now: moment(0)))
        #expect(plan.filter { $0.source == first }.count == 3)
        #expect(plan.filter { $0.source == mirror }.count == 2)
    }

    /// A neighbour with rare pieces is not asked for all of them while another that is as good does nothing.
    @Test func requestsSpreadOverNeighbours() throws {
        let picker = try makePicker(peers: [first, second]) { ($0.requestsInFlight, $0.requestsPerNeighbour) = (2, 2) }
        picker.haveChanged(first, set(0, 1, 2, 3))
        picker.haveChanged(second, set(3, 4, 5))
        let plan = requests(picker.next(now: moment(0)))
        #expect(Set(plan.map(\.source)) == [first, second])
    }

    @Test func piecesBeingCheckedBoundMemory() throws {
        let picker = try makePicker(peers: [first]) { $0.piecesBeingChecked = 2 }
        picker.haveChanged(first, PieceSet.all(pieceCount: 10))
        for request in requests(picker.next(now: moment(0))) {
            let isWaitedFor = picker.requestArrived(request.id, now: moment(1))
            #expect(isWaitedFor)
        }
        #expect(picker.next(now: moment(2)).effects.isEmpty)
    }

    @Test func theMirrorGivesOnlyWhatItOffers() throws {
        let picker = try makePicker(peers: [first], mirrors: [mirror])
        picker.haveChanged(first, set())
        picker.haveChanged(mirror, PieceSet.all(pieceCount: 10))
        #expect(picker.next(now: moment(0)).effects.isEmpty)
        picker.offerChanged(mirror, .pieces(set(4, 5, 6)))
        let plan = requests(picker.next(now: moment(0)))
        #expect(plan.count == 2)
        #expect(plan.allSatisfy { [4, 5, 6].contains($0.piece) && $0.source == mirror })
    }

    @Test func aMirrorWithoutALedgerGivesWhatNoNeighbourHas() throws {
        let picker = try makePicker(peers: [first], mirrors: [mirror]) { $0.requestsInFlight = 20 }
        picker.haveChanged(first, set(0, 1, 2, 3, 4, 5, 6, 7, 8))
        picker.haveChanged(mirror, PieceSet.all(pieceCount: 10))
        picker.offerChanged(mirror, .everything)
        let plan = requests(picker.next(now: moment(0)))
        #expect(plan.filter { $0.source == mirror }.map(\.piece) == [9])
        #expect(plan.count == 10)
    }

    @Test func withoutNeighboursTheMirrorGivesAllAfterAWhile() throws {
        let picker = try makePicker(mirrors: [mirror])
        picker.haveChanged(mirror, PieceSet.all(pieceCount: 10))
        picker.offerChanged(mirror, .pieces(set()))
        let plan = picker.next(now: moment(0))
        #expect(plan.effects.isEmpty)
        #expect(plan.askAgainAt == moment(500))
        #expect(requests(picker.next(now: moment(500))).count == 8)
    }

    @Test func aStarvedPeerWantsWhatNobodyHas() throws {
        let picker = try makePicker(peers: [first], mirrors: [mirror], verified: set(0, 1, 2, 3, 4))
        picker.haveChanged(first, set(0, 5))
        picker.haveChanged(mirror, PieceSet.all(pieceCount: 10))
        picker.offerChanged(mirror, .pieces(set()))
        let plan = requests(picker.next(now: moment(0)))
        #expect(plan.map(\.piece) == [5])
        #expect(picker.starvedPieces(now: moment(499)) == [])
        #expect(picker.starvedPieces(now: moment(500)) == [6, 7, 8, 9])
        picker.offerChanged(mirror, .pieces(set(7)))
        #expect(requests(picker.next(now: moment(501))).map(\.piece) == [7])
    }

    @Test func aSilentRequestIsGivenUpAndAskedElsewhere() throws {
        let picker = try makePicker(peers: [first, second])
        picker.haveChanged(first, set(3))
        let request = try #require(requests(picker.next(now: moment(0))).first)
        picker.haveChanged(second, set(3))
        #expect(picker.next(now: moment(4_999)).effects.isEmpty)
        let plan = picker.next(now: moment(5_000))
        #expect(cancelled(plan) == [request.id])
        #expect(requests(plan).map(\.source) == [second])
        let isWaitedFor = picker.requestArrived(request.id, now: moment(5_001))
        #expect(!isWaitedFor)
    }

    @Test func bytesKeepARequestAlive() throws {
        let picker = try makePicker(peers: [first])
        picker.haveChanged(first, set(3))
        let request = try #require(requests(picker.next(now: moment(0))).first)
        picker.requestProgressed(request.id, now: moment(4_000))
        #expect(picker.next(now: moment(8_999)).effects.isEmpty)
        #expect(cancelled(picker.next(now: moment(9_000))) == [request.id])
    }

    @Test func aRequestFarSlowerThanOthersIsGivenUp() throws {
        let picker = try makePicker(peers: [first, second], verified: set(2, 4, 5, 6, 7, 8, 9)) {
            $0.requestsPerNeighbour = 1
            $0.requestsInFlight = 2
            $0.slowMinimumMilliseconds = 100
        }
        picker.haveChanged(first, set(0))
        picker.haveChanged(second, set(1, 3))
        let started = requests(picker.next(now: moment(0)))
        let fast = try #require(started.first { $0.source == second })
        let slow = try #require(started.first { $0.source == first })
        _ = picker.requestArrived(fast.id, now: moment(50))
        picker.pieceVerified(fast.id)
        picker.requestProgressed(slow.id, now: moment(390))
        _ = picker.next(now: moment(399))
        #expect(cancelled(picker.next(now: moment(400))) == [slow.id])
    }

    @Test func afterSlownessMoreTimeIsGiven() throws {
        let picker = try makePicker(peers: [first], verified: set(1, 2, 4, 5, 6, 7, 8, 9)) { $0.requestsInFlight = 1 }
        picker.haveChanged(first, set(0, 3))
        var plan = picker.next(now: moment(0))
        let fast = try #require(requests(plan).first)
        _ = picker.requestArrived(fast.id, now: moment(1))
        picker.pieceVerified(fast.id)
        var (now, givenUp): (Int64, Int) = (1, 0)
        var last: (PieceRequest, Int64)?
        // The source now takes a minute for a piece: in the end it must get that minute.
        while givenUp < 30, !picker.isComplete {
            plan = picker.next(now: moment(now))
            givenUp += cancelled(plan).count
            if let request = requests(plan).first { last = (request, now) }
            if let last, now >= last.1 + 60_000, picker.requestArrived(last.0.id, now: moment(now)) {
                picker.pieceVerified(last.0.id)
            } else if let last {
                picker.requestProgressed(last.0.id, now: moment(now))
            }
            now += 500
        }
        #expect(picker.isComplete)
    }

    @Test func failuresRestASourceLongerAndLonger() throws {
        let picker = try makePicker(peers: [first])
        picker.haveChanged(first, set(3))
        var (now, waits): (Int64, [Int64]) = (0, [])
        for _ in 0..<10 {
            let failedAt = now
            var plan = picker.next(now: moment(now))
            while requests(plan).isEmpty {
                now = try #require(plan.askAgainAt).milliseconds
                plan = picker.next(now: moment(now))
            }
            waits.append(now - failedAt)
            picker.requestFailed(requests(plan)[0].id, .unreachable, now: moment(now))
        }
        #expect(waits == [0, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
    }

    @Test func requestsThatFailTogetherAreOneFailure() throws {
        let picker = try makePicker(peers: [first])
        picker.haveChanged(first, set(1, 2, 3, 4))
        let started = requests(picker.next(now: moment(0)))
        #expect(started.count == 4)
        for request in started { picker.requestFailed(request.id, .unreachable, now: moment(10)) }
        #expect(requests(picker.next(now: moment(509))).isEmpty)
        #expect(requests(picker.next(now: moment(510))).count == 4)
    }

    @Test func aBusySourceRestsShortlyAndItsPiecesStillCount() throws {
        let picker = try makePicker(peers: [first], mirrors: [mirror])
        picker.haveChanged(first, set(3))
        picker.haveChanged(mirror, set(3))
        picker.offerChanged(mirror, .everything)
        let request = try #require(requests(picker.next(now: moment(0))).first)
        picker.requestFailed(request.id, .busy, now: moment(10))
        let plan = picker.next(now: moment(10))
        #expect(plan.effects.isEmpty)
        #expect(plan.askAgainAt == moment(60))
        #expect(requests(picker.next(now: moment(60))).map(\.source) == [first])
    }

    @Test func aMissingPieceIsNotAskedThereAgain() throws {
        let picker = try makePicker(peers: [first])
        picker.haveChanged(first, set(3))
        let request = try #require(requests(picker.next(now: moment(0))).first)
        picker.requestFailed(request.id, .missing, now: moment(10))
        #expect(picker.next(now: moment(10_000)).effects.isEmpty)
        picker.haveChanged(first, set(3))
        #expect(requests(picker.next(now: moment(10_001))).map(\.piece) == [3])
    }

    @Test func aBadPieceBansItsSenderLongerEachTime() throws {
        let picker = try makePicker(peers: [first, second]) { $0.requestsInFlight = 2 }
        picker.haveChanged(first, set(3, 4))
        let started = requests(picker.next(now: moment(0)))
        _ = picker.requestArrived(started[0].id, now: moment(1))
        picker.pieceRejected(started[0].id, now: moment(1))
        #expect(cancelled(picker.next(now: moment(1))) == [started[1].id])
        #expect(picker.isBanned(first, now: moment(60_000)))
        #expect(!picker.isBanned(first, now: moment(60_001)))
        picker.sourceRemoved(first)
        picker.sourceAdded(first, .peer)
        picker.haveChanged(first, set(3))
        #expect(picker.next(now: moment(2)).effects.isEmpty)
        let again = try #require(requests(picker.next(now: moment(60_001))).first)
        _ = picker.requestArrived(again.id, now: moment(60_002))
        picker.pieceRejected(again.id, now: moment(60_002))
        #expect(picker.isBanned(first, now: moment(180_001)))
        #expect(!picker.isBanned(first, now: moment(180_002)))
    }

    @Test func bansDecay() {
        var ban = SourceBan()
        let settings = PickerSettings()
        for time in [0, 1, 2] as [Int64] { ban.offended(moment(time), settings) }
        #expect(ban.offences == 3)
        ban.offended(moment(2 + 2 * settings.banDecayMilliseconds), settings)
        #expect(ban.offences == 2)
    }

    @Test func silentSourcesAreNotAskedUntilTheyAnswer() throws {
        let picker = try makePicker(peers: [first])
        picker.haveChanged(first, set(3))
        picker.sourceFellSilent(first)
        #expect(picker.next(now: moment(0)).effects.isEmpty)
        picker.haveChanged(first, set(3))
        #expect(requests(picker.next(now: moment(1))).count == 1)
    }

    @Test func theEndgameAsksALatePieceTwiceAndCancelsTheLoser() throws {
        let picker = try makePicker(peers: [first, second], verified: set(0, 1, 2, 3, 4, 5, 6, 7))
        picker.haveChanged(first, set(8, 9))
        picker.haveChanged(second, set(8, 9))
        let started = requests(picker.next(now: moment(0)))
        #expect(started.count == 2)
        _ = picker.requestArrived(started[0].id, now: moment(100))
        picker.pieceVerified(started[0].id)
        #expect(picker.next(now: moment(199)).effects.isEmpty)
        let rival = try #require(requests(picker.next(now: moment(200))).first)
        #expect(rival.piece == started[1].piece)
        #expect(rival.source != started[1].source)
        _ = picker.requestArrived(rival.id, now: moment(201))
        picker.pieceVerified(rival.id)
        let end = picker.next(now: moment(202))
        #expect(cancelled(end) == [started[1].id])
        #expect(end.askAgainAt == nil)
        #expect(picker.isComplete)
    }

    @Test func whatARemovedSourceWasSendingIsCancelled() throws {
        let picker = try makePicker(peers: [first])
        picker.haveChanged(first, set(3))
        let request = try #require(requests(picker.next(now: moment(0))).first)
        picker.sourceRemoved(first)
        #expect(cancelled(picker.next(now: moment(1))) == [request.id])
    }

    @Test func setsOfOtherPacksAreIgnored() throws {
        let picker = try makePicker(peers: [first], mirrors: [mirror])
        picker.haveChanged(first, PieceSet.all(pieceCount: 11))
        picker.offerChanged(mirror, .pieces(PieceSet.all(pieceCount: 9)))
        #expect(picker.next(now: moment(0)).effects.isEmpty)
    }

    /// Any order of facts keeps the limits, and asks only for what is missing, of who has it and is not banned.
    @Test(arguments: 0..<100)
    func anyFactsKeepTheRules(seed: Int) throws {
        var world = RandomFacts(seed: UInt64(seed), picker: try makePicker(seed: UInt64(seed)).picker)
        for _ in 0..<400 { world.step() }
        #expect(world.violations == [])
        #expect(world.started > 0)
    }
}

/// Throws facts at a picker and checks what it asks for.
private struct RandomFacts {
    var generator: SeededGenerator
    var picker: PiecePicker
    var now: Int64 = 0
    var open: [RequestID: PieceRequest] = [:]
    var arrived: [RequestID] = []
    var started = 0
    var violations: [String] = []

    init(seed: UInt64, picker: PiecePicker) {
        generator = SeededGenerator(seed: seed)
        self.picker = picker
    }

    mutating func step() {
        now += Int64(generator.below(700))
        fact()
        let plan = picker.next(now: moment(now))
        for id in cancelled(plan) { open[id] = nil }
        for request in requests(plan) { check(request) }
        for kind in SourceKind.allCases {
            let count = open.values.count { source($0.source)?.kind == kind }
            if count > picker.settings.requestsInFlight {
                violations.append("\(count) requests under way at a \(kind)")
            }
        }
    }

    private func source(_ id: SourceID) -> PickerSource? { picker.sources.first { $0.id == id } }

    private mutating func check(_ request: PieceRequest) {
        started += 1
        open[request.id] = request
        let source = source(request.source)
        if picker.verified.contains(request.piece) { violations.append("asked for verified \(request.piece)") }
        if source?.have.contains(request.piece) != true { violations.append("asked who has it not: \(request)") }
        if source?.isUsable(moment(now)) != true { violations.append("asked who rests: \(request)") }
        if picker.isBanned(request.source, now: moment(now)) { violations.append("asked who is banned: \(request)") }
        if open.values.filter({ $0.piece == request.piece }).count > 2 { violations.append("asked thrice: \(request)") }
    }

    private mutating func fact() {
        let source = SourceID(rawValue: UInt32(generator.below(6)))
        let pieces = (0..<10).filter { _ in generator.below(2) == 0 }
        let set = PieceSet(pieceCount: 10, pieces: pieces)
        switch generator.below(10) {
        case 0: picker.sourceAdded(source, source.rawValue < 2 ? .mirror : .peer)
        case 1:
            if generator.below(4) == 0 { picker.sourceRemoved(source) }
        case 2, 3: picker.haveChanged(source, set)
        case 4: picker.offerChanged(source, [.everything, .unknown, .pieces(set)][generator.below(3)])
        case 5:
            if generator.below(4) == 0 { picker.sourceFellSilent(source) }
        case 6, 7: requestFact()
        case 8:
            guard let id = arrived.popLast() else { return }
            if generator.below(2) == 0 { picker.pieceRejected(id, now: moment(now)) } else { picker.pieceVerified(id) }
        default: _ = picker.starvedPieces(now: moment(now))
        }
    }

    private mutating func requestFact() {
        guard let id = open.keys.min() else { return }
        switch generator.below(4) {
        case 0: picker.requestProgressed(id, now: moment(now))
        case 1:
            open[id] = nil
            picker.requestFailed(id, RequestFailure.allCases[generator.below(3)], now: moment(now))
        default:
            open[id] = nil
            if picker.requestArrived(id, now: moment(now)) { arrived.append(id) }
        }
    }
}
