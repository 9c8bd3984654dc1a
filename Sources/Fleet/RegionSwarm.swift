internal import DequeModule
internal import Domain
internal import Swarm

/// One region while a pack spreads in it: every peer's real picker, the mirror's real ledger, the real tracker, over
/// simulated wires, disks and delays. Everything lies in flat arrays; times are nanoseconds.
struct RegionSwarm: Sendable {
    struct Peer: Sendable {
        var picker: PiecePicker
        var neighbours: [UInt32] = []
        /// Whose news of what it has go to whom.
        var followers: [UInt32] = []
        /// What it asked for and does not have yet, as transfers.
        var open: [UInt32] = []
        /// What the others were told last that it has.
        var told: PieceSet
        var toldAt: Int64 = .min / 2
        var isTelling = false
        var isDeciding = false
        /// When it is woken without a fact; a wake at another time is out of date.
        var wakesAt: Int64 = .max
        var announcePause: Int64
        var offerVersion: UInt64?
        var isWaitingForOffer = false
        /// Of its questions about offers, the last one.
        var offerQuestion: UInt32 = 0
        /// When its two hashing threads and its disk are free.
        var hashesAt: (Int64, Int64) = (0, 0)
        var writesAt: Int64 = 0
        let diskPicosecondsPerByte: Int64
        let isStraggler: Bool
        let linkBytesPerSecond: UInt64
        var isUp = false
        /// Counts its comings: what was due in an earlier one is not.
        var life: UInt32 = 0
        var finishedAt: Int64?
        var sentPieces: UInt64 = 0
    }

    /// Who sends: a peer, or the mirror after the last one.
    struct Sender: Sendable {
        var active: [UInt32] = []
        var waiting: [UInt32] = []
        var turn = 0
        /// When it looks again at what it can send; a look at another time is out of date.
        var servesAt: Int64 = .max
        var slots: Int
        var waitingSlots: Int
    }

    struct Transfer: Sendable {
        var receiver: UInt32
        var sender: UInt32
        var piece: UInt32
        var request: RequestID
        var left: Int64
        var startedAt: Int64
        /// Changes when the place is given to another transfer.
        var generation: UInt32
    }

    let shape: RegionShape
    let layout: PieceLayout
    /// A piece is sent in this many portions; who shares a wire takes turns.
    static let portions: Int64 = 4
    let portionBytes: Int64
    var calendar = Calendar()
    var links: Links
    var peers: [Peer] = []
    var senders: [Sender] = []
    var transfers: [Transfer] = []
    var freeTransfers: [UInt32] = []
    var ledger: MirrorLedger
    let all: PieceSet
    /// Questions about offers that wait, the longest first; some of them no more.
    var offerWaiters: Deque<(peer: UInt32, question: UInt32)> = []
    var areOffersChanging = false
    var tracker: Tracker
    var generator: SeededGenerator
    let labels: [[String: String]]
    var now: Int64 = 0
    var finished = 0
    var handled: UInt64 = 0
    var mirrorPieces: UInt64 = 0

    static let millisecond: Int64 = 1_000_000
    static let pack = PackName(app: AppName(unchecked: "app"), build: BuildID(rawValue: 1))
    static let mirrorID = SourceID(rawValue: 0)

    var mirror: UInt32 { UInt32(shape.peers) }
    var moment: Timestamp { Timestamp(milliseconds: now / Self.millisecond) }
    var delay: Int64 { shape.delayMicroseconds * 1000 }

    static func id(_ peer: UInt32) -> SourceID { SourceID(rawValue: peer + 1) }
    static func name(_ peer: UInt32) -> PeerName { PeerName(unchecked: "p\(peer)") }

    init(_ shape: RegionShape) {
        self.shape = shape
        layout = shape.layout
        portionBytes = max(1, Int64(layout.pieceBytes) / Self.portions)
        var generator = SeededGenerator(seed: shape.seed)
        let machines = Machine.all(shape, &generator)
        links = Links(shape, rates: machines.map(\.bytesPerSecond))
        let none = PieceSet(pieceCount: layout.pieceCount)
        all = .all(pieceCount: layout.pieceCount)
        ledger = MirrorLedger(
            available: all, settings: shape.ledger, seed: generator.next())
        tracker = Tracker(settings: shape.tracker, seed: generator.next())
        let racks = shape.rackPeers > 0 ? (shape.peers + shape.rackPeers - 1) / shape.rackPeers : 1
        labels = (0..<racks).map { ["rack": "r\($0)"] }
        peers.reserveCapacity(shape.peers)
        for machine in machines {
            peers.append(
                Peer(
                    picker: PiecePicker(
                        layout: layout, verified: none, settings: shape.picker, seed: generator.next()),
                    told: none, announcePause: shape.firstAnnounceMilliseconds,
                    diskPicosecondsPerByte: 1_000_000_000_000 / Int64(machine.diskBytesPerSecond),
                    isStraggler: machine.isStraggler, linkBytesPerSecond: machine.bytesPerSecond))
        }
        senders = Array(repeating: Sender(slots: shape.uploadSlots, waitingSlots: 16), count: shape.peers)
        senders.append(Sender(slots: shape.mirrorSlots, waitingSlots: shape.mirrorWaiting))
        self.generator = generator
        plan()
    }

    /// What happens by itself: everybody begins, some vanish.
    private mutating func plan() {
        for peer in 0..<UInt32(shape.peers) {
            calendar.add(.begin, at: chance(shape.startMilliseconds * Self.millisecond), peer)
            guard shape.churn > 0, isOneOf(shape.churn) else { continue }
            calendar.add(.vanish, at: chance(shape.copyNanoseconds), peer)
        }
    }

    mutating func chance(_ bound: Int64) -> Int64 {
        bound > 0 ? Int64(generator.next() % UInt64(bound)) : 0
    }

    mutating func isOneOf(_ share: Double) -> Bool { Double(generator.next() >> 11) / Double(1 << 53) < share }

    /// When a client that reads now and then sees what is there.
    mutating func readDelay() -> Int64 { delay + chance(shape.readMilliseconds * Self.millisecond) }

    var isOver: Bool { finished == shape.peers }

    /// Until everybody has the pack, or so much time has passed.
    mutating func run(until limit: Int64, sampleEvery: Int64, _ sample: (RegionSwarm) -> Void) {
        var sampleAt = sampleEvery
        while !isOver, let due = calendar.next(), due.time < limit {
            now = max(now, due.time)
            handled += 1
            handle(due)
            if now >= sampleAt {
                sampleAt = now + sampleEvery
                sample(self)
            }
        }
    }

    private mutating func handle(_ due: Due) {
        let (first, second) = (due.first, due.second)
        switch due.kind {
        case .begin: begin(first)
        case .announce: if peers[Int(first)].life == second { announce(first) }
        case .decide: decide(first)
        case .wake: wake(first, due.time)
        case .request: if isCurrent(first, second) { requested(first) }
        case .serve: if senders[Int(first)].servesAt == due.time { serve(first) }
        case .giveUpWaiting: if isCurrent(first, second) { gaveUpWaiting(first) }
        case .arrive: if isCurrent(first, second) { arrived(first) }
        case .checked: if isCurrent(first, second) { checked(first) }
        case .tell: tell(first)
        case .told: heard(first)
        case .offer: if peers[Int(first)].life == second { askOffer(first) }
        case .offerEnds: offerAnswered(first, second)
        case .offersChange: offersChanged()
        case .vanish: vanish(first)
        case .comeBack: comeBack(first)
        }
    }

    private func isCurrent(_ transfer: UInt32, _ generation: UInt32) -> Bool {
        transfers[Int(transfer)].generation == generation
    }
}
