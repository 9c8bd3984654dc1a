import Domain
import Testing

@testable import Swarm

struct PickerInvariantTests {
    /// Facts of all kinds in an order by chance; after each, what is missing and what is counted is what the lists say.
    @Test(arguments: 1...20)
    func missingIsWhatIsNeitherHereNorOnItsWay(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let layout = try #require(PieceLayout(pieceBytes: 1000, totalBytes: 130_000))
        var picker = PiecePicker(layout: layout, verified: PieceSet(pieceCount: 130), seed: seed)
        var (open, arrived): ([RequestID], [RequestID]) = ([], [])
        for step in 0..<2000 {
            let (now, id) = (Timestamp(milliseconds: Int64(step) * 40), SourceID(rawValue: UInt32(generator.below(6))))
            switch generator.below(12) {
            case 0: picker.sourceAdded(id, id.rawValue < 2 ? .mirror : .peer)
            case 1: picker.sourceRemoved(id)
            case 2:
                picker.haveChanged(
                    id, PieceSet(pieceCount: 130, pieces: (0..<130).filter { _ in generator.below(2) == 0 }))
            case 3:
                let pieces = PieceSet(pieceCount: 130, pieces: (0..<130).filter { _ in generator.below(9) == 0 })
                picker.offerChanged(id, [.everything, .unknown, .pieces(pieces)][generator.below(3)])
                #expect(picker.heldOffers(of: id).allSatisfy { pieces.contains($0) && picker.verified.contains($0) })
            case 4: picker.sourceFellSilent(id)
            case 5: if let request = open.popLast() { picker.requestFailed(request, .busy, now: now) }
            case 6, 7:
                if !open.isEmpty {
                    let request = open.removeFirst()
                    if picker.requestArrived(request, now: now) { arrived.append(request) }
                }
            case 8: if let request = arrived.popLast() { picker.pieceVerified(request) }
            case 9:
                if generator.below(20) == 0, let request = arrived.popLast() { picker.pieceRejected(request, now: now) }
            case 10: if let request = arrived.popLast() { picker.pieceDropped(request) }
            default:
                for case .request(let request) in picker.next(now: now).effects { open.append(request.id) }
            }
            var missing = picker.verified.complement
            for request in picker.requests + picker.checking { missing.remove(request.piece) }
            #expect(picker.missing == missing, "seed \(seed), step \(step)")
            let mirrors = picker.requests.count { $0.source.rawValue < 2 }
            #expect(picker.requestsAtMirrors == mirrors, "seed \(seed), step \(step)")
            for source in picker.sources {
                #expect(source.requests == picker.requests.count { $0.source == source.id })
            }
        }
        #expect(picker.verified.count > 10)
    }

    @Test func newsOfLargePiecesIsGatheredForAShorterTime() {
        let half = PieceSet(pieceCount: 64, pieces: 0..<32)
        #expect(HaveNews.gatherMilliseconds(half, pieceBytes: 64 << 10) == 300)
        #expect(HaveNews.gatherMilliseconds(half, pieceBytes: 16 << 20) == 50)
        #expect(HaveNews.gatherMilliseconds(PieceSet(pieceCount: 64), pieceBytes: 64 << 10) == 25)
        #expect(HaveNews.gatherMilliseconds(.all(pieceCount: 64), pieceBytes: 64 << 10) == 25)
        #expect(HaveNews.gatherMilliseconds(.all(pieceCount: 64), pieceBytes: 16 << 20) == 10)
    }
}
