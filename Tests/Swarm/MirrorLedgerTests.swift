import Domain
import Testing

@testable import Swarm

private func moment(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

private func peer(_ number: Int) -> PeerName { PeerName(unchecked: "peer-\(number)") }

/// A ledger whose answers can stand inside an expectation.
private final class LedgerBox {
    private var ledger: MirrorLedger

    init(_ ledger: MirrorLedger) { self.ledger = ledger }

    func pieceAvailable(_ piece: Int) { ledger.pieceAvailable(piece) }
    func pieceGiven(_ piece: Int, to peer: PeerName, now: Timestamp) { ledger.pieceGiven(piece, to: peer, now: now) }
    func copies(of piece: Int) -> UInt32 { ledger.copies(of: piece) }
    func offer(to peer: PeerName) -> MirrorOffer? { ledger.offer(to: peer) }

    func pieceBegun(_ piece: Int, to peer: PeerName, now: Timestamp) { ledger.pieceBegun(piece, to: peer, now: now) }
    var hasMore: Bool { ledger.hasMore }
    var nextExpiry: Timestamp { ledger.nextExpiry }

    func asked(by peer: PeerName, wanted: [Int], held: [Int] = [], now: Timestamp) -> MirrorOffer {
        ledger.asked(by: peer, wanted: wanted, held: held, now: now)
    }
}

private func makeLedger(pieces: Int = 100, _ change: (inout MirrorLedgerSettings) -> Void = { _ in }) -> LedgerBox {
    var settings = MirrorLedgerSettings()
    settings.offeredInAll = 128
    change(&settings)
    return LedgerBox(MirrorLedger(available: .all(pieceCount: pieces), settings: settings, seed: 7))
}

struct MirrorLedgerTests {
    @Test func fewPiecesAreOnOfferUntilTheMirrorIsFast() {
        let ledger = makeLedger(pieces: 1000) { $0.offeredInAll = 8 }
        func offered(_ now: Int64) -> Int {
            (0..<100).map { ledger.asked(by: peer($0), wanted: [], now: moment(now)).pieces.count }.reduce(0, +)
        }
        #expect(offered(0) == 8)
        #expect((0..<100).allSatisfy { ledger.offer(to: peer($0))?.pieces.count ?? 0 <= 1 })
        for now in Int64(1)...40 {
            let holder = (0..<100).first { ledger.offer(to: peer($0))?.pieces.isEmpty == false } ?? 0
            let piece = ledger.offer(to: peer(holder))?.pieces.pieces.first ?? 0
            ledger.pieceGiven(piece, to: peer(holder), now: moment(now))
            _ = offered(now)
        }
        // Forty in 40 ms: twice that many may be on offer.
        #expect(offered(41) == 80)
        // A second later nobody has taken anything; what is on offer stays, and the next ones are few again.
        ledger.pieceGiven(ledger.offer(to: peer(0))?.pieces.pieces.first ?? 0, to: peer(0), now: moment(1000))
        #expect(offered(1001) == 79)
    }

    @Test func thoseWhoAreTooManyAreToldTheSameEachTime() {
        let ledger = makeLedger { $0.maximumPeers = 1 }
        _ = ledger.asked(by: peer(0), wanted: [], now: moment(0))
        let first = ledger.asked(by: peer(1), wanted: [], now: moment(0))
        #expect(first.pieces.isEmpty)
        let piece = ledger.offer(to: peer(0))?.pieces.pieces.first ?? 0
        ledger.pieceGiven(piece, to: peer(0), now: moment(1))
        #expect(ledger.asked(by: peer(1), wanted: [], now: moment(2)) == first)
    }

    @Test func offersAreBoundedAndDisjoint() {
        let ledger = makeLedger()
        let offers = (0..<5).map { ledger.asked(by: peer($0), wanted: [], now: moment(0)) }
        #expect(offers.allSatisfy { $0.pieces.count == 8 })
        #expect(Set(offers.flatMap(\.pieces.pieces)).count == 40)
        #expect(Set(offers.map(\.version)).count == 5)
    }

    @Test func anOfferIsRefilledWhenHalfIsTaken() throws {
        let ledger = makeLedger()
        let first = ledger.asked(by: peer(0), wanted: [], now: moment(0))
        for (count, piece) in first.pieces.pieces.prefix(4).enumerated() {
            #expect(ledger.asked(by: peer(0), wanted: [], now: moment(1)).pieces.count == 8 - count)
            ledger.pieceGiven(piece, to: peer(0), now: moment(1))
        }
        let second = ledger.asked(by: peer(0), wanted: [], now: moment(2))
        #expect(second.pieces.count == 8)
        #expect(second.version > first.version)
        #expect(second.pieces.intersection(first.pieces).pieces == Array(first.pieces.pieces.suffix(4)))
    }

    @Test func theVersionChangesExactlyWithTheOffer() {
        let ledger = makeLedger()
        let first = ledger.asked(by: peer(0), wanted: [], now: moment(0))
        _ = ledger.asked(by: peer(1), wanted: [], now: moment(0))
        #expect(ledger.asked(by: peer(0), wanted: [], now: moment(1)) == first)
        #expect(ledger.offer(to: peer(0)) == first)
        ledger.pieceGiven(first.pieces.pieces[0], to: peer(0), now: moment(1))
        #expect(ledger.offer(to: peer(0))?.version != first.version)
    }

    @Test func everyPieceIsGivenOnceBeforeAnyTwice() {
        let ledger = makeLedger()
        while let piece = ledger.asked(by: peer(0), wanted: [], now: moment(0)).pieces.pieces.first {
            #expect(ledger.copies(of: piece) == 0)
            ledger.pieceGiven(piece, to: peer(0), now: moment(0))
        }
        #expect((0..<100).allSatisfy { ledger.copies(of: $0) == 1 })
        #expect(ledger.asked(by: peer(1), wanted: [], now: moment(0)).pieces.isEmpty)
    }

    @Test func aPieceIsRepeatedOnDemandToOneAtATimeAndNotTooSoon() {
        let ledger = makeLedger(pieces: 1)
        _ = ledger.asked(by: peer(0), wanted: [], now: moment(0))
        ledger.pieceGiven(0, to: peer(0), now: moment(0))
        #expect(ledger.asked(by: peer(1), wanted: [0], now: moment(3_999)).pieces.isEmpty)
        #expect(ledger.asked(by: peer(1), wanted: [0], now: moment(4_000)).pieces.pieces == [0])
        #expect(ledger.asked(by: peer(2), wanted: [0], now: moment(4_000)).pieces.isEmpty)
        ledger.pieceGiven(0, to: peer(1), now: moment(5_000))
        #expect(ledger.asked(by: peer(2), wanted: [0], now: moment(5_001)).pieces.isEmpty)
        #expect(ledger.copies(of: 0) == 2)
    }

    @Test func whatIsNotTakenIsOfferedToOthers() {
        let ledger = makeLedger(pieces: 8)
        let offer = ledger.asked(by: peer(0), wanted: [], now: moment(0)).pieces
        #expect(offer.count == 8)
        #expect(ledger.asked(by: peer(0), wanted: [], now: moment(1_000)).pieces == offer)
        ledger.pieceBegun(offer.pieces[0], to: peer(0), now: moment(1_500))
        #expect(ledger.asked(by: peer(1), wanted: [], now: moment(3_499)).pieces.isEmpty)
        // It begins nothing more; what is being sent to it stays its own for a while.
        #expect(!ledger.asked(by: peer(1), wanted: [], now: moment(3_500)).pieces.isEmpty)
        #expect(ledger.offer(to: peer(0))?.pieces.pieces == [offer.pieces[0]])
        for second in Int64(4)...16 { _ = ledger.asked(by: peer(0), wanted: [], now: moment(second * 1000)) }
        #expect(ledger.offer(to: peer(0))?.pieces.contains(offer.pieces[0]) == true)
        _ = ledger.asked(by: peer(1), wanted: [], now: moment(16_500))
        #expect(ledger.offer(to: peer(0))?.pieces.contains(offer.pieces[0]) == false)
    }

    /// A mirror that was started again, in a swarm that has half of the pack: what is offered to those who have it is not
    /// in anybody's way.
    @Test func whatPeersHaveAlreadyStopsNobody() {
        var generator = SeededGenerator(seed: 3)
        let ledger = LedgerBox(MirrorLedger(available: .all(pieceCount: 400), seed: 7))
        var have = (0..<16).map { _ in
            PieceSet(pieceCount: 400, pieces: (0..<400).filter { _ in generator.below(2) == 0 })
        }
        var rounds = 0
        while rounds < 200,
            ledger.hasMore || (0..<16).contains(where: { ledger.offer(to: peer($0))?.pieces.isEmpty == false })
                || rounds == 0
        {
            rounds += 1
            let now = moment(Int64(rounds) * 100)
            for number in 0..<16 {
                let offer = ledger.offer(to: peer(number))?.pieces ?? PieceSet(pieceCount: 400)
                for piece in offer.subtracting(have[number]).pieces.prefix(2) {
                    ledger.pieceBegun(piece, to: peer(number), now: now)
                    ledger.pieceGiven(piece, to: peer(number), now: now)
                    have[number].insert(piece)
                }
                _ = ledger.asked(by: peer(number), wanted: [], held: offer.intersection(have[number]).pieces, now: now)
            }
        }
        #expect(rounds < 60)
        #expect((0..<400).allSatisfy { ledger.copies(of: $0) <= 1 })
    }

    @Test func whatIsWantedComesFirst() {
        let ledger = makeLedger { $0.offeredInAll = 8 }
        for number in 0..<7 { _ = ledger.asked(by: peer(number), wanted: [], now: moment(0)) }
        let free = (0..<100).filter { piece in
            !(0..<7).contains { ledger.offer(to: peer($0))?.pieces.contains(piece) == true }
        }
        #expect(ledger.asked(by: peer(7), wanted: [free[50]], now: moment(0)).pieces.pieces == [free[50]])
    }

    @Test func peersAreNotLookedThroughWhileNothingEnds() {
        let ledger = makeLedger(pieces: 8)
        for piece in ledger.asked(by: peer(0), wanted: [], now: moment(0)).pieces.pieces {
            ledger.pieceBegun(piece, to: peer(0), now: moment(0))
            ledger.pieceGiven(piece, to: peer(0), now: moment(1))
        }
        for second in Int64(1)...40 {
            _ = ledger.asked(by: peer(0), wanted: [], now: moment(second * 1000))
            #expect(ledger.nextExpiry > moment(second * 1000))
        }
    }

    @Test func whatWasOfferedToOneThatIsGoneIsSoonOfferedToOthers() {
        let ledger = makeLedger(pieces: 8)
        let offer = ledger.asked(by: peer(0), wanted: [], now: moment(0)).pieces
        #expect(offer.count == 8)
        for piece in offer.pieces { ledger.pieceBegun(piece, to: peer(0), now: moment(0)) }
        #expect(ledger.asked(by: peer(1), wanted: [], now: moment(2_999)).pieces.isEmpty)
        #expect(!ledger.asked(by: peer(1), wanted: [], now: moment(3_000)).pieces.isEmpty)
        #expect(ledger.offer(to: peer(0))?.pieces.isEmpty == true)
    }

    @Test func aGrowingMirrorOffersWhatItGets() {
        let ledger = LedgerBox(MirrorLedger(available: PieceSet(pieceCount: 10), seed: 1))
        #expect(ledger.asked(by: peer(0), wanted: [3], now: moment(0)).pieces.isEmpty)
        ledger.pieceAvailable(3)
        #expect(ledger.asked(by: peer(0), wanted: [], now: moment(1)).pieces.pieces == [3])
    }

    @Test func manyPeersAreBoundedAndForgotten() {
        let ledger = makeLedger(pieces: 1000) { $0.maximumPeers = 10 }
        for number in 0..<20 {
            let offer = ledger.asked(by: peer(number), wanted: [], now: moment(0))
            #expect(offer.pieces.isEmpty == (number >= 10))
        }
        #expect(!ledger.asked(by: peer(15), wanted: [], now: moment(60_000)).pieces.isEmpty)
        #expect(ledger.offer(to: peer(0)) == nil)
    }

    @Test func nonsenseIsIgnored() {
        let ledger = makeLedger(pieces: 4)
        #expect(ledger.asked(by: peer(0), wanted: [-1, 4, .max], now: moment(0)).pieces.count == 4)
        ledger.pieceGiven(-1, to: peer(0), now: moment(0))
        ledger.pieceGiven(4, to: peer(9), now: moment(0))
        #expect(ledger.copies(of: 4) == 0)
    }

    /// Whatever happens, no piece is on offer to two, and one that was never given is offered or waits to be.
    @Test(arguments: 0..<50)
    func offersStayDisjoint(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        let ledger = makeLedger(pieces: 60)
        var (now, given) = (Int64(0), Set<Int>())
        for _ in 0..<500 {
            now += Int64(generator.below(3_000))
            let name = peer(generator.below(6))
            if generator.below(2) == 0 {
                _ = ledger.asked(by: name, wanted: [generator.below(60)], now: moment(now))
            } else if let piece = ledger.offer(to: name)?.pieces.pieces.first {
                ledger.pieceGiven(piece, to: name, now: moment(now))
                given.insert(piece)
            }
            let offered = (0..<6).flatMap { ledger.offer(to: peer($0))?.pieces.pieces ?? [] }
            #expect(Set(offered).count == offered.count)
        }
        #expect(!given.isEmpty)
    }
}
