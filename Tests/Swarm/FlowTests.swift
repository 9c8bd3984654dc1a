import Domain
import Testing

@testable import Swarm

/// A small world of flows: a mirror with a ledger and peers with pickers, all with equal links. A node's upload is
/// shared by those it serves; time goes in steps of simulated milliseconds.
private final class FlowWorld {
    struct Transfer {
        let request: PieceRequest
        let from: Int
        let to: Int
        var bytesLeft: Int64
    }

    static let mirror = 0
    let pieceBytes: Int64 = 10_000
    let bytesPerMillisecond: Int64 = 2_000
    let stepMilliseconds: Int64 = 5
    let uploads = 4
    let pieceCount: Int
    var ledger: MirrorLedger
    var pickers: [Int: PiecePicker] = [:]
    var neighbours: [Int: [Int]] = [:]
    var dead: Set<Int> = []
    /// Peers whose pieces are rubbish.
    var corrupt: Set<Int> = []
    var transfers: [Transfer] = []
    var now: Int64 = 0
    var mirrorPieces = 0
    var finishedAt: [Int: Int64] = [:]

    init(peers: Int, pieces: Int, seed: UInt64, degree: Int = 10) throws {
        pieceCount = pieces
        ledger = MirrorLedger(available: .all(pieceCount: pieces), seed: seed)
        let layout = try #require(
            PieceLayout(pieceBytes: UInt64(pieceBytes), totalBytes: UInt64(pieces) * UInt64(pieceBytes)))
        var generator = SeededGenerator(seed: seed)
        for peer in 1...peers {
            var picker = PiecePicker(layout: layout, verified: PieceSet(pieceCount: pieces), seed: seed &+ UInt64(peer))
            picker.sourceAdded(SourceID(rawValue: 0), .mirror)
            picker.haveChanged(SourceID(rawValue: 0), .all(pieceCount: pieces))
            var others = (1...peers).filter { $0 != peer }
            while others.count > degree { others.remove(at: generator.below(others.count)) }
            for other in others { picker.sourceAdded(SourceID(rawValue: UInt32(other)), .peer) }
            (pickers[peer], neighbours[peer]) = (picker, others)
        }
    }

    /// The time of one copy over one link.
    var copyMilliseconds: Int64 { Int64(pieceCount) * pieceBytes / bytesPerMillisecond }
    var moment: Timestamp { Timestamp(milliseconds: now) }
    var isDone: Bool { pickers.allSatisfy { dead.contains($0.key) || $0.value.isComplete } }

    func run(until limit: Int64, _ each: (FlowWorld) -> Void = { _ in }) {
        while !isDone, now < limit {
            for peer in pickers.keys.sorted() where !dead.contains(peer) { turn(of: peer) }
            flow()
            now += stepMilliseconds
            each(self)
        }
    }

    private func turn(of peer: Int) {
        for other in neighbours[peer] ?? [] where !dead.contains(other) {
            guard let have = pickers[other]?.verified else { continue }
            pickers[peer]?.haveChanged(
                SourceID(rawValue: UInt32(other)), corrupt.contains(other) ? .all(pieceCount: pieceCount) : have)
        }
        if !dead.contains(Self.mirror) { askMirror(peer) }
        for effect in pickers[peer]?.next(now: moment).effects ?? [] {
            switch effect {
            case .cancel(let id): transfers.removeAll { $0.to == peer && $0.request.id == id }
            case .request(let request):
                transfers.append(
                    Transfer(request: request, from: Int(request.source.rawValue), to: peer, bytesLeft: pieceBytes))
            }
        }
    }

    private func askMirror(_ peer: Int) {
        let wanted = pickers[peer]?.starvedPieces(now: moment) ?? []
        let held = pickers[peer]?.heldOffers(of: SourceID(rawValue: 0)) ?? []
        let offer = ledger.asked(by: name(peer), wanted: wanted, held: held, now: moment)
        pickers[peer]?.offerChanged(SourceID(rawValue: 0), .pieces(offer.pieces))
    }

    private func name(_ peer: Int) -> PeerName { PeerName(unchecked: "peer-\(peer)") }

    /// A dead node sends nothing: what was asked of it hangs until the picker gives it up.
    private func flow() {
        for node in 0...pickers.count where !dead.contains(node) {
            let served = transfers.indices.filter { transfers[$0].from == node }
            let active = node == Self.mirror ? served : Array(served.prefix(uploads))
            let share = bytesPerMillisecond * stepMilliseconds / Int64(max(1, active.count))
            for index in active {
                transfers[index].bytesLeft -= share
                pickers[transfers[index].to]?.requestProgressed(transfers[index].request.id, now: moment)
            }
        }
        let done = transfers.filter { $0.bytesLeft <= 0 }
        transfers.removeAll { $0.bytesLeft <= 0 }
        for transfer in done { arrive(transfer) }
    }

    private func arrive(_ transfer: Transfer) {
        let peer = transfer.to
        if transfer.from == Self.mirror {
            mirrorPieces += 1
            ledger.pieceGiven(transfer.request.piece, to: name(peer), now: moment)
        }
        guard pickers[peer]?.requestArrived(transfer.request.id, now: moment) == true else { return }
        guard !corrupt.contains(transfer.from) else {
            pickers[peer]?.pieceRejected(transfer.request.id, now: moment)
            return
        }
        pickers[peer]?.pieceVerified(transfer.request.id)
        if pickers[peer]?.isComplete == true { finishedAt[peer] = now }
    }

    var copies: Double { Double(mirrorPieces) / Double(pieceCount) }
    /// The last peer's time over the time of one copy: simulated, so the same on every machine.
    var ratio: Double { Double(finishedAt.values.max() ?? .max) / Double(copyMilliseconds) }
}

struct FlowTests {
    @Test(arguments: [1, 2, 3])
    func threePeersTakeLittleMoreThanOneCopy(seed: UInt64) throws {
        let world = try FlowWorld(peers: 3, pieces: 256, seed: seed)
        world.run(until: 60_000)
        #expect(world.isDone)
        #expect(world.copies <= 1.1, "\(world.copies) copies")
        #expect(world.ratio <= 1.7, "ratio \(world.ratio)")
    }

    @Test(arguments: [(8, 1), (16, 2)] as [(Int, UInt64)])
    func manyPeersTakeLittleMoreThanOneCopy(peers: Int, seed: UInt64) throws {
        let world = try FlowWorld(peers: peers, pieces: 256, seed: seed)
        world.run(until: 60_000)
        #expect(world.isDone)
        #expect(world.copies <= 1.15, "\(world.copies) copies")
        #expect(world.ratio <= 1.7, "ratio \(world.ratio)")
    }

    @Test(arguments: [1, 2, 3])
    func aPeerThatDiesDelaysNobodyForLong(seed: UInt64) throws {
        let world = try FlowWorld(peers: 4, pieces: 200, seed: seed)
        world.run(until: 60_000) { world in
            if world.now == 500 { world.dead.insert(2) }
        }
        #expect(world.isDone)
        #expect(world.copies <= 1.5, "\(world.copies) copies")
        #expect(world.now < 20_000, "done at \(world.now)")
    }

    @Test func aSwarmWithoutItsMirrorCompletesItself() throws {
        let world = try FlowWorld(peers: 3, pieces: 200, seed: 4)
        world.run(until: 60_000) { world in
            let held = world.pickers.values.reduce(PieceSet(pieceCount: 200)) { $0.union($1.verified) }
            if held.isComplete { world.dead.insert(FlowWorld.mirror) }
        }
        #expect(world.isDone)
        #expect(world.dead.contains(FlowWorld.mirror))
    }

    @Test func aCorruptPeerIsBannedAndTheOthersComplete() throws {
        let world = try FlowWorld(peers: 4, pieces: 200, seed: 5)
        world.corrupt = [3]
        world.run(until: 60_000)
        #expect(world.isDone)
        #expect([1, 2, 4].allSatisfy { world.pickers[$0]?.isBanned(SourceID(rawValue: 3), now: world.moment) == true })
        #expect(world.copies <= 1.5, "\(world.copies) copies")
    }

    @Test func aLonelyPeerTakesAllFromTheMirror() throws {
        let world = try FlowWorld(peers: 1, pieces: 100, seed: 6)
        world.run(until: 60_000)
        #expect(world.isDone)
        #expect(world.copies == 1)
    }

    @Test func neighboursThatAreAllDeadLeaveTheMirror() throws {
        let world = try FlowWorld(peers: 3, pieces: 100, seed: 7)
        world.run(until: 60_000) { world in
            if world.now == 200 { world.dead = [2, 3] }
        }
        #expect(world.pickers[1]?.isComplete == true)
        #expect(world.now < 40_000, "done at \(world.now)")
    }
}
